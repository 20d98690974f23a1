#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Films as phones, discs and screen recorders store them: on their side, with pixels that are not
square, at no even rate. What needs FFmpeg is skipped where the program was built without it."""
from __future__ import annotations

import json
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

PHOTOS = pathlib.Path(__file__).resolve().parent.parent / "data" / "photos"
MIEN = os.environ["MIEN_TOOL"]


def run(*arguments, data=b"", timeout=120):
    return subprocess.run(
        [MIEN, *map(str, arguments)], input=data, capture_output=True, timeout=timeout
    )


def frames_of(*arguments, data=b""):
    done = run("video", *arguments, "--json", "-q", data=data)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]["summary"]


def the_face(frame):
    assert len(frame["faces"]) == 1, frame
    return frame["faces"][0]["box"]


def near(box, other, share=0.15):
    """The middle of a box, and its size, within a share of its width."""
    ends = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2, b["width"]) for b in (box, other)]
    return all(abs(a - b) < share * box["width"] for a, b in zip(*ends))


def y4m(width, fields, count=2):
    """The astronaut in gray, `width` pixels wide and 512 high, as YUV4MPEG2."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    gray = image.open(PHOTOS / "astronaut.jpg").convert("L").resize((width, 512))
    head = f"YUV4MPEG2 W{width} H512 F25:1 {fields} Cmono\n".encode()
    return head + (b"FRAME\n" + gray.tobytes()) * count


@pytest.mark.parametrize("width, aspect", [(360, "64:45"), (1024, "1:2")])
def test_pixels_that_are_not_square(width, aspect):
    square, _ = frames_of("-", data=y4m(512, "A1:1"))
    assert "stored" not in square[0]
    frames, summary = frames_of("-", data=y4m(width, "A" + aspect))
    assert [(f["width"], f["height"]) for f in frames] == [(512, 512)] * 2
    stored = {
        "width": width,
        "height": 512,
        "pixel_aspect": [int(part) for part in aspect.split(":")],
        "orientation": 1,
    }
    assert frames[0]["stored"] == stored and summary["stored"] == stored
    assert near(the_face(square[0]), the_face(frames[0]))
    # The option leaves them; what is no ratio, or beyond 8:1, counts for nothing.
    left, summary = frames_of("-", "--as-stored", data=y4m(width, "A" + aspect))
    assert (left[0]["width"], "stored" in left[0], "stored" in summary) == (width, False, False)
    for nonsense in ("A0:0", "A1:1", "A1000000:1", "A-4:3", "A", "A7"):
        same, _ = frames_of("-", data=y4m(512, nonsense, 1))
        assert same[0]["faces"] == square[0]["faces"] and same[0]["width"] == 512


def test_stretched_then_turned(tmp_path):
    record = tmp_path / "out.avi"
    frames, _ = frames_of(
        "-", "--rotate", "90", "--record", record, data=y4m(300, "A64:45")
    )  # 300 -> 427
    assert (frames[0]["width"], frames[0]["height"]) == (512, 427)
    assert struct.unpack_from("<2I", record.read_bytes(), 64) == (512, 427)
    said = run("video", "-", data=y4m(360, "A64:45")).stderr.decode()
    assert "frames of 360 x 512 are shown as 512 x 512" in said


# ---- films by FFmpeg


@pytest.fixture(scope="module")
def ffmpeg(tmp_path_factory):
    """Runs ffmpeg; a film of the astronaut is "astronaut.mp4" in its folder."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "none.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    if b"without FFmpeg" in run("video", folder / "none.mp4", "-q").stderr:
        pytest.skip("this program was built without FFmpeg (make desktop)")
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")

    def ffmpeg(*arguments):
        command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(command, check=True, cwd=folder)
        return folder / arguments[-1]

    ffmpeg.folder = folder
    photo = ("-loop", "1", "-framerate", "10", "-i", PHOTOS / "astronaut.jpg", "-frames:v", "4")
    ffmpeg(*photo, "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-q:v", "2", "astronaut.mp4")
    return ffmpeg


def with_matrix(film, matrix):
    """The film with another display matrix in its track's header: a, b, c, d in whole numbers."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return bytes(data)


