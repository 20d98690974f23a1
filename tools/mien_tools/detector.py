# SPDX-License-Identifier: MIT
"""From an image to faces, as docs/DETECTOR.md defines it: padding, decoding, and the choice among
boxes that overlap. Float32 operations one at a time, in a fixed order; doubles where it says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from . import format as mien
from . import image, reference

f32 = np.float32
LARGEST_EXPONENT = f32(8)  # of a box's side: e^8 cells


@dataclass
class Face:
    """In pixels of the image. Boxes may reach beyond it."""

    score: float
    x: float
    y: float
    width: float
    height: float
    landmarks: np.ndarray  # float32 [5, 2]: right eye, left eye, nose, right and left corner of the mouth


@dataclass
class Candidates:
    """float32 arrays, one row per candidate, in the order level, row, column."""

    score: np.ndarray
    box: np.ndarray        # [n, 4] x, y, width, height
    landmarks: np.ndarray  # [n, 5, 2]


def padded(pixels: np.ndarray, multiple: int) -> np.ndarray:
    """Zeros at the right and at the bottom, up to the next multiple."""
    h, w, c = pixels.shape
    out = np.zeros((-(-h // multiple) * multiple, -(-w // multiple) * multiple, c), np.uint8)
    out[:h, :w] = pixels
    return out


def sigmoid(x: np.ndarray) -> np.ndarray:
    """In double, of floats; the engine's exponential."""
    x = x.astype(np.float64)
    e = reference.portable_exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


def decode(values: np.ndarray, stride: int, min_score: float) -> Candidates:
    """values: float32 [h, w, 16], one level's map."""
    score = np.sqrt(sigmoid(values[..., 0]) * sigmoid(values[..., 1])).astype(f32)
    rows, columns = np.nonzero(score >= f32(min_score))
    v, s = values[rows, columns], f32(stride)
    cell = np.stack([columns, rows], axis=1).astype(f32)
    center = (cell + v[:, 2:4]) * s
    side = reference.portable_exp(np.clip(v[:, 4:6], -LARGEST_EXPONENT, LARGEST_EXPONENT)).astype(f32) * s
    corner = center - side * f32(0.5)
    landmarks = (cell[:, None] + v[:, 6:16].reshape(-1, 5, 2)) * s
    return Candidates(score[rows, columns], np.concatenate([corner, side], axis=1), landmarks)


def join(parts: List[Candidates]) -> Candidates:
    return Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("score", "box", "landmarks")))


def suppress(found: Candidates, overlap: float) -> np.ndarray:
    """Indexes of those that stay, best first; equal scores in the order of the candidates."""
    order = np.argsort(-found.score, kind="stable")
    x, y, w, h = (found.box[order, k] for k in range(4))
    right, bottom, area = x + w, y + h, w * h
    alive = np.ones(len(order), bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(order[i])
        j = slice(i + 1, None)
        width = np.minimum(right[i], right[j]) - np.maximum(x[i], x[j])
        height = np.minimum(bottom[i], bottom[j]) - np.maximum(y[i], y[j])
        common = np.maximum(width, f32(0)) * np.maximum(height, f32(0))
        alive[j] &= ~(common > f32(overlap) * ((area[i] + area[j]) - common))
    return np.array(kept, np.int64)


def scaled(found: Candidates, x: np.float32, y: np.float32) -> Candidates:
    factors = np.array([x, y], f32)
    return Candidates(found.score, found.box * np.tile(factors, 2), found.landmarks * factors)


def candidates(results: Dict[int, np.ndarray], levels: List[mien.FaceLevel], min_score: float) -> Candidates:
    """results: what the layers made of one image, float32 [1, h, w, 16] by layer."""
    return join([decode(results[level.layer][0], level.stride, min_score) for level in levels])


def resized(pixels: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bilinear to height, width, bit-equal to the engine's (and OpenCV's)."""
    return pixels if pixels.shape[:2] == size else image.resize(pixels[None], *size)[0]


def detect(net: mien.Network, pixels: np.ndarray, sizes: List[Tuple[int, int]] = [],
           min_score: float = 0) -> List[Face]:
    """pixels: uint8 [h, w, 3] RGB. `sizes`: heights and widths at which to search, by default that of the image."""
    found = []
    for size in sizes or [pixels.shape[:2]]:
        results = reference.integer_results(net, padded(resized(pixels, size), net.multiple)[None])
        at = candidates(results, net.face.levels, min_score or net.face.min_score)
        found.append(scaled(at, f32(pixels.shape[1]) / f32(size[1]), f32(pixels.shape[0]) / f32(size[0])))
    every = join(found)
    return [Face(float(every.score[i]), *(float(v) for v in every.box[i]), every.landmarks[i])
            for i in suppress(every, net.face.overlap)]


def similarity(template: np.ndarray, landmarks: np.ndarray) -> Tuple[float, float, Tuple[float, float]]:
    """a, b and the image of (0, 0) of the map (u, v) -> (a u - b v, b u + a v) + center that takes the
    points of `template` to `landmarks` [5, 2] with the least squared error."""
    t, l = np.asarray(template, np.float64), np.asarray(landmarks, np.float64)
    (tx, ty), (lx, ly) = (t - t.mean(axis=0)).T, (l - l.mean(axis=0)).T
    n = float((tx * tx + ty * ty).sum())
    a, b = float((tx * lx + ty * ly).sum()) / n, float((tx * ly - ty * lx).sum()) / n
    (mx, my), (cx, cy) = t.mean(axis=0), l.mean(axis=0)
    return a, b, (float(cx - (a * mx - b * my)), float(cy - (b * mx + a * my)))
