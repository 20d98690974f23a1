#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Convert a Haar cascade of OpenCV (haarcascade_*.xml, old or new layout) to a .mien file.

  convert_cascade.py haarcascade_frontalface_default.xml -o haarcascade_frontalface_default.mien

The license in the comment at the top of the XML travels along. Needs numpy. Exit status: 0 done, 2 wrong usage, 3 a file
cannot be read or written, 4 the cascade is damaged or not supported."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from typing import List, Optional

try:
    import numpy  # noqa: F401
except ImportError as error:
    sys.exit(f"convert_cascade: {error.name} is missing: pip install numpy")

from mien_tools import __version__, cascade, errors
from mien_tools import format as mien


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(prog="convert_cascade", description=__doc__.split("\n\n")[0])
    parser.add_argument("cascade", help="haarcascade_*.xml")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.mien")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument(
        "--license-file",
        metavar="FILE",
        help="license text to store instead of the comment in the XML",
    )
    parser.add_argument("--version", action="version", version=f"convert_cascade {__version__}")
    return parser.parse_args(arguments)


def convert(args: argparse.Namespace) -> int:
    errors.refuse_existing(args.output, args.yes)
    data = errors.read_bytes(args.cascade, 1 << 26)
    result, licence = cascade.read_cascade(args.cascade, data)
    if args.license_file:
        licence = (
            errors.read_bytes(args.license_file, 1 << 20).decode("utf-8", "replace").strip("\n")
        )
    if not licence:
        print(
            f"convert_cascade: warning: {args.cascade} states no license (use --license-file)",
            file=sys.stderr,
        )
    name = os.path.basename(args.cascade)
    result.meta = {
        "name": os.path.splitext(name)[0],
        "source": {"file": name, "sha256": hashlib.sha256(data).hexdigest()},
        "converter": f"mien convert_cascade {__version__}",
        "stages": len(result.stages),
        "trees": len(result.trees),
        "nodes": sum(len(tree.nodes) for tree in result.trees),
        "licence_text": licence,
    }
    try:
        encoded = mien.encode_cascade(result)
    except mien.FormatError as error:
        raise errors.ModelError(args.cascade, str(error)) from None
    errors.write_file(args.output, encoded, args.yes)
    print(
        f"{args.output}: {result.width} x {result.height}, {len(result.stages)} stages, {result.meta['trees']} trees, "
        f"{result.meta['nodes']} nodes, {len(encoded)} bytes"
    )
    return 0


if __name__ == "__main__":
    errors.run_tool("convert_cascade", lambda: convert(parse_arguments(None)))
