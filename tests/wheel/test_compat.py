# SPDX-License-Identifier: MIT
"""The drop-in modules: by themselves, against OpenCV's detector where it is installed, and against the real `fer`.

`fer` brings TensorFlow and PyTorch (5 GB), so fer_answers.json holds what it said about the sample photos (written by make_fer_answers.py), and
MIEN_FER_PYTHON, the interpreter of an environment with it (python3 -m venv FOLDER && FOLDER/bin/pip install fer "setuptools<81"), asks it again,
with more images and a film.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTRONAUT_SIDE, PHOTOS
from PIL import Image, ImageOps

import mien
from mien.compat import face_classification as original
from mien.compat.fer import FER, Video

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def pictures(folder: Path, samples_only: bool = False) -> "list[Path]":
    """The sample photos, and the same at other sizes, mirrored, darker: PNG, so that every program sees the same pixels.
    Pillow decodes them, since its JPEG decoder is the same everywhere."""
    found = []
    for photo in sorted(PHOTOS.iterdir()):
        rgb = np.asarray(ImageOps.exif_transpose(Image.open(photo)).convert("RGB"))
        for name, changed in {
            "as": rgb,
            "mirrored": rgb[:, ::-1],
            "half": rgb[::2, ::2],
            "dark": (rgb * 0.6).astype(np.uint8),
            "cut": rgb[rgb.shape[0] // 9 :, rgb.shape[1] // 17 :],
        }.items():
            path = folder / f"{photo.stem}-{name}.png"
            mien.write_picture(path, changed)
            found.append(path)
    if samples_only:
        return found
    if os.environ.get("MIEN_DATA"):
        with zipfile.ZipFile(
            Path(os.environ["MIEN_DATA"]) / "data" / "faces" / "photos.zip"
        ) as archive:
            for number, name in enumerate(
                sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".png")))[:60]
            ):
                path = folder / f"photo{number}.png"
                mien.write_picture(path, mien.read_picture(archive.read(name)))
                found.append(path)
    else:
        print("MIEN_DATA is not set: the sample photos only")
    return found


# ---- face_classification ----


def test_the_still_image_demo() -> None:
    """The demo's own steps, with mien behind them."""
    detector, emotion, gender = (
        original.load_detection_model(),
        original.load_model(kind="emotion"),
        original.load_model(kind="gender"),
    )
    labels = original.get_labels("fer2013")
    rgb = original.load_image(PHOTOS / "astronaut.jpg")
    gray = original.load_image(PHOTOS / "astronaut.jpg", grayscale=True)
    gray = np.squeeze(gray).astype("uint8")
    faces = original.detect_faces(detector, gray)
    side = ASTRONAUT_SIDE
    assert faces.tolist() == [[177, 67, side, side]]
    x1, x2, y1, y2 = original.apply_offsets(faces[0], (0, 0))
    assert (x1, x2, y1, y2) == (177, 177 + side, 67, 67 + side)
    size = emotion.input_shape[1:3]
    mini = mien.Engine(emotion="mini_XCEPTION")
    face = mini.network_input(gray, faces[0])
    assert face.shape == size
    shown = np.expand_dims(np.expand_dims(original.preprocess_input(face), 0), -1)
    prediction = emotion.predict(shown)
    assert prediction.shape == (1, 7) and labels[int(np.argmax(prediction))] == "happy"
    exact = mini.classify(gray, faces[0]).emotion.probabilities
    assert np.allclose(prediction[0], list(exact.values()), atol=1e-6)
    wrong = emotion.predict(
        np.expand_dims(np.expand_dims(original.preprocess_input(face, False), 0), -1)
    )
    assert not np.allclose(
        wrong, prediction
    )  # [0, 1] is another image to this network, as it was in Keras
    x1, x2, y1, y2 = original.apply_offsets(faces[0], (10, 10))
    crop = original.preprocess_input(rgb[y1:y2, x1:x2], False)[None]
    assert original.get_labels("imdb")[int(np.argmax(gender.predict(crop)))] == "woman"

    original.draw_bounding_box(faces[0], rgb, (0, 0, 255))
    assert (rgb[67, 177 : 177 + side] == (0, 0, 255)).all() and (
        rgb[67 + side, 200] == (0, 0, 255)
    ).all()
    before = rgb.copy()
    original.draw_text(faces[0], rgb, "happy", (255, 0, 0), 0, -20, 1, 2)
    changed = np.argwhere((rgb != before).any(axis=2))
    assert len(changed) > 100 and changed[:, 0].max() <= 67 - 20 + 12 and changed[:, 1].min() >= 170
    original.draw_text((500, 5), rgb, "cut off at the corner", (255, 0, 0))


