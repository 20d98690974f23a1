#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian packages of this machine's processor (tools/packages.sh; built if they are not there) in
# clean roots: they install, the program finds the face of a sample photo, its manual and its
# completion are there, a program builds against the library, and all of them can be removed.
#   sh tests/packages.sh [NAME...]   names of debootstrap (default: bookworm trixie)
# Those of other processors, where they are built and the kernel emulates them (qemu-user-static,
# binfmt-support), go the same way in roots of theirs.
# Prints time and bytes from the clean root to the first face. Ends with 77, and says why, where it
# cannot be done.
set -eu
cd "$(dirname "$0")/.."
. tests/roots.sh
. tools/targets.sh
native=$(dpkg --print-architecture)
packages=build/packages
[ -e "$packages/SHA256SUMS" ] || sh tools/packages.sh >/dev/null
failed=0
if command -v lintian >/dev/null; then
    lintian --fail-on error "$packages"/*.deb || failed=1
else
    echo "lintian is not installed, so the packages are not looked at by it"
fi

photo=tests/data/photos/astronaut.jpg

can_make_roots
[ $# -gt 0 ] || set -- bookworm trixie
in_root() { # ROOT ARCHITECTURE: installs, runs and removes the packages there
    name=$1 architecture=$2
    if ! make_root "$name"; then
        echo "skipped: no root for $name could be made (network?)"
        return
    fi
    root=$roots/$name
    mkdir "$root/root/in"
    cp "$packages"/*_"$architecture".deb "$packages"/*_all.deb "$photo" docs/example.cpp \
        "$root/root/in"
    before=$(du -sk "$root/usr" | cut -f1)
    inside "$name" /root/in "apt-get update -q && apt-get install -y -q --no-install-recommends \
./mien_*.deb && mien image astronaut.jpg --json >face.json" || { failed=1; return; }
    after=$(du -sk "$root/usr" | cut -f1)
    grep -q '"score"' "$root/root/in/face.json" || { echo "$name: no face"; failed=1; }
    echo "$name: $(stat -c %s "$packages"/mien_*_"$architecture".deb) bytes of package," \
        "$((after - before)) KiB more in /usr"
    inside "$name" /root/in "ls /usr/share/bash-completion/completions/mien && \
apt-get install -y -q --no-install-recommends g++ pkg-config ./libmien*.deb ./mien-data*.deb && \
g++ -std=c++20 example.cpp \$(pkg-config --cflags --libs mien) -o example && \
./example /usr/share/mien && apt-get purge -y -q mien libmien-dev mien-data 'libmien0*' && \
! command -v mien && test ! -e /usr/share/mien && test ! -e /usr/include/mien" || failed=1
    rm -rf --one-file-system "$root"
}
for suite in "$@"; do
    for deb in "$packages"/mien_*.deb; do
        architecture=$(dpkg-deb -f "$deb" Architecture)
        name_processor "$architecture"
        if [ "$architecture" = "$native" ]; then
            in_root "$suite" "$native"
        elif [ "$suite-$architecture" = bookworm-riscv64 ]; then
            echo "bookworm-riscv64: Debian 12 has no such processor"
        elif can_emulate "${emulator#qemu-}"; then
            in_root "$suite-$architecture" "$architecture"
        else
            echo "$suite-$architecture: skipped, the kernel does not emulate it" \
                "(qemu-user-static and binfmt-support)"
        fi
    done
done
exit $failed
