#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints, for each format, how long the service works on the worst images that it takes, and how much
memory the process has then (VmHWM).

  worst_inputs.py [MIEN] [--times 2] [--formats png jpeg ...]

For each format two images: "flat", with as many pixels as are allowed in as few bytes as possible,
and "noise", as many bytes as a body may have. One engine, no limit of time. Needs Pillow and NumPy.
"""
from __future__ import annotations

import argparse
import http.client
import io
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
BODY = 16 << 20
# Name, Pillow's format and options, mode, and the largest number of pixels by default in millions.
FORMATS = {
    "jpeg": ("JPEG", {"quality": 90, "subsampling": 2}, "RGB", 50),
    "jpeg-progressive": ("JPEG", {"quality": 90, "subsampling": 2, "progressive": True}, "RGB", 50),
    "jpeg-progressive-444": (
        "JPEG",
        {"quality": 90, "subsampling": 0, "progressive": True},
        "RGB",
        33,
    ),
    "jpeg-cmyk": ("JPEG", {"quality": 90, "progressive": True}, "CMYK", 26),
    "png": ("PNG", {"compress_level": 6}, "RGBA", 50),
    "png-16-gray": ("PNG", {"compress_level": 6}, "I;16", 25),
    "bmp": ("BMP", {}, "RGB", 50),
    "gif": ("GIF", {}, "L", 44),
    "pnm": ("PPM", {}, "RGB", 50),
    "webp": ("WEBP", {"quality": 80}, "RGB", 50),
    "webp-lossless": ("WEBP", {"lossless": True, "quality": 0, "method": 0}, "RGB", 50),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}, "RGB", 40),
}


def encoded(pixels: int, name: str, noise: bool) -> bytes:
    kind, options, mode, _ = FORMATS[name]
    side = int(pixels**0.5)
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4, "L": 1, "I;16": 1}[mode]
    limit = 16383 if kind == "WEBP" else 65500
    side = min(side, limit)
    depth = np.uint16 if mode == "I;16" else np.uint8
    if noise:
        array = np.random.default_rng(1).integers(
            0, np.iinfo(depth).max, (side, side, channels), dtype=depth, endpoint=True
        )
    else:
        array = np.full((side, side, channels), 90, depth)
    image = Image.fromarray(array[:, :, 0] if channels == 1 else array, mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def inputs(name: str) -> Iterator[tuple[str, float, bytes]]:
    """Kind, megapixels and the file."""
    most = FORMATS[name][3] * 1_000_000
    pixels = most
    while len(data := encoded(pixels, name, False)) > BODY:
        pixels = int(pixels * 0.95 * BODY / len(data))
    yield "flat", pixels / 1e6, data
    trial = encoded(1_000_000, name, True)
    pixels = min(most, int(1_000_000 * BODY / len(trial)))
    while len(data := encoded(pixels, name, True)) > BODY:
        pixels = int(pixels * 0.97)
    yield "noise", pixels / 1e6, data


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mien", nargs="?", default="build/release/mien", type=Path)
    parser.add_argument("--times", type=int, default=2, help="the least time of so many is printed")
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    args = parser.parse_args()
    print("| image | megapixels | kB | seconds | MiB at the peak | answer |")
    print("|---|---:|---:|---:|---:|---|")
    for name in args.formats:
        for kind, megapixels, data in inputs(name):
            least = float("inf")
            for _ in range(args.times):
                service = subprocess.Popen(
                    [
                        args.mien,
                        "serve",
                        "--listen",
                        "127.0.0.1:0",
                        "--workers",
                        "1",
                        "--work-timeout",
                        "600",
                    ],
                    stderr=subprocess.PIPE,
                    text=True,
                )
                try:
                    port = next(
                        found[1]
                        for line in service.stderr
                        if (found := re.search(r"127\.0\.0\.1:(\d+)", line))
                    )
                    client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=600)
                    start = time.perf_counter()
                    client.request(
                        "POST", "/v1/analyze", data, {"Content-Type": "application/octet-stream"}
                    )
                    answer = client.getresponse()
                    answer.read()
                    least = min(least, time.perf_counter() - start)
                    status = Path(f"/proc/{service.pid}/status").read_text()
                    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
                finally:
                    service.terminate()
                    service.wait()
            print(
                f"| {name}, {kind} | {megapixels:.1f} | {len(data) // 1000:,} | {least:.2f} |"
                f" {peak} | {answer.status} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
