# SPDX-License-Identifier: MIT
"""How good are these answers? Every figure from labels and probabilities alone, so that it does not matter what computed them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

BINS = 15  # of the calibration error
FEWEST = 20  # images of a class that counts in `mean_recall`


@dataclass
class Scores:
    classes: Tuple[str, ...]
    confusion: np.ndarray  # [label, answer]
    calibration_error: float  # expected calibration error: mean |confidence - accuracy| over equal bins of confidence
    log_loss: float  # nats

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / max(self.count, 1))

    def per_class(self) -> List[Tuple[float, float, float]]:
        """Precision, recall and F1; a figure over nothing is 0."""
        hits, answered, labeled = (
            np.diag(self.confusion),
            self.confusion.sum(0),
            self.confusion.sum(1),
        )
        return [
            (h / a if a else 0.0, h / n if n else 0.0, 2 * h / (a + n) if a + n else 0.0)
            for h, a, n in zip(hits, answered, labeled)
        ]

    @property
    def macro_f1(self) -> float:
        present = self.confusion.sum(1) > 0
        return float(np.mean([f1 for (_, _, f1), p in zip(self.per_class(), present) if p]))

    @property
    def balanced_accuracy(self) -> float:
        present = self.confusion.sum(1) > 0
        return float(np.mean([recall for (_, recall, _), p in zip(self.per_class(), present) if p]))

    @property
    def accuracy_interval(self) -> Tuple[float, float]:
        """Of 95 %, by Wilson (1927)."""
        if self.count == 0:
            return 0.0, 1.0
        z, n, share = 1.959963984540054, self.count, self.accuracy
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(middle - reach, 0.0), min(middle + reach, 1.0)

    def as_json(self) -> Dict[str, Any]:
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration_error,
            "log_loss": self.log_loss,
            "classes": list(self.classes),
            "per_class": [
                {"label": c, "count": int(n), "precision": p, "recall": r, "f1": f}
                for c, n, (p, r, f) in zip(self.classes, self.confusion.sum(1), self.per_class())
            ],
            "confusion": self.confusion.tolist(),
        }

    def summary(self) -> str:
        low, high = self.accuracy_interval
        return (
            f"accuracy {100 * self.accuracy:.2f} % of {self.count:,} "
            f"(95 % interval: {100 * low:.2f} to {100 * high:.2f}), "
            f"balanced {100 * self.balanced_accuracy:.2f} %, "
            f"macro F1 {self.macro_f1:.4f}, calibration error {self.calibration_error:.4f}, log loss {self.log_loss:.4f}"
        )

    def table(self) -> str:
        """Per class figures and the confusion matrix, as Markdown; rows are labels, columns answers."""
        lines = [
            f"| label | images | precision | recall | F1 | {' | '.join(self.classes)} |",
            "|---|" + "---:|" * (4 + len(self.classes)),
        ]
        for k, (label, (p, r, f)) in enumerate(zip(self.classes, self.per_class())):
            row = self.confusion[k]
            lines.append(
                f"| {label} | {row.sum()} | {p:.3f} | {r:.3f} | {f:.3f} | {' | '.join(str(v) for v in row)} |"
            )
        return "\n".join(lines)


def score(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Scores:
    """labels [N], probabilities [N, classes]. The first of equal probabilities is the answer."""
    answer = probabilities.argmax(1)
    said, right, share = reliability(probabilities.max(1), answer == labels).T
    chosen = np.maximum(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-12)
    count = max(len(labels), 1)
    return Scores(
        tuple(classes),
        confusion(labels, answer, len(classes)),
        float((share * np.abs(said - right)).sum()),
        float(-np.log(chosen).sum() / count),
    )


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """How many images [N] of each label have each answer, int64 [label, answer]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def against_rest(confusion: np.ndarray, k: int) -> np.ndarray:
    """[[k as k, k as another], [another as k, another as another]], int64 [2, 2], of a confusion
    matrix [label, answer]."""
    both, row, column = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
    rest = confusion.sum() - row - column + both
    return np.array([[both, row - both], [column - both, rest]])


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Of equal bins of confidence: mean confidence, share that is right, share of the answers; float64
    [bins with an answer, 3]. confidence and right are [N]."""
    bin_ = np.minimum((confidence.astype(np.float64) * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_, minlength=bins)
    sums = [np.bincount(bin_, v, bins) for v in (confidence, right)]
    used = counts > 0
    return np.stack([*(s[used] / counts[used] for s in sums), counts[used] / max(len(right), 1)], 1)


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What is left out and what is wrong when only answers of some confidence and more are given:
    share answered, share of these that is wrong, least confidence; float64 [distinct, 3], from few
    answers to all. confidence and right are [N]."""
    order = np.argsort(-confidence, kind="stable")
    sorted_, wrong = confidence[order].astype(np.float64), np.cumsum(~right[order].astype(bool))
    last = np.append(sorted_[1:] != sorted_[:-1], True)
    answered = np.arange(1, len(order) + 1)
    return np.stack([answered / len(order), wrong / answered, sorted_], 1)[last]


