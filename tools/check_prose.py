#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists the lines of Markdown files that are longer than 100 columns, and relative links to files
that do not exist. Tables, code blocks and lines with a URL may be longer. Exit code 1 if any.

  python3 tools/check_prose.py
"""
from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 100
SKIPPED = {"build", "demo-out", ".git"}


def pages() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED]
        found += [Path(folder, file) for file in files if file.endswith(".md")]
    return sorted(found)


def problems(page: Path) -> list[str]:
    found, code = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            code = not code
        if code:
            continue
        where = f"{page.relative_to(ROOT)}:{number}"
        if len(line) > COLUMNS and not line.startswith("|") and "://" not in line:
            found.append(f"{where}: {len(line)} columns")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{where}: no such file: {target}")
    return found


def main() -> int:
    found = [line for page in pages() for line in problems(page)]
    print("\n".join(found) if found else f"{len(pages())} pages: no line too long, no broken link")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
