# SPDX-License-Identifier: MIT
"""Waiting for what a process does, so that no test has to guess how long that takes."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Polls until the condition holds. The limit only ends a test that hangs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not come to that in {seconds} s"
        time.sleep(0.01)


def _status(process: int, field: str) -> str:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return line.split(":")[1].strip()
    raise AssertionError(f"no {field} in the status of process {process}")


def handles(process: int, number: signal.Signals) -> bool:
    """Has the process installed a handler for this signal?"""
    return bool(int(_status(process, "SigCgt"), 16) >> (number - 1) & 1)


def waits(process: int) -> bool:
    """Does the main thread wait, for a pipe, a socket or a device?"""
    return _status(process, "State").startswith("S")


def stopped(process: int) -> bool:
    """By SIGSTOP."""
    return _status(process, "State").startswith("T")


def delivered(process: int, number: signal.Signals) -> bool:
    """Is no signal of this number pending any more?"""
    pending = int(_status(process, "ShdPnd"), 16) | int(_status(process, "SigPnd"), 16)
    return not pending >> (number - 1) & 1


def cpu_seconds(process: int) -> float:
    """The processor time of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
