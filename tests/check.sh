#!/bin/sh
# Tests mien to the depth that MIEN_CHECK names: quick (the default), deep, which holds quick, or
# all, which holds deep. tests/README.md says what each contains and how long it takes.
# Prints each step with its time, and at the end one line `N passed, N failed, N skipped`.
# MIEN_DATA=FOLDER adds the tests that need the large data (FER2013, photos, the original's models).
set -u
cd "$(dirname "$0")/.."
depth=${MIEN_CHECK:-quick}
case $depth in
    quick | deep | all) ;;
    *) echo "check: MIEN_CHECK is quick, deep or all, not \"$depth\"" >&2; exit 2 ;;
esac
jobs=$(nproc)
passed=0 failed=0 skipped=0

# The interpreter that has what the Python tests need: setup.sh installs it for the distribution's
# python3, which need not be the first in PATH.
PYTHON=
for candidate in python3 /usr/bin/python3; do
    [ -n "$PYTHON" ] || ! "$candidate" -c "import numpy, h5py, PIL, pytest" 2>/dev/null ||
        PYTHON=$(command -v "$candidate")
done
[ -n "$PYTHON" ] || {
    echo "check: no python3 with numpy, h5py, Pillow and pytest; run: sh tools/setup.sh --tests" >&2
    exit 1
}
export PYTHON

