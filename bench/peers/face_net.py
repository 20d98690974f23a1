#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The detector network beside other runtimes with the same network: milliseconds for 640x480.

  face_net.py FILE.onnx [--mien PROGRAM] [--isa NAME...] [--rounds N]

FILE.onnx is face_detection_yunet_2023mar.onnx of OpenCV's model zoo. One thread each, rounds of all
in turn; what is missing is left out, and said. mien's time is that of finding faces, at the
frame's own size and a quarter of it; ONNX Runtime's and OpenVINO's is that of the network alone,
from floats; FaceDetectorYN's includes its choice of boxes.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np

import common

WIDTH, HEIGHT = 640, 480


def peers(path: str) -> dict:
    """A function per runtime that runs the network once."""
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    floats = np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32))
    found = {}

    def onnxruntime() -> None:
        import onnx
        import onnxruntime

        model = onnx.load(path)  # made for one size
        dims = model.graph.input[0].type.tensor_type.shape.dim
        dims[2].dim_value, dims[3].dim_value = HEIGHT, WIDTH
        for output in model.graph.output:
            output.type.tensor_type.shape.ClearField("dim")
        del model.graph.value_info[:]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        found[f"ONNX Runtime {onnxruntime.__version__}"] = lambda: session.run(None, {name: floats})

    def openvino() -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([1, 3, HEIGHT, WIDTH])
        hints = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(model, "CPU", hints).create_infer_request()
        version = openvino.__version__.split("-")[0]
        found[f"OpenVINO {version}"] = lambda: request.infer({0: floats})

    def opencv() -> None:
        import cv2

        cv2.setNumThreads(1)
        detector = cv2.FaceDetectorYN.create(path, "", (WIDTH, HEIGHT), 0.7)
        found[f"OpenCV {cv2.__version__} FaceDetectorYN"] = lambda: detector.detect(image)

    for add in (onnxruntime, openvino, opencv):
        try:
            add()
        except ImportError as error:
            print(f"face_net: without {add.__name__}: {error}", file=sys.stderr)
    return found


def mien(program: str, isa: str, repeat: int) -> list[float]:
    """The least and the median of `repeat` frames."""
    command = [program, "bench", "--json", "--detector", "net", "--isa", isa]
    command += ["--repeat", str(repeat), "--no-gender", "--no-age"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"face_net: {program}: {result.stderr.strip()}")
    detect = json.loads(result.stdout)["ms"]["detect"]
    return [detect["min"], detect["median"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("onnx")
    parser.add_argument("--mien", default=str(common.ROOT / "build/release/mien"))
    parser.add_argument("--isa", nargs="+", default=["best"])
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()

    others = peers(args.onnx)
    least: dict[str, list[float]] = {}
    medians: dict[str, list[float]] = {}
    for run in others.values():
        run()  # warm-up
    for _ in range(args.rounds):
        for name, run in others.items():
            times = []
            for _ in range(10):
                start = time.perf_counter()
                run()
                times.append((time.perf_counter() - start) * 1e3)
            least.setdefault(name, []).append(min(times))
            medians.setdefault(name, []).append(statistics.median(times))
        for isa in args.isa:
            low, middle = mien(args.mien, isa, 10)
            least.setdefault(f"mien {isa}", []).append(low)
            medians.setdefault(f"mien {isa}", []).append(middle)
    best = min((min(least[name]) for name in others), default=float("nan"))
    rows = [
        [name, f"{min(v):.2f}", f"{statistics.median(medians[name]):.2f}", f"{best / min(v):.2f}"]
        for name, v in sorted(least.items(), key=lambda item: min(item[1]))
    ]
    print(f"{common.processor()}; {WIDTH}x{HEIGHT}, one thread, {args.rounds} rounds of 10\n")
    print(common.table(["runtime", "least ms", "median ms", "fastest peer / this"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
