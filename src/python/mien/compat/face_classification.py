# SPDX-License-Identifier: MIT
"""The functions of the face_classification demos, by mien: same names, arguments and shapes, no Keras and no OpenCV.

Results: rectangles are those of OpenCV; `predict` differs from Keras by the int8 arithmetic (docs/MIGRATION.md has the figures).
`load_model` reads .mien files; tools/convert_keras.py makes them of Keras' files.
"""

from __future__ import annotations

import colorsys
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from .. import _engine
from ..engine import Engine, only, read_picture
from ._pixels import draw_rectangle, gray_of

__all__ = [
    "Classifier",
    "Detector",
    "apply_offsets",
    "detect_faces",
    "draw_bounding_box",
    "draw_text",
    "get_colors",
    "get_labels",
    "load_detection_model",
    "load_image",
    "load_model",
    "preprocess_input",
]

_ORIGINAL_EMOTION = "fer2013_mini_XCEPTION.102-0.66.hdf5"
_LABELS: Dict[str, Dict[int, str]] = {
    "fer2013": {
        0: "angry",
        1: "disgust",
        2: "fear",
        3: "happy",
        4: "sad",
        5: "surprise",
        6: "neutral",
    },
    "imdb": {0: "woman", 1: "man"},
    "KDEF": {0: "AN", 1: "DI", 2: "AF", 3: "HA", 4: "SA", 5: "SU", 6: "NE"},
}


def load_image(
    image_path: Union[str, "os.PathLike[str]"],
    grayscale: bool = False,
    color_mode: str = "rgb",
    target_size: Optional[Tuple[int, int]] = None,
) -> npt.NDArray[np.uint8]:
    """RGB, or gray with a last axis of 1 as the demos' loader gives it."""
    if target_size is not None:
        raise ValueError(
            "target_size: mien resizes faces itself, exactly where the network wants it"
        )
    pixels = read_picture(image_path)
    return (
        gray_of(pixels, bgr=False)[:, :, None] if grayscale or color_mode == "grayscale" else pixels
    )


class Detector:
    """What load_detection_model returns; has OpenCV's detectMultiScale."""

    def __init__(self, cascade: Union[str, bool] = True) -> None:
        self._cascade = cascade
        self._engines: Dict[Tuple[float, int, int, int], Engine] = {}

    def detectMultiScale(
        self,
        image: npt.NDArray[np.uint8],
        scaleFactor: float = 1.1,
        minNeighbors: int = 3,
        flags: int = 0,
        minSize: Tuple[int, int] = (0, 0),
        maxSize: Tuple[int, int] = (0, 0),
    ) -> Any:
        key = float(scaleFactor), int(minNeighbors), max(minSize), min(maxSize)
        engine = self._engines.get(key)
        if engine is None:
            engine = Engine(
                detector="haar",
                cascade=self._cascade,
                **only(),
                format="bgr",
                scale_factor=key[0],
                min_neighbors=key[1],
                min_size=key[2],
                max_size=key[3],
            )
            self._engines[key] = engine
        boxes = engine.detect_faces(image)
        return np.array(boxes, dtype=np.int32) if boxes else ()


def load_detection_model(model_path: Optional[str] = None) -> Detector:
    """OpenCV's frontal face cascade is in the package: its .xml path is accepted by name; other
    cascades as .xml or .mien files."""
    if model_path is None or os.path.basename(model_path) == "haarcascade_frontalface_default.xml":
        return Detector()
    return Detector(model_path)


def detect_faces(detection_model: Detector, gray_image_array: npt.NDArray[np.uint8]) -> Any:
    return detection_model.detectMultiScale(np.squeeze(gray_image_array), 1.3, 5)


def apply_offsets(
    face_coordinates: Sequence[int], offsets: Tuple[int, int]
) -> Tuple[int, int, int, int]:
    """x1, x2, y1, y2. Unlike a slice with them, Engine.classify takes a box that leaves the image."""
    (x, y, width, height), (x_offset, y_offset) = face_coordinates, offsets
    return x - x_offset, x + width + x_offset, y - y_offset, y + height + y_offset


def preprocess_input(x: Any, v2: bool = True) -> npt.NDArray[np.float32]:
    """[0, 1], or with v2 [-1, 1]."""
    scaled = np.asarray(x, dtype=np.float32) / np.float32(255)
    return (scaled - np.float32(0.5)) * np.float32(2) if v2 else scaled


