#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does every source file include only what its layer may? Run as a test; prints each violation, exit 1 if there is one.

The table below is the architecture (docs/ARCHITECTURE.md): a folder of src/ and the folders that it may include.
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
    "detect": {"base", "kernels", "image"},
    "nn": {"base", "kernels"},
    "pipeline": {"base", "kernels", "image", "detect", "nn"},
    "track": {"base", "kernels", "image"},
    "threads": set(),
    "explain": {"base", "nn"},
    "host": {"base", "image"},
    "video": {"base", "host"},
    "camera": {"base", "host", "video"},
    "live": {"base", "host", "video"},
    "report": {"base", "host", "explain"},
    "serve": {"base", "host", "live"},
    "web": set(),
    "python": {"base", "host", "explain"},
    "cli": {"base", "host", "nn", "video", "camera", "live", "serve", "explain", "report"},
}
CORE = {"base", "kernels", "image", "detect", "nn", "pipeline", "track"}
# Standard headers that bring the heap, exceptions, files, threads or printing: not for the core.
NOT_IN_CORE = {"iostream", "fstream", "sstream", "cstdio", "stdio.h", "string", "vector", "map", "unordered_map", "set", "memory", "functional",
               "thread", "mutex", "future", "chrono", "filesystem", "exception", "stdexcept", "unistd.h", "sys/mman.h"}
# Files built with wider instruction sets: no standard library at all, or the linker may keep a copy that old processors cannot run.
def is_isa_file(name: str) -> bool:
    return re.fullmatch(r"kernels/\w+/(?!scalar\.cpp)\w+\.(cpp|inl|h)", name) is not None


ISA_HEADERS = {"immintrin.h", "arm_neon.h", "wasm_simd128.h", "cstddef", "cstdint"}


def violations() -> list[str]:
    found = []
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in {".h", ".cpp", ".inl"}:
            continue
        name = path.relative_to(SRC).as_posix()
        layer = name.split("/")[0]
        if layer not in MAY_INCLUDE:
            found.append(f"{name}: folder {layer} is not in the table of tools/check_layers.py")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not match:
                continue
            header = match[2]
            if is_isa_file(name) and header not in ISA_HEADERS and not header.startswith("kernels/"):
                found.append(f"{name}:{number}: <{header}> in a file of one instruction set")
            if match[1] == '"':
                target = header.split("/")[0]
                if "/" in header and target not in {layer, "mien"} and target not in MAY_INCLUDE[layer]:
                    found.append(f"{name}:{number}: {layer} may not include {header}")
            elif layer in CORE and header in NOT_IN_CORE:
                found.append(f"{name}:{number}: <{header}> does not belong in the core")
    return found


if __name__ == "__main__":
    problems = violations()
    print("\n".join(problems) or "every include is within its layer")
    sys.exit(1 if problems else 0)
