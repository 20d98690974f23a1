#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What may a board be expected to do? An estimate, never a measurement: instructions of the newest column of results.json, divided by the board's
clock and by a range of instructions that its kind of core does in a cycle on such code. Prints the table of docs/BOARDS.md.

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
    ("RISC-V, in order (1.5 GHz)", "rv64", "scalar", 1.5, (0.5, 1.0)),
]
TRACKED = 1 / 7  # of a full search's windows (docs/CAMERA.md)


def span(instructions: float, clock: float, per_cycle: tuple[float, float]) -> str:
    low, high = (instructions / (clock * 1e9 * rate) * 1e3 for rate in reversed(per_cycle))
    digits = 1 if high < 10 else 0
    return f"{low:.{digits}f} to {high:.{digits}f}"


def main() -> None:
    rows = json.loads((pathlib.Path(__file__).parent / "results.json").read_text())[-1]["rows"]
    counts = {(row["cpu"], row["isa"]): row["instructions"] for row in rows}
    print(
        "| board | instructions in a cycle, assumed | both networks, a face, ms | full search of 640 x 480, ms | tracked frame with one face, ms |"
    )
    print("|---|---|--:|--:|--:|")
    for board, cpu, isa, clock, rates in BOARDS:
        n = counts[cpu, isa]
        face, frame = n["emotion"] + n["gender"], n["frame"]
        print(
            f"| {board} | {rates[0]} to {rates[1]} | {span(face, clock, rates)} | {span(frame, clock, rates)} | {span(frame * TRACKED + face, clock, rates)} |"
        )


if __name__ == "__main__":
    main()
