#!/bin/sh
# SPDX-License-Identifier: MIT
# Both commands of the README on other distributions, each in a fresh minimal root:
# sh tests/distributions.sh [NAME...], names of debootstrap (default: bookworm trixie).
# Needs root and debootstrap; 3 GB of disk and 10 minutes per distribution. The roots are kept in
# build/distributions as they were before mien, for the next run. Ends with 77, and says why, where
# it cannot be done.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "skipped: a root for another distribution needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "skipped: debootstrap is not installed"; exit 77; }
[ $# -gt 0 ] || set -- bookworm trixie
folder=$PWD/build/distributions
mkdir -p "$folder"
log=$folder/log

# NAME: a minimal root with the package sources of the suite's mirror.
make_root() {
    base=$folder/$1.base
    [ ! -e "$base.done" ] || return 0
    rm -rf "$base"
    case $1 in
        jammy | noble) mirror=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu} parts=main,universe ;;
        *) mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian} parts=main ;;
    esac
    debootstrap --variant=minbase --include=ca-certificates --components="$parts" \
        "$1" "$base" "$mirror" >"$log" 2>&1 || { tail -n 5 "$log"; return 1; }
    touch "$base.done"
}

# NAME COMMAND: runs it in the clone inside the root, and prints the time. /proc and /dev are mounted
# in a namespace that ends with the command: nothing of this machine is left in the root.
inside() {
    start=$(date +%s)
    if ! unshare --mount --propagation private sh -c '
        root=$1 command=$2
        mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev" &&
            exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
                MIEN_CHECK=quick sh -c "cd /root/mien && $command"
        ' sh "$folder/$1" "$2" >"$log.$1" 2>&1; then
        tail -n 40 "$log.$1"
        echo "$1: FAILED: $2 ($log.$1)"
        return 1
    fi
    echo "$1: passed in $(($(date +%s) - start)) s: $2"
}

failed=0
for name in "$@"; do
    if ! make_root "$name"; then
        echo "skipped: no root for $name could be made (network?)"
        [ $# -gt 1 ] || exit 77
        continue
    fi
    root=$folder/$name
    rm -rf --one-file-system "$root"
    cp -a "$folder/$name.base" "$root"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp -L "$file" "$root$file"
    done
    git clone -q --no-hardlinks . "$root/root/mien"
    if inside "$name" "sh tools/setup.sh && make demo" &&
        inside "$name" "sh tools/setup.sh --tests && make check"; then
        tail -n 1 "$log.$name"
    else
        failed=1
    fi
    rm -rf --one-file-system "$root"
done
exit $failed
