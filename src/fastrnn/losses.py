"""Losses and their gradients with respect to what was predicted, over positions that count or do not.

A position (n, t, ...) counts unless its target is -100 (classes only) or its mask is false; a mask of numbers weighs
it. What stands at positions that do not count, nan included, reaches neither loss nor gradient. For a `Dense` layer
over many classes `Dense.cross_entropy` gives the same without ever holding the logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._arguments import floating
from fastrnn.layers._parameter import as_array
from fastrnn.layers._targets import check_divisor, check_mask, check_targets, precision

Array = NDArray[Any]

__all__ = ["absolute_error", "huber", "softmax_cross_entropy", "squared_error"]


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
        The divisor: Σ w, 1, or N, the length of the first axis (of batch-first logits: a sum over time of batch means).

    Returns
    -------
    loss : float
        0 where nothing counts.
    dlogits : array
        In the shape of logits, float32 for float32, else float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import losses
    >>> loss, dlogits = losses.softmax_cross_entropy(np.zeros((2, 4)), [3, -100])
    >>> round(loss, 4), dlogits[0].tolist(), dlogits[1].any()
    (1.3863, [0.25, 0.25, 0.25, -0.75], np.False_)
    """
    logits = as_array(logits)
    z = floating(logits, "logits", precision(logits))
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits must have the shape (..., V), got {z.shape}")
    targets, weights = check_targets(targets, mask, z.shape[:-1], z.shape[-1])
    divisor = check_divisor(reduction, weights)

    dlogits = np.array(z, order="C")
    rows = np.flatnonzero(weights)
    scale, losses = weights.ravel()[rows] / divisor, np.empty(len(rows))
    _engine.load(z.dtype).softmax_cross_entropy(
        dlogits.reshape(-1, z.shape[-1]), rows, targets.ravel()[rows].astype(np.int64), scale, losses
    )
    return float(scale @ losses), dlogits


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

    Returns
    -------
    loss : float
        0 where nothing counts.
    dprediction : array
        In the shape of prediction, float32 for float32, else float64.

    Examples
    --------
    >>> from fastrnn import losses
    >>> loss, d = losses.squared_error([[1.0, 2.0]], [[0.0, 4.0]])
    >>> loss, d.tolist()
    (2.5, [[1.0, -2.0]])
    """
    difference, scale = _differences(prediction, target, mask, reduction)
    return float((scale * difference**2).sum(dtype=np.float64)), 2 * scale * difference


def absolute_error(prediction: Any, target: Any, mask: Any = None, reduction: str = "mean") -> tuple[float, Array]:
    """Return Σ w |prediction - target| / divisor and its gradient w sign(prediction - target) / divisor.

    Arguments and results are those of `squared_error`; where the two are equal the gradient is 0.

    Examples
    --------
    >>> from fastrnn import losses
    >>> loss, d = losses.absolute_error([[1.0, 2.0]], [[0.0, 4.0]])
    >>> loss, d.tolist()
    (1.5, [[0.5, -0.5]])
    """
    difference, scale = _differences(prediction, target, mask, reduction)
    return float((scale * np.abs(difference)).sum(dtype=np.float64)), scale * np.sign(difference)


def huber(
    prediction: Any, target: Any, mask: Any = None, reduction: str = "mean", delta: float = 1.0
) -> tuple[float, Array]:
    """Return the loss that is d² / 2 up to |d| = delta and delta (|d| - delta / 2) beyond, d = prediction - target.

    Huber (1964), torch.nn.functional.huber_loss. Arguments and results are those of `squared_error`, and `delta`, a
    number above 0.

    Examples
    --------
    >>> from fastrnn import losses
    >>> loss, d = losses.huber([[0.5, 2.0]], [[0.0, 4.0]])
    >>> loss, d.tolist()
    (0.8125, [[0.25, -0.5]])
    """
    if isinstance(delta, bool) or not isinstance(delta, (int, float, np.number)) or not 0 < delta < float("inf"):
        raise ValueError(f"delta must be a number above 0, got {delta!r}")
    difference, scale = _differences(prediction, target, mask, reduction)
    size, slope = np.abs(difference), np.clip(difference, -delta, delta)
    return float((scale * (size * np.abs(slope) - slope**2 / 2)).sum(dtype=np.float64)), scale * slope


def _differences(prediction: Any, target: Any, mask: Any, reduction: str) -> tuple[Array, Any]:
    """Return prediction - target, 0 where it does not count, and what each counts for in the loss."""
    prediction = as_array(prediction)
    dtype = precision(prediction)
    y = floating(prediction, "prediction", dtype)
    t = floating(target, "target", dtype)
    if t.shape != y.shape:
        raise ValueError(f"target must have the shape of prediction, {y.shape}, got {t.shape}")
    if mask is None:
        divisor = check_divisor(reduction, np.ones(y.shape[:1] if y.ndim else ()))
        divisor = float(y.size or 1) if reduction == "mean" else divisor
        return y - t, dtype.type(1 / divisor)
    if as_array(mask).ndim == y.ndim - 1:
        weights = np.broadcast_to(check_mask(mask, y.shape[:-1])[..., None], y.shape)
    else:
        weights = check_mask(mask, y.shape)
    scale = (weights / check_divisor(reduction, weights)).astype(dtype)
    return np.where(weights != 0, y, 0) - np.where(weights != 0, t, 0), scale
