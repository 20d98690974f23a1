# SPDX-License-Identifier: MIT
"""Makes tools/ importable and unpacks the small Keras models."""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(HERE)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: left out of MIEN_CHECK=quick")


@pytest.fixture(scope="session")
def golden_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of tests/python/golden, HDF5 ones unpacked."""
    folder = tmp_path_factory.mktemp("golden")
    for source in (HERE / "golden").iterdir():
        if source.suffix == ".gz":
            (folder / source.stem).write_bytes(gzip.decompress(source.read_bytes()))
        else:
            shutil.copy(source, folder)
    return folder
