#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The frames that the camera of the virtual machine shows: a face of a sample photo that moves.

make_frames.py FOLDER MIEN: writes frames.yuyv and frames.yv12 (320 x 240), small.yuyv (160 x 120)
and 00.jpg ... 11.jpg. The photo is decoded and the JPEGs are cut by the program mien itself, which
records what it sees; so nothing but Python is needed here.
"""
from __future__ import annotations

import math
import pathlib
import subprocess
import sys
import tempfile

PHOTO = pathlib.Path(__file__).resolve().parent.parent / "data" / "photos" / "astronaut.jpg"
FRAMES = 12


def read_gray(mien: str, folder: str) -> tuple[int, int, list[bytes]]:
    """The sample photo as rows of gray. The program cannot write raw pixels, but its PNG of a photo is a PNG that zlib unpacks."""
    import struct
    import zlib

    out = pathlib.Path(folder) / "photo.png"
    subprocess.run(
        [mien, "image", str(PHOTO), "--out", str(out), "--min-face", "511", "-y"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    data, at, packed = out.read_bytes(), 8, b""
    width = height = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2)
        if kind == b"IDAT":
            packed += body
        at += length + 12
    raw, rows, before = zlib.decompress(packed), [], bytes(3 * width)
    for y in range(height):
        kind, line = raw[y * (3 * width + 1)], bytearray(
            raw[y * (3 * width + 1) + 1 : (y + 1) * (3 * width + 1)]
        )
        for i in range(len(line)):
            left, up, corner = (
                (line[i - 3] if i >= 3 else 0),
                before[i],
                (before[i - 3] if i >= 3 else 0),
            )
            if kind == 4:
                p = left + up - corner
                guess = min(
                    (abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner)
                )[2]
            else:
                guess = (0, left, up, (left + up) // 2)[kind]
            line[i] = (line[i] + guess) & 255
        before = bytes(line)
        rows.append(
            bytes(
                (77 * line[i] + 150 * line[i + 1] + 29 * line[i + 2]) >> 8
                for i in range(0, 3 * width, 3)
            )
        )
    return width, height, rows


def main() -> int:
    folder, mien = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as temporary:
        _, _, rows = read_gray(mien, temporary)
        frames, small, gray = [], [], []
        for n in range(FRAMES):
            left, top = 60 + round(40 * math.sin(n * math.pi / 6)), 20 + round(
                15 * math.cos(n * math.pi / 6)
            )
            part = [rows[top + y][left : left + 320] for y in range(240)]
            gray.append(b"".join(part))
            frames.append(b"".join(bytes(b for p in row for b in (p, 128)) for row in part))
            small.append(
                b"".join(bytes(b for p in row[::2] for b in (p, 128)) for row in part[::2])
            )
        (folder / "frames.yuyv").write_bytes(b"".join(frames))
        (folder / "frames.yv12").write_bytes(
            b"".join(frame + bytes([128]) * (320 * 240 // 2) for frame in gray)
        )
        (folder / "small.yuyv").write_bytes(b"".join(small))
        # The recorder's JPEGs of the same frames; with the smallest face as large as the frame nothing is drawn on them.
        film = pathlib.Path(temporary) / "film.avi"
        subprocess.run(
            [
                mien,
                "video",
                "-",
                "--raw",
                "grey",
                "--size",
                "320x240",
                "--record",
                str(film),
                "--min-face",
                "240",
                "-q",
            ],
            check=True,
            input=b"".join(gray),
            stdout=subprocess.DEVNULL,
        )
        data, at, number = film.read_bytes(), film.read_bytes().index(b"movi") + 4, 0
        while data[at : at + 4] == b"00dc":
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            (folder / f"{number:02}.jpg").write_bytes(data[at + 8 : at + 8 + length])
            number += 1
            at += 8 + length + length % 2
        assert number == FRAMES, number
    return 0


if __name__ == "__main__":
    sys.exit(main())
