# SPDX-License-Identifier: MIT
"""Formats whose libraries are optional, in the program: what it lists, it reads from files, folders
and pipes, and as the service's bodies. Without a library, and without an encoder to make a file,
there is nothing to test."""

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from test_cli import PHOTOS, Runner, mien, read_png  # noqa: F401


def photo_rgb() -> tuple[int, int, bytes]:
    width, height, channels, rows = read_png((PHOTOS / "astronaut_320.png").read_bytes())
    assert channels == 3
    return width, height, b"".join(rows)


def tiff_of(width: int, height: int, rgb: bytes, orientation: int = 1) -> bytes:
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 14),
        (274, 3, 1, orientation),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(rgb)),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 14 + len(rgb)) + struct.pack("<HHH", 8, 8, 8)
    return head + rgb + struct.pack("<H", len(entries)) + table + bytes(4)


def reads(mien: Runner, name: str) -> bool:
    lines = mien("--version").stdout.splitlines()
    return any(line.startswith(name + " ") and "missing" not in line for line in lines)


def files_of(mien: Runner, folder: Path) -> dict[str, Path]:
    """The photo in every optional format that this build reads and that can be made here."""
    width, height, rgb = photo_rgb()
    (folder / "photo.ppm").write_bytes(b"P6\n%d %d\n255\n" % (width, height) + rgb)
    made = {}
    if reads(mien, "TIFF"):
        made["TIFF"] = folder / "photo.tif"
        made["TIFF"].write_bytes(tiff_of(width, height, rgb))
    mien("image", folder / "photo.ppm", "--cover", "--min-score", "0.99", "-o", folder / "p.jpg")
    for name, ending, command in [
        ("WebP", "webp", ["cwebp", "-quiet", "-q", "90", "photo.ppm", "-o"]),
        ("HEIC", "heic", ["heif-enc", "-q", "90", "p.jpg", "-o"]),
        ("AVIF", "avif", ["heif-enc", "-A", "-q", "90", "p.jpg", "-o"]),
    ]:
        if not reads(mien, name) or shutil.which(command[0]) is None:
            continue
        target = folder / f"photo.{ending}"
        subprocess.run([*command, target.name], cwd=folder, capture_output=True, timeout=120)
        if target.exists():
            made[name] = target
    return made


def test_the_face_is_found_in_every_format(mien: Runner, tmp_path: Path) -> None:
    files = files_of(mien, tmp_path)
    if not files:
        pytest.skip("this build reads no optional format, or none can be made here")
    reference = json.loads(mien("image", "--json", tmp_path / "photo.ppm").stdout)["faces"][0][
        "box"
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, path in files.items():
        done = mien("image", "--json", path)
        assert done.stderr == "", name
        (face,) = json.loads(done.stdout)["faces"]
        for key, value in reference.items():
            assert abs(face["box"][key] - value) <= 3, (name, key)
        with open(path, "rb") as file:
            pipe = subprocess.run(
                [mien.program, "image", "--json", "-"], stdin=file, capture_output=True, timeout=60
            )
        assert len(json.loads(pipe.stdout)["faces"]) == 1, name
        shutil.copy(path, folder)
        cut = tmp_path / f"cut{path.suffix}"
        cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        mien.fails("image", cut, code=3, words=(cut.name + ":",))
    done = mien("image", "--json", folder)
    assert len(done.stdout.splitlines()) == len(files) and done.stderr == ""


def test_tiff_is_turned_by_its_tag(mien: Runner, tmp_path: Path) -> None:
    if not reads(mien, "TIFF"):
        pytest.skip("without libtiff")
    width, height, rgb = photo_rgb()
    rows = [rgb[3 * width * y :][: 3 * width] for y in range(height)]
    columns = b"".join(
        b"".join(row[3 * x : 3 * x + 3] for row in rows) for x in reversed(range(width))
    )  # turned to the left, to be turned by 90 degrees clockwise
    (tmp_path / "side.tif").write_bytes(tiff_of(height, width, columns, 6))
    (tmp_path / "upright.tif").write_bytes(tiff_of(width, height, rgb))
    side, upright = (
        json.loads(mien("image", "--json", tmp_path / f"{name}.tif").stdout)
        for name in ("side", "upright")
    )
    assert side["width"] == width and side["faces"] == upright["faces"]


def test_the_service_reads_them_in_its_sandbox(mien: Runner, tmp_path: Path) -> None:
    """Their libraries are loaded before it gives up files; HEIC and AVIF are refused with the reason."""
    files = files_of(mien, tmp_path)
    help_text = subprocess.run([mien.program, "serve", "--help"], capture_output=True, text=True)
    if help_text.returncode != 0 or not files:
        pytest.skip("without the service, or without a file")
    server = subprocess.Popen(
        [mien.program, "serve", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    try:
        port = None
        for line in server.stderr:
            if found := re.search(r"http://[^ ]*:(\d+)", line):
                port = found[1]
                break
        assert port, "no address"
        for name, path in files.items():
            answer = subprocess.run(
                ["curl", "-s", "-w", "\n%{http_code}", "-H", "Content-Type: image/any"]
                + ["--data-binary", f"@{path}", f"http://127.0.0.1:{port}/v1/analyze"],
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
            if name in ("HEIC", "AVIF"):
                assert "are not read here" in answer, answer
            else:
                assert len(json.loads(answer.splitlines()[0])["images"][0]["faces"]) == 1, answer
    finally:
        server.terminate()
        server.wait(20)
        server.stderr.close()
