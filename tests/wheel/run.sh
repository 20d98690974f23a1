#!/bin/sh
# Builds the source package and from it the wheel, as a user of a registry would, with warnings as errors; installs it into a virtual environment
# of its own (build/wheel-venv) and runs the tests of the package.
# Exits with 77 when the packages that it needs cannot be had. MIEN_FER_PYTHON=INTERPRETER (of an environment with `fer`) asks the real `fer` again.
set -eu
cd "$(dirname "$0")/../.."
venv=build/wheel-venv
python=$venv/bin/python
modules="numpy, pytest, xdist, scikit_build_core, nanobind, distributed, pyarrow, pandas, PIL, cv2, mypy"
if ! "$python" -c "import $modules" 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$venv"
    if ! "$venv/bin/pip" install -q scikit-build-core nanobind numpy; then
        echo "wheel: its packages cannot be installed here" >&2
        exit 77
    fi
    # while the wheel is built
    "$venv/bin/pip" install -q pytest pytest-xdist mypy pandas pillow \
        "opencv-python-headless>=4.14,<5" distributed pyarrow &
    installing=$!
fi
rm -rf build/wheel
mkdir -p build/wheel
start=$(date +%s)
"$python" -c "from scikit_build_core.build import build_sdist; build_sdist('build/wheel')" >/dev/null
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) "$venv/bin/pip" wheel -q --no-deps --no-build-isolation --config-settings cmake.define.MIEN_WERROR=CI -w build/wheel build/wheel/mien-*.tar.gz
if [ -n "${installing:-}" ] && ! wait "$installing"; then
    echo "wheel: the packages of its tests cannot be installed here" >&2
    exit 77
fi
"$venv/bin/pip" install -q --no-deps --force-reinstall build/wheel/mien-*.whl
ls -l build/wheel
echo "built in $(($(date +%s) - start)) s"
[ -n "${MIEN_FER_PYTHON:-}" ] || echo "MIEN_FER_PYTHON is not set: compared with what the package fer answered once (fer_answers.json), not with fer itself (5 GB with TensorFlow)"
"$python" -m pytest -q -rs -p no:cacheprovider --durations=5 -n "$(nproc)" --dist loadfile tests/wheel
