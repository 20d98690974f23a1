#!/bin/sh
# Is one wheel enough for Python 3.12 and all later ones? Builds it with python3.12 as `pip install .` does (isolated, in a clean environment),
# and runs tests of the package on it and on each later Python that is here. Exits with 77 without python3.12. Not a part of `make check`.
set -eu
cd "$(dirname "$0")/../.."
command -v python3.12 >/dev/null && python3.12 -c "" 2>/dev/null || { echo "abi3: there is no python3.12" >&2; exit 77; }
rm -rf build/abi3
python3.12 -m venv build/abi3/maker
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) build/abi3/maker/bin/pip wheel -q --no-deps -w build/abi3 .
ls -l build/abi3/mien-*-cp312-abi3-*.whl
for version in 3.12 3.13 3.14; do
    command -v "python$version" >/dev/null && "python$version" -c "" 2>/dev/null || { echo "abi3: there is no python$version"; continue; }
    "python$version" -m venv "build/abi3/$version"
    "build/abi3/$version/bin/pip" install -q pytest pillow build/abi3/mien-*.whl
    "build/abi3/$version/bin/python" -m mien tests/data/photos/astronaut.jpg
    "build/abi3/$version/bin/python" -m pytest -q -p no:cacheprovider tests/wheel/test_engine.py tests/wheel/test_compat.py
done
