#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What may a board be expected to do? An estimate, never a measurement: the newest instruction
counts of results.json, divided by the board's clock and by a range of instructions that its kind of
core does in a cycle on such code. Prints the table of docs/BOARDS.md.

  python3 bench/icount/boards.py
"""
from __future__ import annotations

import json
import pathlib

# Board, -cpu and instruction set whose counts stand for it, GHz, instructions in a cycle from pessimistic to optimistic.
BOARDS = [
    ("Raspberry Pi 5 (Cortex-A76, 2.4 GHz)", "cortex-a76", "dotprod", 2.4, (1.2, 2.4)),
    ("Raspberry Pi 4 (Cortex-A72, 1.8 GHz)", "cortex-a53", "neon", 1.8, (0.8, 1.6)),
    ("Raspberry Pi 3B+ (Cortex-A53, 1.4 GHz)", "cortex-a53", "neon", 1.4, (0.5, 1.0)),
    ("Raspberry Pi Zero 2 (Cortex-A53, 1.0 GHz)", "cortex-a53", "neon", 1.0, (0.5, 1.0)),
    ("Raspberry Pi 2, 32 bits (Cortex-A7, 0.9 GHz)", "cortex-a7", "neon", 0.9, (0.4, 0.8)),
    ("RISC-V without vectors, in order (1.5 GHz)", "rv64", "scalar", 1.5, (0.5, 1.0)),
]
TRACKED = 1 / 5  # of a full search by the network (docs/DETECTOR.md, "Tracking")


def span(instructions: float, clock: float, per_cycle: tuple[float, float]) -> str:
    low, high = (instructions / (clock * 1e9 * rate) * 1e3 for rate in reversed(per_cycle))
    digits = 1 if high < 10 else 0
    return f"{low:.{digits}f} to {high:.{digits}f}"


def main() -> None:
    columns = json.loads((pathlib.Path(__file__).parent / "results.json").read_text())
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for column in columns:  # newer ones replace
        for row in column["rows"]:
            counts.setdefault((row["cpu"], row["isa"]), {}).update(row["instructions"])
    print(
        "| board | instructions per cycle, assumed | expression and gender, per face, ms | network, full search of 320x240, ms"
        " | network, tracked frame with one face, ms | Haar, full search of 640x480, ms |"
    )
    print("|---|---|--:|--:|--:|--:|")
    for board, cpu, isa, clock, rates in BOARDS:
        n = counts[cpu, isa]
        face = n["emotion"] + n["gender"]
        cells = [span(face, clock, rates), "-", "-", span(n["frame"], clock, rates)]
        if "net" in n:
            cells[1:3] = (span(k, clock, rates) for k in (n["net"], n["net"] * TRACKED + face))
        print(f"| {board} | {rates[0]} to {rates[1]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
