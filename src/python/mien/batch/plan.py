# SPDX-License-Identifier: MIT
"""The images and their division into parts. Written down once in OUTPUT/_plan.parquet, a row group for each part, so that a
restart, a worker that comes later and a second attempt at a part all mean the same images, whatever happens to the input meanwhile.
"""

from __future__ import annotations

import json
import lzma
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from .. import __version__, _engine

ENDINGS = _engine.image_endings
# Images that are perhaps not read: then each is a row that says so.
OTHER_ENDINGS = (".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".jp2", ".jxl")
PLAN, RUN = "_plan.parquet", "_run.json"
# `path` is bytes, since file names need not be UTF-8; in an archive it is the member's name.
# `offset`: of a tar member's data; of a zip the member's place in its list, since names may be
# there twice.
COLUMNS = pa.schema(
    [("path", pa.binary()), ("offset", pa.int64()), ("size", pa.int64()), ("error", pa.string())]
)
MAX_LINKS = 8  # from one to the next
END = 1 << 63  # behind every member


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
    error: Optional[str] = None  # why there is nothing to read


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


class LeftOut:
    """What a listing passes by, counted by the reason."""

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}

    def add(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def __str__(self) -> str:
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.counts.items())
        return f"left out: {reasons}" if reasons else ""


def looks_like_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS + OTHER_ENDINGS)


def is_picture(name: str, left: LeftOut) -> bool:
    """By its name; those of others are counted."""
    parts = name.replace("\\", "/").split("/")
    if parts[-1].startswith("._") or "__MACOSX" in parts[:-1]:
        left.add("of a Mac (._NAME, __MACOSX)")
        return False
    if not looks_like_picture(name):
        left.add("without an ending of images")
        return False
    return True


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


def _as_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _folder(path: str, left: LeftOut) -> Iterator[Item]:
    waiting = [(path, True)]  # folders may be nested deeper than Python calls itself
    while waiting:
        name, is_folder = waiting.pop()
        if not is_folder:
            yield Item(os.fsencode(name))
            continue
        try:
            with os.scandir(name) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if name == path:
                raise InputError(f"{path}: {error.strerror}") from None
            yield Item(os.fsencode(name), error=error.strerror or str(error))
            continue
        for entry in ordered:
            if entry.is_dir(follow_symlinks=False):
                if entry.name == "__MACOSX":
                    left.add("of a Mac (._NAME, __MACOSX)")
                else:
                    waiting.append((entry.path, True))
            elif entry.is_symlink() and entry.is_dir() and not looks_like_picture(entry.name):
                left.add("links to folders")
            elif is_picture(entry.name, left):
                waiting.append((entry.path, False))


def _resolve(name: str, links: Dict[str, str]) -> str:
    """The member at the end of links, of which the last name may be none."""
    for _ in range(MAX_LINKS):
        if name not in links:
            break
        name = links[name]
    return name


def _lost_link(name: str, end: str, kind: str) -> Item:
    shown = end.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Item(_as_bytes(name), error=f"is a {kind} link to {shown}, no file of the archive")


