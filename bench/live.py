#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does tracking save, and what does it lose? Films of moving sample photos, each frame searched in full and tracked.

    python3 bench/live.py [--mien build/check/mien] [--frames 150] [--full-every N] [--budget-ms MS]

Prints for each film: milliseconds per frame both ways, the share of windows looked at, how many of the faces of the full search the tracker has in the same frame, and the
longest time that it lacks one. Times are of one thread and of whatever else the machine does; the median of three runs is shown.
"""
from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "vm"))
import make_frames  # noqa: E402

WIDTH, HEIGHT, RATE = 640, 480, 30


def film(rows: list[bytes], frames: int, speed: float) -> bytes:
    """A window of 640 x 480 that wanders over the photo and its mirror image beside it."""
    tall = rows + [rows[-1]] * max(0, HEIGHT - len(rows))
    wide = [row + row[::-1] + row for row in tall]
    out = []
    for n in range(frames):
        x = (
            int((len(wide[0]) - WIDTH) * (0.5 + 0.5 * math.sin(speed * n / RATE)))
            if len(wide[0]) > WIDTH
            else 0
        )
        y = (
            int((len(wide) - HEIGHT) * (0.5 + 0.5 * math.cos(0.7 * speed * n / RATE)))
            if len(wide) > HEIGHT
            else 0
        )
        out += [row[x : x + WIDTH] for row in wide[y : y + HEIGHT]]
    return b"".join(out)


def overlap(a: dict, b: dict) -> float:
    w = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    h = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    both = max(w, 0) * max(h, 0)
    return both / (a["width"] * a["height"] + b["width"] * b["height"] - both)


def run(mien: str, data: bytes, *options: str) -> tuple[list[list[dict]], dict]:
    done = subprocess.run(
        [
            mien,
            "video",
            "-",
            "--raw",
            "grey",
            "--size",
            f"{WIDTH}x{HEIGHT}",
            "--json",
            "-q",
            *options,
        ],
        input=data,
        capture_output=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [[f["box"] for f in line["faces"] if f["missed"] == 0] for line in lines[:-1]], lines[
        -1
    ]["summary"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mien", default=str(ROOT / "build/check/mien"))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--detector", choices=("net", "haar"), default="net")
    parser.add_argument("--full-every", default="0")
    parser.add_argument("--budget-ms", default="0")
    options = parser.parse_args()
    print(
        "film                    full ms   tracked ms   search: full  tracked   windows   faces kept    longest gap"
    )
    for photo, speed in (("astronaut.jpg", 0.6), ("montage.jpg", 0.3), ("grace_hopper.jpg", 1.0)):
        with tempfile.TemporaryDirectory() as folder:
            make_frames.PHOTO = ROOT / "tests" / "data" / "photos" / photo
            data = film(make_frames.read_gray(options.mien, folder)[2], options.frames, speed)
        detector = ("--detector", options.detector)
        full = (*detector, "--full-every", "1")
        tracked = (
            *detector,
            "--full-every",
            options.full_every,
            "--budget-ms",
            options.budget_ms,
        )
        wanted, _ = run(options.mien, data, *full)
        have, summary = run(options.mien, data, *tracked)
        times = {
            mode: [run(options.mien, data, *mode)[1]["ms"] for _ in range(3)]
            for mode in (full, tracked)
        }
        work = [statistics.median(t["work"]["mean"] for t in each) for each in times.values()]
        search = [statistics.median(t["search"]["mean"] for t in each) for each in times.values()]
        total = kept = longest = 0
        gaps: list[tuple[dict, int]] = []
        for expected, found in zip(wanted, have):
            now = []
            for box in expected:
                total += 1
                if any(overlap(box, other) > 0.3 for other in found):
                    kept += 1
                    continue
                gap = 1 + max(
                    (length for other, length in gaps if overlap(box, other) > 0.2), default=0
                )
                now.append((box, gap))
                longest = max(longest, gap)
            gaps = now
        print(
            f"{photo:20} {work[0]:10.2f} {work[1]:12.2f} {search[0]:14.2f} {search[1]:8.2f} {100 * summary['searched_share']:7.1f} % {kept:6} of {total:5} {longest / RATE:10.2f} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
