"""Elementary functions around the layers, in plain NumPy: each takes an array and returns a new one of its dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), through tanh, which does not overflow."""
    return (np.tanh(x * x.dtype.type(0.5)) + 1) * x.dtype.type(0.5)


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis."""
    e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of `softmax`."""
    z = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, x.dtype.type(0))


def linear(x: Array) -> Array:
    """The argument x itself."""
    return x


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear": linear, "relu": relu, "sigmoid": sigmoid, "tanh": np.tanh, "softmax": softmax,
    "log_softmax": log_softmax,
}  # fmt: skip
