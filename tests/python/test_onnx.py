# SPDX-License-Identifier: MIT
"""Networks in ONNX, written as the exporters of PyTorch and TensorFlow write them (python3-onnx makes them): they
compute what the same layers of Keras do, or what sums written out give."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
import pytest

from made_keras import Made, image, layer, sequential, write
from mien_tools import errors, fold, graph, keras_file, onnx_file, pictures, reference
from test_models import one_line, run
from test_networks import converted

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (python3-onnx)")
numpy_helper = pytest.importorskip("onnx.numpy_helper")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


class Graph:
    """Nodes one after the other; each takes what the one before made, unless told otherwise."""

    def __init__(self, *shape: Any) -> None:
        self.shape, self.last = shape, "input"
        self.nodes: List[Any] = []
        self.constants: Dict[str, np.ndarray] = {}
        self.random = np.random.default_rng(3)

    def const(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(array)
        self.constants[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
        return name

    def weights(self, *shape: int) -> np.ndarray:
        return self.random.normal(0, 1.4 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    def add(self, op: str, *rest: str, inputs: Sequence[str] = (), **attributes: Any) -> str:
        name = f"/net/{op}_{len(self.nodes)}"
        ins = list(inputs) or [self.last, *rest]
        self.nodes.append(helper.make_node(op, ins, [name + "_out"], name, **attributes))
        self.last = name + "_out"
        return self.last

    def write(self, path: Path, opset: int = 13) -> Path:
        made = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.last, FLOAT, None)],
            [numpy_helper.from_array(a, name) for name, a in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(made, producer_name="pytorch", opset_imports=opsets)
        path.write_bytes(model.SerializeToString())
        return path


def outputs(model: graph.Model) -> np.ndarray:
    """Of some images, by the layers; folding them changes nothing."""
    x = pictures.synthetic(4, model.input_shape, 3) / 127.5 - 1
    made = reference.float_forward(model, x)
    net = fold.fold(model)
    logits = net.forward(x * net.scale + net.offset)
    folded = reference.softmax(logits) if net.softmax else logits
    assert np.abs(folded - reference.class_scores(model, made)).max() < 1e-9
    return made


def test_pytorch(tmp_path: Path) -> None:
    """Channels first, flattened channels first, logits; the same in Keras."""
    g, made = Graph("batch", 1, 12, 10), Made(1)
    k1, k2, k3 = g.weights(8, 1, 3, 3), g.weights(8, 1, 3, 3), g.weights(3, 8 * 3 * 2)
    bias = g.random.normal(0, 0.2, 8)
    norm = [g.random.uniform(0.5, 1.5, 8) for _ in range(4)]
    g.add("Conv", g.const(k1), g.const(bias), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    g.add("BatchNormalization", *(g.const(v) for v in norm), epsilon=1e-5)
    g.add("Relu")
    g.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g.add("Conv", g.const(k2), kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=8)
    low, high = g.const(np.array(0.0)), g.const(np.array(6.0))
    g.add("Clip", low, high)
    g.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    before = g.last
    # x.view(x.size(0), -1), as it is traced
    g.add("Shape")
    g.add("Gather", g.const(np.array(0)), axis=0)
    g.add("Unsqueeze", g.const(np.array([0])))
    g.add("Concat", inputs=[g.last, g.const(np.array([-1]))], axis=0)
    g.add("Reshape", inputs=[before, g.last])
    g.add("Dropout")
    g.add("Gemm", g.const(k3), g.const(np.zeros(3)), transB=1)
    source = g.write(tmp_path / "net.onnx")
    layers = [
        image(12, 10, 1),
        layer("Conv2D", "c1", filters=8, kernel_size=[3, 3], padding="same"),
        layer("BatchNormalization", "bn", epsilon=1e-5),
        layer("ReLU", "relu"),
        layer("MaxPooling2D", "p1", pool_size=2),
        layer(
            "DepthwiseConv2D",
            "c2",
            kernel_size=[3, 3],
            padding="same",
            use_bias=False,
            activation="relu6",
        ),
        layer("MaxPooling2D", "p2", pool_size=2),
        layer("Flatten", "flat"),
        layer("Dense", "fc", units=3, use_bias=False),
    ]
    made.set("c1", [("kernel", k1.transpose(2, 3, 1, 0)), ("bias", bias)])
    made.set("bn", list(zip(("gamma", "beta", "moving_mean", "moving_variance"), norm)))
    made.set("c2", [("depthwise_kernel", k2.transpose(2, 3, 0, 1))])
    kernel = k3.reshape(3, 8, 3, 2).transpose(2, 3, 1, 0).reshape(-1, 3)
    made.set("fc", [("kernel", kernel)])
    keras = write(tmp_path / "net.h5", sequential(layers), made)
    ours = onnx_file.read_model(str(source))
    theirs = keras_file.read_model(str(keras))
    assert np.abs(outputs(ours) - outputs(theirs)).max() < 1e-6
    assert ours.version == "pytorch" and ours.parameter_count == 72 + 8 + 32 + 72 + 144 + 3
    net = converted(source, tmp_path, "--softmax", "--labels", "a,b,c")
    assert net.meta["made_from"]["producer"] == "pytorch" and net.softmax
    done = run(source, "-o", tmp_path / "o.mien")
    assert done.returncode == 0 and "--softmax" in done.stdout


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_tensorflow(opset: int, tmp_path: Path) -> None:
    """Channels last outside, transposed inside; scaled by the network itself; axes as an attribute
    in old opsets and as an input in newer ones."""
    g = Graph(1, 12, 12, 3)
    k1, k2 = g.weights(8, 3, 3, 3), g.weights(8, 8, 1, 1)
    matrix = g.weights(5, 8).T
    g.add("Mul", g.const(np.array([1 / 127.5])))
    g.add("Sub", g.const(np.ones((1, 1, 1, 1))))
    g.add("Transpose", perm=[0, 3, 1, 2])
    g.add("Conv", g.const(k1), auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2])
    g.add("Add", g.const(g.random.normal(size=(1, 8, 1, 1))))
    first = g.add("Relu")
    g.add("Conv", g.const(k2), kernel_shape=[1, 1])
    g.add("Add", first)
    g.add("Transpose", perm=[0, 2, 3, 1])
    if opset >= 18:
        g.add("ReduceMean", g.const(np.array([1, 2])), keepdims=1)
    else:
        g.add("ReduceMean", axes=[1, 2], keepdims=1)
    if opset >= 13:
        g.add("Squeeze", g.const(np.array([1, 2])))
    else:
        g.add("Squeeze", axes=[1, 2])
    g.add("MatMul", g.const(matrix))
    g.add("Add", g.const(g.random.normal(size=5)))
    g.add("Softmax", axis=-1)
    source = g.write(tmp_path / "net.onnx", opset)
    model = onnx_file.read_model(str(source))
    assert model.scales_itself and outputs(model).shape == (4, 5)
    # Written out for one image.
    x = pictures.synthetic(1, (12, 12, 3), 5)[0].astype(np.float64)
    z = np.pad(x / 127.5 - 1, ((0, 1), (0, 1), (0, 0)))
    arrays = list(g.constants.values())
    y = np.zeros((6, 6, 8))
    for i in range(6):
        for j in range(6):
            window = z[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].transpose(2, 0, 1)
            y[i, j] = (k1 * window).sum(axis=(1, 2, 3)) + arrays[3].ravel()
    y = np.maximum(y, 0)
    mean = (y + y @ k2[..., 0, 0].T).mean(axis=(0, 1))
    wanted = reference.softmax(mean @ matrix + arrays[-1])
    assert np.abs(reference.float_forward(model, x[None])[0] - wanted).max() < 1e-6
    net = converted(source, tmp_path)
    assert net.input_scale == np.float32(1 / 127.5) and net.input_offset == -1


def test_pools_and_pads_of_pytorch(tmp_path: Path) -> None:
    """Padding that counts in a mean, windows that end outside, padding as a node."""
    g = Graph(1, 1, 7, 8)
    g.add("Conv", g.const(g.weights(8, 1, 1, 1)), kernel_shape=[1, 1])
    kept = g.add("Relu")
    g.add(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    )
    g.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    pooled = g.last
    g.add("Pad", inputs=[kept, g.const(np.array([0, 0, 1, 0, 0, 0, 0, 1]))], mode="constant")
    g.add("MaxPool", kernel_shape=[2, 2], strides=[4, 5])
    g.add("Add", pooled)
    g.add("GlobalMaxPool")
    g.add("Flatten", axis=1)
    source = g.write(tmp_path / "net.onnx")
    model = onnx_file.read_model(str(source))
    made = outputs(model)
    x = pictures.synthetic(4, model.input_shape, 3)[..., 0] / 127.5 - 1
    y = np.maximum(x[..., None] * list(g.constants.values())[0].ravel(), 0)
    wide = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
    means = np.stack(
        [
            np.stack([wide[:, i : i + 3, j : j + 3].mean(axis=(1, 2)) for j in (0, 2, 4, 6)], 1)
            for i in (0, 2, 4, 6)
        ],
        1,
    )
    a = np.stack([means[:, i : i + 3, j : j + 3].max(axis=(1, 2)) for i in (0, 2) for j in (0, 2)])
    high = np.pad(y, ((0, 0), (1, 0), (0, 1), (0, 0)))
    b = np.stack([high[:, i : i + 2, j : j + 2].max(axis=(1, 2)) for i in (0, 4) for j in (0, 5)])
    assert np.abs((a + b).max(axis=0) - made).max() < 1e-6
    converted(source, tmp_path, "--softmax")


@pytest.mark.parametrize("way", ["operator", "old", "sigmoid"])
def test_swishes(way: str, tmp_path: Path) -> None:
    """An operator of its own, or written out, as exporters did before there was one: one table."""
    g = Graph(1, 1, 9, 9)
    kernel = g.weights(8, 1, 3, 3) * 4
    x = g.add("Conv", g.const(kernel), kernel_shape=[3, 3])
    if way == "operator":
        g.add("HardSwish")
    elif way == "old":
        g.add("Add", g.const(np.array(3.0)))
        g.add("Clip", g.const(np.array(0.0)), g.const(np.array(6.0)))
        g.add("Mul", inputs=[x, g.last])
        g.add("Div", g.const(np.array(6.0)))
    else:
        g.add("Sigmoid")
        g.add("Mul", inputs=[g.last, x])
    g.add("PRelu", g.const(g.random.uniform(size=(8, 1, 1))))
    g.add("Conv", g.const(g.weights(8, 8, 3, 3)), kernel_shape=[3, 3], group=1)
    one = g.add("LeakyRelu", alpha=0.1)
    g.add("ReduceMean", axes=[2, 3], keepdims=1)
    g.add("Conv", g.const(g.weights(8, 8, 1, 1)), kernel_shape=[1, 1])
    g.add("HardSigmoid", alpha=1 / 6, beta=0.5)
    two = g.add("Mul", inputs=[g.last, one])
    g.add("Concat", inputs=[one, two], axis=1)
    g.add("GlobalAveragePool")
    g.add("Flatten")
    source = g.write(tmp_path / "net.onnx", 14)
    model = onnx_file.read_model(str(source))
    made = outputs(model)
    net = converted(source, tmp_path, "--softmax")
    assert [op.op_name for op in net.layers].count("table") == 3
    # The first function, written out.
    y = np.linspace(-9, 9, 37)
    function = fold.fold(model).ops[1].function
    gate = 1 / (1 + np.exp(-y)) if way == "sigmoid" else np.clip(y + 3, 0, 6) / 6
    slopes = next(a for a in g.constants.values() if a.shape == (8, 1, 1)).ravel()
    wanted = (y * gate)[:, None] * np.where((y * gate < 0)[:, None], slopes, 1)
    assert np.abs(function(y[:, None] + np.zeros(8)) - wanted).max() < 1e-6
    assert made.shape == (4, 16)


def test_weights_in_a_file_beside(tmp_path: Path) -> None:
    g = Graph(1, 1, 8, 8)
    g.add("Conv", g.const(g.weights(8, 1, 3, 3)), kernel_shape=[3, 3])
    g.add("GlobalAveragePool")
    g.add("Flatten")
    source = g.write(tmp_path / "net.onnx")
    wanted = outputs(onnx_file.read_model(str(source)))
    model = onnx.load_model_from_string(source.read_bytes())
    tensor = model.graph.initializer[0]
    (tmp_path / "net.onnx.data").write_bytes(b"xxxx" + tensor.raw_data)

    def outside(**entries: str) -> Path:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        source.write_bytes(model.SerializeToString())
        return source

    outside(location="net.onnx.data", offset="4", length="288")
    assert (outputs(onnx_file.read_model(str(source))) == wanted).all()
    out = tmp_path / "o.mien"
    for location in ("../net.onnx.data", "/etc/passwd", "..", ""):
        one_line(run(outside(location=location), "-o", out), 4, "no file beside it")
    one_line(run(outside(location="gone"), "-o", out), 3, "gone")
    for offset, length in (("5", "288"), ("-4", "288"), ("0", "-1"), ("x", "1")):
        bad = outside(location="net.onnx.data", offset=offset, length=length)
        one_line(run(bad, "-o", out), 4, "outside of net.onnx.data")
    one_line(run(outside(location="net.onnx.data", length="8"), "-o", out), 4, "damaged")


@pytest.mark.parametrize(
    "op, attributes, words",
    [
        ("Resize", {}, ("(Resize)", "mien scales each face")),
        ("ArgMax", {}, ("(ArgMax)", "mien names the class")),
        ("Transpose", {"perm": [0, 1, 3, 2]}, ("perm [0, 1, 3, 2]",)),
        ("Softmax", {"axis": 2}, ("over the classes only",)),
        ("ReduceMean", {"axes": [1]}, ("height and width are",)),
        ("AveragePool", {"kernel_shape": [2]}, ("kernel_shape",)),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [1, 2, -3, 4]}, ("pads",)),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [0, 1]}, ("strides",)),
        ("Clip", {"min": 1.0, "max": 0.0}, ("between 1.0 and 0.0",)),
        ("Flatten", {"axis": 2}, ("axis 1",)),
    ],
)
def test_what_is_refused_is_named(op: str, attributes: dict, words: tuple, tmp_path: Path) -> None:
    g = Graph(1, 1, 8, 8)
    g.add("Conv", g.const(g.weights(8, 1, 3, 3)), kernel_shape=[3, 3])
    g.add(op, **attributes)
    source = g.write(tmp_path / "bad.onnx", 11)
    one_line(run(source, "-o", tmp_path / "o.mien"), 4, "bad.onnx", f"/net/{op}_1", *words)


def test_inputs_that_are_no_faces(tmp_path: Path) -> None:
    for shape, words in (
        ((1, 1, "h", "w"), "not fixed"),
        ((4, 1, 8, 8), "a batch of 4"),
        ((1, 5, 8, 8), "8 x 8 x 5"),
        ((1, 64), "2 dimensions"),
    ):
        g = Graph(*shape)
        g.add("Relu")
        one_line(run(g.write(tmp_path / "i.onnx"), "-o", tmp_path / "o.mien"), 4, words)


def test_damaged_files_get_one_line(tmp_path: Path) -> None:
    g = Graph(1, 1, 8, 8)
    g.add("Conv", g.const(g.weights(8, 1, 3, 3)), kernel_shape=[3, 3])
    g.add("Flatten")
    g.add("Gemm", g.const(g.weights(288, 3)))
    whole = g.write(tmp_path / "whole.onnx").read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for trial in range(300):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: random.integers(len(data))]
        else:
            # In the description of the nodes, too, not only in the weights.
            for at in random.integers(400 if trial % 3 == 1 else len(data), size=4):
                data[at] = random.integers(256)
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(data)
        try:
            fold.fold(onnx_file.read_model(str(bad)))
        except errors.ToolError:
            refused += 1
    assert refused > 100
