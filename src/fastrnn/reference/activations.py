"""The activations of the ONNX operators RNN, GRU and LSTM, their derivatives, and the clip of what they are given.

Each is f(z, a, b) with its derivative in terms of y = f(z), which is what a step has kept; a and b are ONNX's alpha and
beta, and only some functions have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._traits import Activation, with_parameters

Array = NDArray[Any]
Function = Callable[[Array, float, float], Array]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), written so that exp never overflows."""
    e = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, e, np.ones_like(e)) / (1 + e)
    return result


FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "tanh": (lambda z, a, b: np.tanh(z), lambda y, a, b: 1 - y**2),
    "relu": (lambda z, a, b: np.maximum(z, 0), lambda y, a, b: y > 0),
    "sigmoid": (lambda z, a, b: sigmoid(z), lambda y, a, b: y * (1 - y)),
    "linear": (lambda z, a, b: z, lambda y, a, b: np.ones_like(y)),
    "affine": (lambda z, a, b: a * z + b, lambda y, a, b: np.full_like(y, a)),
    "leaky_relu": (lambda z, a, b: np.where(z < 0, a * z, z), lambda y, a, b: np.where(y > 0, 1, a)),
    "thresholded_relu": (lambda z, a, b: np.where(z > a, z, 0), lambda y, a, b: y != 0),
    "scaled_tanh": (lambda z, a, b: a * np.tanh(b * z), lambda y, a, b: b * (a - y**2 / a) if a else np.zeros_like(y)),
    "hard_sigmoid": (lambda z, a, b: np.clip(a * z + b, 0, 1), lambda y, a, b: np.where((y > 0) & (y < 1), a, 0)),
    "elu": (
        lambda z, a, b: np.where(z < 0, a * np.expm1(np.minimum(z, 0)), z), lambda y, a, b: np.where(y > 0, 1, y + a),
    ),
    "softsign": (lambda z, a, b: z / (1 + np.abs(z)), lambda y, a, b: (1 - np.abs(y)) ** 2),
    "softplus": (  # zoneout may have kept a value below zero, where no gradient comes
        lambda z, a, b: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), lambda y, a, b: -np.expm1(-np.maximum(y, 0)),
    ),
}  # fmt: skip


class Gate:
    """An activation f behind a clip: y = f(min(max(z, -clip), clip)), as ONNX places it; without a clip y = f(z)."""

    def __init__(self, activation: Activation, clip: float | None = None) -> None:
        name, self.alpha, self.beta = with_parameters(activation)
        self.f, self.derivative = FUNCTIONS[name]
        self.clip = clip

    def __call__(self, z: Array) -> Array:
        """Return y."""
        if self.clip is not None:
            z = np.clip(z, -self.clip, self.clip)
        y: Array = self.f(z, self.alpha, self.beta).astype(z.dtype)
        return y

    def slope(self, y: Array) -> Array:
        """Return dy/dz: the derivative of f, and 0 where the clip held z, which shows in the value of y."""
        d: Array = self.derivative(y, self.alpha, self.beta).astype(y.dtype)
        if self.clip is None:
            return d
        low, high = self(np.array([-self.clip, self.clip], y.dtype))
        result: Array = np.where((y == low) | (y == high), 0, d)
        return result
