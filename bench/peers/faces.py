#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Faces found and milliseconds per photo: mien beside other face detectors, on marked photos.

  faces.py FOLDER [--mien PROGRAM] [--yunet FILE.onnx] [--rounds N] [--only NAME...] [--json FILE]

FOLDER has images.csv (image), boxes.csv (image,x,y,width,height in pixels) and the photos, as files
or in photos.zip. The environment: pip install "mediapipe==0.10.21" dlib-bin fer; what is missing is
left out, and said. Each detector runs with the settings that its users get, on one core. A face is
found if a box overlaps the marked one by 0.35 (intersection over union); each box is given to one
face. Marks below 10 pixels are ignored, and so is a box that lies on one. The time is that of
finding alone, of decoded photos: the mean over the photos, the least and the median of the rounds.
The last column chooses the score so that at most 2 boxes match no mark.
"""
from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", GLOG_minloglevel="3", CUDA_VISIBLE_DEVICES="-1")

import common  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402

Box = "tuple[float, float, float, float]"  # x, y, width, height
SMALLEST, COUNTED, OVERLAP = 10, 24, 0.35


def overlap(a: Box, b: Box) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / (a[2] * a[3] + b[2] * b[3] - wide * high)


def size(box: Box) -> float:
    return max(box[2], box[3])


def score_photo(marked: list[Box], found: list[tuple[Box, float]]) -> list[tuple[float, str]]:
    """(score, "found", "small" or "unmatched") per box; found: a mark of COUNTED pixels and more."""
    pairs = [
        (overlap(m, box), i, j) for i, m in enumerate(marked) for j, (box, _) in enumerate(found)
    ]
    mark_of: dict[int, int] = {}
    for value, i, j in sorted(pairs, reverse=True):
        if value >= OVERLAP and j not in mark_of and i not in mark_of.values():
            mark_of[j] = i
    kinds = []
    for j, (_, score) in enumerate(found):
        if j not in mark_of:
            kinds.append((score, "unmatched"))
        elif size(marked[mark_of[j]]) >= COUNTED:
            kinds.append((score, "found"))
        elif size(marked[mark_of[j]]) >= SMALLEST:
            kinds.append((score, "small"))
    return kinds


def found_at_most(kinds: list[tuple[float, str]], unmatched: int) -> "int | None":
    """Faces found at the lowest score with at most so many unmatched boxes; None without scores."""
    if len({score for score, _ in kinds}) < 2:
        return None
    best = 0
    for least in {score for score, _ in kinds}:
        kept = [kind for score, kind in kinds if score >= least]
        if kept.count("unmatched") <= unmatched:
            best = max(best, kept.count("found"))
    return best


class Photos:
    def __init__(self, folder: Path, scratch: Path):
        with open(folder / "images.csv", encoding="utf-8", newline="") as file:
            self.marked: dict[str, list[Box]] = {row["image"]: [] for row in csv.DictReader(file)}
        with open(folder / "boxes.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                self.marked[row["image"]].append(
                    tuple(float(row[key]) for key in ("x", "y", "width", "height"))
                )
        self.folder = folder
        if (folder / "photos.zip").exists():
            with zipfile.ZipFile(folder / "photos.zip") as archive:
                archive.extractall(scratch)
            self.folder = scratch
        self.paths = {path.name: path for path in self.folder.rglob("*") if path.is_file()}
        missing = [name for name in self.marked if name not in self.paths]
        if missing:
            sys.exit(f"faces: {folder}: {missing[0]} is missing")
        self.pixels = {name: cv2.imread(str(self.paths[name])) for name in self.marked}

    @property
    def faces(self) -> int:
        return sum(size(box) >= COUNTED for boxes in self.marked.values() for box in boxes)


def in_process(find, photos: Photos, rounds: int):
    """find(BGR pixels) -> [(box, score)]. Answers by photo and mean milliseconds per round."""
    answers = {name: find(pixels) for name, pixels in photos.pixels.items()}  # warms up
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for pixels in photos.pixels.values():
            find(pixels)
        times.append((time.perf_counter() - start) * 1e3 / len(photos.pixels))
    return answers, times


def by_mien(program: str, options: list[str], photos: Photos, rounds: int):
    command = [
        program,
        "image",
        "--json",
        "-q",
        "--threads",
        "1",
        *options,
        *[str(photos.paths[name]) for name in photos.marked],
    ]
    times, answers = [], {}
    for _ in range(rounds):
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = [json.loads(line) for line in text.splitlines()]
        times.append(
            statistics.fmean(
                line["timing_ms"]["gray"] + line["timing_ms"]["detect"] for line in lines
            )
        )
        answers = {
            Path(line["source"]).name: [
                (
                    tuple(face["box"][key] for key in ("x", "y", "width", "height")),
                    face.get("score", 0.0),
                )
                for face in line["faces"]
            ]
            for line in lines
        }
    return answers, times


def haar(scale_factor: float, neighbors: int):
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    return lambda bgr: [
        (tuple(map(int, box)), 0.0)
        for box in cascade.detectMultiScale(
            cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), scale_factor, neighbors
        )
    ]


def yunet(model: str, least: float):
    detector = cv2.FaceDetectorYN.create(model, "", (32, 32), least)

    def find(bgr: np.ndarray):
        detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        faces = detector.detect(bgr)[1]
        return [] if faces is None else [(tuple(face[:4]), float(face[14])) for face in faces]

    return find


def mediapipe(model: int):
    detector = importlib.import_module("mediapipe").solutions.face_detection.FaceDetection(
        model_selection=model
    )

    def find(bgr: np.ndarray):
        high, wide = bgr.shape[:2]
        faces = detector.process(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [face.location_data.relative_bounding_box for face in faces]
        return [
            (
                (box.xmin * wide, box.ymin * high, box.width * wide, box.height * high),
                float(face.score[0]),
            )
            for box, face in zip(boxes, faces)
        ]

    return find


def dlib(enlargements: int):
    detector = importlib.import_module("dlib").get_frontal_face_detector()

    def find(bgr: np.ndarray):
        boxes, scores, _ = detector.run(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), enlargements)
        return [
            ((box.left(), box.top(), box.width(), box.height()), score)
            for box, score in zip(boxes, scores)
        ]

    return find


def fer():
    detector = importlib.import_module("fer.fer").FER()
    return lambda bgr: [(tuple(map(int, box)), 0.0) for box in detector.find_faces(bgr)]


def main() -> int:
    text = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=text[0], epilog=text[2])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--mien", default=str(common.ROOT / "build/release/mien"), metavar="PROGRAM"
    )
    parser.add_argument("--yunet", metavar="FILE.onnx", help="of OpenCV's FaceDetectorYN")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="detectors whose name contains one")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    common.pin(min(os.sched_getaffinity(0)))
    cv2.setNumThreads(1)

    with tempfile.TemporaryDirectory() as scratch:
        photos = Photos(options.folder, Path(scratch))

        def local(make, *arguments):
            return lambda: in_process(make(*arguments), photos, options.rounds)

        def mien(*arguments: str):
            return lambda: by_mien(options.mien, list(arguments), photos, options.rounds)

        cases = {
            "mien, network": mien("--detector", "net"),
            "mien, network, photos not enlarged": mien("--detector", "net", "--enlarge-to", "0"),
            "mien, network, enlarged to 1280": mien("--enlarge-to", "1280"),
            "mien, network, enlarged to 1280, 0.6": mien(
                "--enlarge-to", "1280", "--min-score", "0.6"
            ),
            "mien, Haar (1.3, 5)": mien("--detector", "haar"),
            "mien, Haar (1.1, 3)": mien(
                "--detector", "haar", "--scale-factor", "1.1", "--min-neighbors", "3"
            ),
            "OpenCV Haar (1.3, 5)": local(haar, 1.3, 5),
            "OpenCV FaceDetectorYN, 0.6": local(yunet, options.yunet, 0.6),
            "OpenCV FaceDetectorYN, 0.9": local(yunet, options.yunet, 0.9),
            "MediaPipe, short range": local(mediapipe, 0),
            "MediaPipe, full range": local(mediapipe, 1),
            "dlib, enlarged once": local(dlib, 1),
            "dlib": local(dlib, 0),
            "fer, its default": local(fer),
        }
        rows = []
        for name, run in cases.items():
            if options.only and not any(part in name for part in options.only):
                continue
            if "FaceDetectorYN" in name and not options.yunet:
                print(f"left out: {name}: needs --yunet FILE.onnx", file=sys.stderr)
                continue
            try:
                answers, times = run()
            except ImportError as error:
                print(f"left out: {name}: {error}", file=sys.stderr)
                continue
            print(f"{name}: {min(times):.1f} ms", file=sys.stderr)
            kinds = [
                kind
                for image, marked in photos.marked.items()
                for kind in score_photo(marked, answers.get(image, []))
            ]
            names = [kind for _, kind in kinds]
            rows.append(
                {
                    "detector": name,
                    "found": names.count("found"),
                    "of": photos.faces,
                    "unmatched": names.count("unmatched"),
                    "boxes": len(names),
                    "found_at_most_2_unmatched": found_at_most(kinds, 2),
                    "ms_min": min(times),
                    "ms_median": common.median(times),
                }
            )
    print(
        f"{len(photos.marked)} photos, {photos.faces} marked faces of {COUNTED} pixels and more; "
        f"OpenCV {cv2.__version__}; one core, {options.rounds} rounds\n"
    )
    head = ["detector", "found", "unmatched boxes", "found with at most 2 unmatched"]
    head += ["ms per photo, least", "median"]
    lines = []
    for row in rows:
        tight = row["found_at_most_2_unmatched"]
        lines.append(
            [
                row["detector"],
                f"{row['found'] / row['of']:.1%}",
                str(row["unmatched"]),
                "" if tight is None else f"{tight / row['of']:.1%}",
                f"{row['ms_min']:.1f}",
                f"{row['ms_median']:.1f}",
            ]
        )
    print(common.table(head, lines))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
