# SPDX-License-Identifier: MIT
"""python -m mien PHOTO...: every face in images, as a table or with --json. `mien image` of the
command line tool does more."""

from __future__ import annotations

import argparse
import sys
from typing import Dict, List, Optional

from . import Engine, Error, Reading, Result, __version__, _engine, write_picture
from ._files import input_at
from .engine import NETWORKS, read_picture


def _cell(reading: Reading) -> str:
    if reading.value is not None and reading.low is not None and reading.high is not None:
        return f"{reading.value:.0f} ({reading.low:.0f}-{reading.high:.0f})"
    if reading.unsure:
        return f"unsure ({reading.label} {reading.probability * 100:.0f} %)"
    width = max(4, *map(len, reading.probabilities))
    return f"{reading.label:<{width}} {reading.probability * 100:3.0f} %"


def table(result: Result, titles: Dict[str, str]) -> str:
    count = (
        "no face found"
        if not result.faces
        else "1 face" if len(result) == 1 else f"{len(result)} faces"
    )
    lines = [
        f"{result.source}: {count}, {result.width} x {result.height} pixels, {result.timing_ms['total']:.0f} ms"
    ]
    columns = []  # head, title, width
    for head, title in titles.items():
        cells = [_cell(face.readings[head]) for face in result if head in face.readings]
        if cells:
            columns.append((head, title, max(len(title), *map(len, cells))))
    if result.faces:
        heading = "".join(f"  {title:<{width}}" for _, title, width in columns)
        score = "  score" if "detector" in result.models else ""
        lines.append(f"    #      x      y         size{score}{heading}".rstrip())
    for number, face in enumerate(result, 1):
        size = f"{face.box.width} x {face.box.height}"
        line = f"{number:5d}  {face.box.x:5d}  {face.box.y:5d}  {size:>11}"
        if "detector" in result.models:
            line += f"  {face.score:5.2f}"
        for head, _, width in columns:
            line += f"  {_cell(face.readings[head]):<{width}}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m mien",
        description="Finds every face in images and reads its expression, gender and age. "
        "Folders are for the program `mien` (mien image, camera, video, serve, ...: mien --help), "
        "which the wheel brings along, and for mien-batch.",
        epilog="Exit codes: 0 done, 1 output could not be written, 2 usage, 3 an image could not be read, 4 bad weights.",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help=_engine.image_formats)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object per image, as `mien image --json`"
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="write the image with boxes and labels (one image; .png or .jpg)",
    )
    parser.add_argument(
        "--emotion",
        default=None,
        metavar="FILE-or-NAME",
        help="weights for the expression; in the package: " + ", ".join(NETWORKS["emotion"]),
    )
    parser.add_argument(
        "--detector",
        choices=("net", "haar"),
        default="net",
        help="a network (default), or OpenCV's cascade and its exact rectangles",
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="an answer less probable than this is unsure, 0 to 1; 0: none is",
    )
    parser.add_argument("--version", action="version", version=f"mien {__version__}")
    options = parser.parse_args(arguments)
    if options.out and len(options.photos) > 1:
        parser.error("--out takes one image")
    if options.out and input_at(options.out, [*options.photos, options.emotion]):
        print(f"mien: {options.out}: would overwrite an input of this run", file=sys.stderr)
        return 1
    try:
        engine = Engine(
            emotion=options.emotion or True,
            detector=options.detector,
            min_confidence=options.min_confidence,
        )
    except Error as error:
        print(f"mien: {error}", file=sys.stderr)
        return 4
    except ValueError as error:
        parser.error(str(error))
    code = 0
    for photo in options.photos:
        try:
            result = engine.analyze(photo)
        except (OSError, Error) as error:
            cause = (
                f"{photo}: {error.strerror}"
                if isinstance(error, OSError) and error.strerror
                else str(error)
            )
            print(f"mien: {cause}", file=sys.stderr)
            code = 3
            continue
        print(result.to_json() if options.json else table(result, engine.titles))
        if options.out:
            try:
                write_picture(options.out, engine.draw(read_picture(photo), result.faces))
            except (OSError, ValueError) as error:
                print(f"mien: {error}", file=sys.stderr)
                return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
