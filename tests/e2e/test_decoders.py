#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does mien see the same pixels in a JPEG as Pillow? Where both decode by libjpeg-turbo, every byte must be equal.

Run as a test: `test_decoders.py --mien PROGRAM`; exit 77: nothing to compare. The images hold no
face, so that `mien image --out` writes the decoded pixels as they are.
"""
from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from PIL import Image, ImageOps, features
except ModuleNotFoundError:
    # tools/setup.sh installs Pillow for the distribution's own interpreter.
    system = "/usr/bin/python3"
    if os.path.exists(system) and "MIEN_NO_PILLOW" not in os.environ:
        os.execve(system, [system, *sys.argv], {**os.environ, "MIEN_NO_PILLOW": "1"})
    print("skipped: Pillow is not installed")
    sys.exit(77)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Slopes, waves and hard edges in every channel."""
    def value(x: int, y: int, channel: int) -> int:
        smooth = (x * (3 + channel) + y * (7 - 2 * channel)) % 256
        edge = 255 if (x // (5 + channel) + y // 9) % 2 else 0
        return (3 * smooth + edge) // 4
    channels = len(Image.new(mode, (1, 1)).getbands())
    data = bytes(value(x, y, c)
                 for y in range(height) for x in range(width) for c in range(channels))
    return Image.frombytes(mode, (width, height), data)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def cases() -> dict[str, bytes]:
    found = {}
    for size in ((64, 48), (61, 47), (25, 33), (24, 24), (24, 31)):
        for sampling, name in ((0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")):
            for progressive in (False, True):
                kind = "progressive" if progressive else "baseline"
                found[f"{size[0]} x {size[1]}, {name}, {kind}"] = encoded(
                    picture(*size), quality=85, subsampling=sampling, progressive=progressive)
        found[f"{size[0]} x {size[1]}, gray"] = encoded(picture(*size, "L"), quality=85)
        found[f"{size[0]} x {size[1]}, CMYK"] = encoded(picture(*size, "CMYK"), quality=90)
    for quality in (5, 50, 100):
        found[f"quality {quality}"] = encoded(picture(90, 70), quality=quality)
    restarts = encoded(picture(90, 70), quality=85, restart_marker_blocks=2)
    if b"\xff\xdd" in restarts:
        found["restart markers"] = restarts
    else:  # tests/wheel compares them in any case
        print("skipped: this Pillow writes no restart markers")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        found[f"orientation {orientation}"] = encoded(picture(61, 47), quality=85, exif=exif)
    return found


def upright(jpeg: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mien", required=True)
    program = parser.parse_args().mien
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    decoder = next(line.split(None, 1)[1]
                   for line in version.stdout.splitlines() if line.startswith("JPEG"))
    if not decoder.startswith("libjpeg-turbo"):
        print(f"skipped: {decoder} decodes JPEG here; its pixels differ by a level or two")
        return 77
    if not features.check_feature("libjpeg_turbo"):
        print("skipped: Pillow is not built with libjpeg-turbo")
        return 77
    failures = 0
    tried = cases()
    with tempfile.TemporaryDirectory() as folder:
        for name, jpeg in tried.items():
            expected = upright(jpeg)
            source, seen = Path(folder, "in.jpg"), Path(folder, "seen.png")
            source.write_bytes(jpeg)
            done = subprocess.run([program, "image", source, "-o", seen, "-y"],
                                  capture_output=True, text=True)
            if done.returncode != 0 or "guessed" in done.stderr:
                print(f"FAILED: {name}: exit {done.returncode}: {done.stderr.strip()}")
                failures += 1
                continue
            got = Image.open(seen).convert("RGB")
            if got.size != expected.size or got.tobytes() != expected.tobytes():
                off = [abs(a - b) for a, b in zip(got.tobytes(), expected.tobytes())]
                print(f"FAILED: {name}: {len(off) - off.count(0)} of {len(off)} values differ, "
                      f"by up to {max(off)}")
                failures += 1
    theirs = features.version_feature("libjpeg_turbo")
    print(f"{decoder} here, libjpeg-turbo {theirs} in Pillow: {len(tried)} images, "
          f"{failures} differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
