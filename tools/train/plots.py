# SPDX-License-Identifier: MIT
"""Images of results: confusion matrix, training curves, reliability. Matplotlib without a display."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from mien_tools.errors import UnreadableError

from metrics import Scores


def _pyplot():  # type: ignore[no-untyped-def]
    try:
        import matplotlib
    except ImportError:
        raise UnreadableError("matplotlib", "is needed to draw, and is not installed") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure, path: Path) -> None:  # type: ignore[no-untyped-def]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(
            path,
            dpi=110,
            bbox_inches="tight",
            metadata={"Software": None} if path.suffix == ".png" else None,
        )
    except OSError as error:
        raise UnreadableError(path, f"cannot write: {error.strerror or error}") from None


def confusion(scores: Scores, title: str, path: Path) -> None:
    """Shares of each label's images, with counts."""
    plt = _pyplot()
    share = scores.confusion / np.maximum(scores.confusion.sum(1, keepdims=True), 1)
    side = 1.6 + 0.75 * len(scores.classes)
    figure, axes = plt.subplots(figsize=(side, side * 0.92))
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(scores.classes)), scores.classes, rotation=40, ha="right")
    axes.set_yticks(range(len(scores.classes)), scores.classes)
    axes.set_xlabel("answer")
    axes.set_ylabel("label")
    axes.set_title(f"{title}\n{100 * scores.accuracy:.2f} % of {scores.count:,}", fontsize=10)
    for (row, column), value in np.ndenumerate(share):
        axes.text(
            column,
            row,
            f"{100 * value:.0f} %\n{scores.confusion[row, column]}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value > 0.55 else "black",
        )
    figure.colorbar(picture, shrink=0.75)
    _save(figure, path)
    plt.close(figure)


def curves(log: Path, path: Path) -> None:
    """Loss and accuracy by epoch from a training log."""
    plt = _pyplot()
    try:
        with log.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {
            name: [float(row[name]) for row in rows]
            for name in (
                "epoch",
                "train_loss",
                "train_accuracy",
                "validation_loss",
                "validation_accuracy",
                "rate",
            )
        }
    except (OSError, KeyError, ValueError, TypeError):
        raise UnreadableError(log, "not a training log") from None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for axes, what in ((left, "loss"), (right, "accuracy")):
        axes.plot(
            columns["epoch"],
            columns[f"train_{what}"],
            label=(
                f"training {what} (augmented, with smoothed targets)"
                if what == "loss"
                else "training, augmented"
            ),
        )
        axes.plot(
            columns["epoch"], columns[f"validation_{what}"], label="validation, averaged weights"
        )
        axes.set_xlabel("epoch")
        axes.set_title(what)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    _save(figure, path)
    plt.close(figure)
