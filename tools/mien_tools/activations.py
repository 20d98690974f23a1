# SPDX-License-Identifier: MIT
"""Functions of one number that networks apply to every value, in numpy. A name with its parameters
says which; frameworks disagree about names, so their readers translate."""

from __future__ import annotations

import math
from typing import Callable, Dict, Mapping

import numpy as np

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    # exp of what is never positive: no overflow
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _relu(x: Array, max_value: float = np.inf, slope: float = 0.0, threshold: float = 0.0) -> Array:
    below = slope * (x - threshold) if slope else 0.0
    return np.where(x < threshold, below, np.minimum(x, max_value)).astype(x.dtype)


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype)


def _gelu(x: Array, approximate: float = 0.0) -> Array:
    if approximate:
        return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _elu(x: Array, alpha: float = 1.0, scale: float = 1.0) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# "relu" with a max_value: ReLU6 and its like. "hard_sigmoid": clip(alpha * x + beta, 0, 1).
ELEMENTWISE: Dict[str, Callable[..., Array]] = {
    "linear": lambda x: x,
    "relu": _relu,
    "clip": lambda x, low, high: np.clip(x, low, high),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "hard_sigmoid": _hard_sigmoid,
    "swish": lambda x: x * sigmoid(x),
    "hard_swish": lambda x, alpha, beta: x * _hard_sigmoid(x, alpha, beta),
    "elu": _elu,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": _gelu,
    "exponential": np.exp,
    "mish": lambda x: x * np.tanh(_softplus(x)),
}
SELU = {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}


def apply(x: Array, name: str, parameters: Mapping[str, float]) -> Array:
    """Elementwise, in the type of x."""
    return np.asarray(ELEMENTWISE[name](x, **parameters), x.dtype)
