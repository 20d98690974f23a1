# SPDX-License-Identifier: MIT
"""Engine and Tracker from Python: the same results as the command line tool, for every kind of image and view, from many threads."""

from __future__ import annotations

import ast
import ctypes
import io
import json
import pickle
import os
import re
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from conftest import PHOTOS, ROOT

import mien
from mien import _engine


def without_times(result: dict) -> dict:
    return {key: value for key, value in result.items() if key != "timing_ms"}


@pytest.mark.parametrize("photo", sorted(PHOTOS.iterdir()), ids=lambda p: p.name)
def test_json_is_that_of_the_tool(engine: mien.Engine, tool: str, photo: Path) -> None:
    said = json.loads(
        subprocess.run(
            [tool, "image", "--json", str(photo)], check=True, capture_output=True
        ).stdout
    )
    ours = json.loads(engine.analyze(photo).to_json())
    assert without_times(ours) == without_times(said)
    assert list(ours) == list(said) and list(ours["timing_ms"]) == list(said["timing_ms"])
    assert ours["faces"]


def test_faces_are_those_of_the_golden_file(engine: mien.Engine) -> None:
    golden = json.loads((ROOT / "tests" / "golden" / "faces.json").read_text())
    photo = PHOTOS / golden["photo"]
    assert [face.to_dict() for face in engine.analyze(photo)] == golden["net"]
    haar = mien.Engine(detector="haar")
    assert [face.to_dict() for face in haar.analyze(photo)] == golden["haar"]