def mean_recall(labels: np.ndarray, answers: np.ndarray) -> float:
    """Mean over the classes with at least FEWEST images (over all of them, if none has) of the share
    of a class's images, [N], that are answered with it. A class of a dozen images says little, and
    would count like one of a thousand."""
    counts = np.bincount(labels)
    counted = np.flatnonzero(counts >= FEWEST)
    if not len(counted):
        counted = np.flatnonzero(counts)
    return float(np.mean([(answers[labels == k] == k).mean() for k in counted]))


def figures(
    labels: np.ndarray,
    logits: np.ndarray,
    classes: Sequence[str] = (),
    majority: Optional[np.ndarray] = None,
    values: Optional[np.ndarray] = None,
    amounts: Optional[np.ndarray] = None,
) -> Dict[str, float]:
    """What a training run watches and may choose its best epoch by, of logits [N, classes]: `loss`
    (nats), `accuracy` and `recall` (`mean_recall`); `neutral`, the recall of that class, where there
    is such a class with images; `votes`, the share that `majority` agrees with, where it is given
    (int [N], -1 for images that do not count); `error`, the mean distance of the mean of `values`
    [classes] from `amounts` [N], where those are given."""
    logs = logits.astype(np.float64) - logits.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    answers = logits.argmax(1)
    result = {
        "loss": float(-logs[np.arange(len(labels)), labels].mean()),
        "accuracy": float((answers == labels).mean()),
        "recall": mean_recall(labels, answers),
    }
    if "neutral" in classes and (labels == classes.index("neutral")).any():
        calm = classes.index("neutral")
        result["neutral"] = float((answers[labels == calm] == calm).mean())
    if majority is not None and (majority >= 0).any():
        clear = majority >= 0
        result["votes"] = float((answers == majority)[clear].mean())
    if values is not None and amounts is not None:
        result["error"] = float(np.abs(np.exp(logs) @ values - amounts).mean())
    return result


def quantiles(probabilities: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    """Where the distributions [N, classes] over `values` [classes] (increasing) reach `share`: [N].
    Each probability is spread evenly from halfway to its lower neighbor to halfway to its upper one;
    the ends are mirrored, and not below zero where the values are not. As Model::quantity()."""
    middle = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    if values[0] >= 0:
        edges = np.maximum(edges, 0)
    total = np.cumsum(probabilities.astype(np.float64), 1)
    bin_ = np.minimum((total < share).sum(1), len(values) - 1)
    rows = np.arange(len(probabilities))
    inside = np.maximum(probabilities[rows, bin_].astype(np.float64), 1e-12)
    part = np.clip((share - (total[rows, bin_] - inside)) / inside, 0, 1)
    return edges[bin_] + part * (edges[bin_ + 1] - edges[bin_])


def mcnemar(first: np.ndarray, second: np.ndarray) -> Tuple[int, int, float]:
    """Right answers (bool [N]) of two models on the same images: those only the first has, those only the second has, and the
    two-sided exact probability of a difference as large by chance."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 0, 0, 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        for i in range(k + 1)
    ]
    return only_first, only_second, min(1.0, 2 * sum(math.exp(v) for v in logs))
