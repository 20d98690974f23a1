#!/bin/sh
# SPDX-License-Identifier: MIT
# WebAssembly: builds the modules, runs the kernels' sweeps as a WASI program in Node, and compares Node and Chromium with libmien.so.
# Ends with 77, and says why, where clang for WebAssembly or Node is missing.
set -eu
cd "$(dirname "$0")/.."
for program in clang++ wasm-ld node; do
    command -v "$program" >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
[ -e /usr/include/wasm32-wasi/stdio.h ] || { echo "skipped: wasi-libc is not installed"; exit 77; }
make web
flag=""
node --experimental-wasi-unstable-preview1 -e 0 2>/dev/null && flag=--experimental-wasi-unstable-preview1  # Node before 20 wants it
for preset in wasm wasm-simd; do
    cmake --build --preset "$preset" -j "$(nproc)" --target mien-tests
    # shellcheck disable=SC2086
    node --no-warnings $flag tests/web/run_unit.mjs "build/$preset/src/web/mien-tests.wasm"
done
cmake --build --preset wasm-simd --target mien-web-counted
# The program takes the modules for its page where they are when it is configured; before `make web` there were none.
cmake --preset check >/dev/null
cmake --build --preset check -j "$(nproc)" --target mien_tool mien_shared
# The interpreter that has playwright (tests/page_venv.sh makes it), else the one without, for Node alone.
python=${PAGE_PYTHON:-build/page-venv/bin/python}
[ -x "$python" ] || python=${PYTHON:-python3}
"$python" tests/web/test_web.py --library build/check/libmien.so --npm build/npm --web build/web --mien build/check/mien \
    --counted build/wasm-simd/src/web/mien-web-counted.wasm
