#!/bin/sh
# SPDX-License-Identifier: MIT
# Are the files of a release (make release) what they promise? Each is tried as its user would, away
# from the repository; those of other processors under qemu-user.
#   sh tests/release.sh [FOLDER]     default: build/release-VERSION
# Prints what it had no means to try. The Debian packages have a test of their own: tests/packages.sh.
set -eu
cd "$(dirname "$0")/.."
. tests/roots.sh
. tools/targets.sh
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
    tar -xzf "$program" -C "$scratch"
    name_processor "${name##*-}"
    run=
    if [ "$machine" != "$(uname -m)" ]; then
        command -v "$emulator" >/dev/null || { skip "$name" "no $emulator"; continue; }
        run=$emulator
    fi
    [ "$($run "$scratch/$name/mien" --version | head -1 | cut -d' ' -f2)" = "$version" ] ||
        fail "$name" "another version"
    faces=$(cd "$scratch" && env -i $run "$scratch/$name/mien" image "$photo" --json \
        --emotion large | grep -c '"score"') || true
    [ "$faces" -ge 1 ] && pass "$name" "$(stat -c %s "$program") bytes; finds the face" ||
        fail "$name" "no face"
done

# WHEEL: would a Python of its processor look for the module under its name?
module_fits() {
    case $1 in *-abi3-*) suffix=.abi3.so ;; *) suffix=.cpython-${tag#cp}-$triplet.so ;; esac
    python3 -m zipfile -l "$1" | grep "^mien/_engine$suffix " >/dev/null
}
native_wheel() { # with the oldest Python that it is for of those that are here
    case $name in *-abi3-*) tags="cp312 cp313 cp314" ;; *) tags=$tag ;; esac
    python=
    for one in $tags; do
        [ -z "$python" ] || break
        ! "python3.${one#cp3}" -c "import venv" 2>/dev/null || python=python3.${one#cp3}
    done
    [ -n "$python" ] || { skip "$name" "no such Python here"; return; }
    venv=$scratch/venv-$tag
    start=$(date +%s)
    if "$python" -m venv "$venv" && "$venv/bin/pip" install -q "$wheel" &&
        (cd "$scratch" && "$venv/bin/python" -m mien "$photo" >"$scratch/said" &&
            "$venv/bin/mien" --version >/dev/null) && grep -q . "$scratch/said"; then
        pass "$name" "$bytes bytes; $python: first face after $(($(date +%s) - start)) s"
    else
        fail "$name" "$python"
    fi
}
# In a root of its processor with the Python of its distribution, as on a board. PyPI has no NumPy for
# armv7l: there it is the distribution's.
foreign_wheel() {
    case $tag in cp310) suite=jammy ;; cp311) suite=bookworm ;; *) suite=trixie ;; esac
    can_emulate "${emulator#qemu-}" ||
        { skip "$name" "the kernel does not emulate it (qemu-user-static and binfmt-support)"; return; }
    why=$(can_make_roots) || { skip "$name" "${why#skipped: }"; return; }
    make_root "$suite-$debian" >"$scratch/log" 2>&1 ||
        { skip "$name" "no root of $suite for it could be made (network?)"; return; }
    cp "$wheel" "$photo" "$roots/$suite-$debian/root"
    numpy= shared=
    [ "$machine" != armv7l ] || numpy=python3-numpy shared=--system-site-packages
    if inside "$suite-$debian" /root "apt-get update -q && \
apt-get install -y -q --no-install-recommends python3-venv $numpy" >"$scratch/log" &&
        inside "$suite-$debian" /root "python3 -m venv $shared v && v/bin/pip install -q ./*.whl && \
v/bin/python -m mien $(basename "$photo") >said && grep -q . said && v/bin/mien --version" \
            >"$scratch/log"; then
        pass "$name" "$bytes bytes; $suite-$debian, emulated: $(sed -n \
            's/.*passed in \([0-9]* s\):.*/first face \1 after Python/p' "$scratch/log")"
    else
        cat "$scratch/log"
        fail "$name" "in $suite-$debian"
    fi
    rm -rf --one-file-system "${roots:?}/$suite-$debian"
}
for wheel in "$folder"/mien-*.whl; do
    name=$(basename "$wheel")
    [ -e "$wheel" ] || { skip wheels "there are none"; continue; }
    bytes=$(stat -c %s "$wheel") tag=$(echo "$name" | cut -d- -f3)
    case $name in *x86_64.whl) name_processor x86_64 ;; *.whl) name_processor "$(basename "${name##*_}" .whl)" ;; esac
    module_fits "$wheel" || { fail "$name" "no module for $tag on $machine"; continue; }
    if [ "$machine" = "$(uname -m)" ]; then native_wheel; else foreign_wheel; fi
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
