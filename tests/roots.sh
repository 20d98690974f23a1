# SPDX-License-Identifier: MIT
# Minimal roots of other distributions, for distributions.sh and packages.sh, which include this.
# They are kept in build/distributions as they were before mien, for the next run.

roots=$PWD/build/distributions

# Ends with 77, and says why, where roots cannot be made.
can_make_roots() {
    [ "$(id -u)" -eq 0 ] || { echo "skipped: a root for another distribution needs root"; exit 77; }
    command -v debootstrap >/dev/null || { echo "skipped: debootstrap is not installed"; exit 77; }
    mkdir -p "$roots"
}

# NAME or NAME-ARCHITECTURE (bookworm-arm64): a fresh minimal root $roots/NAME with the package sources
# of the suite's mirror. One of another processor needs emulation by the kernel (can_emulate).
make_root() {
    base=$roots/$1.base
    suite=${1%%-*} options=--include=ca-certificates
    # Under emulation their configuration takes minutes; this machine's are copied below.
    [ "$suite" = "$1" ] || options=--arch=${1#*-}
    if [ ! -e "$base.done" ]; then
        rm -rf "$base"
        case $suite in
            jammy | noble)
                mirror=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu} parts=main,universe
                [ "$suite" = "$1" ] || mirror=${UBUNTU_PORTS:-http://ports.ubuntu.com/ubuntu-ports} ;;
            *) mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian} parts=main ;;
        esac
        # shellcheck disable=SC2086
        debootstrap $options --variant=minbase --components="$parts" \
            "$suite" "$base" "$mirror" >"$roots/log" 2>&1 || { tail -n 5 "$roots/log"; return 1; }
        touch "$base.done"
    fi
    rm -rf --one-file-system "${roots:?}/$1"
    cp -a "$base" "$roots/$1"
}

# NAME: this machine's names, registries and certificates. Again before each command, since packages
# write a list of certificates of their own.
give_network() {
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || { mkdir -p "$roots/$1${file%/*}" && cp -L "$file" "$roots/$1$file"; }
    done
}

# PROCESSOR as qemu calls it: does this kernel run its programs, also in a root without qemu? So it is
# after `apt install qemu-user-static binfmt-support` (the flag F: qemu is open before it is needed).
can_emulate() {
    grep -q '^flags:.*F' "/proc/sys/fs/binfmt_misc/qemu-$1" 2>/dev/null
}

# NAME FOLDER COMMAND: runs it there inside the root, and prints the time. /proc and /dev are mounted
# in a namespace that ends with the command: nothing of this machine is left in the root.
inside() {
    give_network "$1"
    start=$(date +%s)
    if ! unshare --mount --propagation private sh -c '
        root=$1 folder=$2 command=$3
        mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev" &&
            exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
                DEBIAN_FRONTEND=noninteractive MIEN_CHECK=quick sh -c "cd $folder && $command"
        ' sh "$roots/$1" "$2" "$3" >"$roots/log.$1" 2>&1; then
        tail -n 40 "$roots/log.$1"
        echo "$1: FAILED: $3 ($roots/log.$1)"
        return 1
    fi
    echo "$1: passed in $(($(date +%s) - start)) s: $3"
}
