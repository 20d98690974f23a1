#!/bin/sh
# Formats all C and C++ by .clang-format: sh tools/format.sh [--check]
# --check changes nothing and fails where something would change. Each version of clang-format
# formats a little differently, so ours is pinned, in a virtual environment made once (build/format-venv).
# Exits with 77, and says why, when it cannot be had.
set -eu
cd "$(dirname "$0")/.."
version=19.1.7 venv=build/format-venv
case "${1:-}" in
    "") options=-i ;;
    --check) options="--dry-run -Werror" ;;
    *) echo "usage: sh tools/format.sh [--check]" >&2; exit 2 ;;
esac
if [ "$(cat "$venv/version" 2>/dev/null)" != "$version" ]; then
    mkdir -p build
    if ! { "${PYTHON:-python3}" -m venv "$venv" &&
        "$venv/bin/pip" install -q --disable-pip-version-check "clang-format==$version"; } >&2; then
        echo "skipped: clang-format $version could not be installed" >&2
        exit 77
    fi
    echo "$version" >"$venv/version"
fi
find bench docs include src tests -type f \
    \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.inl' \) -print0 |
    xargs -0 "$venv/bin/clang-format" --style=file $options
