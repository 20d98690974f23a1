#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what training needs into build/train-venv: sh tools/train/setup.sh
# The index that pip is set to use decides which torch it gets; on a PC without an NVIDIA card the CPU build saves 2 GB
# (set PIP_EXTRA_INDEX_URL to PyTorch's CPU index).
set -eu
cd "$(dirname "$0")/../.."
venv=build/train-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv" || { echo "train setup: python3-venv is missing: sudo apt-get install python3-venv" >&2; exit 1; }
fi
"$venv/bin/pip" install -q -r tools/train/requirements.txt
"$venv/bin/python" tools/train --help >/dev/null
echo "ready: $venv/bin/python tools/train --help"