class Classifier:
    """What load_model returns: `predict` takes what preprocess_input gives, for one face or many."""

    def __init__(self, engine: Engine, head: str, v2: bool) -> None:
        self._engine, self._head, self._v2 = engine, head, v2
        height, width, channels = engine.input_shape(head)
        self.input_shape = (None, height, width, channels)
        self.labels = engine.labels(head)

    def predict(
        self, x: Any, batch_size: Optional[int] = None, verbose: Any = 0, steps: Any = None
    ) -> npt.NDArray[np.float32]:
        faces = np.asarray(x, dtype=np.float32)
        if faces.ndim != 4 or faces.shape[3] not in (1, 3):
            raise ValueError(
                f"predict takes an array of shape (faces, height, width, 1 or 3), not {faces.shape}"
            )
        pixels = (faces * np.float32(0.5) + np.float32(0.5)) * 255 if self._v2 else faces * 255
        bytes_ = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        rows = []
        for face in bytes_:
            read = self._engine.classify(
                face[:, :, 0] if face.shape[2] == 1 else face,
                format="gray" if face.shape[2] == 1 else "rgb",
            )
            rows.append(list(read.readings[self._head].probabilities.values()))
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(self.labels))

    __call__ = predict


def load_model(
    filepath: Optional[str] = None, compile: bool = False, kind: Optional[str] = None
) -> Classifier:
    """A .mien file, or a network of the package: kind "emotion" (if not given) or "gender".

    Without a path, and for a path that ends with the name of the original's emotion network (which is in the package, in int8), the answers
    are the original's; "mien" is the default network of mien.Engine, which is right more often; "large" as in Engine(emotion="large").
    The original's gender networks are not in the package: kind="gender" is mien's own.

    An emotion network is fed with preprocess_input(x), a gender network with preprocess_input(x, False), as in the demos.
    """
    if kind not in (None, "emotion", "gender"):
        raise ValueError(f'kind must be "emotion" or "gender", not {kind!r}')
    path: Union[str, bool]
    if kind == "gender":
        path = True if filepath in (None, "mien") else str(filepath)
        return Classifier(Engine(cascade=False, **only("gender", path)), "gender", v2=False)
    if filepath is None or os.path.basename(filepath) == _ORIGINAL_EMOTION:
        path = "mini_XCEPTION"
    else:
        path = True if filepath == "mien" else filepath
    engine = Engine(cascade=False, **only("emotion", path))
    if kind is None and len(engine.emotion_labels) == 2:
        return Classifier(Engine(cascade=False, **only("gender", path)), "gender", v2=False)
    return Classifier(engine, "emotion", v2=True)


def get_labels(dataset_name: str) -> Dict[int, str]:
    if dataset_name not in _LABELS:
        raise ValueError(f"{dataset_name!r} is none of {', '.join(_LABELS)}")
    return dict(_LABELS[dataset_name])


def get_colors(num_classes: int) -> npt.NDArray[np.float64]:
    """Colors all around the circle of hues, RGBA from 0 to 255, a row each."""
    hues: List[Tuple[float, float, float]] = [
        colorsys.hsv_to_rgb(hue % 1.0, 1.0, 1.0) for hue in np.linspace(0, 1, num_classes)
    ]
    return np.array([(*rgb, 1.0) for rgb in hues]) * 255


def draw_bounding_box(
    face_coordinates: Sequence[int], image_array: npt.NDArray[np.uint8], color: Any
) -> None:
    """Paints a frame 2 pixels thick, in place."""
    x, y, width, height = (int(v) for v in face_coordinates)
    draw_rectangle(image_array, x, y, width, height, color)


def draw_text(
    coordinates: Sequence[int],
    image_array: npt.NDArray[np.uint8],
    text: str,
    color: Any,
    x_offset: int = 0,
    y_offset: int = 0,
    font_scale: float = 2,
    thickness: int = 2,
) -> None:
    """Paints text with its baseline at (x + x_offset, y + y_offset), in place, in mien's own font (capitals of 21 pixels times `font_scale`,
    as Hershey Simplex has them; `thickness` is that of the font). What leaves the image is cut off.
    """
    size = 21.0 * float(font_scale)
    paper = image_array if image_array.flags.c_contiguous else np.ascontiguousarray(image_array)
    red, green, blue = (int(min(max(v, 0), 255)) for v in list(color)[:3])
    width, height = _engine.text_size(text, size)
    edge = (height - size) / 2
    _engine.draw_text(
        paper,
        int(coordinates[0]) + x_offset,
        round(int(coordinates[1]) + y_offset - size - edge),
        text,
        size,
        red,
        green,
        blue,
    )
    if paper is not image_array:
        image_array[...] = paper
