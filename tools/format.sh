#!/bin/sh
# Formats all C and C++ by .clang-format and all Python by black: sh tools/format.sh [--check]
# --check changes nothing and fails where something would change. Each version of a formatter formats
# a little differently, so ours are pinned, in a virtual environment made once (build/format-venv).
# Exits with 77, and says why, when they cannot be had.
set -eu
cd "$(dirname "$0")/.."
packages="clang-format==19.1.7 black==25.11.0" venv=build/format-venv
case "${1:-}" in
    "") options=-i black="" ;;
    --check) options="--dry-run -Werror" black=--check ;;
    *) echo "usage: sh tools/format.sh [--check]" >&2; exit 2 ;;
esac
if [ "$(cat "$venv/version" 2>/dev/null)" != "$packages" ]; then
    mkdir -p build
    if ! { "${PYTHON:-python3}" -m venv "$venv" &&
        "$venv/bin/pip" install -q --disable-pip-version-check $packages; } >&2; then
        echo "skipped: $packages could not be installed" >&2
        exit 77
    fi
    echo "$packages" >"$venv/version"
fi
failed=0
find bench docs include src tests -type f \
    \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.inl' \) -print0 |
    xargs -0 "$venv/bin/clang-format" --style=file $options || failed=1
"$venv/bin/black" ${black:--q} bench src tests tools || failed=1
exit $failed
