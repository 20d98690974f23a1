#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the real program behave as its help says? Runs it on good, odd and hostile images and looks at exit codes,
at what goes to stdout and what to stderr, at the files it writes, and at what is left behind when it is interrupted.
"""
from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from processes import cpu_seconds, delivered, handles, stopped, waits, wait_until

PHOTOS = Path(__file__).resolve().parent.parent / "data" / "photos"
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"

# 32 x 32, left half red (0, 255, 255, 0), right half cyan (255, 0, 0, 0), with Adobe's marker, so stored inverted.
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAIBgYHBgUIBwcHCQkICgwUDQwLCwwZEhMPFB0aHx4dGhwcICQuJyAiLCMcHCg3KSwwMTQ0NB8nOT04MjwuMzQy/8AAFAgAIAAg"
    "BEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEV"
    "UtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TF"
    "xsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD3+vn+vn+vf6KKKK+AK+/6+/6KKKKK+/6+AK+AKKKKKK+AK+/6+/6KKKKK+/6+AK+A"
    "KKKKKK+AK+/6+/6KKKKK+/6+AK+AKKKKKK+AK+/6+/6KKKKK+/6+AK+AKKKKKK+AK+/6+/6KKKKK/9k="
)
# 32 x 32, two frames: red, blue.
ANIMATED_GIF = base64.b64decode(
    "R0lGODlhIAAgAIEAAP8AAAAAAAAAAAAAACH5BAAKAAAALAAAAAAgACAAAAg1AAEIHEiwoMGDCBMqXMiwocOHECNKnEixosWLGDNq3Mixo8ePIEOKHEmypMmTKFOqXMlSZEAA"
    "IfkEAQoAAQAsAAAAACAAIACBAAD/AAAAAAAAAAAACDUAAQgcSLCgwYMIEypcyLChw4cQI0qcSLGixYsYM2rcyLGjx48gQ4ocSbKkyZMoU6pcyVJkQAA7"
)


def png_chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def make_png(
    width: int, height: int, color_type: int, depth: int, rows: bytes, extra: bytes = b""
) -> bytes:
    """`rows` is every row with its filter byte in front; `extra` are chunks between header and data."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows, 1))
        + png_chunk(b"IEND", b"")
    )


def with_answer(network: Path, unsure_below: float, values: tuple = (), unit: str = "") -> bytes:
    """The file of a network with another section ANSW (docs/FILE_FORMAT.md)."""
    answer = struct.pack("<If8s", int(bool(values)), unsure_below, unit.encode())
    return with_section(network, b"ANSW", answer + struct.pack(f"<{len(values)}f", *values))


