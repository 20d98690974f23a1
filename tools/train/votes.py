# SPDX-License-Identifier: MIT
"""What the ten FER+ raters of a picture say about its FER2013 label.

FER+ and FER2013 name the same seven classes and agree on 63 % of the pictures, so votes cannot stand in for labels. What they say about the label is
learnt instead: p(label | votes), from training pictures alone. Multiplied with a teacher's p(label | picture) it tells which of two labels a picture
with a doubtful one should have had; the student sees less chance in its targets and inherits fewer of its teacher's errors."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FOLDS = 5
EPOCHS = 20


def _features(votes: np.ndarray) -> torch.Tensor:
    """Shares of the votes, their roots (one vote of ten counts for more than the tenth from nine to ten), and which is the largest: [N, 30], standardised by the caller."""
    votes = votes.astype(np.float32)
    share = votes / np.maximum(votes.sum(1, keepdims=True), 1)
    return torch.from_numpy(np.concatenate([share, np.sqrt(share), share == share.max(1, keepdims=True)], 1).astype(np.float32))


@torch.enable_grad()
def _fit(x: torch.Tensor, labels: torch.Tensor, classes: int, generator: torch.Generator) -> nn.Module:
    net = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, classes))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) / x.shape[1] ** 0.5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - epoch / EPOCHS)
        for pick in torch.randperm(len(x), generator=generator).split(256):
            optimizer.zero_grad()
            F.cross_entropy(net(x[pick]), labels[pick]).backward()
            optimizer.step()
    return net.eval()


def log_prior(labels: np.ndarray, classes: int) -> np.ndarray:
    """log p(label), [classes]; a class without a picture counts as if it had one."""
    return np.log((np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes)).astype(np.float32)


def evidence(votes: np.ndarray, labels: np.ndarray, classes: int, others: Optional[np.ndarray] = None, seed: int = 0) -> np.ndarray:
    """log p(label | votes) - log p(label), float32 [N, classes]; zeros where a picture has no votes.

    For the pictures whose votes are `others`; without these for the training pictures themselves, each fifth of them judged by what was learnt from the
    other four, so that no picture's own label is in its evidence."""
    generator = torch.Generator().manual_seed(seed)
    features, y = _features(votes), torch.from_numpy(labels.astype(np.int64))
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    x = (features - mean) / deviation
    asked = votes if others is None else others
    with torch.no_grad():
        logs = torch.zeros(len(asked), classes)
        if others is None:
            fold = torch.randperm(len(x), generator=generator) % FOLDS
            for k in range(FOLDS):
                rest = fold != k
                logs[~rest] = F.log_softmax(_fit(x[rest], y[rest], classes, generator)(x[~rest]), 1)
        else:
            logs = F.log_softmax(_fit(x, y, classes, generator)((_features(others) - mean) / deviation), 1)
    return np.where(asked.sum(1, keepdims=True) > 0, logs.numpy() - log_prior(labels, classes), 0).astype(np.float32)
