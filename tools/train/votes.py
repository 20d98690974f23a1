# SPDX-License-Identifier: MIT
"""What the ten FER+ raters of an image say about its FER2013 label.

FER+ and FER2013 name the same seven classes and agree on 63 % of the images, so votes cannot stand in for labels. What they say about the label is
learned instead: p(label | votes), from training images alone. Multiplied with a network's p(label | image) it tells how much of a label can be told
by a network that has ten people beside it: a measure of the labels, not of the network."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

EPOCHS = 20


def _features(votes: np.ndarray) -> torch.Tensor:
    """Shares of the votes, their roots (one vote of ten counts for more than the tenth from nine to ten), and which is the largest: [N, 30], standardised by the caller."""
    votes = votes.astype(np.float32)
    share = votes / np.maximum(votes.sum(1, keepdims=True), 1)
    return torch.from_numpy(
        np.concatenate([share, np.sqrt(share), share == share.max(1, keepdims=True)], 1).astype(
            np.float32
        )
    )


def _fit(
    x: torch.Tensor, labels: torch.Tensor, classes: int, generator: torch.Generator
) -> nn.Module:
    net = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, classes))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(
                (torch.rand(parameter.shape, generator=generator) * 2 - 1) / x.shape[1] ** 0.5
            )
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - epoch / EPOCHS)
        for pick in torch.randperm(len(x), generator=generator).split(256):
            optimizer.zero_grad()
            F.cross_entropy(net(x[pick]), labels[pick]).backward()
            optimizer.step()
    return net.eval()


def log_prior(labels: np.ndarray, classes: int) -> np.ndarray:
    """log p(label), [classes]; a class without an image counts as if it had one."""
    return np.log((np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes)).astype(
        np.float32
    )


def evidence(
    votes: np.ndarray, labels: np.ndarray, classes: int, others: np.ndarray, seed: int = 0
) -> np.ndarray:
    """log p(label | votes) - log p(label) for the images whose votes are `others`, float32 [M, classes]; zeros where an image has no votes. Learned from
    `votes` [N, 10] and `labels` [N]."""
    generator = torch.Generator().manual_seed(seed)
    features = _features(votes)
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    net = _fit(
        (features - mean) / deviation, torch.from_numpy(labels.astype(np.int64)), classes, generator
    )
    with torch.no_grad():
        logs = F.log_softmax(net((_features(others) - mean) / deviation), 1).numpy()
    return np.where(others.sum(1, keepdims=True) > 0, logs - log_prior(labels, classes), 0).astype(
        np.float32
    )
