"""Losses and their gradients: softmax cross-entropy and squared error over positions that count or do not.

A position (n, t, ...) counts unless its target is -100 (classes only) or its mask is false; a mask of numbers weighs
it. What stands at positions that do not count, nan included, reaches neither loss nor gradient. Everything is computed
in float64; gradients come in the precision of what they belong to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import floating
from fastrnn.layers._parameter import as_array
from fastrnn.layers._targets import check_divisor, check_mask, check_targets, precision

Array = NDArray[Any]


def softmax_cross_entropy(logits: Any, targets: Any, mask: Any = None, reduction: str = "mean") -> tuple[float, Array]:
    """Return Σ w (-log p[target]) / divisor and its gradient w (p - onehot) / divisor, p = softmax(logits).

    torch.nn.functional.cross_entropy; the gradient is Bridle's (1990).

    Parameters
    ----------
    logits : array
        (..., V).
    targets : array of int
        (...), from 0 to V - 1, or -100 for a position that does not count.
    mask : array, optional
        (...), booleans or weights w.
    reduction : {"mean", "sum", "time_sum"}
        The divisor: Σ w, 1, or N, the length of the first axis (a sum over time of batch means).
    """
    logits = as_array(logits)
    dtype = precision(logits)
    z = floating(logits, "logits", np.dtype("float64"))
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits must have the shape (..., V), got {z.shape}")
    targets, weights = check_targets(targets, mask, z.shape[:-1], z.shape[-1])
    divisor = check_divisor(reduction, weights)

    counts = weights != 0
    z = np.where(counts[..., None], z, 0)
    target = np.where(counts, targets, 0)[..., None]
    z = z - z.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_p, target, axis=-1)[..., 0]
    onehot = np.arange(z.shape[-1]) == target
    scale = weights / divisor
    return float((scale * losses).sum()), (scale[..., None] * (np.exp(log_p) - onehot)).astype(dtype)


def squared_error(prediction: Any, target: Any, mask: Any = None, reduction: str = "mean") -> tuple[float, Array]:
    """Return Σ w (prediction - target)² / divisor and its gradient 2 w (prediction - target) / divisor.

    Parameters
    ----------
    prediction, target : array
        Of one shape.
    mask : array, optional
        Booleans or weights w, of that shape, or without its last axis and then the same for the elements along it.
    reduction : {"mean", "sum", "time_sum"}
        The divisor: Σ w over the elements, 1, or N, the length of the first axis.
    """
    prediction = as_array(prediction)
    dtype = precision(prediction)
    y = floating(prediction, "prediction", np.dtype("float64"))
    t = floating(target, "target", np.dtype("float64"))
    if t.shape != y.shape:
        raise ValueError(f"target must have the shape of prediction, {y.shape}, got {t.shape}")
    if mask is not None and as_array(mask).ndim == y.ndim - 1:
        weights = np.broadcast_to(check_mask(mask, y.shape[:-1])[..., None], y.shape)
    else:
        weights = check_mask(mask, y.shape)
    divisor = check_divisor(reduction, weights)

    difference = np.where(weights != 0, y, 0) - np.where(weights != 0, t, 0)
    scale = weights / divisor
    return float((scale * difference**2).sum()), (2 * scale * difference).astype(dtype)
