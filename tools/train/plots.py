# SPDX-License-Identifier: MIT
"""Images of results: confusion matrix, training curves, reliability. Matplotlib without a display."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from mien_tools.errors import UnreadableError

import metrics
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


def reliability(
    confidence: np.ndarray, right: np.ndarray, title: str, path: Path, threshold: float = 0.0
) -> None:
    """How often answers [N] of each confidence are right, and what share of the answers is wrong when
    the least confident ones are not given; `threshold` (0: none) is where the file says "unsure".
    """
    plt = _pyplot()
    figure, (left, right_axes) = plt.subplots(1, 2, figsize=(9, 4))
    figure.suptitle(title, fontsize=10)
    bars = metrics.reliability(confidence, right, 10)
    left.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
    left.plot(bars[:, 0], bars[:, 1], marker="o", label="right")
    left.bar(bars[:, 0], bars[:, 2], 0.04, color="lightsteelblue", label="share of the answers")
    left.set(xlabel="probability of the answer", xlim=(0, 1), ylim=(0, 1))
    left.legend(fontsize=8)
    curve = metrics.risk_coverage(confidence, right)
    right_axes.plot(curve[:, 0], curve[:, 1])
    if threshold:
        kept = confidence >= threshold
        share, risk = kept.mean(), 1 - right[kept].mean() if kept.any() else 0.0
        right_axes.plot([share], [risk], "o")
        right_axes.annotate(
            f"{threshold:g}: {100 * share:.0f} % answered, {100 * risk:.1f} % of them wrong",
            (share, risk),
            (0.03, 0.9),
            textcoords="axes fraction",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "linewidth": 0.6},
        )
    right_axes.set(xlabel="share of the images answered", ylabel="share of the answers wrong")
    right_axes.set(xlim=(0, 1), ylim=(0, None))
    for axes in (left, right_axes):
        axes.grid(alpha=0.3)
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
