# SPDX-License-Identifier: MIT
"""Networks as tutorials and other people's programs save them: what is converted computes what the float network
does, bit-equal in the engine (MIEN_NETDUMP), and what is refused is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from made_keras import Made, functional, image, layer, nested, sequential, write, write_apart
from mien_tools import errors, fold, keras_file, pictures, quantize, reference, tensor_ops
from mien_tools import format as mien
from test_models import check_engine, one_line, run

SOFTMAX = layer("Softmax", "scores")


def conv(name: str, filters: int, *inputs: str, kernel: int = 3, **config: Any) -> dict:
    return layer("Conv2D", name, *inputs, filters=filters, kernel_size=[kernel, kernel], **config)


def converted(source: Path, folder: Path, *options: str) -> mien.Network:
    """Through the program; the scores of its test vectors are close to those of the float network, and
    the engine's to the bit those of the reference."""
    out = folder / "out.mien"
    done = run(source, "-o", out, "-y", "--range", "max", *options)
    assert done.returncode == 0, done.stderr
    net = mien.decode_network(out.read_bytes())
    for vector in net.tests:
        got = reference.scores(net, vector.logits)
        assert np.abs(got - vector.probabilities).max() < 0.03
    check_engine(net, pictures.synthetic(4, net.input_shape, 11), folder)
    return net


def float_error(source: Path) -> float:
    """Between the layers one after the other and what they are folded to."""
    model = keras_file.read_model(str(source))
    x = pictures.synthetic(4, model.input_shape, 3) / 64.0 - 1
    net = fold.fold(model)
    logits = net.forward(x * net.scale + net.offset)
    made = reference.softmax(logits) if net.softmax else logits
    return np.abs(made - reference.class_scores(model, reference.float_forward(model, x))).max()


def small(*middle: dict, size: int = 20, channels: int = 1, width: int = 8) -> List[dict]:
    """A convolution, `middle`, and a head of three classes."""
    tail = [layer("GlobalAveragePooling2D", "gap"), layer("Dense", "fc", units=3), SOFTMAX]
    return [image(size, size, channels), conv("c1", width, padding="same"), *middle, *tail]


def small_weights(channels: int = 1, width: int = 8, features: int = 8) -> Made:
    made = Made()
    made.conv("c1", (3, 3, channels, width), width)
    made.conv("fc", (features, 3), 3)
    return made


def test_weights_apart_from_the_structure(tmp_path: Path) -> None:
    layers = small(layer("Activation", "relu", activation="relu"))
    whole = write(tmp_path / "whole.h5", sequential(layers), small_weights())
    wanted = converted(whole, tmp_path, "--name", "x")
    for weights, structure in (
        ("fer.h5", "fer.json"),
        ("fer_weights.h5", "fer.json"),
        ("fer.weights.h5", "fer.json"),
        ("weights.h5", "model.json"),
    ):
        folder = tmp_path / weights
        folder.mkdir()
        write_apart(folder / weights, folder / structure, sequential(layers), small_weights())
        net = converted(folder / weights, folder, "--name", "x")
        assert net.meta["made_from"]["keras_version"] == "2.15.0"
        for a, b in zip(net.layers, wanted.layers):
            assert a.weights is None or (a.weights == b.weights).all()
    source, elsewhere = tmp_path / "only.h5", tmp_path / "elsewhere.txt"
    write_apart(source, elsewhere, sequential(layers), small_weights())
    one_line(run(source, "-o", tmp_path / "o.mien"), 4, "weights alone", "only.json", "--json")
    converted(source, tmp_path, "--json", str(elsewhere))
    one_line(run(elsewhere, "-o", tmp_path / "o.mien"), 4, "structure", "--json")
    one_line(run(whole, "-o", tmp_path / "o.mien", "--json", elsewhere), 2, "no meaning")
    one_line(run(source, "-o", tmp_path / "o.mien", "--json", whole), 4, "damaged")


def test_relu6_is_where_the_bytes_end(tmp_path: Path) -> None:
    layers = small(
        layer("ReLU", "r6", max_value=6.0),
        conv("c2", 8, activation="relu6", padding="same"),
        layer("MaxPooling2D", "pool", pool_size=2),
        conv("c3", 8, padding="same"),
        layer("Activation", "a3", activation="relu6"),
    )
    made = small_weights()
    for name in ("c2", "c3"):
        made.conv(name, (3, 3, 8, 8), 8)
    made.weights[("c2",)][0][1][:] *= 20  # far beyond 6
    source = write(tmp_path / "relu6.h5", sequential(layers), made)
    assert float_error(source) < 1e-12
    net = converted(source, tmp_path)
    limited = [op.quant * 127 for op in net.layers if op.relu]
    assert len(limited) == 3 and 5.99 < max(limited) < 6.0001  # the largest byte is 6


