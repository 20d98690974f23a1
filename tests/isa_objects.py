#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the objects of the instruction sets hold no weak symbols?

The linker takes one of several equal inline functions or templates for the whole program. If it
took the one that a file compiled for AVX-512 holds, every processor without AVX-512 would die on it.

  isa_objects.py [--nm NM] OBJECT...    looks at those below src/kernels, except the base processor's
"""
from __future__ import annotations

import argparse
import re
import subprocess
import sys


def weak_symbols(nm: str, file: str) -> list[str]:
    listed = subprocess.run([nm, "-C", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^(?:[0-9a-f]+ +| +)[WVu] (.+)$", listed, re.M)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nm", default="nm")
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    # CMake hands the list over as one argument, with semicolons.
    files = [file for argument in arguments.objects for file in argument.split(";")]
    base = ("scalar", "single", "dispatch")
    files = [
        file
        for file in files
        if "/src/kernels/" in file and not file.rsplit("/", 1)[1].startswith(base)
    ]
    if not files:
        sys.exit("none of these objects is an instruction set's")
    failed = False
    for file in files:
        for symbol in weak_symbols(arguments.nm, file):
            print(f"{file}: weak symbol: {symbol}")
            failed = True
    if not failed:
        print(f"{len(files)} objects of instruction sets, no weak symbol")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
