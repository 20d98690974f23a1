#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does a whole face or frame cost on a processor that is not at hand? Counted blocks times static analysis.

  cycles.py [--before TREE] [--work emotion gender net] [--target aarch64] [--cpu cortex-a53 cortex-a72 ...]

QEMU counts how often each basic block of bench/icount/work.cpp is entered (N and 2N times the work,
the difference is one), llvm-mca says how many cycles a block takes when it follows itself. Their
products are added by function: convolutions, requantizing, depthwise kernels, copying, all of it.
Left out: caches (all loads hit L1), wrongly predicted branches, and what blocks that follow each
other do to one another: a processor in order may wait at the seam, one out of order may overlap
them. So a loop's body is as good as the model of the processor, a block of a few instructions is
not. Builds the trees (in build/cycles-TARGET of each) and needs what bench/icount and bench/mca.py
need; --before wants a tree with the work program, so one from 2026-11-29 on.
"""
from __future__ import annotations

import argparse
import bisect
import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# target: emulator, its processor, compiler's prefix, instruction set, llvm's name of it, processors
TARGETS = {
    "aarch64": (
        "qemu-aarch64",
        "cortex-a53",
        "aarch64-linux-gnu-",
        "neon",
        ["-mtriple=aarch64"],
        ["cortex-a53", "cortex-a55", "cortex-a72"],
    ),
}
# Branches, which mean nothing without their targets, and what the models lack.
SKIPPED = re.compile(
    r"(b|bl|blr|br|ret|cb\w+|tb\w+|b\.\w+|hint|svc|mrs|msr|dmb|nop|pac\w+|aut\w+)\b|.*<"
)
COVERED = 0.995  # of all instructions; those of the rarest blocks are scaled from the others


def run(command: list[object], **more: object) -> str:
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, **more
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def built(tree: pathlib.Path, target: str) -> pathlib.Path:
    """The work program, with its symbols and at fixed addresses."""
    folder = tree / "build" / f"cycles-{target}"
    run(
        ["cmake", "--preset", target, "-B", folder, "-DMIEN_BUILD_TESTS=ON"]
        + ["-DCMAKE_EXE_LINKER_FLAGS=-static -no-pie"],
        cwd=tree,
    )
    run(["cmake", "--build", folder, "--target", "mien-icount-work", f"-j{os.cpu_count()}"])
    return folder / "tests" / "mien-icount-work"


def counted(command: list[object], plugin: pathlib.Path, isa: str) -> collections.Counter:
    """(first address, instructions) of each block: how often it was entered."""
    with tempfile.NamedTemporaryFile() as out:
        emulator, *rest = command
        run(
            [emulator, "-plugin", f"{plugin},blocks={out.name}", *rest],
            env={"MIEN_ISA": isa},
        )
        found: collections.Counter = collections.Counter()
        for line in pathlib.Path(out.name).read_text().splitlines():
            address, instructions, times = line.split()
            found[int(address, 16), int(instructions)] += int(times)
        return found


def symbols(program: pathlib.Path, prefix: str) -> tuple[list[int], list[str]]:
    found = []
    for line in run([f"{prefix}nm", "-C", program]).splitlines():
        parts = line.split(" ", 2)
        if len(parts) == 3 and parts[1] in "tTwWiV":
            found.append((int(parts[0], 16), parts[2]))
    found.sort()
    return [a for a, _ in found], [n for _, n in found]


def short(name: str) -> str:
    name = re.sub(r"mien::|\(anonymous namespace\)::|^void | \[clone.*", "", name)
    name = re.sub(r"\((\w+)\)(?=\d)", r"\1 ", name)
    name = re.sub(r"\((?!anonymous).*\)( const)?$", "", name)
    return name


def disassembled(program: pathlib.Path, prefix: str) -> dict[int, str]:
    code = {}
    for line in run([f"{prefix}objdump", "-d", "--no-show-raw-insn", program]).splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t(.*)", line)
        if match:
            code[int(match.group(1), 16)] = match.group(2).split("//")[0].strip()
    return code


def block_cycles(blocks: list[list[str]], triple: list[str], cpu: str) -> list[float]:
    """Of each block, when it follows itself."""
    rounds = 100
    text = []
    for i, block in enumerate(blocks):
        lines = [line for line in block if not SKIPPED.match(line)] or ["nop"]
        text += [f"# LLVM-MCA-BEGIN {i}", *lines, "# LLVM-MCA-END"]
    out = run(
        ["llvm-mca", *triple, f"-mcpu={cpu}", f"-iterations={rounds}"]
        + ["-instruction-info=0", "-resource-pressure=0"],
        input="\n".join(text) + "\n",
    )
    cycles = [int(c) / rounds for c in re.findall(r"Total Cycles:\s+(\d+)", out)]
    if len(cycles) != len(blocks):
        sys.exit(f"cycles: llvm-mca analyzed {len(cycles)} of {len(blocks)} blocks")
    return cycles


def analyzed(
    program: pathlib.Path, plugin: pathlib.Path, work: str, target: str, cpus: list[str]
) -> dict[str, list[float]]:
    """Of each function: instructions, and cycles on each processor."""
    emulator, model, prefix, isa, triple, _ = TARGETS[target]
    once, twice = (
        counted([emulator, "-cpu", model, program, work, n], plugin, isa) for n in (1, 2)
    )
    blocks = {key: twice[key] - once[key] for key in twice if twice[key] > once[key]}
    everything = sum(key[1] * times for key, times in blocks.items())
    chosen, have = [], 0
    for key in sorted(blocks, key=lambda k: -k[1] * blocks[k]):
        if have >= COVERED * everything:
            break
        chosen.append(key)
        have += key[1] * blocks[key]
    code = disassembled(program, prefix)
    bodies = [[code[a + 4 * i] for i in range(n)] for a, n in chosen]
    cycles = [block_cycles(bodies, triple, cpu) for cpu in cpus]
    addresses, names = symbols(program, prefix)
    found: dict[str, list[float]] = {}
    for i, key in enumerate(chosen):
        name = short(names[bisect.bisect(addresses, key[0]) - 1])
        row = found.setdefault(name, [0.0] * (1 + len(cpus)))
        row[0] += key[1] * blocks[key]
        for k in range(len(cpus)):
            row[1 + k] += cycles[k][i] * blocks[key]
    rest = everything / have - 1
    found["rarer blocks, scaled"] = [
        rest * sum(row[k] for row in found.values()) for k in range(1 + len(cpus))
    ]
    return found


def main() -> int:
    parts = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=parts[0], epilog=parts[2])
    parser.add_argument("--before", type=pathlib.Path, metavar="TREE")
    parser.add_argument("--work", nargs="+", default=["emotion", "gender", "net"])
    parser.add_argument("--target", choices=sorted(TARGETS), default="aarch64")
    parser.add_argument("--cpu", nargs="+", metavar="NAME")
    parser.add_argument("--least", type=float, default=1.0, help="percent of a row that is shown")
    options = parser.parse_args()
    cpus = options.cpu or TARGETS[options.target][5]
    trees = [("before", options.before.resolve())] if options.before else []
    trees.append(("now", ROOT))
    programs = [(title, built(tree, options.target)) for title, tree in trees]
    with tempfile.TemporaryDirectory() as folder:
        plugin = pathlib.Path(folder) / "icount.so"
        run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, ROOT / "bench/icount/icount.c"])
        print(
            "Millions; cycles by llvm-mca\n\n| work | tree | function | instructions | "
            + " | ".join(cpus)
            + " |\n|---|---|---|"
            + "---:|" * (1 + len(cpus))
        )
        for work in options.work:
            sums = []
            for title, program in programs:
                found = analyzed(program, plugin, work, options.target, cpus)
                total = [sum(row[k] for row in found.values()) for k in range(1 + len(cpus))]
                sums.append(total)
                small = [0.0] * (1 + len(cpus))
                for name, row in sorted(found.items(), key=lambda item: -item[1][1]):
                    if max(r / t for r, t in zip(row, total)) * 100 < options.least:
                        small = [a + b for a, b in zip(small, row)]
                        continue
                    print(
                        f"| {work} | {title} | {name} | "
                        + " | ".join(f"{v / 1e6:.3f}" for v in row)
                        + " |"
                    )
                print(
                    f"| {work} | {title} | others | "
                    + " | ".join(f"{v / 1e6:.3f}" for v in small)
                    + f" |\n| {work} | {title} | **all** | "
                    + " | ".join(f"**{v / 1e6:.3f}**" for v in total)
                    + " |"
                )
            if len(sums) == 2:
                print(
                    f"| {work} | now / before | | "
                    + " | ".join(f"{b / a:.2f}" for a, b in zip(*sums))
                    + " |"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