def test_scaling_inside_the_network(tmp_path: Path) -> None:
    made = small_weights()
    plain = write(tmp_path / "plain.h5", sequential(small()), made)
    layers = small()
    layers.insert(1, layer("Rescaling", "scale", scale=1 / 127.5, offset=-1))
    inside = write(tmp_path / "inside.h5", sequential(layers), made)
    a, b = converted(plain, tmp_path, "--name", "x"), converted(inside, tmp_path, "--name", "x")
    assert (a.input_scale, a.input_offset) == (b.input_scale, b.input_offset)
    for x, y in zip(a.layers, b.layers):
        assert x.weights is None or (x.weights == y.weights).all() and (x.scale == y.scale).all()
    layers[1] = layer("Rescaling", "scale", scale=1 / 255)
    third = converted(write(tmp_path / "third.h5", sequential(layers), made), tmp_path)
    assert third.unsigned_input and third.input_quant == np.float32(1 / 255)
    # One mean and deviation per channel: a layer of its own, whose padding is 0 behind it.
    layers = small(channels=3)
    layers.insert(1, layer("Normalization", "normal", axis=[-1]))
    made = small_weights(3)
    mean, variance = np.array([120.0, 100, 90]), np.array([3600.0, 2500, 4900])
    made.set("normal", [("mean", mean), ("variance", variance)])
    made.weights[("normal",)].append(("count", np.array(7, np.int64)))
    source = write(tmp_path / "normal.h5", sequential(layers), made)
    assert float_error(source) < 1e-9
    net = converted(source, tmp_path)
    assert net.layers[0].name == "normal" and net.layers[0].kernel == (1, 1)
    # The same in the configuration, and the same said to the converter.
    layers[1] = layer("Normalization", "normal", mean=list(mean), variance=list(variance))
    del made.weights[("normal",)]
    again = converted(write(tmp_path / "adapted.h5", sequential(layers), made), tmp_path)
    del layers[1]
    options = (
        "--input-mean",
        ",".join(f"{m}/255" for m in mean),
        "--input-std",
        ",".join(f"{np.sqrt(v)}/255" for v in variance),
    )
    outside = write(tmp_path / "outside.h5", sequential(layers), made)
    told = converted(outside, tmp_path, *options)
    for other in (again, told):
        assert (other.layers[0].weights == net.layers[0].weights).all()
        assert np.allclose(other.tests[0].probabilities, net.tests[0].probabilities, atol=1e-5)
    out = tmp_path / "o.mien"
    one_line(run(outside, "-o", out, "--input-mean", "1,2"), 2, "2 numbers for 3 channels")
    one_line(run(outside, "-o", out, "--input-std", "1"), 2, "needs --input-mean")
    one_line(run(outside, "-o", out, "--input-mean", "1", "--input-scale", "1"), 2, "instead")


def test_one_sigmoid_is_two_classes(tmp_path: Path) -> None:
    layers = small()[:-2] + [layer("Dense", "fc", units=1, activation="sigmoid")]
    made = small_weights()
    made.conv("fc", (8, 1), 1)
    source = write(tmp_path / "gender.h5", sequential(layers), made)
    one_line(run(source, "-o", tmp_path / "o.mien", "--task", "gender"), 2, "--labels ZERO,ONE")
    net = converted(source, tmp_path, "--task", "gender", "--labels", "woman,man")
    assert net.labels == ["woman", "man"] and net.softmax
    model = keras_file.read_model(str(source))
    for vector in net.tests:
        x = reference.scale_pixels(vector.pixels[None], 1 / 127.5, -1).astype(np.float64)
        man = reference.float_forward(model, x)[0, 0]
        assert np.allclose(vector.probabilities, [1 - man, man], atol=1e-6)
        assert vector.logits[0] == 0
    layers[-1] = layer("Dense", "fc", units=3, activation="sigmoid")
    several = write(tmp_path / "several.h5", sequential(layers), small_weights())
    one_line(run(several, "-o", tmp_path / "o.mien"), 4, "'fc/sigmoid'", "softmax")


