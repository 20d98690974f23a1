# SPDX-License-Identifier: MIT
"""Pixel arithmetic that both modules share, with OpenCV's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def gray_of(picture: npt.NDArray[np.uint8], bgr: bool) -> npt.NDArray[np.uint8]:
    """Gray by OpenCV's fixed-point weights; gray images as they are."""
    if picture.ndim == 2:
        return picture
    if picture.ndim == 3 and picture.shape[2] == 1:
        return picture[:, :, 0]
    red, blue = (2, 0) if bgr else (0, 2)
    wide = picture.astype(np.int32)
    return (
        (9798 * wide[:, :, red] + 19235 * wide[:, :, 1] + 3735 * wide[:, :, blue] + 16384) >> 15
    ).astype(np.uint8)


def draw_rectangle(
    picture: npt.NDArray[np.uint8],
    x: int,
    y: int,
    width: int,
    height: int,
    color: Any,
    thickness: int = 2,
) -> None:
    """In place, lines around the edges from (x, y) to (x + width, y + height), clipped at the borders."""
    before, after = thickness // 2, thickness - thickness // 2
    rows, columns = picture.shape[:2]
    value = (
        np.asarray(color)[: picture.shape[2]]
        if picture.ndim == 3
        else np.asarray(color).reshape(-1)[0]
    )

    def fill(x0: int, y0: int, x1: int, y1: int) -> None:
        picture[max(y0, 0) : min(max(y1, 0), rows), max(x0, 0) : min(max(x1, 0), columns)] = value

    for edge in (y, y + height):
        fill(x - before, edge - before, x + width + after, edge + after)
    for edge in (x, x + width):
        fill(edge - before, y - before, edge + after, y + height + after)
