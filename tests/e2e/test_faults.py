#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is anything lost when the disk fails? Each system call that brings an output to the disk fails
once, in each of several ways (tests/tools/faults.c), for every verb that writes a file. Then the old
file is there whole, or the new one; inputs are as they were; the exit code says so.
"""
from __future__ import annotations

import io
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

MIEN = os.environ.get("MIEN_TOOL", "")
HERE = Path(__file__).resolve().parent
PHOTO = (HERE.parent / "data" / "photos" / "grace_hopper.jpg").read_bytes()
OLD = b"the file of an earlier run\n"
KINDS = ("ENOSPC", "EIO", "EINTR", "short")


def npz() -> bytes:
    """Two faces of 48 x 48."""
    file = io.BytesIO()
    arrays = {
        "images": ("|u1", (2, 48, 48), bytes(i * i % 251 for i in range(2 * 48 * 48))),
        "labels": ("|i1", (2,), bytes([0, 3])),
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, (kind, shape, data) in arrays.items():
            text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
            head = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
            archive.writestr(name + ".npy", head + data)
    return file.getvalue()


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = HERE.parent / "tools" / "faults.c"
    built = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(built, check=True)
    return library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    (tmp_path / "film.mjpg").write_bytes(PHOTO * 3)
    (tmp_path / "set.npz").write_bytes(npz())
    return tmp_path


def whole_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")


def whole_jpeg(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")


def frames_of_avi(data: bytes) -> int:
    """Of an AVI whose sizes are right; -1 for any other."""
    if len(data) < 224 or data[:4] != b"RIFF" or data[8:12] != b"AVI ":
        return -1
    told = struct.unpack_from("<I", data, 48)[0]
    at, found = 224, 0
    while at + 8 <= len(data) and data[at : at + 4] == b"00dc":
        size = struct.unpack_from("<I", data, at + 4)[0]
        if not whole_jpeg(data[at + 8 : at + 8 + size]):
            return -1
        at += 8 + size + size % 2
        found += 1
    return found if found == told else -1


def whole_avi(data: bytes) -> bool:
    return frames_of_avi(data) == 3 and b"idx1" in data


VERBS = {
    "png": (("image", "photo.jpg", "-o", "out.png"), whole_png),
    "jpeg": (("image", "photo.jpg", "-o", "out.jpg"), whole_jpeg),
    "scores": (
        ("eval", "set.npz", "--scores", "out.csv"),
        lambda data: data.count(b"\n") == 3 and data.endswith(b"\n"),
    ),
    "report": (
        ("report", "set.npz", "--out", "out.html"),
        lambda data: data.rstrip().endswith(b"</html>"),
    ),
    "explain": (("explain", "photo.jpg", "--out", "out.png"), whole_png),
    "record": (("video", "film.mjpg", "--record", "out.avi"), whole_avi),
}


def has_verb(verb: str) -> bool:
    told = subprocess.run([MIEN, verb, "none.png"], capture_output=True)
    return b"built without" not in told.stderr


class Run:
    """One run with a fault; `happened` is the name of the call that failed, or empty."""

    def __init__(self, faults: Path, folder: Path, command: tuple, at: int, kind: str, **more):
        note = folder / "note"
        # A sanitizer's runtime has to be the first library, so it is told not to mind.
        env = {
            **os.environ,
            "LD_PRELOAD": str(faults),
            "FAULT_AT": str(at),
            "FAULT_KIND": kind,
            "FAULT_NOTE": str(note),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }
        more.setdefault("stdout", subprocess.PIPE)
        self.done = subprocess.run(
            [MIEN, *command], cwd=folder, env=env, stderr=subprocess.PIPE, **more
        )
        self.code, self.told = self.done.returncode, self.done.stderr.decode(errors="replace")
        self.happened = note.read_text() if note.exists() else ""
        note.unlink(missing_ok=True)


@pytest.mark.parametrize("exists", (False, True), ids=("new", "old"))
@pytest.mark.parametrize("name", VERBS)
def test_each_call_fails_once(faults: Path, folder: Path, name: str, exists: bool) -> None:
    command, whole = VERBS[name]
    if not has_verb(command[0]):
        pytest.skip("this program was built without it")
    out = folder / command[-1]
    inputs = {path.name: path.read_bytes() for path in folder.iterdir()}
    failed: set[str] = set()
    for kind in KINDS:
        for at in range(1, 100):
            out.unlink(missing_ok=True)
            if exists:
                out.write_bytes(OLD)
            run = Run(faults, folder, (*command, "-y", "-q"), at, kind)
            what = f"{kind}, call {at} ({run.happened}): exit {run.code}, {run.told!r}"
            if not run.happened:
                assert run.code == 0 and whole(out.read_bytes()), what
                break
            left = {path.name: path.read_bytes() for path in folder.iterdir()}
            for path, data in inputs.items():
                assert left.pop(path) == data, f"{what}: {path} has changed"
            data = left.pop(out.name, None)
            if run.code == 0:
                assert whole(data), f"{what}: not whole"
                assert not left, f"{what}: left {list(left)}"
                continue
            failed.add(run.happened)
            assert run.code == 1, what
            assert run.told.startswith("mien: ") and run.told.count("\n") == 1, what
            assert command[-1] in run.told, f"{what}: does not name the file"
            if name == "record":
                # What was recorded until then is kept and can be played: in the file itself, or
                # beside the old one, which the message then names.
                kept = []
                for path in [path for path in left if path in run.told]:
                    kept.append(left.pop(path))
                    (folder / path).unlink()
                if not exists:
                    kept += [data] if data is not None else []
                else:
                    assert data == OLD or whole(data), f"{what}: the old one is lost"
                assert all(frames_of_avi(film) >= 0 for film in kept), f"{what}: cannot be played"
            else:
                assert data == (OLD if exists else None) or whole(data), f"{what}: damaged"
            assert not left, f"{what}: left {list(left)}"
        else:
            pytest.fail("its faults do not end")
    # The test is none if no call failed the run.
    assert "write" in failed, failed
    if exists:
        assert "rename" in failed and "fsync" in failed, failed


@pytest.mark.parametrize("kind", KINDS)
def test_results_on_standard_output(faults: Path, folder: Path, kind: str) -> None:
    """A result that did not come to the file of a redirection is told."""
    for command in (("image", "--json", "photo.jpg"), ("video", "film.mjpg", "--json", "-q")):
        with open(folder / "all", "wb") as file:
            assert subprocess.run([MIEN, *command], cwd=folder, stdout=file).returncode == 0
        wanted = (folder / "all").read_bytes()
        (folder / "all").unlink()
        seen = 0
        for at in range(1, 100):
            with open(folder / "results", "wb") as file:
                run = Run(faults, folder, command, at, kind, stdout=file)
            what = f"{command[0]}, {kind}, call {at} ({run.happened}): {run.code}, {run.told!r}"
            if not run.happened:
                break
            seen += 1
            if run.code == 0:
                # times differ in their number of digits
                text = (folder / "results").read_bytes()
                assert abs(len(text) - len(wanted)) < 200, f"{what}: {len(text)} bytes"
                assert text.endswith(b"\n") and text.count(b"\n") == wanted.count(b"\n"), what
            else:
                assert run.code == 1 and re.search("standard output|results", run.told), what
        assert seen > 0, command


@pytest.mark.parametrize("name", ("image", "record"))
def test_kills_at_random_moments(name: str) -> None:
    """A few of the thousand of tests/tools/kills.py."""
    command = [sys.executable, str(HERE.parent / "tools" / "kills.py"), "--mien", MIEN]
    done = subprocess.run(
        [*command, "--count", "15", "--only", name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 killed" in done.stdout and "nothing damaged" in done.stdout, done.stdout
