# SPDX-License-Identifier: MIT
"""Does the program read OpenCV's XML, to the bytes that tools/convert_cascade.py writes?

Made-up cascades of all kinds, and OpenCV's own where Debian's opencv-data is installed."""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))
import made_cascades  # noqa: E402

MIEN = os.environ["MIEN_TOOL"]
PHOTO = ROOT / "tests" / "data" / "photos" / "astronaut_320.png"
OPENCV = sorted(Path("/usr/share/opencv4/haarcascades").glob("haarcascade_*.xml"))
MADE = {
    f"{name}-{layout}": getattr(made, f"{layout}_layout")
    for name, made in made_cascades.all_cascades().items()
    for layout in ("old", "new")
}


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([MIEN, *map(str, arguments)], capture_output=True, text=True)


def converted(xml: Path, folder: Path) -> Path:
    out = folder / f"{xml.stem}.mien"
    tool = ROOT / "tools" / "convert_cascade.py"
    subprocess.run([sys.executable, tool, xml, "-o", out], check=True, capture_output=True)
    return out


def of_library(xml: Path) -> bytes:
    path = Path(MIEN).parent / "libmien.so"
    if any(name in path.read_bytes() for name in (b"__asan_init", b"__tsan_init")):
        pytest.skip("a library with a sanitizer ends a program without one")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        pytest.skip(f"the library cannot be loaded here: {error}")
    data, size = xml.read_bytes(), ctypes.c_size_t()
    call = library.mien_cascade_of_xml
    call.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_char_p]
    call.argtypes += [ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p]
    call.argtypes += [ctypes.c_size_t]
    cause = ctypes.create_string_buffer(200)
    name = os.fsencode(xml)
    status = call(data, len(data), name, None, 0, ctypes.byref(size), cause, 200)
    assert status == 0, cause.value
    out = ctypes.create_string_buffer(size.value)
    assert call(data, len(data), name, out, size, ctypes.byref(size), cause, 200) == 0
    return out.raw


@pytest.mark.parametrize("name", MADE)
def test_made_cascades(name: str, tmp_path: Path) -> None:
    xml = tmp_path / f"{name}.xml"
    xml.write_bytes(MADE[name]())
    mien = converted(xml, tmp_path)
    assert of_library(xml) == mien.read_bytes()
    # Small: such cascades take half of all windows for faces.
    picture = tmp_path / "small.pgm"
    pixels = bytes(x * x * 7 + y * 31 + x * y & 255 for y in range(34) for x in range(36))
    picture.write_bytes(b"P5 36 34 255\n" + pixels)
    results = []
    for cascade in (xml, mien):
        done = run(
            "image",
            picture,
            "--cascade",
            cascade,
            "--min-neighbors",
            0,
            "--scale-factor",
            4,
            "--no-age",
            "--no-gender",
            "--json",
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        results.append([face["box"] for face in result["faces"]])
    assert results[0] == results[1]


@pytest.mark.parametrize("xml", OPENCV, ids=lambda path: path.stem[12:])
def test_opencvs_cascades(xml: Path, tmp_path: Path) -> None:
    assert of_library(xml) == converted(xml, tmp_path).read_bytes()


def test_info_and_other_verbs(tmp_path: Path) -> None:
    xml = tmp_path / "made.xml"
    xml.write_bytes(made_cascades.make(3, (20, 24), [2, 3], 1, 2).new_layout("mine"))
    mien = converted(xml, tmp_path)
    told = [json.loads(run("info", path, "--json").stdout) for path in (xml, mien)]
    for facts in told:
        facts.pop("file", None)
    assert told[0] == told[1]
    assert "made up" not in run("info", xml).stderr and "mine" in run("info", xml).stdout
    out = tmp_path / "sheet.png"
    done = run("explain", PHOTO, "--cascade", xml, "--min-face", 300, "--out", out)
    assert done.returncode in (0, 1, 3) and "xml" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "change,cause",
    [
        ((b"HAAR", b"LBP"), "line 5: is a cascade of LBP features; mien reads those of Haar"),
        ((b"</cascade>", b""), "not XML: </opencv_storage> where <cascade> is open"),
        ((b"<width>20</width>", b""), "line 4: <width> is missing in <cascade>"),
    ],
)
def test_refusals(change: "tuple[bytes, bytes]", cause: str, tmp_path: Path) -> None:
    xml = tmp_path / "bad.xml"
    data = made_cascades.make(3, (20, 20), [2], 1, 0).new_layout()
    assert change[0] in data
    xml.write_bytes(data.replace(*change))
    for arguments in (("image", PHOTO, "--cascade", xml), ("info", xml)):
        done = run(*arguments)
        assert done.returncode == 4 and done.stdout == ""
        assert done.stderr.count("\n") == 1 and f"{xml}: " in done.stderr
        assert cause in done.stderr


def test_xml_is_no_network(tmp_path: Path) -> None:
    xml = tmp_path / "made.xml"
    xml.write_bytes(made_cascades.make(3, (20, 20), [2], 1, 0).new_layout())
    done = run("image", PHOTO, "--emotion", xml)
    assert done.returncode == 4 and "is XML: only the cascade" in done.stderr
