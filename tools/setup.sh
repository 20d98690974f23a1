#!/bin/sh
# Installs what mien needs on Debian or Ubuntu: `sh tools/setup.sh` to build and run it, `sh tools/setup.sh --tests` to test it too.
set -eu
case "${1:-}" in
    "") packages="" ;;
    --tests) packages="doctest-dev libeigen3-dev pkg-config python3 python3-numpy python3-h5py python3-pytest python3-pil python3-venv opencv-data" ;;
    *) echo "usage: sh tools/setup.sh [--tests]" >&2; exit 2 ;;
esac
packages="g++ cmake make libstb-dev libcli11-dev nlohmann-json3-dev $packages"

# Nothing to do (and no password to ask for) when everything is there.
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086
$as_root apt-get install -y -q --no-install-recommends $missing
