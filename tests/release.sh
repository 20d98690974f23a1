#!/bin/sh
# SPDX-License-Identifier: MIT
# Are the files of a release (make release) what they promise? Each is tried as its user would, away
# from the repository; those of other processors under qemu-user.
#   sh tests/release.sh [FOLDER]     default: build/release-VERSION
# Prints what it had no means to try. The Debian packages have a test of their own: tests/packages.sh.
set -eu
cd "$(dirname "$0")/.."
. tests/roots.sh
version=$(sh tools/version.sh)
folder=$(cd "${1:-build/release-$version}" && pwd)
photo=$PWD/tests/data/photos/astronaut.jpg
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
pass() { echo "$1: $2"; }
fail() { echo "$1: FAILED: $2"; failed=1; }
skip() { echo "$1: skipped: $2"; }

(cd "$folder" && sha256sum --quiet -c SHA256SUMS) && pass SHA256SUMS "all files" ||
    fail SHA256SUMS "a file differs"
for program in "$folder"/mien-*-linux-*.tar.gz; do
    [ -e "$program" ] || { skip programs "there are none"; continue; }
    name=$(basename "$program" .tar.gz)
    processor=${name##*-}
    tar -xzf "$program" -C "$scratch"
    run=
    if [ "$processor" != "$(uname -m)" ]; then
        [ "$processor" = armhf ] && run=qemu-arm || run=qemu-$processor
        command -v "$run" >/dev/null || { skip "$name" "no $run"; continue; }
    fi
    [ "$($run "$scratch/$name/mien" --version | head -1 | cut -d' ' -f2)" = "$version" ] ||
        fail "$name" "another version"
    faces=$(cd "$scratch" && env -i $run "$scratch/$name/mien" image "$photo" --json |
        grep -c '"score"') || true
    [ "$faces" -ge 1 ] && pass "$name" "$(stat -c %s "$program") bytes; finds the face" ||
        fail "$name" "no face"
done

# WHEEL: the interpreter that it is for
python_of() {
    tag=$(basename "$1" | cut -d- -f3)
    case $(basename "$1") in *-abi3-*) tags="cp314 cp313 cp312" ;; *) tags=$tag ;; esac
    for tag in $tags; do
        python=python3.${tag#cp3}
        if command -v "$python" >/dev/null && "$python" -c "import venv" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
}
for wheel in "$folder"/mien-*"_$(uname -m).whl"; do
    [ -e "$wheel" ] || { skip wheels "there is none for $(uname -m)"; continue; }
    name=$(basename "$wheel")
    python=$(python_of "$wheel")
    [ -n "$python" ] || { skip "$name" "no such Python here"; continue; }
    venv=$scratch/venv-$python
    start=$(date +%s)
    if "$python" -m venv "$venv" && "$venv/bin/pip" install -q "$wheel" &&
        (cd "$scratch" && "$venv/bin/python" -m mien "$photo" >"$scratch/said" &&
            "$venv/bin/mien" --version >/dev/null) && grep -q . "$scratch/said"; then
        pass "$name" "$(stat -c %s "$wheel") bytes; $python: first face after $(($(date +%s) - start)) s"
    else
        fail "$name" "$python"
    fi
done
# An ARM Python of Debian 13, unpacked and not installed, runs under emulation with NumPy from PyPI.
for wheel in "$folder"/mien-*-abi3-*aarch64.whl; do
    [ -e "$wheel" ] && [ "$(uname -m)" != aarch64 ] || continue
    name=$(basename "$wheel")
    command -v qemu-aarch64 >/dev/null || { skip "$name" "no qemu-aarch64"; continue; }
    command -v debootstrap >/dev/null || { skip "$name" "no debootstrap"; continue; }
    [ "$(id -u)" -eq 0 ] || { skip "$name" "a root for another processor needs root"; continue; }
    root=$roots/trixie-arm64
    if [ ! -e "$root.done" ]; then
        rm -rf "$root"
        mkdir -p "$roots"
        if ! debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 trixie "$root" \
            "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$roots/log" 2>&1; then
            skip "$name" "no root for it could be made (network?): $(tail -1 "$roots/log")"
            continue
        fi
        for deb in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$root"; done
        touch "$root.done"
    fi
    packages=$scratch/arm64
    # pip chooses by the name of the wheel, as on a board with Debian 13 (glibc 2.41).
    platforms=$(for minor in $(seq 17 41); do echo "--platform manylinux_2_${minor}_aarch64"; done)
    # shellcheck disable=SC2086
    if python3 -m pip install -q --disable-pip-version-check $platforms --python-version 3.13 \
        --implementation cp --only-binary=:all: --target "$packages" "$wheel" >"$scratch/log" 2>&1 &&
        PYTHONPATH=$packages qemu-aarch64 -L "$root" "$root/usr/bin/python3.13" -m mien "$photo" \
            >"$scratch/said" 2>"$scratch/log" && grep -q . "$scratch/said"; then
        pass "$name" "$(stat -c %s "$wheel") bytes; finds the face on Python 3.13 under qemu-aarch64"
    else
        tail -n 3 "$scratch/log"
        fail "$name" "Python 3.13 under qemu-aarch64"
    fi
done

for package in "$folder"/*.tgz; do
    [ -e "$package" ] || { skip npm "there is none"; continue; }
    command -v npm >/dev/null || { skip npm "npm is not installed"; continue; }
    mkdir "$scratch/npm"
    cat >"$scratch/npm/face.mjs" <<'JS'
import {load} from '@mien-faces/mien';
const mien = await load({maxWidth: 320, maxHeight: 240});
const gray = {data: new Uint8ClampedArray(320 * 240 * 4).fill(128), width: 320, height: 240};
if (!Array.isArray(mien.process(gray))) process.exit(1);
JS
    if (cd "$scratch/npm" && npm init -y >/dev/null && npm install --silent "$package" >/dev/null &&
        node face.mjs); then
        pass "$(basename "$package")" "$(stat -c %s "$package") bytes; loads in node"
    else
        fail "$(basename "$package")" "does not load in node"
    fi
done

if python3 -c "import spdx_tools" 2>/dev/null; then
    said=$(python3 -m spdx_tools.spdx.clitools.pyspdxtools -i "$folder"/*.spdx.json 2>&1) || true
    [ -z "$said" ] && pass "$(basename "$folder"/*.spdx.json)" "valid" || fail SPDX "$said"
else
    skip "bill of materials" "spdx-tools is not installed"
fi
exit $failed
