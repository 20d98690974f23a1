#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a bill of materials (SPDX 2.3, JSON) of the files of a release: what each holds, in which
version and under which license.

  sbom.py FOLDER

The versions are those of the packages on the machine that built them; the same files on the same
machine give the same text. SOURCE_DATE_EPOCH is its time.
"""
from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Component:
    name: str
    license: str
    supplier: str
    package: str  # Debian's, whose version counts; "=VERSION" where there is none
    kinds: frozenset[str]  # of the files that hold it


def kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


# static: a program with all of its libraries; native, foreign: Debian packages of this machine's
# processor and of others, which take the C library, and the native one libjpeg, from the system.
COMPONENTS = [
    Component(
        "stb_image",
        "MIT OR Unlicense",
        "Sean Barrett",
        "libstb-dev",
        kinds("static native foreign wheel"),
    ),
    Component(
        "CLI11",
        "BSD-3-Clause",
        "University of Cincinnati",
        "libcli11-dev",
        kinds("static native foreign wheel"),
    ),
    Component(
        "nlohmann-json",
        "MIT",
        "Niels Lohmann",
        "nlohmann-json3-dev",
        kinds("static native foreign wheel"),
    ),
    Component(
        "Boost.Beast",
        "BSL-1.0",
        "Vinnie Falco and others",
        "libboost-dev",
        kinds("static native foreign wheel"),
    ),
    Component(
        "Eigen",
        "MPL-2.0",
        "The Eigen developers",
        "libeigen3-dev",
        kinds("static native foreign wheel"),
    ),
    Component(
        "libjpeg-turbo",
        "IJG AND BSD-3-Clause AND Zlib",
        "The libjpeg-turbo project",
        "libjpeg62-turbo-dev",
        kinds("static foreign wheel"),
    ),
    Component(
        "libstdc++",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "Free Software Foundation",
        "g++",
        kinds("static native foreign wheel"),
    ),
    Component(
        "glibc", "LGPL-2.1-or-later", "Free Software Foundation", "libc6-dev", kinds("static")
    ),
    Component("nanobind", "BSD-3-Clause", "Wenzel Jakob", "=", kinds("wheel")),
    Component(
        "libfacedetection (weights of detector.mien)",
        "BSD-3-Clause",
        "Shiqi Yu",
        "=2024.9.27",
        kinds("static native foreign wheel npm data source"),
    ),
    Component(
        "haarcascade_frontalface_default",
        "LicenseRef-Intel-Open-Source-Computer-Vision",
        "Intel Corporation",
        "=4.6.0",
        kinds("static native foreign wheel npm data source"),
    ),
]
INTEL = (
    'The text is in THIRD_PARTY.md under "License of the cascade", and inside the weights '
    "file (mien info)."
)


def version_of(component: Component) -> str:
    if component.package.startswith("="):
        return component.package[1:] or "NOASSERTION"
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", component.package], capture_output=True, text=True
    )
    return asked.stdout if asked.returncode == 0 and asked.stdout else "NOASSERTION"


def kind_of(file: str) -> str:
    """Which of the kinds above a file of a release is; "library" holds nothing of others."""
    native = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True).stdout
    if file.endswith(".whl"):
        return "wheel"
    if file.endswith(".tgz"):
        return "npm"
    if "-linux-" in file:
        return "static"
    if file.endswith(".tar.gz"):
        return "source"
    if file.startswith("mien-data_"):
        return "data"
    if file.startswith("mien_"):
        return "native" if file.endswith(f"_{native.strip()}.deb") else "foreign"
    return "library"


def identifier(text: str) -> str:
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]+", "-", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not folder.is_dir():
        print(f"sbom: {folder}: no such folder", file=sys.stderr)
        return 1
    version = subprocess.run(
        ["sh", str(ROOT / "tools" / "version.sh")], capture_output=True, text=True, check=True
    ).stdout.strip()
    moment = datetime.datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc
    )
    files = sorted(
        p
        for p in folder.iterdir()
        if p.is_file() and p.name != "SHA256SUMS" and not p.name.endswith(".spdx.json")
    )
    if not files:
        print(f"sbom: {folder}: there is no file of a release", file=sys.stderr)
        return 1
    packages = []
    relationships = []
    held: set[str] = set()
    for path in files:
        packages.append(
            {
                "SPDXID": identifier(path.name),
                "name": "mien",
                "versionInfo": version,
                "packageFileName": path.name,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "MIT",
                "copyrightText": "2026 The mien developers",
                "checksums": [
                    {
                        "algorithm": "SHA256",
                        "checksumValue": hashlib.sha256(path.read_bytes()).hexdigest(),
                    }
                ],
            }
        )
        relationships.append(("SPDXRef-DOCUMENT", "DESCRIBES", identifier(path.name)))
        for component in COMPONENTS:
            if kind_of(path.name) in component.kinds:
                held.add(component.name)
                relationships.append(
                    (identifier(path.name), "CONTAINS", identifier(component.name))
                )
    for component in COMPONENTS:
        if component.name in held:
            packages.append(
                {
                    "SPDXID": identifier(component.name),
                    "name": component.name,
                    "versionInfo": version_of(component),
                    "downloadLocation": "NOASSERTION",
                    "filesAnalyzed": False,
                    "supplier": f"Organization: {component.supplier}",
                    "licenseConcluded": "NOASSERTION",
                    "licenseDeclared": component.license,
                    "copyrightText": "NOASSERTION",
                }
            )
    sums = "".join(p["checksums"][0]["checksumValue"] for p in packages if "checksums" in p)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"mien-{version}",
        "documentNamespace": f"urn:mien:{version}:{hashlib.sha256(sums.encode()).hexdigest()[:32]}",
        "creationInfo": {
            "created": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Organization: The mien developers", "Tool: tools/sbom.py"],
        },
        "packages": packages,
        "hasExtractedLicensingInfos": [
            {"licenseId": "LicenseRef-Intel-Open-Source-Computer-Vision", "extractedText": INTEL}
        ],
        "relationships": [
            {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
            for a, kind, b in relationships
        ],
    }
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
