#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory of a cross-compiled mien, under user-mode emulation: the emulated program's own pages, without the emulator's.

The emulator puts the program's address space at a fixed place of its own; the kernel's /proc/PID/smaps then says which of those pages are resident.
Compared once with a virtual machine's own kernel: docs/BOARDS.md.

  guest_rss.py [--target aarch64|armhf|riscv64 ...] [--binary PROGRAM] [--frames 100] [--json]
"""
from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMULATORS = {"aarch64": "qemu-aarch64", "armhf": "qemu-arm", "riscv64": "qemu-riscv64"}
BASE, SPACE = (
    1 << 44,
    1 << 32,
)  # a 32-bit program has as much anyway, and its emulator refuses to be told so
SIZES = [(160, 120), (640, 480)]  # of gray frames
PHOTO = ROOT / "tests" / "data" / "photos" / "montage.jpg"


def resident_kib(pid: int) -> int:
    total, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            inside = BASE <= int(first.split("-")[0], 16) < BASE + SPACE
        elif first == "Rss:" and inside:
            total += int(rest[0])
    return total


def measure(
    target: str, binary: Path, arguments: list[str], picture: bytes, frames: int
) -> tuple[int, int]:
    """Resident KiB after the 2nd frame and after the last."""
    space = [] if target == "armhf" else ["-R", hex(SPACE)]
    process = subprocess.Popen(
        [EMULATORS[target], "-B", hex(BASE), *space, binary, "video", "-", "--json", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    def feed() -> None:
        try:
            while True:
                process.stdin.write(picture)
        except OSError:
            pass

    threading.Thread(target=feed, daemon=True).start()
    early = late = 0
    try:
        for number, _ in enumerate(process.stdout, 1):
            if number == 2:
                early = resident_kib(process.pid)
            if number == frames:
                late = resident_kib(process.pid)
                break
    finally:
        process.kill()
        process.wait()
    if not late:
        sys.exit(
            f"{binary}: ended before frame {frames}: {process.stderr.read().decode(errors='replace').strip()}"
        )
    return early, late


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target", action="append", choices=EMULATORS, help="only this one; may be repeated"
    )
    parser.add_argument("--binary", type=Path, help="default: build/TARGET/mien")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--detector", choices=("net", "haar"), default="net")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.frames < 2:
        parser.error("--frames must be at least 2")
    sources = [
        (
            f"gray {w}x{h}",
            ["--raw", "grey", "--size", f"{w}x{h}"],
            bytes((x * 7 + y * 13) % 251 for y in range(h) for x in range(w)),
        )
        for w, h in SIZES
    ] + [(f"motion JPEG, {PHOTO.name}", [], PHOTO.read_bytes())]
    rows = []
    for target in options.target or EMULATORS:
        binary = options.binary or ROOT / "build" / target / "mien"
        if not binary.is_file():
            sys.exit(f"{binary}: not built (make cross-{target})")
        if shutil.which(EMULATORS[target]) is None:
            sys.exit(f"{EMULATORS[target]} is missing: sudo apt-get install qemu-user")
        for name, arguments, picture in sources:
            arguments = ["--detector", options.detector, *arguments]
            early, late = measure(target, binary, arguments, picture, options.frames)
            rows.append(
                {
                    "target": target,
                    "source": name,
                    "frame_2_kib": early,
                    f"frame_{options.frames}_kib": late,
                    "bytes": binary.stat().st_size,
                }
            )
            if not options.json:
                print(
                    f"{target:8} {name:32} {early / 1024:6.2f} MiB at the 2nd, {late / 1024:6.2f} MiB at frame {options.frames}; "
                    f"program of {binary.stat().st_size:,} bytes",
                    flush=True,
                )
    if options.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
