# SPDX-License-Identifier: MIT
"""What real cameras and lives do to a face, one thing at a time, always the same: for measuring how far a network can be trusted."""

from __future__ import annotations

from typing import Callable, Dict

import numpy as np
import torch
from torch.nn import functional as F

Change = Callable[[torch.Tensor], torch.Tensor]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _small(side: int) -> Change:
    """As if the face had been `side` pixels wide: reduced by averaging, enlarged by the bilinear resize of the engine."""

    def change(x: torch.Tensor) -> torch.Tensor:
        if side >= x.shape[2]:
            return F.interpolate(
                F.interpolate(x, size=(side, side), mode="bilinear"),
                size=x.shape[2:],
                mode="bilinear",
            )
        return F.interpolate(
            F.interpolate(x, size=(side, side), mode="area"), size=x.shape[2:], mode="bilinear"
        )

    return change


def _rotate(degrees: float) -> Change:
    def change(x: torch.Tensor) -> torch.Tensor:
        a = torch.tensor(degrees * np.pi / 180)
        matrix = torch.stack(
            [torch.stack([a.cos(), -a.sin(), a * 0]), torch.stack([a.sin(), a.cos(), a * 0])]
        ).float()
        grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    return change


def _blur(sigma: float) -> Change:
    """sigma in pixels of a face of 48."""

    def change(x: torch.Tensor) -> torch.Tensor:
        line = torch.exp(-torch.arange(-6.0, 7.0) ** 2 / (2 * sigma * sigma))
        kernel = (line[:, None] * line[None] / line.sum() ** 2).expand(x.shape[1], 1, 13, 13)
        return F.conv2d(F.pad(x, (6, 6, 6, 6), mode="replicate"), kernel, groups=x.shape[1])

    return change


def _dark(factor: float) -> Change:
    """A share of the light, with the noise of a sensor and rounded to 8 bits."""

    def change(x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(x.shape, generator=_generator()) * 0.015
        return ((x * factor + noise).clamp(0, 1) * 255).round() / 255

    return change


def _noise(sigma: float) -> Change:
    return lambda x: x + torch.randn(x.shape, generator=_generator()) * sigma


def _box(left: float, top: float, right: float, bottom: float, shade: float) -> Change:
    def change(x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        x = x.clone()
        x[:, :, round(top * h) : round(bottom * h), round(left * w) : round(right * w)] = shade
        return x

    return change


def _glasses(dark: bool) -> Change:
    """Two rings (or filled discs) and a bridge where the eyes of a centered face are."""

    def change(x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        ys = (torch.arange(h).float()[:, None] + 0.5) / h
        xs = (torch.arange(w).float()[None] + 0.5) / w
        mask = torch.zeros(h, w)
        for cx in (0.31, 0.69):
            radius = torch.sqrt(((xs - cx) / 0.15) ** 2 + ((ys - 0.39) / 0.11) ** 2)
            mask = torch.maximum(
                mask, (radius < 1).float() if dark else ((radius < 1.08) & (radius > 0.84)).float()
            )
        mask = torch.maximum(
            mask, ((ys - 0.37).abs() < 0.015).float() * ((xs - 0.5).abs() < 0.06).float()
        )
        return x * (1 - 0.9 * mask) + 0.06 * 0.9 * mask

    return change


def _patches(x: torch.Tensor) -> torch.Tensor:
    """A random gray square of a third of the side in each image."""
    generator, (h, w) = _generator(), x.shape[2:]
    x = x.clone()
    size = h // 3
    tops, lefts = (torch.randint(0, n - size + 1, (len(x),), generator=generator) for n in (h, w))
    for k in range(len(x)):
        x[k, :, tops[k] : tops[k] + size, lefts[k] : lefts[k] + size] = 0.5
    return x


CONDITIONS: Dict[str, Change] = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x.flip(3),
    "glasses (drawn)": _glasses(False),
    "sunglasses (drawn)": _glasses(True),
    "mask over nose and mouth": _box(0.1, 0.56, 0.9, 1.0, 0.6),
    "a third of the side hidden": _patches,
    "left half hidden": _box(0.0, 0.0, 0.5, 1.0, 0.4),
    "blur, sigma 1": _blur(1.0),
    "blur, sigma 2": _blur(2.0),
    "a quarter of the light": _dark(0.25),
    "a tenth of the light": _dark(0.1),
    "noise, sigma 0.05": _noise(0.05),
    "noise, sigma 0.1": _noise(0.1),
    "face of 64 px": _small(64),
    "face of 48 px": _small(48),
    "face of 32 px": _small(32),
    "face of 24 px": _small(24),
    "turned by 10 degrees": _rotate(10),
    "turned by 20 degrees": _rotate(20),
    "turned by 30 degrees": _rotate(30),
}


def apply(name: str, images: np.ndarray) -> np.ndarray:
    """uint8 [N, h, w, c] to the same."""
    parts = []
    for begin in range(0, len(images), 1024):
        x = (
            torch.from_numpy(np.ascontiguousarray(images[begin : begin + 1024]))
            .permute(0, 3, 1, 2)
            .float()
            / 255
        )
        x = CONDITIONS[name](x).clamp(0, 1)
        parts.append((x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)
