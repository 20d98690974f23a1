# SPDX-License-Identifier: MIT
"""Random changes to training images, a batch at a time in torch: what a detector's box, a cheap camera and a dim room do to a face.

Images are float tensors [N, c, h, w] in 0..1, c 1 (gray) or 3 (RGB). All randomness comes from the
generator that is handed in, so that a resumed run sees what the uninterrupted one would have seen.
The original's ranges (ImageDataGenerator and its own ImageGenerator) are the preset "original"."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Dict, Tuple

import numpy as np
import torch
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601, as images are turned gray


@dataclass(frozen=True)
class Augmentation:
    """Ranges are half-widths of a uniform distribution unless said otherwise; p_... is the share of images."""

    flip: float = 0.5  # share
    rotation: float = 10.0  # degrees
    shift: float = 0.1  # of the side
    zoom: float = 0.1  # of the size
    stretch: float = 0.05  # width against height
    box_x: float = (
        0.5  # where the face box lies in the image: center and side in parts of the image's, and their
    )
    box_y: float = 0.5  # deviations. The default is the whole image.
    box_side: float = 1.0
    box_jitter: float = 0.0  # deviation of the center
    box_side_jitter: float = 0.0
    p_light: float = 0.0  # share that gets the five below
    brightness: float = 0.5  # factor 1 +- this (blend with black)
    contrast: float = 0.5  # factor 1 +- this (blend with the mean)
    saturation: float = 0.5  # factor 1 +- this (blend with gray); color only
    gamma: float = 0.0  # exponent exp(+- this)
    slope: float = 0.0  # deviation of a ramp of light from side to side
    p_lighting: float = 0.0  # PCA noise along the image's own colors; color only
    p_gray: float = 0.0  # share turned gray; color only
    p_crop: float = (
        0.0  # share cut by up to 0.3 of the side, zoom 0.75 to 1.25, as the original's random crop
    )
    p_patch: float = 0.0  # share with a rectangle hidden
    p_bar: float = 0.0  # share with a bar over the eyes or the mouth (mask)
    p_glasses: float = 0.0  # share with drawn glasses, clear or dark, of many shapes
    p_blur: float = 0.0
    p_small: float = 0.0  # share reduced to 20..40 pixels and enlarged again
    p_noise: float = 0.0
    p_dark: float = 0.0  # share as a camera gives in a dim room: dark and noisy

    def scaled(self, factor: float) -> "Augmentation":
        """All but flipping made weaker or stronger; shares stay below one."""
        values: Dict[str, float] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            values[item.name] = (
                value
                if item.name == "flip" or item.name.startswith("box_")
                else min(value * factor, 1.0) if item.name.startswith("p_") else value * factor
            )
        return replace(self, **values)


PRESETS: Dict[str, Augmentation] = {
    "none": Augmentation(flip=0, rotation=0, shift=0, zoom=0, stretch=0),
    "original": Augmentation(stretch=0),
    "original-gender": Augmentation(
        rotation=0, shift=0, zoom=0, stretch=0, p_light=1, p_lighting=1, p_crop=1, p_gray=0.1
    ),
    "mild": Augmentation(
        rotation=10,
        shift=0.07,
        zoom=0.1,
        p_light=0.5,
        brightness=0.2,
        contrast=0.25,
        gamma=0.2,
        slope=0.04,
        p_patch=0.15,
        p_bar=0.03,
        p_glasses=0.08,
        p_blur=0.06,
        p_small=0.06,
        p_noise=0.06,
        p_dark=0.04,
    ),
    "strong": Augmentation(
        rotation=13,
        shift=0.1,
        zoom=0.15,
        stretch=0.07,
        p_light=0.6,
        brightness=0.3,
        contrast=0.35,
        gamma=0.3,
        slope=0.06,
        p_patch=0.4,
        p_bar=0.05,
        p_glasses=0.08,
        p_blur=0.08,
        p_small=0.08,
        p_noise=0.08,
        p_dark=0.06,
    ),
}


def gray_of(x: torch.Tensor) -> torch.Tensor:
    """Luma [N, 1, h, w] of RGB [N, 3, h, w]."""
    return (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


class Augmenter:
    """`size` is (height, width) of what comes out."""

    def __init__(
        self, settings: Augmentation, size: Tuple[int, int], generator: torch.Generator
    ) -> None:
        self.settings, self.size, self.generator = settings, size, generator

    def _uniform(self, count: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=self.generator) * (high - low) + low

    def _chosen(self, count: int, share: float) -> torch.Tensor:
        return torch.rand(count, generator=self.generator) < share

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[N, c, h, w] to [N, c, size]."""
        x = self._geometry(self._glasses(x))
        x = self._sharpness(x)
        x = self._light(x)
        x = self._hide(x)
        return x.clamp_(0, 1)

    def _glasses(self, x: torch.Tensor) -> torch.Tensor:
        """Two superellipses around the eyes, a bridge and the first bit of the temples, on the image as it was handed in, so that they move with the face."""
        s = self.settings
        rows = (
            self._chosen(len(x), s.p_glasses).nonzero().flatten() if s.p_glasses else torch.zeros(0)
        )
        k, (h, w) = len(rows), x.shape[2:]
        if k == 0:
            return x

        def each(low: float, high: float) -> torch.Tensor:
            return self._uniform(k, low, high).view(k, 1, 1)

        # Everything in parts of the face box; the eyes of a Haar detector's box are at 0.31 and 0.69 across, 0.39 down.
        xs = ((torch.arange(w) + 0.5) / w - s.box_x)[None, None] / s.box_side - each(-0.03, 0.03)
        ys = (
            ((torch.arange(h) + 0.5) / h - s.box_y)[None, :, None] / s.box_side
            + 0.5
            - each(0.35, 0.43)
        )
        tilt = each(-0.1, 0.1)
        xs, ys = xs + tilt * ys, ys - tilt * xs
        apart, wide = each(0.165, 0.215), each(0.11, 0.17)
        tall, power, frame = wide * each(0.55, 1.05), each(2, 5), each(0.012, 0.05)
        pixel = 1 / (s.box_side * min(h, w))

        def cover(
            distance: torch.Tensor,
        ) -> torch.Tensor:  # 1 inside, 0 outside, a pixel of slope at the edge
            return (0.5 - distance / pixel).clamp(0, 1)

        side = xs.abs() - apart
        radius = ((side / wide).abs() ** power + (ys / tall).abs() ** power + 1e-9) ** (1 / power)
        distance = (radius - 1) * torch.minimum(wide, tall)
        lens, rim = cover(distance), cover(distance.abs() - frame / 2)
        bridge = cover(
            torch.maximum((ys + tall * each(0, 0.6)).abs() - frame / 2, xs.abs() - apart + wide)
        )
        temple = cover(
            torch.maximum((ys + tall * each(0, 0.6)).abs() - frame / 2, apart + wide - xs.abs())
        )
        metal = torch.maximum(torch.maximum(rim, bridge), temple) * torch.where(
            each(0, 1) < 0.15, torch.zeros(()), each(0.4, 1)
        )
        tint = lens * torch.where(each(0, 1) < 0.3, each(0.3, 1), each(0, 0.15))
        shade = torch.where(each(0, 1) < 0.8, each(0, 0.3), each(0.3, 0.9))
        dark = each(0, 0.3)
        x = x.clone()
        x[rows] = x[rows] * (1 - tint[:, None]) + (dark * tint)[:, None]
        x[rows] = x[rows] * (1 - metal[:, None]) + (shade * metal)[:, None]
        return x

    def _geometry(self, x: torch.Tensor) -> torch.Tensor:
        s, n = self.settings, len(x)
        sign = torch.where(self._chosen(n, s.flip), -1.0, 1.0)
        angle = self._uniform(n, -s.rotation, s.rotation) * (math.pi / 180)
        zoom = torch.exp(self._uniform(n, -s.zoom, s.zoom))
        stretch = torch.exp(self._uniform(n, -s.stretch, s.stretch))
        dx, dy = self._uniform(n, -2 * s.shift, 2 * s.shift), self._uniform(
            n, -2 * s.shift, 2 * s.shift
        )
        if s.p_crop:
            crop = self._chosen(n, s.p_crop)
            zoom = torch.where(crop, zoom * self._uniform(n, 0.75, 1.25), zoom)
            dx = torch.where(crop, dx + self._uniform(n, -0.3, 0.3), dx)
            dy = torch.where(crop, dy + self._uniform(n, -0.3, 0.3), dy)
        still = not (
            s.flip
            or s.rotation
            or s.shift
            or s.zoom
            or s.stretch
            or s.p_crop
            or s.box_jitter
            or s.box_side_jitter
        )
        if (
            still
            and (s.box_x, s.box_y, s.box_side) == (0.5, 0.5, 1.0)
            and tuple(x.shape[2:]) == tuple(self.size)
        ):
            return x.clone()
        if s.box_jitter:
            dx, dy = (
                d + 2 * s.box_jitter * torch.randn(n, generator=self.generator) for d in (dx, dy)
            )
        side = s.box_side + s.box_side_jitter * (
            torch.randn(n, generator=self.generator) if s.box_side_jitter else torch.zeros(n)
        )
        zoom, dx, dy = zoom * side, dx + 2 * s.box_x - 1, dy + 2 * s.box_y - 1
        cos, sin = torch.cos(angle), torch.sin(angle)
        row1 = torch.stack([sign * cos * zoom * stretch, -sin * zoom, dx], 1)
        row2 = torch.stack([sign * sin * zoom * stretch, cos * zoom, dy], 1)
        grid = F.affine_grid(
            torch.stack([row1, row2], 1), [n, x.shape[1], *self.size], align_corners=False
        )
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _sharpness(self, x: torch.Tensor) -> torch.Tensor:
        s, n = self.settings, len(x)
        c, side = x.shape[1], x.shape[2]
        if s.p_small:
            rows = self._chosen(n, s.p_small).nonzero().flatten()
            if len(rows):
                small = int(
                    torch.randint(
                        max(side * 5 // 12, 1),
                        max(side * 5 // 6, 2),
                        (1,),
                        generator=self.generator,
                    )
                )
                part = F.interpolate(x[rows], size=(small, small), mode="area")
                x[rows] = F.interpolate(
                    part, size=x.shape[2:], mode="bilinear", align_corners=False
                )
        if s.p_blur:
            rows = self._chosen(n, s.p_blur).nonzero().flatten()
            if len(rows):
                sigma = float(self._uniform(1, 0.4, 1.4))
                line = torch.exp(-torch.arange(-3.0, 4.0) ** 2 / (2 * sigma * sigma))
                kernel = (line[:, None] * line[None] / line.sum() ** 2).expand(c, 1, 7, 7)
                x[rows] = F.conv2d(F.pad(x[rows], (3, 3, 3, 3), mode="replicate"), kernel, groups=c)
        return x

    def _light(self, x: torch.Tensor) -> torch.Tensor:
        s, n = self.settings, len(x)
        c, h, w = x.shape[1:]

        def each(value: torch.Tensor) -> torch.Tensor:
            return value.view(n, 1, 1, 1)

        def where(mask: torch.Tensor, value: torch.Tensor, other: float) -> torch.Tensor:
            return each(torch.where(mask, value, torch.full_like(value, other)))

        if s.p_light:
            chosen = self._chosen(n, s.p_light)
            if s.gamma:
                x = x.clamp(0, 1) ** where(
                    chosen, torch.exp(self._uniform(n, -s.gamma, s.gamma)), 1
                )
            if c == 3 and s.saturation:
                gray = gray_of(x)
                factor = where(chosen, 1 + self._uniform(n, -s.saturation, s.saturation), 1)
                x = gray + (x - gray) * factor
            x = x * where(chosen, 1 + self._uniform(n, -s.brightness, s.brightness), 1)
            mean = x.mean((1, 2, 3), keepdim=True)
            x = mean + (x - mean) * where(chosen, 1 + self._uniform(n, -s.contrast, s.contrast), 1)
            if s.slope:
                ramp = torch.linspace(-1, 1, w).view(1, 1, 1, w), torch.linspace(-1, 1, h).view(
                    1, 1, h, 1
                )
                for line in ramp:
                    x = (
                        x
                        + where(chosen, torch.randn(n, generator=self.generator) * s.slope, 0)
                        * line
                    )
        if c == 3 and s.p_lighting:
            flat = x.reshape(n, 3, -1)
            centered = flat - flat.mean(2, keepdim=True)
            values, vectors = torch.linalg.eigh(centered @ centered.transpose(1, 2) / (h * w))
            noise = (
                torch.randn(n, 3, generator=self.generator)
                * 0.5
                * self._chosen(n, s.p_lighting)[:, None]
            )
            x = x + (vectors @ (values * noise)[..., None]).view(n, 3, 1, 1)
        if c == 3 and s.p_gray:
            x = torch.where(each(self._chosen(n, s.p_gray)), gray_of(x).expand_as(x), x)
        if s.p_dark:
            rows = self._chosen(n, s.p_dark).nonzero().flatten()
            if len(rows):
                dark = x[rows].clamp(0, 1) * self._uniform(len(rows), 0.1, 0.5).view(-1, 1, 1, 1)
                x[rows] = dark + torch.randn(dark.shape, generator=self.generator) * 0.02
        if s.p_noise:
            rows = self._chosen(n, s.p_noise).nonzero().flatten()
            if len(rows):
                sigma = self._uniform(len(rows), 0.01, 0.06).view(-1, 1, 1, 1)
                x[rows] = x[rows] + torch.randn(x[rows].shape, generator=self.generator) * sigma
        return x

    def _hide(self, x: torch.Tensor) -> torch.Tensor:
        s, n = self.settings, len(x)
        h, w = x.shape[2:]

        def rectangle(rows: torch.Tensor, box: Tuple[torch.Tensor, ...]) -> None:
            left, top, right, bottom = (value[:, None] for value in box)
            xs, ys = torch.arange(w)[None], torch.arange(h)[None]
            inside = ((ys >= top) & (ys < bottom))[:, :, None] & ((xs >= left) & (xs < right))[
                :, None, :
            ]
            shade = self._uniform(len(rows), 0, 1).view(-1, 1, 1, 1)
            x[rows] = torch.where(inside[:, None], shade, x[rows])

        if s.p_patch:
            rows = self._chosen(n, s.p_patch).nonzero().flatten()
            k = len(rows)
            if k:
                cx, cy = self._uniform(k, 0, w), self._uniform(k, 0, h)
                rx, ry = self._uniform(k, 0.06, 0.2) * w, self._uniform(k, 0.06, 0.2) * h
                rectangle(rows, (cx - rx, cy - ry, cx + rx, cy + ry))
        if s.p_bar:
            rows = self._chosen(n, s.p_bar).nonzero().flatten()
            k = len(rows)
            if k:
                eyes = self._chosen(k, 0.5)
                top = (
                    torch.where(eyes, self._uniform(k, 0.22, 0.34), self._uniform(k, 0.55, 0.66))
                    * h
                )
                height = (
                    torch.where(eyes, self._uniform(k, 0.1, 0.18), self._uniform(k, 0.25, 0.4)) * h
                )
                rectangle(
                    rows,
                    (
                        self._uniform(k, 0.0, 0.15) * w,
                        top,
                        self._uniform(k, 0.85, 1.0) * w,
                        top + height,
                    ),
                )
        return x


# Where the Haar detector's box lies in a UTKFace chip: measured on 2,000 training images (chips padded by repeating their edge,
# scale factor 1.1, 3 neighbors); the mean and the deviation of center x, center y and side, in parts of the chip.
UTKFACE_BOX = {
    "box_x": 0.495,
    "box_y": 0.411,
    "box_side": 1.028,
    "box_jitter": 0.02,
    "box_side_jitter": 0.085,
}


def cut(images: np.ndarray, settings: Augmentation, size: Tuple[int, int]) -> np.ndarray:
    """The face boxes of uint8 [N, h, w, c] without any jitter, as the engine would be given them: uint8 [N, size, c]."""
    if (settings.box_x, settings.box_y, settings.box_side) == (0.5, 0.5, 1.0) and images.shape[
        1:3
    ] == tuple(size):
        return images
    frame = Augmentation(
        flip=0,
        rotation=0,
        shift=0,
        zoom=0,
        stretch=0,
        box_x=settings.box_x,
        box_y=settings.box_y,
        box_side=settings.box_side,
    )
    augment, parts = Augmenter(frame, size, torch.Generator()), []
    for begin in range(0, len(images), 1024):
        x = (
            torch.from_numpy(np.ascontiguousarray(images[begin : begin + 1024]))
            .permute(0, 3, 1, 2)
            .float()
            / 255
        )
        parts.append((augment(x) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def to_input(x: torch.Tensor) -> torch.Tensor:
    """0..1 to what the networks take, [-1, 1], channels last."""
    return ((x - 0.5) * 2).contiguous(memory_format=torch.channels_last)
