#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds Debian packages: sh tools/packages.sh [amd64] [arm64] [armhf] [riscv64]
# (default: this machine's processor). They come to build/packages, with their checksums.
# Each: mien (the program), libmienX.Y, libmien-dev and, for all processors, mien-data.
set -eu
cd "$(dirname "$0")/.."
native=$(dpkg --print-architecture)
[ $# -gt 0 ] || set -- "$native"
out=$PWD/build/packages
mkdir -p "$out"
# The time of the last change, in all files: the same sources give the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1)}
export SOURCE_DATE_EPOCH
for architecture in "$@"; do
    case $architecture in
        amd64) cross= triple=x86_64-linux-gnu emulator=qemu-x86_64 ;;
        arm64) cross=aarch64 triple=aarch64-linux-gnu emulator=qemu-aarch64 ;;
        armhf) cross=armhf triple=arm-linux-gnueabihf emulator=qemu-arm ;;
        riscv64) cross=riscv64 triple=riscv64-linux-gnu emulator=qemu-riscv64 ;;
        *) echo "usage: sh tools/packages.sh [amd64] [arm64] [armhf] [riscv64]" >&2; exit 2 ;;
    esac
    build=build/package-$architecture
    set -- -DCMAKE_BUILD_TYPE=Release -DMIEN_UNITY=ON -DMIEN_PACKAGE=ON -DMIEN_WEB_DIR= \
        "-DMIEN_DEBIAN_ARCHITECTURE=$architecture" -DCMAKE_INSTALL_PREFIX=/usr \
        "-DCMAKE_INSTALL_LIBDIR=lib/$triple" "-DCMAKE_CXX_FLAGS=-ffile-prefix-map=$PWD=." \
        "-DCMAKE_C_FLAGS=-ffile-prefix-map=$PWD=."
    if [ "$architecture" = "$native" ]; then
        # Debian's own library, which is mended with the system.
        set -- "$@" "-DMIEN_JPEG_LIBRARY=/usr/lib/$triple/libjpeg.so"
    else
        [ -n "$cross" ] || { echo "packages: cannot build $architecture here" >&2; exit 3; }
        sh tools/foreign.sh "$cross"
        # What is loaded when it is asked for, so that a board has it, too; and so linked dynamically.
        sh tools/foreign.sh "$cross" libwebp-dev libtiff-dev libheif-dev libmosquitto-dev cyclonedds-dev
        set -- "$@" "-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/cross/$cross.cmake" \
            -DCMAKE_EXE_LINKER_FLAGS=-s -DMIEN_WEBP=ON -DMIEN_TIFF=ON -DMIEN_HEIF=ON \
            -DMIEN_MQTT=ON -DMIEN_ROS2=ON
        # The pages of the manual are made by the program itself.
        if command -v "$emulator" >/dev/null; then
            set -- "$@" \
                "-DCMAKE_CROSSCOMPILING_EMULATOR=$(command -v "$emulator");-L;/usr/$triple"
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
