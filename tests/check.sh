#!/bin/sh
# Everything that CI runs, step by step, each with its time; ends with one line `N passed, N failed, N skipped`.
# MIEN_DATA=FOLDER adds the tests that need the large data (FER2013, photos, the original's models); without it they are skipped, and said so.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0

# The interpreter that has what the Python tests need; setup.sh installs it for the distribution's python3.
PYTHON=
for candidate in python3 /usr/bin/python3; do
    [ -n "$PYTHON" ] || ! "$candidate" -c "import numpy, h5py, pytest" 2>/dev/null || PYTHON=$candidate
done
[ -n "$PYTHON" ] || { echo "check: no python3 with numpy, h5py and pytest; run: sh tools/setup.sh --tests" >&2; exit 1; }

step() { # step NAME COMMAND...; a command that ends with 77 was skipped and has said why
    name=$1
    shift
    echo "== $name"
    start=$(date +%s)
    "$@"
    case $? in
        0) passed=$((passed + 1)) verdict="passed" ;;
        77) skipped=$((skipped + 1)) verdict="skipped" ;;
        *) failed=$((failed + 1)) verdict="FAILED" ;;
    esac
    echo "== $name: $verdict, $(($(date +%s) - start)) s"
}
skip() {
    skipped=$((skipped + 1))
    echo "== $1: skipped, $2"
}

step "optimised build and tests" make test
step "without SIMD" make scalar
step "address and undefined-behaviour sanitizers" make asan
step "python tools" env MIEN_NETDUMP=build/check/tests/mien-netdump "$PYTHON" -m pytest -q -p no:cacheprovider tests/python
# Training needs a few hundred megabytes of packages, so its tests run where these are, or where the large data is.
train_python=build/train-venv/bin/python
if [ -n "${MIEN_DATA:-}" ] && [ ! -x "$train_python" ]; then sh tools/train/setup.sh; fi
if "$train_python" -c "import torch" 2>/dev/null; then
    "$train_python" -c "import pytest, xdist" 2>/dev/null || build/train-venv/bin/pip install -q pytest pytest-xdist
    # Small networks: with a processor for each test they take 154 s where all processors for one test took 251.
    step "training" env MIEN_TOOL=build/check/mien OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$train_python" -m pytest -q -n "$(nproc)" -p no:cacheprovider tests/python/test_train.py tests/python/test_datasets.py tests/python/test_explain.py
else
    skip "training" "its packages are not installed (sh tools/train/setup.sh)"
fi
step "the Python package: wheel, guide, drop-in modules, mien-batch" env PYTHON="$PYTHON" MIEN_TOOL="$PWD/build/check/mien" sh tests/wheel/run.sh
# Films and window: where their development packages are.
desktop() {
    make desktop >/dev/null && "$PYTHON" tests/e2e/test_video.py --mien build/desktop/mien Video.test_films Video.test_window
}
if pkg-config --exists sdl2 libavformat libswscale 2>/dev/null; then
    step "films and window" desktop
else
    skip "films and window" "FFmpeg's or SDL2's development packages are not installed"
fi
step "emulated ARM, RISC-V and x86 processors" sh tests/emulate.sh
step "a camera in a virtual machine" sh tests/camera_vm.sh
# What runs in Chromium has an interpreter of its own, with playwright; without it those tests say that they are skipped.
PAGE_PYTHON=$(PYTHON="$PYTHON" sh tests/page_venv.sh) || PAGE_PYTHON=
step "WebAssembly in Node and Chromium" env PYTHON="${PAGE_PYTHON:-$PYTHON}" sh tests/web.sh
page() { # after the WebAssembly modules: the program takes them in, and its page can work on this device
    cmake --preset check >/dev/null && cmake --build --preset check -j "$(nproc)" --target mien_tool >/dev/null &&
        "$PAGE_PYTHON" tests/e2e/test_page.py --mien build/check/mien && "$PAGE_PYTHON" tests/e2e/test_serve.py --mien build/check/mien --only requests &&
        "$PAGE_PYTHON" tests/e2e/test_explain.py --mien build/check/mien --only-browser
}
if [ -n "$PAGE_PYTHON" ]; then
    step "the page and the report in Chromium, the service by requests" page
else
    skip "the page and the report in Chromium, the service by requests" "chromium or playwright is missing"
fi
step "instruction counts" "$PYTHON" bench/icount/icount.py --quick

if [ -z "${MIEN_DATA:-}" ]; then
    skip "integer network against numpy and float on FER2013" "MIEN_DATA is not set"
    skip "rectangles against OpenCV on photos" "MIEN_DATA is not set"
else
    step "integer network against numpy and float on FER2013" "$PYTHON" tests/compare_keras.py --netdump build/check/tests/mien-netdump --quick
    # OpenCV is the reference, so it comes from its own package, into a virtual environment that is made once.
    venv=build/opencv-venv
    if [ ! -x "$venv/bin/python" ]; then
        "$PYTHON" -m venv "$venv" && "$venv/bin/pip" install -q "opencv-python-headless>=4.14,<5" "numpy"
    fi
    if "$venv/bin/python" -c "import cv2" 2>/dev/null; then
        step "rectangles against OpenCV on photos" "$venv/bin/python" tests/compare_opencv.py --library build/check/libmien.so \
            --images "$MIEN_DATA/data/faces/photos.zip" "$MIEN_DATA/images" --params 1.3:5 --jobs 2
        step "rectangles of the other cascades" "$venv/bin/python" tests/compare_opencv.py --library build/check/libmien.so \
            --images "$MIEN_DATA/data/faces/photos.zip" --limit 6 --cascades "$("$venv/bin/python" -c 'import cv2; print(cv2.data.haarcascades)')" --params 1.1:3
    else
        skip "rectangles against OpenCV on photos" "opencv-python-headless could not be installed"
    fi
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
