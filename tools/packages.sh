#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds Debian packages: sh tools/packages.sh [amd64] [arm64] [armhf] [riscv64]
# (default: this machine's processor). They come to build/packages, with their checksums.
# Each: mien (the program), libmienX.Y, libmien-dev and, for all processors, mien-data.
set -eu
cd "$(dirname "$0")/.."
. tools/targets.sh
native=$(dpkg --print-architecture)
[ $# -gt 0 ] || set -- "$native"
out=$PWD/build/packages
mkdir -p "$out"
for architecture in "$@"; do
    name_processor "$architecture"
    build=build/package-$architecture
    set -- -DCMAKE_BUILD_TYPE=Release -DMIEN_UNITY=ON -DMIEN_PACKAGE=ON -DMIEN_WEB_DIR= \
        "-DMIEN_DEBIAN_ARCHITECTURE=$architecture" -DCMAKE_INSTALL_PREFIX=/usr \
        "-DCMAKE_INSTALL_LIBDIR=lib/$triplet" "-DCMAKE_CXX_FLAGS=$same_bytes" "-DCMAKE_C_FLAGS=$same_bytes"
    if [ "$architecture" = "$native" ]; then
        # Debian's own library, which is mended with the system.
        set -- "$@" "-DMIEN_JPEG_LIBRARY=/usr/lib/$triplet/libjpeg.so"
    else
        [ "$target" != x86_64 ] || { echo "packages: cannot build $architecture here" >&2; exit 3; }
        sh tools/foreign.sh "$target"
        # What is loaded when it is asked for, so that a board has it, too; and so linked dynamically.
        sh tools/foreign.sh "$target" libwebp-dev libtiff-dev libheif-dev libmosquitto-dev cyclonedds-dev
        set -- "$@" "-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/cross/$target.cmake" \
            -DCMAKE_EXE_LINKER_FLAGS=-s -DMIEN_WEBP=ON -DMIEN_TIFF=ON -DMIEN_HEIF=ON \
            -DMIEN_MQTT=ON -DMIEN_ROS2=ON
        # The pages of the manual are made by the program itself.
        if command -v "$emulator" >/dev/null; then
            set -- "$@" \
                "-DCMAKE_CROSSCOMPILING_EMULATOR=$(command -v "$emulator");-L;/usr/$triplet"
        else
            echo "packages: without $emulator (qemu-user) $architecture has no manual pages" >&2
        fi
    fi
    cmake -S . -B "$build" "$@" >/dev/null
    cmake --build "$build" -j "$(nproc)"
    rm -f "$build"/*.deb
    (cd "$build" && cpack -G DEB)
    mv "$build"/*.deb "$out"
done
(cd "$out" && sha256sum ./*.deb >SHA256SUMS && cat SHA256SUMS)
