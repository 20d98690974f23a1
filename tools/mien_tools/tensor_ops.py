# SPDX-License-Identifier: MIT
"""Convolution and pooling over batches [N, H, W, C] in numpy, shared by the float and the integer reference.

Everything keeps the type of its input. With integers held in floats the results are exact as
long as no partial sum needs more bits than the mantissa has; callers see to that."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

Pads = Tuple[int, int, int, int]  # top, left, bottom, right


def same_pads(size: Tuple[int, int], kernel: Tuple[int, int], stride: Tuple[int, int]) -> Pads:
    """TensorFlow's "same": output = ceil(input / stride), the odd pixel of padding at the end."""
    before, after = [], []
    for n, k, s in zip(size, kernel, stride):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]


def output_size(
    size: Tuple[int, int], kernel: Tuple[int, int], stride: Tuple[int, int], pads: Pads
) -> Tuple[int, int]:
    return (
        (size[0] + pads[0] + pads[2] - kernel[0]) // stride[0] + 1,
        (size[1] + pads[1] + pads[3] - kernel[1]) // stride[1] + 1,
    )


def pad(x: np.ndarray, pads: Pads, value: float = 0) -> np.ndarray:
    if not any(pads):
        return x
    top, left, bottom, right = pads
    n, h, w, c = x.shape
    out = np.full((n, h + top + bottom, w + left + right, c), value, x.dtype)
    out[:, top : top + h, left : left + w] = x
    return out


def patches(
    x: np.ndarray, kernel: Tuple[int, int], stride: Tuple[int, int], pads: Pads
) -> np.ndarray:
    """[N, H, W, C] -> [N, oh, ow, kh * kw * C], the order of a row of conv weights."""
    x = pad(x, pads)
    n, h, w, c = x.shape
    oh, ow = output_size((h, w), kernel, stride, (0, 0, 0, 0))
    if kernel == (1, 1):
        return x[:, :: stride[0], :: stride[1]]
    sn, sh, sw, sc = x.strides
    view = as_strided(
        x,
        (n, oh, ow, kernel[0], kernel[1], c),
        (sn, sh * stride[0], sw * stride[1], sh, sw, sc),
        writeable=False,
    )
    return view.reshape(n, oh, ow, kernel[0] * kernel[1] * c)


def _slices(
    kernel: Tuple[int, int], stride: Tuple[int, int], out: Tuple[int, int]
) -> Iterator[Tuple[int, int, slice, slice]]:
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            yield (
                ky,
                kx,
                slice(ky, ky + (out[0] - 1) * stride[0] + 1, stride[0]),
                slice(kx, kx + (out[1] - 1) * stride[1] + 1, stride[1]),
            )


def conv(x: np.ndarray, w: np.ndarray, stride: Tuple[int, int], pads: Pads) -> np.ndarray:
    """w is [out][kernel y][kernel x][in]; no bias."""
    rows = patches(x, w.shape[1:3], stride, pads)
    return rows @ np.ascontiguousarray(w.reshape(w.shape[0], -1).T).astype(x.dtype, copy=False)


def depthwise(x: np.ndarray, w: np.ndarray, stride: Tuple[int, int], pads: Pads) -> np.ndarray:
    """w is [kernel y][kernel x][channel]; no bias."""
    kernel = w.shape[:2]
    out_size = output_size(x.shape[1:3], kernel, stride, pads)
    x = pad(x, pads)
    w = w.astype(x.dtype, copy=False)
    out = term = None
    for ky, kx, rows, cols in _slices(kernel, stride, out_size):
        if out is None:
            out = x[:, rows, cols] * w[ky, kx]
            term = np.empty_like(out)
        else:
            np.multiply(x[:, rows, cols], w[ky, kx], out=term)
            out += term
    return out


def dilated(kernel: np.ndarray, by: Tuple[int, int]) -> np.ndarray:
    """[kernel y][kernel x]... with by - 1 rows and columns of zeros between its own."""
    if by == (1, 1):
        return kernel
    (kh, kw), rest = kernel.shape[:2], kernel.shape[2:]
    out = np.zeros(((kh - 1) * by[0] + 1, (kw - 1) * by[1] + 1, *rest), kernel.dtype)
    out[:: by[0], :: by[1]] = kernel
    return out


def grouped(kernel: np.ndarray, groups: int) -> np.ndarray:
    """[kernel y][kernel x][in / groups][out] with zeros for the inputs of other groups:
    [kernel y][kernel x][in][out]."""
    if groups == 1:
        return kernel
    kh, kw, each, filters = kernel.shape
    out = np.zeros((kh, kw, each * groups, filters), kernel.dtype)
    share = filters // groups
    for g in range(groups):
        mine = slice(g * share, (g + 1) * share)
        out[:, :, g * each : (g + 1) * each, mine] = kernel[..., mine]
    return out


def max_pool(
    x: np.ndarray, kernel: Tuple[int, int], stride: Tuple[int, int], pads: Pads
) -> np.ndarray:
    """Padded positions do not count."""
    out_size = output_size(x.shape[1:3], kernel, stride, pads)
    low = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    x = pad(x, pads, low)
    out = None
    for _, _, rows, cols in _slices(kernel, stride, out_size):
        if out is None:
            out = x[:, rows, cols].copy()
        else:
            np.maximum(out, x[:, rows, cols], out=out)
    return out


def upsample2(x: np.ndarray) -> np.ndarray:
    """Every pixel twice in both directions."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def pool_counts(
    size: Tuple[int, int], kernel: Tuple[int, int], stride: Tuple[int, int], pads: Pads
) -> np.ndarray:
    """[oh, ow] int: how many positions of each window lie inside the tensor."""
    ones = np.ones((1, size[0], size[1], 1), np.int32)
    return window_sum(ones, kernel, stride, pads)[0, :, :, 0]


def window_sum(
    x: np.ndarray, kernel: Tuple[int, int], stride: Tuple[int, int], pads: Pads
) -> np.ndarray:
    out_size = output_size(x.shape[1:3], kernel, stride, pads)
    x = pad(x, pads)
    out = np.zeros((x.shape[0], *out_size, x.shape[3]), x.dtype)
    for _, _, rows, cols in _slices(kernel, stride, out_size):
        out += x[:, rows, cols]
    return out