def nested_network(made: Made) -> dict:
    """Augmentation, and a network taken over whole, with a network inside of it."""
    inner = sequential([image(9, 9, 8, "in2"), layer("BatchNormalizationV1", "bn")], "inner")
    base = functional(
        [
            image(18, 18, 1, "in1"),
            conv("c1", 8, "in1", padding="same", activation="relu"),
            layer("MaxPooling2D", "pool", "c1", pool_size=2),
            nested(inner, "inner", "pool"),
        ],
        "inner",
    )
    augmentation = sequential(
        [image(18, 18, 1, "in0"), layer("RandomFlip", "flip"), layer("RandomRotation", "turn")]
    )
    made.conv("base/c1", (3, 3, 1, 8), 8)
    made.norm("base/inner/bn", 8)
    made.conv("c1", (3, 3, 8, 8), 8)
    made.norm("sync", 8)
    made.conv("fc", (8, 3), 3)
    return functional(
        [
            image(18, 18, 1),
            nested(augmentation, "augmentation", "image"),
            nested(base, "base", "augmentation"),
            conv("c1", 8, "base"),
            layer("SyncBatchNormalization", "sync", "c1"),
            layer("GlobalMaxPooling2D", "gmp", "sync"),
            layer("Dropout", "drop", "gmp", rate=0.5),
            layer("Dense", "fc", "drop", units=3),
            layer("Softmax", "scores", "fc"),
        ],
        "scores",
    )


def test_nested_models_and_augmentation(tmp_path: Path) -> None:
    made = Made(3)
    source = write(tmp_path / "nested.h5", nested_network(made), made)
    assert float_error(source) < 1e-12
    net = converted(source, tmp_path)
    assert [op.name for op in net.layers][0] == "base/c1"
    # A Sequential of a whole network and a head.
    base = nested_network(made)["config"]["layers"][2]
    layers = [base, layer("GlobalMaxPooling2D", "gmp"), layer("Dense", "fc", units=3), SOFTMAX]
    base.pop("inbound_nodes")
    assert float_error(write(tmp_path / "head.h5", sequential(layers), made)) < 1e-12
    shared = nested_network(made)
    record = shared["config"]["layers"][2]
    record["inbound_nodes"] = record["inbound_nodes"] * 2
    with pytest.raises(errors.ModelError, match="shared"):
        keras_file.read_model(str(write(tmp_path / "shared.h5", shared, made)))


def test_tails_of_mobilenets(tmp_path: Path) -> None:
    layers = small()[:-2] + [
        layer("Reshape", "r1", target_shape=[1, 1, 8]),
        layer("Dropout", "drop", rate=0.1),
        conv("fc", 3, kernel=1, padding="same"),
        layer("Activation", "scores", activation="softmax"),
        layer("Reshape", "r2", target_shape=[-1]),
    ]
    made = small_weights()
    made.conv("fc", (1, 1, 8, 3), 3)
    source = write(tmp_path / "tail.h5", sequential(layers), made)
    assert float_error(source) < 1e-12
    assert converted(source, tmp_path).layers[-1].op_name == "conv"
    flat = [
        *small(layer("MaxPooling2D", "pool", pool_size=4))[:-3],
        layer("Reshape", "flat", target_shape=[200]),
        layer("Dense", "hidden", units=6, activation="relu"),
        layer("Dense", "fc", units=3, activation="softmax"),
    ]
    made.conv("hidden", (200, 6), 6)
    made.conv("fc", (6, 3), 3)
    source = write(tmp_path / "flat.h5", sequential(flat), made)
    assert float_error(source) < 1e-12
    assert converted(source, tmp_path).layers[2].kernel == (5, 5)
    flat[3] = layer("Reshape", "flat", target_shape=[25, 8])
    source = write(tmp_path / "rows.h5", sequential(flat), made)
    one_line(run(source, "-o", tmp_path / "o.mien"), 4, "'flat'", "vector")


