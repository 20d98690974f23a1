# SPDX-License-Identifier: MIT
"""Options of the tests from outside: `python3 -m pytest tests/e2e/test_cli.py --mien PROGRAM`."""
from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mien", metavar="PROGRAM", help="the program to test")
    parser.addoption("--shots", metavar="FOLDER", help="where to keep screenshots, to be looked at")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "threads: for ThreadSanitizer: what threads share")
    config.addinivalue_line("markers", "inflates: needs more memory than an emulator has")
    config.addinivalue_line(
        "markers", "signals: looks whether the program handles a signal; QEMU always does"
    )
    program = config.getoption("--mien")
    if program is None or not os.access(program, os.X_OK):
        raise pytest.UsageError("--mien PROGRAM is required: the program to test")
    os.environ["MIEN_TOOL"] = os.path.abspath(program)


@pytest.fixture
def shots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder for screenshots."""
    folder = Path(request.config.getoption("--shots") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
