# SPDX-License-Identifier: MIT
"""How files are written: beside, and renamed when whole; never over one that the same run reads."""

from __future__ import annotations

import os
import tempfile
from typing import Iterable, Optional, Union

StrPath = Union[str, "os.PathLike[str]"]


def input_at(path: StrPath, inputs: Iterable[Optional[StrPath]]) -> Optional[StrPath]:
    """The one of `inputs` that is the file at `path`, under this name or another; None values and
    missing files are none."""
    for each in inputs:
        try:
            if each is not None and os.path.samefile(path, each):
                return each
        except OSError:
            continue
    return None


def write_file(path: StrPath, data: bytes) -> None:
    """All of the file or nothing, with the mode of the one that it replaces. A link is followed, a
    device written to."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            out.write(data)
        return
    handle, temporary = tempfile.mkstemp(
        prefix=".mien-", suffix=".part", dir=os.path.dirname(path) or "."
    )
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        try:
            mode = os.stat(path).st_mode & 0o777
        except FileNotFoundError:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
