#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes fer_answers.json: what the package `fer` says about the sample photos. test_compat.py has the images and the question.

build/wheel-venv/bin/python tests/wheel/make_fer_answers.py INTERPRETER_OF_AN_ENVIRONMENT_WITH_FER
"""
from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from test_compat import ask_fer, pictures


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    python = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        answers = ask_fer(python, Path(folder), pictures(Path(folder), samples_only=True))
    lines = [
        json.dumps(key)
        + ": "
        + (
            json.dumps(value)
            if isinstance(value, str)
            else "[\n" + ",\n".join(json.dumps(v) for v in value) + "]"
        )
        for key, value in answers.items()
    ]
    (Path(__file__).parent / "fer_answers.json").write_text("{" + ",\n".join(lines) + "}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
