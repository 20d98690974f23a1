#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What do explanations cost, and do the methods agree? Prints, for the sample photos (or others):

- milliseconds for each map by method, the least of some runs
- how alike the maps of each method are to those of occlusion, which needs no gradients (mean rank correlation on an 8 x 8 grid)
- how alike they are to those of the same network with shuffled weights (they should not be)
- how alike the maps of the integer weights are to those of the float ones, at the network's own resolution, for files with a float twin
  (tools/convert_keras.py --float-twin)
- frames per second of a film of one face with the live map and without, drawn and recorded as motion JPEG, and the least time for reading the face

bench/explain.py [--mien PROGRAM] [--runs 5] [--emotion FILE] [--gender FILE] [--no-film] [PHOTO...]
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
GRID = 8


def gridded(entry: dict) -> np.ndarray:
    """What speaks for the class in each cell; of a plain gradient, which has no preferred sign, the size."""
    values = np.array(entry["values"]).reshape(entry["height"], entry["width"])
    values = (
        np.abs(values)
        if entry["method"] == "gradient"
        else np.maximum(values, 0) if entry["width"] > GRID else values
    )
    if entry["width"] >= GRID:
        ys, xs = (np.arange(n) * GRID // n for n in values.shape)
        sums = np.zeros((GRID, GRID))
        counts = np.zeros((GRID, GRID))
        np.add.at(sums, np.ix_(ys, xs), values)
        np.add.at(counts, np.ix_(ys, xs), 1)
        return sums / counts
    at = [np.clip((np.arange(GRID) + 0.5) * n / GRID - 0.5, 0, n - 1) for n in values.shape]
    columns = np.stack([np.interp(at[1], np.arange(values.shape[1]), row) for row in values])
    return np.stack(
        [np.interp(at[0], np.arange(values.shape[0]), column) for column in columns.T]
    ).T


def ranks(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    result = np.empty(len(flat))
    result[order] = np.arange(len(flat))
    for v in np.unique(flat):  # ties at their middle
        result[flat == v] = result[flat == v].mean()
    return result


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    x, y = ranks(a), ranks(b)
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0


def explained(program: str, photos: list[str], *more: str) -> list[dict]:
    out = subprocess.run(
        [program, "explain", *photos, "--method", "all", "--json", "-q", *more],
        capture_output=True,
        check=True,
    ).stdout
    return [
        face[head] | {"head": head}
        for line in out.splitlines()
        for face in json.loads(line)["faces"]
        for head in ("emotion", "gender")
    ]


def without_times(faces: list[dict]) -> list[dict]:
    return [{"maps": [(m["method"], m["values"]) for m in face["maps"]]} for face in faces]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "photos",
        nargs="*",
        default=[str(p) for p in sorted((ROOT / "tests" / "data" / "photos").iterdir())],
    )
    parser.add_argument("--mien", default=str(ROOT / "build" / "release" / "mien"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--emotion", help="another network")
    parser.add_argument("--gender", help="another network")
    parser.add_argument("--no-film", action="store_true", help="the maps only")
    arguments = parser.parse_args()
    networks = [
        word
        for name in ("emotion", "gender")
        if getattr(arguments, name)
        for word in ("--" + name, getattr(arguments, name))
    ]
    integers = explained(arguments.mien, arguments.photos, "--integers", *networks)
    runs = [
        explained(arguments.mien, arguments.photos, "--threads", "1", *networks)
        for _ in range(arguments.runs)
    ]
    for head in ("emotion", "gender"):
        rows = [[face for face in run if face["head"] == head] for run in runs]
        print(f"{head}: {len(rows[0])} faces")
        forward = min(face["forward_ms"] for run in rows for face in run)
        print(
            f"  {'method':<16}{'ms':>8}{'like occlusion':>16}{'like shuffled':>15}{'like float':>12}   (forward pass {forward:.2f} ms, once for all)"
        )
        shuffled: dict[str, list[float]] = {}
        for seed in range(1, 6):
            for face in explained(
                arguments.mien, arguments.photos, "--sanity", "--seed", str(seed), *networks
            ):
                for entry in face["maps"]:
                    if face["head"] == head and "shuffled_rank_correlation" in entry:
                        shuffled.setdefault(entry["method"], []).append(
                            entry["shuffled_rank_correlation"]
                        )
        plain = [face for face in integers if face["head"] == head]
        twin = any(
            a["maps"] != b["maps"] for a, b in zip(without_times(rows[0]), without_times(plain))
        )
        for i, entry in enumerate(rows[0][0]["maps"]):
            method = entry["method"]
            ms = min(face["maps"][i]["ms"] for run in rows for face in run)
            occlusion = [
                next(e for e in face["maps"] if e["method"] == "occlusion") for face in rows[0]
            ]
            alike = np.mean(
                [
                    correlation(gridded(face["maps"][i]), gridded(other))
                    for face, other in zip(rows[0], occlusion)
                ]
            )
            random = f"{np.mean(shuffled[method]):15.2f}" if method in shuffled else f"{'-':>15}"
            same = [
                correlation(np.array(a["maps"][i]["values"]), np.array(b["maps"][i]["values"]))
                for a, b in zip(rows[0], plain)
            ]
            floats = f"{np.mean(same):12.3f}" if twin and method != "occlusion" else f"{'-':>12}"
            print(f"  {method:<16}{ms:8.2f}{alike:16.2f}{random}{floats}")
    if arguments.no_film:
        return 0
    photo = (ROOT / "tests" / "data" / "photos" / "astronaut.jpg").read_bytes()
    film, count = photo * 200, 200
    with tempfile.TemporaryDirectory() as folder:
        for style in ("emotion", "explain"):
            best = least = 1e9
            for run in range(arguments.runs):
                begin = time.perf_counter()
                out = subprocess.run(
                    [
                        arguments.mien,
                        "video",
                        "-",
                        "--style",
                        style,
                        "--record",
                        f"{folder}/{style}{run}.avi",
                        "--json",
                        "-q",
                    ],
                    input=film,
                    stdout=subprocess.PIPE,
                    check=True,
                ).stdout
                best = min(best, time.perf_counter() - begin)
                least = min(
                    [least]
                    + [
                        json.loads(line)["timing_ms"]["classify"]
                        for line in out.splitlines()
                        if b'"faces":[' in line
                    ]
                )
            print(
                f"film of {count} frames of 512 x 512, drawn and recorded, --style {style}: {count / best:.0f} frames per second, both networks {1000 * least:.0f} us per face"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
