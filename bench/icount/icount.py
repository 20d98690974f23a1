#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many instructions does each path need? Counts them exactly under QEMU's user-mode emulation; prints a markdown table.

A program (work.cpp) does one kind of work N and 2N times; the difference over N is the cost of one, without start-up. The same program
gives the same count every time and on every machine: a change is seen to the last instruction. Instructions are not time.

  make icount                                    or, with the options below:
  python3 bench/icount/icount.py [--json] [--target aarch64 ...] [--quick] [--record "what changed"]

--record keeps the counts in results.json and writes RESULTS.md from it, one column per change.

Builds what it counts (presets aarch64, armhf, riscv64; on x86-64 also check). Needs the cross compilers and the package qemu-user
(the static qemu knows no plugins): sh tools/setup.sh --tests
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# target: emulator, compiler, preset, {model: the instruction sets that are counted on it}; one model
# per set, since a count differs only by set
# (RISC-V's vectors also differ by length).
TARGETS = {
    "aarch64": (
        "qemu-aarch64",
        "aarch64-linux-gnu-g++",
        "aarch64",
        {"cortex-a53": ["scalar", "neon"], "cortex-a76": ["dotprod"], "max": ["i8mm"]},
    ),
    "armhf": ("qemu-arm", "arm-linux-gnueabihf-g++", "armhf", {"cortex-a7": ["scalar", "neon"]}),
    "riscv64": (
        "qemu-riscv64",
        "riscv64-linux-gnu-g++",
        "riscv64",
        {
            "rv64": ["scalar"],
            "rv64,v=true,vext_spec=v1.0,vlen=128": ["rvv"],
            "rv64,v=true,vext_spec=v1.0,vlen=256": ["rvv"],
        },
    ),
    "x86_64": (
        "qemu-x86_64",
        "c++",
        "check",
        {"Nehalem": ["scalar", "sse41"], "Haswell": ["avx2"]},
    ),
}
WORK = {
    "emotion": 4,
    "gender": 4,
    "detect": 1,
    "frame": 1,
    "net": 1,
}  # how often each is done; every repetition costs the same
TITLES = {
    "emotion": "Emotion, per face: crop of 120x120, resize, network",
    "gender": "Gender, per face: the same with its network",
    "detect": "Detector, a gray 640x480 frame at (1.3, 5)",
    "frame": "Gray and detector, the same frame as RGB",
    "net": "Detector network, an RGB frame of 320x240",
}
KEPT = ROOT / "bench" / "icount" / "results.json"
PAGE = """# Instructions per face and per frame

Millions of instructions, counted exactly under QEMU's user-mode emulation (`make icount`).
`python3 bench/icount/icount.py --record "what changed"` adds a column and writes this page from
`results.json`.

**Instructions are not time.** An instruction may take a quarter of a cycle or wait two hundred for
memory, and a vector instruction does the work of many. The counts show without noise what a change
does to a path for which no board is available. They also depend on the compiler, so each column
names it. Faces and frames are generated (`bench/common/scene.h`), the same on every machine.
"""


def run(*command: object, env: dict[str, str] | None = None) -> str:
    # A fixed environment: its size would move the stack and with it a few instructions of start-up.
    result = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, cwd=ROOT, env=env
    )
    if result.returncode != 0:
        sys.exit(
            f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}"
        )
    return result.stdout


class Counter:
    """Runs mien-icount-work on one processor model and instruction set."""

    def __init__(
        self, plugin: pathlib.Path, emulator: str, program: pathlib.Path, model: str, isa: str
    ):
        self.plugin, self.command, self.program = plugin, [emulator, "-cpu", model], program
        self.env = {"MIEN_ISA": isa}

    def available(self) -> bool:
        return (
            subprocess.run(
                [*self.command, self.program, "isa"], capture_output=True, env=self.env
            ).returncode
            == 0
        )

    def instructions(self, kind: str, times: int) -> int:
        with tempfile.NamedTemporaryFile() as out:
            run(
                *self.command,
                "-plugin",
                f"{self.plugin},out={out.name}",
                self.program,
                kind,
                times,
                env=self.env,
            )
            return int(pathlib.Path(out.name).read_text())

    def cost(self, kind: str, times: int) -> int:
        once, twice = self.instructions(kind, times), self.instructions(kind, 2 * times)
        return round((twice - once) / times)


def build(preset: str) -> pathlib.Path:
    run("cmake", "--preset", preset, "-DMIEN_BUILD_TESTS=ON", env=dict(os.environ))
    run(
        "cmake",
        "--build",
        "--preset",
        preset,
        "--target",
        "mien-icount-work",
        f"-j{os.cpu_count()}",
        env=dict(os.environ),
    )
    return ROOT / "build" / preset / "tests" / "mien-icount-work"


