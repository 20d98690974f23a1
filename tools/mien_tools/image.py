# SPDX-License-Identifier: MIT
"""Gray and resize for 8-bit images, bit-equal to OpenCV 4 (and to src/image/), so that what
a network is calibrated on is what the engine will feed it."""

from __future__ import annotations

from typing import Tuple

import numpy as np


def rgb_to_gray(rgb: np.ndarray) -> np.ndarray:
    """[..., 3 or 4] RGB(A) to [...] gray: 15-bit weights that add up to 1."""
    r, g, b = (rgb[..., k].astype(np.int32) for k in range(3))
    return ((9798 * r + 19235 * g + 3735 * b + 16384) >> 15).astype(np.uint8)


def _axis_weights(src: int, dst: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output position: the left source pixel and two 11-bit weights."""
    scale = 1.0 / (dst / src)
    f = ((np.arange(dst, dtype=np.float64) + 0.5) * scale - 0.5).astype(np.float32)
    k = np.floor(f)
    r = f - k
    one = np.float32(1)
    w0 = np.rint((one - r) * np.float32(2048)).astype(np.int32)
    w1 = np.rint(r * np.float32(2048)).astype(np.int32)
    return k.astype(np.int64), w0, w1


def resize(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """[N, h, w] or [N, h, w, c] uint8 to height x width, as cv2.resize INTER_LINEAR does."""
    n, h, w = pictures.shape[:3]
    if (h, w) == (height, width):
        return pictures
    if h == 2 * height and w == 2 * width:
        p = pictures.astype(np.int32)
        total = p[:, 0::2, 0::2] + p[:, 0::2, 1::2] + p[:, 1::2, 0::2] + p[:, 1::2, 1::2]
        return ((total + 2) >> 2).astype(np.uint8)
    extra = (1,) * (pictures.ndim - 3)
    k, w0, w1 = _axis_weights(w, width)
    # At the border of a row the outer pixel counts once, whole ...
    outside = (k < 0) | (k >= w - 1)
    w0[outside], w1[outside] = 2048, 0
    k = np.clip(k, 0, w - 1)
    next_k = np.minimum(k + 1, w - 1)
    p = pictures.astype(np.int32)
    shape = (1, 1, width) + extra
    rows = p[:, :, k] * w0.reshape(shape) + p[:, :, next_k] * w1.reshape(shape)
    # ... but between rows only the row numbers are clamped, and each product is cut on its own.
    k, w0, w1 = _axis_weights(h, height)
    upper, lower = np.clip(k, 0, h - 1), np.clip(k + 1, 0, h - 1)
    shape = (1, height, 1) + extra
    rows >>= 4
    out = ((rows[:, upper] * w0.reshape(shape)) >> 16) + (
        (rows[:, lower] * w1.reshape(shape)) >> 16
    )
    return ((out + 2) >> 2).astype(np.uint8)


def to_network_input(pictures: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """Images [N, h, w] gray or [N, h, w, 1 | 3 | 4] to uint8 [N, height, width, channels].

    Color becomes gray before the resize, as in the engine."""
    if pictures.ndim == 4 and pictures.shape[3] == 1:
        pictures = pictures[..., 0]
    if channels == 1:
        if pictures.ndim == 4:
            pictures = rgb_to_gray(pictures)
        return resize(pictures, height, width)[..., None]
    if pictures.ndim == 3:
        pictures = np.repeat(pictures[..., None], 3, axis=3)
    return resize(pictures[..., :3], height, width)
