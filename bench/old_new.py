#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two builds of mien in turn: what each step of the engine costs in the one and in the other.

  old_new.py OLD NEW [--isa NAME...] [--rounds N] [--core N] [OPTION OF mien bench...]

OLD and NEW are programs. Every round runs `mien bench` of both, pinned to one core; the least of all
rounds is compared, so that a slow minute hits both alike. With --scale-factor 1.3 both search by
Haar, whatever their default is.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys


def bench(program: str, isa: str, options: list[str]) -> dict[str, float]:
    """Milliseconds by step, the least that this run measured."""
    command = [program, "bench", "--json", "--isa", isa, *options]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {step: times["min"] for step, times in said["ms"].items()}


def main() -> int:
    text = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=text[0], epilog=text[2])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--isa", nargs="+", default=["best"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--core", type=int, default=0)
    options, rest = parser.parse_known_args()
    os.sched_setaffinity(0, {options.core})
    print("| instruction set | step | old, ms | new, ms | new / old |\n|---|---|---:|---:|---:|")
    for isa in options.isa:
        least: list[dict[str, float]] = [{}, {}]
        for _ in range(options.rounds):
            for program, best in zip((options.old, options.new), least):
                for step, value in bench(program, isa, rest).items():
                    best[step] = min(value, best.get(step, value))
        for step, new in least[1].items():
            old = least[0].get(step)
            if old and new:
                print(f"| {isa} | {step} | {old:.4f} | {new:.4f} | {new / old:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
