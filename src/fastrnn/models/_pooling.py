"""From the states of a sequence to one vector, and back: the last, the mean, the largest, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Back = Callable[[Array], tuple[Array | None, Any]]  # from the gradient of the pooled: those of y and of the final state


def last(y: Array, state: Any, lengths: Array | None = None) -> tuple[Array, Back]:
    """Return (N, D·H): where each direction of the top layer ended, which for the reverse one is the first step."""
    N = len(y)
    h = state[0] if isinstance(state, tuple) else state
    D = y.shape[-1] // h.shape[-1]

    def back(d: Array) -> tuple[Array | None, Any]:
        dh = np.zeros_like(h)
        dh[-D:] = d.reshape(N, D, -1).swapaxes(0, 1)
        return None, (dh, None) if isinstance(state, tuple) else dh

    return h[-D:].swapaxes(0, 1).reshape(N, -1), back


def mean(y: Array, state: Any, lengths: Array) -> tuple[Array, Back]:
    """Return (N, D·H): the mean over each row's real steps, 0 where there are none."""
    scale = (1 / np.maximum(lengths, 1)).astype(y.dtype)[:, None]
    return y.sum(axis=1) * scale, lambda d: (np.broadcast_to((d * scale)[:, None], y.shape), None)


def largest(y: Array, state: Any, lengths: Array) -> tuple[Array, Back]:
    """Return (N, D·H): each unit's largest output over a row's real steps, 0 where there are none."""
    N, T, width = y.shape
    if T == 0:
        return np.zeros((N, width), y.dtype), lambda d: (None, None)
    real = np.arange(T) < lengths[:, None]
    at = np.where(real[..., None], y, -np.inf).argmax(axis=1)[:, None]

    def back(d: Array) -> tuple[Array | None, Any]:
        dy = np.zeros_like(y)
        np.put_along_axis(dy, at, d[:, None], axis=1)
        return dy, None

    return np.take_along_axis(y, at, axis=1)[:, 0], back  # an empty row has y = 0 at step 0


def every(y: Array, state: Any, lengths: Array) -> tuple[Array, Back]:
    """Return all outputs (N, T, D·H)."""
    return y, lambda d: (d, None)


POOLINGS: dict[str | None, Callable[[Array, Any, Array], tuple[Array, Back]]] = {
    "last": last, "mean": mean, "max": largest, None: every,
}  # fmt: skip