def test_the_network_gives_what_the_tool_gives(tool: str, tmp_path: Path) -> None:
    net = mien.Engine(detector="net", crops=True)
    assert "cascade" not in net.models and net.models["detector"]
    for photo in sorted(PHOTOS.iterdir()):
        command = [tool, "image", "--detector", "net", "--json", str(photo)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        result = net.analyze(photo)
        assert without_times(json.loads(result.to_json())) == without_times(said)
        assert [face.box for face in result] == net.detect_faces(photo)
        pixels = mien.read_picture(photo)
        for face in result:
            assert 0.7 <= face.score <= 1 and len(face.landmarks) == 5
            # The crop is upright, and reading it again gives the same.
            again = net.network_input(pixels, face.box, landmarks=face.landmarks)
            assert face.crop is not None and np.array_equal(face.crop, again)
            assert not np.array_equal(again, net.network_input(pixels, face.box))
            assert (
                net.classify(pixels, face.box, landmarks=face.landmarks).readings == face.readings
            )
            assert net.classify(face.crop).emotion == face.emotion
    assert pickle.loads(pickle.dumps(result)).faces == result.faces
    assert pickle.loads(pickle.dumps(net)).models == net.models


def test_tracking_with_the_network() -> None:
    pixels = mien.read_picture(PHOTOS / "astronaut.jpg")
    tracker = mien.Tracker(mien.Engine(detector="net"))
    for i in range(4):
        (face,) = tracker.process(pixels, i * 0.04)
    assert face.id == 1 and face.frames == 3 and 0.7 <= face.score <= 1 and len(face.landmarks) == 5
    assert face.to_dict()["landmarks"][0] == [round(v, 2) for v in face.landmarks[0]]
    with pytest.raises(ValueError, match="detector"):
        mien.Tracker(mien.Engine(cascade=False))


def test_options_of_the_network(engine: mien.Engine, montage: Path) -> None:
    photo = PHOTOS / "astronaut.jpg"
    assert mien.Engine(min_score=0.99).analyze(photo).faces == []
    upside_down = mien.read_picture(photo)[::-1, ::-1]
    (face,) = mien.Engine(any_rotation=True).analyze(upside_down)
    assert face.landmarks[0][1] > face.landmarks[3][1] and face.emotion.label == "happy"
    sizes = [
        face.box.width * face.box.height
        for face in mien.Engine(largest_first=True).analyze(montage)
    ]
    assert len(sizes) > 1 and sizes == sorted(sizes, reverse=True)
    for detector in ("net", "haar"):
        every = mien.Engine(detector=detector).analyze(montage)
        largest = max(every, key=lambda face: face.box.width)
        assert mien.Engine(detector=detector, max_faces=1).analyze(montage).faces == [largest]
        assert (largest.score > 0.7, len(largest.landmarks)) == (
            (True, 5) if detector == "net" else (False, 0)
        )
        assert largest.crop is None and ("landmarks" in largest.to_dict()) == (detector == "net")
    faces = engine.analyze(photo).faces
    pixels = mien.read_picture(photo)
    assert not np.array_equal(
        engine.draw(pixels, faces), engine.draw(pixels, faces, landmarks=True)
    )
    for options, words in (
        ({"detector": "mtcnn"}, "haar"),
        ({"detector": "haar", "any_rotation": True}, "net"),
        ({"scale_factor": 1.1, "min_score": 0.5}, "min_score needs"),
        ({"detector": "net", "min_neighbors": 3}, "min_neighbors needs"),
        ({"max_faces": -1}, "max_faces"),
        ({"min_score": 2.0}, "range"),
    ):
        with pytest.raises(ValueError, match=words):
            mien.Engine(**options)
    with pytest.raises(ValueError, match="five points"):
        engine.classify(pixels, faces[0].box, landmarks=faces[0].landmarks[:3])
    haar = mien.Engine(scale_factor=1.3)
    assert "cascade" in haar.models and "detector" not in haar.models
    with pytest.raises(ValueError, match="five points"):
        haar.classify(pixels, faces[0])
    with pytest.raises(mien.WeightsError, match="huge: no such file, and none of fer2013, large"):
        mien.Engine(emotion="huge")
    with pytest.raises(mien.WeightsError, match="no face detector|kind"):
        mien.Engine(detector="net", net=str(ROOT / "weights" / "emotion.mien"))


def test_every_view_gives_the_same_faces(engine: mien.Engine, montage: Path) -> None:
    rgb = mien.read_picture(montage)
    expected = engine.analyze(rgb).faces
    assert len(expected) == 5
    height, width, _ = rgb.shape
    wide = np.zeros((height, width + 7, 3), np.uint8)
    wide[:, 3 : width + 3] = rgb
    rgba = np.dstack([rgb, np.full((height, width), 7, np.uint8)])
    fortran = np.asfortranarray(rgb)
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    rows_apart = np.repeat(rgb, 2, axis=0)
    read_only = rgb.copy()
    read_only.flags.writeable = False
    views = {
        "copy": (rgb.copy(), "rgb"),
        "bgr": (np.ascontiguousarray(rgb[:, :, ::-1]), "bgr"),
        "reversed channels": (rgb[:, :, ::-1], "bgr"),
        "rows from below": (np.ascontiguousarray(rgb[::-1])[::-1], "rgb"),
        "part of a wider one": (wide[:, 3 : width + 3], "rgb"),
        "every other row": (rows_apart[::2], "rgb"),
        "columns from the right": (mirrored[:, ::-1], "rgb"),
        "column major": (fortran, "rgb"),
        "rgba": (rgba, None),
        "bgra": (np.ascontiguousarray(rgba[:, :, [2, 1, 0, 3]]), "bgra"),
        "read only": (read_only, None),
        "first three of four": (rgba[:, :, :3], "rgb"),
    }
    for name, (view, format) in views.items():
        assert engine.analyze(view, format).faces == expected, name
    assert mien.Engine(format="bgr").analyze(rgb[:, :, ::-1]).faces == expected
    assert (
        engine.analyze(rgb, "bgr").faces != expected
    )  # else this test would say nothing about the order


def test_gray_views(montage: Path) -> None:
    from mien.compat._pixels import gray_of

    engine = mien.Engine(detector="haar")  # which sees the same in gray as in color
    gray = gray_of(mien.read_picture(montage), bgr=False)
    expected = engine.analyze(gray).faces
    assert [face.box for face in expected] == engine.detect_faces(montage)
    for view in (
        gray[:, :, None],
        np.ascontiguousarray(gray[::-1])[::-1],
        np.asfortranarray(gray),
        np.repeat(gray, 2, axis=1)[:, ::2],
    ):
        assert engine.analyze(view).faces == expected
    height, width = gray.shape
    yuyv = np.full((height, width, 2), 128, np.uint8)
    yuyv[:, :, 0] = gray
    assert engine.detect_faces(yuyv, "yuyv") == [face.box for face in expected]
    nv12 = np.full((height * 3 // 2, width), 128, np.uint8)
    nv12[:height] = gray
    assert engine.detect_faces(nv12, "nv12") == [face.box for face in expected]


def test_pixels_are_not_copied() -> None:
    """A large frame costs no memory of its own: the process grows by less than the frame."""
    engine = mien.Engine(scale_factor=2, min_size=200)
    frame = np.zeros((4000, 6000, 3), np.uint8)  # 72 MB
    engine.analyze(frame)

    def peak_kib() -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
        pytest.skip("no /proc/self/status here")

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = peak_kib()
    for view in (frame, frame[::-1], frame[:, :, ::-1], frame[100:, 100:]):
        engine.analyze(view)
    assert peak_kib() - before < 40_000
    engine.analyze(frame[:, ::-1])  # cannot be walked, so packed: the measurement sees it
    assert peak_kib() - before > 60_000


def test_classify_and_crops(engine: mien.Engine, montage: Path) -> None:
    picture = mien.read_picture(montage)
    for face in engine.analyze(picture):
        again = engine.classify(picture, face)
        assert (again.box, again.emotion, again.gender) == (face.box, face.emotion, face.gender)
        assert engine.classify(picture, face.box, landmarks=face.landmarks) == again
        assert engine.classify(picture, face.box).emotion != face.emotion  # not turned
        seen = engine.network_input(picture, face)
        assert (*seen.shape, 1) == engine.input_shape("emotion")
        assert mien.classify(seen).emotion == face.emotion  # the crop at the network's own size
        x, y, width, height = face.box
        assert (
            mien.classify(picture[y : y + height, x : x + width]).emotion
            == engine.classify(picture, face.box).emotion
        )
    assert engine.classify(picture, (-20, -20, 100, 100)).box.x <= 0  # clamped, no error


@pytest.mark.parametrize(
    "name, file",
    [
        ("large", "emotion-large.mien"),
        ("fer2013", "emotion-fer2013.mien"),
        ("mini_XCEPTION", "emotion-mini_XCEPTION.mien"),
    ],
)
def test_networks_of_the_package(name: str, file: str, montage: Path) -> None:
    named = mien.Engine(emotion=name, gender=False)
    result = named.analyze(montage)
    assert result.models["emotion"] != mien.Engine().models["emotion"]
    assert all(
        face.gender is None and abs(sum(face.emotion.probabilities.values()) - 1) < 1e-4
        for face in result
    )
    assert (
        result.faces
        == mien.Engine(emotion=ROOT / "weights" / file, gender=False).analyze(montage).faces
    )
    assert [face.emotion.label for face in result].count("happy") >= 3


def test_result_types(engine: mien.Engine, montage: Path) -> None:
    result = engine.analyze(str(montage))
    assert result.source == str(montage) and (result.width, result.height) == (960, 480)
    x, y, width, height = result[0].box
    assert pickle.loads(pickle.dumps(result)) == result
    row = result.rows()[0]
    assert (row["x"], row["y"], row["emotion"]) == (x, y, result[0].emotion.label) and row[
        "emotion_happy"
    ] == result[0].emotion.probabilities["happy"]
    assert result and len(mien.Engine().analyze(np.zeros((50, 50), np.uint8))) == 0
    copy = pickle.loads(pickle.dumps(engine))
    assert copy.analyze(montage).faces == result.faces
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame(result.rows())
    assert len(table) == 5 and set(table.emotion) == {"happy", "neutral", "sad"}


def test_bytes_pillow_and_paths(engine: mien.Engine, montage: Path) -> None:
    pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    expected = engine.analyze(montage).faces
    assert engine.analyze(montage.read_bytes()).faces == expected
    png = pil.fromarray(mien.read_picture(montage))
    assert engine.analyze(png).faces == expected
    assert engine.analyze(png.convert("RGBA")).faces == expected
    haar = mien.Engine(detector="haar")
    assert haar.detect_faces(png.convert("L")) == haar.detect_faces(montage)
    assert engine.analyze(png.convert("P")).width == 960
    # Of 16 bits the upper 8 count, by both names that Pillow has for them.
    gray = np.asarray(png.convert("L"))
    deep = pil.fromarray(gray.astype(np.uint16) << 8 | 0x7F)
    for mode in ("I;16", "I"):
        assert engine.analyze(deep if mode == "I;16" else deep.convert("I")).faces == (
            engine.analyze(gray).faces
        ), mode
    with pytest.raises(TypeError, match="mode F"):
        engine.analyze(png.convert("F"))


def test_pillow_images_are_turned_as_files_are(engine: mien.Engine, tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    exif = pil.Exif()
    exif[0x0112] = 6
    photo = pil.open(PHOTOS / "astronaut.jpg").transpose(pil.Transpose.ROTATE_90)
    photo.save(tmp_path / "lying.png", exif=exif)
    lying, upright = pil.open(tmp_path / "lying.png"), engine.analyze(PHOTOS / "astronaut.jpg")
    assert engine.analyze(lying).faces == engine.analyze(tmp_path / "lying.png").faces
    assert engine.analyze(lying).faces == upright.faces and len(upright) == 1


def test_several_images(engine: mien.Engine, montage: Path) -> None:
    photo = PHOTOS / "astronaut.jpg"
    results = engine.analyze_many([montage, photo, mien.read_picture(photo)])
    assert [len(result) for result in results] == [len(engine.analyze(montage)), 1, 1]
    assert results[1].faces == results[2].faces == mien.analyze_many(iter([photo]))[0].faces
    assert engine.analyze_many([]) == []
    for value, words in (([photo], "analyze_many"), (None, "NoneType"), (7, "int"), ({}, "dict")):
        with pytest.raises(TypeError, match=f"an image is a path.*{words}"):
            engine.analyze(value)


def test_results_for_tables_and_json(engine: mien.Engine, montage: Path) -> None:
    result = engine.analyze(montage)
    assert json.loads(json.dumps(result.to_dict())) == json.loads(result.to_json())
    face = result[0]
    tracked = mien.Tracker(engine).process(montage, 0)[0]
    explained = engine.explain(montage, face)
    for value in (face, face.box, face.emotion, tracked, tracked.emotion, explained):
        assert json.loads(json.dumps(value.to_dict())) == value.to_dict()
    for value in (face, tracked, explained):
        assert json.loads(value.to_json()) == value.to_dict()
    shape = explained.to_dict()["map"]
    assert len(shape["values"]) == shape["width"] * shape["height"] > 0
    # Of numbers of NumPy, as people put them into results of their own.
    made = mien.Face(
        mien.Box(*np.array([1, 2, 3, 4])),
        np.int32(5),
        {"emotion": mien.Reading("happy", {"happy": np.float32(0.5)}, np.bool_(True))},
        np.float32(0.25),
        tuple((np.float32(k), np.float64(k)) for k in range(5)),
    )
    own = mien.Result(
        "caf\udce9.jpg", np.int64(9), np.int64(8), [made], {}, {"total": np.float32(1)}
    )
    record = json.loads(own.to_json())
    assert record["source"] == "caf\ufffd.jpg" and record["width"] == 9
    assert record["faces"][0]["box"] == {"x": 1, "y": 2, "width": 3, "height": 4}
    assert record["faces"][0]["emotion"]["unsure"] is True
    own.to_json().encode("utf-8")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert result.to_dataframe().equals(pandas.DataFrame(result.rows()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork()")
def test_engines_after_fork() -> None:
    """The child has none of the threads: it makes its own, and a tracker says that it cannot."""
    photo = PHOTOS / "astronaut.jpg"
    code = f"""
import os, sys, mien
engine = mien.Engine(threads=3)
tracker = mien.Tracker(engine)
before = engine.analyze({str(photo)!r}).faces
tracker.process({str(photo)!r})
child = os.fork()
if child == 0:
    assert engine.analyze({str(photo)!r}).faces == before
    try:
        tracker.process({str(photo)!r})
    except RuntimeError as error:
        assert "fork" in str(error)
        assert mien.Tracker(engine).process({str(photo)!r})
        sys.exit(0)
    sys.exit("a tracker went on")
_, status = os.waitpid(child, 0)
assert engine.analyze({str(photo)!r}).faces == before
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_errors_carry_the_engines_words(engine: mien.Engine, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((PHOTOS / "astronaut.jpg").read_bytes()[:300])
    with pytest.raises(mien.PictureError, match=r"cut\.jpg: .*cut short"):
        engine.analyze(cut)
    cut.write_bytes((PHOTOS / "astronaut.jpg").read_bytes()[:-3000])
    with pytest.warns(mien.PictureWarning, match=r"cut\.jpg: damaged, part of it is guessed"):
        assert len(engine.analyze(cut)) == 1
    with pytest.raises(FileNotFoundError):
        engine.analyze(tmp_path / "missing.jpg")
    with pytest.raises(mien.PictureError):
        engine.analyze(b"")
    for wrong in (tmp_path / "w.mien", PHOTOS / "astronaut.jpg"):
        if not wrong.exists():
            wrong.write_bytes(b"MIEN" + bytes(100))
        with pytest.raises(mien.WeightsError, match=wrong.name):
            mien.Engine(emotion=str(wrong))
    with pytest.raises(TypeError, match="uint8"):
        engine.analyze(np.zeros((40, 40)))
    with pytest.raises(TypeError, match="masked array"):
        engine.analyze(np.ma.masked_array(np.zeros((40, 40), np.uint8), mask=True))
    for shape in ((40,), (40, 40, 2), (4, 40, 40, 3), (0, 40), (40, 0, 3)):
        with pytest.raises(ValueError):
            engine.analyze(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="32768"):
        engine.analyze(
            np.lib.stride_tricks.as_strided(np.zeros(40000, np.uint8), (1, 40000), (40000, 1))
        )
    for options in (
        {"scale_factor": 1.0},
        {"threads": 0},
        {"threads": 100},
        {"isa": "mmx"},
        {"format": "gbr"},
        {"min_neighbors": -1},
    ):
        with pytest.raises(ValueError):
            mien.Engine(**options)
    with pytest.raises(ValueError, match="no gender"):
        mien.Engine(gender=False).network_input(np.zeros((50, 50), np.uint8), head="gender")
    with pytest.raises(mien.Error):
        mien.Engine(cascade=False).analyze(np.zeros((50, 50), np.uint8))


def test_threads_share_an_engine(montage: Path) -> None:
    engine, picture = mien.Engine(), mien.read_picture(montage)
    flipped = np.ascontiguousarray(picture[:, ::-1])
    expected = [engine.analyze(p).faces for p in (picture, flipped)]
    wrong, errors = [], []

    def work(number: int) -> None:
        try:
            for i in range(6):
                which = (number + i) % 2
                if engine.analyze((picture, flipped)[which]).faces != expected[which]:
                    wrong.append(number)
        except Exception as error:  # told by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not errors


def test_gil_is_released() -> None:
    """While one thread works in the engine for long, Python goes on in another."""
    engine, frame = mien.Engine(
        scale_factor=1.05, emotion=False, gender=False
    ), np.random.default_rng(1).integers(0, 255, (1200, 1600), np.uint8)
    done = threading.Event()

    def work() -> None:
        engine.detect_faces(frame)
        done.set()

    thread = threading.Thread(target=work)
    begin = os.times().user
    thread.start()
    # Another thread gets the processor while the engine is at work: it sees the work's time grow.
    seen_at_work = 0
    while not done.is_set():
        seen_at_work += os.times().user > begin
        time.sleep(0.001)
    thread.join()
    assert seen_at_work >= 2


def test_threads_option_changes_nothing(engine: mien.Engine, montage: Path) -> None:
    assert mien.Engine(threads=3).analyze(montage).faces == engine.analyze(montage).faces
    assert mien.Engine(isa="scalar").analyze(montage).faces == engine.analyze(montage).faces


def test_memory_does_not_grow(engine: mien.Engine) -> None:
    picture = mien.read_picture(PHOTOS / "astronaut_320.png")
    for _ in range(20):
        engine.analyze(picture)
    tracemalloc.start()
    for _ in range(5):
        engine.analyze(picture)
    first = tracemalloc.get_traced_memory()[0]
    references = sys.getrefcount(picture)
    for _ in range(100):
        engine.analyze(picture)
    assert (
        tracemalloc.get_traced_memory()[0] - first < 20_000
        and sys.getrefcount(picture) == references
    )
    tracemalloc.stop()


def test_tracker_keeps_numbers() -> None:
    picture = mien.read_picture(PHOTOS / "astronaut.jpg")
    tracker = mien.Tracker(mien.Engine(), smoothing="mode")
    seen = set()
    for number in range(12):
        moved = np.roll(picture, number * 3, axis=1)
        faces = tracker.process(moved, number / 30)
        assert len(faces) == 1
        seen.add(faces[0].id)
    assert seen == {1} and faces[0].frames == 11
    assert (
        faces[0].emotion.label == "happy"
        and abs(sum(faces[0].emotion.smoothed.values()) - 1) < 1e-3
    )
    assert json.dumps(faces[0].to_dict())
    row = faces[0].to_row()
    assert (row["id"], row["x"], row["emotion"]) == (1, faces[0].box.x, "happy") and json.dumps(row)
    larger = np.zeros((1000, 1200, 3), np.uint8)
    larger[:512, :512] = picture
    assert [face.id for face in tracker.process(larger, 1.0)] == [2]  # begins anew, numbers go on
    tracker.reset()
    with pytest.raises(ValueError):
        mien.Tracker(mien.Engine(cascade=False))
    with pytest.raises(ValueError):
        mien.Tracker(smoothing="much")


def test_explain(engine: mien.Engine, montage: Path) -> None:
    if not engine.explain_methods:
        with pytest.raises(mien.Error, match="Eigen"):
            engine.explain(montage)
        pytest.skip("built without Eigen, so without explanations")
    face = engine.analyze(montage)[0]
    for method in engine.explain_methods:
        told = engine.explain(montage, face, method=method)
        assert (
            told.label == face.emotion.label
            and told.values.ndim == 2
            and np.isfinite(told.values).all()
            and np.ptp(told.values) > 0
        )
        assert told.signed or told.values.min() >= 0
    sad = engine.explain(montage, face, label="sad")
    assert sad.label == "sad" and not np.array_equal(
        sad.values, engine.explain(montage, face).values
    )
    assert (
        sad.probabilities == face.emotion.probabilities
        and mien.explain(montage, face, label="sad").probabilities == sad.probabilities
    )
    whole = engine.explain(engine.network_input(montage, face))  # a crop: the map covers all of it
    assert whole.crop == (0, 0, *reversed(engine.input_shape("emotion")[:2])) and np.array_equal(
        whole.values, engine.explain(montage, face).values
    )
    picture = mien.read_picture(montage)
    # Where the image is drawn over: an upright rectangle, of a face by its box alone.
    by_box = engine.explain(montage, face.box)
    assert by_box.degrees == 0 and 0 < abs(sad.degrees) < 10 and by_box.crop != sad.crop
    drawn, (x, y, width, height) = engine.draw_explanation(picture, by_box), by_box.crop
    inside = np.zeros(picture.shape[:2], bool)
    inside[y : y + height, x : x + width] = True
    assert (drawn[~inside] == picture[~inside]).all() and (drawn[inside] != picture[inside]).any(
        axis=1
    ).mean() > 0.5
    assert np.array_equal(
        engine.draw_explanation(picture[:, :, ::-1], by_box, format="bgr")[:, :, ::-1], drawn
    )
    with pytest.raises(ValueError, match="no layer"):
        engine.explain(montage, face, layer="roof")
    with pytest.raises(ValueError):
        engine.explain(montage, face, method="guess")
    with pytest.raises(ValueError):
        engine.explain(montage, face, label="hungry")


def test_explain_is_that_of_the_tool(engine: mien.Engine, tool: str, montage: Path) -> None:
    if (
        not engine.explain_methods
        or subprocess.run([tool, "explain", "--help"], capture_output=True, check=False).returncode
        != 0
    ):
        pytest.skip("built without explanations")
    done = subprocess.run(
        [tool, "explain", "--json", "--method", "all", str(montage)],
        capture_output=True,
        text=True,
        check=True,
    )
    compared = 0
    # The landmarks as they are; in JSON they are rounded.
    for face, found in list(zip(json.loads(done.stdout)["faces"], engine.analyze(montage)))[:2]:
        for head in ("emotion", "gender"):
            for said in face[head]["maps"]:
                told = engine.explain(
                    montage,
                    list(face["box"].values()),
                    head=head,
                    method=said["method"],
                    landmarks=found.landmarks,
                )
                assert (told.label, told.signed, told.values.shape) == (
                    face[head]["class"],
                    said["signed"],
                    (said["height"], said["width"]),
                )
                crop = dict(face[head]["crop"])
                assert abs(crop.pop("degrees", 0) - told.degrees) < 0.01
                assert told.crop.to_dict() == crop
                assert np.array_equal(told.values.ravel(), np.array(said["values"], np.float32))
                assert np.allclose(
                    list(told.probabilities.values()),
                    list(face[head]["probabilities"].values()),
                    atol=1e-6,
                )
                compared += 1
    assert compared >= 20


def with_answer(network: Path, unsure_below: float, values: tuple = (), unit: str = "") -> bytes:
    """The file of a network with a section ANSW at its end (docs/FILE_FORMAT.md)."""
    data = network.read_bytes()
    count = struct.unpack_from("<I", data, 12)[0]
    sections = {}
    for i in range(count):
        tag, offset, size = struct.unpack_from("<4sII", data, 32 + 16 * i)
        sections[tag] = data[offset : offset + size]
    head = struct.pack("<If8s", int(bool(values)), unsure_below, unit.encode())
    sections[b"ANSW"] = head + struct.pack(f"<{len(values)}f", *values)
    table, body, start = b"", b"", -(-(32 + 16 * len(sections)) // 16) * 16
    for tag, part in sections.items():
        table += struct.pack("<4sIII", tag, start + len(body), len(part), 0)
        body += part + bytes(-len(part) % 16)
    first = data[:12] + struct.pack("<IQ", len(sections), start + len(body))
    rest = bytes(4) + table + body
    return first + struct.pack("<I", zlib.crc32(rest, zlib.crc32(first))) + rest


AGES = (1.0, 5.0, 12.0, 25.0, 40.0, 60.0, 80.0)


def test_answers(tool: str, montage: Path, tmp_path: Path) -> None:
    """Unsure readings and quantities are those of the tool, in every shape that Python gives them."""
    emotion = ROOT / "weights" / "emotion.mien"
    ages, shy = tmp_path / "ages.mien", tmp_path / "shy.mien"
    ages.write_bytes(with_answer(emotion, 0.0, AGES, "years"))
    shy.write_bytes(with_answer(emotion, 1.0))
    engine = mien.Engine(emotion=shy, age=ages)
    result = engine.analyze(montage)
    command = [tool, "image", "--json", "--emotion", str(shy), "--age", str(ages), str(montage)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert without_times(json.loads(result.to_json())) == without_times(said)
    assert engine.answers_quantity("age") and not engine.answers_quantity("emotion")
    assert len(engine.age_labels) == len(AGES)
    for face in result:
        age = face.age
        assert face.emotion.unsure and face.emotion.value is None
        # As the file of gender says.
        assert face.gender.unsure == (max(face.gender.probabilities.values()) < 0.65)
        expected = sum(v * p for v, p in zip(AGES, age.probabilities.values()))
        assert age.unit == "years" and not age.unsure and abs(age.value - expected) < 1e-4
        assert 0 <= age.low <= age.value <= age.high
        assert face.emotion.label == max(age.probabilities, key=age.probabilities.get)
    row = result.rows()[0]
    face = result[0]
    assert (row["age"], row["age_low"], row["age_high"]) == (
        face.age.value,
        face.age.low,
        face.age.high,
    )
    assert row["emotion"] == face.emotion.label and row["emotion_unsure"] is True
    assert pickle.loads(pickle.dumps(result)) == result
    for threshold, unsure in ((0, False), (1, True)):
        other = mien.Engine(emotion=shy, min_confidence=threshold).analyze(montage)
        assert all(face.emotion.unsure is unsure for face in other)
        assert all(face.gender.unsure is unsure for face in other)
    again = pickle.loads(pickle.dumps(mien.Engine(emotion=shy, min_confidence=0)))
    assert not again.analyze(montage)[0].emotion.unsure
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="min_confidence"):
            mien.Engine(min_confidence=wrong)
    picture = mien.read_picture(montage)
    plain = mien.Engine(age=False).analyze(picture)
    assert not np.array_equal(
        engine.draw(picture, result.faces), engine.draw(picture, plain.faces)
    )  # "unsure" and years in place of labels

    tracker = mien.Tracker(engine)
    for i in range(3):
        faces = tracker.process(picture, i / 30)
    for face in faces:
        assert face.emotion.unsure and face.age.low <= face.age.value <= face.age.high
        record = face.to_dict()
        assert list(record["age"]) == ["value", "range", "unit", "smoothed", "probabilities"]
        assert record["emotion"]["unsure"] is True and face.to_row()["age"] == face.age.value


def test_drawing(engine: mien.Engine, montage: Path, tmp_path: Path) -> None:
    picture = mien.read_picture(montage)
    result = engine.analyze(picture)
    drawn = engine.draw(picture, result.faces)
    assert (
        drawn.shape == picture.shape
        and (drawn != picture).any()
        and np.array_equal(picture, mien.read_picture(montage))
    )
    bgr = engine.draw(np.ascontiguousarray(picture[:, :, ::-1]), result.faces, format="bgr")
    assert np.array_equal(bgr[:, :, ::-1], drawn)
    mien.write_picture(tmp_path / "out.png", drawn)
    assert np.array_equal(mien.read_picture(tmp_path / "out.png"), drawn)
    with pytest.raises(ValueError):
        mien.write_picture(tmp_path / "out.tiff", drawn)


def test_command(tool: str, montage: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "mien", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    ours = run(str(montage)).stdout.splitlines()
    tools = subprocess.run(
        [tool, "image", str(montage)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split() for line in ours[1:]] == [
        line.split() for line in tools[1:]
    ]  # the first line has the time
    assert without_times(json.loads(run("--json", str(montage)).stdout))["faces"]
    done = run(str(montage), "missing.jpg")
    assert done.returncode == 3 and done.stderr == "mien: missing.jpg: No such file or directory\n"
    assert run("--emotion", str(montage), str(montage)).returncode == 4
    assert run().returncode == 2
    done = run(str(tmp_path))
    assert done.returncode == 3 and "is a folder" in done.stderr and "mien-batch" in done.stderr
    help_text = " ".join(run("--help").stdout.split())
    assert _engine.image_formats in help_text and "mien-batch" in help_text
    # The program of the wheel finds the networks of the package by name, and answers as Python does.
    for name, code in (("large", 0), ("huge", 4)):
        arguments = ("--json", "--emotion", name, str(montage))
        ours = run(*arguments)
        theirs = subprocess.run([tool, "image", *arguments], capture_output=True, text=True)
        assert (ours.returncode, theirs.returncode, theirs.stderr) == (code, code, ours.stderr)
        if code == 0:
            assert name in ours.stdout
            assert without_times(json.loads(ours.stdout)) == without_times(
                json.loads(theirs.stdout)
            )
    assert (
        run("--out", "marked.png", str(montage)).returncode == 0
        and (tmp_path / "marked.png").stat().st_size > 1000
    )
    assert run("--out", "no/such/folder.png", str(montage)).returncode == 1


def test_jpeg_pixels_are_those_of_pillow_and_opencv(engine: mien.Engine, montage: Path) -> None:
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    if not _engine.jpeg_library.startswith("libjpeg-turbo"):
        pytest.skip(f"{_engine.jpeg_library} decodes JPEG here")
    restarts, progressive = io.BytesIO(), io.BytesIO()
    Image.open(montage).save(restarts, "JPEG", restart_marker_blocks=2)
    Image.open(montage).save(progressive, "JPEG", progressive=True)
    jpegs = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]
    for jpeg in (*jpegs, restarts.getvalue(), progressive.getvalue()):
        pixels, theirs = mien.read_picture(jpeg), Image.open(io.BytesIO(jpeg)).convert("RGB")
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(pixels, np.asarray(theirs))
        assert np.array_equal(pixels[:, :, ::-1], bgr)
        assert engine.analyze(jpeg).faces == engine.analyze(theirs).faces


def test_no_foreign_libraries() -> None:
    """The module needs nothing but the C library: no libstdc++, no libjpeg."""
    data = Path(_engine.__file__).read_bytes()
    assert b"libstdc++.so" not in data and b"libjpeg.so" not in data
    ctypes.CDLL(_engine.__file__)


def test_import_brings_only_numpy() -> None:
    code = "import sys, mien; print([m for m in ('cv2', 'PIL', 'pandas', 'pyarrow', 'distributed', 'torch') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "right.py").write_text(
        "import mien\nfor face in mien.analyze('a.jpg'):\n    x: int = face.box.x\n    if face.emotion:\n"
        "        label: str = face.emotion.label\n"
    )
    (tmp_path / "wrong.py").write_text("import mien\nx: str = mien.analyze('a.jpg')[0].box.x\n")
    sources = ROOT / "src" / "python" / "mien"
    package = [
        str(p) for folder in (sources, sources / "compat") for p in sorted(folder.glob("*.py*"))
    ]
    # The same options twice, so that the second run takes NumPy's types from the first one's cache.
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--ignore-missing-imports",
        "--explicit-package-bases",
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    user = subprocess.run(
        [*mypy, "right.py", "wrong.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (
        user.returncode == 1
        and user.stdout.startswith("wrong.py:2: error: Incompatible types")
        and "Found 1 error" in user.stdout
    ), user.stdout
    ours = subprocess.run(
        [*mypy, *package],
        capture_output=True,
        text=True,
        check=False,
        cwd=sources.parent,
        env={"MYPYPATH": str(sources.parent), "PATH": "/usr/bin:/bin"},
    )
    assert ours.returncode == 0, ours.stdout


def test_version_is_that_of_the_headers() -> None:
    header = (ROOT / "include" / "mien" / "version.h").read_text()
    numbers = [
        re.search(rf"VERSION_{part} +([0-9]+)", header) for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert mien.__version__ == ".".join(number[1] for number in numbers if number)


def test_stub_names_what_the_module_has() -> None:
    stub = ast.parse((Path(mien.__file__).parent / "_engine.pyi").read_text())
    assert (Path(mien.__file__).parent / "py.typed").exists()

    def names(body: "list[ast.stmt]") -> "set[str]":
        return {node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))} | {
            node.target.id
            for node in body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }

    def public(of: object) -> "set[str]":
        return {name for name in dir(of) if not name.startswith("_")}

    assert names(stub.body) == public(_engine)
    for node in stub.body:
        if isinstance(node, ast.ClassDef) and node.name in ("Engine", "Tracker"):
            wanted = (
                names(node.body) - {"__init__"} - (set() if _engine.has_explain else {"explain"})
            )
            assert wanted == public(getattr(_engine, node.name)), node.name


def test_images_are_replaced_whole_and_inputs_never(tmp_path: Path) -> None:
    photo, link, out = tmp_path / "photo.jpg", tmp_path / "link.jpg", tmp_path / "out.png"
    photo.write_bytes((PHOTOS / "astronaut.jpg").read_bytes())
    before = photo.read_bytes()
    link.symlink_to(photo)
    weights = tmp_path / "weights.png"
    weights.write_bytes((ROOT / "weights" / "emotion.mien").read_bytes())
    for arguments in (
        [photo, "-o", photo],
        [photo, "-o", link],
        [link, "-o", photo],
        [photo, "--emotion", weights, "-o", weights],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mien", *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 1, done
        assert done.stderr.endswith("would overwrite an input of this run\n"), done.stderr
    assert photo.read_bytes() == before and weights.read_bytes()[:4] == b"MIEN"
    out.write_bytes(b"old")
    out.chmod(0o640)
    mien.write_picture(out, np.zeros((20, 20), np.uint8))
    assert out.read_bytes()[:4] == b"\x89PNG" and out.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError):
        mien.write_picture(tmp_path / "no" / "out.png", np.zeros((20, 20), np.uint8))
    assert not list(tmp_path.glob(".mien-*"))


def test_networks_may_not_cost_what_they_like() -> None:
    assert mien.Engine(network_limit=0.5).labels("emotion")
    with pytest.raises(mien.WeightsError, match="million operations .*network_limit="):
        mien.Engine(network_limit=1e-4)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="network_limit"):
            mien.Engine(network_limit=wrong)


def sentences(engine: mien.Engine, folder: Path) -> "Iterator[tuple[Any, str]]":
    """Calls with what people pass by mistake, and words of the sentence that they get."""
    photo = mien.read_picture(PHOTOS / "astronaut.jpg")
    face = engine.analyze(photo)[0]
    text = (folder / "text.txt").open()
    images: "list[tuple[Any, str]]" = [
        (None, "an image is a path"),
        ([], "an image is a path"),
        ([photo], "analyze_many"),
        ({}, "dict"),
        (7, "int"),
        (np.int64(7), "int64"),
        (object(), "object"),
        (iter([photo]), "iterator"),
        (photo / 255, "astype"),
        (photo > 9, "bool"),
        (photo.astype(np.int32), "int32"),
        (np.array(["a"]), "uint8"),
        (np.array([None]), "uint8"),
        (photo[None], "analyze_many"),
        (photo.transpose(2, 0, 1), "channels first"),
        (photo[0, 0, 0], "uint8"),
        (folder, "is a folder"),
        (str(folder), "is a folder"),
        ("", "empty path"),
        ("https://example.org/a.jpg", "fetches nothing"),
        ("data:image/png;base64,AAAA", "data URL"),
        ("\0", "zero byte"),
        (b"", "empty"),
        (b"data:image/png;base64,AAAA", "data URL"),
        (os.fsencode(PHOTOS / "astronaut.jpg"), "file's name"),
        (bytes(photo)[:100], ""),
        (text, "'rb'"),
    ]
    for value, words in images:
        for call in (
            engine.analyze,
            engine.detect_faces,
            engine.classify,
            engine.network_input,
            engine.explain,
            mien.Tracker(engine).process,
            lambda image: engine.draw(image, [face]),
            lambda image: engine.analyze_many([image]),
        ):
            yield (lambda call=call, value=value: call(value)), words
    for value, words in images[:8] + images[16:]:
        yield (lambda value=value: mien.read_picture(value)), words
    for value, words in (
        (None, "NoneType|None"),
        ("photo.jpg", "a path or the bytes"),
        (Path("photo.jpg"), "a path or the bytes"),
        (b"abc", "a path or the bytes"),
        (photo, "an array of one image"),
        ({"a": photo}, "dict"),
        (7, "7"),
        ([photo, None], "image 1: an image is"),
    ):
        yield (lambda value=value: engine.analyze_many(value)), words
    for box, words in (
        ("abcd", "x, y, width, height"),
        (7, "x, y, width, height"),
        ((1, 2, 3), "3 values"),
        ((1, 2, 3, None), "a number"),
        ((1, 2, 3, "4"), "a number"),
        ((1, 2, 3, float("nan")), "a number"),
        ((1, 2, 3, 1e30), "in pixels"),
        ({1, 2, 3, 4}, "x, y, width, height"),
    ):
        for call in (engine.classify, engine.network_input, engine.explain):
            yield (lambda call=call, box=box: call(photo, box)), words
    for points in ([1, 2, 3], [(1, 2)] * 4, [(1, 2, 3)] * 5, "abcde", [("a", 1)] * 5):
        yield (
            lambda points=points: engine.classify(photo, face.box, landmarks=points)
        ), "point|x, y"
    for faces, words in (
        (None, "those of analyze"),
        (face, r"\[face\]"),
        ([{"box": 1}], "those of analyze"),
        (7, "those of analyze"),
    ):
        yield (lambda faces=faces: engine.draw(photo, faces)), words
    for call in (
        lambda: engine.draw(photo, [], style=None),
        lambda: engine.labels(None),
        lambda: engine.input_shape(7),
        lambda: engine.explain(photo, method="none"),
        lambda: engine.explain(photo, method=None),
        lambda: engine.explain(photo, head=["emotion"]),
        lambda: engine.analyze(photo, format="gbr"),
        lambda: engine.analyze(photo, format=7),
    ):
        yield call, "must be"
    yield (lambda: engine.explain(photo, layer=7)), "str"
    yield (lambda: engine.draw_explanation(photo, None)), "explain"
    yield (lambda: mien.write_picture(None, photo)), "str or a Path"
    yield (lambda: mien.write_picture(folder / "a.png", None)), "array of pixels"
    yield (lambda: mien.write_picture(folder / "a.png", photo / 255)), "astype"
    yield (lambda: mien.read_picture(photo)), "an image is"
    for name, value in (
        ("min_size", "20"),
        ("min_size", 2.5),
        ("min_size", None),
        ("max_faces", True),
        ("threads", 1 << 40),
        ("min_score", "0.5"),
        ("min_score", float("nan")),
        ("min_confidence", "high"),
        ("network_limit", None),
        ("crops", 1),
        ("any_rotation", "yes"),
        ("largest_first", None),
        ("isa", None),
        ("format", None),
        ("enlarge_to", []),
        ("scale_factor", "1.1"),
        ("min_neighbors", 2.5),
        ("emotion", 7),
        ("gender", b"abc"),
        ("net", 1.0),
        ("detector", 7),
    ):
        yield (lambda name=name, value=value: mien.Engine(**{name: value})), name
    for name, value in (
        ("smoothing", None),
        ("average_weight", "a"),
        ("max_tracks", 2.5),
        ("full_every", -1),
        ("cycle_seconds", -1),
        ("lost_seconds", None),
        ("keep_neighbors", "2"),
        ("engine", "haar"),
    ):
        yield (lambda name=name, value=value: mien.Tracker(**{"engine": engine, name: value})), name
    for seconds in (-1, "now", float("nan"), 1e30, True):
        yield (lambda seconds=seconds: mien.Tracker(engine).process(photo, seconds)), "seconds"


def test_mistakes_get_a_sentence_of_ours(engine: mien.Engine, tmp_path: Path) -> None:
    """Never the words of the binding, of NumPy or of the interpreter."""
    (tmp_path / "text.txt").write_text("hello")
    foreign = re.compile(
        "incompatible function|Invoked with|nanobind|object has no attribute|not iterable|"
        "expected str, bytes|unhashable|ambiguous|cannot be interpreted|invalid literal|"
        "unsupported operand|not callable|_engine|std::"
    )
    count = 0
    for call, words in sentences(engine, tmp_path):
        count += 1
        try:
            result = call()
        except (TypeError, ValueError, mien.Error, IsADirectoryError) as error:
            text = str(error)
        else:
            pytest.fail(f"call {count} ({words}) was accepted: {result!r}")
        assert not foreign.search(text), text
        assert re.search(words, text), (words, text)
        assert "\n" not in text and len(text) > 10
    assert count > 300


def test_open_files_are_read(engine: mien.Engine, montage: Path) -> None:
    expected = engine.analyze(montage).faces
    with montage.open("rb") as file:
        assert engine.analyze(file).faces == expected
    assert engine.analyze(io.BytesIO(montage.read_bytes())).faces == expected
    assert engine.analyze(memoryview(montage.read_bytes())).faces == expected


def png_pixels(png: bytes) -> "np.ndarray[Any, Any]":
    return mien.read_picture(png)


def test_results_in_notebooks(engine: mien.Engine, montage: Path, tmp_path: Path) -> None:
    result = engine.analyze(montage)
    drawn = engine.draw(mien.read_picture(montage), result.faces)
    assert np.array_equal(png_pixels(result._repr_png_()), drawn)  # 960 wide: not shrunk
    page = result._repr_html_()
    assert "data:image/png;base64," in page and page.count("<tr>") == 1 + len(result)
    assert f"{result[0].emotion.probability:.0%}" in page and "<script" not in page
    # Of arrays the result knows where they are; afterwards it is a table.
    pixels = mien.read_picture(montage)
    of_array = engine.analyze(pixels)
    assert of_array._repr_png_() == result._repr_png_()
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    assert engine.analyze(bgr, format="bgr")._repr_png_() == result._repr_png_()
    rgba = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    assert engine.analyze(rgba)._repr_png_() == result._repr_png_()
    gray = np.ascontiguousarray(pixels[:, :, 0])
    assert png_pixels(engine.analyze(gray)._repr_png_()).ndim == 3
    del pixels
    assert of_array._repr_png_() is None and "<img" not in of_array._repr_html_()
    assert "<table>" in of_array._repr_html_()
    assert engine.analyze(montage.read_bytes())._repr_png_() is None
    again = pickle.loads(pickle.dumps(result))
    assert again == result and again._repr_png_() is None
    # A large image is shrunk by a whole number, a file that is another one now is not shown.
    large = tmp_path / "a <b>.png"
    mien.write_picture(large, np.repeat(np.repeat(mien.read_picture(montage), 2, 0), 2, 1))
    of_large = engine.analyze(large)
    assert png_pixels(of_large._repr_png_()).shape[1] == 960
    assert "a &lt;b&gt;.png" in of_large._repr_html_()
    mien.write_picture(large, np.zeros((40, 40, 3), np.uint8))
    assert of_large._repr_png_() is None
    large.unlink()
    assert of_large._repr_png_() is None
    assert "0 faces" in engine.analyze(np.zeros((40, 40), np.uint8))._repr_html_()
    # An engine that is gone, with other labels than the default one: boxes without them.
    other = mien.Engine(emotion="mini_XCEPTION", gender=False, age=False).analyze(montage)
    assert png_pixels(other._repr_png_()).shape == drawn.shape


def test_the_wheel_brings_the_program(montage: Path, tmp_path: Path) -> None:
    """The C++ program itself, of the same version and with the same weights, beside python."""
    program = Path(sys.executable).parent / "mien"
    assert program.read_bytes()[:4] == b"\x7fELF" and os.access(program, os.X_OK)
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1].rstrip(",") == mien.__version__, done.stdout
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    assert "libstdc++" not in linked and "libjpeg" not in linked
    done = subprocess.run(
        [program, "image", "--json", montage],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ours, theirs = json.loads(done.stdout), mien.analyze(montage).to_dict()
    assert without_times(ours) == without_times(theirs)
    assert ours["models"] == theirs["models"]
    for verb in ("serve", "camera", "video", "info"):
        assert subprocess.run([program, verb, "--help"], capture_output=True).returncode == 0
