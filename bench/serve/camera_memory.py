#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the memory of `mien serve` stay flat while a camera runs? Frames on its standard input as fast as it takes them, no kernel camera needed,
with a watcher of the images and one of the results; prints the resident memory on the way and fails when it grows by more than a megabyte.

  camera_memory.py [--mien build/release/mien] [--frames 10000]
"""
from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import threading
import time
from pathlib import Path

PHOTO = Path(__file__).resolve().parents[2] / "tests" / "data" / "photos" / "astronaut.jpg"
GROWTH_MIB = 1.0


def rss_mib(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mien", default="build/release/mien")
    parser.add_argument("--frames", type=int, default=10000, help="analyzed ones, at least 1000")
    args = parser.parse_args()
    if args.frames < 1000:
        parser.error("--frames must be at least 1000")
    process = subprocess.Popen(
        [args.mien, "serve", "--listen", "127.0.0.1:0", "-q", "--camera", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        found = re.search(rb":(\d+)/", process.stderr.readline())
        if not found:
            raise SystemExit(f"{args.mien} serve did not start")
        port = int(found[1])

        def feed() -> None:
            photo = PHOTO.read_bytes()
            try:
                while True:
                    process.stdin.write(photo)
            except (OSError, ValueError):
                pass

        def watch(path: str) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                while answer.fp is not None and answer.fp.read1(1 << 20):
                    pass
            except (OSError, http.client.HTTPException):
                pass

        def frames() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
            return int(re.search(r"^mien_camera_frames_total (\d+)$", text, re.M)[1])

        for job in (feed, lambda: watch("/stream.mjpg"), lambda: watch("/v1/events")):
            threading.Thread(target=job, daemon=True).start()
        print(
            f"load average {os.getloadavg()[0]:.1f}; {PHOTO.name}, one watcher of images and one of results"
        )
        begin, seen = time.monotonic(), {}
        for goal in [1000, *range(args.frames // 5, args.frames + 1, max(1, args.frames // 5))]:
            if goal in seen or goal < 1000:
                continue
            while (done := frames()) < goal:
                if process.poll() is not None:
                    raise SystemExit("the service ended")
                time.sleep(0.1)
            seen[goal] = rss_mib(process.pid)
            print(
                f"after {done:6d} frames: {seen[goal]:.1f} MiB ({done / (time.monotonic() - begin):.0f} frames per second)",
                flush=True,
            )
        growth = seen[max(seen)] - seen[1000]
        print(f"growth from frame 1,000 on: {growth:+.2f} MiB")
        return 0 if growth <= GROWTH_MIB else 1
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
