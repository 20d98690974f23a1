# SPDX-License-Identifier: MIT
# What the scripts share that build for other machines, and for others to build again. They include
# this in the repository's folder.

# NAME, whoever uses it (arm64, aarch64): sets
#   debian    Debian's name of the processor
#   target    the name of its toolchain, cmake/cross/TARGET.cmake, and of released programs
#   machine   its name in `uname -m` and in wheels
#   triplet   the name before its compilers and of its folders of libraries
#   emulator  the command of qemu-user
name_processor() {
    case $1 in
        amd64 | x86_64) debian=amd64 target=x86_64 machine=x86_64 ;;
        arm64 | aarch64) debian=arm64 target=aarch64 machine=aarch64 ;;
        armhf | armv7l) debian=armhf target=armhf machine=armv7l ;;
        riscv64 | s390x) debian=$1 target=$1 machine=$1 ;;
        *) echo "\"$1\" is none of amd64, arm64, armhf, riscv64, s390x" >&2; return 2 ;;
    esac
    triplet=$machine-linux-gnu emulator=qemu-$machine
    [ "$debian" != armhf ] || triplet=arm-linux-gnueabihf emulator=qemu-arm
}

# The same sources give the same bytes: one time in all files, and no path of this machine.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
same_bytes="-ffile-prefix-map=$PWD=."
