#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many windows could a bound reject before they are looked at one by one?

  haar_bound.py PHOTO... [--blocks 2 4 8] [--stages 3]

A bound over a block of neighboring windows proves that all of them fail an early stage of
haarcascade_frontalface_default, by interval arithmetic: each stump adds its lower answer only if it
does so in every window. Here the bound is perfect: it knows the least and the largest value of each
feature in the block. One that can be computed knows less, and costs more. Needs OpenCV for Python.
"""
from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np

Stump = tuple[int, float, float, float]  # feature, threshold, answer below it, other answer


class Stages:
    """The cascade's features and its first stages."""

    def __init__(self, path: str, count: int) -> None:
        root = ElementTree.parse(path).getroot().find("cascade")
        assert root is not None
        self.side = int(root.findtext("width", ""))
        self.features = []
        for feature in root.find("features") or []:
            rects = (rect.text or "" for rect in feature.find("rects") or [])
            self.features.append([tuple(float(v) for v in text.split()) for text in rects])
        self.stages: list[tuple[float, list[Stump]]] = []
        for stage in list(root.find("stages") or [])[:count]:
            stumps = []
            for weak in stage.find("weakClassifiers") or []:
                node = weak.findtext("internalNodes", "").split()
                below, other = (float(v) for v in weak.findtext("leafValues", "").split())
                stumps.append((int(node[2]), float(node[3]), below, other))
            self.stages.append((float(stage.findtext("stageThreshold", "")), stumps))


def integral(values: np.ndarray) -> np.ndarray:
    out = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    out[1:, 1:] = values.cumsum(0).cumsum(1)
    return out


def sums(of: np.ndarray, rect: tuple[float, ...], rows: int, columns: int) -> np.ndarray:
    x, y, w, h = (int(v) for v in rect[:4])
    part = lambda left, top: of[top : top + rows, left : left + columns]
    return part(x, y) - part(x + w, y) - part(x, y + h) + part(x + w, y + h)


def level(
    image: np.ndarray, cascade: Stages, step: int, blocks: list[int]
) -> tuple[int, np.ndarray, dict[int, np.ndarray]] | None:
    """Windows of a level, those alive after each stage, and those that each block size rejects."""
    side = cascade.side
    rows, columns = image.shape[0] - side, image.shape[1] - side
    if min(rows, columns) < max(blocks):
        return None
    pixels = image.astype(float)
    plain, squares = integral(pixels), integral(pixels**2)
    inner, area = (1, 1, side - 2, side - 2), (side - 2) ** 2
    total = sums(plain, inner, rows, columns)
    variance = area * sums(squares, inner, rows, columns) - total * total
    deviation = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 1.0)[::step, ::step]
    alive = np.ones(deviation.shape, bool)
    known = {b: np.zeros(deviation.shape, bool) for b in blocks}
    alive_after, rejected = [], {b: [] for b in blocks}
    for threshold, stumps in cascade.stages:
        score = np.zeros(deviation.shape)
        best = {b: np.zeros(tuple(n // b for n in deviation.shape)) for b in blocks}
        for feature, limit, below, other in stumps:
            value = sum(r[4] * sums(plain, r, rows, columns) for r in cascade.features[feature])
            is_below = value[::step, ::step] < limit * deviation
            score += np.where(is_below, below, other)
            for b in blocks:
                high, wide = best[b].shape
                cells = is_below[: high * b, : wide * b].reshape(high, b, wide, b)
                best[b] += np.where(
                    cells.all((1, 3)),
                    below,
                    np.where(cells.any((1, 3)), max(below, other), other),
                )
        alive &= score >= threshold
        alive_after.append(int(alive.sum()))
        for b in blocks:
            fails = np.kron(best[b] < threshold, np.ones((b, b), bool))
            known[b][: fails.shape[0], : fails.shape[1]] |= fails
            rejected[b].append(int(known[b].sum()))
    return deviation.size, np.array(alive_after), {b: np.array(r) for b, r in rejected.items()}


def main() -> None:
    parts = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=parts[0], epilog=parts[2])
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 4, 8], metavar="SIDE")
    parser.add_argument("--stages", type=int, default=3)
    options = parser.parse_args()
    path = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    cascade = Stages(path, options.stages)
    stages = " | ".join(f"stages 0-{i}" for i in range(options.stages))
    print(f"| photo | windows | share | {stages} |\n|---|---:|---|" + "---:|" * options.stages)
    for photo in options.photos:
        image = cv2.imread(photo, cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise SystemExit(f"haar_bound: {photo}: no image that OpenCV reads")
        windows, alive = 0, np.zeros(options.stages)
        rejected = {b: np.zeros(options.stages) for b in options.blocks}
        scale = 1.0
        while True:
            size = (round(image.shape[1] / scale), round(image.shape[0] / scale))
            small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT)
            found = level(small, cascade, 1 if scale >= 2 else 2, options.blocks)
            if found is None:
                break
            windows += found[0]
            alive += found[1]
            for b in options.blocks:
                rejected[b] += found[2][b]
            scale *= 1.3
        rows = [("fail", windows - alive)]
        rows += [(f"rejected by blocks of {b}x{b}", rejected[b]) for b in options.blocks]
        for name, counts in rows:
            cells = " | ".join(f"{100 * c / windows:.1f} %" for c in counts)
            print(f"| {photo} | {windows} | {name} | {cells} |")


if __name__ == "__main__":
    main()
