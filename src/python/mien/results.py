# SPDX-License-Identifier: MIT
"""The results for an image: plain values that outlive the engine, can be pickled, and become dict, JSON or a table's row.

`to_dict` has the keys of `mien image --json` (schema 2).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import _engine, _notebook
from .errors import Error

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas

SCHEMA = 2
HEADS = _engine.heads  # what the networks answer: "emotion", "gender", "age"
TIMING_KEYS = ("decode", "gray", "detect", "crop", *HEADS, "draw", "encode", "total")


class Box(NamedTuple):
    """Pixels of the image, origin at the top left; `x, y, width, height = face.box`."""

    x: int
    y: int
    width: int
    height: int

    def to_dict(self) -> Dict[str, int]:
        return {name: int(value) for name, value in self._asdict().items()}


@dataclass(slots=True)
class Reading:
    """One network's reading of a face: a probability per class, in the order of the network.

    `unsure`: the label's probability is below the network's threshold, or below Engine(min_confidence=).
    Of a network that answers with a quantity, such as years: `value`, the range `low` to `high` that holds four of five
    cases, and `unit`; the label is the class of the highest probability. Else `value` is None."""

    label: str
    probabilities: Dict[str, float]
    unsure: bool = False
    value: Optional[float] = None
    low: Optional[float] = None
    high: Optional[float] = None
    unit: str = ""

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]

    def to_dict(self) -> Dict[str, Any]:
        return {**_answer(self), "probabilities": _rounded(self.probabilities)}


def _rounded(probabilities: Dict[str, float]) -> Dict[str, float]:
    return {name: round(float(p), 6) for name, p in probabilities.items()}


def _line(record: Dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _answer(reading: "Reading | TrackedReading") -> Dict[str, Any]:
    """The keys beside the probabilities."""
    if reading.value is None:
        return {"label": reading.label, "unsure": bool(reading.unsure)}
    assert reading.low is not None and reading.high is not None
    value, low, high = (_tenths(v) for v in (reading.value, reading.low, reading.high))
    return {"value": value, "range": [low, high], "unit": reading.unit}


def _readable(name: str) -> str:
    """What is not UTF-8 in a file's name is replaced, as in the program."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _tenths(value: float) -> float:
    """One decimal, halves away from zero as in C++."""
    return math.copysign(math.floor(abs(float(value)) * 10 + 0.5) / 10, value)


def _found(face: "Face | TrackedFace") -> Dict[str, Any]:
    """What the detector network says of a face; nothing for one of Haar's."""
    if not face.landmarks:
        return {}
    return {
        "score": round(float(face.score), 6),
        "landmarks": [[round(float(v), 2) for v in point] for point in face.landmarks],
    }


def _row(face: "Face | TrackedFace") -> Dict[str, Any]:
    """The part of a table's row that all faces have."""
    row: Dict[str, Any] = {**face.box._asdict(), "neighbors": face.neighbors}
    if face.landmarks:
        row["score"] = face.score
    for head, reading in face.readings.items():
        if reading.value is None:
            row.update({head: reading.label, f"{head}_unsure": reading.unsure})
        else:
            row[head] = reading.value
            row.update({f"{head}_low": reading.low, f"{head}_high": reading.high})
        row.update({f"{head}_{label}": p for label, p in reading.probabilities.items()})
    return row


@dataclass(slots=True)
class Face:
    """`neighbors`: how many windows of the Haar detector agreed on the box. `readings` are by head, in
    the order of `mien.HEADS`, without those whose network is off.

    Of the detector network: `score`, 0 to 1, and `landmarks`, the person's right eye, left eye, tip of the nose, right and left
    corner of the mouth, (x, y) in pixels of the image, perhaps outside of it. `crop`: with Engine(crops=True), uint8
    (height, width) or, of a network that reads colors, (height, width, 3)."""

    box: Box
    neighbors: int
    readings: Dict[str, Reading] = field(default_factory=dict)
    score: float = 0.0
    landmarks: Tuple[Tuple[float, float], ...] = ()
    crop: "Optional[npt.NDArray[np.uint8]]" = field(default=None, repr=False, compare=False)

    def to_json(self) -> str:
        """One line."""
        return _line(self.to_dict())

    @property
    def emotion(self) -> Optional[Reading]:
        return self.readings.get("emotion")

    @property
    def gender(self) -> Optional[Reading]:
        return self.readings.get("gender")

    @property
    def age(self) -> Optional[Reading]:
        return self.readings.get("age")

    def to_dict(self) -> Dict[str, Any]:
        return {
            "box": Box(*self.box).to_dict(),
            "neighbors": int(self.neighbors),
            **_found(self),
            **{head: reading.to_dict() for head, reading in self.readings.items()},
        }


