#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do mien and Pillow (libjpeg-turbo, libpng's rules, its own GIF reader) see the same pixels in
hostile images? JPEG, PNG and GIF files are changed by chance: bytes, and segments or chunks with
their lengths and checksums made right. Where both read one, the pixels are compared.

    python3 tests/tools/differential.py --mien build/check/mien --count 10000 [--keep FOLDER]

Equal means: every byte of PNG and GIF; of JPEG as well if mien decodes by libjpeg-turbo, else
within 2 levels on average. Alpha is dropped, 16 bits become 8 by their upper byte. Images that mien
calls damaged are counted and not compared, nor are GIFs whose codes do not give their pixels: guesses
may differ. Exit code 1 if pixels differ.
"""
from __future__ import annotations

import argparse
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from pathlib import Path

from PIL import Image, ImageChops, ImageOps, ImageStat

SIZES = ((17, 13), (24, 24), (40, 31))


def drawing(size: tuple[int, int], mode: str, dice: random.Random) -> Image.Image:
    """Noise, slopes and edges, without anything like a face."""
    width, height = size
    channels = len(Image.new(mode, (1, 1)).getbands())
    a, b, c = (dice.randrange(1, 9) for _ in range(3))
    data = bytes(
        (x * a + y * b + n * 50 + (90 if (x // c + y // 3) % 2 else 0) + dice.randrange(20)) % 256
        for y in range(height)
        for x in range(width)
        for n in range(channels)
    )
    return Image.frombytes(mode, size, data)


def seeds(dice: random.Random) -> dict[str, list[bytes]]:
    def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    found: dict[str, list[bytes]] = {"jpg": [], "png": [], "gif": []}
    for size in SIZES:
        for mode in ("L", "RGB"):
            for progressive in (False, True):
                for sampling in (0, 1, 2):
                    image = drawing(size, mode, dice)
                    options = {"progressive": progressive, "quality": dice.randrange(20, 95)}
                    if mode == "RGB":
                        options["subsampling"] = sampling
                    found["jpg"].append(encoded(image, "JPEG", **options))
        for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
            image = (
                drawing(size, "RGB", dice).quantize(16)
                if mode == "P"
                else (
                    drawing(size, "L", dice).convert("1")
                    if mode == "1"
                    else drawing(size, mode, dice)
                )
            )
            found["png"].append(encoded(image, "PNG"))
            if mode in ("P", "L"):
                found["png"].append(encoded(image, "PNG", transparency=dice.randrange(16)))
        image = drawing(size, "RGB", dice).quantize(dice.choice((2, 16, 200)))
        found["gif"].append(encoded(image, "GIF"))
        found["gif"].append(encoded(image, "GIF", transparency=1, interlace=1))
    return found


def some_bytes(data: bytes, dice: random.Random, least: int = 0) -> bytes:
    """A few changes by chance."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        if len(out) <= least + 1:
            break
        at = dice.randrange(least, len(out))
        kind = dice.randrange(5)
        if kind == 0:
            out[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            out[at] = dice.choice((0, 1, 2, 127, 128, 254, 255, dice.randrange(256)))
        elif kind == 2:
            del out[at : at + dice.randrange(1, 9)]
        elif kind == 3:
            out[at:at] = out[at : at + dice.randrange(1, 9)]
        else:
            out[at : at + 2] = struct.pack(">H", dice.randrange(1, 80))
    return bytes(out)


def changed_png(data: bytes, dice: random.Random) -> bytes:
    """A chunk is changed, doubled, moved or goes; checksums are right, and mostly the data is
    deflated again after a change of its rows."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + size]])
        at += 12 + size
    for _ in range(dice.choice((1, 2))):
        chunk = dice.choice(chunks)
        kind = dice.randrange(8)
        if kind == 0 and len(chunks) > 2:
            chunks.remove(chunk)
        elif kind == 1:
            chunks.insert(dice.randrange(len(chunks)), list(chunk))
        elif kind == 2:
            other = dice.choice(chunks)
            chunk[:], other[:] = other[:], chunk[:]
        elif kind == 3 and chunk[0] == b"IHDR":
            field = dice.randrange(8, 13)
            value = dice.choice((0, 1, 2, 3, 4, 6, 8, 16))
            chunk[1] = chunk[1][:field] + bytes([value]) + chunk[1][field + 1 :]
        elif kind == 4:
            chunk[1] = some_bytes(chunk[1], dice)
        else:
            for part in chunks:
                if part[0] == b"IDAT":
                    try:
                        rows = zlib.decompress(part[1])
                    except zlib.error:
                        continue
                    part[1] = zlib.compress(some_bytes(rows, dice), dice.randrange(10))
                    break
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    )


def changed_jpeg(data: bytes, dice: random.Random) -> bytes:
    """Segments and scans: one is changed inside, doubled, moved or goes."""
    pieces, at = [], 0
    while at + 2 <= len(data):
        end = at + 2
        if data[at + 1] not in (0xD8, 0xD9):
            end += struct.unpack_from(">H", data, end)[0]
        if data[at + 1] == 0xDA:
            while end + 1 < len(data) and not (data[end] == 0xFF and data[end + 1] not in (0,)):
                end += 1
        pieces.append(data[at:end])
        at = end
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.randrange(1, max(len(pieces) - 1, 2))
        if at >= len(pieces):
            break
        kind = dice.randrange(6)
        if kind == 0:
            del pieces[at]
        elif kind == 1:
            pieces.insert(dice.randrange(1, len(pieces)), pieces[at])
        elif kind == 2:
            other = dice.randrange(1, len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif len(pieces[at]) > 5:
            pieces[at] = some_bytes(pieces[at], dice, 4)
            if pieces[at][1] != 0xDA:
                pieces[at] = (
                    pieces[at][:2] + struct.pack(">H", len(pieces[at]) - 2) + pieces[at][4:]
                )
    return b"".join(pieces)


def changed(kind: str, data: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.3 or kind == "gif":
        return some_bytes(data, dice, 6 if kind == "gif" else 2)
    return changed_png(data, dice) if kind == "png" else changed_jpeg(data, dice)


def is_whole_gif(data: bytes) -> bool:
    """Whether the first frame covers the canvas and its codes give exactly its pixels, of colors
    that there are. Of others each reader makes what it likes, and none can be told to be wrong."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while data[at] == 0x21:
            at += 2
            while data[at]:
                at += 1 + data[at]
            at += 1
        frame = struct.unpack_from("<HHHHB", data, at + 1)
        if data[at] != 0x2C or frame[:4] != (0, 0, width, height):
            return False
        at += 10 + (3 << (frame[4] & 7) + 1 if frame[4] & 0x80 else 0)
        first_bits, packed = data[at], b""
        at += 1
        while data[at]:
            packed += data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
    except (IndexError, struct.error):
        return False
    if not 2 <= first_bits <= 8:
        return False
    colors = 2 << (frame[4] if frame[4] & 0x80 else flags) % 8
    clear = 1 << first_bits
    # Of each string: its length, its first and its largest index; the two special codes are unused.
    singles = [(1, index, index) for index in range(clear)] + [(0, 0, 0)] * 2
    strings, bits, last = list(singles), first_bits + 1, None
    pixels = position = 0
    while position + bits <= 8 * len(packed):
        word = int.from_bytes(packed[position >> 3 : (position >> 3) + 3], "little")
        code = word >> (position & 7) & ((1 << bits) - 1)
        position += bits
        if code == clear:
            strings, bits, last = list(singles), first_bits + 1, None
            continue
        if code == clear + 1:
            return pixels == width * height
        if code > len(strings) or (code == len(strings) and last is None):
            return False
        first = strings[code][1] if code < len(strings) else last[1]
        if last is not None and len(strings) < 4096:
            strings.append((last[0] + 1, last[1], max(last[2], first)))
            if len(strings) == 1 << bits and bits < 12:
                bits += 1
        last = strings[code]
        if last[2] >= colors:
            return False
        pixels += last[0]
    return False


def by_pillow(data: bytes) -> Image.Image | None:
    """As mien's rules have it, or none where Pillow refuses the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "GIF"))
            if image.width * image.height > 1 << 16:
                return None
            image.load()
            if image.mode == "P" and image.format == "PNG":
                # A color beyond the palette is black here, and gray in Pillow.
                if image.getextrema()[1] >= len(image.palette.palette) // 3:
                    return None
            kind = image.format
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits of gray
                values = struct.unpack(
                    f"={image.width * image.height}{'H' if image.mode != 'I' else 'i'}",
                    image.tobytes(),
                )
                gray = bytes((value >> 8) & 255 for value in values)
                image = Image.frombytes("L", image.size, gray)
            if image.mode in ("LA", "PA", "RGBA", "P") or "transparency" in image.info:
                image = image.convert("RGBA")
                if kind == "GIF":  # it stores no color for what is transparent
                    image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
                return Image.merge("RGB", image.split()[:3])
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, KeyError):
        return None
    except (IndexError, TypeError, OverflowError, AttributeError, AssertionError):
        return None  # Pillow's own slips
    except Image.DecompressionBombError:
        return None


class Comparison:
    def __init__(self, mien: str, keep: Path | None = None):
        self.mien, self.keep = os.path.abspath(mien), keep
        version = subprocess.run([mien, "--version"], capture_output=True, text=True, check=True)
        self.same_jpeg = "libjpeg-turbo" in version.stdout.split("JPEG", 1)[1]
        self.counts: dict[str, Counter] = {kind: Counter() for kind in ("jpg", "png", "gif")}
        self.differences: list[str] = []

    def judge(self, kind: str, mine: Image.Image, theirs: Image.Image) -> str:
        if mine.size != theirs.size:
            return f"{mine.size} against {theirs.size}"
        off = ImageChops.difference(mine, theirs)
        most = max(high for _, high in off.getextrema())
        if most == 0:
            return ""
        mean = sum(ImageStat.Stat(off).mean) / 3
        if kind == "jpg" and not self.same_jpeg and mean <= 2:
            return ""
        return f"up to {most} levels, {mean:.3f} on average"

    def run(self, images: list[tuple[str, bytes]]) -> None:
        """By one call of mien for all of them."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for sub in ("in", "out"):
                (folder / sub).mkdir()
            # What is written is named like what is read, and is to be PNG.
            for number, (kind, data) in enumerate(images):
                (folder / "in" / f"{number:05}.png").write_bytes(data)
            # No face is found, so that nothing is drawn.
            done = subprocess.run(
                [self.mien, "image", "in", "-o", "out", "-y", "--detector", "haar"]
                + ["--min-face", "20000", "--json"],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
            )
            if done.returncode not in (0, 3):
                raise SystemExit(f"mien: exit code {done.returncode}: {done.stderr[-500:]}")
            damaged = {
                Path(line.split(": ")[1]).name
                for line in done.stderr.splitlines()
                if "damaged" in line or "missing" in line
            }
            written = {path.name: path for path in (folder / "out").rglob("*.png")}
            for number, (kind, data) in enumerate(images):
                self.compare(f"{number:05}", kind, data, written, damaged)

    def compare(
        self, number: str, kind: str, data: bytes, written: dict[str, Path], damaged: set[str]
    ) -> None:
        count = self.counts[kind]
        count["images"] += 1
        path = written.get(f"{number}.png")
        theirs = by_pillow(data)
        if path is None or theirs is None:
            who = "neither" if path is None and theirs is None else "mien" if path else "Pillow"
            count[f"read by {who}" + ("" if who == "neither" else " only")] += 1
            return
        if f"{number}.png" in damaged:
            count["told to be damaged"] += 1
            return
        if kind == "gif" and not is_whole_gif(data):
            count["with missing or wrong codes"] += 1
            return
        mine = Image.open(path).convert("RGB")
        difference = self.judge(kind, mine, theirs)
        count["equal" if not difference else "DIFFERENT"] += 1
        if difference:
            self.differences.append(f"{kind}: {difference}")
            if self.keep:
                self.keep.mkdir(parents=True, exist_ok=True)
                (self.keep / f"{len(self.differences):04}.{kind}").write_bytes(data)


def compare(mien: str, count: int, seed: int, keep: Path | None = None) -> Comparison:
    dice = random.Random(seed)
    known = seeds(dice)
    comparison = Comparison(mien, keep)
    while count > 0:
        part = []
        for _ in range(min(count, 500)):
            kind = dice.choice(("jpg", "png", "gif"))
            part.append((kind, changed(kind, dice.choice(known[kind]), dice)))
        comparison.run(part)
        count -= len(part)
    return comparison


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mien", required=True, help="the program")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for images with different pixels")
    options = parser.parse_args()
    result = compare(options.mien, options.count, options.seed, options.keep)
    for kind, count in result.counts.items():
        print(f"{kind}: " + ", ".join(f"{n} {what}" for what, n in sorted(count.items())))
    for difference, n in Counter(result.differences).most_common(20):
        print(f"{n} times {difference}")
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