def with_section(network: Path, new: bytes, content: bytes) -> bytes:
    """The same with any section, at its end."""
    data = network.read_bytes()
    count, table = struct.unpack_from("<I", data, 12)[0], 32
    sections = []
    for i in range(count):
        tag, offset, size = struct.unpack_from("<4sII", data, table + 16 * i)
        if tag != new:
            sections.append((tag, data[offset : offset + size]))
    sections.append((new, content))
    entries, body = b"", b""
    start = -(-(32 + 16 * len(sections)) // 16) * 16
    for tag, part in sections:
        entries += struct.pack("<4sIII", tag, start + len(body), len(part), 0)
        body += part + bytes(-len(part) % 16)
    size = start + len(body)
    head = data[:12] + struct.pack("<IQ", len(sections), size)
    rest = bytes(4) + entries + body
    return head + struct.pack("<I", zlib.crc32(rest, zlib.crc32(head))) + rest


def plain_png(width: int, height: int, color: tuple[int, int, int] = (120, 130, 140)) -> bytes:
    return make_png(width, height, 2, 8, (b"\0" + bytes(color) * width) * height)


def read_png(data: bytes) -> tuple[int, int, int, list[bytes]]:
    """Width, height, channels and rows of an 8-bit PNG without palette, checksums checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    at, packed, width, height, channels = 8, b"", 0, 0, 0
    while True:
        size, tag = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert (
            zlib.crc32(tag + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        ), "bad checksum"
        at += 12 + size
        if tag == b"IHDR":
            width, height, depth, color_type = struct.unpack(">IIBB", body[:10])
            assert depth == 8
            channels = {0: 1, 2: 3, 4: 2, 6: 4}[color_type]
        elif tag == b"IDAT":
            packed += body
        elif tag == b"IEND":
            break
    raw, stride = zlib.decompress(packed), width * channels
    rows: list[bytes] = []
    before = bytes(stride)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(
            raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)]
        )
        for i in range(stride):
            a = line[i - channels] if i >= channels else 0
            b, c = before[i], before[i - channels] if i >= channels else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        before = bytes(line)
        rows.append(before)
    return width, height, channels, rows


class Runner:
    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder

    def __call__(
        self,
        *arguments: object,
        code: int = 0,
        env: dict[str, str] | None = None,
        **options: object,
    ) -> subprocess.CompletedProcess:
        """Runs mien; the exit code must be `code`, and a failure must be explained in one line on stderr."""
        command = [self.program, *map(str, arguments)]
        result = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            errors="replace",
            env={**os.environ, **(env or {})},
            **options,
        )  # type: ignore[call-overload]
        told = f"{command}\nexit {result.returncode}, not {code}\nstdout: {result.stdout[:2000]}\nstderr: {result.stderr[:2000]}"
        assert result.returncode == code, told
        if code in (1, 2, 3, 4):
            assert result.stderr.startswith("mien: ") and result.stderr.endswith("\n"), told
        for line in result.stderr.splitlines():
            assert line.startswith("mien: "), told
        return result

    def fails(self, *arguments: object, code: int, words: tuple[str, ...], out: str = "") -> None:
        """As above, with exactly one line on stderr that holds all the words, and `out` on stdout."""
        result = self(*arguments, code=code)
        assert result.stderr.count("\n") == 1, f"{arguments}: not one line: {result.stderr}"
        for word in words:
            assert word in result.stderr, f"{arguments}: no '{word}' in: {result.stderr}"
        assert result.stdout == out, f"{arguments}: stdout: {result.stdout}"

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def decoded(self, name: str, data: bytes) -> tuple[int, int, int, list[bytes]]:
        """The image as mien sees it: written back as PNG. It must hold no face."""
        self.write(name, data)
        self("image", name, "-o", "seen.png", "-y")
        return read_png((self.folder / "seen.png").read_bytes())


# ---- tests; each gets a runner with an empty folder ----


@pytest.fixture
def mien(tmp_path: Path) -> Runner:
    return Runner(os.environ["MIEN_TOOL"], tmp_path)


def test_help_and_version(mien: Runner) -> None:
    for arguments in (["--help"], ["-h"], ["help"]):
        assert "Usage: mien" in mien(*arguments).stdout
    for verb in ("image", "classify", "info", "verify", "eval", "bench"):
        text = mien(verb, "--help").stdout
        assert f"Usage: mien {verb}" in text and "Exit code" in text, text
        assert mien("help", verb).stdout == text
    for verb, option in (
        ("camera", "--mjpeg [ADDRESS:]PORT "),
        ("serve", "--listen ADDRESS:PORT "),
        ("image", "--threads COUNT "),
    ):
        text = mien(verb, "--help").stdout
        assert option in text or verb == "serve" and not text, (verb, text)
        assert "\n\n\n" not in text, (verb, text)
    text = mien("image", "--help").stdout
    for words in (
        "(default 1.3)",
        "(default 5)",
        "(default gender)",
        "--dump-crop",
        "--no-gender",
        "--no-age",
    ):
        assert words in text, words
    version = mien("--version").stdout
    assert version.startswith("mien 0.") and "instructions" in version and "compiler" in version


def test_standard_input_and_folders(mien: Runner) -> None:
    photo = (PHOTOS / "astronaut.jpg").read_bytes()
    for arguments, source in ((("-",), "-"), (("-", "-o", "drawn/", "--dump-crop", "crops"), "-")):
        done = subprocess.run(
            [mien.program, "image", *arguments, "--json"],
            input=photo,
            capture_output=True,
            cwd=mien.folder,
            timeout=60,
        )
        result = json.loads(done.stdout)
        assert done.returncode == 0 and result["source"] == source and len(result["faces"]) == 1
    assert os.listdir(mien.folder / "drawn") == ["stdin.png"]
    assert "stdin.face1.emotion.png" in os.listdir(mien.folder / "crops")
    done = subprocess.run(
        [mien.program, "image", "-"], input=b"", capture_output=True, cwd=mien.folder, timeout=60
    )
    assert done.returncode == 3 and b"empty" in done.stderr
    for name in ("10.jpg", "9.jpg"):
        mien.write(f"set/{name}", photo)
    for name in ("._9.jpg", "a.psd"):
        mien.write(f"set/{name}", b"x")
    done = mien("image", "set", "--json")
    assert [json.loads(line)["source"] for line in done.stdout.splitlines()] == [
        "set/9.jpg",
        "set/10.jpg",
    ]
    assert "set: left out 1 file that mien does not read: 1 .psd\n" in done.stderr
    assert mien("image", "set", "--json", "-q").stderr == ""


def test_tables(mien: Runner) -> None:
    shutil.copy(PHOTOS / "montage.jpg", mien.folder / "a, b.jpg")
    mien.write("plain.png", plain_png(60, 50))
    faces = json.loads(mien("image", "a, b.jpg", "--json").stdout)["faces"]
    rows = list(csv.DictReader(io.StringIO(mien("image", "a, b.jpg", "plain.png", "--csv").stdout)))
    assert len(rows) == len(faces) + 1 and rows[-1]["source"] == "plain.png"
    assert set(list(rows[-1].values())[1:]) == {""}
    for number, (row, face) in enumerate(zip(rows, faces)):
        assert (row["source"], row["face"]) == ("a, b.jpg", str(number))
        assert [int(row[k]) for k in ("x", "y", "width", "height")] == list(face["box"].values())
        assert row["emotion"] == face["emotion"]["label"]
        assert float(row["age"]) == face["age"]["value"]
        for head in ("emotion", "gender", "age"):
            for label, p in face[head]["probabilities"].items():
                assert float(row[f"{head}_{label}"]) == p, (head, label)
    mien.fails("image", "plain.png", "--csv", "--json", code=2, words=("--csv",))


def test_faces_made_unrecognizable(mien: Runner) -> None:
    shutil.copy(PHOTOS / "montage.jpg", mien.folder / "group.jpg")
    before = json.loads(mien("image", "group.jpg", "--json").stdout)["faces"]
    assert len(before) > 3
    for option in ("--blur", "--cover"):
        done = mien("image", "group.jpg", option, "-o", "hidden.png", "-y", "--json")
        assert json.loads(done.stdout)["faces"] == before
        # From pixel to pixel nothing changes by much any more, where eyes and mouths were.
        width, _, channels, rows = read_png((mien.folder / "hidden.png").read_bytes())
        assert (width, channels) == (960, 3)
        for face in before:
            for x, y in face["landmarks"]:
                row = rows[int(y)]
                near = row[3 * int(x) - 9 : 3 * int(x) + 12]
                assert max(abs(a - b) for a, b in zip(near, near[3:])) < 30, (option, face)
        mien.fails("image", "group.jpg", option, code=2, words=(option, "--out"))
    assert json.loads(mien("image", "hidden.png", "--json").stdout)["faces"] == []


def test_faces_are_those_of_the_golden_file(mien: Runner) -> None:
    golden = json.loads((PHOTOS.parent.parent / "golden" / "faces.json").read_text())
    photo, faces = PHOTOS / golden["photo"], golden["net"]
    assert json.loads(mien("image", photo, "--json").stdout)["faces"] == faces
    # A frame of a film has more members, but the same ones.
    (mien.folder / "film").mkdir()
    shutil.copy(photo, mien.folder / "film" / photo.name)
    frame = json.loads(mien("video", "film", "--json", "-q").stdout.splitlines()[0])
    same_size = json.loads(mien("image", photo, "--json", "--enlarge-to", "0").stdout)["faces"]
    assert len(frame["faces"]) == len(same_size) == len(faces) == 1
    for live, face in zip(frame["faces"], same_size):
        for name, value in face.items():
            if "probabilities" in (value if isinstance(value, dict) else {}):
                value = {**value, "smoothed": live[name]["smoothed"]}
            assert live[name] == value
    haar = json.loads(mien("image", photo, "--json", "--detector", "haar").stdout)["faces"]
    assert haar == golden["haar"]


AGES = (1, 5, 12, 25, 40, 60, 80)


def test_answers(mien: Runner) -> None:
    """A network that is unsure, and one whose classes are ages."""
    photo, emotion = PHOTOS / "astronaut.jpg", PHOTOS.parents[2] / "weights" / "emotion.mien"
    mien.write("unsure.mien", with_answer(emotion, 1.0))
    mien.write("ages.mien", with_answer(emotion, 0.0, AGES, "years"))
    rest = ("--no-gender", "--no-age")

    def read(*options: str) -> dict:
        return json.loads(mien("image", photo, "--json", *options).stdout)["faces"][0]

    sure = read(*rest)["emotion"]
    assert sure["unsure"] is False
    shy = read("--emotion", "unsure.mien", *rest)["emotion"]
    assert shy == {**sure, "unsure": True}  # the label and the numbers stay
    top = max(sure["probabilities"].values())
    line = mien("image", photo, "--emotion", "unsure.mien", *rest).stdout.splitlines()[-1]
    assert line.endswith(f"  unsure ({sure['label']} {round(100 * top)} %)"), line
    for threshold, unsure in (("0", False), ("1", True)):
        option = ("--min-confidence", threshold)
        assert read("--emotion", "unsure.mien", *option, *rest)["emotion"]["unsure"] is unsure
        assert read(*option, *rest)["emotion"]["unsure"] is unsure
        assert read(*option)["gender"]["unsure"] is unsure

    face = read("--age", "ages.mien", "--min-confidence", "1")
    age, p = face["age"], sure["probabilities"]
    assert list(age) == ["value", "range", "unit", "probabilities"] and age["unit"] == "years"
    assert age["probabilities"] == p and face["emotion"]["label"] == sure["label"]
    assert abs(age["value"] - sum(v * q for v, q in zip(AGES, p.values()))) < 0.06
    low, high = age["range"]
    assert 0 <= low <= age["value"] <= high and low < high
    table = mien("image", photo, "--age", "ages.mien").stdout.splitlines()
    assert table[1].endswith("  expression"), table  # what that network answers, wherever it is
    # Whole years, of numbers that JSON rounds to a tenth.
    whole = re.search(r"  (\d+) \((\d+)-(\d+)\)$", table[2])
    assert whole, table
    for year, number in zip(whole.groups(), (age["value"], low, high)):
        assert abs(int(year) - number) <= 0.55, table
    assert "age" not in read("--age", "ages.mien", "--no-age")
    crop = json.loads(mien("classify", photo, "--json", "--age", "ages.mien", *rest[:1]).stdout)
    assert crop["faces"][0]["age"]["unit"] == "years"

    # Drawn in place of the label, so the drawings differ.
    drawings = []
    for name, options in (
        ("a.png", ()),
        ("b.png", ("--min-confidence", "1")),
        ("c.png", ("--age", "ages.mien")),
    ):
        mien("image", photo, "-q", "-o", name, *options)
        drawings.append((mien.folder / name).read_bytes())
    assert len(set(drawings)) == 3

    (mien.folder / "film").mkdir()
    shutil.copy(photo, mien.folder / "film" / "1.jpg")
    options = ("--age", "ages.mien", "--min-confidence", "1")
    live = json.loads(mien("video", "film", "--json", "-q", *options).stdout.splitlines()[0])
    assert live["schema"] == 2
    live = live["faces"][0]
    assert live["frames"] == 0 and live["emotion"]["unsure"] is True
    assert list(live["age"]) == ["value", "range", "unit", "probabilities", "smoothed"]

    info = json.loads(mien("info", "ages.mien", "--json").stdout)["answer"]
    assert info == {"kind": "quantity", "unit": "years", "values": list(AGES)}
    info = json.loads(mien("info", "unsure.mien", "--json").stdout)["answer"]
    assert info == {"kind": "class", "unsure_below": 1.0}
    assert "a quantity, 1 to 80 years" in mien("info", "ages.mien").stdout
    assert "unsure below a probability of 1\n" in mien("info", "unsure.mien").stdout


def test_usage_errors(mien: Runner) -> None:
    mien.write("a.png", plain_png(40, 40))
    mien.fails(code=2, words=("a verb is missing", "image", "camera", "`mien --help`"))
    mien.fails("man", code=2, words=("did you mean manual?",))
    mien.fails("vid", code=2, words=("did you mean video?",))
    mien.fails("-v", code=2, words=("did you mean --version?",))
    mien.fails("manual", "imgae", code=2, words=("did you mean image?",))
    mien.fails("imgae", "a.png", code=2, words=("imgae", "did you mean image?"))
    mien.fails("--versoin", code=2, words=("did you mean --version?",))
    mien.fails("xyzzyplugh", code=2, words=("unknown verb",))
    mien.fails(
        "image",
        "a.png",
        "--min-fase",
        "3",
        code=2,
        words=("--min-fase", "did you mean --min-face?"),
    )
    mien.fails("image", "a.png", "--emotoin=x", code=2, words=("did you mean --emotion?",))
    mien.fails("bench", "--repaet", "3", code=2, words=("did you mean --repeat?",))
    mien.fails("image", "a.png", "--output=x", code=2, words=("did you mean --out?",))
    mien.fails("image", "a.png", "--min-score=x", code=2, words=("x is no number from 0 to 1",))
    mien.fails("video", "a.mjpg", "--output=x", code=2, words=("did you mean --record?",))
    mien.fails("image", code=2, words=("PHOTO",))
    mien.fails("info", "a", "b", code=2, words=("too many",))
    for option, value in (
        ("--min-face", "x"),
        ("--min-neighbors", "-1"),
        ("--scale-factor", "1.0"),
        ("--scale-factor", "nan"),
        ("--min-confidence", "1.1"),
        ("--min-confidence", "x"),
        ("--style", "blue"),
        ("--isa", "mmx"),
    ):
        mien("image", "a.png", option, value, code=2)
    mien.fails(
        "image", "a.png", "--min-face", "50", "--max-face", "40", code=2, words=("--max-face",)
    )
    mien.fails("image", "a.png", "--json", "--top", code=2, words=("exclude",))
    mien.fails("image", "a.png", "-o", "a.tiff", code=2, words=("a.tiff", ".png"))
    mien.fails("image", "a.png", "a.png", "-o", "b.png", code=2, words=("folder",))


def test_photo(mien: Runner) -> None:
    photo = PHOTOS / "astronaut.jpg"
    result = mien("image", photo)
    assert (
        result.stderr == ""
        and "1 face" in result.stdout
        and "expression" in result.stdout
        and " %" in result.stdout
    )
    assert "\033" not in result.stdout
    data = json.loads(mien("image", photo, "--json").stdout)
    assert data["schema"] == 2 and data["source"] == str(photo) and data["width"] > 100
    assert set(data["timing_ms"]) == {
        "decode",
        "gray",
        "detect",
        "crop",
        "emotion",
        "gender",
        "age",
        "draw",
        "encode",
        "total",
    }
    for face in data["faces"]:
        assert set(face["box"]) == {"x", "y", "width", "height"}
        for head, classes in (("emotion", 7), ("gender", 2)):
            p = face[head]["probabilities"]
            assert len(p) == classes and abs(sum(p.values()) - 1) < 1e-4
            assert p[face[head]["label"]] == max(p.values())
    faces = json.loads(mien("image", photo, "--json", "--no-gender").stdout)["faces"]
    assert faces and all("gender" not in face for face in faces)
    assert "gender" not in mien("image", photo, "--no-gender").stdout
    every = [
        json.loads(mien("image", photo, "--json", "--isa", isa).stdout)["faces"]
        for isa in ("best", "scalar")
    ]
    assert every[0] == every[1]
    mien("image", photo, env={"MIEN_ISA": "scalar"})


def test_detector_options(mien: Runner) -> None:
    photo = PHOTOS / "montage.jpg"

    def boxes(*options: object) -> list[dict[str, int]]:
        return [
            face["box"]
            for face in json.loads(mien("image", photo, "--json", *options).stdout)["faces"]
        ]

    every = boxes("--scale-factor", "1.1", "--min-neighbors", "1")
    assert len(every) >= len(boxes())
    side = sorted(box["width"] for box in every)[len(every) // 2]
    large = boxes("--scale-factor", "1.1", "--min-neighbors", "1", "--min-face", side)
    assert large and all(box["width"] >= side for box in large)
    assert all(
        box["width"] <= side
        for box in boxes("--scale-factor", "1.1", "--min-neighbors", "1", "--max-face", side)
    )
    data = json.loads(mien("image", photo, "--json", "--max-width", "300").stdout)
    assert all(face["box"]["x"] + face["box"]["width"] <= data["width"] for face in data["faces"])


def test_detector_network(mien: Runner) -> None:
    photo = PHOTOS / "astronaut.jpg"
    haar = json.loads(mien("image", "--detector", "haar", "--json", photo).stdout)
    assert "score" not in haar["faces"][0] and "detector" not in haar["models"]
    result = json.loads(mien("image", "--json", photo).stdout)
    assert "cascade" not in result["models"] and result["models"]["detector"]
    (face,) = result["faces"]
    assert 0.7 <= face["score"] <= 1 and face["neighbors"] == 0
    box, points = face["box"], face["landmarks"]
    assert len(points) == 5
    for x, y in points:
        assert box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"]
    right_eye, left_eye, nose, right_mouth, left_mouth = points
    assert right_eye[0] < nose[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert face["emotion"]["label"] == haar["faces"][0]["emotion"]["label"] == "happy"
    # Its options, and those of the other detector.
    assert json.loads(mien("image", "--min-score", "0.99", "--json", photo).stdout)["faces"] == []
    small = mien("image", "--max-face", "40", "--json", photo)
    assert json.loads(small.stdout)["faces"] == []
    for arguments, word in [
        (["--detector", "mtcnn"], "mtcnn"),
        (["--detector", "net", "--min-score", "2"], "--min-score"),
        (["--detector", "net", "--cascade", "x.mien"], "--cascade"),
        (["--detector", "haar", "--net", "x.mien"], "--net"),
        (["--detector", "net", "--min-neighbors", "3"], "--min-neighbors"),
        (["--scale-factor", "1.1", "--min-score", "0.5"], "--scale-factor chooses haar"),
    ]:
        mien.fails("image", *arguments, photo, code=2, words=(word,))
    # An option of Haar's chooses it.
    chosen = [
        json.loads(mien("image", "--json", photo, *arguments).stdout)["faces"]
        for arguments in (
            ["--detector", "haar"],
            ["--scale-factor", "1.3"],
            ["--min-neighbors", "5"],
            ["--cascade", PHOTOS.parents[2] / "weights/haarcascade_frontalface_default.mien"],
        )
    ]
    assert chosen == [haar["faces"]] * 4


def test_faces_turned_chosen_and_pointed_at(mien: Runner) -> None:
    photo = PHOTOS / "astronaut.jpg"
    net = ("image", "--json")
    plain = json.loads(mien(*net, photo).stdout)
    # The score in the table.
    table = mien("image", photo).stdout.splitlines()
    assert "score" in table[1] and f"{plain['faces'][0]['score']:.2f}" in table[2]
    assert "score" not in mien("image", "--detector", "haar", photo).stdout
    # Upside down, by rows of pixels in reverse order.
    width, height, channels, rows = read_png((PHOTOS / "astronaut_320.png").read_bytes())
    assert channels == 3
    turned = [
        b"".join(row[i : i + 3] for i in range(len(row) - 3, -1, -3)) for row in reversed(rows)
    ]
    mien.write("down.png", make_png(width, height, 2, 8, b"".join(b"\0" + row for row in turned)))
    as_it_is = json.loads(mien(*net, "down.png").stdout)["faces"]
    found = mien(*net, "--any-rotation", "down.png", "--dump-crop", "turned")
    (face,) = json.loads(found.stdout)["faces"]
    right_eye, left_eye, nose, right_mouth, _ = face["landmarks"]
    assert right_eye[0] > left_eye[0] and right_eye[1] > nose[1] > right_mouth[1]
    assert all(other["score"] < face["score"] for other in as_it_is)
    up = mien(*net, PHOTOS / "astronaut_320.png", "--dump-crop", "upright")
    (same,) = json.loads(up.stdout)["faces"]
    assert abs(face["score"] - same["score"]) < 0.1
    assert face["emotion"]["label"] == same["emotion"]["label"]
    crops = [
        read_png((mien.folder / name).read_bytes())[3]
        for name in ("turned/down.face1.emotion.png", "upright/astronaut_320.face1.emotion.png")
    ]
    pairs = list(zip(b"".join(crops[0]), b"".join(crops[1])))
    assert sum(abs(a - b) for a, b in pairs) / len(pairs) < 12
    # Which faces, in which order.
    boxes = {}
    montage = PHOTOS / "montage.jpg"
    for options in ((), ("--largest",), ("--max-faces", "2"), ("--largest", "--max-faces", "2")):
        faces = json.loads(mien(*net, *options, montage).stdout)["faces"]
        boxes[options] = [tuple(face["box"].values()) for face in faces]
    every = boxes[()]
    assert len(every) > 2
    by_size = sorted(every, key=lambda box: -box[2] * box[3])
    assert boxes[("--largest",)] == by_size
    assert boxes[("--largest", "--max-faces", "2")] == by_size[:2]
    assert boxes[("--max-faces", "2")] == [box for box in every if box in by_size[:2]]
    haar = json.loads(mien("image", "--detector", "haar", "--largest", "--json", montage).stdout)[
        "faces"
    ]
    sizes = [face["box"]["width"] for face in haar]
    assert len(sizes) > 1 and sizes == sorted(sizes, reverse=True)
    # Landmarks are drawn.
    mien("image", photo, "-o", "plain.png")
    mien("image", "--landmarks", photo, "-o", "dots.png")
    plain_rows, dotted_rows = (
        read_png((mien.folder / name).read_bytes())[3] for name in ("plain.png", "dots.png")
    )
    for x, y in plain["faces"][0]["landmarks"]:
        x, y = int(x), int(y)
        assert plain_rows[y][3 * x : 3 * x + 3] != dotted_rows[y][3 * x : 3 * x + 3]
    for option in ("--landmarks", "--any-rotation"):
        haar = ("image", "--detector", "haar")
        mien.fails(*haar, option, photo, code=2, words=(option, "--detector net"))
    mien.fails("image", "--max-faces", "-1", photo, code=2, words=("--max-faces",))


def test_weights_of_the_other_kind(mien: Runner) -> None:
    photo, weights = PHOTOS / "astronaut.jpg", PHOTOS.parent.parent.parent / "weights"
    for arguments, words in [
        (["--net", weights / "emotion.mien"], "no face detector"),
        (
            ["--detector", "net", "--net", weights / "haarcascade_frontalface_default.mien"],
            "other kind",
        ),
        (["--emotion", weights / "detector.mien"], "gives no classes"),
        (["--cascade", weights / "detector.mien"], "other kind"),
    ]:
        mien.fails("image", *arguments, photo, code=4, words=(str(arguments[-1]), words))


def test_top_lists_the_scores(mien: Runner) -> None:
    result = mien("image", PHOTOS / "astronaut.jpg", "--top")
    lines = result.stdout.splitlines()
    assert len(lines) == 8, lines
    scores = []
    for line in lines[:7]:
        label, rest = line.split(" (score = ")
        assert rest.endswith(")") and len(rest) == 8, line  # 0.81896)
        scores.append(float(rest[:-1]))
    assert scores == sorted(scores, reverse=True)
    assert lines[7] == "The expression of the person is " + lines[0].split()[0]


def test_classify(mien: Runner) -> None:
    mien("image", PHOTOS / "astronaut.jpg", "--dump-crop", "crops")
    names = sorted(os.listdir(mien.folder / "crops"))
    assert names == [f"astronaut.face1.{head}.png" for head in ("age", "emotion", "gender")], names
    width, height, channels, _ = read_png((mien.folder / "crops" / names[0]).read_bytes())
    assert width == height and channels in (1, 3)
    # The dumped crop is exactly what the network was given: classifying it again gives the same numbers.
    found = json.loads(mien("image", PHOTOS / "astronaut.jpg", "--json").stdout)["faces"][0]
    again = json.loads(mien("classify", "crops/" + names[0], "--json").stdout)["faces"][0]
    assert found["emotion"] == again["emotion"]
    assert (
        mien("classify", "crops/" + names[0], "--top")
        .stdout.splitlines()[-1]
        .startswith("The expression of the person is ")
    )
    assert len(mien("classify", "crops").stdout.splitlines()) == 3 * len(names)
    mien.fails(
        "image", PHOTOS / "astronaut.jpg", "--dump-crop", "crops", code=1, words=("exists", "-y")
    )
    mien("image", PHOTOS / "astronaut.jpg", "--dump-crop", "crops", "-y")
    mien("classify", mien.write("one.png", plain_png(1, 1)))  # a crop may have any size


def test_no_face_is_no_error(mien: Runner) -> None:
    mien.write("wall.png", plain_png(200, 100))
    result = mien("image", "wall.png")
    assert "no face found" in result.stdout and result.stderr == ""
    assert json.loads(mien("image", "wall.png", "--json").stdout)["faces"] == []
    assert mien("image", "wall.png", "--top").stdout == "wall.png: no face found\n"


def test_bad_pictures(mien: Runner) -> None:
    good = plain_png(60, 50)
    photo = (PHOTOS / "astronaut.jpg").read_bytes()
    cases: list[tuple[str, bytes, tuple[str, ...]]] = [
        ("empty.jpg", b"", ("empty",)),
        ("bomb.png", make_png(20000, 20000, 2, 8, b""), ("too large", "20000")),
        (
            "bomb.jpg",
            b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3\1\x11\0\2\x11\0\3\x11\0",
            ("too large",),
        ),
        ("bomb.gif", b"GIF89a\xff\xff\xff\xff\0\0\0", ("too large",)),
        ("bomb.ppm", b"P6 20000 20000 255\n", ("too large",)),
        (
            "bomb.bmp",
            b"BM"
            + struct.pack(
                "<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0
            ),
            ("too large",),
        ),
        ("cut.png", good[:-20], ("cut short",)),
        ("cut.jpg", photo[:300], ("cut short",)),
        ("cut.gif", ANIMATED_GIF[:60], ("cut short",)),
        ("cut.ppm", b"P6 30 30 255\n" + bytes(100), ("cut short",)),
        ("bits.png", good[:45] + bytes([good[45] ^ 8]) + good[46:], ("damaged PNG", "checksum")),
        (
            "inflate.png",
            b"\x89PNG\r\n\x1a\n"
            + good[8:33]
            + png_chunk(b"IDAT", b"junk")
            + png_chunk(b"IEND", b""),
            ("damaged PNG",),
        ),
        ("short.png", make_png(60, 50, 2, 8, bytes(99)), ("damaged PNG",)),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ("HEIC",)),
        ("photo.webp", b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0", ("WebP",)),
        ("paper.pdf", b"%PDF-1.7\n", ("PDF",)),
        ("note.txt", b"this is only a text\n", ("text file",)),
        ("noise.jpg", bytes(range(200, 256)) * 9, ("not a picture",)),
    ]
    for name, data, words in cases:
        mien.write(name, data)
        mien.fails("image", name, code=3, words=(name + ":", *words))
    for width, height in ((1, 1), (23, 60)):  # not too small for the network
        tiny = mien.write("tiny.png", plain_png(width, height))
        assert "no face" in mien("image", tiny).stdout
        size = f"{width} x {height}"
        haar = ("image", "--detector", "haar")
        mien.fails(*haar, tiny, code=3, words=("tiny.png: too small: " + size, "24 x 24"))
    mien.fails("image", "absent.jpg", code=3, words=("absent.jpg", "no such file"))
    mien.fails("image", "absent\nnewline.jpg", code=3, words=("absent?newline.jpg",))
    mien.write("empty_folder/readme.md", b"x")
    mien.fails("image", "empty_folder", code=3, words=("empty_folder", "no image"))
    line = mien("image", "cut.png", "--json", code=3).stdout
    assert json.loads(line) == {
        "schema": 2,
        "source": "cut.png",
        "error": json.loads(line)["error"],
    }


def test_faces_are_saved(mien: Runner) -> None:
    shutil.copy(PHOTOS / "astronaut.jpg", mien.folder / "a.jpg")
    done = mien("image", "--json", "a.jpg", "--crops", "faces")
    (face,) = json.loads(done.stdout)["faces"]
    assert face["crop_file"] == "faces/a.face1.png"
    box = face["box"]
    width, height, channels, plain = read_png((mien.folder / face["crop_file"]).read_bytes())
    assert (width, height, channels) == (box["width"], box["height"], 3)
    mien.fails("image", "a.jpg", "--crops", "faces", code=1, words=("a.face1.png", "exists"))
    rows = mien("image", "--csv", "a.jpg", "--crops", "faces", "-y", "--crop-margin", "0.5").stdout
    header, row = rows.splitlines()
    assert header.endswith(",crop_file") and row.endswith(",faces/a.face1.png")
    assert read_png((mien.folder / "faces/a.face1.png").read_bytes())[1] > 1.5 * height
    mien("image", "a.jpg", "--crops", "faces", "-y", "--aligned")
    side, other, _, aligned = read_png((mien.folder / "faces/a.face1.png").read_bytes())
    assert side == other == max(box["width"], box["height"]) and aligned != plain
    # Two files of one name, of which the first has no face; inputs are never replaced.
    mien.write("b/a.png", plain_png(50, 50))
    names = mien("image", "--json", "b/a.png", "a.jpg", "--crops", "more").stdout.splitlines()
    assert json.loads(names[1])["faces"][0]["crop_file"] == "more/a-2.face1.png"
    shutil.copy(PHOTOS / "astronaut.jpg", mien.folder / "more/a.face1.png")
    inputs = ("a.jpg", "more/a.face1.png")
    refused = mien("image", *inputs, "--crops", "more", "-y", code=1).stderr
    assert refused.count("\n") == 1 and "a.face1.png" in refused and "input" in refused
    assert (mien.folder / "more/a.face1.png").read_bytes()[:2] == b"\xff\xd8"
    mien.fails("image", "a.jpg", "--aligned", code=2, words=("--aligned needs --crops",))
    haar = ("--detector", "haar", "--crops", "faces", "--aligned")
    mien.fails("image", "a.jpg", *haar, code=2, words=("--aligned", "network"))


def test_damaged_jpegs_are_read_with_a_warning_or_refused(mien: Runner) -> None:
    photo = (PHOTOS / "astronaut.jpg").read_bytes()
    for name, data, words in [
        ("half.jpg", photo[: len(photo) * 2 // 3], "damaged, part of it is guessed"),
        ("no_end.jpg", photo[:-2], "may be damaged (no end mark)"),
        ("late.jpg", photo[:-2] + b"\x55" * 40 + photo[-2:], "extraneous bytes before marker"),
        ("junk.jpg", b"\r\n" + photo, "bytes before the image: 2"),
    ]:
        mien.write(name, data)
        done = mien("image", "--json", name)
        assert done.stderr.count("\n") == 1 and words in done.stderr, done.stderr
        answer = json.loads(done.stdout)
        assert len(answer["faces"]) == 1 and words in answer["note"]
        mien.fails("image", "--strict", name, code=3, words=(name + ":", words))
    mien.write("whole.jpg", photo + b"bytes behind the end")
    done = mien("image", "--json", "--strict", "whole.jpg")
    assert done.stderr == "" and "note" not in json.loads(done.stdout)


@pytest.mark.inflates
def test_inflating_further_than_announced(mien: Runner) -> None:
    """A small header in front of 300 MB of zeros must not cost 300 MB."""
    mien.write("bomb.png", make_png(30, 30, 2, 8, bytes(300 << 20)))
    command = f"ulimit -v 150000; exec '{mien.program}' image bomb.png"
    if b"__asan_init" in Path(mien.program).read_bytes():
        command = f"exec '{mien.program}' image bomb.png"  # its shadow memory needs more room than any limit gives
    result = subprocess.run(
        ["bash", "-c", command], cwd=mien.folder, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 3 and "bomb.png" in result.stderr, result


def test_odd_pictures(mien: Runner) -> None:
    wide = struct.pack(">HHH", 0x1234, 0x8080, 0xFFEE)
    _, _, _, rows = mien.decoded("deep.png", make_png(30, 30, 2, 16, (b"\0" + wide * 30) * 30))
    assert rows[3][:3] == bytes((0x12, 0x80, 0xFF)), rows[3][:3]
    _, _, _, rows = mien.decoded(
        "gray_alpha.png",
        make_png(30, 30, 4, 8, (b"\0" + bytes((50, 255)) * 15 + bytes((50, 0)) * 15) * 30),
    )
    assert rows[0] == bytes((50, 50, 50)) * 30  # what is transparent counts, too
    palette = png_chunk(b"PLTE", bytes((9, 8, 7, 60, 70, 80)))
    _, _, _, rows = mien.decoded(
        "palette.png", make_png(32, 30, 3, 1, (b"\0" + b"\x0f" * 4) * 30, palette)
    )
    assert rows[0][:3] == bytes((9, 8, 7)) and rows[0][12:15] == bytes((60, 70, 80))
    _, _, _, rows = mien.decoded("cmyk.jpg", CMYK_JPEG)
    left, right = rows[16][:3], rows[16][-3:]
    assert left[0] > 230 and max(left[1:]) < 25 and right[0] < 25 and min(right[1:]) > 230, (
        left,
        right,
    )
    _, _, _, rows = mien.decoded("moving.gif", ANIMATED_GIF)
    assert rows[0][:3] == bytes((255, 0, 0))
    assert "first frame" in mien("image", "moving.gif").stderr
    assert mien("image", "moving.gif", "--quiet").stderr == ""
    bmp = (
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 24, -24, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes((1, 2, 3)) * 24 * 24
    )
    _, _, _, rows = mien.decoded("top_down.bmp", bmp)
    assert rows[0][:3] == bytes((3, 2, 1))
    mien.write("renamed.txt", plain_png(30, 30))
    mien("image", "renamed.txt")  # the contents count, not the name


def test_exif_turns_the_picture(mien: Runner) -> None:
    for orientation in range(1, 9):
        tiff = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0" + bytes([orientation]) + b"\0\0"
        # 40 x 30, black but for one white pixel at the top left.
        first = b"\0" + bytes((255, 255, 255)) + bytes(39 * 3)
        data = make_png(
            40, 30, 2, 8, first + (b"\0" + bytes(40 * 3)) * 29, png_chunk(b"eXIf", tiff)
        )
        width, height, _, rows = mien.decoded("turned.png", data)
        assert (width, height) == ((30, 40) if orientation >= 5 else (40, 30))
        corner = {
            1: (0, 0),
            2: (1, 0),
            3: (1, 1),
            4: (0, 1),
            5: (0, 0),
            6: (1, 0),
            7: (1, 1),
            8: (0, 1),
        }[orientation]
        x, y = corner[0] * (width - 1), corner[1] * (height - 1)
        assert rows[y][x * 3] == 255 and sum(map(sum, rows)) == 3 * 255, orientation


def test_drawn_picture(mien: Runner) -> None:
    photo = PHOTOS / "astronaut.jpg"
    result = mien("image", photo, "-o", "a.png")
    assert result.stderr == ""
    width, height, channels, rows = read_png((mien.folder / "a.png").read_bytes())
    mien("image", photo, "-o", "b.png", "--style", "emotion")
    data = json.loads(mien("image", photo, "--json", "-o", "c.jpg").stdout)
    assert (width, height, channels) == (data["width"], data["height"], 3)
    assert data["timing_ms"]["draw"] > 0 and data["timing_ms"]["encode"] > 0
    box, woman = data["faces"][0]["box"], data["faces"][0]["gender"]["label"] == "woman"
    at = (box["x"] + box["width"] // 2) * 3
    assert rows[box["y"] + 1][at : at + 3] == (bytes((0, 0, 255)) if woman else bytes((255, 0, 0)))
    assert (mien.folder / "a.png").read_bytes() != (mien.folder / "b.png").read_bytes()
    assert (mien.folder / "c.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert stat.S_IMODE(os.stat(mien.folder / "a.png").st_mode) & 0o600 == 0o600


def test_every_verb_has_a_manual_page(mien: Runner) -> None:
    """In a build that leaves verbs out, too; those say how to have them."""
    for verb in ("image", "camera", "serve", "explain", "report", "completion"):
        page = mien("manual", verb).stdout
        assert f".TH MIEN\\-{verb.upper()} 1" in page and ".SH OPTIONS" in page
        result = subprocess.run([mien.program, verb, "--help"], capture_output=True, text=True)
        without = "built without it" in result.stderr
        assert result.returncode == (2 if without else 0)
        assert ("built without it" in page) == without
    assert mien("completion", "bash").stderr == ""


def test_nothing_is_overwritten_without_yes(mien: Runner) -> None:
    mien.write("in.png", plain_png(40, 40))
    kept = mien.write("out.png", b"precious")
    mien.fails("image", "in.png", "-o", "out.png", code=1, words=("out.png", "exists", "-y"))
    assert kept.read_bytes() == b"precious"
    mien("image", "in.png", "-o", "out.png", "-y")
    assert kept.read_bytes()[:4] == b"\x89PNG"
    before = (mien.folder / "in.png").read_bytes()
    mien.fails(
        "image", "in.png", "-o", "in.png", "-y", code=1, words=("in.png", "an input of this run")
    )
    mien.fails(
        "image", "in.png", "-o", "./", "-y", code=1, words=("in.png", "an input of this run")
    )
    assert (mien.folder / "in.png").read_bytes() == before
    assert sorted(os.listdir(mien.folder)) == ["in.png", "out.png"]


def test_no_output_replaces_what_is_read(mien: Runner) -> None:
    """Of every verb that writes: not its input, its data set, its weights, under none of their names."""
    photo = (PHOTOS / "astronaut.jpg").read_bytes()
    arrays = {
        "images": ("|u1", (2, 48, 48), bytes(2 * 48 * 48)),
        "labels": ("|i1", (2,), bytes([0, 1])),
    }
    inputs = {
        "film.avi": photo * 3,
        "set.npz": npz(arrays, True),
        "faces/happy/a.png": plain_png(48, 48),
        "photo.jpg": photo,
        "groups.csv": b"name,age\nrow 0,1\n",
        "net.png": (WEIGHTS / "emotion.mien").read_bytes(),
        "net.avi": (WEIGHTS / "emotion.mien").read_bytes(),
        "frames/f_0.avi": photo,
        "frames/f_1.avi": photo,
    }
    for name, data in inputs.items():
        mien.write(name, data)
    (mien.folder / "link.avi").symlink_to("film.avi")
    (mien.folder / "twin.avi").hardlink_to(mien.folder / "film.avi")
    commands = [
        ("image", "photo.jpg", "--emotion", "net.png", "-o", "net.png"),
        ("image", "faces", "--dump-crop", "faces/happy", "-o", "faces/happy"),
        ("video", "film.avi", "--record", "film.avi"),
        ("video", "film.avi", "--record", "link.avi"),
        ("video", "film.avi", "--record", "twin.avi"),
        ("video", "film.avi", "--emotion", "net.avi", "--record", "net.avi"),
        ("video", "frames/f_%d.avi", "--record", "frames/f_1.avi"),
        ("eval", "set.npz", "--scores", "set.npz"),
        ("eval", "faces", "--scores", "faces/happy/a.png"),
        ("eval", "set.npz", "--model", "net.png", "--scores", "net.png"),
        ("report", "set.npz", "--out", "set.npz"),
        ("report", "set.npz", "--groups", "groups.csv", "--out", "groups.csv"),
        ("report", "faces", "--out", "faces/happy/a.png"),
        ("explain", "photo.jpg", "--out", "photo.jpg"),
        ("explain", "photo.jpg", "--emotion", "net.png", "--out", "net.png"),
    ]
    without = subprocess.run([mien.program, "explain", "none.png"], capture_output=True)
    explains = b"built without" not in without.stderr
    for command in commands:
        if command[0] in ("explain", "report") and not explains:
            continue
        mien.fails(*command, "-y", "-q", code=1, words=("an input of this run",))
        for name, data in inputs.items():
            assert (mien.folder / name).read_bytes() == data, (command, name)
    with open(mien.folder / "film.avi", "rb") as film:
        told = subprocess.run(
            [mien.program, "video", "-", "--record", "film.avi", "-y", "-q"],
            cwd=mien.folder,
            stdin=film,
            capture_output=True,
        )
    assert told.returncode == 1 and b"an input of this run" in told.stderr
    assert (mien.folder / "film.avi").read_bytes() == inputs["film.avi"]
    left = {str(p.relative_to(mien.folder)) for p in mien.folder.rglob("*") if p.is_file()}
    assert left == {*inputs, "link.avi", "twin.avi"}


def test_an_option_of_other_verbs(mien: Runner) -> None:
    """An option that this verb lacks and others have is answered with them; one that other programs have, with ours;
    a misspelt one with the nearest."""
    for arguments, words in (
        (("info", "--crops", "x"), ("unknown option --crops, an option of image;", "mien info")),
        (("eval", "x", "--style=emotion"), ("--style, an option of image", " and ")),
        (("info", "-o", "x"), ("unknown option -o, an option of image",)),
        (("image", "x", "--output", "y"), ("--output, did you mean --out?",)),
        (("image", "x", "--corps", "y"), ("--corps, did you mean --crops?",)),
    ):
        mien.fails(*arguments, code=2, words=words)
    if "--mqtt" in mien("camera", "--help").stdout and mien("serve", "--help").stdout:
        words = ("unknown option --mqtt, an option of camera and video;",)
        mien.fails("serve", "--mqtt", "mqtt://localhost", code=2, words=words)
    mien.fails("image", "x", "--nowhere", code=2, words=("unknown option --nowhere; `mien image",))


def test_a_choice_of_words(mien: Runner) -> None:
    told = ("--style: blue is none of gender, emotion; `mien image --help` shows the options",)
    mien.fails("image", "x", "--style", "blue", code=2, words=told)


def test_optional_values_need_an_equals_sign(mien: Runner) -> None:
    found = 0
    for verb in ("camera", "video"):
        for option in re.findall(r"^  (--[a-z0-9-]+)\[=NAME\]", mien(verb, "--help").stdout, re.M):
            also = ("--mqtt", "mqtt://localhost") if option.startswith("--mqtt") else ()
            told = f"too many arguments: y; a value of {option} needs an equals sign: {option}="
            mien.fails(verb, option, "x", "y", *also, code=2, words=(told + "x",))
            mien.fails(verb, "x", option, "y", *also, code=2, words=(told + "y",))
            told = "too many arguments: y; `mien"
            mien.fails(verb, "x", "y", *also, option, code=2, words=(told,))
            # Of a word that can be no device or film either; a number may be a device.
            told = f"a value of {option} needs an equals sign: {option}=ha; `mien"
            mien.fails(verb, *also, option, "ha", code=2, words=(told,))
            done = subprocess.run(
                [mien.program, verb, *also, option, "no.avi"],
                cwd=mien.folder,
                capture_output=True,
                text=True,
            )
            if "built without" in done.stderr:
                assert done.returncode == 2
            else:
                assert done.returncode == 3 and "no.avi: no such" in done.stderr
            found += 1
    if not found:
        pytest.skip("a build without MQTT and ROS 2")


def test_networks_by_name(mien: Runner) -> None:
    """--emotion large: the file that lies where an installation has it."""
    photo = PHOTOS / "astronaut.jpg"
    there = mien.folder / "usr" / "share" / "mien"
    there.mkdir(parents=True)
    (mien.folder / "usr" / "bin").mkdir()
    real, program = Path(mien.program), mien.folder / "usr" / "bin" / "mien"
    wrapper = real.read_bytes() if real.stat().st_size < 4096 else b""  # for an emulator
    if wrapper.startswith(b"#!"):
        real = Path(re.findall(rb'"(/[^"]+)"', wrapper)[-1].decode())
    shutil.copy(real, program)
    if wrapper:
        script = mien.write("emulated", wrapper.replace(bytes(real), bytes(program)))
        script.chmod(0o755)
        program = script
    installed = Runner(str(program), mien.folder)
    names = {path.stem.partition("-")[2] for path in WEIGHTS.glob("emotion-*.mien")}
    listed = ", ".join(sorted(names))
    assert listed in " ".join(installed("image", "--help").stdout.split())
    installed.fails("image", photo, "--emotion", "large", code=4, words=("emotion-large.mien",))
    for path in WEIGHTS.glob("*-*.mien"):
        shutil.copy(path, there)
    for name in names:
        by_name = json.loads(installed("image", photo, "--json", "--emotion", name).stdout)
        file = WEIGHTS / f"emotion-{name}.mien"
        by_file = json.loads(installed("image", photo, "--json", "--emotion", file).stdout)
        assert {**by_name, "timing_ms": 0} == {**by_file, "timing_ms": 0}
    # A name is not a file of the same name: that is ./large.
    mien.write("large", b"no network")
    assert "large" in installed("image", photo, "--json", "--emotion", "large").stdout
    installed.fails("image", photo, "--emotion", "./large", code=4, words=("./large: not a",))
    (mien.folder / "large").unlink()
    unknown = (f"huge: no such file, and none of {listed}\n",)
    installed.fails("image", photo, "--emotion", "huge", code=4, words=unknown)
    installed.fails("eval", mien.folder, "--model", "huge", code=4, words=unknown)
    installed.fails("image", photo, "--gender", "large", code=4, words=("large: no such file",))
    for name in ("emotion", "emotion-large", "detector", "haarcascade_frontalface_default"):
        told = json.loads(installed("info", name, "--json").stdout)
        kind = "cascade" if name.startswith("haar") else "network"
        assert (told["kind"], told["bytes"]) == (kind, (WEIGHTS / f"{name}.mien").stat().st_size)
    assert "every layer equal" in installed("verify", "emotion-fer2013").stdout
    installed.fails(
        "info", "large", code=3, words=("none of", "detector", "emotion-large", "gender")
    )


def test_a_network_of_another_question(mien: Runner) -> None:
    """The column has the name of what the network answers, not that of its place."""
    photo = PHOTOS / "astronaut.jpg"
    meta = json.dumps({"name": "mine", "task": "hats \x1b[2J"}).encode()
    hats = mien.write("hats.mien", with_section(WEIGHTS / "emotion.mien", b"META", meta))
    table = mien("image", photo, "--emotion", hats).stdout.splitlines()
    assert "  hats ?[2J  " in table[1] and "expression" not in table[1] and "gender" in table[1]
    assert "expression" in mien("image", photo).stdout
    assert (
        mien("image", photo, "--top", "--emotion", hats)
        .stdout.splitlines()[-1]
        .startswith("hats ?[2J: ")
    )


def test_names_that_look_like_options_or_orders(mien: Runner) -> None:
    """Behind -- nothing is an option; what a name says to a terminal does not reach it."""
    mien.write("-x.png", plain_png(40, 40))
    assert "-x.png" in mien("image", "--", "-x.png").stdout
    assert json.loads(mien("image", "--json", "--", "-x.png").stdout)["source"] == "-x.png"
    mien.fails("image", "-x.png", code=2, words=("unknown option -x",))
    mien.fails("info", "--", "-x.png", "more", code=2, words=("too many arguments: more",))
    for name in ("a\x1b[2J.png", "b\u009b2J.png", "c\rd.png"):
        mien.write(name, plain_png(40, 40))
        for arguments in (("image", name), ("image", "--top", name)):
            shown = mien(*arguments).stdout
            assert "?" in shown, shown
            assert not any(c in shown for c in "\x1b\u009b\r"), shown


def test_unwritable_output(mien: Runner) -> None:
    mien.write("in.png", plain_png(40, 40))
    mien.write("file", b"x")
    mien.fails(
        "image", "in.png", "-o", "no/such/a.png", code=1, words=("no/such/a.png", "no such folder")
    )
    mien.fails("image", "in.png", "-o", "file/a.png", code=1, words=("file/a.png", "cannot write"))
    mien.fails("image", "in.png", "-o", "file/sub/", code=1, words=("file/sub", "folder"))
    mien.fails("image", "in.png", "-o", "/dev/full", code=1, words=("/dev/full", "no space"))
    mien("image", "in.png", "-o", "/dev/null")
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [mien.program, "image", "in.png"],
            cwd=mien.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1 and "standard output" in result.stderr, result
    if os.geteuid() != 0:
        locked = mien.folder / "locked"
        locked.mkdir()
        locked.chmod(0o500)
        mien.fails(
            "image", "in.png", "-o", "locked/a.png", code=1, words=("locked/a.png", "no permission")
        )
        locked.chmod(0o700)
    assert not [name for name in os.listdir(mien.folder) if ".part" in name]


def test_batch(mien: Runner) -> None:
    for name in ("photos/b.png", "photos/a.PNG", "photos/sub/c.png"):
        mien.write(name, plain_png(50, 40))
    mien.write("photos/broken.jpg", b"\xff\xd8\xff\xe0")
    mien.write("photos/note.txt", b"no picture")
    (mien.folder / "photos" / "dangling.png").symlink_to("nowhere.png")
    (mien.folder / "photos" / "sub" / "loop").symlink_to("..")
    result = mien("image", "photos", "--json", "-o", "results", code=3)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["source"] for line in lines] == [
        "photos/a.PNG",
        "photos/b.png",
        "photos/broken.jpg",
        "photos/dangling.png",
        "photos/sub/c.png",
    ]
    assert ["error" in line for line in lines] == [False, False, True, True, False]
    said = result.stderr.splitlines()
    assert len(said) == 3, said
    for line, words in zip(said, ("1 .txt", "broken.jpg", "dangling.png")):
        assert words in line, said
    assert sorted(os.listdir(mien.folder / "results")) == ["a.png", "b.png", "c.png"]
    mien("image", "photos/b.png", "absent.png", "photos/a.PNG", code=3)
    if os.geteuid() != 0:
        (mien.folder / "photos" / "sub").chmod(0)
        mien("image", "photos", code=3)
        (mien.folder / "photos" / "sub").chmod(0o700)


def test_same_names_do_not_collide(mien: Runner) -> None:
    for index, name in enumerate(("x/face.png", "y/face.png", "z/Face.png", "face-2.png")):
        mien.write(name, plain_png(40 + index, 40))
    mien("image", "x/face.png", "y/face.png", "z/Face.png", "face-2.png", "-o", "out/")
    sizes = {
        name: read_png((mien.folder / "out" / name).read_bytes())[0]
        for name in os.listdir(mien.folder / "out")
    }
    assert sizes == {"face.png": 40, "face-2.png": 41, "Face-3.png": 42, "face-2-2.png": 43}, sizes


def test_interrupt(mien: Runner) -> None:
    shutil.copy(PHOTOS / "montage.jpg", mien.folder / "p.jpg")
    names = []
    for index in range(300):
        os.link(mien.folder / "p.jpg", mien.folder / f"p{index}.jpg")
        names.append(f"p{index}.jpg")
    process = subprocess.Popen(
        [mien.program, "image", *names, "-o", "out/"],
        cwd=mien.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, errors)
    assert errors == b"", errors
    written = os.listdir(mien.folder / "out")
    assert 0 < len(written) < 300
    for name in written:
        assert (
            name.endswith(".jpg") and (mien.folder / "out" / name).read_bytes()[-2:] == b"\xff\xd9"
        ), name


@pytest.mark.signals
def test_interrupt_while_waiting_for_a_pipe(mien: Runner) -> None:
    """A pipe that says nothing."""
    os.mkfifo(mien.folder / "pipe.png")
    process = subprocess.Popen(
        [mien.program, "image", "pipe.png"], cwd=mien.folder, stderr=subprocess.PIPE
    )
    with open(mien.folder / "pipe.png", "wb"):
        wait_until(lambda: handles(process.pid, signal.SIGINT) and waits(process.pid))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b""), (process.returncode, errors)
    # ... also when the signal comes between two waits: here the writer and the signal find it stopped.
    process = subprocess.Popen(
        [mien.program, "image", "pipe.png"], cwd=mien.folder, stderr=subprocess.PIPE
    )
    wait_until(lambda: handles(process.pid, signal.SIGINT) and waits(process.pid))
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: stopped(process.pid))
    with open(os.open(mien.folder / "pipe.png", os.O_RDWR), "wb"):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b""), (process.returncode, errors)


def test_second_interrupt_ends_at_once(mien: Runner) -> None:
    mien.write("large.png", plain_png(6000, 5000))
    process = subprocess.Popen(
        [mien.program, "image", "large.png", "-o", "out.png", "--scale-factor", "1.01"],
        cwd=mien.folder,
    )
    # At work: the image is being searched, which takes minutes.
    wait_until(lambda: handles(process.pid, signal.SIGINT) and cpu_seconds(process.pid) > 0.5)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: delivered(process.pid, signal.SIGINT))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    # Had it not ended at once, the image would have been finished and written.
    assert os.listdir(mien.folder) == ["large.png"]


def test_closed_pipe_is_quiet(mien: Runner) -> None:
    mien.write("in.png", plain_png(40, 40))
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [mien.program, "image", *["in.png"] * 5],
        cwd=mien.folder,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert result.returncode == 141 and result.stderr == b"", result


def test_pipe_as_input(mien: Runner) -> None:
    os.mkfifo(mien.folder / "pipe.png")
    process = subprocess.Popen(
        [mien.program, "image", "pipe.png"], cwd=mien.folder, stdout=subprocess.PIPE
    )
    (mien.folder / "pipe.png").write_bytes(plain_png(300, 200))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and b"300 x 200" in output


def test_weights(mien: Runner) -> None:
    path = Path(__file__).resolve().parents[2] / "weights" / "emotion.mien"
    data = path.read_bytes()
    mien.write("in.png", plain_png(40, 40))
    mien("image", "in.png", "--emotion", path, "--gender", path)
    mien.write("cut.mien", data[:-9])
    mien.write("changed.mien", data[:500] + bytes([data[500] ^ 1]) + data[501:])
    mien.write("keras.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(99))
    mien.write("old.xml", b"<?xml version='1.0'?><opencv_storage>")
    mien.write("empty.mien", b"")
    for name, word in (
        ("cut.mien", "cut short"),
        ("changed.mien", "altered"),
        ("keras.hdf5", "convert_keras"),
        ("empty.mien", "empty"),
        ("in.png", "not a weights file"),
        ("absent.mien", "no such file"),
    ):
        for option in ("--emotion", "--gender", "--cascade"):
            mien.fails("image", "in.png", option, name, code=4, words=(name, word))
        if name != "absent.mien":
            mien.fails("info", name, code=4, words=(name, word))
            mien.fails("verify", name, code=4, words=(name, word))
    cut_xml = "old.xml: line 1: cut short: <opencv_storage> has no end"
    mien.fails("image", "in.png", "--cascade", "old.xml", code=4, words=(cut_xml,))
    mien.fails("info", "old.xml", code=4, words=(cut_xml,))
    mien.fails("image", "in.png", "--gender", "old.xml", code=4, words=("old.xml: is XML",))
    mien.fails("verify", "old.xml", code=4, words=("old.xml: is XML",))
    mien.fails("info", "absent.mien", code=3, words=("absent.mien", "no such file"))
    mien.fails("image", "in.png", "--cascade", path, code=4, words=("other kind",))
    info = json.loads(mien("info", path, "--json").stdout)
    assert info["kind"] == "network" and len(info["labels"]) == 7 and len(info["layers"]) > 3
    assert info["macs"] == sum(layer["macs"] for layer in info["layers"])
    assert "angry" in mien("info", path).stdout
    cascade = path.parent / "haarcascade_frontalface_default.mien"
    info = json.loads(mien("info", cascade, "--json").stdout)
    assert (info["kind"], info["stages"], info["window"]) == (
        "cascade",
        25,
        {"width": 24, "height": 24},
    )
    mien("info", cascade)
    assert "ok" in mien("verify", path).stdout
    mien.fails("verify", cascade, code=4, words=("cascade",))


def costly_network() -> bytes:
    """100 means over 255 x 255 of 1024 x 1024: a valid file of 10 kB that would run for minutes."""
    side, count = 1024, 100
    layer = struct.Struct("<4B4B4BHHHHHHIIIfI20x")

    def pool(number: int) -> bytes:
        return layer.pack(
            *(4, 0, 0, 0, 255, 255, 1, 1, 127, 127, 127, 127),
            *(number, 0xFFFF, side, side, 1, 0, 0, 0, 0, 1.0, 0),
        )

    head = layer.pack(
        *(8, 0, 1, 0, 1, 1, 255, 255, 0, 0, 0, 0),
        *(count, 0xFFFF, 5, 5, 2, 0, 0, 0, 0, 0.0, 0),
    )
    sections = {
        b"INPT": struct.pack(
            "<IIIfffffIIBBHI", side, side, 1, 1 / 127.5, -1, 1 / 127, 0, 0, 2, 1, 0, 0, 0, 0
        ),
        b"LAYR": b"".join(pool(i) for i in range(count)) + head,
        b"WGHT": b"\1\2",
        b"BIAS": bytes(8),
        b"SCAL": struct.pack("<ff", 0.01, 0.01),
        b"NAME": b"layer\0",
        b"LABL": b"no\0yes\0",
        b"META": b"{}",
        b"TEST": bytes(4),
    }
    table = body = b""
    start = (32 + 16 * len(sections) + 15) // 16 * 16
    for tag, data in sections.items():
        table += tag + struct.pack("<III", start + len(body), len(data), 0)
        body += data + bytes(-len(data) % 16)
    rest = table + bytes(-(32 + len(table)) % 16) + body
    front = (
        b"MIEN"
        + struct.pack("<HH", 1, 0)
        + b"NETW"
        + struct.pack("<IQ", len(sections), 32 + len(rest))
    )
    crc = zlib.crc32(bytes(4) + rest, zlib.crc32(front))
    return front + struct.pack("<II", crc, 0) + rest


def test_a_network_that_costs_too_much(mien: Runner) -> None:
    mien.write("slow.mien", costly_network())
    mien.write("in.png", plain_png(40, 40))
    words = ("slow.mien", "6818", "million operations", "MiB", "--network-limit 682")
    for command in (
        ("image", "in.png", "--emotion", "slow.mien"),
        ("classify", "in.png", "--gender", "slow.mien"),
        ("info", "slow.mien"),
        ("verify", "slow.mien"),
    ):
        mien.fails(*command, code=4, words=words)
    info = json.loads(mien("info", "slow.mien", "--json", "--network-limit", "682").stdout)
    assert info["cost"]["operations"] == 100 * 255**2 * 1024**2 + 5 * 5 * 2
    mien.fails("info", "slow.mien", "--network-limit", "681", code=4, words=words)
    assert "operations" in mien("info", "slow.mien", "--network-limit", "682").stdout
    mien.fails("image", "in.png", "--network-limit", "0", code=2, words=("--network-limit",))
    small = Path(__file__).resolve().parents[2] / "weights" / "emotion.mien"
    mien.fails(
        *("classify", "in.png", "--emotion", small, "--network-limit", "0.0005"),
        code=4,
        words=("emotion.mien", "too costly"),
    )


def test_bench(mien: Runner) -> None:
    for detector, rate in (("net", "pixels/s"), ("haar", "windows/s")):
        text = mien("bench", "--repeat", "2", "--detector", detector).stdout
        for word in ("gray", "detect", "emotion", "GMAC/s", rate, "peak", "median"):
            assert word in text, word
    data = json.loads(
        mien("bench", PHOTOS / "astronaut.jpg", "--repeat", "3", "--json", "--isa", "scalar").stdout
    )
    assert data["isa"] == "scalar" and data["faces"] >= 1 and data["peak_rss_bytes"] > 1 << 20
    assert (
        data["ms"]["detect"]["min"] <= data["ms"]["detect"]["median"] <= data["ms"]["detect"]["p95"]
    )
    mien.fails("bench", "absent.png", code=3, words=("absent.png",))


def npz(arrays: dict[str, tuple[str, tuple[int, ...], bytes]], deflate: bool) -> bytes:
    """An .npz as NumPy writes it, of (type, shape, bytes)."""
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    ) as archive:
        for name, (kind, shape, data) in arrays.items():
            header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
            header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
            archive.writestr(
                f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
            )
    return packed.getvalue()


def test_eval(mien: Runner) -> None:
    labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    # The same three images as a folder, a stored and a packed .npz; what they show is what classify says.
    shades = [30, 120, 220]
    answers = []
    for k, shade in enumerate(shades):
        name = mien.write(
            f"faces/{('Anger', '3_happy', 'neutral')[k]}/{k}.png",
            plain_png(48, 48, (shade, shade, shade)),
        )
        answers.append(
            json.loads(mien("classify", name, "--json", "--no-gender").stdout)["faces"][0][
                "emotion"
            ]["label"]
        )
    true = ["angry", "happy", "neutral"]
    pixels = b"".join(bytes([shade]) * 48 * 48 for shade in shades)
    arrays = {
        "images": ("|u1", (3, 48, 48), pixels),
        "labels": ("<i8", (3,), struct.pack("<3q", 0, 3, 6)),
        "split": ("|u1", (3,), bytes([0, 2, 2])),
    }
    mien.write("packed.npz", npz(arrays, True))
    mien.write("stored.npz", npz(arrays, False))
    results = [
        json.loads(mien("eval", source, "--json").stdout)
        for source in ("faces", "packed.npz", "stored.npz")
    ]
    for result in results:
        assert result["count"] == 3 and result["classes"] == labels
        assert result["accuracy"] == sum(a == t for a, t in zip(answers, true)) / 3
        for answer, label in zip(answers, true):
            assert result["confusion"][labels.index(label)][labels.index(answer)] >= 1
        assert {**result, "source": ""} == {**results[0], "source": ""}
    assert json.loads(mien("eval", "packed.npz", "--split", "test", "--json").stdout)["count"] == 2
    # A long run tells a log how far it is, every 30 s.
    for extra, seconds, told in (((), "0", True), (("-q",), "0", False), ((), "1000", False)):
        done = mien("eval", "stored.npz", *extra, env={"MIEN_PROGRESS_SECONDS": seconds})
        assert ("image 0 of 3" in done.stderr) == told, done.stderr
    text = mien("eval", "faces").stdout
    low, high = re.search(r"% of 3 \(95 % interval: ([0-9.]+) to ([0-9.]+)\), ", text).groups()
    assert [float(low) / 100, float(high) / 100] == pytest.approx(
        results[0]["accuracy_interval"], abs=1e-4
    )
    mien("eval", "faces", "--scores", "scores.csv")
    lines = (mien.folder / "scores.csv").read_text().splitlines()
    assert lines[0] == "picture,label," + ",".join(labels) and len(lines) == 4
    assert abs(sum(map(float, lines[1].split(",")[2:])) - 1) < 1e-5
    mien.fails(
        "eval", "faces", "--scores", "scores.csv", code=1, words=("scores.csv", "exists already")
    )
    # What cannot be read is told and left out; what is no class too.
    mien.write("faces/happy/broken.png", b"no picture")
    mien.write("faces/kitten/1.png", plain_png(48, 48))
    told = mien("eval", "faces", "--json", code=3)
    assert json.loads(told.stdout)["count"] == 3 and json.loads(told.stdout)["unreadable"] == 1
    assert "broken.png" in told.stderr and "kitten" in told.stderr
    for name, data, word in (
        ("cut.npz", npz(arrays, True)[:-30], "cut short"),
        ("none.npz", b"", "not an .npz"),
        ("bare.npz", npz({"a": arrays["images"]}, True), "no `labels`"),
        (
            "type.npz",
            npz({"images": ("<f4", (1, 1, 1), bytes(4)), "labels": ("|u1", (1,), b"\0")}, True),
            "not u8",
        ),
        (
            "few.npz",
            npz({**arrays, "labels": ("|u1", (2,), b"\0\0")}, True),
            "with a label for each",
        ),
        (
            "label.npz",
            npz({**arrays, "labels": ("|u1", (3,), b"\x09\x09\x09")}, True),
            "outside the classes",
        ),
    ):
        mien.write(name, data)
        mien.fails("eval", name, code=3, words=(name, word))
    mien.write("empty/x.txt", b"")
    mien.fails("eval", "empty", code=3, words=("no labeled image",))
    mien.fails("eval", "faces", "--split", "test", code=3, words=("no sub-folders test",))
    mien.fails("eval", "stored.npz", "--model", "absent.mien", code=4, words=("absent.mien",))
