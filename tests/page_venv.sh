#!/bin/sh
# SPDX-License-Identifier: MIT
# The interpreter of the tests in a browser: prints its path on standard output; makes its virtual environment, build/page-venv, once (60 MB).
# PAGE_PYTHON=INTERPRETER is taken as it is. Ends with 77, and says why on standard error, where there is no Chromium or no package server.
# The browser is the distribution's: playwright's own is never downloaded.
set -eu
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { echo "skipped: chromium is not installed" >&2; exit 77; }
works() { "$1" -c "import playwright.sync_api, numpy, PIL, requests, pytest" 2>/dev/null; }
if [ -n "${PAGE_PYTHON:-}" ]; then
    works "$PAGE_PYTHON" || { echo "page_venv: $PAGE_PYTHON lacks playwright, numpy, pillow, requests or pytest" >&2; exit 1; }
    echo "$PAGE_PYTHON"
    exit
fi
venv=$PWD/build/page-venv
# Pinned: a new playwright must not change what the tests see.
packages="playwright==1.65.2 numpy==2.4.6 pillow==13.0.0 requests==2.32.5 pytest==9.0.1"
if [ "$(cat "$venv/packages" 2>/dev/null)" != "$packages" ] || ! works "$venv/bin/python"; then
    rm -rf "$venv"
    mkdir -p build
    # shellcheck disable=SC2086
    if ! { "${PYTHON:-python3}" -m venv "$venv" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 "$venv/bin/pip" install -q --disable-pip-version-check $packages; } >&2; then
        rm -rf "$venv"
        echo "skipped: the packages of the tests in a browser could not be installed" >&2
        exit 77
    fi
    echo "$packages" >"$venv/packages"
fi
echo "$venv/bin/python"
