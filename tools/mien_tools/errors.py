# SPDX-License-Identifier: MIT
"""How a converter fails: one line on stderr and an exit code, never a traceback for bad input."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Callable, NoReturn, Union


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


class Parser(argparse.ArgumentParser):
    """argparse, but with one-line errors like every other one."""

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


def read_bytes(path: Union[str, os.PathLike], largest: int = 1 << 30) -> bytes:
    try:
        size = os.path.getsize(path)
        if size > largest:
            raise UnreadableError(path, f"too large ({size} bytes)")
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from None


def refuse_existing(path: Union[str, os.PathLike], overwrite: bool) -> None:
    """For results that take long: before the work, which write_file() would throw away."""
    if os.path.exists(path) and not overwrite:
        raise UsageError(path, "exists (use -y to overwrite)")


def write_file(path: Union[str, os.PathLike], data: bytes, overwrite: bool) -> None:
    """All of the file or nothing: a temporary neighbor, then a rename."""
    refuse_existing(path, overwrite)
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UnreadableError(path, f"cannot write: {error.strerror or error}") from None