def test_dilation_groups_and_multipliers(tmp_path: Path) -> None:
    """Against sums written out, position by position."""
    random = np.random.default_rng(5)
    x = random.normal(size=(1, 9, 9, 4))
    kernel = random.normal(size=(3, 3, 2, 6))
    depth = random.normal(size=(3, 3, 4, 2))
    dense = tensor_ops.grouped(tensor_ops.dilated(kernel, (2, 1)), 2).transpose(3, 0, 1, 2)
    got = tensor_ops.conv(x, dense, (1, 1), (0, 0, 0, 0))
    assert got.shape == (1, 5, 7, 6)
    for y, c, n in ((0, 0, 0), (2, 3, 2), (4, 6, 5), (1, 2, 3)):
        first = 2 * (n // 3)  # of the group's channels
        wanted = sum(
            kernel[i, j, k, n] * x[0, y + 2 * i, c + j, first + k]
            for i in range(3)
            for j in range(3)
            for k in range(2)
        )
        assert np.isclose(got[0, y, c, n], wanted)
    layers = [
        image(16, 16, 1),
        conv("c1", 4, dilation_rate=[2, 2], padding="same", activation="relu"),
        layer("DepthwiseConv2D", "dw", kernel_size=[3, 3], depth_multiplier=2),
        conv("c2", 6, groups=2, strides=[2, 2], padding="same"),
        layer("SeparableConv2D", "sep", filters=5, kernel_size=[3, 3], depth_multiplier=2),
        *small()[2:],
    ]
    made = Made()
    made.conv("c1", (3, 3, 1, 4), 4)
    made.set("dw", [("depthwise_kernel", depth), ("bias", random.normal(size=8))])
    made.conv("c2", (3, 3, 4, 6), 6)
    made.set(
        "sep",
        [
            ("depthwise_kernel", random.normal(size=(3, 3, 6, 2)) / 3),
            ("pointwise_kernel", random.normal(size=(1, 1, 12, 5)) / 4),
            ("bias", np.zeros(5)),
        ],
    )
    made.conv("fc", (5, 3), 3)
    source = write(tmp_path / "odd.h5", sequential(layers), made)
    assert float_error(source) < 1e-12
    model = keras_file.read_model(str(source))
    values = reference.float_layer(model.layers[2], [x])
    for y, c, n in ((0, 0, 0), (3, 2, 5), (6, 6, 7)):
        window = x[0, y : y + 3, c : c + 3, n // 2]
        bias = model.layers[2].weights["bias"][n]
        assert np.isclose(values[0, y, c, n], (depth[..., n // 2, n % 2] * window).sum() + bias)
    converted(source, tmp_path)


@pytest.mark.parametrize(
    "record, words",
    [
        (layer("Lambda", "odd"), ("'odd' (Lambda)", "--input-scale")),
        (layer("GroupNormalization", "odd"), ("GroupNormalization", "BatchNormalization works")),
        (layer("Resizing", "odd", height=48, width=48), ("make that 48 x 48",)),
        (layer("Reshape", "odd", target_shape=[3, "x"]), ("target_shape",)),
        (layer("Reshape", "odd", target_shape=[7]), ("target shape (7,)",)),
        (layer("Activation", "odd", activation="crelu"), ("'crelu'", "swish")),
        (layer("Rescaling", "odd", scale="x"), ("scale 'x' is not a number",)),
        (layer("Rescaling", "odd", scale=[1.0, 2.0]), ("2 numbers for 8 channels",)),
        (conv("odd", 9, groups=4), ("4 groups of 8 to 9",)),
        (layer("Permute", "odd"), ("channels_last works",)),
        (layer("Maximum", "odd"), ("Add, Multiply and Concatenate work",)),
    ],
)
def test_what_is_refused_is_named(record: dict, words: tuple, tmp_path: Path) -> None:
    source = write(tmp_path / "bad.h5", sequential(small(record)), small_weights())
    one_line(run(source, "-o", tmp_path / "o.mien"), 4, "bad.h5", *words)


def test_damaged_structures_get_one_line(tmp_path: Path) -> None:
    model = sequential(small())
    for _ in range(40):
        model = sequential([nested(model, "deeper")])
    bad = [
        model,
        sequential([nested(sequential([]), "empty")]),
        functional([image(8, 8, 1), nested(sequential(small()), "m", "nowhere")], "m"),
        functional([image(8, 8, 1), nested(sequential(small()), "m", "m")], "m"),
        {"class_name": "Sequential", "config": {"layers": [3]}},
        {"class_name": "Sequential", "config": 7},
        [],
    ]
    for number, each in enumerate(bad):
        weights, structure = tmp_path / f"{number}.h5", tmp_path / f"{number}.json"
        write_apart(weights, structure, sequential(small()), small_weights())
        structure.write_text(json.dumps(each))
        one_line(run(weights, "-o", tmp_path / "o.mien"), 4, f"{number}.h5")


def test_steps_of_tied_channels_agree() -> None:
    """Ties are per channel, and what is not tied keeps steps of its own."""
    eye = np.eye(4).reshape(4, 1, 1, 4)
    ops = [
        fold.Op("a", mien.CONV, [0], (4, 4, 4), weights=np.ones((4, 1, 1, 1)), bias=np.zeros(4)),
        fold.Op("b", mien.CONV, [1], (4, 4, 4), weights=eye, bias=np.zeros(4)),
        fold.Op("sum", mien.ADD, [1, 2], (4, 4, 4)),
        fold.Op("c", mien.CONV, [3], (4, 4, 4), weights=eye, bias=np.zeros(4)),
    ]
    ties = quantize.ties_of(fold.FloatNet((4, 4, 1), ops, False))
    assert ties.groups == [0, 1, 1, 1, 4]
    assert all((ties.variables[t] == np.arange(4)).all() for t in (1, 2, 3, 4))
    # A limit beside larger values becomes a table of its own behind the convolution.
    ops[0].relu, ops[0].limit = True, 6.0
    net = fold.FloatNet((4, 4, 1), ops, False)
    with pytest.raises(quantize.NotSaturating):
        quantize.limits_of(net, quantize.ties_of(net))
    x = np.random.default_rng(1).normal(0, 9, (2, 4, 4, 1))
    before = [op.run([np.minimum(np.maximum(x + np.zeros(4), 0), 6)]) for op in ops[1:2]]
    quantize.legalize(net)
    assert [op.name for op in net.ops] == ["a", "a/limit", "b", "sum", "c"]
    assert [op.inputs for op in net.ops] == [[0], [1], [2], [2, 3], [4]]
    after = net.ops[1].run([net.ops[0].run([x])])
    assert (net.ops[2].run([after]) == before[0]).all() and after.max() == 6


def test_channels_that_are_all_but_constant(tmp_path: Path) -> None:
    """Where the images make a channel nearly 0, its range is far below one step of its sums: such a
    network was refused ("a scale far too large for its sums")."""
    opposite = np.resize([5.0, -5.0], (4, 4))[:, None, None]
    ops = [
        fold.Op("same", mien.CONV, [0], (4, 4, 4), weights=np.ones((4, 1, 1, 1)), bias=np.zeros(4)),
        fold.Op("nothing", mien.CONV, [1], (4, 4, 4), weights=opposite, bias=np.zeros(4)),
        fold.Op(
            "scores",
            mien.CONV_GAP,
            [2],
            (4, 4, 2),
            weights=np.ones((2, 1, 1, 4)) * [[[[1]]], [[[-1]]]],
            bias=np.zeros(2),
            logits=True,
        ),
    ]
    net = quantize.quantize(
        fold.FloatNet((4, 4, 1), ops, True),
        pictures.synthetic(6, (4, 4, 1), 5),
        1 / 255,
        0.0,
        ["zero", "one"],
    )
    mien.check_network(net)
    assert net.layers[1].scale.max() > 127  # every sum but 0 saturates
    check_engine(net, pictures.synthetic(4, net.input_shape, 11), tmp_path)


def test_functions_are_tables(tmp_path: Path) -> None:
    """Every function, one after the other and multiplied by its own argument; no value of a table is
    further from the function than rounding takes it."""
    middle = [
        layer("LeakyReLU", "leaky", alpha=0.2),
        conv("c2", 8, activation="swish"),
        conv("c3", 8),
        layer("PReLU", "prelu", shared_axes=[1, 2]),
        layer("BatchNormalization", "bn"),  # behind a table: part of it
        conv("c4", 8, activation="hard_sigmoid"),
        conv("c5", 8, activation="elu"),
        conv("c6", 8, activation="tanh"),
        layer("ReLU", "ends", max_value=0.9, negative_slope=0.1, threshold=0.05),
    ]
    made = small_weights()
    for number in range(2, 7):
        made.conv(f"c{number}", (3, 3, 8, 8), 8)
    made.set("prelu", [("alpha", made.random.uniform(-0.2, 0.5, (1, 1, 8)))])
    made.norm("bn", 8)
    source = write(tmp_path / "functions.h5", sequential(small(*middle)), made)
    assert float_error(source) < 1e-12
    net = converted(source, tmp_path)
    tables = [op for op in net.layers if op.op == mien.TABLE]
    assert [op.name.split("/")[0] for op in tables] == ["leaky", "c2", "prelu", "c4", "c5", "c6"]
    one_line(run(source, "-o", tmp_path / "o.mien", "--float-twin"), 2, "no place for tables")
    step = quantize.Steps(np.array([0.03, 0.05]), np.array([0.0, 0.4]))
    out = quantize.Steps(np.array([0.02, 0.05]), np.array([0.0, 0.1]))
    entries = quantize._tables(np.tanh, step, out)
    assert entries.shape == (2, 256)
    for c in range(2):
        x = np.arange(-127, 128) * step.step[c] - step.shift[c]
        real = entries[c, 1:] * out.step[c] - out.shift[c]
        assert np.abs(real - np.tanh(x)).max() <= out.step[c] / 2 + 1e-12


def test_hard_sigmoids_of_two_kerases(tmp_path: Path) -> None:
    made = small_weights()
    layers = small(layer("Activation", "hard", activation="hard_sigmoid"))
    for version, slope in (("2.15.0", 0.2), ("3.4.1", 1 / 6)):
        source = write(tmp_path / "hard.h5", sequential(layers), made, version)
        model = keras_file.read_model(str(source))
        x = np.array([[[[-4.0, -1, 0, 1, 2, 2.75, 3.5, 9]]]])
        wanted = np.clip(x * slope + 0.5, 0, 1)
        assert np.allclose(reference.float_layer(model.layers[2], [x]), wanted)


def test_concat_gates_and_products(tmp_path: Path) -> None:
    """Branches joined, pooled in two ways, squeezed and excited; steps stay per channel."""
    made = Made(2)
    layers = [
        image(16, 15, 1),
        conv("a", 8, "image", padding="same", activation="relu6"),
        conv("b", 4, "image", padding="same", kernel=5),
        layer("MaxPooling2D", "pool", "a", pool_size=3, strides=1, padding="same"),
        layer("Concatenate", "cat", "a", "b", "pool"),
        layer("GlobalAveragePooling2D", "squeeze", "cat"),
        layer("Reshape", "r", "squeeze", target_shape=[1, 1, 20]),
        conv("down", 4, "r", kernel=1, activation="relu"),
        conv("up", 20, "down", kernel=1, activation="sigmoid"),
        layer("Multiply", "excite", "up", "cat"),
        conv("c", 8, "excite", strides=[2, 2]),
        layer("Activation", "sig", "c", activation="sigmoid"),
        layer("Multiply", "swish", "c", "sig"),
        conv("d", 8, "swish", padding="same"),
        layer("Multiply", "product", "swish", "d"),
        layer("GlobalAveragePooling2D", "gap", "product"),
        layer("GlobalMaxPooling2D", "gmp", "product"),
        layer("Concatenate", "both", "gap", "gmp"),
        layer("Dense", "fc", "both", units=3),
        layer("Softmax", "scores", "fc"),
    ]
    for name, shape, bias in (
        ("a", (3, 3, 1, 8), 8),
        ("b", (5, 5, 1, 4), 4),
        ("down", (1, 1, 20, 4), 4),
        ("up", (1, 1, 4, 20), 20),
        ("c", (3, 3, 20, 8), 8),
        ("d", (3, 3, 8, 8), 8),
        ("fc", (16, 3), 3),
    ):
        made.conv(name, shape, bias)
    source = write(tmp_path / "branches.h5", functional(layers, "scores"), made)
    assert float_error(source) < 1e-12
    net = converted(source, tmp_path)
    ops = [op.op_name for op in net.layers]
    assert ops.count("concat") == 3 and ops.count("multiply") == 2  # x * sigmoid(x) is a table
    assert ops.count("table") == 2 and "avg_pool" in ops  # the mean beside the maximum
    layers[4] = layer("Concatenate", "cat", "a", "b", "pool", axis=1)
    one_line(
        run(write(tmp_path / "rows.h5", functional(layers, "scores"), made), "-o", "x.mien"),
        4,
        "'cat'",
    )


def test_slopes_of_positions_are_refused(tmp_path: Path) -> None:
    made = small_weights()
    made.set("prelu", [("alpha", made.random.uniform(size=(20, 20, 8)))])
    source = write(tmp_path / "p.h5", sequential(small(layer("PReLU", "prelu"))), made)
    one_line(run(source, "-o", tmp_path / "o.mien"), 4, "'prelu'", "shared_axes=[1, 2]")
