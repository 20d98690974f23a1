#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does every source file include only what its layer may? Run as a test; prints each violation,
exit 1 if there is one.

The table below is the architecture (docs/ARCHITECTURE.md): a folder of src/, or a room of host/, and
the folders that it may include. A folder in the list stands for all its rooms.
"""
from __future__ import annotations

import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"
MAY_INCLUDE = {
    "base": set(),
    "kernels": {"base"},
    "image": {"base", "kernels"},
    "detect": {"base", "kernels", "image", "nn"},
    "nn": {"base", "kernels"},
    "pipeline": {"base", "kernels", "image", "detect", "nn"},
    "track": {"base", "kernels", "image", "nn", "pipeline"},
    "threads": {"base"},
    "opencv": {"base"},  # beside the core, in the library
    "explain": {"base", "nn"},
    "host": {"base"},  # files beside the rooms, which these may include
    "host/files": {"base"},
    "host/results": {"base", "host/files"},
    "host/weights": {"base", "host/files", "host/results"},
    "host/codec": {"base", "image", "host/files"},
    "host/draw": {"base", "host/files", "host/codec", "host/results"},
    "host/eval": {"base", "host/files", "host/codec", "host/results"},
    "video": {"base", "host", "image"},
    "camera": {"base", "host", "video"},
    "live": {"base", "host", "video"},
    "ros2": {"base", "host", "video", "live"},
    "mqtt": {"base", "host", "live", "video"},
    "report": {"base", "host", "explain"},
    "serve": {"base", "host", "live"},
    "web": set(),
    "python": {"base", "host", "explain"},
    "cli": {"base", "host", "nn", "video", "camera", "live", "mqtt", "ros2", "serve", "explain"}
    | {"report"},
}
CORE = {"base", "kernels", "image", "detect", "nn", "pipeline", "track"}
# Standard headers that bring the heap, exceptions, files, threads or printing: not for the core.
NOT_IN_CORE = {
    "iostream",
    "fstream",
    "sstream",
    "cstdio",
    "stdio.h",
    "string",
    "vector",
    "map",
    "unordered_map",
    "set",
    "memory",
    "functional",
    "thread",
    "mutex",
    "future",
    "chrono",
    "filesystem",
    "exception",
    "stdexcept",
    "unistd.h",
    "sys/mman.h",
}
# All that files for wider instruction sets may include, directly or through headers of ours: of
# anything else in the standard library the linker may keep a copy that old processors cannot run.
ISA_HEADERS = {
    "immintrin.h",
    "arm_neon.h",
    "wasm_simd128.h",
    "riscv_vector.h",
    "cstddef",
    "cstdint",
}
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)')


def is_isa_file(name: str) -> bool:
    return re.fullmatch(r"kernels/\w+/(?!scalar\.cpp)\w+\.(cpp|inl|h)", name) is not None


def layer_of(name: str) -> str:
    folders = name.split("/")
    room = "/".join(folders[:2])
    return room if room in MAY_INCLUDE else folders[0]


def may_include(layer: str, header: str) -> bool:
    target = layer_of(header)
    return target in {layer, layer.split("/")[0], "mien"} or any(
        target == folder or target.startswith(folder + "/") for folder in MAY_INCLUDE[layer]
    )


def includes(name: str) -> list[tuple[int, bool, str]]:
    """(line, whether in quotes, header) of each include of a file of src/."""
    found = []
    for number, line in enumerate((SRC / name).read_text().splitlines(), 1):
        if match := INCLUDE.match(line):
            found.append((number, match[1] == '"', match[2]))
    return found


def foreign_headers(name: str, seen: set[str]) -> list[tuple[str, str]]:
    """(header, the file that includes it): what `name` reaches beyond ISA_HEADERS."""
    seen.add(name)
    found = []
    for number, quoted, header in includes(name):
        if quoted and (SRC / header).exists():
            if header not in seen:
                found += foreign_headers(header, seen)
        elif header not in ISA_HEADERS:
            found.append((header, f"{name}:{number}"))
    return found


def violations() -> list[str]:
    found = []
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in {".h", ".cpp", ".inl"}:
            continue
        name = path.relative_to(SRC).as_posix()
        layer = layer_of(name)
        if layer not in MAY_INCLUDE:
            found.append(f"{name}: folder {layer} is not in the table of tools/check_layers.py")
            continue
        for number, quoted, header in includes(name):
            if quoted and "/" in header and not may_include(layer, header):
                found.append(f"{name}:{number}: {layer} may not include {header}")
            elif not quoted and layer in CORE and header in NOT_IN_CORE:
                found.append(f"{name}:{number}: <{header}> does not belong in the core")
        if is_isa_file(name):
            found += [
                f"{where}: {header} in a file of one instruction set, {name}"
                for header, where in foreign_headers(name, set())
            ]
    return found


if __name__ == "__main__":
    problems = violations()
    print("\n".join(problems) or "every include is within its layer")
    sys.exit(1 if problems else 0)
