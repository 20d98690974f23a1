# SPDX-License-Identifier: MIT
"""How a result shows itself in a notebook: its image with the faces drawn, small, and a table.

A result keeps no pixels: a file is read again, and of an array or a Pillow image it knows only where it is, as long as
somebody else keeps it.
"""

from __future__ import annotations

import base64
import weakref
from html import escape
from typing import TYPE_CHECKING, Any, List, Optional

import numpy as np
import numpy.typing as npt

from . import _engine

if TYPE_CHECKING:
    from .engine import Engine
    from .results import Face, Reading, Result

LARGEST_SIDE = 1024  # of the image in a notebook; wider ones are shrunk by a whole number


class Origin:
    """Where the image of a result can be had again."""

    __slots__ = ("picture", "format", "engine")

    def __init__(self, picture: Any, format: Optional[str], engine: "Engine") -> None:
        try:
            self.picture: Any = weakref.ref(picture)
        except TypeError:  # a path is kept, bytes are not
            self.picture = picture if isinstance(picture, str) else None
        self.format = format
        self.engine = weakref.ref(engine)


def _shrunk(pixels: npt.NDArray[np.uint8], by: int) -> npt.NDArray[np.uint8]:
    if by == 1:
        return pixels
    height, width = pixels.shape[0] // by, pixels.shape[1] // by
    blocks = pixels[: height * by, : width * by].reshape(height, by, width, by, 3)
    mean = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.ascontiguousarray(np.rint(mean).astype(np.uint8))


def png_of(result: "Result") -> Optional[bytes]:
    """None where the image cannot be had again."""
    from .engine import default_engine
    from .results import Box, Face

    origin = result._origin
    if origin is None:
        return None
    picture = origin.picture() if isinstance(origin.picture, weakref.ref) else origin.picture
    if picture is None:
        return None
    engine = origin.engine() or default_engine()
    try:
        pixels = engine._rgb(picture, origin.format)
    except (OSError, ValueError, TypeError):
        return None
    if pixels.shape[:2] != (result.height, result.width):
        return None  # another file has this name now
    by = max(1, -(-max(pixels.shape[:2]) // LARGEST_SIDE))
    faces = [
        Face(
            Box(*(v // by for v in face.box)),
            face.neighbors,
            {
                head: reading
                for head, reading in face.readings.items()
                if tuple(reading.probabilities) == engine.labels(head)
            },
        )
        for face in result.faces
    ]
    drawn = engine.draw(_shrunk(pixels, by), faces, format="rgb")
    return bytes(_engine.encode(drawn, 1, False))


def _cell(reading: "Optional[Reading]") -> str:
    if reading is None:
        return ""
    if reading.value is not None and reading.low is not None and reading.high is not None:
        return escape(f"{reading.value:.0f} ({reading.low:.0f} to {reading.high:.0f})")
    words = f"{reading.label} {reading.probability:.0%}"
    return escape(f"unsure ({words})" if reading.unsure else words)


def _rows(faces: "List[Face]", heads: List[str]) -> str:
    rows = []
    for number, face in enumerate(faces, 1):
        x, y, width, height = face.box
        score = f"{face.score:.2f}" if face.landmarks else ""
        cells = [str(number), f"{width} x {height} at {x}, {y}", score]
        cells += [_cell(face.readings.get(head)) for head in heads]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "".join(rows)


def html_of(result: "Result") -> str:
    count = len(result.faces)
    title = f"{count} face" + ("" if count == 1 else "s") + f", {result.width} x {result.height}"
    if result.source:
        title = f"{escape(result.source)}: {title}"
    parts = [f"<p>{title}</p>"]
    png = png_of(result)
    if png is not None:
        data = base64.b64encode(png).decode("ascii")
        parts.append(
            f'<img alt="{count} faces marked" style="max-width: 100%" src="data:image/png;base64,{data}">'
        )
    if count:
        heads = list(dict.fromkeys(head for face in result.faces for head in face.readings))
        titles = "".join(f"<th>{escape(name)}</th>" for name in ("face", "box", "score", *heads))
        parts.append(f"<table><tr>{titles}</tr>{_rows(result.faces, heads)}</table>")
    return "".join(parts)
