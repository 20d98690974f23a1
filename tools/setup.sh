#!/bin/sh
# Installs what mien needs on Debian or Ubuntu.
#
#   sh tools/setup.sh            to build and run it
#   sh tools/setup.sh --cross arm64   to build it for arm64, armhf or riscv64 (make cross-...)
#   sh tools/setup.sh --tests    to run `make check` too: what the tests of MIEN_CHECK need, which is
#                                quick (the default), deep or all
set -eu
usage() {
    echo "usage: sh tools/setup.sh [--tests | --cross arm64|armhf|riscv64]" >&2
    exit 2
}
# A distribution may lack the optional packages: what needs them is then left out or skipped.
# The first two are headers: Boost.Beast for `mien serve`, Eigen for `mien explain`.
packages="g++ cmake make libstb-dev libcli11-dev nlohmann-json3-dev"
optional="libboost-dev libeigen3-dev"
# WebP, TIFF, HEIC and AVIF.
optional="$optional libwebp-dev libtiff-dev libheif-dev"
# ROS 2: the library and its compiler of IDL.
optional="$optional cyclonedds-dev cyclonedds-tools"
# --mqtt.
optional="$optional libmosquitto-dev"
# libjpeg-turbo, without which stb_image decodes JPEG; several packages bring it.
[ -e /usr/include/jpeglib.h ] || optional="$optional libjpeg-dev"

# TARGET...: the compilers, and the libraries beside them, that build programs for other processors.
for_targets() {
    for target in "$@"; do
        case $target in
            aarch64) optional="$optional g++-aarch64-linux-gnu" ;;
            armhf) optional="$optional g++-arm-linux-gnueabihf" ;;
            riscv64) optional="$optional g++-riscv64-linux-gnu clang-19" ;;  # clang: vectors
            s390x) optional="$optional g++-s390x-linux-gnu" ;;
        esac
    done
}
quick() {
    packages="$packages doctest-dev libeigen3-dev python3 python3-venv"
    packages="$packages python3-numpy python3-h5py python3-pil python3-pyelftools"
    packages="$packages python3-pytest python3-pytest-xdist"
    optional="$optional python3-onnx"
}
deep() {
    quick
    packages="$packages pkg-config python3-dev opencv-data"
    optional="$optional libfastrtps-dev"
    for_targets aarch64
    # Emulation; clang, and clang for WebAssembly; what runs the modules and the pages.
    optional="$optional qemu-user clang lld wasi-libc libclang-rt-dev-wasm32 libc++-dev-wasm32"
    optional="$optional binaryen nodejs chromium"
    # A broker for --mqtt.
    optional="$optional mosquitto mosquitto-clients openssl"
}
all() {
    deep
    for_targets armhf riscv64 s390x
    # A camera in a virtual machine; fuzzing; other distributions, also of other processors; films and
    # window.
    optional="$optional qemu-system-x86 busybox-static cpio kmod libclang-rt-dev debootstrap"
    optional="$optional lintian groff zsh fish qemu-user-static binfmt-support"
    optional="$optional libavformat-dev libswscale-dev libsdl2-dev ffmpeg xvfb xdotool"
}
case "$#,${1:-}" in
    "0,") ;;
    2,--cross)
        case $2 in
            arm64 | aarch64) for_targets aarch64 ;;
            armhf | riscv64) for_targets "$2" ;;
            *) usage ;;
        esac
        ;;
    1,--tests)
        case ${MIEN_CHECK:-quick} in
            quick | deep | all) "${MIEN_CHECK:-quick}" ;;
            *) echo "setup: MIEN_CHECK is quick, deep or all, not \"$MIEN_CHECK\"" >&2; exit 2 ;;
        esac
        ;;
    *) usage ;;
esac

absent() { # PACKAGE...: those that are not installed
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            printf ' %s' "$package"
    done
}
# Nothing to do (and no password to ask for) when everything is there.
# shellcheck disable=SC2086
missing=$(absent $packages) wanted=$(absent $optional)
[ -n "$missing$wanted" ] || exit 0

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
for package in $wanted; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        missing="$missing $package"
    else
        echo "not in this distribution, so without what needs it: $package" >&2
    fi
done
[ -n "$missing" ] || exit 0
echo "installing:$missing" >&2
# shellcheck disable=SC2086
$as_root apt-get install -y -q --no-install-recommends $missing
