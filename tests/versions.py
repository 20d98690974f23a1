#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do all that tell a version tell the same one: the headers, CMake, the library and its soname, the
program, the recipes of the wheel, of vcpkg and of the release? (tests/wheel asks the installed module.)

  versions.py --build FOLDER --library LIBMIEN.SO --soname NAME --tool MIEN
"""
from __future__ import annotations

import argparse
import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def found(pattern: str, text: str, where: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"versions: {where} has nothing like {pattern}")
    return match


def wheel_version(header: str) -> str:
    """As scikit-build-core takes it: the regular expression of pyproject.toml."""
    recipe = (ROOT / "pyproject.toml").read_text()
    block = recipe[recipe.index("[tool.scikit-build.metadata.version]") :]
    source = found(r'input = "(.+)"', block, "pyproject.toml")[1]
    if source != "include/mien/version.h":
        sys.exit(f"versions: pyproject.toml takes its version from {source}")
    pattern = found(r"regex = '{3}(.+)'{3}", block, "pyproject.toml")[1]
    result = found(r'result = "(.+)"', block, "pyproject.toml")[1]
    return result.format(**found(pattern, header, source).groupdict())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--build", "--library", "--soname", "--tool"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()

    header = (ROOT / "include" / "mien" / "version.h").read_text()
    numbers = [
        found(rf"define MIEN_VERSION_{part} +([0-9]+)", header, "version.h")[1]
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    version = ".".join(numbers)
    library = ctypes.CDLL(args.library)
    library.mien_version.restype = ctypes.c_char_p
    cache = (Path(args.build) / "CMakeCache.txt").read_text()
    said = subprocess.run([args.tool, "--version"], capture_output=True, text=True, check=True)
    told = {
        "CMake": found(r"CMAKE_PROJECT_VERSION:STATIC=(.+)", cache, "CMakeCache.txt")[1],
        "mien_version()": library.mien_version().decode(),
        "the library's file": Path(args.library).resolve().name.removeprefix("libmien.so."),
        "mien --version": said.stdout.split()[1],
        "pyproject.toml": wheel_version(header),
        "the recipe for vcpkg": json.loads(
            (ROOT / "tools/recipes/vcpkg/mien/vcpkg.json").read_text()
        )["version"],
        "tools/version.sh": subprocess.run(
            ["sh", str(ROOT / "tools" / "version.sh")], capture_output=True, text=True, check=True
        ).stdout.strip(),
    }
    wrong = [f"{who}: {what}, not {version}" for who, what in told.items() if what != version]
    interface = numbers[0] if numbers[0] != "0" else ".".join(numbers[:2])
    if args.soname != f"libmien.so.{interface}":
        wrong.append(f"the soname: {args.soname}, not libmien.so.{interface}")
    elif args.soname.encode() + b"\0" not in Path(args.library).read_bytes():
        wrong.append(f"{args.library} does not hold its soname {args.soname}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
