# SPDX-License-Identifier: MIT
"""One part of the work: its images are read one after the other, and its rows appear as one Parquet file, complete or not at all.

Runs on the workers. Each process makes one engine and keeps it. An image that cannot be read is a row with its error.
"""

from __future__ import annotations

import json
import lzma
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import pyarrow as pa
import pyarrow.parquet as pq

from .. import Engine, Error, __version__
from ..engine import read_noted
from ..results import SCHEMA, Result
from . import plan
from .schema import schema_of


# As the engine has it for files; a member may claim any size, and a small one may unpack to it.
LARGEST_MEMBER = 1 << 28


def check_size(member: int) -> None:
    if member > LARGEST_MEMBER:
        raise OSError(f"is larger than {LARGEST_MEMBER >> 20} MiB")


class Done(NamedTuple):
    part: int
    pictures: int
    errors: int
    faces: int
    seconds: float


class Context:
    """What a process keeps for one output: engine, plan, open archive."""

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        run = plan.read_run(self.output)
        if run is None:
            raise plan.InputError(
                f"{output}: not seen by the worker on {socket.gethostname()}: it must be on a file system that all workers share"
            )
        self.run = run
        self.engine = Engine(**run.options)
        if self.engine.fingerprint != run.weights:
            raise plan.InputError(
                f"{output}: was begun with other weights than those of the worker on {socket.gethostname()}"
            )
        self.schema = schema_of(self.engine)
        self._plan = pq.ParquetFile(self.output / plan.PLAN)
        self._lock = threading.Lock()
        self._zip = zipfile.ZipFile(run.input) if run.kind == "zip" else None
        self._tar = os.open(run.input, os.O_RDONLY) if run.kind == "tar" else -1

    def items(self, part: int) -> List[plan.Item]:
        with self._lock:
            rows = self._plan.read_row_group(part).to_pylist()
        return [plan.Item(**row) for row in rows]

    def bytes_of(self, item: plan.Item) -> bytes:
        if self._tar >= 0:
            assert item.offset is not None and item.size is not None
            check_size(item.size)
            data = os.pread(self._tar, item.size, item.offset)
            if len(data) != item.size:
                raise OSError("the archive is cut short")
            return data
        if self._zip is not None:
            assert item.offset is not None
            with self._lock:
                members = self._zip.infolist()
                member = members[item.offset] if item.offset < len(members) else None
                if member is None or member.file_size != item.size:
                    raise OSError("the archive is another one than at the start")
                check_size(member.file_size)
                return self._zip.read(member)
        # Nobody named it on the command line: opening a pipe would wait for a writer for good, and a
        # device has no end.
        handle = os.open(item.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("is no regular file")
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)

    def source(self, item: plan.Item) -> str:
        """The path, or INPUT/MEMBER; what is not UTF-8 in it is replaced, as in --json."""
        name = item.path.decode("utf-8", "replace")
        return f"{self.run.input}/{name}" if self.run.kind in ("tar", "zip") else name

    def analyze(self, data: bytes) -> Result:
        """The warning about a damaged image becomes part of its row."""
        start = time.perf_counter()
        pixels, note = read_noted(data)
        decode_ms = (time.perf_counter() - start) * 1e3
        result = self.engine.analyze(pixels, "rgb")
        result.timing_ms["decode"] = decode_ms
        result.timing_ms["total"] += decode_ms
        result.note = note
        return result

    def row(self, item: plan.Item) -> Dict[str, Any]:
        source = self.source(item)
        if item.error is not None:
            return error_row(source, item.error)
        try:
            result = self.analyze(self.bytes_of(item))
        except OSError as error:
            return error_row(source, error.strerror or str(error))
        except (
            Error,
            *plan.DAMAGED,
            lzma.LZMAError,
            RuntimeError,
        ) as error:  # RuntimeError: an encrypted member
            return error_row(source, str(error) or type(error).__name__)
        result.source = source
        return result.to_dict()


def error_row(source: str, text: str) -> Dict[str, Any]:
    return {"schema": SCHEMA, "source": source, "error": text}


_contexts: Dict[str, Context] = {}
_contexts_lock = threading.Lock()


def context_of(output: str) -> Context:
    with _contexts_lock:
        if output not in _contexts:
            _contexts.clear()
            _contexts[output] = Context(output)
        return _contexts[output]


def check(output: str, version: str) -> Optional[str]:
    """What is wrong with this worker, or None."""
    if version != __version__:
        return f"the worker on {socket.gethostname()} has mien {__version__}, not {version}"
    try:
        context_of(output)
    except Exception as error:
        return f"the worker on {socket.gethostname()}: {error}"
    return None


def write_part(context: Context, part: int, rows: List[Dict[str, Any]], seconds: float) -> Done:
    errors = sum("error" in row for row in rows)
    faces = sum(len(row.get("faces", ())) for row in rows)
    table = pa.Table.from_pylist(
        rows,
        schema=context.schema.with_metadata(
            {"mien": json.dumps({"errors": errors, "faces": faces})}
        ),
    )
    final = plan.part_path(context.output, part)
    temporary = final.with_name(
        f".{final.name}.{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}.tmp"
    )
    with open(temporary, "wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, final)
    return Done(part, len(rows), errors, faces, seconds)


def annotate_part(output: str, part: int) -> Done:
    start = time.perf_counter()
    context = context_of(output)
    rows = [context.row(item) for item in context.items(part)]
    return write_part(context, part, rows, time.perf_counter() - start)


def annotate_part_carefully(output: str, part: int) -> Done:
    """For a part that has ended its worker before: in processes of its own, so that an image that ends one costs only its row."""
    start = time.perf_counter()
    context = context_of(output)
    items = context.items(part)
    rows: List[Dict[str, Any]] = []
    while len(rows) < len(items):
        child = subprocess.run(
            [sys.executable, "-m", "mien.batch.worker", output, str(part), str(len(rows))],
            stdout=subprocess.PIPE,
            check=False,
        )
        rows.extend(json.loads(line) for line in child.stdout.split(b"\n")[:-1])
        if len(rows) < len(items):
            cause = (
                signal.Signals(-child.returncode).name
                if child.returncode < 0
                else f"exit code {child.returncode}"
            )
            rows.append(
                error_row(
                    context.source(items[len(rows)]),
                    f"the process that read this image was ended ({cause})",
                )
            )
    return write_part(context, part, rows, time.perf_counter() - start)


def _lines(output: str, part: int, first: int) -> Iterator[bytes]:
    context = Context(output)
    for item in context.items(part)[first:]:
        yield json.dumps(context.row(item)).encode() + b"\n"


if __name__ == "__main__":  # the child of annotate_part_carefully
    for line in _lines(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
