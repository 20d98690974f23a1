#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what the benches wrote as JSON: growth curves with their laws, and mien beside its peers. Needs matplotlib.

  plot.py [--bench build/bench.json] [--network build/peers/network.json] [--detector build/peers/detector.json] --out DIR

Whatever file is given (and has something to draw) becomes an SVG in DIR; their names are printed.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "mien", "svg.fonttype": "none", "font.size": 9})
from matplotlib import pyplot as plt  # noqa: E402


def save(figure, path: pathlib.Path) -> None:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    print(path)


def growth(data: dict, folder: pathlib.Path) -> None:
    for curve in data["growth"]["curves"]:
        points = [p for p in curve["points"] if p["min_ms"] > 0]
        figure, axes = plt.subplots(figsize=(4.6, 3.2))
        axes.plot(
            [p["x"] for p in points], [p["min_ms"] for p in points], "o-", label="measured, minimum"
        )
        axes.plot(
            [p["x"] for p in points],
            [curve["a"] + curve["b"] * p["work"] for p in points],
            "--",
            color="gray",
            label=f"{curve['a']:.3g} + {curve['b']:.3g} x {curve['work']}, R2 {curve['r2']:.3f}",
        )
        axes.set(xlabel=curve["x"], ylabel=curve["y"], title=curve["name"], ylim=(0, None))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        name = "".join(c if c.isalnum() else "-" for c in curve["name"]).strip("-")
        while "--" in name:
            name = name.replace("--", "-")
        save(figure, folder / f"growth-{name}.svg")


def network(data: dict, folder: pathlib.Path) -> None:
    bars = sorted(
        ((k, v["min"]) for k, v in data["ms"].items() if k != "mien scalar"), key=lambda b: b[1]
    )
    figure, axes = plt.subplots(figsize=(5.6, 0.32 * len(bars) + 1))
    axes.barh(
        [b[0] for b in bars],
        [b[1] for b in bars],
        color=["#1f77b4" if b[0].startswith("mien") else "#bbbbbb" for b in bars],
    )
    for row, (_, ms) in enumerate(bars):
        axes.text(ms, row, f" {ms:.3f}", va="center")
    axes.invert_yaxis()
    axes.set(xlabel="ms per face, minimum, one thread", title="mini_XCEPTION 64x64")
    save(figure, folder / "peers-network.svg")


def detector(data: dict, folder: pathlib.Path) -> None:
    frames = [f for f in data["frames"] if f["scale_factor"] == 1.3]
    sets = [k for k in frames[0]["ms"] if k != "OpenCV"]
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for i, name in enumerate(sets):
        axes.bar(
            [j + i * 0.8 / len(sets) for j in range(len(frames))],
            [f["ms"][name]["ratio"] for f in frames],
            0.8 / len(sets),
            label=name,
        )
    axes.set_xticks(
        [j + 0.32 for j in range(len(frames))], [f"{f['width']}x{f['height']}" for f in frames]
    )
    axes.axhline(1, color="gray", linewidth=0.8)
    axes.set(
        ylabel="times as fast as OpenCV, one thread",
        title="detectMultiScale(1.3, 5), the same rectangles",
    )
    axes.legend(frameon=False, ncols=len(sets), fontsize=8)
    save(figure, folder / "peers-detector.svg")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("bench", "network", "detector"):
        parser.add_argument(f"--{name}", metavar="FILE.json")
    parser.add_argument("--out", required=True, metavar="DIR")
    args = parser.parse_args()
    folder = pathlib.Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for path, draw in ((args.bench, growth), (args.network, network), (args.detector, detector)):
        if not path:
            continue
        try:
            data = json.loads(pathlib.Path(path).read_text())
            if draw is growth and "growth" not in data:
                continue
            draw(data, folder)
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"plot: {path}: {type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
