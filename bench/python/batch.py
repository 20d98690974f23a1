#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many pictures does mien-batch do a second with 1 and 2 workers, what does it add to the engine, and what would 10^9 pictures cost?

    build/wheel-venv/bin/python bench/python/batch.py [--pictures N] [--folder FOLDER] [--workers 1 2]

Pictures are JPEG files of 640 x 480 made of the sample photos (or those of --folder). First one plain process reads a part of them in a loop: time of the processor by step.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import mien

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def make(folder: pathlib.Path, count: int) -> None:
    photo = mien.read_picture(ROOT / "tests" / "data" / "photos" / "montage.jpg")  # 960 x 480
    for number in range(count):
        path = folder / f"{number // 500:04d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        left = number * 7 % 321
        picture = photo[:, left:left + 640]
        mien.write_picture(path, np.roll(picture, number // 46, axis=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--part-size", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or pathlib.Path(temporary) / "in"
        if options.folder is None:
            make(folder, options.pictures)
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
        size = sum(p.stat().st_size for p in files)
        print(f"{len(files)} pictures, {size / len(files) / 1e3:.0f} kB each")
        engine = mien.Engine()
        least = []
        read = decode = work = other = 0.0
        sample = files[::max(1, len(files) // 300)]
        cpu = time.process_time()
        for path in sample:
            times = []
            start = time.perf_counter()
            data = path.read_bytes()
            read += time.perf_counter() - start
            for _ in range(3):
                start = time.perf_counter()
                result = engine.analyze(data)
                times.append(time.perf_counter() - start)
            least.append(min(times))
            decode += result.timing_ms["decode"]
            work += sum(result.timing_ms[k] for k in ("gray", "detect", "crop", "emotion", "gender"))
            start = time.perf_counter()
            result.to_dict()
            other += time.perf_counter() - start
        cpu = (time.process_time() - cpu) / len(sample) / 3
        n = len(sample)
        print(f"one process, no cluster: {n / sum(least):.1f} pictures/s at best; {cpu * 1e3:.2f} ms of the processor a picture: read {read / n * 1e3:.3f}, "
              f"decode {decode / n:.2f}, engine {work / n:.2f}, row {other / n * 1e3:.3f} ms")
        rates = {}
        for workers in options.workers:
            output = pathlib.Path(temporary) / f"out{workers}"
            process = subprocess.run([sys.executable, "-m", "mien.batch", str(folder), str(output), "--workers", str(workers), "--part-size", str(options.part_size),
                                      "--json", "-q"], capture_output=True, text=True, check=False)
            if process.returncode not in (0, 3):
                print(process.stderr)
                return 1
            said = json.loads(process.stdout)
            rates[workers] = said["per_second"]
            written = sum(p.stat().st_size for p in output.glob("part-*.parquet"))
            plan = (output / "_plan.parquet").stat().st_size
            print(f"{workers} workers: {said['per_second']:.1f} pictures/s, {said['seconds']:.1f} s; output {written / len(files):.0f} bytes a picture, plan {plan / len(files):.1f}")
        if len(rates) > 1:
            first, last = min(rates), max(rates)
            print(f"{last} workers do {rates[last] / rates[first]:.2f} times as much as {first}")
        hours = 1e9 * cpu / 3600
        print(f"10^9 such pictures: {hours:.0f} core-hours by time of the processor; input {size / len(files) / 1e3:.0f} TB, "
              f"output {written / len(files):.0f} GB, plan {plan / len(files):.0f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
