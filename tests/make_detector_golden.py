#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/detector.inc: what weights/detector.mien finds in
tests/data/photos/astronaut_320.png and in parts of it, computed by the numpy reference. Needs
numpy and Pillow; run again when the weights or docs/DETECTOR.md change."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import List, Tuple

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from mien_tools import detector, image, pictures  # noqa: E402
from mien_tools import format as mien  # noqa: E402

# Part (x, y, width, height), gray, sizes (width, height) searched (none: its own), lowest score.
CASES: List[Tuple[Tuple[int, int, int, int], bool, List[Tuple[int, int]], float]] = [
    ((0, 0, 320, 320), False, [], 0.6),
    ((0, 0, 320, 320), True, [], 0.6),
    ((0, 0, 320, 320), False, [], 0.02),
    ((60, 0, 133, 101), False, [], 0.1),  # padded on both sides, the face cut
    ((100, 20, 96, 64), False, [], 0.05),  # no padding
    ((0, 0, 320, 320), False, [(640, 640)], 0.3),
    ((0, 0, 320, 320), False, [(320, 320), (160, 160)], 0.05),
    ((20, 10, 251, 203), False, [(377, 305), (125, 101)], 0.05),
    ((0, 200, 31, 17), False, [], 0.01),  # smaller than one cell of the coarsest level
]


# Of the face in the whole photo: gray, width, height, margins.
CROPS: List[Tuple[bool, int, int, float, float]] = [
    (True, 48, 48, 0.0, 0.0),
    (False, 40, 56, 0.25, -0.125),
]


def number(value: float) -> str:
    text = float(np.float32(value)).hex()
    mantissa, exponent = text.split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"


def row(*values: object) -> str:
    """As C++ writes it: nested braces, true and false, floats in hexadecimal."""

    def one(value: object) -> str:
        if isinstance(value, (tuple, list)):
            return "{" + ", ".join(one(v) for v in value) + "}"
        if isinstance(value, bool):
            return str(value).lower()
        return number(value) if isinstance(value, float) else str(value)

    return "    " + one(values) + ","


def text() -> str:
    net = mien.decode_network((HERE.parent / "weights" / "detector.mien").read_bytes())
    photo = pictures.read_picture(str(HERE / "data" / "photos" / "astronaut_320.png"))
    faces, cases, crops = [], [], []
    for part, gray, sizes, score in CASES:
        x, y, w, h = part
        pixels = photo[y : y + h, x : x + w]
        if gray:
            pixels = np.repeat(image.rgb_to_gray(pixels)[..., None], 3, axis=2)
        found = detector.detect(net, pixels, [(height, width) for width, height in sizes], score)
        padded = (sizes + [(0, 0), (0, 0)])[:2]
        cases.append(row(part, gray, len(sizes), padded, score, len(faces), len(found)))
        for f in found:
            box = (f.score, f.x, f.y, f.width, f.height)
            faces.append(row(*box, *f.landmarks.ravel().tolist()))
    best = detector.detect(net, photo)[0]
    a, b, center = detector.similarity(np.float32(net.face.crop), best.landmarks)
    for gray, w, h, *margins in CROPS:
        pixels = image.rgb_to_gray(photo) if gray else photo
        cut = detector.crop(pixels, a, b, center, h, w, *margins)
        crops.append(row(gray, w, h, *margins, f"{zlib.crc32(cut.tobytes()):#010x}"))
    return "\n".join(
        [
            "// Made by tests/make_detector_golden.py from weights/detector.mien. Do not edit.",
            "",
            "// part, gray, number of sizes, sizes (none: its own), lowest score, first face, faces",
            "inline constexpr DetectorGolden detector_golden[] = {",
            *cases,
            "};",
            "",
            "// score, x, y, width, height, five landmarks, before they are rounded and clipped",
            "inline constexpr float detector_golden_faces[][15] = {",
            *faces,
            "};",
            "",
            "// of the first case's face: gray, width, height, margins, CRC-32 of the pixels",
            "inline constexpr TurnedCropGolden turned_crop_golden[] = {",
            *crops,
            "};",
            "",
        ]
    )


if __name__ == "__main__":
    (HERE / "golden" / "detector.inc").write_text(text())
