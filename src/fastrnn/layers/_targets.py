"""Check what a loss is given: targets, masks, reductions; for the engine's losses and for the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._parameter import as_array

Array = NDArray[Any]

IGNORED = -100  # torch's ignore_index
REDUCTIONS = ("mean", "sum", "time_sum")


def precision(array: Array) -> np.dtype[Any]:
    """Return the precision of a gradient with respect to an array: its own, or float64 where it is no float32."""
    return np.dtype("float32" if array.dtype == np.float32 else "float64")


def check_targets(targets: Any, mask: Any, shape: tuple[int, ...], classes: int) -> tuple[Array, Array]:
    """Return the targets, and the weight of each, 0 where it does not count."""
    targets = as_array(targets)
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets must be integers, got dtype {targets.dtype}")
    if targets.shape != shape:
        raise ValueError(f"targets must have the shape {shape}, got {targets.shape}")
    weights = np.where(targets == IGNORED, 0, check_mask(mask, shape))
    wrong = (weights != 0) & ((targets < 0) | (targets >= classes))
    if wrong.any():
        raise ValueError(f"targets must be from 0 to {classes - 1}, or {IGNORED}, got {targets[wrong][0]}")
    return targets, weights


def check_mask(mask: Any, shape: tuple[int, ...]) -> Array:
    """Return the weight of each position, float64."""
    if mask is None:
        return np.ones(shape)
    weights = as_array(mask)
    if weights.dtype.kind not in "biuf":
        raise TypeError(f"mask must hold booleans or weights, got dtype {weights.dtype}")
    if weights.shape != shape:
        raise ValueError(f"mask must have the shape {shape}, got {weights.shape}")
    return np.asarray(weights, np.float64)


def check_divisor(reduction: str, weights: Array) -> float:
    """Return what a weighted sum is divided by; 1 where nothing counts."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if reduction == "time_sum" and weights.ndim == 0:
        raise ValueError('reduction="time_sum" needs a batch axis, got a single position')
    divisor = {"mean": weights.sum(), "sum": 1, "time_sum": len(weights) if weights.ndim else 1}[reduction]
    return float(divisor) or 1.0