def millions(count: int) -> str:
    return f"{count / 1e6:.3f}" if count < 10_000_000 else f"{count / 1e6:.2f}"


def record(change: str, commit: str, compiler: str, rows: list[dict]) -> None:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else []
    kept.append(
        {
            "change": change,
            "commit": commit,
            "date": datetime.date.today().isoformat(),
            "g++": compiler,
            "rows": rows,
        }
    )
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    write_page(kept)


def path_of(target: str, isa: str, cpu: str) -> tuple[str, str, str]:
    """What the counts of a row are of, in every entry; only the length of vectors tells models apart."""
    return target, isa, cpu if isa == "rvv" else ""


def write_page(kept: list[dict]) -> None:
    """RESULTS.md from the entries of results.json; the columns are numbered, a list explains them."""
    page = PAGE + "\n## Columns\n\n"
    for number, entry in enumerate(kept, 1):
        page += (
            f"{number}. {entry['change']}: {entry['date']}, commit {entry['commit']}, "
            f"g++ {entry['g++']}\n"
        )
    paths = [
        path_of(target, isa, cpu)
        for target, (_, _, _, models) in TARGETS.items()
        for cpu, isas in models.items()
        for isa in isas
    ]
    for kind, title in TITLES.items():
        columns = [
            {path_of(row["target"], row["isa"], row["cpu"]): row for row in entry["rows"]}
            for entry in kept
        ]
        page += f"\n## {title}\n\n| target | -cpu | instruction set | "
        page += " | ".join(str(number) for number in range(1, len(kept) + 1)) + " |\n"
        page += "|---|---|---|" + "--:|" * len(kept) + "\n"
        for path in paths:
            found = [column.get(path) for column in columns]
            if any(row and kind in row["instructions"] for row in found):
                cpu = next(row["cpu"] for row in reversed(found) if row)
                cells = [
                    (
                        millions(row["instructions"][kind])
                        if row and kind in row["instructions"]
                        else "-"
                    )
                    for row in found
                ]
                page += f"| {path[0]} | {cpu} | {path[1]} | {' | '.join(cells)} |\n"
    (KEPT.parent / "RESULTS.md").write_text(page)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="counts as JSON instead of the table")
    parser.add_argument(
        "--target", action="append", choices=TARGETS, help="only this one; may be repeated"
    )
    parser.add_argument(
        "--quick", action="store_true", help="faces only, each once: a test of the counting itself"
    )
    parser.add_argument(
        "--record",
        metavar="CHANGE",
        help="keep the counts under this name in results.json and RESULTS.md",
    )
    options = parser.parse_args()
    if options.record and options.quick:
        parser.error("--record needs all the work, not --quick")

    plugin = ROOT / "build" / "icount.so"
    plugin.parent.mkdir(exist_ok=True)
    run(
        "cc",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        plugin,
        ROOT / "bench/icount/icount.c",
        env=dict(os.environ),
    )

    rows = []
    for target in options.target or TARGETS:
        emulator, compiler, preset, models = TARGETS[target]
        if (
            not shutil.which(emulator)
            or not shutil.which(compiler)
            or (target == "x86_64" and platform.machine() != "x86_64")
        ):
            print(f"{target}: skipped, needs {emulator} and {compiler}", file=sys.stderr)
            continue
        program = build(preset)
        for model, isas in models.items():
            for isa in isas:
                counter = Counter(plugin, emulator, program, model, isa)
                if not counter.available():
                    print(f"{target} {isa}: skipped, not built", file=sys.stderr)
                    continue
                work = {kind: 1 for kind in ("emotion", "gender")} if options.quick else WORK
                rows.append(
                    {
                        "target": target,
                        "cpu": model,
                        "isa": isa,
                        "instructions": {kind: counter.cost(kind, n) for kind, n in work.items()},
                    }
                )
    if not rows:
        return 77
    commit = (
        run("git", "describe", "--always", "--dirty", env=dict(os.environ)).strip()
        if (ROOT / ".git").exists()
        else "unknown"
    )
    compiler = run("c++", "-dumpfullversion", env=dict(os.environ)).strip()
    if options.record:
        record(options.record, commit, compiler, rows)
    if options.json:
        print(json.dumps({"commit": commit, "g++": compiler, "rows": rows}, indent=1))
        return 0
    print(f"Millions of instructions at {commit}, g++ {compiler}\n")
    print(
        "| target | -cpu | instruction set | emotion, per face | gender, per face "
        "| detector, a gray 640x480 frame | gray and detector, an RGB frame "
        "| detector network, 320x240 |"
    )
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for row in rows:
        cells = [
            millions(row["instructions"][kind]) if kind in row["instructions"] else "-"
            for kind in WORK
        ]
        print(f"| {row['target']} | {row['cpu']} | {row['isa']} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
