#!/bin/sh
# libjpeg-turbo for the programs of other processors (cmake/cross): their distribution package,
# unpacked into build/foreign, so that a board decodes photos to the same pixels as this machine.
#
#   sh tools/foreign_jpeg.sh aarch64|armhf|riscv64|s390x...
#
# Needs no root and installs nothing: apt's lists for that processor are kept apart, too. Where the
# package cannot be had, it prints so and succeeds; the build then takes stb_image.
set -eu
cd "$(dirname "$0")/.."
for target in "$@"; do
    architecture=$target triplet=$target-linux-gnu
    case $target in
        aarch64) architecture=arm64 ;;
        armhf) triplet=arm-linux-gnueabihf ;;
    esac
    foreign=$PWD/build/foreign
    [ ! -e "/usr/lib/$triplet/libjpeg.a" ] && [ ! -e "$foreign/usr/lib/$triplet/libjpeg.a" ] ||
        continue
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
    foreign_apt() {
        (cd "$scratch" && apt-get -q -o APT::Architecture="$architecture" \
            -o APT::Architectures::="$architecture" -o Dir::State::Lists="$scratch/lists" \
            -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User="$(id -un)" \
            -o Acquire::Languages=none -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$@")
    }
    foreign_apt update >"$scratch/log" 2>&1 || true  # one list of several may fail
    for package in libjpeg62-turbo-dev libjpeg-turbo8-dev; do
        foreign_apt download "$package:$architecture" >>"$scratch/log" 2>&1 && break
    done
    if ls "$scratch"/*.deb >/dev/null 2>&1; then
        mkdir -p "$foreign"
        dpkg-deb -x "$scratch"/*.deb "$foreign"
        echo "libjpeg-turbo for $target: in build/foreign" >&2
    else
        echo "no libjpeg-turbo for $target from this distribution: stb_image decodes JPEG there" >&2
    fi
    rm -rf "$scratch"
done
