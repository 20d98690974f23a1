#!/bin/sh
# SPDX-License-Identifier: MIT
# Libraries for the programs of other processors (cmake/cross): packages of this distribution,
# unpacked into build/foreign.
#
#   sh tools/foreign.sh aarch64|armhf|riscv64|s390x              libjpeg-turbo, so that a board
#                                        decodes photos to the same pixels as this machine
#   sh tools/foreign.sh TARGET PACKAGE-dev...                    these, with the libraries that they
#                                        are for
#
# Needs no root and installs nothing: apt's lists for that processor are kept apart, too. What cannot
# be had is named, and is no error; the build then does without it.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: sh tools/foreign.sh TARGET [PACKAGE-dev...]" >&2; exit 2; }
. tools/targets.sh
name_processor "$1"
shift
foreign=$PWD/build/foreign
foreign_apt() { # COMMAND OF APT, ARGUMENT...: for that processor
    apt=$1
    shift
    (cd "$scratch" && "$apt" -q -o APT::Architecture="$debian" \
        -o APT::Architectures::="$debian" -o Dir::State::Lists="$scratch/lists" \
        -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$@")
}
scratch=
read_lists() { # once
    [ -z "$scratch" ] || return 0
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
    foreign_apt apt-get update >"$scratch/log" 2>&1 || true  # one list of several may fail
}
unpack() { # PACKAGE
    foreign_apt apt-get download "$1:$debian" >>"$scratch/log" 2>&1 || return 1
    mkdir -p "$foreign"
    for deb in "$scratch"/*.deb; do dpkg-deb -x "$deb" "$foreign"; done
    rm -f "$scratch"/*.deb
}

if [ $# -eq 0 ]; then
    [ ! -e "/usr/lib/$triplet/libjpeg.a" ] && [ ! -e "$foreign/usr/lib/$triplet/libjpeg.a" ] ||
        exit 0
    read_lists
    if unpack libjpeg62-turbo-dev || unpack libjpeg-turbo8-dev; then
        echo "libjpeg-turbo for $target: in build/foreign" >&2
    else
        echo "no libjpeg-turbo for $target from this distribution: stb_image decodes JPEG there" >&2
    fi
fi
for package in "$@"; do
    [ ! -e "$foreign/$target-$package" ] || continue
    read_lists
    libraries=$(foreign_apt apt-cache depends "$package:$debian" 2>/dev/null |
        sed -n 's/^ *Depends: \(lib[^: ]*\).*/\1/p' | grep -v -e '-dev$' || true)
    got=yes
    for wanted in $package $libraries; do unpack "$wanted" || got=; done
    if [ -n "$got" ]; then
        touch "$foreign/$target-$package"
    else
        echo "no $package for $target from this distribution: built without it" >&2
    fi
done
