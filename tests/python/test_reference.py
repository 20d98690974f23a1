# SPDX-License-Identifier: MIT
"""Does the integer reference compute docs/QUANTIZATION.md? Against loops over single numbers. And images against OpenCV."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from mien_tools import format as mien
from mien_tools import image, pictures, reference, tensor_ops

f32 = np.float32
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "opencv.inc"


def requantize(value: int, scale: np.float32, low: int) -> int:
    product = f32(f32(value) * f32(scale))
    whole = int(np.floor(product))
    rest = float(product) - whole
    if rest > 0.5 or (rest == 0.5 and whole % 2):
        whole += 1
    return max(low, min(127, whole))


def by_loops(layer: mien.Layer, x: np.ndarray) -> np.ndarray:
    """One image [h, w, c]; conv, depthwise and pools."""
    (oh, ow, oc), (kh, kw) = layer.size, layer.kernel
    out = np.zeros((oh, ow, oc), np.float64)
    for y in range(oh):
        for xx in range(ow):
            for n in range(oc):
                inside, total = [], 0
                for ky in range(kh):
                    for kx in range(kw):
                        sy, sx = (
                            y * layer.stride[0] + ky - layer.pads[0],
                            xx * layer.stride[1] + kx - layer.pads[1],
                        )
                        if not (0 <= sy < x.shape[0] and 0 <= sx < x.shape[1]):
                            continue
                        inside.append(
                            int(x[sy, sx, n]) if layer.op not in (mien.CONV, mien.CONV_GAP) else 0
                        )
                        if layer.op in (mien.CONV, mien.CONV_GAP):
                            total += sum(
                                int(layer.weights[n, ky, kx, c]) * int(x[sy, sx, c])
                                for c in range(x.shape[2])
                            )
                        elif layer.op == mien.DEPTHWISE:
                            total += int(layer.weights[ky, kx, n]) * int(x[sy, sx, n])
                if layer.op == mien.MAX_POOL:
                    out[y, xx, n] = max(inside)
                elif layer.op == mien.AVG_POOL:
                    out[y, xx, n] = requantize(sum(inside), f32(1) / f32(len(inside)), -127)
                else:
                    total += int(layer.bias[n])
                    if layer.logits:
                        out[y, xx, n] = (
                            total if layer.op == mien.CONV_GAP else f32(f32(total) * layer.scale[n])
                        )
                    else:
                        out[y, xx, n] = requantize(total, layer.scale[n], 0 if layer.relu else -127)
    if layer.op == mien.CONV_GAP:
        return np.array([[[f32(f32(int(out[..., n].sum())) * layer.scale[n]) for n in range(oc)]]])
    return out


CASES = [  # op, input shape, kernel, stride, pads, output channels, relu
    (mien.CONV, (5, 6, 3), (3, 2), (1, 2), (1, 0, 2, 1), 4, False),
    (mien.CONV, (4, 4, 5), (1, 1), (2, 2), (0, 0, 0, 0), 3, True),
    (mien.CONV_GAP, (4, 3, 2), (3, 3), (1, 1), (1, 1, 1, 1), 3, False),
    (mien.DEPTHWISE, (5, 4, 3), (3, 3), (2, 1), (0, 1, 1, 1), 3, True),
    (mien.DEPTHWISE, (3, 3, 2), (1, 1), (1, 1), (0, 0, 0, 0), 2, False),
    (mien.MAX_POOL, (5, 5, 2), (3, 3), (2, 2), (0, 1, 1, 1), 2, False),
    (mien.AVG_POOL, (5, 4, 2), (3, 2), (2, 2), (1, 0, 1, 0), 2, False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: mien.OP_NAMES[c[0]])
def test_layers_against_loops(case: tuple) -> None:
    op, shape, kernel, stride, pads, channels, relu = case
    random = np.random.default_rng(op)
    size = tensor_ops.output_size(shape[:2], kernel, stride, pads) + (channels,)
    layer = mien.Layer("x", op, 0, size, relu, op == mien.CONV_GAP, kernel, stride, pads)
    if op in mien.WITH_WEIGHTS:
        weights = (
            kernel + (channels,) if op == mien.DEPTHWISE else (channels,) + kernel + (shape[2],)
        )
        layer.weights = random.integers(-127, 128, weights).astype(np.int8)
        layer.bias = random.integers(-3000, 3000, channels).astype(np.int32)
        layer.scale = random.uniform(0.001, 0.01, channels).astype(f32)
        layer.scale[0] = 0.5  # ties
    x = random.integers(-127, 128, (3,) + shape).astype(np.int8)
    got = reference.integer_layer(layer, x)
    for k in range(len(x)):
        assert (got[k] == by_loops(layer, x[k])).all()


def test_add_relu_and_global_average() -> None:
    a, b = (np.array(v, np.int8).reshape(1, 1, -1, 1) for v in ([127, -127, 5, -5], [1, -1, -6, 4]))
    add = mien.Layer("add", mien.ADD, 0, (1, 4, 1), input2=1)
    assert reference.integer_layer(add, a, b).ravel().tolist() == [127, -127, -1, -1]
    add.relu = True
    assert reference.integer_layer(add, a, b).ravel().tolist() == [127, 0, 0, 0]
    assert reference.integer_layer(
        mien.Layer("r", mien.RELU, 0, (1, 4, 1)), a
    ).ravel().tolist() == [127, 0, 5, 0]
    mean = mien.Layer("g", mien.GLOBAL_AVG_POOL, 0, (1, 1, 1), scale=np.array([0.5], f32))
    assert reference.integer_layer(
        mean, np.array([1, 4], np.int8).reshape(1, 1, 2, 1)
    ).ravel().tolist() == [
        2
    ]  # 2.5 to even


def test_sums_beyond_a_floats_mantissa_are_exact() -> None:
    """A layer so large that float32 would round its sums."""
    layer = mien.Layer(
        "x",
        mien.CONV,
        0,
        (1, 1, 1),
        logits=True,
        kernel=(9, 9),
        weights=np.full((1, 9, 9, 200), 127, np.int8),
        bias=np.array([1], np.int32),
        scale=np.array([1], f32),
    )
    x = np.full((1, 9, 9, 200), 127, np.int8)
    x[0, 0, 0, 0] = 126
    assert reference._sums(layer, x)[0, 0, 0, 0] == 127 * (127 * 16200 - 1) + 1


def test_input_table() -> None:
    net = mien.Network((1, 1, 1), 1 / 127.5, -1.0, 1 / 127, ["a"], [])
    table = reference.input_table(net)
    assert (
        table[0] == -127
        and table[255] == 127
        and (np.diff(table.astype(int)) >= 0).all()
        and len(set(table.tolist())) >= 254
    )


def test_exponential_and_scores() -> None:
    x = np.linspace(-60, 0, 5001)
    assert np.abs(reference.portable_exp(x) / np.exp(x) - 1).max() < 1e-14
    net = mien.Network((1, 1, 1), 1.0, 0.0, 1.0, ["a", "b", "c"], [])
    p = reference.scores(net, np.array([[1, 2, -900]], f32))
    assert p.dtype == f32 and abs(float(p.sum()) - 1) < 1e-6 and p[0, 2] == 0
    net.softmax = False
    assert reference.scores(net, np.array([[1, 2, 3]], f32)).tolist() == [[1, 2, 3]]


def picture(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """The generator of tests/make_opencv_golden.py."""
    values, state = [], seed
    for _ in range(height * width * channels):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append(state)
    raw = np.array(values, np.uint32)
    out, mode = (raw >> 24).astype(np.uint8), (raw >> 20) & 15
    out[(mode == 0) | (mode == 2)] = 0
    out[(mode == 1) | (mode == 3)] = 255
    return out.reshape(height, width, channels) if channels > 1 else out.reshape(height, width)


def golden_rows(table: str, start: str) -> list:
    if not GOLDEN.exists():
        pytest.skip("tests/golden/opencv.inc is not there")
    body = re.search(table + r"_golden\[\] = \{.*?\n(.*?)\n\};", GOLDEN.read_text(), re.S)
    return [
        [word.strip() for word in line.strip(" {},").split(",")]
        for line in body.group(1).splitlines()
        if start in line
    ]


def test_crops_equal_opencv() -> None:
    rows = golden_rows("crop", "{")
    assert len(rows) >= 20
    for row in rows:
        channels, w, h, dw, dh, seed = (int(v) for v in row[:6])
        assert zlib.crc32(
            image.resize(picture(seed, h, w, channels)[None], dh, dw)[0].tobytes()
        ) == int(row[6], 16), row


def test_gray_equals_opencv() -> None:
    rows = [row for row in golden_rows("gray", "rgb")]
    assert rows
    for name, w, h, seed, crc in rows:
        channels = 4 if name.endswith("32") else 3
        assert zlib.crc32(
            image.rgb_to_gray(picture(int(seed), int(h), int(w), channels)).tobytes()
        ) == int(crc, 16)


def test_synthetic_pictures_never_change() -> None:
    """Test vectors in committed files are made from them."""
    assert zlib.crc32(pictures.synthetic(2, (17, 13, 3), 7).tobytes()) == 1671092097


def test_same_padding_is_tensorflows() -> None:
    assert tensor_ops.same_pads((60, 60), (3, 3), (2, 2)) == (0, 0, 1, 1)
    assert tensor_ops.same_pads((15, 15), (3, 3), (2, 2)) == (1, 1, 1, 1)
    assert tensor_ops.same_pads((7, 8), (1, 1), (2, 2)) == (0, 0, 0, 0)
    assert tensor_ops.same_pads((5, 5), (2, 4), (1, 1)) == (0, 1, 1, 2)


def test_quantity() -> None:
    """Classes spread evenly around their values; the same numbers are in tests/unit/test_answers.cpp."""
    net = mien.Network((1, 1, 1), 1.0, 0.0, 1.0, list("abcde"), [])
    net.answer = mien.Answer(0.0, [2, 7, 12, 20, 40], "years")

    def quantity(*p: float) -> list:
        return reference.quantity(net, np.float32(p)).tolist()

    assert quantity(0.5, 0.25, 0.25, 0, 0) == np.float32([5.75, 0.9, 13.4]).tolist()
    assert quantity(0, 0, 0, 0, 2) == [40, 32, 48]
    assert quantity(0.9375, 0, 0, 0, 0.0625) == np.float32([4.375, 0.48, 4.375]).tolist()
    assert quantity(0.1, 0.2, 0.3, 0.25, 0.15) == np.float32([16.2, 4.5, 36.666668]).tolist()
    net.answer.values = [-10, -5, 0, 5, 10]
    assert quantity(1, 0, 0, 0, 0) == [-10, -12, -8]
