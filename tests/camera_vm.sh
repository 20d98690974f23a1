#!/bin/sh
# Does `mien camera` work with real V4L2 drivers? Boots a Debian kernel with v4l2loopback and vivid in an emulator and runs tests/vm/checks.sh there.
# The machine is made of Debian packages that are only unpacked; nothing is installed or loaded on this one.
#
#   sh tests/camera_vm.sh [amd64|arm64]     amd64 uses build/check/mien, arm64 build/aarch64/mien; MIEN=FILE another
#   FRAMES=10000                            frames of the memory check (default 600; 10000 take ten minutes: FRAMES=10000 LIMIT=1200)
#   LONG="--no-gender --seconds 600"        further options of that check, which also ends after so many seconds
#   KVM=1                                   the processor's own virtualisation
#
# Exit 77: something that it needs is missing; the line says what.
set -eu
cd "$(dirname "$0")/.."
arch=${1:-amd64}
here=$(pwd)/tests/vm
case $arch in
    amd64) program=${MIEN:-build/check/mien} cc=gcc prefix='' kernel_arch=x86 suffix='' qemu=qemu-system-x86_64 console=ttyS0 ;;
    arm64) program=${MIEN:-build/aarch64/mien} cc=aarch64-linux-gnu-gcc prefix=aarch64-linux-gnu- kernel_arch=arm64 suffix=:arm64 qemu=qemu-system-aarch64 console=ttyAMA0 ;;
    *) echo "usage: sh tests/camera_vm.sh [amd64|arm64]" >&2; exit 2 ;;
esac
missing() {
    echo "camera in a virtual machine: skipped, $*"
    exit 77
}
for tool in $qemu $cc make cpio gzip stdbuf depmod apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || missing "no $tool; run: apt-get install qemu-system-x86 qemu-system-arm busybox-static cpio kmod gcc make"
done
[ -x "$program" ] || missing "no $program; build it first"
[ "$(dpkg --print-architecture)" = "$arch" ] || dpkg --print-foreign-architectures | grep -qx "$arch" ||
    missing "the packages of $arch; run: dpkg --add-architecture $arch && apt-get update"
start=$(date +%s)
out=${OUT:-$(pwd)/build/camera-vm-$arch}
mkdir -p "$out/packages"

# Kernel, headers and the loopback driver, which is built against that kernel.
image=$(apt-cache depends "linux-image-$arch$suffix" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
[ -n "$image" ] || missing "the package index; run: apt-get update"
release=${image#linux-image-}
if [ ! -e "$out/unpacked-$release" ]; then
    kbuild=$(apt-cache depends "linux-headers-$release$suffix" | sed -n 's/.*Depends: \(linux-kbuild-[0-9.]*\).*/\1/p' | head -n 1)
    (cd "$out/packages" && apt-get -q -o APT::Sandbox::User=root download "$image$suffix" "linux-headers-$release$suffix" "linux-headers-${release%-"$arch"}-common" \
        "${kbuild:-linux-kbuild-6.1}" v4l2loopback-dkms "busybox-static$suffix" >apt.log 2>&1) || { cat "$out/packages/apt.log"; missing "its packages cannot be downloaded"; }
    for package in "$out"/packages/*.deb; do dpkg-deb -x "$package" "$out/unpacked"; done
    sed -i "s#^include /usr/src/#include $out/unpacked/usr/src/#" "$out/unpacked/usr/src/linux-headers-$release/Makefile"
    touch "$out/unpacked-$release"
fi
modules=$out/unpacked/lib/modules/$release
if [ ! -e "$modules/extra/v4l2loopback.ko" ]; then
    rm -rf "$out/loopback"
    cp -r "$out"/unpacked/usr/src/v4l2loopback-* "$out/loopback"
    make -s -C "$out/unpacked/usr/src/linux-headers-$release" M="$out/loopback" ARCH=$kernel_arch CROSS_COMPILE=$prefix modules >"$out/loopback.log" 2>&1 || { cat "$out/loopback.log"; exit 1; }
    mkdir -p "$modules/extra"
    ${prefix}strip --strip-debug "$out/loopback/v4l2loopback.ko" -o "$modules/extra/v4l2loopback.ko"
    depmod -b "$out/unpacked" "$release"
fi

# The guest: busybox, mien with the libraries it is linked to, the feeder, the modules and the frames.
root=$out/root
rm -rf "$root"
mkdir -p "$root/bin" "$root/modules" "$root/data"
cp "$out/unpacked/bin/busybox" "$root/bin/"
cp "$program" "$root/bin/mien"
if ldd "$program" >"$out/ldd.txt" 2>/dev/null; then
    sed -n 's/^[^/]*\(\/[^ ]*\).*/\1/p' "$out/ldd.txt" | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
fi
$cc -O2 -static -o "$root/bin/feed" "$here/feed.c"
for module in v4l2loopback vivid; do
    modprobe -d "$out/unpacked" -S "$release" --show-depends $module | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r file; do
        cp -n "$file" "$root/modules/"
        basename "$file"
    done >"$root/modules/$module.list"
done
python3 "$here/make_frames.py" "$root/data" "${NATIVE:-build/check/mien}" || missing "no program of this machine that makes the frames; run: make test"
accelerator=tcg
[ "$arch" = amd64 ] && [ -n "${KVM:-}" ] && accelerator=kvm  # not by itself: nested machines often cannot
frames=${FRAMES:-600}
{ echo "frames=$frames long=\"${LONG:-}\""; cat "$here/checks.sh"; } >"$root/checks.sh"
cp "$here/init" "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd.gz"
built=$(date +%s)

# shellcheck disable=SC2086
case $arch in
    amd64) machine="-M q35,accel=$accelerator -cpu $([ "$accelerator" = kvm ] && echo host,-arch-capabilities || echo max)" ;;
    arm64) machine="-M virt -cpu ${CPU:-cortex-a53}" ;;
esac
timeout "${LIMIT:-600}" $qemu $machine -m 512 -smp "${SMP:-1}" -nographic -no-reboot -nodefaults -serial stdio -kernel "$out/unpacked/boot/vmlinuz-$release" \
    -initrd "$out/initrd.gz" -append "console=$console quiet panic=-1 mitigations=off" </dev/null 2>&1 | stdbuf -o0 tr -d '\r' | tee "$out/console.log"
echo "camera in a virtual machine ($arch, $accelerator): made in $((built - start)) s, ran $(($(date +%s) - built)) s"
grep -q "^CAMERA-VM passed" "$out/console.log"
