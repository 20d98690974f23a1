#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many images per second does a service answer, and how late? Doubles the clients until throughput no longer grows; each client keeps its
connection and posts the image to /classifyImage as soon as it has the last answer.

  load.py --port 8084 --pid PID [--photo FILE] [--seconds 5] [--total 10000]

--pid reads memory and processor time of the service; --total then sends so many requests and shows the memory on the way.
"""
from __future__ import annotations

import argparse
import http.client
import os
import threading
import time
from pathlib import Path

PHOTO = Path(__file__).resolve().parents[2] / "tests" / "data" / "photos" / "astronaut.jpg"


def rss_mib(pid: int) -> float:
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    port: int, body: bytes, clients: int, seconds: float, count: int = 0
) -> tuple[list[float], int, float]:
    """Seconds of each answer, refusals (503), and the time that all took."""
    times: list[float] = []
    refused, left, lock, end = [0], [count], threading.Lock(), time.monotonic() + seconds
    headers = {"Content-Type": "multipart/form-data; boundary=XbX"}

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                if count:
                    if left[0] <= 0:
                        break
                    left[0] -= 1
            if not count and time.monotonic() >= end:
                break
            start = time.perf_counter()
            connection.request("POST", "/classifyImage", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 503:
                with lock:
                    refused[0] += 1
                time.sleep(0.05)
                continue
            assert answer.status == 200, answer.status
            times.append(time.perf_counter() - start)
        connection.close()

    begin = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, refused[0], time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--most", type=int, default=64, help="clients at once")
    parser.add_argument("--total", type=int, default=0)
    args = parser.parse_args()
    body = (
        b'--XbX\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        + args.photo.read_bytes()
        + b"\r\n--XbX--\r\n"
    )
    run(args.port, body, 1, 1)
    print(
        f"load average before: {os.getloadavg()[0]:.2f}; {args.photo.name}, client and service share {os.cpu_count()} processors"
    )
    print("clients  requests/s  per core s  p50 ms  p99 ms  refused  RSS MiB")
    clients, best = 1, 0.0
    while clients <= args.most:
        before = cpu_seconds(args.pid)
        times, refused, took = run(args.port, body, clients, args.seconds)
        used = cpu_seconds(args.pid) - before
        if not times:
            raise SystemExit("no answer came")
        times.sort()
        rate = len(times) / took
        print(
            f"{clients:7d}  {rate:10.1f}  {len(times) / max(used, 1e-9):10.1f}  {1e3 * times[len(times) // 2]:6.1f}  {1e3 * times[min(len(times) - 1, len(times) * 99 // 100)]:6.1f}"
            f"  {refused:7d}  {rss_mib(args.pid):7.1f}",
            flush=True,
        )
        if rate < best * 1.02 and clients >= 4:
            break
        best = max(best, rate)
        clients *= 2
    done = 0
    while done < args.total:
        step = min(args.total - done, max(1, args.total // 10))
        run(args.port, body, 4, 0, step)
        done += step
        print(f"after {done:6d} requests: {rss_mib(args.pid):.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
