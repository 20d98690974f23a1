#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many images does mien-batch do a second with 1 and 2 workers, what do a killed worker and a restart cost, and what would 10^9 images cost?

    build/wheel-venv/bin/python bench/python/batch.py [--pictures N] [--folder FOLDER] [--workers 1 2] [--quick]

Images are JPEG files of 640 x 480 made of the sample photos (or those of --folder). Prints every figure of docs/BATCH.md: first the constants (time of
the processor for an image in one plain process, for listing, parts that the scheduler gets through), then runs of the command, then the cost on paper.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import distributed
import numpy as np
import psutil
import pyarrow.parquet as pq

import mien
from mien.batch import __main__ as command
from mien.batch import plan, worker

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OPTIONS = {
    "emotion": True,
    "gender": True,
    "scale_factor": 1.3,
    "min_neighbors": 5,
    "min_size": 0,
    "detect_width": 0,
}


def make(folder: pathlib.Path, count: int) -> None:
    photo = mien.read_picture(ROOT / "tests" / "data" / "photos" / "montage.jpg")  # 960 x 480
    for number in range(count):
        path = folder / f"{number // 500:04d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        left = number * 7 % 321
        picture = photo[:, left : left + 640]
        mien.write_picture(path, np.roll(picture, number // 46, axis=0))


def planned(
    table: pathlib.Path, output: pathlib.Path, paths: "list[str]", part_size: int
) -> "tuple[plan.Run, float]":
    """A run of these paths, and the seconds of the processor that the listing took."""
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([["path"], *([path] for path in paths)])
    output.mkdir()
    weights = mien.Engine(**OPTIONS).fingerprint
    start = time.process_time()
    run = plan.make_plan(str(table), output, part_size, OPTIONS, "path", weights)
    return run, time.process_time() - start


def plain_process(folder: pathlib.Path, files: "list[pathlib.Path]", rounds: int = 3) -> float:
    """What a worker does, without a cluster: processor seconds per image, the least of some rounds."""
    sample = [str(path) for path in files[:: max(1, len(files) // 300)]]
    run, _ = planned(folder / "sample.csv", folder / "sample", sample, 100)
    output = str(folder / "sample")
    worker.annotate_part(output, 0)  # makes the engine
    cpu, wall = [], []
    for _ in range(rounds):
        start, start_wall = time.process_time(), time.perf_counter()
        for part in range(run.parts):
            worker.annotate_part(output, part)
        cpu.append((time.process_time() - start) / len(sample))
        wall.append((time.perf_counter() - start_wall) / len(sample))
    rows = [
        row
        for part in range(run.parts)
        for row in pq.read_table(plan.part_path(folder / "sample", part)).to_pylist()
        if not row["error"]
    ]
    decode = np.mean([row["timing_ms"]["decode"] for row in rows])
    engine = np.mean(
        [
            sum(row["timing_ms"][key] for key in ("gray", "detect", "crop", "emotion", "gender"))
            for row in rows
        ]
    )
    print(
        f"one plain process: {min(cpu) * 1e3:.2f} ms of the processor a picture ({1 / min(wall):.1f} pictures/s at best); in the last round decoding "
        f"{decode:.2f} ms, engine {engine:.2f} ms, reading the file, row and Parquet {wall[-1] * 1e3 - decode - engine:.2f} ms; "
        f"{np.mean([len(row['faces']) for row in rows]):.1f} faces per image"
    )
    return min(cpu)


def listing(folder: pathlib.Path, count: int) -> float:
    _, seconds = planned(
        folder / "many.csv",
        folder / "many",
        [f"photos/{n // 1000:06d}/{n:09d}.jpg" for n in range(count)],
        500,
    )
    print(
        f"listing a table of {count} paths: {seconds:.2f} s of the processor, {count / seconds:.0f} paths per second"
    )
    return count / seconds


def nothing(output: str, part: int) -> worker.Done:
    return worker.Done(part, 0, 0, 0, 0.0)


def empty_parts(folder: pathlib.Path, count: int) -> float:
    """Parts a second when a part is no work: the command's own loop, the scheduler and two workers on this machine."""
    real, worker.annotate_part = worker.annotate_part, nothing
    try:
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                memory_limit=0,
                silence_logs=50,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            progress = command.Progress(0, 0, True)
            list(
                command.process(
                    client, command.Workers(client, None, 2), folder, list(range(20)), progress
                )
            )
            start = time.perf_counter()
            done = len(
                list(
                    command.process(
                        client,
                        command.Workers(client, None, 2),
                        folder,
                        list(range(count)),
                        progress,
                    )
                )
            )
            rate = done / (time.perf_counter() - start)
    finally:
        worker.annotate_part = real
    print(
        f"{count} parts without work: {rate:.0f} a second through command, scheduler and two workers"
    )
    return rate


def start(
    folder: pathlib.Path, output: pathlib.Path, workers: int, part_size: int, **options: object
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mien.batch",
            str(folder),
            str(output),
            "--workers",
            str(workers),
            "--part-size",
            str(part_size),
            "--json",
            "-q",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )  # type: ignore[call-overload]


def finished(process: "subprocess.Popen[str]") -> dict:
    out, err = process.communicate()
    if process.returncode not in (0, 3):
        sys.exit(err)
    return json.loads(out)


def wait_for_half(output: pathlib.Path, parts: int) -> int:
    while len(done := list(output.glob("part-*.parquet"))) < parts // 2:
        time.sleep(0.01)
    return len(done)


def each_once(output: pathlib.Path, files: "list[pathlib.Path]") -> str:
    sources = sorted(
        source
        for part in output.glob("part-*.parquet")
        for source in pq.read_table(part, columns=["source"])["source"].to_pylist()
    )
    return (
        "every image once"
        if sources == [str(path) for path in files]
        else "PICTURES ARE MISSING OR TWICE"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--part-size", type=int, default=50)
    parser.add_argument(
        "--quick", action="store_true", help="fewer of everything, to see that it runs"
    )
    options = parser.parse_args()
    if options.quick:
        options.pictures, options.workers = 300, [2]
    with tempfile.TemporaryDirectory() as temporary:
        place = pathlib.Path(temporary)
        folder = options.folder or place / "in"
        if options.folder is None:
            make(folder, options.pictures)
        files = sorted(p for p in folder.rglob("*") if plan.is_picture(p.name))
        size = sum(p.stat().st_size for p in files) / len(files)
        print(
            f"{len(files)} images, {size / 1e3:.0f} kB each; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
        )
        cpu = plain_process(place, files)
        paths_a_second = listing(place, 100_000 if options.quick else 1_000_000)
        parts_a_second = empty_parts(place, 200 if options.quick else 2000)

        rates = {}
        for workers in options.workers:
            output = place / f"out{workers}"
            said = finished(start(folder, output, workers, options.part_size))
            rates[workers] = said["per_second"]
            written = sum(p.stat().st_size for p in output.glob("part-*.parquet")) / len(files)
            plan_bytes = (output / plan.PLAN).stat().st_size / len(files)
            print(
                f"{workers} workers: {said['per_second']:.1f} images/s, {said['seconds']:.1f} s, {said['errors']} unreadable; output {written:.0f} bytes per image, "
                f"plan {plan_bytes:.1f}; {each_once(output, files)}"
            )
        first, last = min(rates), max(rates)
        if last > first:
            print(f"{last} workers do {rates[last] / rates[first]:.2f} times as much as {first}")

        parts = -(-len(files) // options.part_size)
        output = place / "killed"
        process = start(folder, output, last, options.part_size)
        done = wait_for_half(output, parts)
        victim = next(
            c
            for c in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(c.cmdline())
        )
        victim.kill()
        said = finished(process)
        print(
            f"{last} workers, one killed after {done * options.part_size}: {said['seconds']:.1f} s instead of {len(files) / rates[last]:.1f}; {each_once(output, files)}"
        )
        output = place / "restarted"
        process = start(folder, output, last, options.part_size, start_new_session=True)
        wait_for_half(output, parts)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done = len(list(output.glob("part-*.parquet")))
        said = finished(start(folder, output, last, options.part_size))
        print(
            f"command and workers killed after {done * options.part_size}, begun again: {said['done_before']} were done, the rest in {said['seconds']:.1f} s; "
            f"{each_once(output, files)}"
        )

        print("10^9 such images on paper, on cores like this one that nothing else uses:")
        print(
            f"  {1e9 * cpu / 3600:.0f} core-hours, {1e9 * cpu / 3600 / 1000:.1f} hours on 1,000 cores"
        )
        print(
            f"  input {size / 1e3:.0f} TB, output {written:.0f} GB, plan at most {plan_bytes:.0f} GB, listing {1e9 / paths_a_second / 3600:.1f} hours on one core"
        )
        print(
            f"  storage: a core reads {1 / cpu:.0f} images per second, {size / cpu / 1e6:.1f} MB/s; 1,000 cores {size / cpu / 1e6:.1f} GB/s"
        )
        for part_size in (500, 10_000):
            print(
                f"  scheduler: with parts of {part_size}, 1,000 cores finish {1000 / cpu / part_size:.0f} parts a second ({parts_a_second:.0f} measured here without work); "
                f"a killed worker does at most {part_size * cpu:.0f} s again"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
