# SPDX-License-Identifier: MIT
"""DeepFace.analyze and DeepFace.extract_faces of the package `deepface`, by mien: same arguments,
same lists of dictionaries.

from mien.compat.deepface import DeepFace           # was: from deepface import DeepFace

The networks are mien's: other numbers, the same labels. There is no network for race, none that
tells people apart (verify, find, represent), and no test for photos of photos (anti_spoofing):
these raise NotImplementedError.
"""

from __future__ import annotations

import base64
import math
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from ..engine import Engine, read_picture
from ..results import Box, Face, Reading

__all__ = ["DeepFace", "analyze", "extract_faces"]

_EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_GENDERS = {"Woman": "woman", "Man": "man"}
_ACTIONS = ("emotion", "age", "gender")
_BACKENDS = (
    "opencv",
    "ssd",
    "dlib",
    "mtcnn",
    "fastmtcnn",
    "retinaface",
    "mediapipe",
    "yolov8",
    "yolov8n",
    "yolov8m",
    "yolov8l",
    "yolov11n",
    "yolov11s",
    "yolov11m",
    "yolov11l",
    "yolov12n",
    "yolov12s",
    "yolov12m",
    "yolov12l",
    "yunet",
    "centerface",
    "skip",
)

Picture = Union[str, "os.PathLike[str]", npt.NDArray[Any], bytes]
_engines: Dict[str, Engine] = {}


def _engine() -> Engine:
    """The default engine, made at the first call."""
    if "" not in _engines:
        _engines[""] = Engine(format="bgr")
    return _engines[""]


