#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does mien see the same pixels in a JPEG as Pillow? Where both decode by libjpeg-turbo, every byte
must be equal; stb_image may be a few levels off.

No score reaches 1, so that `mien image --out` draws nothing and writes the decoded pixels as they
are.
"""
from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

PIL = pytest.importorskip("PIL", reason="Pillow is not installed")
from PIL import Image, ImageOps, features  # noqa: E402

MIEN = os.environ["MIEN_TOOL"]


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Slopes, waves and hard edges in every channel."""

    def value(x: int, y: int, channel: int) -> int:
        smooth = (x * (3 + channel) + y * (7 - 2 * channel)) % 256
        edge = 255 if (x // (5 + channel) + y // 9) % 2 else 0
        return (3 * smooth + edge) // 4

    channels = len(Image.new(mode, (1, 1)).getbands())
    data = bytes(
        value(x, y, c) for y in range(height) for x in range(width) for c in range(channels)
    )
    return Image.frombytes(mode, (width, height), data)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def cases() -> dict[str, bytes]:
    found = {}
    for size in ((64, 48), (61, 47), (25, 33), (24, 24), (24, 31)):
        for sampling, name in ((0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")):
            for progressive in (False, True):
                kind = "progressive" if progressive else "baseline"
                found[f"{size[0]} x {size[1]}, {name}, {kind}"] = encoded(
                    picture(*size), quality=85, subsampling=sampling, progressive=progressive
                )
        found[f"{size[0]} x {size[1]}, gray"] = encoded(picture(*size, "L"), quality=85)
        found[f"{size[0]} x {size[1]}, CMYK"] = encoded(picture(*size, "CMYK"), quality=90)
    for quality in (5, 50, 100):
        found[f"quality {quality}"] = encoded(picture(90, 70), quality=quality)
    restarts = encoded(picture(90, 70), quality=85, restart_marker_blocks=2)
    if b"\xff\xdd" in restarts:
        found["restart markers"] = restarts
    # Else this Pillow writes no restart markers; tests/wheel compares them in any case.
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        found[f"orientation {orientation}"] = encoded(picture(61, 47), quality=85, exif=exif)
    return found


def upright(jpeg: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")


@pytest.fixture(scope="module")
def decoder() -> str:
    if not features.check_feature("libjpeg_turbo"):
        pytest.skip("Pillow is not built with libjpeg-turbo")
    version = subprocess.run([MIEN, "--version"], capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in version.stdout.splitlines() if line.startswith("JPEG"))


@pytest.mark.parametrize(
    ("name", "jpeg"), cases().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_pixels_are_pillows(name: str, jpeg: bytes, decoder: str, tmp_path: Path) -> None:
    source, seen = tmp_path / "in.jpg", tmp_path / "seen.png"
    source.write_bytes(jpeg)
    command = [MIEN, "image", source, "-o", seen, "-y", "--min-score", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "damaged" not in done.stderr, done.stderr
    expected, got = upright(jpeg), Image.open(seen).convert("RGB")
    assert got.size == expected.size
    off = [abs(a - b) for a, b in zip(got.tobytes(), expected.tobytes())]
    differ = f"{len(off) - off.count(0)} of {len(off)} values differ, by up to {max(off)}"
    if decoder == "libjpeg-turbo":
        assert max(off) == 0, differ
    else:  # stb_image; beside the right edge of 4:2:2 it takes the wrong neighbor's color
        assert sum(off) < len(off) and (max(off) <= 3 or "4:2:2" in name), differ


def test_missing_scans_are_told(tmp_path: Path) -> None:
    """A progressive JPEG that ends properly, but before its last scans, or inside of one."""
    jpeg = encoded(picture(61, 47), quality=85, progressive=True)
    scans = [at for at in range(len(jpeg)) if jpeg[at : at + 2] == b"\xff\xda"]
    source = tmp_path / "in.jpg"

    def told(data: bytes) -> str:
        source.write_bytes(data)
        done = subprocess.run([MIEN, "image", source], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    for scan in scans[1:]:
        assert "scans are missing" in told(jpeg[:scan] + b"\xff\xd9")
    for kind in (False, True):
        whole = encoded(picture(161, 147), quality=85, progressive=kind)
        assert told(whole).count("\n") <= 1 and "damaged" not in told(whole)
        for share in (0.5, 0.7, 0.9):
            assert "damaged" in told(whole[: int(len(whole) * share)] + b"\xff\xd9"), share


def test_hostile_images() -> None:
    """A small part of tests/tools/differential.py: changed by chance, with checksums made right."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    import differential

    result = differential.compare(MIEN, 600, seed=2)
    assert not result.differences, result.differences
    for kind, count in result.counts.items():
        # How many both read depends on Pillow's version: some refuse what others guess.
        assert count["equal"] >= 1, (kind, count)
