# SPDX-License-Identifier: MIT
"""How a converter fails: one line on stderr and an exit code, never a traceback for bad input."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, NoReturn, Set, Tuple, Union


class ToolError(Exception):
    """What is wrong with which file; `code` is the exit status."""

    code = 1

    def __init__(self, subject: Union[str, os.PathLike], cause: str) -> None:
        super().__init__(f"{subject}: {cause}")


class UsageError(ToolError):
    code = 2


class UnreadableError(ToolError):
    """The file is not there, may not be read, or is not of a kind that we read."""

    code = 3


class ModelError(ToolError):
    """The file was read, but what it says is damaged or beyond this engine."""

    code = 4


# What an option names that is written. `written` of a parser's defaults names further ones.
WRITTEN = ("output", "license_output", "log", "curves", "png", "scores")


def _paths(value: Any) -> Iterator[str]:
    """Every path in a value of the command line, also in a list, and behind "NAME="."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _paths(each)
    elif isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        yield from (text, text.partition("=")[2])


class Parser(argparse.ArgumentParser):
    """argparse, but with one-line errors like every other one; and what the command line names is
    noted as read (note_input) and never
    written."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed = super().parse_args(args, namespace)
        values = vars(parsed)
        written = {*WRITTEN, *values.get("written", ())}
        outputs = [values[name] for name in written if values.get(name)]
        for name, value in values.items():
            # A checkpoint is both: training goes on from it.
            if name not in written and (name != "checkpoint" or "start" not in values):
                for path in _paths(value):
                    note_input(path)
        try:
            for output in outputs:
                refuse_input(output)
        except UsageError as error:
            self.error(str(error))
        return parsed

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def run_tool(name: str, main: Callable[[], int]) -> NoReturn:
    """Runs `main`; expected failures become one line and their exit code."""
    try:
        status = main()
        sys.stdout.flush()
    except ToolError as error:
        line = " ".join(str(error).split())
        print(f"{name}: {line}", file=sys.stderr)
        status = error.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)


# Device and inode of what was read: no output may replace it.
_inputs: Set[Tuple[int, int]] = set()
IMAGES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pnm")


def note_input(path: Union[str, os.PathLike]) -> None:
    """`path`, or every image below it if it is a folder, is read in this run. What does not exist counts as nothing."""
    below = Path(path).rglob("*") if os.path.isdir(path) else []
    images = [each for each in below if each.suffix.lower() in IMAGES]
    for each in (path, *images):
        try:
            found = os.stat(each)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            _inputs.add((found.st_dev, found.st_ino))


def read_bytes(path: Union[str, os.PathLike], largest: int = 1 << 30) -> bytes:
    note_input(path)
    try:
        size = os.path.getsize(path)
        if size > largest:
            raise UnreadableError(path, f"too large ({size} bytes)")
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from None


def refuse_input(path: Union[str, os.PathLike]) -> None:
    """What is read in this run is not written, under none of its names."""
    try:
        found = os.stat(path)
    except OSError:
        return
    if (found.st_dev, found.st_ino) in _inputs:
        raise UsageError(path, "would overwrite an input of this run")


def refuse_existing(path: Union[str, os.PathLike], overwrite: bool) -> None:
    """For results that take long: before the work, which write_file() would throw away."""
    refuse_input(path)
    if os.path.exists(path) and not overwrite:
        raise UsageError(path, "exists (use -y to overwrite)")


def write_file(path: Union[str, os.PathLike], data: bytes, overwrite: bool) -> None:
    """All of the file or nothing: a temporary neighbor, then a rename. The mode is that of the
    file it replaces; a link is followed.
    Never over a file that was read (note_input)."""
    refuse_existing(path, overwrite)
    path = Path(os.path.realpath(path))
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            mask = os.umask(0)
            os.umask(mask)
            mode = os.stat(path).st_mode & 0o777 if path.exists() else 0o666 & ~mask
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UnreadableError(path, f"cannot write: {error.strerror or error}") from None
