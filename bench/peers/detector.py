#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The detector beside cv2.CascadeClassifier: the same frames in the same process, rounds interleaved, rectangles compared.

  detector.py [PHOTO...] [--library build/release/libmien.so] [--rounds 9] [--out FILE.json]

Frames: every photo at its own size, and resized to 640x480, 1280x720 and 1920x1080; without a photo, the samples of tests/data/photos
side by side. OpenCV has one thread (setNumThreads(1)). Exit status 1 if a rectangle differs."""
from __future__ import annotations

import argparse
import json
import sys

import cv2
import numpy as np

import common

SIZES = [(640, 480), (1280, 720), (1920, 1080)]
SEARCHES = [(1.3, 5), (1.1, 3)]


def frames(photos: list) -> dict:
    found = {}
    for path in photos:
        gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        if gray is None:
            sys.exit(f"detector: {path}: cannot be read")
        found[path.split("/")[-1]] = gray
    if not found:
        parts = [
            cv2.resize(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE), (480, 540))
            for p in sorted((common.ROOT / "tests/data/photos").glob("*.jpg"))
        ]
        found["samples"] = np.tile(np.hstack(parts), (1, 2))[:, :960]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--library", default=str(common.ROOT / "build/release/libmien.so"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument(
        "--threads",
        type=int,
        default=2,
        help="measured beside one thread, on the cores that there are [%(default)s]",
    )
    parser.add_argument("--out", metavar="FILE.json")
    args = parser.parse_args()

    cv2.setNumThreads(1)
    peer = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    cascade = (common.ROOT / "weights/haarcascade_frontalface_default.mien").read_bytes()
    isas = common.available_isas(args.library, b"")
    results, rows, differ = [], [], 0
    for name, photo in frames(args.photos).items():
        for size in [photo.shape[::-1]] + SIZES:
            gray = np.ascontiguousarray(
                photo
                if size == photo.shape[::-1]
                else cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR)
            )
            for factor, neighbors in SEARCHES:
                engines = {
                    isa: common.Mien(args.library, isa, size, factor, neighbors, cascade=cascade)
                    for isa in isas
                }
                cases = {isa: (lambda e=e: e.detect(gray)) for isa, e in engines.items()}
                theirs = []
                cases["OpenCV"] = lambda: theirs.__setitem__(
                    slice(None),
                    [tuple(map(int, r)) for r in peer.detectMultiScale(gray, factor, neighbors)],
                )
                common.pin(args.core)
                times = common.rounds(cases, args.rounds)
                import os

                os.sched_setaffinity(0, range(os.cpu_count() or 1))
                pool = common.Mien(
                    args.library,
                    "best",
                    size,
                    factor,
                    neighbors,
                    threads=args.threads,
                    cascade=cascade,
                )
                times[f"{args.threads} threads"] = common.rounds(
                    {"pool": lambda: pool.detect(gray)}, args.rounds
                )["pool"]
                engines[f"{args.threads} threads"] = pool
                same = all(sorted(e.boxes()) == sorted(theirs) for e in engines.values())
                differ += not same
                opencv = min(times["OpenCV"])
                entry = {
                    "frame": name,
                    "width": size[0],
                    "height": size[1],
                    "scale_factor": factor,
                    "min_neighbors": neighbors,
                    "faces": len(theirs),
                    "rectangles_equal": same,
                    "ms": {
                        k: {"min": min(v), "median": common.median(v), "ratio": opencv / min(v)}
                        for k, v in times.items()
                    },
                }
                results.append(entry)
                rows.append(
                    [
                        f"{name} {size[0]}x{size[1]} ({factor}, {neighbors})",
                        f"{opencv:.1f} / {common.median(times['OpenCV']):.1f}",
                    ]
                    + [
                        f"{min(times[i]):.2f} / {common.median(times[i]):.2f} = {opencv / min(times[i]):.1f}x"
                        for i in isas
                    ]
                    + [
                        f"{min(times[f'{args.threads} threads']):.2f} = {min(times[isas[-1]]) / min(times[f'{args.threads} threads']):.2f}x",
                        "equal" if same else "DIFFER",
                    ]
                )
                print(rows[-1][0], *rows[-1][1:], sep="  ", file=sys.stderr, flush=True)
    print(
        f"{common.processor()}; OpenCV {cv2.__version__}, one thread; minimum / median ms of {args.rounds} rounds, ratio of minima to OpenCV; "
        f"the column of threads: ratio to one thread of {isas[-1]}\n"
    )
    print(common.table(["frame", "OpenCV", *isas, f"{args.threads} threads", "rectangles"], rows))
    if args.out:
        open(args.out, "w").write(
            json.dumps(
                {
                    "processor": common.processor(),
                    "opencv": cv2.__version__,
                    "rounds": args.rounds,
                    "frames": results,
                },
                indent=1,
            )
        )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
