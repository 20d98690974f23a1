#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does a frame of a motion JPEG camera of 1280x720 cost? Several programs in turn.

  jpeg_film.py PROGRAM... [--faces 1|2] [--frames N] [--rounds N] [--chroma 420|422] [-- OPTION...]

The film pans over one or two sample photos (Pillow makes it); OPTIONs go to `mien video`. Of each
frame the least time of all rounds counts. Prints for each program the milliseconds of a tracked
frame (the median of those without a full search): decoding, gray, detector, networks and their sum;
the mean of all frames; and the seconds of the whole film with --record, the least of the rounds.
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
import time

from PIL import Image

PHOTOS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "photos"
WIDTH, HEIGHT = 1280, 720
STEPS = ("decode", "gray", "detect", "classify")


def film(path: pathlib.Path, frames: int, faces: int, chroma: str) -> None:
    canvas = Image.new("RGB", (1600, 900), (90, 100, 110))
    canvas.paste(Image.open(PHOTOS / "astronaut.jpg").convert("RGB").resize((900, 900)), (0, 0))
    second = Image.open(PHOTOS / "grace_hopper.jpg").convert("RGB")
    second = second.resize((700, second.height * 700 // second.width))
    if faces > 1:
        canvas.paste(second.crop((0, 0, 700, 900)), (900, 0))
    with open(path, "wb") as out:
        for n in range(frames):
            x = int(160 + 150 * math.sin(n / 40))
            y = int(90 + 80 * math.sin(n / 23))
            frame = canvas.crop((x, y, x + WIDTH, y + HEIGHT))
            frame.save(out, "JPEG", quality=85, subsampling={"422": 1, "420": 2}[chroma])


def run(program: str, path: pathlib.Path, options: list[str]) -> list[dict]:
    command = [program, "video", str(path), "--json", "-q", *options]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return [frame for frame in map(json.loads, said) if "frame" in frame]


def main() -> int:
    parts = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=parts[0], epilog=parts[2])
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--faces", type=int, choices=(1, 2), default=1)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chroma", choices=("420", "422"), default="422")
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, rest = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]
    columns = " | ".join(STEPS)
    print(f"| program | {columns} | tracked frame | mean of all | film with --record, s |")
    print("|---|" + "---:|" * (len(STEPS) + 3))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "film.mjpg"
        film(path, options.frames, options.faces, options.chroma)
        rounds: dict[str, list[list[dict]]] = {p: [] for p in options.programs}
        seconds = dict.fromkeys(options.programs, math.inf)
        for _ in range(options.rounds):
            for program in options.programs:
                rounds[program].append(run(program, path, rest))
                recorded = pathlib.Path(folder) / "recorded.avi"
                recorded.unlink(missing_ok=True)
                begin = time.monotonic()
                run(program, path, [*rest, "--record", str(recorded)])
                seconds[program] = min(seconds[program], time.monotonic() - begin)
        for program, runs in rounds.items():
            least = [
                {step: min(run[n]["timing_ms"][step] for run in runs) for step in STEPS}
                for n in range(options.frames)
            ]
            tracked = [t for t, frame in zip(least, runs[0]) if not frame["full_search"]]
            cells = [statistics.median(t[step] for t in tracked) for step in STEPS]
            cells.append(statistics.median(sum(t.values()) for t in tracked))
            cells.append(statistics.mean(sum(t.values()) for t in least))
            text = " | ".join(f"{value:.2f}" for value in (*cells, seconds[program]))
            print(f"| {program} | {text} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
