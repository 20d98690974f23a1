# SPDX-License-Identifier: MIT
"""Runs the code of docs/PYTHON.md and docs/MIGRATION.md, each page from top to bottom as one program, in a folder with a photo and a film."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT

import mien


@pytest.mark.parametrize(
    "page, blocks, needs", [("PYTHON.md", 10, ("cv2", "PIL", "pandas")), ("MIGRATION.md", 4, ())]
)
def test_page(
    page: str,
    blocks: int,
    needs: "tuple[str, ...]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    for module in needs:
        pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.chdir(tmp_path)
    shutil.copy(PHOTOS / "astronaut.jpg", "photo.jpg")
    shutil.copy(PHOTOS / "montage.jpg", "group.jpg")
    if "cv2" in needs:
        import cv2

        writer = cv2.VideoWriter("film.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512), True)
        for _ in range(5):
            writer.write(np.ascontiguousarray(mien.read_picture("photo.jpg")[:, :, ::-1]))
        writer.release()
    found = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(found) >= blocks
    names: dict = {"__name__": "guide"}
    for number, block in enumerate(found):
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
    said = capsys.readouterr().out
    if page == "PYTHON.md":
        assert (
            re.search(r"9\d pixels at 1\d\d, 6\d: happy", said)
            and "marked.png" in {p.name for p in tmp_path.iterdir()}
            and len(list(tmp_path.glob("face-*.png"))) == 5
        )
    else:
        assert "happy" in said
