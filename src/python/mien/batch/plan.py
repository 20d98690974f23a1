# SPDX-License-Identifier: MIT
"""The images and their division into parts. Written down once in OUTPUT/_plan.parquet, a row group for each part, so that a
restart, a worker that comes later and a second attempt at a part all mean the same images, whatever happens to the input meanwhile.
"""

from __future__ import annotations

import json
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from .. import __version__

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pnm")
PLAN, RUN = "_plan.parquet", "_run.json"
# `path` is bytes, since file names need not be UTF-8; in an archive it is the member's name. `offset`: of a tar member's data.
COLUMNS = pa.schema([("path", pa.binary()), ("offset", pa.int64()), ("size", pa.int64())])


# What archives and tables that are damaged, or no such thing, make their readers raise: tarfile and
# zipfile let errors of numbers and of encodings through.
DAMAGED = (
    pa.ArrowInvalid,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    LookupError,
    MemoryError,
    struct.error,
    zlib.error,
)


class InputError(Exception):
    """The input or the output is not what it should be; one line."""


class Item(NamedTuple):
    path: bytes
    offset: Optional[int] = None
    size: Optional[int] = None


class Run(NamedTuple):
    """OUTPUT/_run.json: what a restart must agree with, and how much there is."""

    input: str
    kind: str
    part_size: int
    options: Dict[str, Any]
    parts: int
    pictures: int
    version: str
    weights: str  # Engine.fingerprint


def is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def kind_of(path: str) -> str:
    """folder, tar, zip, parquet or csv; by what it is, and for tables by the name."""
    if os.path.isdir(path):
        return "folder"
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file or folder")
    ending = Path(path).suffix.lower()
    if ending == ".parquet":
        return "parquet"
    if ending == ".csv":
        return "csv"
    if zipfile.is_zipfile(path):
        return "zip"
    with open(path, "rb") as file:
        head = file.read(6)
    if (
        head[:2] == b"\x1f\x8b"
        or head[:3] == b"BZh"
        or head == b"\xfd7zXZ\x00"
        or head[:4] == b"\x28\xb5\x2f\xfd"
    ):
        raise InputError(
            f"{path}: a compressed archive can only be read from its beginning, by one worker: unpack it to a .tar (images do not shrink)"
        )
    try:
        if tarfile.is_tarfile(path):
            return "tar"
    except DAMAGED as error:
        raise InputError(f"{path}: a damaged .tar ({type(error).__name__})") from None
    raise InputError(
        f"{path}: neither a folder, a .tar, a .zip, nor a .parquet or .csv table of paths"
    )


def _folder(path: str) -> Iterator[Item]:
    with os.scandir(path) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _folder(entry.path)
        elif is_picture(entry.name):
            yield Item(os.fsencode(entry.path))


def _tar(path: str) -> Iterator[Item]:
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            archive.members = []  # else it keeps them all
            if member.isreg() and not member.sparse and is_picture(member.name):
                # Any number can stand there, also a negative one.
                if not (0 <= member.size < 1 << 63 and 0 <= member.offset_data < 1 << 63):
                    raise tarfile.ReadError("a member of an impossible size")
                yield Item(os.fsencode(member.name), member.offset_data, member.size)


def _zip(path: str) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir() and is_picture(member.filename):
                if member.file_size >= 1 << 63:
                    raise zipfile.BadZipFile("a member of an impossible size")
                yield Item(
                    member.filename.encode("utf-8", "surrogateescape"), None, member.file_size
                )


def _table(path: str, kind: str, column: str) -> Iterator[Item]:
    if kind == "parquet":
        file = pq.ParquetFile(path)
        if column not in file.schema_arrow.names:
            raise InputError(
                f"{path}: has no column {column!r}, but {', '.join(file.schema_arrow.names)} (--column)"
            )
        batches: Any = file.iter_batches(columns=[column])
    else:
        batches = pa.csv.open_csv(
            path, convert_options=pa.csv.ConvertOptions(column_types={column: pa.string()})
        )
        if column not in batches.schema.names:
            raise InputError(
                f"{path}: has no column {column!r}, but {', '.join(batches.schema.names)} (--column)"
            )
    folder = os.path.dirname(os.path.abspath(path))
    for batch in batches:
        for value in batch.column(batch.schema.get_field_index(column)).to_pylist():
            if value is None or value == "":
                yield Item(b"")
            else:
                yield Item(
                    os.fsencode(
                        os.path.join(
                            folder, value if isinstance(value, str) else os.fsdecode(value)
                        )
                    )
                )


def items(path: str, kind: str, column: str) -> Iterator[Item]:
    if kind == "folder":
        return _folder(path)
    if kind == "tar":
        return _tar(path)
    if kind == "zip":
        return _zip(path)
    return _table(path, kind, column)


def listed(path: str, kind: str, column: str) -> Iterator[Item]:
    """items(), with one error for whatever is wrong with the input."""
    try:
        yield from items(path, kind, column)
    except DAMAGED as error:
        text = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path}: {text[0]}") from None


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_run(output: Path) -> Optional[Run]:
    try:
        return Run(**json.loads((output / RUN).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(f"{output / RUN}: not written by mien-batch ({error})") from None


def make_plan(
    path: str, output: Path, part_size: int, options: Dict[str, Any], column: str, weights: str
) -> Run:
    """Lists the images and writes plan and run; each appears complete or not at all, the run last."""
    kind = kind_of(path)
    temporary = output / (PLAN + ".tmp")
    parts = pictures = 0
    with pq.ParquetWriter(temporary, COLUMNS, compression="zstd") as writer:
        waiting: List[Item] = []

        def flush() -> None:
            nonlocal parts, pictures
            if waiting:
                writer.write_table(
                    pa.Table.from_pylist([item._asdict() for item in waiting], schema=COLUMNS),
                    row_group_size=part_size,
                )
                parts, pictures = parts + 1, pictures + len(waiting)
                waiting.clear()

        for item in listed(path, kind, column):
            waiting.append(item)
            if len(waiting) == part_size:
                flush()
        flush()
    if pictures == 0:
        temporary.unlink()
        raise InputError(f"{path}: no image in it")
    os.replace(temporary, output / PLAN)
    run = Run(
        os.path.abspath(path), kind, part_size, options, parts, pictures, __version__, weights
    )
    _write_atomically(output / RUN, json.dumps(run._asdict(), indent=1) + "\n")
    return run


def own_files(output: Path) -> List[Path]:
    """What is in OUTPUT under a name that a run writes or removes there."""
    names = (PLAN, RUN, PLAN + ".tmp", RUN + ".tmp")
    found = [output / name for name in names if (output / name).exists()]
    return found + [*output.glob("part-*.parquet"), *output.glob(".part-*.tmp")]


def part_path(output: Path, number: int) -> Path:
    return output / f"part-{number:08d}.parquet"
