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
    landmarks: (
        np.ndarray
    )  # float32 [5, 2]: right eye, left eye, nose, right and left corner of the mouth


@dataclass
class Candidates:
    """float32 arrays, one row per candidate, in the order level, row, column."""

    score: np.ndarray
    box: np.ndarray  # [n, 4] x, y, width, height
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
    side = (
        reference.portable_exp(np.clip(v[:, 4:6], -LARGEST_EXPONENT, LARGEST_EXPONENT)).astype(f32)
        * s
    )
    corner = center - side * f32(0.5)
    landmarks = (cell[:, None] + v[:, 6:16].reshape(-1, 5, 2)) * s
    return Candidates(score[rows, columns], np.concatenate([corner, side], axis=1), landmarks)


def join(parts: List[Candidates]) -> Candidates:
    return Candidates(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("score", "box", "landmarks")
        )
    )


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


def candidates(
    results: Dict[int, np.ndarray], levels: List[mien.FaceLevel], min_score: float
) -> Candidates:
    """results: what the layers made of one image, float32 [1, h, w, 16] by layer."""
    return join([decode(results[level.layer][0], level.stride, min_score) for level in levels])


def resized(pixels: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bilinear to height, width, bit-equal to the engine's (and OpenCV's)."""
    return pixels if pixels.shape[:2] == size else image.resize(pixels[None], *size)[0]


def detect(
    net: mien.Network, pixels: np.ndarray, sizes: List[Tuple[int, int]] = [], min_score: float = 0
) -> List[Face]:
    """pixels: uint8 [h, w, 3] RGB. `sizes`: heights and widths at which to search, by default the
    image's."""
    found = []
    for size in sizes or [pixels.shape[:2]]:
        results = reference.integer_results(net, padded(resized(pixels, size), net.multiple)[None])
        at = candidates(results, net.face.levels, min_score or net.face.min_score)
        found.append(
            scaled(at, f32(pixels.shape[1]) / f32(size[1]), f32(pixels.shape[0]) / f32(size[0]))
        )
    every = join(found)
    return [
        Face(float(every.score[i]), *(float(v) for v in every.box[i]), every.landmarks[i])
        for i in suppress(every, net.face.overlap)
    ]


def similarity(
    template: np.ndarray, landmarks: np.ndarray
) -> Tuple[float, float, Tuple[float, float]]:
    """a, b and center of the map (u, v) -> (a u - b v, b u + a v) + center that takes the points of
    `template` to `landmarks` [5, 2] with the least squared error. Sums in the order of the points.
    """
    points = np.concatenate([template, landmarks], axis=1).astype(np.float64)
    means = np.zeros(4)
    for row in points:
        means += row
    means /= len(points)
    n = a = b = 0.0
    for tx, ty, lx, ly in (points - means).tolist():
        n += tx * tx + ty * ty
        a += tx * lx + ty * ly
        b += tx * ly - ty * lx
    a, b = a / n, b / n
    mean_tx, mean_ty, mean_lx, mean_ly = means.tolist()
    return a, b, (mean_lx - (a * mean_tx - b * mean_ty), mean_ly - (b * mean_tx + a * mean_ty))


def crop(
    pixels: np.ndarray,
    a: float,
    b: float,
    center: Tuple[float, float],
    height: int,
    width: int,
    margin_x: float = 0,
    margin_y: float = 0,
) -> np.ndarray:
    """What a head sees of a face: uint8 [height, width] or [height, width, 3], cut from an image
    [h, w] or [h, w, 3] as docs/DETECTOR.md defines it, in fixed point with 16 bits."""
    wide, high = 1.0 + 2.0 * float(f32(margin_x)), 1.0 + 2.0 * float(f32(margin_y))
    step_u, step_v = wide / width, high / height
    u, v = (0.5 / width - 0.5) * wide, (0.5 / height - 0.5) * high

    def fixed(pixel: float) -> int:
        return int(np.floor(np.clip(pixel, -(2.0**30), 2.0**30) * 65536.0 + 0.5))

    i, j = np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64)[:, None]
    x = fixed(center[0] + (a * u - b * v) - 0.5) + i * fixed(a * step_u) + j * fixed(-(b * step_v))
    y = fixed(center[1] + (b * u + a * v) - 0.5) + i * fixed(b * step_u) + j * fixed(a * step_v)
    left, top = x >> 16, y >> 16
    wx, wy = (x & 65535) >> 5, (y & 65535) >> 5
    h, w = pixels.shape[:2]
    if pixels.ndim == 3:
        wx, wy = wx[..., None], wy[..., None]
    source = pixels.astype(np.int64)
    x0, x1 = np.clip(left, 0, w - 1), np.clip(left + 1, 0, w - 1)
    y0, y1 = np.clip(top, 0, h - 1), np.clip(top + 1, 0, h - 1)
    upper = source[y0, x0] * (2048 - wx) + source[y0, x1] * wx
    lower = source[y1, x0] * (2048 - wx) + source[y1, x1] * wx
    return ((upper * (2048 - wy) + lower * wy + (1 << 21)) >> 22).astype(np.uint8)