def _load(img_path: Any) -> Tuple[npt.NDArray[np.uint8], str]:
    """BGR pixels of an array (BGR, as deepface has it), a path, base64 text or an open file; and what to call them."""
    if isinstance(img_path, np.ndarray):
        array = img_path
        if array.dtype != np.uint8:  # deepface takes its own normalized faces, too
            low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
            if not (0 <= low and high <= 255):
                raise ValueError("pixels must be 0 to 255, or 0 to 1")
            array = np.rint(array * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
        return (
            np.repeat(array[:, :, None], 3, axis=2) if array.ndim == 2 else array
        ), "numpy array"
    if hasattr(img_path, "read"):
        return read_picture(img_path.read())[:, :, ::-1], "io object"
    if isinstance(img_path, (bytes, bytearray)):
        return read_picture(img_path)[:, :, ::-1], "bytes"
    path = os.fspath(img_path)
    if path.startswith("data:image/"):
        return (
            read_picture(base64.b64decode(path.split(",", 1)[-1]))[:, :, ::-1],
            "base64 encoded string",
        )
    if path.lower().startswith(("http://", "https://")):
        raise NotImplementedError("mien fetches nothing from the network: pass the file")
    if not os.path.isfile(path):
        raise ValueError(f"Confirm that {path} exists")
    return read_picture(path)[:, :, ::-1], path


def _check(detector_backend: str, anti_spoofing: bool) -> None:
    if detector_backend not in _BACKENDS:
        raise ValueError(f"invalid detector_backend passed - {detector_backend}")
    if anti_spoofing:
        raise NotImplementedError("anti_spoofing: mien has no network for it")


def _faces(
    picture: npt.NDArray[np.uint8], name: str, detector_backend: str, enforce_detection: bool
) -> List[Face]:
    """Those of the image, with readings; the image itself where it is not searched, or has none and need not."""
    engine = _engine()
    if detector_backend != "skip":
        found = list(engine.analyze(picture).faces)
        if found:
            return found
        if enforce_detection:
            raise ValueError(
                f"Face could not be detected in {name}."
                "Please confirm that the picture is a face photo "
                "or consider to set enforce_detection param to False."
            )
    whole = engine.classify(picture)
    whole.box = Box(0, 0, picture.shape[1], picture.shape[0])
    return [whole]


def _eyes(face: Face) -> Tuple[Optional[Tuple[int, int]], Optional[Tuple[int, int]]]:
    """The person's left and right eye."""
    if len(face.landmarks) < 2:
        return None, None
    right, left = ((int(round(x)), int(round(y))) for x, y in face.landmarks[:2])
    return left, right


def _region(face: Face) -> Dict[str, Any]:
    left, right = _eyes(face)
    x, y, width, height = face.box
    return {"x": x, "y": y, "w": width, "h": height, "left_eye": left, "right_eye": right}


def _percent(reading: Reading, names: Dict[str, str]) -> Dict[str, float]:
    return {shown: 100.0 * reading.probabilities[own] for shown, own in names.items()}


def _answers(face: Face, actions: Sequence[str]) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for action in actions:
        reading = face.readings[action]
        if action == "age":
            assert reading.value is not None
            result["age"] = int(math.floor(reading.value + 0.5))
        else:
            names = {n: n for n in _EMOTIONS} if action == "emotion" else _GENDERS
            result[action] = _percent(reading, names)
            result[f"dominant_{action}"] = max(result[action], key=result[action].__getitem__)
        result["region"] = _region(face)
        result["face_confidence"] = round(face.score, 2)
    return result


def _several(img_path: Any) -> Optional[List[Any]]:
    """The images of a list, or of an array of four axes."""
    if isinstance(img_path, (list, tuple)):
        return list(img_path)
    if isinstance(img_path, np.ndarray) and img_path.ndim == 4:
        return list(img_path)
    return None


def analyze(
    img_path: Union[Picture, Sequence[Picture]],
    actions: Union[str, Sequence[str]] = _ACTIONS,
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: bool = True,
    expand_percentage: int = 0,
    silent: bool = False,
    anti_spoofing: bool = False,
) -> List[Any]:
    """A dictionary per face; a list of such lists for several images.

    By default all that mien reads, which is deepface's default without "race". `detector_backend`
    is one of deepface's names, but the detector is mien's; "skip" reads the image as a face.
    `align` and `silent` change nothing: faces are always turned upright, and nothing is printed."""
    many = _several(img_path)
    if many is not None:
        return [
            analyze(one, actions, enforce_detection, detector_backend, align, expand_percentage)
            for one in many
        ]
    wanted = [actions] if isinstance(actions, str) else list(actions)
    if not wanted:
        raise ValueError("`actions` must be a list of strings.")
    for action in wanted:
        if action == "race":
            raise NotImplementedError(
                f"race: mien has no network for it; actions may be {', '.join(_ACTIONS)}"
            )
        if action not in _ACTIONS:
            raise ValueError(
                f"Invalid action passed ({action!r})). "
                f"Valid actions are {', '.join(f'`{name}`' for name in _ACTIONS)}."
            )
    _check(detector_backend, anti_spoofing)
    if expand_percentage:
        raise NotImplementedError("expand_percentage: mien's networks have margins of their own")
    picture, name = _load(img_path)
    faces = _faces(picture, name, detector_backend, enforce_detection)
    return [_answers(face, wanted) for face in faces]


def extract_faces(
    img_path: Union[Picture, Sequence[Picture]],
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
) -> List[Any]:
    """[{"face": pixels of the box, "facial_area": its place and the eyes, "confidence": the detector's score}, ...]

    `face` is float64, 0 to 1, or uint8 without normalize_face; "rgb", "bgr" or "gray". `align`
    turns it so that the eyes are level.
    """
    many = _several(img_path)
    if many is not None:
        return [
            extract_faces(
                one,
                detector_backend,
                enforce_detection,
                align,
                expand_percentage,
                grayscale,
                color_face,
                normalize_face,
            )
            for one in many
        ]
    if color_face not in ("rgb", "bgr", "gray"):
        raise ValueError(f"The color_face can be rgb, bgr or gray, but it is {color_face}.")
    _check(detector_backend, anti_spoofing)
    picture, name = _load(img_path)
    result: List[Dict[str, Any]] = []
    for face in _faces(picture, name, detector_backend, enforce_detection):
        pixels = _cut(picture, face, align, expand_percentage)
        if grayscale or color_face == "gray":
            pixels = pixels @ np.array([0.114, 0.587, 0.299])
        elif color_face == "rgb":
            pixels = pixels[:, :, ::-1]
        result.append(
            {
                "face": (
                    pixels / 255.0
                    if normalize_face
                    else np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
                ),
                "facial_area": _region(face),
                "confidence": round(face.score, 2),
            }
        )
    return result


def _cut(
    picture: npt.NDArray[np.uint8], face: Face, align: bool, expand_percentage: int
) -> npt.NDArray[np.float64]:
    """The box grown by that many percent, turned about its middle until the eyes are level; BGR."""
    x, y, width, height = face.box
    rows, columns = picture.shape[:2]
    grown_x, grown_y = width * expand_percentage // 200, height * expand_percentage // 200
    x, y = max(x - grown_x, 0), max(y - grown_y, 0)
    width = min(width + 2 * grown_x, columns - x)
    height = min(height + 2 * grown_y, rows - y)
    left, right = _eyes(face)
    if not align or left is None or right is None:
        return picture[y : y + height, x : x + width, :3].astype(np.float64)
    # The person's right eye is on the left of the image.
    angle = math.atan2(left[1] - right[1], left[0] - right[0])
    cos, sin = math.cos(angle), math.sin(angle)
    down, across = np.mgrid[0:height, 0:width]
    across, down = across - (width - 1) / 2, down - (height - 1) / 2
    from_x = x + (width - 1) / 2 + cos * across - sin * down
    from_y = y + (height - 1) / 2 + sin * across + cos * down
    left_x, top_y = np.floor(from_x).astype(int), np.floor(from_y).astype(int)
    weight_x, weight_y = (from_x - left_x)[:, :, None], (from_y - top_y)[:, :, None]

    def at(dy: int, dx: int) -> npt.NDArray[np.float64]:
        """Black outside of the image."""
        ys, xs = top_y + dy, left_x + dx
        inside = (ys >= 0) & (ys < rows) & (xs >= 0) & (xs < columns)
        pixels = picture[np.clip(ys, 0, rows - 1), np.clip(xs, 0, columns - 1), :3]
        seen: npt.NDArray[np.float64] = pixels * inside[:, :, None].astype(np.float64)
        return seen

    above = at(0, 0) * (1 - weight_x) + at(0, 1) * weight_x
    below = at(1, 0) * (1 - weight_x) + at(1, 1) * weight_x
    turned: npt.NDArray[np.float64] = above * (1 - weight_y) + below * weight_y
    return turned


def _missing(name: str) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"DeepFace.{name}: mien has no network that tells people apart")

    return staticmethod(call)


class DeepFace:
    """The functions of the module `deepface.DeepFace` that mien has."""

    analyze = staticmethod(analyze)
    extract_faces = staticmethod(extract_faces)
    verify, find, represent = _missing("verify"), _missing("find"), _missing("represent")
