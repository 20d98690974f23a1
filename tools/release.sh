#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes what a release consists of, in build/release-VERSION, with checksums and a bill of materials:
#
#   sh tools/release.sh [source] [programs] [debian] [wheels] [npm]      (default: all of them)
#
#   source    mien-VERSION.tar.gz: the tracked files
#   programs  mien-VERSION-linux-PROCESSOR.tar.gz: one static program each, manual, completions
#   debian    the packages of tools/packages.sh
#   wheels    the wheels of tools/wheels.sh (WHEELS="x86_64 aarch64 armv7l"; PYTHONS: their interpreters)
#   npm       mien-faces-mien-VERSION.tgz
#
# ARCHITECTURES="amd64 arm64 armhf riscv64" names the processors of programs and Debian packages.
# The same commit gives the same bytes: times in archives are the commit's, paths are left out.
set -eu
cd "$(dirname "$0")/.."
. tools/targets.sh
[ $# -gt 0 ] || set -- source programs debian wheels npm
architectures=${ARCHITECTURES:-amd64 arm64 armhf riscv64}
version=$(sh tools/version.sh)
out=$PWD/build/release-$version
mkdir -p "$out"
fail() { echo "release: $*" >&2; exit 1; }
# NAME FOLDER: the folder beside as NAME.tar.gz; names sorted, no owner, one time.
pack() {
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=u=rwX,go=rX -C "$2" -cf - "$1" | gzip -9n >"$out/$1.tar.gz"
}
source_archive() {
    git diff --quiet HEAD || fail "there are changes that are not committed: commit or stash them"
    git archive --format=tar --prefix="mien-$version/" HEAD | gzip -9n >"$out/mien-$version.tar.gz"
}

programs() {
    for architecture in $architectures; do
        name_processor "$architecture"
        run=/usr/bin/env
        if [ "$machine" != "$(uname -m)" ]; then
            sh tools/foreign.sh "$target"
            # The pages of the manual are made by the program itself.
            run=$(command -v "$emulator") || fail "no $emulator (qemu-user) for the pages of the manual"
        fi
        build=build/static-$architecture
        cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DMIEN_UNITY=ON -DMIEN_WEB_DIR= \
            -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/cross/$target.cmake" \
            -DCMAKE_CROSSCOMPILING_EMULATOR="$run" -DCMAKE_INSTALL_PREFIX=/usr \
            "-DCMAKE_CXX_FLAGS=$same_bytes" "-DCMAKE_C_FLAGS=$same_bytes" >/dev/null
        cmake --build "$build" -j "$(nproc)"
        name=mien-$version-linux-$target
        rm -rf "build/stage/$name"
        cmake --install "$build" --component program --prefix "$PWD/build/stage/$name" >/dev/null
        (cd "build/stage/$name" && mv bin/mien mien && rm -rf bin lib share/doc share/lintian)
        cp LICENSE THIRD_PARTY.md docs/BOARDS.md "build/stage/$name"
        # Those that are not inside of the program, for --emotion large.
        mkdir "build/stage/$name/weights"
        cp weights/emotion-*.mien "build/stage/$name/weights"
        pack "$name" build/stage
    done
}

debian() {
    # shellcheck disable=SC2086
    sh tools/packages.sh $architectures >/dev/null
    for architecture in $architectures all; do
        for file in build/packages/*"_$architecture.deb"; do
            [ ! -e "$file" ] || cp "$file" "$out"
        done
    done
}

# shellcheck disable=SC2086
wheels() { sh tools/wheels.sh "$out" ${WHEELS:-x86_64 aarch64 armv7l}; }

npm_package() {
    make wasm
    find build/npm -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$out" && npm pack --silent ../npm)
}

for part in "$@"; do
    case $part in
        source) source_archive ;;
        programs | debian | wheels) "$part" ;;
        npm) npm_package ;;
        *) fail "\"$part\" is none of source, programs, debian, wheels, npm" ;;
    esac
done
rm -f "$out"/*.spdx.json "$out/SHA256SUMS"
python3 tools/sbom.py "$out" >"build/sbom.json"
mv build/sbom.json "$out/mien-$version.spdx.json"
# Beside the folder first: else the list may name itself.
(cd "$out" && sha256sum ./*) | sed 's, \./, ,' >build/SHA256SUMS
mv build/SHA256SUMS "$out"
cat "$out/SHA256SUMS"
