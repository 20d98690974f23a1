# SPDX-License-Identifier: MIT
"""Is a .mien file read as it was written, and nothing else accepted?"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from mien_tools import format as mien
from mien_tools import reference

DATA = Path(__file__).resolve().parent.parent / "data"
NETWORKS = sorted((DATA / "models").glob("*.mien"))
CASCADES = sorted((DATA / "cascades").glob("*.mien"))


def small_network() -> mien.Network:
    """One of each kind of thing: conv, depthwise, pools, add, relu, global pooling, logits."""
    random = np.random.default_rng(1)

    def conv(
        name: str, source: int, size: tuple, shape: tuple, op: int = mien.CONV, **more: object
    ) -> mien.Layer:
        out = shape[-1] if op == mien.DEPTHWISE else shape[0]
        kernel = shape[:2] if op == mien.DEPTHWISE else shape[1:3]
        layer = mien.Layer(
            name,
            op,
            source,
            size,
            kernel=kernel,
            weights=random.integers(-127, 128, shape).astype(np.int8),
            bias=random.integers(-500, 500, out).astype(np.int32),
            scale=random.uniform(1e-3, 1e-2, out).astype(np.float32),
            quant=0.5,
        )
        for key, value in more.items():
            setattr(layer, key, value)
        return layer

    def pool(name, op, source, pads):
        size = {"kernel": (2, 2) if op == mien.MAX_POOL else (3, 3), "stride": (2, 2)}
        return mien.Layer(name, op, source, (2, 2, 2), pads=pads, quant=0.5, **size)

    layers = [
        conv("conv", 0, (3, 3, 2), (2, 3, 3, 1), stride=(2, 2), pads=(1, 1, 1, 1), relu=True),
        conv("depthwise", 1, (3, 3, 2), (3, 3, 2), mien.DEPTHWISE, pads=(1, 1, 1, 1)),
        mien.Layer("add", mien.ADD, 1, (3, 3, 2), input2=2, relu=True, quant=0.5),
        pool("max", mien.MAX_POOL, 3, (0, 0, 1, 1)),
        pool("avg", mien.AVG_POOL, 2, (1, 1, 1, 1)),
        mien.Layer("relu", mien.RELU, 5, (2, 2, 2), quant=0.5),
        mien.Layer("sum", mien.ADD, 4, (2, 2, 2), input2=6, quant=0.5),
        mien.Layer(
            "gap", mien.GLOBAL_AVG_POOL, 7, (1, 1, 2), scale=np.array([0.3], np.float32), quant=0.4
        ),
        conv("logits", 8, (1, 1, 3), (3, 1, 1, 2), logits=True, quant=0.0),
    ]
    net = mien.Network(
        (6, 5, 1), 1 / 255, 0.0, 1 / 127, ["a", "b", "ü"], layers, meta={"name": "small"}
    )
    picture = random.integers(0, 256, (6, 5, 1)).astype(np.uint8)
    crcs, logits = reference.layer_checksums(net, picture)
    net.tests.append(mien.TestVector(picture, crcs, logits, reference.scores(net, logits[None])[0]))
    return net


def with_checksum(data: bytearray) -> bytes:
    data[24:28] = struct.pack("<I", zlib.crc32(bytes(data[28:]), zlib.crc32(bytes(data[:24]))))
    return bytes(data)


def test_network_round_trip() -> None:
    net = small_network()
    data = mien.encode_network(net)
    again = mien.decode_network(data)
    assert mien.encode_network(again) == data
    assert again.labels == ["a", "b", "ü"] and [layer.name for layer in again.layers] == [
        layer.name for layer in net.layers
    ]
    assert (again.layers[1].weights == net.layers[1].weights).all() and again.layers[2].input2 == 2
    assert reference.layer_checksums(again, again.tests[0].pixels)[0] == again.tests[0].layer_crcs


@pytest.mark.parametrize("path", NETWORKS, ids=lambda p: p.stem)
def test_committed_networks(path: Path) -> None:
    """They read back to the same bytes, and their test vectors hold."""
    data = path.read_bytes()
    net = mien.decode_network(data)
    assert mien.encode_network(net) == data
    assert len(net.tests) >= 2
    for test in net.tests:
        crcs, logits = reference.layer_checksums(net, test.pixels)
        assert crcs == test.layer_crcs
        assert (logits == test.logits).all()
        assert np.abs(reference.scores(net, logits[None])[0] - test.probabilities).max() < 0.15


@pytest.mark.parametrize("path", CASCADES, ids=lambda p: p.stem)
def test_committed_cascades(path: Path) -> None:
    data = path.read_bytes()
    assert mien.encode_cascade(mien.decode_cascade(data)) == data


def test_committed_files_exist() -> None:
    assert len(NETWORKS) >= 5 and len(CASCADES) >= 3


@pytest.mark.parametrize("kind", ["network", "cascade"])
def test_every_changed_byte_is_refused(kind: str) -> None:
    data = mien.encode_network(small_network()) if kind == "network" else CASCADES[0].read_bytes()
    decode: Callable[[bytes], object] = (
        mien.decode_network if kind == "network" else mien.decode_cascade
    )
    for at in range(len(data)):
        for change in (1, 0x80, 0xFF):
            bad = bytearray(data)
            bad[at] ^= change
            if 6 <= at < 8:  # the minor version: a change is caught by the checksum alone
                assert bad[4:6] == data[4:6]
            with pytest.raises(mien.FormatError):
                decode(bytes(bad))
    for size in list(range(0, len(data), 7)) + [len(data) - 1]:
        with pytest.raises(mien.FormatError):
            decode(data[:size])
    with pytest.raises(mien.FormatError):
        decode(data + bytes(16))


def test_random_damage_behind_the_checksum() -> None:
    """With a right checksum damage may be harmless, but only FormatError may come out."""
    random = np.random.default_rng(2)
    for source, decode in (
        (mien.encode_network(small_network()), mien.decode_network),
        (CASCADES[0].read_bytes(), mien.decode_cascade),
    ):
        for _ in range(3000):
            bad = bytearray(source)
            for at in random.integers(12, len(source), random.integers(1, 4)):
                bad[at] = random.integers(256)
            try:
                decode(with_checksum(bad))
            except mien.FormatError:
                pass


def test_versions_and_kinds() -> None:
    data = mien.encode_network(small_network())
    minor, major = bytearray(data), bytearray(data)
    minor[6] = 9
    major[4] = 2
    mien.decode_network(with_checksum(minor))
    with pytest.raises(mien.FormatError, match="version 2"):
        mien.decode_network(with_checksum(major))
    with pytest.raises(mien.FormatError, match="kind"):
        mien.decode_cascade(data)


def test_unknown_sections_are_skipped_and_missing_ones_refused() -> None:
    kind, sections = mien.read_container(mien.encode_network(small_network()))
    mien.decode_network(mien.write_container(kind, {"XTRA": b"abc", **sections}))
    for tag in sections:
        with pytest.raises(mien.FormatError, match=tag):
            mien.decode_network(
                mien.write_container(kind, {t: d for t, d in sections.items() if t != tag})
            )


BREAKS = {
    "-128": lambda n: n.layers[0].weights.__setitem__((0, 0, 0, 0), -128),
    "overflow": lambda n: n.layers[0].bias.__setitem__(0, 2**31 - 1),
    "stride": lambda n: setattr(n.layers[0], "stride", (0, 1)),
    "padding": lambda n: setattr(n.layers[0], "pads", (3, 0, 1, 1)),
    "size": lambda n: setattr(n.layers[0], "size", (3, 4, 2)),
    "later input": lambda n: setattr(n.layers[1], "input", 2),
    "second input": lambda n: setattr(n.layers[1], "input2", 1),
    "no second input": lambda n: setattr(n.layers[2], "input2", None),
    "activation": lambda n: setattr(n.layers[3], "relu", True),
    "kernel of relu": lambda n: setattr(n.layers[5], "kernel", (2, 1)),
    "shapes of add": lambda n: setattr(n.layers[6], "input2", 3),
    "channels": lambda n: setattr(n.layers[7], "size", (1, 1, 3)),
    "quant": lambda n: setattr(n.layers[2], "quant", 0.0),
    "nan": lambda n: n.layers[0].scale.__setitem__(0, np.nan),
    "zero scale": lambda n: n.layers[0].scale.__setitem__(0, 0),
    "early logits": lambda n: setattr(n.layers[0], "logits", True),
    "no logits": lambda n: setattr(n.layers[-1], "logits", False),
    "classes": lambda n: n.labels.append("d"),
    "margin": lambda n: setattr(n, "margin_x", 5.0),
    "input quant": lambda n: setattr(n, "input_quant", 0.0),
    "input channels": lambda n: setattr(n, "input_shape", (6, 5, 2)),
    "no layers": lambda n: n.layers.clear(),
    "op": lambda n: setattr(n.layers[0], "op", 9),
}


@pytest.mark.parametrize("what", BREAKS)
def test_rules_of_networks(what: str) -> None:
    net = small_network()
    BREAKS[what](net)
    with pytest.raises(mien.FormatError):
        mien.encode_network(net)


def test_rules_of_cascades() -> None:
    def broken(change: Callable[[mien.Cascade], object]) -> None:
        cascade = mien.Cascade(
            20,
            20,
            [(0.5, [mien.Tree([(1, 0, 0, 0.0), (-1, -2, 0, 0.0)], [1.0, 2.0, 3.0])])],
            [mien.Feature(False, [(0, 0, 20, 20, -1.0), (0, 0, 10, 20, 2.0)])],
        )
        mien.check_cascade(cascade)
        change(cascade)
        with pytest.raises(mien.FormatError):
            mien.check_cascade(cascade)

    tree = lambda c: c.stages[0][1][0]  # noqa: E731
    broken(lambda c: tree(c).nodes.__setitem__(1, (1, -2, 0, 0.0)))  # a loop
    broken(lambda c: tree(c).nodes.__setitem__(1, (-3, -2, 0, 0.0)))  # no such leaf
    broken(lambda c: tree(c).nodes.__setitem__(1, (-1, -2, 1, 0.0)))  # no such feature
    broken(lambda c: tree(c).nodes.__setitem__(1, (-1, -2, 0, np.inf)))
    broken(lambda c: tree(c).leaves.pop())
    broken(lambda c: c.stages.append((1.0, [])))
    broken(lambda c: c.features[0].rectangles.__setitem__(0, (1, 0, 20, 20, 1.0)))
    broken(lambda c: setattr(c.features[0], "tilted", True))
    broken(lambda c: setattr(c, "width", 3))


ANSWERS = {
    "unsure": mien.Answer(0.5),
    "quantity": mien.Answer(0.0, [2.0, 7.5, 40.0], "years"),
    "no unit": mien.Answer(0.0, [-1.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_answers_round_trip(what: str) -> None:
    net = small_network()
    net.answer = ANSWERS[what]
    data = mien.encode_network(net)
    again = mien.decode_network(data)
    assert again.answer == net.answer and mien.encode_network(again) == data
    # A reader that does not know the section skips it.
    kind, sections = mien.read_container(data)
    renamed = {"XTRA" if tag == "ANSW" else tag: part for tag, part in sections.items()}
    assert mien.decode_network(mien.write_container(kind, renamed)).answer is None


@pytest.mark.parametrize(
    "answer, words",
    [
        (mien.Answer(1.5), "unsure below"),
        (mien.Answer(float("nan")), "unsure below"),
        (mien.Answer(0.5, unit="years"), "without values"),
        (mien.Answer(0.5, [1.0, 2.0, 3.0]), "may be unsure"),
        (mien.Answer(0.0, [1.0, 2.0]), "2 values of 3"),
        (mien.Answer(0.0, [1.0, 2.0, 2.0]), "ascend"),
        (mien.Answer(0.0, [1.0, 2.0, float("inf")]), "finite"),
        (mien.Answer(0.0, [1.0, 2.0, 3.0], "centuries"), "8 bytes"),
    ],
)
def test_rules_of_answers(answer: mien.Answer, words: str) -> None:
    net = small_network()
    net.answer = answer
    with pytest.raises(mien.FormatError, match=words):
        mien.encode_network(net)


def test_answers_of_logits_are_refused() -> None:
    net = small_network()
    net.answer, net.softmax = mien.Answer(0.5), False
    with pytest.raises(mien.FormatError, match="probabilities"):
        mien.encode_network(net)


def test_damaged_answers_are_refused() -> None:
    net = small_network()
    net.answer = mien.Answer(0.0, [1.0, 2.0, 3.0], "years")
    kind, sections = mien.read_container(mien.encode_network(net))
    good = sections["ANSW"]
    for bad in (
        b"",
        good[:12],
        good[:-1],
        good[:-4],
        good + bytes(4),
        b"\2" + good[1:],
        b"\0" + good[1:],
        good[:9] + b"\0" + good[10:],  # a zero byte inside the unit
        good[:8] + b"\xff" + good[9:],
    ):
        with pytest.raises(mien.FormatError):
            mien.decode_network(mien.write_container(kind, {**sections, "ANSW": bad}))


def joined_network() -> mien.Network:
    """Tables, concat and multiply behind a convolution."""
    random = np.random.default_rng(4)
    net = small_network()
    first, logits = net.layers[0], net.layers[-1]
    tables = random.integers(-127, 128, (2, 256)).astype(np.int8)
    scale = np.array([0.01, 0.02, 0.03, 0.04], np.float32)
    net.layers = [
        first,
        mien.Layer("table", mien.TABLE, 1, (3, 3, 2), weights=tables, quant=0.5),
        mien.Layer("cat", mien.CONCAT, 1, (3, 3, 4), input2=2, quant=0.5),
        mien.Layer("square", mien.MULTIPLY, 3, (3, 3, 4), input2=3, scale=scale, quant=0.5),
        mien.Layer(
            "gap", mien.GLOBAL_AVG_POOL, 4, (1, 1, 4), scale=np.array([0.3], np.float32), quant=0.4
        ),
        mien.Layer("gate", mien.MULTIPLY, 4, (3, 3, 4), input2=5, scale=scale, quant=0.5),
        mien.Layer("one", mien.TABLE, 5, (1, 1, 4), weights=tables[:1], quant=0.5),
        logits,
    ]
    logits.input = 7
    logits.weights = random.integers(-127, 128, (3, 1, 1, 4)).astype(np.int8)
    net.tests = []
    return net


def test_tables_concat_and_products() -> None:
    net = joined_network()
    again = mien.decode_network(mien.encode_network(net))
    assert [op.op_name for op in again.layers] == [op.op_name for op in net.layers]
    assert (again.layers[1].weights == net.layers[1].weights).all()
    assert again.layers[6].weights.shape == (1, 256) and again.macs == net.macs
    pixels = np.random.default_rng(2).integers(0, 256, (2, 6, 5, 1)).astype(np.uint8)
    assert (
        reference.integer_forward(again, pixels) == reference.integer_forward(net, pixels)
    ).all()
    # Entry by entry, and product by product.
    x = np.arange(-127, 128, dtype=np.int8).reshape(1, 1, 255, 1).repeat(2, axis=3)
    made = reference.integer_layer(net.layers[1], x)
    for c in range(2):
        assert (made[0, 0, :, c] == net.layers[1].weights[c, 1:]).all()
    a = np.array([[[[100, -100, 127, 3]]]], np.int8)
    made = reference.integer_layer(net.layers[3], a, np.array([[[[5, 50, -127, 25]]]], np.int8))
    assert made.tolist() == [[[[5, -100, -127, 3]]]]
    spoilers = {
        "tables": lambda n: setattr(n.layers[1], "weights", n.layers[1].weights[:, :255]),
        "a table of -128": lambda n: n.layers[1].weights.__setitem__((0, 9), -128),
        "shape": lambda n: setattr(n.layers[1], "size", (3, 3, 3)),
        "channels": lambda n: setattr(n.layers[2], "size", (3, 3, 3)),
        "rows": lambda n: setattr(n.layers[5], "input", 5),
        "second": lambda n: setattr(n.layers[2], "input2", None),
        "later": lambda n: setattr(n.layers[2], "input2", 4),
        "scale": lambda n: setattr(n.layers[3], "scale", np.full(4, 2e5, np.float32)),
        "scales": lambda n: setattr(n.layers[3], "scale", np.ones(3, np.float32)),
        "relu": lambda n: setattr(n.layers[2], "relu", True),
    }
    for what, spoil in spoilers.items():
        bad = joined_network()
        spoil(bad)
        try:
            mien.check_network(bad)
        except mien.FormatError:
            continue
        raise AssertionError(what)
