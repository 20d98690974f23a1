#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fit where the five landmarks lie in the square that a Haar detector cuts: convert_yunet's CROP.

  mien image --detector haar --json PHOTOS > haar.jsonl
  mien image --detector net --json PHOTOS > net.jsonl
  fit_crops.py haar.jsonl net.jsonl

Uses faces that both find. Prints the mean place of each landmark in Haar's square, and what is
left between the square that follows from it and Haar's; then CROP, for a square that is larger
than Haar's and a little higher: the expression network reads that better (docs/DETECTOR.md). Exit
status: 0 done, 2 wrong usage, 3 a file cannot be read, 4 not results of mien, or too few faces."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Dict, List, Optional, Tuple

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"fit_crops: {error.name} is missing: pip install numpy")

from mien_tools import errors
from mien_tools.detector import similarity

FEWEST = 50


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(prog="fit_crops", description=__doc__.split("\n\n")[0])
    parser.add_argument("haar", help="results of the Haar detector, one JSON object per line")
    parser.add_argument("net", help="results of the network on the same photos, with landmarks")
    parser.add_argument(
        "--scale", type=float, default=1.2, help="side of the crop in sides of Haar's square (1.2)"
    )
    parser.add_argument(
        "--up",
        type=float,
        default=0.03,
        help="how far its center lies above Haar's, in the same unit (0.03)",
    )
    return parser.parse_args(arguments)


def read_faces(path: str) -> Dict[str, List[dict]]:
    """The faces of each photo."""
    found: Dict[str, List[dict]] = {}
    for number, line in enumerate(errors.read_bytes(path).splitlines(), 1):
        try:
            row = json.loads(line)
            if "faces" in row:
                found[row["source"]] = row["faces"]
        except (ValueError, KeyError, TypeError):
            raise errors.ModelError(
                path, f"line {number} is no result of mien image --json"
            ) from None
    return found


def pairs(haar: Dict[str, List[dict]], net: Dict[str, List[dict]]) -> Tuple[np.ndarray, np.ndarray]:
    """Squares [N, 3] (center, side) and landmarks [N, 5, 2] of faces that both found: the center of
    the landmarks lies in the middle half of the square, and in no other one's."""
    squares, landmarks = [], []
    for source in sorted(haar.keys() & net.keys()):
        for face in haar[source]:
            box = face["box"]
            square = np.array(
                [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]]
            )
            inside = [
                np.array(other["landmarks"], float)
                for other in net[source]
                if np.abs(np.mean(other["landmarks"], axis=0) - square[:2]).max() < square[2] / 4
            ]
            if len(inside) == 1:
                squares.append(square)
                landmarks.append(inside[0])
    return np.array(squares).reshape(-1, 3), np.array(landmarks).reshape(-1, 5, 2)


def upright(landmarks: np.ndarray, template: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Landmarks in the square's unit, turned about its center so that the face is upright."""
    a, b, _ = similarity(template, landmarks)
    size = np.hypot(a, b)
    x, y = ((landmarks - square[:2]) / square[2]).T
    return np.stack([(a * x + b * y) / size, (a * y - b * x) / size], axis=1)


def fit(squares: np.ndarray, landmarks: np.ndarray, rounds: int = 10) -> np.ndarray:
    """[5, 2]. A face's own turn is taken out before the mean; faces whose square is off by more than
    three times the median are left out."""
    template = np.mean([(l - s[:2]) / s[2] for s, l in zip(squares, landmarks)], axis=0)
    for _ in range(rounds):
        rows = np.array([upright(l, template, s) for s, l in zip(squares, landmarks)])
        distance = np.sqrt(np.square(rows - template).sum(axis=(1, 2)))
        template = rows[distance <= 3 * np.median(distance)].mean(axis=0)
        template[:, 0] -= template[:, 0].mean()  # faces look left as often as right
        mirror = template[[1, 0, 2, 4, 3]] * (-1, 1)
        template = (template + mirror) / 2
    return template


def residuals(
    template: np.ndarray, squares: np.ndarray, landmarks: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per face: offsets of the center and logarithm of the side, in units of Haar's square; angle in
    degrees."""
    offsets, sides, angles = [], [], []
    for square, points in zip(squares, landmarks):
        a, b, center = similarity(template, points)
        offsets.append((np.array(center) - square[:2]) / square[2])
        sides.append(np.log(np.hypot(a, b) / square[2]))
        angles.append(np.degrees(np.arctan2(b, a)))
    return np.array(offsets), np.array(sides), np.array(angles)


def listed(points: np.ndarray) -> str:
    return ", ".join(f"({x:.4f}, {y:.4f})" for x, y in points + 0.0)


def main() -> int:
    args = parse_arguments(None)
    try:
        squares, landmarks = pairs(read_faces(args.haar), read_faces(args.net))
    except (KeyError, TypeError, ValueError):
        raise errors.ModelError(args.net, "faces without boxes or landmarks") from None
    if len(squares) < FEWEST:
        raise errors.ModelError(
            args.net, f"{len(squares)} faces that both find, {FEWEST} or more are needed"
        )
    template = fit(squares, landmarks)
    print(f"in Haar's square: {listed(template)}")
    offsets, sides, angles = residuals(template, squares, landmarks)
    mean, middle = offsets.mean(axis=0), np.median(np.abs(offsets), axis=0)
    growth = 100 * (np.exp(np.median(sides)) - 1)
    print(
        f"{len(squares)} faces; of Haar's side: center off by {mean[0]:+.3f}, {mean[1]:+.3f} on "
        f"average, {middle[0]:.3f}, {middle[1]:.3f} in the median; side {growth:+.1f} %, median "
        f"error {100 * np.median(np.abs(sides)):.1f} %; turned by "
        f"{np.median(np.abs(angles)):.1f} degrees in the median"
    )
    print(f"CROP = ({listed((template + (0, args.up)) / args.scale)})")
    return 0


if __name__ == "__main__":
    errors.run_tool("fit_crops", main)
