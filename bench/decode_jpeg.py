#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long does mien take to decode a JPEG, against djpeg of libjpeg-turbo with the same settings?

    python3 bench/decode_jpeg.py build/release/mien PHOTO.jpg [--times 30]

mien: what `mien image --json` prints as decode (reading the file, checking its structure, decoding to
memory). djpeg: its time from start to end, with -outfile /dev/null, less that for an image of 16 x 16
pixels, which is its start. Both decode to RGB by the accurate integer DCT with smooth enlarging of
colors, in turns, one after the other. The photo is laid 6 x 6 times side by side, so that starts and
rests do not count; sequential with 4:2:0 and 4:4:4, and progressive.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def output_of(*command: str, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def tiled(photo: Path, count: int) -> bytes:
    """The photo `count` times in each direction, as PPM."""
    ppm = output_of("djpeg", "-rgb", str(photo))
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    assert head is not None
    width, height = int(head[1]), int(head[2])
    rows = [ppm[head.end() + 3 * width * y :][: 3 * width] * count for y in range(height)]
    return b"P6 %d %d 255\n" % (width * count, height * count) + b"".join(rows) * count


def time_of_mien(mien: str, path: Path) -> float:
    answer = json.loads(output_of(mien, "image", "--json", "--quiet", str(path)))
    return float(answer["timing_ms"]["decode"])


def time_of_djpeg(path: Path) -> float:
    start = time.perf_counter()
    output_of("djpeg", "-rgb", "-dct", "int", "-outfile", "/dev/null", str(path))
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("mien")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    version = output_of(options.mien, "--version").decode()
    print(*[line for line in version.splitlines() if line.startswith("JPEG")])
    with tempfile.TemporaryDirectory() as folder:
        large, small = tiled(options.photo, 6), b"P6 16 16 255\n" + bytes(16 * 16 * 3)
        tiny = Path(folder) / "tiny.jpg"
        tiny.write_bytes(output_of("cjpeg", data=small))
        start = [time_of_djpeg(tiny) for _ in range(options.times)]
        print(f"djpeg's start: min {min(start):.2f}, median {statistics.median(start):.2f} ms")
        for name, settings in [
            ("4:2:0", []),
            ("4:4:4", ["-sample", "1x1"]),
            ("progressive", ["-progressive"]),
        ]:
            path = Path(folder) / "large.jpg"
            path.write_bytes(output_of("cjpeg", "-quality", "90", *settings, data=large))
            ours, theirs = [], []
            for _ in range(options.times):
                ours.append(time_of_mien(options.mien, path))
                theirs.append(time_of_djpeg(path))
            rows = {
                kind: (f(ours), f(theirs) - f(start))
                for kind, f in (("min", min), ("median", statistics.median))
            }
            print(
                f"{name:12}"
                + "   ".join(
                    f"{kind}: mien {a:7.1f} ms, djpeg {b:7.1f} ms, ratio {a / b:.3f}"
                    for kind, (a, b) in rows.items()
                )
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