# What a film that is turned so has to do, and FFmpeg's filter that stores it that way.
TURNS = {
    6: ((0, 1, -1, 0), "transpose=cclock"),
    3: ((-1, 0, 0, -1), "hflip,vflip"),
    8: ((0, -1, 1, 0), "transpose=clock"),
    2: ((-1, 0, 0, 1), "hflip"),
    4: ((1, 0, 0, -1), "vflip"),
    5: ((0, 1, 1, 0), "transpose=cclock_flip"),
    7: ((0, -1, -1, 0), "transpose=clock_flip"),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_films_on_their_side(ffmpeg, orientation):
    matrix, undone = TURNS[orientation]
    crop = "crop=480:512:16:0"  # neither square nor even in both halves
    upright = ffmpeg("-i", "astronaut.mp4", "-vf", crop, "-c:v", "mpeg4", "-q:v", "2", "u.mp4")
    film = ffmpeg(
        *("-i", "astronaut.mp4", "-vf", f"{crop},{undone}", "-c:v", "mpeg4", "-q:v", "2"),
        f"stored{orientation}.mp4",
    )
    film.write_bytes(with_matrix(film, matrix))
    expected, _ = frames_of(upright)
    record = ffmpeg.folder / f"out{orientation}.avi"
    frames, summary = frames_of(film, "--record", record, "-y")
    assert len(frames) == len(expected) == 4
    for frame, wanted in zip(frames, expected):
        assert (frame["width"], frame["height"]) == (480, 512)
        assert near(the_face(wanted), the_face(frame), 0.1)
    lies = orientation >= 5
    assert summary["stored"] == {
        "width": 512 if lies else 480,
        "height": 480 if lies else 512,
        "pixel_aspect": [1, 1],
        "orientation": orientation,
    }
    assert struct.unpack_from("<2I", record.read_bytes(), 64) == (480, 512)
    left, _ = frames_of(film, "--as-stored")
    assert (left[0]["width"], left[0]["height"]) == ((512, 480) if lies else (480, 512))
    # The user's turn comes on top.
    more, _ = frames_of(film, "--rotate", "90")
    assert (more[0]["width"], more[0]["height"]) == (512, 480)


def test_films_whose_frames_say_how_they_lie(ffmpeg):
    try:
        film = ffmpeg(
            *("-i", "astronaut.mp4", "-vf", "transpose=cclock", "-c:v", "libx264"),
            *("-bsf:v", "h264_metadata=display_orientation=insert:rotate=-90", "sei.h264"),
        )
    except subprocess.CalledProcessError:
        pytest.skip("this ffmpeg has no libx264")
    upright, _ = frames_of(ffmpeg.folder / "astronaut.mp4")
    frames, _ = frames_of(film)
    assert frames[0]["stored"]["orientation"] == 6
    assert near(the_face(upright[0]), the_face(frames[0]), 0.1)


def test_films_with_pixels_that_are_not_square(ffmpeg):
    film = ffmpeg(
        *("-i", "astronaut.mp4", "-vf", "scale=360:512,setsar=64/45", "-c:v", "mpeg4"),
        *("-q:v", "2", "sar.mp4"),
    )
    upright, _ = frames_of(ffmpeg.folder / "astronaut.mp4")
    frames, _ = frames_of(film)
    assert (frames[0]["width"], frames[0]["stored"]["pixel_aspect"]) == (512, [64, 45])
    assert near(the_face(upright[0]), the_face(frames[0]))
    # Stretched as it is stored, then turned.
    film.write_bytes(with_matrix(film, (0, 1, -1, 0)))
    frames, _ = frames_of(film)
    assert (frames[0]["width"], frames[0]["height"]) == (512, 512)
    assert frames[0]["stored"]["orientation"] == 6


def test_films_at_no_even_rate(ffmpeg):
    """Frames 0 to 3 of a tenth of a second, then one after 1.5 s, as a recorded screen that rests."""
    film = ffmpeg(
        *("-loop", "1", "-framerate", "10", "-i", PHOTOS / "astronaut.jpg"),
        *("-frames:v", "7", "-vf", r"select=lt(n\,4)+gt(n\,4),setpts=PTS+12*gt(N\,3)/10/TB"),
        *("-vsync", "vfr", "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "vfr.mkv"),
    )
    record = ffmpeg.folder / "vfr.avi"
    frames, _ = frames_of(film, "--record", record, "-y")
    times = [frame["time_s"] for frame in frames]
    assert times[:4] == [0, 0.1, 0.2, 0.3] and times[4] > 1.5 and len(times) >= 5
    again, _ = frames_of(record)
    found = [frame["time_s"] for frame in again]
    assert len(found) == len(times)
    for time, wanted in zip(found, times):
        assert abs(time - wanted) < 0.06


def test_padded_rows(tmp_path):
    """What rpicam-vid writes where a width is no multiple of 64."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    photo = image.open(PHOTOS / "astronaut.jpg").convert("YCbCr").crop((0, 0, 500, 500))
    y, u, v = photo.split()

    def rows(plane, padding):
        data, (width, height) = plane.tobytes(), plane.size
        return b"".join(data[n * width : (n + 1) * width] + b"\0" * padding for n in range(height))

    half = [plane.resize((250, 250)) for plane in (u, v)]
    padded = (rows(y, 12) + rows(half[0], 6) + rows(half[1], 6)) * 2
    packed = (rows(y, 0) + rows(half[0], 0) + rows(half[1], 0)) * 2
    raw = ("-", "--raw", "yuv420", "--size", "500x500")
    wanted, _ = frames_of(*raw, data=packed)
    frames, _ = frames_of(*raw, "--stride", "512", data=padded)
    assert [f["faces"] for f in frames] == [f["faces"] for f in wanted]
    the_face(frames[0])
    path = tmp_path / "padded.yuv"
    path.write_bytes(padded)
    done = run("video", path, *raw[1:], "-q")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 3 and len(lines) == 2
    assert f"{path}: frame 0 looks skewed" in lines[0] and "--stride 512" in lines[0]
    assert "cut short" in lines[1] and "--stride 512" in lines[1]
    for options, text in (
        (("-", "--stride", "512"), "--raw"),
        (("-", "--raw", "mjpg", "--stride", "512"), "--raw"),
        ((*raw, "--stride", "499"), "less than a row"),
        ((*raw, "--stride", "-1"), "--stride"),
    ):
        done = run("video", *options, data=packed)
        assert done.returncode == 2 and text in done.stderr.decode(), done.stderr
