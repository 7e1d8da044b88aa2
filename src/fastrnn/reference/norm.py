"""Layer normalization within a cell (Ba, Kiros and Hinton 2016), in two steps between which the tape is written.

The columns of a product [..., G·H] are normalised in groups of some gates, G_1 + G_2 + ... = G, each with its own mean
and variance in every row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

EPSILON = 1e-5


def centred(a: Array, groups: tuple[int, ...]) -> Array:
    """Return a less the mean of its group."""
    parts = _split(a, groups)
    return np.concatenate([part - part.mean(axis=-1, keepdims=True) for part in parts], axis=-1)


def scaled(d: Array, groups: tuple[int, ...]) -> Array:
    """Return what is centred, divided by sqrt(variance + 1e-5)."""
    return np.concatenate([part / _deviation(part) for part in _split(d, groups)], axis=-1)


def norm_backward(dy: Array, d: Array, gain: Array, groups: tuple[int, ...]) -> tuple[Array, Array]:
    """Return dL/da and dL/d(gain) of y = gain ⊙ scaled(d), d = centred(a)."""
    gradients = []
    for g, part in zip(_split(gain * dy, groups), _split(d, groups), strict=True):
        unit = part / _deviation(part)
        slant = (g * unit).mean(axis=-1, keepdims=True)
        gradients.append((g - g.mean(axis=-1, keepdims=True) - unit * slant) / _deviation(part))
    return np.concatenate(gradients, axis=-1), (dy * scaled(d, groups)).reshape(-1, len(gain)).sum(axis=0)


def _split(a: Array, groups: tuple[int, ...]) -> list[Array]:
    ends = np.cumsum(groups) * (a.shape[-1] // sum(groups))
    return np.split(a, ends[:-1], axis=-1)


def _deviation(d: Array) -> Array:
    deviation: Array = np.sqrt((d * d).mean(axis=-1, keepdims=True) + EPSILON)
    return deviation