def _link_target(member: str, target: str) -> str:
    """The name in the archive that a symbolic link of a member leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(member), target))


def _tar(path: str, left: LeftOut) -> Iterator[Item]:
    def opened() -> tarfile.TarFile:
        return tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape")

    def place(member: tarfile.TarInfo) -> Tuple[int, int]:
        # Any number can stand there, also a negative one.
        if not (0 <= member.size < 1 << 63 and 0 <= member.offset_data < 1 << 63):
            raise tarfile.ReadError("a member of an impossible size")
        return member.offset_data, member.size

    links: Dict[str, str] = {}  # of members that are no files but name others
    pictures: List[Tuple[str, int]] = []  # those of them that are images by name; up to where
    with opened() as archive:
        for member in archive:
            archive.members = []  # else it keeps them all
            if member.issym() or member.islnk():
                links[posixpath.normpath(member.name)] = (
                    _link_target(member.name, member.linkname)
                    if member.issym()
                    else posixpath.normpath(member.linkname)
                )
            if member.isdir() or not is_picture(member.name, left):
                continue
            if member.issym() or member.islnk():
                # A hard link is to what was there before it, a symbolic one to what is there in the end.
                pictures.append((member.name, END if member.issym() else member.offset))
            elif member.issparse():
                yield Item(_as_bytes(member.name), error="is a sparse file")
            elif member.isreg():
                yield Item(_as_bytes(member.name), *place(member))
            else:
                yield Item(_as_bytes(member.name), error="is no regular file")
    if not pictures:
        return
    # Only now is it known what links need: a second look finds where that is.
    ends = {name: _resolve(posixpath.normpath(name), links) for name, _ in pictures}
    found: Dict[str, List[Tuple[int, int]]] = {end: [] for end in ends.values()}
    with opened() as archive:
        for member in archive:
            archive.members = []
            name = posixpath.normpath(member.name)
            if name in found and member.isreg() and not member.issparse():
                found[name].append(place(member))
    for name, until in pictures:
        places = [place for place in found[ends[name]] if place[0] < until]
        if places:
            yield Item(_as_bytes(name), *places[-1])
        else:
            yield _lost_link(name, ends[name], "symbolic" if until == END else "hard")


def zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name. Without the flag for UTF-8 programs mean code page 437, but many write UTF-8, too, or the name
    once more in a field of its own."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        raw = member.filename.encode("cp437")
    except UnicodeEncodeError:
        return member.filename
    extra, at = member.extra, 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + size]
        # Info-ZIP's: version 1, a checksum of the other name, this one
        if kind == 0x7075 and len(field) > 5 and field[0] == 1:
            if struct.unpack_from("<I", field, 1)[0] == zlib.crc32(raw):
                return field[5:].decode("utf-8", "surrogateescape")
        at += 4 + size
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return member.filename


def _zip(path: str, left: LeftOut) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        links: Dict[str, str] = {}
        places: Dict[str, int] = {}
        for number, member in enumerate(members):
            name = posixpath.normpath(zip_name(member))
            if member.create_system == 3 and stat.S_ISLNK(member.external_attr >> 16):
                try:
                    if member.file_size > 4096:
                        raise zipfile.BadZipFile("a link of more than 4096 bytes")
                    links[name] = _link_target(name, os.fsdecode(archive.read(member)))
                except (*DAMAGED, RuntimeError, lzma.LZMAError, OSError):
                    links[name] = name  # costs its row, not the archive
            else:
                places[name] = number
        for number, member in enumerate(members):
            name = zip_name(member)
            if member.is_dir() or not is_picture(name, left):
                continue
            if member.file_size >= 1 << 63:
                raise zipfile.BadZipFile("a member of an impossible size")
            if member.create_system == 3 and stat.S_ISLNK(member.external_attr >> 16):
                end = _resolve(posixpath.normpath(name), links)
                if end not in places:
                    yield _lost_link(name, end, "symbolic")
                    continue
                number = places[end]
            yield Item(_as_bytes(name), number, members[number].file_size)


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
            path, convert_options=pa.csv.ConvertOptions(column_types={column: pa.binary()})
        )
        if column not in batches.schema.names:
            raise InputError(
                f"{path}: has no column {column!r}, but {', '.join(batches.schema.names)} (--column)"
            )
    folder = os.path.dirname(os.path.abspath(path))
    for batch in batches:
        for value in batch.column(batch.schema.get_field_index(column)).to_pylist():
            if value is None or value in ("", b""):
                yield Item(b"", error="the table has no path here")
            elif not isinstance(value, (str, bytes)):
                yield Item(b"", error=f"the table has no path here, but {value!r}"[:200])
            else:
                name = _as_bytes(value) if isinstance(value, str) else value
                yield Item(os.path.join(os.fsencode(folder), name))


def items(path: str, kind: str, column: str, left: LeftOut) -> Iterator[Item]:
    if kind == "folder":
        return _folder(path, left)
    if kind == "tar":
        return _tar(path, left)
    if kind == "zip":
        return _zip(path, left)
    return _table(path, kind, column)


def listed(path: str, kind: str, column: str, left: Optional[LeftOut] = None) -> Iterator[Item]:
    """items(), with one error for whatever is wrong with the input."""
    try:
        yield from items(path, kind, column, LeftOut() if left is None else left)
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
    path: str,
    output: Path,
    part_size: int,
    options: Dict[str, Any],
    column: str,
    weights: str,
    left: LeftOut,
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

        for item in listed(path, kind, column, left):
            waiting.append(item)
            if len(waiting) == part_size:
                flush()
        flush()
    if pictures == 0:
        temporary.unlink()
        raise InputError(f"{path}: no image in it" + (f" ({left})" if left.counts else ""))
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
