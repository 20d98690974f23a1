#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What do a kernel's inner loops cost on a processor that is not at hand? Static analysis by llvm-mca.

  mca.py [--before TREE] [--target aarch64] [--isa neon] [--cpu cortex-a53 cortex-a72 ...] [--detect]

Compiles src/kernels/net of this tree (and of the tree TREE, another commit's checkout), takes from
each function that multiplies bytes its loop with the most multiplications, and prints for each
processor the cycles of an iteration, the multiply-adds that it makes, their ratio and the bottleneck
that llvm-mca names. A loop over steps is the largest group of them; what is around the loop is not
counted (bench/cycles.py counts all), caches are perfect. Needs clang's llvm-mca and, for other
targets, the cross compilers. With --detect: src/kernels/detect, and each loop over the features of a
stage, of a unit of windows (16 with AVX2), but those of trees.
"""
from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "-O3", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-S"]
# target: compiler, {instruction set: flags}, llvm's name of it, processors
TARGETS = {
    "aarch64": (
        "aarch64-linux-gnu-g++",
        {"neon": [], "dotprod": ["-march=armv8.2-a+dotprod"]},
        ["-mtriple=aarch64"],
        ["cortex-a53", "cortex-a55", "cortex-a72", "cortex-a76", "neoverse-n1"],
    ),
    "x86_64": (
        "g++",
        {"sse41": ["-msse4.1"], "avx2": ["-mavx2"]},
        ["-mtriple=x86_64"],
        ["haswell", "skylake", "icelake-server", "znver2", "znver3"],
    ),
    "riscv64": (
        "clang++-19",
        {"rvv": ["--target=riscv64-linux-gnu", "-march=rv64gcv"]},
        ["-mtriple=riscv64", "-mattr=+v"],
        ["sifive-x280"],
    ),
}
# Multiply-adds of an instruction; those of the second kind work on words.
PRODUCTS = {
    "smull": 8,
    "smull2": 8,
    "smlal": 8,
    "smlal2": 8,
    "sdot": 16,
    "pmaddubsw": 16,
    "vpmaddubsw": 32,
    # of a register of 512 bits, sifive-x280's
    "vwmul.vx": 64,
    "vwmul.vv": 64,
    "vwmacc.vx": 64,
    "vwmacc.vv": 64,
}


def functions(assembly: str) -> dict[str, list[str]]:
    """The lines of each function that makes convolutions, by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in assembly.splitlines():
        label = re.match(r"(_Z[\w.]+):", line)
        if label:
            name = label.group(1)
        elif name:
            found.setdefault(name, []).append(line)
            if ".size" in line:
                name = ""
    return found


def mnemonic(line: str) -> str:
    words = re.sub(r"^\s*\d+:", "", line).split()
    return words[0] if words and not words[0].startswith((".", "//", "#", "@")) else ""


def products(lines: list[str]) -> int:
    return sum(PRODUCTS.get(mnemonic(line), 0) for line in lines)


def loops(lines: list[str]) -> list[list[str]]:
    """Innermost loops: from a label to the branch back to it, without a label's loop inside."""
    labels = {m.group(1): i for i, line in enumerate(lines) if (m := re.match(r"(\.L\w+):", line))}
    local: dict[str, int] = {}  # those of inline assembly, 2: and b.ge 2b
    spans = []
    for i, line in enumerate(lines):
        if m := re.match(r"\s*(\d+):", line):
            local[m.group(1)] = i
        if m := re.search(r"\bb(?:\.\w+)? (\d+)b\s*$", line):
            spans.append((local[m.group(1)], i))
        target = re.search(r"\b(?:b\w*|cb\w+|tb\w+|j\w+)\b.*?(\.L\w+)\s*$", line)
        if target and labels.get(target.group(1), len(lines)) < i:
            spans.append((labels[target.group(1)], i))
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [taken(lines[first : last + 1]) for first, last in inner]


def taken(loop: list[str]) -> list[str]:
    """Without what inline assembly jumps over where a flag is set: a group of four steps fits."""
    kept, until = [], ""
    for line in loop:
        if until and re.match(rf"\s*{until}:", line):
            until = ""
        if m := re.search(r"\bcbnz .*\b(\d+)f\s*$", line):
            until = m.group(1)
        if not until:
            kept.append(line)
    return kept


def analyze(lines: list[str], triple: list[str], cpu: str, registers: int) -> tuple[float, str]:
    """Cycles of an iteration, and what holds it up; RISC-V's instructions take so many registers."""
    rounds = 100
    text = "\n".join(
        re.sub(r"^\s*\d+:", "", l)
        for l in lines
        if mnemonic(l) and not re.match(r"\s*(b|cb|tb|j)[\w.]*\s.*(\.L|\d[bf]\s*$)", l)
    )
    tool = "llvm-mca"
    if triple[0].endswith("riscv64"):  # what a loop's first instructions depend on lies before it
        tool, text = "llvm-mca-19", f"vsetivli zero, 16, e8, m{registers}, ta, ma\n{text}"
    done = subprocess.run(
        [
            tool,
            *triple,
            f"-mcpu={cpu}",
            f"-iterations={rounds}",
            "--bottleneck-analysis",
            "--instruction-info=0",
        ],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if not cycles:
        raise SystemExit(f"mca: llvm-mca: {done.stderr.strip().splitlines()[0]}")
    pressure = re.findall(r"^\s+- (\w+)\s+\[ ([\d.]+)% \]", done.stdout, re.M)
    kinds = [f"{k} {p} %" for k, p in pressure if float(p) >= 20]
    return int(cycles.group(1)) / rounds, ", ".join(kinds[:2]) or "none named"


def compiled(
    tree: pathlib.Path, compiler: str, isa: str, flags: list[str], family: str = "net"
) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "kernel.s"
        subprocess.run(
            [
                compiler,
                *FLAGS,
                *flags,
                "-I",
                tree / "src",
                "-I",
                tree / "include",
                tree / "src/kernels" / family / f"{isa}.cpp",
                "-o",
                out,
            ],
            check=True,
        )
        return functions(out.read_text())


def demangled(name: str) -> str:
    text = subprocess.run(["c++filt", name], stdout=subprocess.PIPE, text=True, check=True).stdout
    short = text.strip().replace("mien::(anonymous namespace)::", "")
    short = re.sub(r"\((\w+)\)(?=\d)", r"\1 ", short)
    return re.sub(r"^void |\([^\w]*\w.*", "", short)


def print_stages(
    titled: list[tuple[str, dict[str, list[str]]]], triple: list[str], cpus: list[str]
) -> None:
    """The loops that compare floats, one for each kind of feature."""
    print("| tree | loop of | instructions | " + " | ".join(f"{c}: cycles" for c in cpus) + " |")
    print("|---|---|---:|" + "---:|" * len(cpus))
    for title, found in titled:
        for name, lines in found.items():
            for loop in loops(lines):
                made = sum(bool(re.search(r"mulps$|fmul$", mnemonic(line))) for line in loop)
                if made < 2 or "tree_sums" in name:
                    continue
                cells = " | ".join(f"{analyze(loop, triple, cpu, 1)[0]:.1f}" for cpu in cpus)
                count = sum(1 for line in loop if mnemonic(line))
                print(f"| {title} | {demangled(name)} | {count} | {cells} |")


def main() -> int:
    parts = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=parts[0], epilog=parts[2])
    parser.add_argument("--before", type=pathlib.Path, metavar="TREE")
    parser.add_argument("--target", choices=sorted(TARGETS), default="aarch64")
    parser.add_argument("--isa", nargs="+", metavar="NAME")
    parser.add_argument("--cpu", nargs="+", metavar="NAME")
    parser.add_argument(
        "--flag", nargs="+", default=[], metavar="FLAG", help="for the compiler, without the dashes"
    )
    parser.add_argument("--detect", action="store_true", help="the Haar detector's kernels")
    options = parser.parse_args()
    compiler, isas, triple, cpus = TARGETS[options.target]
    cpus = options.cpu or cpus
    more = ["-" + f for f in options.flag]
    if options.detect:
        trees = [("before", options.before), ("now", ROOT)]
        print_stages(
            [
                (f"{title}, {isa}", compiled(tree, compiler, isa, isas[isa] + more, "detect"))
                for isa in options.isa or list(isas)[:1]
                for title, tree in trees
                if tree is not None
            ],
            triple,
            cpus,
        )
        return 0
    print(
        "| tree | loop of | instructions | multiply-adds | "
        + " | ".join(f"{cpu}: cycles, per cycle, held up by" for cpu in cpus)
        + " |"
    )
    print("|---|---|---:|---:|" + "---|" * len(cpus))
    for isa in options.isa or list(isas)[:1]:
        for title, tree in (("before", options.before), ("now", ROOT)):
            if tree is None:
                continue
            for name, lines in compiled(tree, compiler, isa, isas[isa] + more).items():
                best = max(loops(lines), key=products, default=[])
                if products(best) < 64:
                    continue
                registers = 2 if "TwoRegisters" in name else 1
                made = products(best) * registers
                cells = []
                for cpu in cpus:
                    cycles, why = analyze(best, triple, cpu, registers)
                    cells.append(f"{cycles:.1f}, {made / cycles:.1f}, {why}")
                print(
                    f"| {title}, {isa} | {demangled(name)} | {sum(1 for l in best if mnemonic(l))} "
                    f"| {made} | " + " | ".join(cells) + " |"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
