# SPDX-License-Identifier: MIT
"""Finds faces in images and reads their expression, gender and age.

    import mien
    engine = mien.Engine()
    for face in engine.analyze("photo.jpg"):
        print(face.box, face.emotion.label, face.emotion.probability)

Images are NumPy arrays (not copied), Pillow images, paths or the bytes of an image file. See docs/PYTHON.md.
"""

from __future__ import annotations

from typing import Iterable, List

from ._engine import version as __version__
from .engine import Engine, Picture, Place, default_engine, read_picture, write_picture
from .errors import Error, PictureError, PictureWarning, WeightsError
from .results import HEADS, Box, Explanation, Face, Reading, Result, TrackedFace, TrackedReading
from .tracker import Tracker

__all__ = [
    "HEADS",
    "Box",
    "Engine",
    "Error",
    "Explanation",
    "Face",
    "Picture",
    "PictureError",
    "PictureWarning",
    "Reading",
    "Result",
    "TrackedFace",
    "TrackedReading",
    "Tracker",
    "WeightsError",
    "__version__",
    "analyze",
    "analyze_many",
    "classify",
    "default_engine",
    "detect_faces",
    "explain",
    "read_picture",
    "write_picture",
]


def analyze(picture: Picture, format: str | None = None) -> Result:
    """Every face with its readings, by an engine with the default options that is made at the first call."""
    return default_engine().analyze(picture, format)


def analyze_many(pictures: Iterable[Picture], format: str | None = None) -> List[Result]:
    """A result for each image, in their order."""
    return default_engine().analyze_many(pictures, format)


def detect_faces(picture: Picture, format: str | None = None) -> List[Box]:
    """The boxes only, no network."""
    return default_engine().detect_faces(picture, format)


def classify(crop: Picture, format: str | None = None) -> Face:
    """Reads an image that is one face, already cut out."""
    return default_engine().classify(crop, format=format)


def explain(
    picture: Picture,
    box: Place | None = None,
    head: str = "emotion",
    method: str = "grad-cam",
    label: str | None = None,
    layer: str = "",
    format: str | None = None,
) -> Explanation:
    """Which part of a face speaks for an answer (Engine.explain)."""
    return default_engine().explain(picture, box, head, method, label, layer, format)
