# SPDX-License-Identifier: MIT
"""mien.compat.opencv against OpenCV itself: the same arrays, of the same types, for the same calls;
and mien.compat.deepface.

OpenCV's part needs opencv-python-headless 4.14, and runs on the sample photos; with MIEN_DATA on
press photos and its images, too.
"""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import numpy as np
import numpy.typing as npt
import pytest
from conftest import PHOTOS

import mien
from mien.compat import deepface, opencv
from mien.compat.deepface import DeepFace

cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference: opencv-python-headless")
if not hasattr(cv2, "CascadeClassifier"):
    pytest.skip("this OpenCV has no CascadeClassifier", allow_module_level=True)

FOLDER = cv2.data.haarcascades
# One of each kind: stumps, trees, tilted, an old file.
SOME = [
    "frontalface_default",
    "frontalface_alt2",
    "frontalface_alt_tree",
    "profileface",
    "eye_tree_eyeglasses",
    "smile",
    "upperbody",
    "license_plate_rus_16stages",
]
PARAMETERS: List[Tuple[Any, ...]] = [
    (),
    (1.3, 5),
    (1.1, 0),
    (1.2, 1, 0, (30, 30)),
    (1.15, 3, 4, (0, 0), (120, 120)),
    (1.1, 2, 2, (40, 20), (90, 200)),
    (1.25, 0, 0, (30, 0), (200, 0)),
    (1.05, 4, 0, (60, 60), (61, 61)),
    (3.0, -1),
    (50,),
]


def cascade_path(name: str) -> str:
    path = f"{FOLDER}haarcascade_{name}.xml"
    if not os.path.exists(path):
        pytest.skip(f"this OpenCV has no {name}")
    return path


def pair(name: str) -> Tuple[Any, Any]:
    cv2.setNumThreads(1)
    path = cascade_path(name)
    return cv2.CascadeClassifier(path), opencv.CascadeClassifier(path)


def same(theirs: Any, ours: Any, where: object = "") -> None:
    """Equal to the bit, in value, type, shape and order."""
    assert type(theirs) is type(ours), (where, theirs, ours)
    if isinstance(theirs, np.ndarray):
        assert theirs.dtype == ours.dtype and theirs.shape == ours.shape, where
        assert theirs.flags["C_CONTIGUOUS"] == ours.flags["C_CONTIGUOUS"], where
        assert np.array_equal(theirs, ours), (where, theirs.tolist(), ours.tolist())
    elif isinstance(theirs, (tuple, list)):
        assert len(theirs) == len(ours), where
        for a, b in zip(theirs, ours):
            same(a, b, where)
    else:
        assert theirs == ours, where