def test_small_functions() -> None:
    assert original.preprocess_input(np.array([0, 255], np.uint8)).tolist() == [-1, 1]
    assert original.preprocess_input(np.array([0, 255], np.uint8), False).tolist() == [0, 1]
    assert original.get_labels("KDEF")[2] == "AF" and original.get_labels("imdb")[0] == "woman"
    with pytest.raises(ValueError):
        original.get_labels("none")
    colors = original.get_colors(7)
    assert colors.shape == (7, 4) and colors[0].tolist() == [255, 0, 0, 255] and colors.max() == 255
    assert (
        original.detect_faces(original.load_detection_model(), np.zeros((60, 60), np.uint8)) == ()
    )
    with pytest.raises(mien.WeightsError):
        original.load_model(
            "model.hdf5" if Path("model.hdf5").exists() else str(PHOTOS / "astronaut.jpg")
        )
    with pytest.raises(ValueError):
        original.load_model().predict(np.zeros((64, 64)))
    assert original.load_model().predict(np.zeros((3, 64, 64, 1))).shape == (3, 7)
    # The original's network by default and by its file's name, mien's by its own.
    noise = np.random.default_rng(3).random((2, 64, 64, 1)) * 2 - 1
    default = original.load_model()
    assert default.input_shape == (None, 64, 64, 1)
    named = original.load_model(
        "../trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5"
    )
    ours = original.load_model("mien")
    assert np.array_equal(named.predict(noise), default.predict(noise)) and not np.array_equal(
        ours.predict(noise), default.predict(noise)
    )
    assert ours.input_shape[1:] == mien.Engine().input_shape("emotion")


def test_rectangles_are_opencvs(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip(f"OpenCV {cv2.__version__} has no CascadeClassifier")
    theirs = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    ours = original.load_detection_model(
        cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    )
    cv2.setNumThreads(1)  # its order of rectangles depends on the threads
    compared = 0
    for path in pictures(tmp_path):
        gray = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY)
        for options in (
            {"scaleFactor": 1.3, "minNeighbors": 5},
            {"scaleFactor": 1.1, "minNeighbors": 5, "minSize": (50, 50)},
            {},
        ):
            expected = theirs.detectMultiScale(gray, **options)
            assert np.array_equal(
                np.array(expected), np.array(ours.detectMultiScale(gray, **options))
            ), (path.name, options)
            compared += len(expected)
    assert compared > 50
    print(f"{compared} rectangles equal to those of OpenCV {cv2.__version__}")


# ---- fer ----


def test_fer_by_itself(tmp_path: Path) -> None:
    detector = FER()
    faces = detector.detect_emotions(str(PHOTOS / "astronaut.jpg"))
    assert len(faces) == 1 and list(faces[0]["emotions"]) == LABELS
    assert detector.top_emotion(str(PHOTOS / "astronaut.jpg")) == (
        "happy",
        faces[0]["emotions"]["happy"],
    )
    assert detector.top_emotion(np.zeros((80, 80, 3), np.uint8)) == (None, None)
    bgr = mien.read_picture(PHOTOS / "montage.jpg")[:, :, ::-1]
    assert detector.detect_emotions(bgr, [[144, 65, 95, 95]])[0]["emotions"]["happy"] > 0.9
    twice = detector.batch_detect_emotions([bgr, bgr])
    assert (
        len(twice) == 2
        and [f["emotions"] for f in twice[0]] == [f["emotions"] for f in twice[1]]
        and len(twice[0]) >= 4
    )
    assert FER.tosquare((10, 20, 30, 50)) == (0, 20, 50, 50)
    for wrong in (
        {"scale_factor": 1.0},
        {"min_face_size": 0},
        {"min_neighbors": -1},
        {"offsets": 3},
    ):
        with pytest.raises(ValueError):
            FER(**wrong)
    with pytest.raises(NotImplementedError):
        FER(mtcnn=True)
    ours, mini, large = (
        FER(weights=name).detect_emotions(bgr) for name in ("mien", "fer", "large")
    )
    assert [f["emotions"] for f in mini] == [f["emotions"] for f in twice[0]]
    assert len({str([f["emotions"] for f in faces]) for faces in (ours, mini, large)}) == 3
    with pytest.raises(mien.WeightsError):
        FER(weights=str(PHOTOS / "astronaut.jpg"))
    with pytest.raises(ValueError):
        detector.detect_emotions(str(tmp_path / "missing.jpg"))


FILM_LENGTH = 12


def make_film(path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    rgb = mien.read_picture(PHOTOS / "astronaut.jpg")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512), True)
    for number in range(FILM_LENGTH):
        writer.write(
            np.ascontiguousarray(np.roll(rgb, 4 * number, axis=1)[:, :, ::-1])
            if number != 5
            else np.zeros((512, 512, 3), np.uint8)
        )
    writer.release()