@dataclass(slots=True)
class Result:
    """Iterates over its faces, in the order of OpenCV's detectMultiScale; those of the network in reading order."""

    source: str
    width: int
    height: int
    faces: List[Face]
    models: Dict[str, str] = field(default_factory=dict)
    timing_ms: Dict[str, float] = field(default_factory=dict)
    _origin: Optional[_notebook.Origin] = field(default=None, repr=False, compare=False)
    note: str = ""  # of mien-batch: what was wrong with an image that was read all the same

    def __getstate__(self) -> List[Any]:  # where the image is holds in this process only
        return [None if f.name == "_origin" else getattr(self, f.name) for f in fields(self)]

    def __setstate__(self, state: List[Any]) -> None:
        for f, value in zip(fields(self), state):
            setattr(self, f.name, value)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Face:
        return self.faces[index]

    def __bool__(self) -> bool:  # a result without faces is still a result
        return True

    def to_dict(self) -> Dict[str, Any]:
        return {
            "schema": SCHEMA,
            "source": _readable(self.source),
            "width": int(self.width),
            "height": int(self.height),
            "models": dict(self.models),
            "timing_ms": {
                key: round(float(self.timing_ms.get(key, 0.0)), 3) for key in TIMING_KEYS
            },
            "faces": [face.to_dict() for face in self.faces],
            **({"note": self.note} if self.note else {}),
        }

    def to_json(self) -> str:
        """One line."""
        return _line(self.to_dict())

    def _repr_html_(self) -> str:
        """For notebooks: the image with its faces, where it can be had again, and a table."""
        return _notebook.html_of(self)

    def _repr_png_(self) -> Optional[bytes]:
        """The image alone; None where it cannot be had again."""
        return _notebook.png_of(self)

    def rows(self) -> List[Dict[str, Any]]:
        """A flat row for each face, for `pandas.DataFrame(result.rows())`; no row when there is no face."""
        return [
            {"source": self.source, "face": number, **_row(face)}
            for number, face in enumerate(self.faces)
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """rows() as a table of pandas, which must be installed."""
        try:
            import pandas
        except ImportError:
            raise Error("to_dataframe() needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.rows())


@dataclass(slots=True)
class TrackedReading:
    """`smoothed` decides on the label and the value; `probabilities` are those of the last
    reading. The rest as in Reading."""

    label: str
    probabilities: Dict[str, float]
    smoothed: Dict[str, float]
    unsure: bool = False
    value: Optional[float] = None
    low: Optional[float] = None
    high: Optional[float] = None
    unit: str = ""

    def to_dict(self) -> Dict[str, Any]:
        return {
            **_answer(self),
            "smoothed": _rounded(self.smoothed),
            "probabilities": _rounded(self.probabilities),
        }


@dataclass(slots=True)
class TrackedFace:
    """`id` counts from 1 and is never used again; `missed`: frames since the face was found last;
    `frames`: since it was first. `age` is the reading of that head; before schema 2 it was `frames`.
    """

    id: int
    box: Box
    neighbors: int
    missed: int
    frames: int
    readings: Dict[str, TrackedReading] = field(default_factory=dict)
    score: float = 0.0
    landmarks: Tuple[Tuple[float, float], ...] = ()

    @property
    def emotion(self) -> Optional[TrackedReading]:
        return self.readings.get("emotion")

    @property
    def gender(self) -> Optional[TrackedReading]:
        return self.readings.get("gender")

    @property
    def age(self) -> Optional[TrackedReading]:
        return self.readings.get("age")

    def to_dict(self) -> Dict[str, Any]:
        return {
            "id": int(self.id),
            "missed": int(self.missed),
            "frames": int(self.frames),
            "box": Box(*self.box).to_dict(),
            "neighbors": int(self.neighbors),
            **_found(self),
            **{head: reading.to_dict() for head, reading in self.readings.items()},
        }

    def to_json(self) -> str:
        """One line."""
        return _line(self.to_dict())

    def to_row(self) -> Dict[str, Any]:
        """Flat, for a table with a row for each face and frame; the label is the smoothed one."""
        return {
            "id": self.id,
            "missed": self.missed,
            "frames": self.frames,
            **_row(self),
        }


@dataclass(slots=True)
class Explanation:
    """What supports `label`: `values` (float32, at the size that the method works at) cover `crop` of the image,
    turned about its middle by `degrees`, clockwise.

    `probabilities` are those of the engine; `signed`: values below 0 speak against the label.
    """

    method: str
    label: str
    probabilities: Dict[str, float]
    crop: Box
    values: "npt.NDArray[np.float32]"
    signed: bool
    degrees: float = 0.0

    def to_dict(self) -> Dict[str, Any]:
        """The map as in the service's JSON, beside its method, label and probabilities."""
        height, width = self.values.shape
        crop: Dict[str, Any] = Box(*self.crop).to_dict()
        if self.degrees:
            crop["degrees"] = float(self.degrees)
        return {
            "method": self.method,
            "label": self.label,
            "probabilities": {name: float(p) for name, p in self.probabilities.items()},
            "signed": bool(self.signed),
            "map": {
                "width": width,
                "height": height,
                "crop": crop,
                "values": [float(v) for v in self.values.ravel()],
            },
        }

    def to_json(self) -> str:
        """One line."""
        return _line(self.to_dict())
