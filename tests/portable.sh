#!/bin/sh
# SPDX-License-Identifier: MIT
# Does the library compile for Windows and macOS? Each of its files, the kernels of these processors
# too, by the compiler of PyPI's package ziglang. Nothing is linked or run: there is no such machine.
#   sh tests/portable.sh [TARGET...]     default: x86_64-windows-gnu aarch64-macos x86_64-macos
# ZIG is the compiler ("python3 -m ziglang"). Ends with 77, and says so, where there is none.
set -eu
cd "$(dirname "$0")/.."
zig=${ZIG:-python3 -m ziglang}
if ! $zig version >/dev/null 2>&1; then
    echo "skipped: ziglang is not installed (pip install ziglang)"
    exit 77
fi
[ $# -gt 0 ] || set -- x86_64-windows-gnu aarch64-macos x86_64-macos
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
for target in "$@"; do
    files=$(ls src/base/*.cpp src/detect/*.cpp src/detect/*/*.cpp src/image/*.cpp src/nn/*.cpp \
        src/opencv/*.cpp src/pipeline/*.cpp src/threads/*.cpp src/track/*.cpp \
        src/kernels/dispatch.cpp src/kernels/*/scalar.cpp)
    case $target in
        aarch64-*) flags='' files="$files $(ls src/kernels/*/neon.cpp)" ;;
        *) flags='-mavx2' files="$files $(ls src/kernels/*/avx2.cpp)" ;;
    esac
    count=0
    for file in $files; do
        # The vectors' flags are only for the file of their kernels.
        case $file in */avx2.cpp) extra=$flags ;; *) extra= ;; esac
        # shellcheck disable=SC2086
        if $zig c++ -target "$target" -std=c++20 -O1 -Wall -Wextra -Wconversion -Wshadow -Werror \
            $extra -I src -I include -c "$file" -o "$scratch/object" 2>"$scratch/log"; then
            count=$((count + 1))
        else
            failed=1
            echo "$target: $file: $(grep -a -m1 error "$scratch/log")"
        fi
    done
    echo "$target: $count of $(echo "$files" | wc -w) files compile"
done
exit $failed