def test_fer_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(tmp_path)
    make_film(tmp_path / "film.avi")
    rows = Video("film.avi").analyze(FER(), display=False)
    assert (
        len(rows) == FILM_LENGTH - 1 and rows[0]["happy0"] > 0.5
    )  # the black frame has no row, as in fer
    assert (tmp_path / "data.csv").read_text().count("\n") == FILM_LENGTH
    with zipfile.ZipFile("output/images.zip") as archive:
        assert len(archive.namelist()) == FILM_LENGTH
    table = Video("film.avi").analyze(
        FER(), output="pandas", frequency=2, save_frames=False, save_video=False
    )
    assert (
        isinstance(table, pandas.DataFrame)
        and list(table.columns) == ["box", *LABELS]
        and len(table) == FILM_LENGTH // 2
    )
    with pytest.raises(AssertionError):
        Video("missing.avi")


THEIRS = """
import importlib.metadata, json, sys
import cv2
cv2.setNumThreads(1)
from fer.fer import FER
films = [p for p in sys.argv[1:] if p.endswith(".avi")]
answers = {"fer": importlib.metadata.version("fer")}
for kind, lite in (("keras", False), ("lite", True)):
    detector = FER(use_tflite=lite)
    answers[kind] = [[{"box": [int(v) for v in face["box"]], "emotions": {k: round(float(v), 2) for k, v in face["emotions"].items()}}
                      for face in detector.detect_emotions(cv2.imread(path))] for path in sys.argv[1:] if path not in films]
if films:
    from fer.classes import Video
    answers["video"] = [[int(v) for v in row["box0"]] + [float(row[k + "0"]) for k in ("happy", "sad", "neutral")]
                        for row in Video(films[0]).analyze(FER(use_tflite=False), save_frames=False, save_video=False)]
print("ANSWERS", json.dumps(answers))
"""


def ask_fer(python: str, folder: Path, paths: "list[Path]") -> dict:
    done = subprocess.run(
        [python, "-c", THEIRS, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("ANSWERS", 1)[1])


def compare_with_fer(theirs: dict, paths: "list[Path]") -> None:
    detector = FER()
    ours = [detector.detect_emotions(str(path)) for path in paths]
    for kind in ("keras", "lite"):
        faces = same = 0
        distances = []
        assert len(theirs[kind]) == len(paths)
        for path, mine, their in zip(paths, ours, theirs[kind]):
            assert [[int(v) for v in face["box"]] for face in mine] == [
                face["box"] for face in their
            ], path.name
            for a, b in zip(mine, their):
                faces += 1
                same += max(a["emotions"], key=a["emotions"].__getitem__) == max(
                    b["emotions"], key=b["emotions"].__getitem__
                )
                distances.append(max(abs(a["emotions"][k] - b["emotions"][k]) for k in LABELS))
        print(
            f"fer {theirs['fer']}, {kind}: {len(paths)} images, {faces} faces, all rectangles equal, {same} same top label, largest difference of a score: "
            f"mean {np.mean(distances):.3f}, median {np.median(distances):.3f}, worst {max(distances):.2f}"
        )
        assert (
            faces > 25
            and same >= 0.93 * faces
            and np.mean(distances) < 0.03
            and max(distances) < 0.2
        )


def test_fer_as_it_answered(tmp_path: Path) -> None:
    compare_with_fer(
        json.loads((Path(__file__).parent / "fer_answers.json").read_text()),
        pictures(tmp_path, samples_only=True),
    )


def test_fer_beside_the_real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = os.environ.get("MIEN_FER_PYTHON")
    if not python:
        pytest.skip(
            "MIEN_FER_PYTHON is not set: the package fer is not asked again (it brings several gigabytes)"
        )
    start = Path.cwd()
    monkeypatch.chdir(tmp_path)
    paths = pictures(tmp_path)
    make_film(tmp_path / "film.avi")
    theirs = ask_fer(str(Path(start, python)), tmp_path, [*paths, tmp_path / "film.avi"])
    compare_with_fer(theirs, paths)
    video = Video("film.avi").analyze(FER(), save_frames=False, save_video=False)
    assert [[int(v) for v in row["box0"]] for row in video] == [row[:4] for row in theirs["video"]]
    apart = [
        abs(row[k + "0"] - their[4 + i])
        for row, their in zip(video, theirs["video"])
        for i, k in enumerate(("happy", "sad", "neutral"))
    ]
    print(
        f"a film of {len(video)} frames with faces: rectangles equal, largest difference of a score {max(apart):.2f}"
    )
    assert max(apart) < 0.1
