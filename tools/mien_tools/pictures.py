# SPDX-License-Identifier: MIT
"""Images to calibrate on, from an .npz file or a folder, and synthetic ones for tests."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import List, Tuple

import numpy as np

from . import image
from .errors import ModelError, UnreadableError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".webp")


def decode(data: bytes, where: str) -> np.ndarray:
    """[h, w] gray or [h, w, 3] RGB."""
    try:
        from PIL import Image
    except ImportError:
        raise UnreadableError(where, "reading images needs Pillow") from None
    try:
        with Image.open(io.BytesIO(data)) as picture:
            gray = picture.mode in ("1", "L", "I", "I;16", "F")
            return np.asarray(picture.convert("L" if gray else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnreadableError(where, "not an image that can be read") from None


def read_picture(path: str) -> np.ndarray:
    try:
        return decode(Path(path).read_bytes(), path)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from None


def spread(total: int, count: int) -> np.ndarray:
    """`count` indexes spread evenly over `total`: no random numbers, so always the same ones."""
    count = min(total, count)
    return (np.arange(count, dtype=np.int64) * total) // max(count, 1)


def edge_pad(picture: np.ndarray, pixels: int) -> np.ndarray:
    return np.pad(
        picture, ((pixels, pixels), (pixels, pixels)) + ((0, 0),) * (picture.ndim - 2), mode="edge"
    )


def load(path: str, count: int, size: Tuple[int, int, int], padding: int = 0) -> np.ndarray:
    """At most `count` images as the network's input: uint8 [N, height, width, channels].

    `path` is a folder, an .npz with `images` [N, h, w] or [N, h, w, c], or one with JPEG files end to end
    in `jpeg` and their places in `offset`. `padding` repeats the edge by so many pixels a side."""
    if os.path.isdir(path):
        files = sorted(
            p for p in Path(path).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()
        )
        pictures: List[np.ndarray] = [
            read_picture(str(files[i])) for i in spread(len(files), count)
        ]
    else:
        try:
            with np.load(path, allow_pickle=False) as data:
                if "images" in data:
                    images = data["images"]
                    if (
                        images.ndim not in (3, 4)
                        or images.dtype != np.uint8
                        or images.ndim == 4
                        and images.shape[3] not in (1, 3)
                    ):
                        raise ModelError(
                            path, "`images` is not uint8 [N, h, w] or [N, h, w, 1 or 3]"
                        )
                    pictures = list(images[spread(len(images), count)])
                elif "jpeg" in data and "offset" in data:
                    jpeg, offset = data["jpeg"], data["offset"].astype(np.int64)
                    if (
                        jpeg.ndim != 1
                        or offset.ndim != 1
                        or (np.diff(offset) < 0).any()
                        or not offset.size
                    ):
                        raise ModelError(path, "`jpeg` and `offset` do not belong together")
                    # A set that names its splits is calibrated on its training part (0) only.
                    rows = (
                        np.flatnonzero(data["split"] == 0)
                        if "split" in data
                        else np.arange(len(offset) - 1)
                    )
                    if not len(rows) or rows[-1] >= len(offset) - 1:
                        raise ModelError(path, "`split` and `offset` do not belong together")
                    pictures = [
                        decode(jpeg[offset[i] : offset[i + 1]].tobytes(), f"{path} [{i}]")
                        for i in rows[spread(len(rows), count)]
                    ]
                else:
                    raise ModelError(path, "neither `images` nor `jpeg` and `offset` in it")
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            cause = getattr(error, "strerror", None) or "not an .npz file that can be read"
            raise UnreadableError(path, cause) from None
    if not pictures:
        raise UnreadableError(path, "no images in it")
    height, width, channels = size
    return np.concatenate(
        [
            image.to_network_input(edge_pad(p, padding)[None], height, width, channels)
            for p in pictures
        ]
    )


def tiles(folder: str, count: int, side: int) -> np.ndarray:
    """`count` photos of a folder as uint8 [N, side, side, 3]. Half of them are shrunk to fit (smaller
    ones enlarged), of the others the middle is cut out; what is missing is black."""
    if not os.path.isdir(folder):
        raise UnreadableError(folder, "not a folder")
    files = sorted(
        p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()
    )
    if not files:
        raise UnreadableError(folder, "no images in it")
    chosen = spread(len(files), count)
    out = np.zeros((len(chosen), side, side, 3), np.uint8)
    for k, index in enumerate(chosen):
        photo = read_picture(str(files[index]))
        photo = photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
        height, width = photo.shape[:2]
        if k % 2 == 0 or max(height, width) <= side:
            height, width = (
                max(1, round(v * side / max(photo.shape[:2]))) for v in (height, width)
            )
            photo = image.resize(photo[None], height, width)[0]
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        photo = photo[top : top + side, left : left + side]
        out[k, : photo.shape[0], : photo.shape[1]] = photo
    return out


def synthetic(count: int, size: Tuple[int, int, int], seed: int) -> np.ndarray:
    """Smooth made-up images, uint8 [N, height, width, channels]: coarse random grids, enlarged, two scales mixed.

    Only integers, with a generator of our own: the same on every machine and version of numpy."""
    height, width, channels = size
    state = (seed * 0x9E3779B97F4A7C15 + 1) & (2**64 - 1)

    def numbers(n: int) -> np.ndarray:  # SplitMix64, the upper byte
        nonlocal state
        out = np.empty(n, np.uint8)
        for i in range(n):
            state = (state + 0x9E3779B97F4A7C15) & (2**64 - 1)
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
            out[i] = (z ^ (z >> 31)) >> 56
        return out

    out = np.empty((count, height, width, channels), np.uint8)
    for i in range(count):
        coarse = image.resize(numbers(4 * 4 * channels).reshape(1, 4, 4, channels), height, width)[
            0
        ].astype(np.int32)
        fine = image.resize(
            numbers(13 * 11 * channels).reshape(1, 13, 11, channels), height, width
        )[0].astype(np.int32)
        out[i] = (coarse * 5 + fine * 3) >> 3
    return out
