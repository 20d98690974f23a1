#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Can any archive stop mien-batch, or make it read what is no image? Archives (tar, zip) are changed
by chance: bytes, fields of headers with checksums made right, members. Each is listed as the plan
does, and each member read as a worker does; only the errors that both expect may come out.

    VENV/bin/python tests/fuzz/fuzz_batch.py --count 100000 [--seed N] [--keep FOLDER]

Needs the installed package with [batch]. Prints executions per second.
"""
from __future__ import annotations

import argparse
import io
import os
import random
import resource
import struct
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import zipfile
import zlib
from pathlib import Path

from mien.batch import plan, worker

IMAGE = b"P5 4 4 255\n" + bytes(16)
LARGEST = 1 << 20  # bytes of a member, for a run of millions


def seed_archives() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in ("a.pgm", "b/c.png", "d\u00e9.jpg"):
                archive.writestr(name, IMAGE)
            link = zipfile.ZipInfo("b/link.png")
            link.create_system, link.external_attr = 3, 0o120777 << 16
            archive.writestr(link, "../a.pgm")
        found.append(file.getvalue())
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
            names = ("a.pgm", "b/c.png", "d\u00e9.jpg")
            for name in names if kind == tarfile.USTAR_FORMAT else (*names, "x" * 120 + ".gif"):
                member = tarfile.TarInfo(name)
                member.size = len(IMAGE)
                archive.addfile(member, io.BytesIO(IMAGE))
            for name, to, how in (
                ("h.jpg", "a.pgm", tarfile.LNKTYPE),
                ("b/s.jpg", "../h.jpg", tarfile.SYMTYPE),
            ):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = how, to
                archive.addfile(member)
        found.append(file.getvalue())
    return found


def change_bytes(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 6))):
        at = dice.randrange(len(data))
        kind = dice.randrange(5)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
        elif kind == 2:
            size = dice.choice((1, 2, 4, 8))
            number = dice.choice((0, 1, -1, 1 << 31, (1 << 31) - 1, 1 << 15, dice.getrandbits(64)))
            piece = struct.pack("<Q", number & (1 << 64) - 1)[:size]
            data[at : at + size] = piece[: len(data) - at]
        elif kind == 3 and len(data) > 600:
            del data[at : at + dice.choice((1, 16, 512))]
        else:
            data[at:at] = data[at : at + dice.choice((1, 16, 512))]


def change_tar(data: bytearray, dice: random.Random) -> None:
    """Fields of a header, whose checksum is made right again."""
    blocks = range(0, len(data) - 511, 512)
    at = dice.choice([b for b in blocks if data[b + 257 : b + 262] == b"ustar"] or list(blocks))
    kind = dice.randrange(6)
    if kind == 0:  # size, as octal digits or as a binary number, also a negative one
        sizes = (b"77777777777\0", b"00000000000\0", b"            ", b"0000000002x\0")
        binary = b"\x80" + dice.getrandbits(88).to_bytes(11, "big")
        data[at + 124 : at + 136] = dice.choice((*sizes, binary, b"\xff" * 12, b"\x80" + bytes(11)))
    elif kind == 1:
        data[at + 156] = dice.choice(b"0123456789xgLKSV\0D")
    elif kind == 2:
        name = dice.choice((b"../../etc/x.png", b"/abs.png", b"\xff\xfe.png", b"a\nb.png", b".png"))
        data[at : at + 100] = name.ljust(100, b"\0")
    elif kind == 3:  # a record of PAX, or what follows a header
        piece = bytearray(data[at + 512 : at + 1024] or b"\0")
        change_bytes(piece, dice)
        data[at + 512 : at + 1024] = piece[:512].ljust(512, b"\0")
    else:
        field = dice.randrange(0, 500)
        data[at + field] = dice.randrange(256)
    if dice.random() < 0.95 and len(data) >= at + 512:
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


def change_zip(data: bytearray, dice: random.Random) -> None:
    """A field of the directory and mostly of the local header, too; sometimes a true checksum."""
    signature = dice.choice((b"PK\1\2", b"PK\3\4", b"PK\5\6"))
    places = [i for i in range(len(data)) if data[i : i + 4] == signature]
    if not places:
        return change_bytes(data, dice)
    at = dice.choice(places) + 4 + dice.randrange(0, 44)
    number = dice.choice(
        (0, 1, 2, 8, 12, 14, 99, 0xFFFF, 0xFFFFFFFF, 1 << 31, dice.getrandbits(32))
    )
    size = dice.choice((1, 2, 4))
    piece = struct.pack("<I", number & 0xFFFFFFFF)[:size]
    data[at : at + size] = piece[: max(0, len(data) - at)]


def changed(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        if dice.random() < 0.4:
            change_bytes(out, dice)
        elif data[:2] == b"PK":
            change_zip(out, dice)
        else:
            change_tar(out, dice)
    if data[:2] == b"PK" and dice.random() < 0.3:
        # the checksum of the stored bytes, wherever it stands
        true = struct.pack("<I", zlib.crc32(IMAGE))
        out = bytearray(bytes(out).replace(struct.pack("<I", 0), true, 1))
    return bytes(out)


class Reader(worker.Context):
    """A worker's context without an engine: what it would hand to the decoder is looked at."""

    def __init__(self, path: str, kind: str):
        self._lock = threading.Lock()
        self._tar = os.open(path, os.O_RDONLY) if kind == "tar" else -1
        self._zip = None
        if kind == "zip":
            self._zip = zipfile.ZipFile(path)
        self.run = plan.Run(path, kind, 1, {}, 1, 1, "", "")
        self.engine = self
        self.read = 0

    def analyze(self, data: bytes):  # in the engine's place
        assert len(data) <= worker.LARGEST_MEMBER
        self.read += 1
        raise worker.Error("no image")

    def close(self) -> None:
        if self._tar >= 0:
            os.close(self._tar)
        if self._zip is not None:
            self._zip.close()


def run_one(path: str, counts: dict[str, int]) -> None:
    try:
        kind = plan.kind_of(path)
        items = list(plan.listed(path, kind, "path"))
    except plan.InputError as error:
        assert "\n" not in str(error)
        counts["refused"] += 1
        return
    assert kind in ("tar", "zip"), kind
    reader = Reader(path, kind)
    try:
        for item in items:
            row = reader.row(item)
            assert row["error"] and isinstance(row["source"], str)
    finally:
        reader.close()
    counts["listed"] += 1
    counts["members"] += len(items)
    counts["read"] += reader.read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("."), help="where a crash is written")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    dice = random.Random(options.seed)
    seeds = seed_archives()
    counts = {"refused": 0, "listed": 0, "members": 0, "read": 0}
    start, failures = time.monotonic(), set()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as temp:
        path = os.path.join(temp, "archive")
        for number in range(options.count):
            data = changed(dice.choice(seeds), dice)
            with open(path, "wb") as file:
                file.write(data)
            try:
                run_one(path, counts)
            except Exception as error:
                line = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__}: {str(error)[:80]} ({line.name})"
                if (key := f"{type(error).__name__} {line.name}") not in failures:
                    failures.add(key)
                    print(f"{number}: {what}", flush=True)
                    (options.keep / f"crash-batch-{len(failures)}").write_bytes(data)
    seconds = time.monotonic() - start
    told = ", ".join(f"{n} {what}" for what, n in counts.items())
    print(
        f"{options.count} executions, {seconds:.0f} s, {options.count / seconds:.0f} per second: {told}"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
