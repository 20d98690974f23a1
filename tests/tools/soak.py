#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do memory, descriptors and latency stay flat? A camera's frames with viewers that come and go,
and a service under requests and broken connections, for hours.

    python3 tests/tools/soak.py --mien build/check/mien --seconds 3600 --csv build/soak.csv
    python3 tests/tools/soak.py --plot build/soak.csv --out docs/plots/soak.svg   (needs matplotlib)

Prints a line for each minute and a summary, which compares the last tenth with the second: its
first tenth is the time in which caches fill. Exit code 1 if memory has grown by more than 10 % and
4 MiB, or descriptors by more than 8.
"""
from __future__ import annotations

import argparse
import csv
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

SAMPLE_SECONDS = 5
RESET = struct.pack("ii", 1, 0)


def read_head(source) -> tuple[int, int]:
    """Status and length of the body of an answer."""
    status = int(source.readline().split()[1])
    length = 0
    while (line := source.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, length


class Process:
    """One of mien's programs, its address, and what it holds."""

    def __init__(self, name: str, command: list[str], stdin: int | None = None):
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        line = self.process.stderr.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if not found:
            raise SystemExit(f"{name} gives no address: {line}")
        self.port = int(found[1])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.lock = threading.Lock()
        self.latencies: list[float] = []
        self.done = self.refused = self.resets = 0

    def held(self) -> tuple[int, int]:
        """Resident KiB and descriptors."""
        folder = Path(f"/proc/{self.process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 1024, len(os.listdir(folder / "fd"))

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def count(self, seconds: float, good: bool) -> None:
        with self.lock:
            self.latencies.append(seconds)
            if good:
                self.done += 1
            else:
                self.refused += 1


class Soak:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.end = time.monotonic() + options.seconds
        self.failures: list[str] = []

    def running(self) -> bool:
        return time.monotonic() < self.end

    def guard(self, work) -> threading.Thread:
        """A thread whose failure is reported."""

        def body() -> None:
            try:
                work()
            except Exception as error:  # the summary names it
                if self.running():
                    self.failures.append(f"{work.__name__}: {type(error).__name__} {error}")

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        return thread

    # ---- camera ----

    def feed(self, process: Process, frames: list[bytes]) -> None:
        """Frames at the camera's rate, forward and back, so that the face moves."""
        start, number = time.monotonic(), 0
        while self.running():
            at = number % (2 * len(frames) - 2)
            process.process.stdin.write(frames[min(at, 2 * len(frames) - 2 - at)])
            process.process.stdin.flush()
            number += 1
            self.frames_sent = number
            delay = start + number / self.options.rate - time.monotonic()
            if delay > 0:
                time.sleep(delay)

    def viewer(self, process: Process, seed: int) -> None:
        """Comes, stays for a while, and goes: politely, by a reset, or without having read."""
        dice = random.Random(seed)
        while self.running():
            connection = process.dial()
            start = time.monotonic()
            connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if dice.random() < 0.1:  # does not read
                time.sleep(dice.uniform(0.1, 15))
            else:
                source = connection.makefile("rb")
                status, _ = read_head(source)
                if status == 200:
                    source.readline()  # the boundary; the first image has begun
                process.count(time.monotonic() - start, status == 200)
                stay = time.monotonic() + dice.choice((0, 0.2, 2, 10))
                while status == 200 and time.monotonic() < stay and source.read1(65536):
                    pass
                source.close()
            if dice.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                process.resets += 1
            connection.close()
            time.sleep(dice.uniform(0, 0.2))

    # ---- service ----

    def client(self, process: Process, seed: int) -> None:
        """One request after the other on connections that last for 1 to 500 of them."""
        dice = random.Random(seed)
        bodies = []
        for side in (16, 24, 32):
            pixels = bytes(dice.randrange(256) for _ in range(side * side))
            image = b"P5 %d %d 255\n" % (side, side) + pixels
            bodies.append(
                b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
                b" image/x-portable-graymap\r\nContent-Length: %d\r\n\r\n" % len(image) + image
            )
        bodies.append(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pause = 1 / self.options.requests if self.options.requests else 0
        while self.running():
            with process.dial() as connection, connection.makefile("rb") as source:
                for _ in range(dice.choice((1, 10, 100, 500))):
                    start = time.monotonic()
                    connection.sendall(dice.choice(bodies))
                    status, length = read_head(source)
                    source.read(length)
                    took = time.monotonic() - start
                    process.count(took, status == 200)
                    if pause > took:
                        time.sleep(pause - took)
                    if not self.running():
                        return

    def breaker(self, process: Process, seed: int) -> None:
        """Connections that end by a reset: at once, within a header, within a body, before and
        within the answer."""
        dice = random.Random(seed)
        begin = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1100\r\n"
        begin += b"Content-Type: image/x-portable-graymap\r\n\r\nP5 32 32 255\n" + bytes(1087)
        start, broken = time.monotonic(), 0
        while self.running():
            connection = process.dial()
            kind = dice.randrange(4)
            if kind > 0:
                part = dice.randrange(1, len(begin)) if kind < 3 else len(begin)
                connection.sendall(begin[:part])
            if kind == 3 and dice.random() < 0.5:
                connection.recv(dice.randrange(1, 64))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
            broken += 1
            process.resets += 1
            delay = start + broken / self.options.resets - time.monotonic()
            if delay > 0:
                time.sleep(delay)

    # ---- the run ----

    def run(self) -> int:
        options = self.options
        frames = options.frames.read_bytes().split(b"\xff\xd9\xff\xd8")
        frames = [
            (b"" if i == 0 else b"\xff\xd8") + f + (b"" if i == len(frames) - 1 else b"\xff\xd9")
            for i, f in enumerate(frames)
        ]
        camera = Process(
            "camera",
            [options.mien, "video", "-", "--live", "--mjpeg", "127.0.0.1:0", "--json", "-q"],
            subprocess.PIPE,
        )
        service = Process(
            "service",
            [options.mien, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "-q"],
        )
        self.frames_sent = 0
        threads = [self.guard(lambda: self.feed(camera, frames))]
        threads += [self.guard(lambda i=i: self.viewer(camera, i)) for i in range(options.viewers)]
        threads += [self.guard(lambda i=i: self.client(service, i)) for i in range(options.clients)]
        threads.append(self.guard(lambda: self.breaker(service, 99)))
        rows = []
        began = time.monotonic()
        with open(options.csv, "w", newline="") as file:
            table = csv.writer(file)
            names = "seconds program rss_kib descriptors done refused resets median_ms p99_ms"
            table.writerow(names.split())
            while self.running():
                time.sleep(min(SAMPLE_SECONDS, max(self.end - time.monotonic(), 0.01)))
                for process in (camera, service):
                    if process.process.poll() is not None:
                        self.failures.append(f"{process.name} ended: {process.process.returncode}")
                        self.end = 0
                        continue
                    with process.lock:
                        times, process.latencies = sorted(process.latencies), []
                    row = [round(time.monotonic() - began, 1), process.name, *process.held()]
                    row += [process.done, process.refused, process.resets]
                    row += (
                        [
                            round(1000 * statistics.median(times), 3),
                            round(1000 * times[int(0.99 * (len(times) - 1))], 3),
                        ]
                        if times
                        else ["", ""]
                    )
                    rows.append(row)
                    table.writerow(row)
                    file.flush()
                if len(rows) // 2 % (60 // SAMPLE_SECONDS) == 0:
                    print(f"{self.frames_sent} frames; {rows[-2:]}", flush=True)
        for thread in threads:
            thread.join(5)
        for process in (camera, service):
            process.process.send_signal(signal.SIGTERM)
        return self.judge(rows, time.monotonic() - began)

    def judge(self, rows: list[list], seconds: float) -> int:
        print(f"{seconds:.0f} s, {self.frames_sent} frames sent")
        for name in ("camera", "service"):
            own = [row for row in rows if row[1] == name]
            tenth = max(len(own) // 10, 1)
            early, late = own[tenth : 2 * tenth] or own, own[-tenth:]
            what = "answers" if name == "service" else "viewers"
            print(f"{name}: {own[-1][4]} {what}, {own[-1][5]} refused, {own[-1][6]} resets")
            for column, label in ((2, "KiB"), (3, "descriptors"), (7, "ms median"), (8, "ms 99 %")):
                values = [[r[column] for r in part if r[column] != ""] for part in (early, late)]
                if not all(values):
                    continue
                first, last = (statistics.median(v) for v in values)
                print(f"  {label}: {first:.5g} early, {last:.5g} at the end")
                if column == 2 and last > max(1.1 * first, first + 4096):
                    self.failures.append(f"{name}: memory grows")
                if column == 3 and last > first + 8:
                    self.failures.append(f"{name}: descriptors grow")
        for failure in self.failures:
            print("FAILED:", failure)
        return 1 if self.failures else 0


def plot(table: Path, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "mien", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(3, 1, figsize=(6.4, 6.4), sharex=True)
    for name, color in (("camera", "#1f77b4"), ("service", "#ff7f0e")):
        own = [row for row in rows if row["program"] == name and row["median_ms"]]
        minutes = sorted({int(float(row["seconds"]) / 60) for row in own})

        def by_minute(column: str, of) -> list[float]:
            """One value for each minute."""
            parts: dict[int, list[float]] = {minute: [] for minute in minutes}
            for row in own:
                parts[int(float(row["seconds"]) / 60)].append(float(row[column]))
            return [of(parts[minute]) for minute in minutes]

        memory = [kib / 1024 for kib in by_minute("rss_kib", max)]
        axes[0].plot(minutes, memory, color=color, label=name)
        axes[1].plot(minutes, by_minute("descriptors", max), color=color, label=name)
        label = f"{name}, {'first image' if name == 'camera' else 'answer'}"
        axes[2].plot(minutes, by_minute("median_ms", statistics.median), color=color, label=label)
        axes[2].plot(minutes, by_minute("p99_ms", max), ":", color=color, label="99 %, worst")
    for ax, text in zip(axes, ("resident MiB", "descriptors", "ms")):
        ax.set_ylabel(text)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False, fontsize=8)
    for ax in axes[:2]:
        ax.set_ylim(0, None)
    axes[2].set_yscale("log")
    axes[2].set_xlabel("minutes")
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})
    print(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mien", help="the program")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"), help="the table to write")
    parser.add_argument("--frames", type=Path, help="motion JPEG of the camera")
    parser.add_argument("--rate", type=float, default=30, help="frames per second")
    parser.add_argument("--viewers", type=int, default=6)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--requests", type=float, default=0, help="per second and client; 0: any")
    parser.add_argument("--resets", type=float, default=30, help="broken connections per second")
    parser.add_argument("--plot", type=Path, metavar="CSV", help="draw a table instead")
    parser.add_argument("--out", type=Path, default=Path("soak.svg"))
    options = parser.parse_args()
    if options.plot:
        plot(options.plot, options.out)
        return 0
    if not options.mien or not options.frames:
        parser.error("--mien and --frames are needed")
    return Soak(options).run()


if __name__ == "__main__":
    sys.exit(main())