def images(count: int = 0) -> Iterator[Tuple[str, npt.NDArray[np.uint8]]]:
    """BGR; the sample photos, and evenly `count` of the large data where that is."""
    for path in sorted(PHOTOS.iterdir()):
        yield path.name, mien.read_picture(path)[:, :, ::-1]
    if not os.environ.get("MIEN_DATA") or count == 0:
        return
    data = Path(os.environ["MIEN_DATA"])
    others = sorted(
        p for p in (data / "images").rglob("*") if p.suffix.lower() in (".jpg", ".png", ".jpeg")
    )
    for path in others[: count // 2]:
        image = cv2.imread(str(path))
        if image is not None:
            yield path.name, image
    with zipfile.ZipFile(data / "data" / "faces" / "photos.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".png")))
        for name in names[:: max(len(names) // count, 1)][:count]:
            image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
            yield name, image


@pytest.mark.parametrize("name", SOME)
def test_rectangles_counts_levels_and_weights(name: str) -> None:
    theirs, ours = pair(name)
    assert theirs.getOriginalWindowSize() == ours.getOriginalWindowSize()
    compared = rectangles = 0
    for where, image in images(4):
        for parameters in (
            PARAMETERS if where in ("astronaut.jpg", "montage.jpg") else PARAMETERS[:4]
        ):
            if image.shape[0] * image.shape[1] > 700_000 and parameters[:1] in ((), (1.1,)):
                continue
            which = (where, name, parameters)
            found = theirs.detectMultiScale2(image, *parameters)
            same(found, ours.detectMultiScale2(image, *parameters), which)
            arguments = (*parameters, *(1.1, 3, 0, (0, 0), (0, 0))[len(parameters) :])
            same(
                theirs.detectMultiScale3(image, *arguments, outputRejectLevels=True),
                ours.detectMultiScale3(image, *arguments, outputRejectLevels=True),
                which,
            )
            compared += 1
            rectangles += len(found[0])
    print(f"{name}: {compared} searches, {rectangles} rectangles")
    assert compared >= 20


def test_arrays_of_all_kinds() -> None:
    theirs, ours = pair("frontalface_default")
    bgr = np.ascontiguousarray(mien.read_picture(PHOTOS / "montage.jpg")[:, :, ::-1])
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    views = {
        "gray": gray,
        "bgr": bgr,
        "bgra": cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA),
        "one channel": gray[:, :, None],
        "part": gray[13:400, 21:630],
        "part of bgr": bgr[13:400, 21:630],
        "mirrored": gray[:, ::-1],
        "upside down": gray[::-1],
        "every second": gray[::2, ::2],
        "rgb": bgr[:, :, ::-1],
        "column first": np.asfortranarray(bgr),
        "turned": gray.T,
        "smaller than the window": gray[:20, :200],
        "nothing": gray[:0],
    }
    for what, view in views.items():
        same(theirs.detectMultiScale(view, 1.2, 3), ours.detectMultiScale(view, 1.2, 3), what)
    black = np.zeros((90, 90), np.uint8)
    for what in ("detectMultiScale", "detectMultiScale2", "detectMultiScale3"):
        same(getattr(theirs, what)(black), getattr(ours, what)(black), what)
    same(
        theirs.detectMultiScale(
            image=gray, scaleFactor=1.3, minNeighbors=5, flags=2, minSize=None, maxSize=[200, 200]
        ),
        ours.detectMultiScale(
            image=gray, scaleFactor=1.3, minNeighbors=5, flags=2, minSize=None, maxSize=[200, 200]
        ),
    )
    # A read-only array, and what OpenCV cannot do: levels without asking for them.
    gray.setflags(write=False)
    boxes, levels, weights = ours.detectMultiScale3(gray)
    assert len(boxes) > 3 and levels == weights == ()


def test_sizes_by_chance() -> None:
    theirs, ours = pair("frontalface_alt2")
    gray = cv2.cvtColor(mien.read_picture(PHOTOS / "astronaut.jpg"), cv2.COLOR_RGB2GRAY)
    chance = random.Random(5)
    for _ in range(60):
        arguments = (
            gray[: chance.randint(1, 300), : chance.randint(1, 300)],
            chance.choice([1.05, 1.1, 1.24, 1.5, 2.0]),
            chance.randint(0, 3),
            0,
            (chance.randint(0, 90), chance.randint(0, 90)),
            (chance.randint(0, 200), chance.randint(0, 200)),
            True,
        )
        same(
            theirs.detectMultiScale3(*arguments), ours.detectMultiScale3(*arguments), arguments[1:]
        )


def test_what_is_refused() -> None:
    theirs, ours = pair("frontalface_default")
    gray = np.zeros((60, 60), np.uint8)
    calls: List[Callable[[Any], Any]] = [
        lambda c: c.detectMultiScale(gray, 1.0),
        lambda c: c.detectMultiScale(gray, float("nan")),
        lambda c: c.detectMultiScale(gray, "1.1"),
        lambda c: c.detectMultiScale(gray, 1.1, 5.0),
        lambda c: c.detectMultiScale(gray, 1.1, 5, (30, 30)),
        lambda c: c.detectMultiScale(gray, minSize=30),
        lambda c: c.detectMultiScale(gray, minSize=(30.0, 30.0)),
        lambda c: c.detectMultiScale(gray.astype(np.float32)),
        lambda c: c.detectMultiScale(gray.astype(bool)),
        lambda c: c.detectMultiScale(gray[:, :, None].repeat(2, axis=2)),
        lambda c: c.detectMultiScale([[1, 2]]),
        lambda c: type(c)().detectMultiScale(gray),
        lambda c: type(c)().getOriginalWindowSize(),
    ]
    for call in calls:
        with pytest.raises(cv2.error):
            call(theirs)
        with pytest.raises(opencv.error):
            call(ours)


def test_loading(tmp_path: Path) -> None:
    for module in (cv2, opencv):
        cascade = module.CascadeClassifier()
        assert cascade.empty() and not cascade.load("/nowhere.xml")
        assert module.CascadeClassifier("/nowhere.xml").empty()
        assert module.CascadeClassifier(filename=Path(cascade_path("eye"))).empty() is False
        assert cascade.load(cascade_path("eye")) and not cascade.empty()
        assert cascade.getFeatureType() == 0 and cascade.isOldFormatCascade() is False
        assert not cascade.load("/nowhere.xml") and cascade.empty()
        bad = tmp_path / "bad.xml"
        bad.write_text('<?xml version="1.0"?><opencv_storage><cascade><a></opencv_storage>')
        with pytest.raises(module.error):
            cascade.load(str(bad))
    lbp = tmp_path / "lbp.xml"
    lbp.write_text(
        "<opencv_storage>\n<cascade><stageType>BOOST</stageType>\n"
        "<featureType>LBP</featureType></cascade></opencv_storage>"
    )
    with pytest.raises(opencv.error, match=r"lbp.xml: line 3: is a cascade of LBP features"):
        opencv.CascadeClassifier(str(lbp))
    # The one in the package, without any file.
    inside = opencv.CascadeClassifier(
        opencv.data.haarcascades + "haarcascade_frontalface_default.xml"
    )
    image = mien.read_picture(PHOTOS / "astronaut.jpg")
    ours = opencv.CascadeClassifier(cascade_path("frontalface_default"))
    same(ours.detectMultiScale(image), inside.detectMultiScale(image))
    same(ours.detectMultiScale(image), pickle.loads(pickle.dumps(ours)).detectMultiScale(image))
    same(ours.detectMultiScale(image), pickle.loads(pickle.dumps(inside)).detectMultiScale(image))
    assert (
        opencv.CascadeClassifier(str(PHOTOS.parent / "cascades" / "stumps.mien")).empty() is False
    )


def test_xml_in_the_engine() -> None:
    path = cascade_path("frontalface_alt2")
    theirs, _ = pair("frontalface_alt2")
    image = mien.read_picture(PHOTOS / "montage.jpg")
    engine = mien.Engine(cascade=path, scale_factor=1.2, min_neighbors=3)
    assert engine.models["cascade"] == "haarcascade_frontalface_alt2"
    expected = theirs.detectMultiScale(np.ascontiguousarray(image[:, :, ::-1]), 1.2, 3)
    assert [list(box) for box in engine.detect_faces(image)] == expected.tolist()


# ---- three public programs' ways of calling, with either import ----


def opencv_sample(cv: Any, image: npt.NDArray[np.uint8]) -> Any:
    """As samples/python/facedetect.py of OpenCV: boxes to corners in place, eyes inside of each face."""

    def corners(picture: Any, cascade: Any) -> Any:
        boxes = cascade.detectMultiScale(
            picture,
            scaleFactor=1.3,
            minNeighbors=4,
            minSize=(30, 30),
            flags=cv.CASCADE_SCALE_IMAGE,
        )
        if len(boxes) == 0:
            return []
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    faces = cv.CascadeClassifier(cascade_path("frontalface_alt"))
    eyes = cv.CascadeClassifier(cascade_path("eye"))
    gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    found = corners(gray, faces)
    return [found, [corners(gray[y1:y2, x1:x2], eyes) for x1, y1, x2, y2 in found]]


def recognizer(cv: Any, image: npt.NDArray[np.uint8]) -> Any:
    """As tutorials of face recognition cut their training faces: the first one, or None."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    cascade = cv.CascadeClassifier()
    assert cascade.load(cascade_path("frontalface_default"))
    faces = cascade.detectMultiScale(gray, scaleFactor=1.2, minNeighbors=5)
    if len(faces) == 0:
        return None, None
    x, y, w, h = faces[0]
    largest = max(faces, key=lambda face: face[2] * face[3])
    return gray[y : y + w, x : x + h], tuple(int(v) for v in largest)


def direction_finder(cv: Any, image: npt.NDArray[np.uint8]) -> Any:
    """As programs that tell frontal from profile faces: by the weights, the profile in the mirrored image, too."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    answers = []
    for name, picture in (
        ("frontalface_alt", gray),
        ("profileface", gray),
        ("profileface", cv2.flip(gray, 1)),
        ("profileface", gray[:, ::-1]),
    ):
        boxes, levels, weights = cv.CascadeClassifier(cascade_path(name)).detectMultiScale3(
            picture,
            scaleFactor=1.3,
            minNeighbors=4,
            minSize=(30, 30),
            flags=cv.CASCADE_SCALE_IMAGE,
            outputRejectLevels=True,
        )
        best = int(np.argmax(weights)) if len(weights) else None
        answers.append((best, boxes if best is None else boxes[best].tolist(), levels, weights))
    return answers


@pytest.mark.parametrize("program", [opencv_sample, recognizer, direction_finder])
def test_programs_with_the_other_import(program: Callable[[Any, Any], Any]) -> None:
    cv2.setNumThreads(1)
    blank = np.zeros((120, 160, 3), np.uint8)
    for where, image in [*images(6), ("blank", blank)]:
        image = np.ascontiguousarray(image)
        same(program(cv2, image), program(opencv, image), where)


# ---- FaceDetectorYN ----


def test_face_detector_yn() -> None:
    image = np.ascontiguousarray(mien.read_picture(PHOTOS / "astronaut.jpg")[:, :, ::-1])
    height, width = image.shape[:2]
    detector = opencv.FaceDetectorYN.create(
        "face_detection_yunet_2023mar.onnx", "", (320, 320), score_threshold=0.7, top_k=5000
    )
    with pytest.raises(opencv.error, match="Size does not match"):
        detector.detect(image)
    detector.setInputSize((width, height))
    assert detector.getInputSize() == (width, height)
    done, faces = detector.detect(image)
    assert done == 1 and faces is not None
    assert faces.dtype == np.float32 and faces.shape == (1, 15)
    x, y, w, h = faces[0, :4]
    face = mien.Engine(enlarge_to=0).analyze(image, format="bgr").faces[0]
    assert tuple(face.box) == (x, y, w, h)
    assert np.allclose(faces[0, 4:14].reshape(5, 2), face.landmarks)
    assert faces[0, 14] == np.float32(face.score) > 0.7
    montage = np.ascontiguousarray(mien.read_picture(PHOTOS / "montage.jpg")[:, :, ::-1])
    detector.setInputSize(montage.shape[1::-1])
    _, several = detector.detect(montage)
    assert several is not None and len(several) > 3
    assert (np.diff(several[:, 14]) <= 0).all()
    detector.setTopK(2)
    _, best = detector.detect(montage)
    assert np.array_equal(best, several[:2])
    detector.setScoreThreshold(float(several[0, 14]) + 1e-3)
    assert detector.detect(montage) == (1, None)
    assert detector.detect(montage[:0]) == (0, None)
    assert (detector.getTopK(), detector.getNMSThreshold()) == (2, 0.3)
    with pytest.raises(opencv.error, match="mien runs YuNet"):
        opencv.FaceDetectorYN_create("res10_300x300.caffemodel", "", (9, 9))


# ---- deepface ----


def test_deepface_analyze() -> None:
    path = str(PHOTOS / "astronaut.jpg")
    (face,) = DeepFace.analyze(path)
    assert list(face) == [
        "emotion",
        "dominant_emotion",
        "region",
        "face_confidence",
        "age",
        "gender",
        "dominant_gender",
    ]
    own = mien.analyze(path)[0]
    assert face["region"]["x"] == own.box.x and face["region"]["h"] == own.box.height
    assert face["region"]["left_eye"][0] > face["region"]["right_eye"][0]  # the person's
    assert list(face["emotion"]) == "angry disgust fear happy sad surprise neutral".split()
    assert sum(face["emotion"].values()) == pytest.approx(100, abs=1e-3)
    assert face["emotion"]["happy"] == pytest.approx(100 * own.emotion.probabilities["happy"])
    assert face["dominant_emotion"] == own.emotion.label
    assert set(face["gender"]) == {"Woman", "Man"} and face["dominant_gender"] == "Woman"
    assert isinstance(face["age"], int) and abs(face["age"] - own.age.value) <= 0.5
    assert 0.5 < face["face_confidence"] <= 1
    bgr = mien.read_picture(path)[:, :, ::-1]
    assert DeepFace.analyze(bgr, actions=["emotion"])[0]["emotion"] == face["emotion"]
    assert DeepFace.analyze(img_path=bgr, actions="age")[0]["age"] == face["age"]
    many = DeepFace.analyze([path, bgr], actions=("gender",))
    assert len(many) == 2 and many[0] == many[1]
    assert len(DeepFace.analyze(PHOTOS / "montage.jpg", actions=["emotion"])) > 3


def test_deepface_without_a_face() -> None:
    blank = np.full((120, 160, 3), 128, np.uint8)
    for call in (DeepFace.analyze, DeepFace.extract_faces):
        with pytest.raises(ValueError, match="Face could not be detected in numpy array"):
            call(blank)
    (face,) = DeepFace.analyze(blank, enforce_detection=False)
    assert face["region"] == {
        "x": 0,
        "y": 0,
        "w": 160,
        "h": 120,
        "left_eye": None,
        "right_eye": None,
    }
    assert face["face_confidence"] == 0
    (face,) = DeepFace.extract_faces(blank, enforce_detection=False)
    assert face["face"].shape == (120, 160, 3) and face["confidence"] == 0
    assert len(DeepFace.analyze(blank, detector_backend="skip")) == 1


def test_deepface_refusals() -> None:
    path = str(PHOTOS / "astronaut.jpg")
    with pytest.raises(NotImplementedError, match="race: mien has no network"):
        DeepFace.analyze(path, actions=["emotion", "race"])
    with pytest.raises(ValueError, match="Invalid action passed"):
        DeepFace.analyze(path, actions=["mood"])
    with pytest.raises(ValueError, match="Confirm that /nowhere.jpg exists"):
        DeepFace.analyze("/nowhere.jpg")
    with pytest.raises(ValueError, match="invalid detector_backend"):
        DeepFace.analyze(path, detector_backend="eyes")
    with pytest.raises(NotImplementedError, match="anti_spoofing"):
        DeepFace.extract_faces(path, anti_spoofing=True)
    with pytest.raises(NotImplementedError, match="verify"):
        DeepFace.verify(path, path)


def test_deepface_extract_faces() -> None:
    path = PHOTOS / "astronaut.jpg"
    rgb = mien.read_picture(path)
    (plain,) = DeepFace.extract_faces(path, align=False)
    area = plain["facial_area"]
    x, y, w, h = (area[key] for key in "xywh")
    assert plain["face"].dtype == np.float64 and plain["face"].shape == (h, w, 3)
    assert np.allclose(plain["face"] * 255, rgb[y : y + h, x : x + w])
    (raw,) = DeepFace.extract_faces(path, align=False, normalize_face=False, color_face="bgr")
    assert raw["face"].dtype == np.uint8
    assert np.array_equal(raw["face"], rgb[y : y + h, x : x + w, ::-1])
    (gray,) = DeepFace.extract_faces(path, grayscale=True)
    assert gray["face"].shape == (h, w)
    (wide,) = DeepFace.extract_faces(path, align=False, expand_percentage=20)
    assert wide["face"].shape == (h + 2 * (h * 20 // 200), w + 2 * (w * 20 // 200), 3)
    # Where a head is turned, it is turned back: eyes that were not level are.
    picture = np.zeros((200, 240, 3), np.uint8)
    right, left = (80, 60), (130, 90)  # x, y
    for x, y in (right, left):
        picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    tilted = mien.Face(mien.results.Box(50, 20, 120, 130), 0, {}, 0.9, (right, left))
    pixels = deepface._cut(picture, tilted, True, 0)
    assert pixels.shape == (130, 120, 3)
    dots = [
        np.argwhere(half[:, :, 0] > 200).mean(axis=0) for half in (pixels[:, :60], pixels[:, 60:])
    ]
    assert abs(dots[0][0] - dots[1][0]) < 1.5
    assert abs(60 + dots[1][1] - dots[0][1] - np.hypot(50, 30)) < 1.5
