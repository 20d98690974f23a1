# SPDX-License-Identifier: MIT
"""Tests of the installed Python package: run.sh installs it into a virtual environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import mien
from mien import _engine

ROOT = Path(__file__).resolve().parent.parent.parent
PHOTOS = ROOT / "tests" / "data" / "photos"
# One level of a pixel decides how wide the box of astronaut.jpg is.
ASTRONAUT_SIDE = 95 if _engine.jpeg_library.startswith("libjpeg-turbo") else 94


@pytest.fixture(scope="session")
def engine() -> mien.Engine:
    return mien.Engine()


@pytest.fixture(scope="session")
def montage() -> Path:
    return PHOTOS / "montage.jpg"


@pytest.fixture(scope="session")
def tool() -> str:
    """The command line tool, to compare with."""
    path = os.environ.get("MIEN_TOOL", str(ROOT / "build" / "check" / "mien"))
    if not os.access(path, os.X_OK):
        pytest.skip(f"the command line tool is not built ({path}); MIEN_TOOL names another")
    return path
