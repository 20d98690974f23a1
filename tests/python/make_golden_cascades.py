#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/cascades/*.mien: made-up cascades of each kind (stumps, trees, tilted, fractional weights), seeds for the fuzzer and
corpus for its replay. They find nothing in particular; deterministic."""
from __future__ import annotations

import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import made_cascades  # noqa: E402
from mien_tools import format as mien  # noqa: E402


def rectangle(
    rng: np.random.Generator, width: int, height: int, tilted: bool, weight: float
) -> tuple:
    if tilted:
        w, h = int(rng.integers(1, width // 3)), int(rng.integers(1, height // 3))
        return (
            int(rng.integers(h, width - w + 1)),
            int(rng.integers(0, height - w - h + 1)),
            w,
            h,
            weight,
        )
    w, h = int(rng.integers(1, width)), int(rng.integers(1, height))
    return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h, weight


def make(
    seed: int, width: int, height: int, trees: bool, tilted: bool, fractional: bool
) -> mien.Cascade:
    rng = np.random.default_rng(seed)
    features, stages = [], []
    for stage in range(3):
        stage_trees = []
        for _ in range(2 + 3 * stage):
            nodes = []
            for n in range(3 if trees else 1):
                tilt = tilted and bool(rng.integers(2))
                weights = rng.integers(-300, 300, 3) / 128 if fractional else (-1.0, 2.0, 3.0)
                features.append(
                    mien.Feature(
                        tilt,
                        [
                            rectangle(rng, width, height, tilt, float(w))
                            for w in weights[: rng.integers(2, 4)]
                        ],
                    )
                )
                children = {0: (1, 2), 1: (0, -1), 2: (-2, -3)}[n] if trees else (0, -1)
                nodes.append((*children, len(features) - 1, float(np.float32(rng.normal(0, 0.03)))))
            leaves = [float(np.float32(v)) for v in rng.normal(0, 1, len(nodes) + 1)]
            stage_trees.append(mien.Tree(nodes, leaves))
        stages.append((-0.4, stage_trees))
    return mien.Cascade(
        width,
        height,
        stages,
        features,
        {"name": f"made up, seed {seed}", "licence_text": "MIT, part of mien's tests"},
    )


def main() -> int:
    folder = ROOT / "tests" / "data" / "cascades"
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "stumps": (1, 20, 20, False, False, False),
        "trees": (2, 24, 18, True, False, False),
        "tilted": (3, 18, 26, False, True, False),
        "tilted_trees_fractional": (4, 30, 20, True, True, True),
    }
    for name, arguments in kinds.items():
        data = mien.encode_cascade(make(*arguments))
        (folder / f"{name}.mien").write_bytes(data)
        print(f"{name}: {len(data)} bytes")
    # Seeds of the fuzzer of the XML reader.
    folder = ROOT / "tests" / "data" / "corpus" / "cascade_xml"
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed, nodes, tilted in (("stumps", 1, 1, 0), ("trees", 2, 2, 0), ("tilted", 3, 3, 2)):
        made = made_cascades.make(seed, (20, 16 + seed), [2, 3], nodes, tilted)
        for layout, data in (("new", made.new_layout()), ("old", made.old_layout())):
            (folder / f"{name}_{layout}.xml").write_bytes(data)
            print(f"{name}_{layout}.xml: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
