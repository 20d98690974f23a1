# SPDX-License-Identifier: MIT
"""Faces of labeled photos as the engine cuts them by the landmarks of its detector network: the square
of docs/DETECTOR.md ("The crop"), upright, with a border for the augmentation to move in."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple

import numpy as np
import torch
from mien_tools import format as mien
from mien_tools.errors import ModelError, read_bytes
from torch.nn import functional as F

from evaluate import output_of

SIDE = 64  # pixels of a crop
BORDER = 0.125  # of the engine's square, on each side of it
BATCH = 1000  # images that one run of the program is given
ENLARGED = 3  # chips are small, and the detector looks for faces in photos


def landmarks_of(
    program: Path, images: np.ndarray, report: Callable[[int], None]
) -> Iterator[np.ndarray]:
    """The five landmarks float64 [5, 2] of the largest face of each image uint8 [N, h, w, 3], in its
    pixels; NaN where the program finds none. Each image is shown with its edge repeated around it,
    since the detector wants to see more than a face."""
    from PIL import Image

    border = images.shape[1] * 3 // 8
    for begin in range(0, len(images), BATCH):
        report(begin)
        with tempfile.TemporaryDirectory() as folder:
            for k, image in enumerate(images[begin : begin + BATCH]):
                wide = np.pad(image, ((border, border), (border, border), (0, 0)), "edge")
                side = wide.shape[0] * ENLARGED
                shown = Image.fromarray(wide).resize((side, side), Image.Resampling.BICUBIC)
                shown.save(f"{folder}/{k:05}.png", compress_level=1)
            printed = output_of(
                [str(program), "image", folder, "--json", "-q", "--no-gender", "--no-age"]
                + ["--detector", "net", "--largest", "--max-faces", "1"],
                program,
                "does not read the images",
            )
        found = {}
        for line in printed.splitlines():
            answer = json.loads(line)
            if answer["faces"]:
                found[int(Path(answer["source"]).stem)] = answer["faces"][0]["landmarks"]
        for k in range(len(images[begin : begin + BATCH])):
            points = np.array(found.get(k, np.full((5, 2), np.nan)), np.float64)
            yield points / ENLARGED - border


def fit_squares(landmarks: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The similarity of least squared error from `template` [5, 2], whose square has its center at 0
    and sides of 1, to each of `landmarks` [N, 5, 2]: float64 [N, 4] of (a, b, x, y), as
    fit_square() of src/pipeline/crop.cpp."""
    middle = template.mean(0)
    center = landmarks.mean(1)
    d, e = template - middle, landmarks - center[:, None]
    n = (d * d).sum()
    a = (d * e).sum((1, 2)) / n
    b = (d[:, 0] * e[:, :, 1] - d[:, 1] * e[:, :, 0]).sum(1) / n
    x = center[:, 0] - (a * middle[0] - b * middle[1])
    y = center[:, 1] - (b * middle[0] + a * middle[1])
    return np.stack([a, b, x, y], 1)


def cut_squares(
    images: np.ndarray, squares: np.ndarray, invented: Optional[np.ndarray] = None
) -> np.ndarray:
    """uint8 [N, h, w, c] and (a, b, x, y) [N, 4] to uint8 [N, SIDE, SIDE, c]: the squares with their
    border, bilinear.

    Beyond an image its edge is repeated, as the engine does. A photo goes on there: with hair, hats,
    other people. So that a network does not learn what only chips have, the rows that `invented`
    names (bool [N]) get something there that tells nothing: the image mirrored, a piece of another
    image, or a color."""
    height, width = images.shape[1:3]
    step = (1 + 2 * BORDER) / SIDE
    axis = (torch.arange(SIDE, dtype=torch.float64) + 0.5) * step - (0.5 + BORDER)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    rng = np.random.default_rng(0)
    parts: List[np.ndarray] = []
    for begin in range(0, len(images), 1024):
        a, b, x, y = (
            torch.from_numpy(squares[begin : begin + 1024, k])[:, None, None] for k in range(4)
        )
        # Coordinates of which (0, 0) is the corner of the first pixel.
        column, row = x + a * u - b * v, y + b * u + a * v
        grid = torch.stack([2 * column / width - 1, 2 * row / height - 1], -1).float()
        pixels = torch.from_numpy(images[begin : begin + 1024]).permute(0, 3, 1, 2).float()

        def sample(padding: str) -> torch.Tensor:
            return F.grid_sample(pixels, grid, "bilinear", padding, align_corners=False)

        cut = sample("border")
        if invented is not None:
            chosen = torch.from_numpy(invented[begin : begin + 1024])
            seen = ((column >= 0) & (column <= width) & (row >= 0) & (row <= height))[:, None]
            cut = torch.where(
                seen | ~chosen[:, None, None, None],
                cut,
                _invention(pixels, cut, sample("reflection"), rng),
            )
        parts.append(cut.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def _invention(
    pixels: torch.Tensor, edge: torch.Tensor, mirrored: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """What lies around each face: float [N, c, SIDE, SIDE]."""
    count, (height, width) = len(pixels), pixels.shape[2:]
    result = edge.clone()
    kind = rng.choice(4, count, p=(0.25, 0.2, 0.4, 0.15))
    for k in range(count):
        if kind[k] == 1:
            result[k] = mirrored[k]
        elif kind[k] == 2:
            side = int(rng.integers(height // 4, height + 1))
            top, left = (int(rng.integers(0, n - side + 1)) for n in (height, width))
            piece = pixels[int(rng.integers(count)), :, top : top + side, left : left + side]
            piece = F.interpolate(piece[None], (SIDE, SIDE), mode="bilinear")[0]
            result[k] = piece.flip(1) if rng.random() < 0.5 else piece
        elif kind[k] == 3:
            result[k] = torch.from_numpy(rng.uniform(0, 255, (pixels.shape[1], 1, 1)))
    return result


def template_of(weights: Path) -> np.ndarray:
    """Where the landmarks lie in the square, float64 [5, 2], from a detector's .mien file."""
    face = mien.decode_network(read_bytes(weights)).face
    if face is None:
        raise ModelError(weights, "not a face detector with landmarks")
    return np.array(face.crop, np.float64)


def cut_faces(
    program: Path,
    weights: Path,
    images: np.ndarray,
    invented: np.ndarray,
    report: Callable[[int], None],
) -> Tuple[np.ndarray, np.ndarray]:
    """The crops of images uint8 [N, h, w, 3] in which a face is found, and which those are (bool [N]).
    `invented`: see cut_squares()."""
    landmarks = np.stack(list(landmarks_of(program, images, report)))
    found = np.isfinite(landmarks).all((1, 2))
    squares = fit_squares(landmarks[found], template_of(weights))
    return cut_squares(images[found], squares, invented[found]), found
