#!/bin/sh
# Installs what mien needs on Debian or Ubuntu: `sh tools/setup.sh` to build and run it, `sh tools/setup.sh --tests` to test it too.
set -eu
# For other processors, with --tests; a distribution may lack some of them, and their tests are then skipped.
optional="libboost-dev libeigen3-dev"  # headers of Boost.Beast, for `mien serve`, and Eigen, for `mien explain`
case "${1:-}" in
    "") packages="" ;;
    --tests)
        optional="$optional g++-aarch64-linux-gnu g++-arm-linux-gnueabihf g++-riscv64-linux-gnu qemu-user qemu-system-x86 busybox-static cpio kmod clang lld wasi-libc libclang-rt-dev-wasm32 libc++-dev-wasm32 binaryen nodejs chromium"
        packages="doctest-dev pkg-config python3 python3-numpy python3-h5py python3-pytest python3-pil python3-venv python3-dev opencv-data"
        ;;
    *) echo "usage: sh tools/setup.sh [--tests]" >&2; exit 2 ;;
esac
packages="g++ cmake make libjpeg-dev libstb-dev libcli11-dev nlohmann-json3-dev $packages"

absent() { # PACKAGE...: those that are not installed
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf ' %s' "$package"
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