step() { # NAME COMMAND...: a command that ends with 77 was skipped and has said why
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
skip() { # NAME REASON
    skipped=$((skipped + 1))
    echo "== $1: skipped, $2"
}
# PRESET [OPTION...]: configures and builds a preset, with this interpreter for its tests.
build() {
    preset=$1
    shift
    cmake --preset "$preset" "-DPython3_EXECUTABLE=$PYTHON" "$@" >/dev/null &&
        cmake --build --preset "$preset" -j "$jobs"
}
run() { # PRESET [OPTION OF CTEST...]
    preset=$1
    shift
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" "$@"
}
python_tests() { # LONG-OR-NOT
    # A processor for each test, where pytest can do that.
    workers=
    if "$PYTHON" -c "import xdist" 2>/dev/null; then workers="-n $jobs"; fi
    MIEN_NETDUMP=build/check/tests/mien-netdump OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
        "$PYTHON" -m pytest -q -p no:cacheprovider $workers -m "$1" tests/python
}

# ---- quick: what a contributor wants to know at each change ---------------------------------------

step "clang-format and black" sh tools/format.sh --check
step "optimised build" build check -DMIEN_BUILD_BENCH=OFF
step "unit tests on every instruction set, corpora, examples, layers, the program from outside" \
    run check -L quick
step "converters and the numpy reference" python_tests "not long"

# ---- deep: what CI runs --------------------------------------------------------------------------

# After the WebAssembly modules: this build takes them in for its page. Where there is a browser, the
# interpreter is the one with playwright and requests, so that pages and clients are tested here, too.
outside() {
    page_python=$(sh tests/page_venv.sh) || page_python=
    PYTHON=${page_python:-$PYTHON} build check -DMIEN_BUILD_BENCH=ON && run check -LE quick
}
threads() { # the pool, cameras and films, the service with many clients, the live stream, a broker
    cmake --preset tsan "-DPython3_EXECUTABLE=$PYTHON" >/dev/null &&
        cmake --build --preset tsan -j "$jobs" --target mien_tool mien-tests || return 1
    # Where a kernel scatters a process over more of its address space than the sanitizer expects,
    # programs end at their start, now and then.
    fixed=
    if setarch -R true 2>/dev/null; then fixed="setarch -R"; fi
    $fixed ctest --test-dir build/tsan --output-on-failure -R '^(unit|serve|video|mqtt)$'
}
train() { # its packages take a few hundred megabytes: where they are, or where the large data is
    train_python=build/train-venv/bin/python
    if [ -n "${MIEN_DATA:-}" ] && [ ! -x "$train_python" ]; then sh tools/train/setup.sh; fi
    if ! "$train_python" -c "import torch" 2>/dev/null; then
        echo "skipped: the packages for training are not installed (sh tools/train/setup.sh)"
        return 77
    fi
    "$train_python" -c "import pytest, xdist" 2>/dev/null ||
        build/train-venv/bin/pip install -q pytest pytest-xdist
    # Small networks: a processor for each test is faster than all for one (154 s against 251).
    MIEN_TOOL=build/check/mien OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$train_python" -m pytest \
        -q -n "$jobs" -p no:cacheprovider tests/python/test_train.py \
        tests/python/test_datasets.py tests/python/test_ages.py tests/python/test_explain.py
}
wheel() { # IMAGES
    MIEN_BATCH_PICTURES=$1 MIEN_TOOL="$PWD/build/check/mien" sh tests/wheel/run.sh
}
fer2013() {
    "$PYTHON" tests/compare_keras.py --netdump build/check/tests/mien-netdump --quick
}
opencv() { # OpenCV is the reference, so it comes from its own package, into a virtual environment
    venv=build/opencv-venv
    if ! "$venv/bin/python" -c "import cv2" 2>/dev/null; then
        "$PYTHON" -m venv "$venv" &&
            "$venv/bin/pip" install -q "opencv-python-headless>=4.14,<5" numpy ||
            { echo "skipped: opencv-python-headless could not be installed"; return 77; }
    fi
    photos=$MIEN_DATA/data/faces/photos.zip library=build/check/libmien.so
    cascades=$("$venv/bin/python" -c 'import cv2; print(cv2.data.haarcascades)')
    "$venv/bin/python" tests/compare_opencv.py --library $library \
        --images "$photos" "$MIEN_DATA/images" --params 1.3:5 --jobs 2 &&
        "$venv/bin/python" tests/compare_opencv.py --library $library \
            --images "$photos" --limit 6 --cascades "$cascades" --params 1.1:3
}
clang() {
    command -v clang++ >/dev/null || { echo "skipped: no clang++"; return 77; }
    build clang -DMIEN_BUILD_BENCH=ON && run clang -L quick
}
asan() { build asan && run asan; }

if [ "$depth" != quick ]; then
    step "WebAssembly in Node and Chromium" sh tests/web.sh
    step "service, video, explanations, installed package, pages in Chromium" outside
    step "converters on all of OpenCV's cascades" python_tests long
    step "address and undefined-behaviour sanitizers" asan
    step "thread sanitizer" threads
    step "clang: the quick tests" clang
    step "the Python package" wheel "$([ "$depth" = all ] && echo 5000 || echo 500)"
    step "training" train
    step "emulated aarch64" sh tests/emulate.sh aarch64 # all: with the unit tests of explanations
    if [ -n "${MIEN_DATA:-}" ]; then
        step "integer network against numpy and float on FER2013" fer2013
        step "rectangles against OpenCV on photos and with other cascades" opencv
    else
        skip "integer network against numpy and float on FER2013" "MIEN_DATA is not set"
        skip "rectangles against OpenCV on photos and with other cascades" "MIEN_DATA is not set"
    fi
fi

# ---- all: what takes hours, or much disk ---------------------------------------------------------

each_file() { build scalar -DMIEN_UNITY=OFF && run scalar; }
desktop() {
    if ! pkg-config --exists sdl2 libavformat libswscale 2>/dev/null; then
        echo "skipped: the development packages of FFmpeg or SDL2 are not installed"
        return 77
    fi
    build desktop && "$PYTHON" -m pytest -q -p no:cacheprovider \
        tests/e2e/test_films.py tests/e2e/test_addresses.py tests/e2e/test_video.py \
        --mien build/desktop/mien -k "films or addresses or test_window"
}
packages() { sh tools/packages.sh && sh tests/packages.sh; }
distributions() {
    [ -e tests/distributions.sh ] || { echo "skipped: no tests/distributions.sh"; return 77; }
    sh tests/distributions.sh
}

if [ "$depth" = all ]; then
    step "without vectors: everything, each file with what it includes" each_file
    step "films and window" desktop
    step "emulated 32-bit ARM, RISC-V, s390x and older x86" \
        sh tests/emulate.sh armhf riscv64 s390x x86_64
    step "a camera in a virtual machine" sh tests/camera_vm.sh
    step "instruction counts" "$PYTHON" bench/icount/icount.py --quick
    step "fuzzing, ${FUZZ_SECONDS:-60} s per target" make fuzz
    step "the library for Windows and macOS" sh tests/portable.sh
    step "other distributions" distributions
    step "Debian packages" packages
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
