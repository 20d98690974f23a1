#!/bin/sh
# Builds the wheel as a user would, installs it into a virtual environment of its own (build/wheel-venv) and runs the tests of the package.
# Exits with 77 when the packages that it needs cannot be had. MIEN_FER_PYTHON=INTERPRETER (of an environment with `fer`) adds the comparison with it.
set -eu
cd "$(dirname "$0")/../.."
venv=build/wheel-venv
python=$venv/bin/python
if ! "$python" -c "import numpy, pytest, scikit_build_core, nanobind, distributed, pyarrow, pandas, PIL, cv2, mypy" 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$venv"
    if ! "$venv/bin/pip" install -q scikit-build-core nanobind numpy pytest mypy pandas pillow "opencv-python-headless>=4.14,<5" distributed pyarrow; then
        echo "wheel: its packages cannot be installed here" >&2
        exit 77
    fi
fi
# From source as `pip install .` does it; not isolated, so that a second run builds only what has changed.
rm -rf build/wheel
"$venv/bin/pip" wheel -q --no-deps --no-build-isolation -w build/wheel .
"$venv/bin/pip" install -q --no-deps --force-reinstall build/wheel/mien-*.whl
ls -l build/wheel
[ -n "${MIEN_FER_PYTHON:-}" ] || echo "MIEN_FER_PYTHON is not set: not compared with the package fer (5 GB with TensorFlow); see tests/wheel/test_compat.py"
"$python" -m pytest -q -rs -p no:cacheprovider tests/wheel
