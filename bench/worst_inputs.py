#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints, for each format, how long the service works on the worst images that it takes, and how much
memory the process has then (VmHWM).

  worst_inputs.py [MIEN] [--times 2] [--formats png jpeg ...]

For each format two images: "flat", with as many pixels as are allowed in as few bytes as possible,
and "noise", as many bytes as a body may have. One engine, no limit of time. Seconds are those of the
decoder, as the answer tells them, those until the answer, and those of the processor, which mean
something on a busy machine as well. Needs Pillow and NumPy.
"""
from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

sys.path.insert(0, str(Path(__file__).parent / "serve"))
from load import cpu_seconds  # noqa: E402

Image.MAX_IMAGE_PIXELS = None
ImageFile.MAXBLOCK = 1 << 26  # or progressive JPEGs of noise do not fit
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
    "png": ("PNG", {}, "RGBA", 50),
    "png-interlaced": ("PNG", {"interlaced": True}, "RGBA", 28),
    "png-16": ("PNG", {"bytes": 2}, "RGBA", 25),
    "png-16-interlaced": ("PNG", {"bytes": 2, "interlaced": True}, "RGBA", 14),
    "bmp": ("BMP", {}, "RGB", 50),
    "gif": ("GIF", {}, "L", 44),
    "pnm": ("PPM", {}, "RGB", 50),
    "webp": ("WEBP", {"quality": 80}, "RGB", 50),
    "webp-lossless": ("WEBP", {"lossless": True, "quality": 0, "method": 0}, "RGB", 50),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}, "RGB", 40),
}
# Of an interlaced PNG: first column and row, and the steps to the next ones.
WHOLE = [(0, 0, 1, 1)]
ADAM7 = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
]


def png(side: int, noise: bool, bytes: int = 1, interlaced: bool = False) -> bytes:
    """RGBA, every row by the filter that takes longest (Paeth)."""
    packer, packed = zlib.compressobj(1), []
    dice = np.random.default_rng(1)
    for column, row, step, down in ADAM7 if interlaced else WHOLE:
        size = 4 * bytes * len(range(column, side, step))
        for _ in range(row, side, down):
            packed.append(packer.compress(b"\4" + (dice.bytes(size) if noise else bytearray(size))))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", side, side, 8 * bytes, 6, 0, 0, int(interlaced))
    file = b"\x89PNG\r\n\x1a\n"
    for tag, data in ((b"IHDR", header), (b"IDAT", b"".join(packed)), (b"IEND", b"")):
        file += (
            struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        )
    return file


def encoded(pixels: int, name: str, noise: bool) -> bytes:
    kind, options, mode, _ = FORMATS[name]
    side = int(pixels**0.5)
    if kind == "PNG":
        return png(side, noise, **options)
    channels = {"RGB": 3, "CMYK": 4, "L": 1}[mode]
    side = min(side, 16383 if kind == "WEBP" else 65500)
    if noise:
        shape = (side, side, channels)
        array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    else:
        array = np.full((side, side, channels), 90, np.uint8)
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
    print("| image | megapixels | kB | s decoding | s in all | s of processor | MiB | answer |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for name in args.formats:
        for kind, megapixels, data in inputs(name):
            runs = []
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
                    start, before = time.perf_counter(), cpu_seconds(service.pid)
                    client.request(
                        "POST", "/v1/analyze", data, {"Content-Type": "application/octet-stream"}
                    )
                    answer = client.getresponse()
                    body = json.loads(answer.read())
                    seconds = time.perf_counter() - start
                    decoding = (
                        body["images"][0]["timing_ms"]["decode"] / 1e3 if "images" in body else 0
                    )
                    runs.append((seconds, decoding, cpu_seconds(service.pid) - before))
                    status = Path(f"/proc/{service.pid}/status").read_text()
                    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
                finally:
                    service.terminate()
                    service.wait()
            seconds, decoding, processor = (min(column) for column in zip(*runs))
            print(
                f"| {name}, {kind} | {megapixels:.1f} | {len(data) // 1000:,} | {decoding:.2f} |"
                f" {seconds:.2f} | {processor:.2f} | {peak} | {answer.status} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
