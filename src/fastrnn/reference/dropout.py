"""Dropout masks from a counter: every value is a function of where it is used, so no order of drawing exists.

Variational dropout is that of Gal and Ghahramani (2016): a mask for each row of the batch, the same at every step.

Dropout is that of Srivastava et al. (2014), inverted (kept values are scaled by 1 / (1 - p), as torch does) and placed
between the layers of a stack only (Zaremba, Sutskever and Vinyals 2014; torch.nn.LSTM's ``dropout``). The 64-bit hash
is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), the 32-bit one "lowbias32" of C. Wellons.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)
GOLDEN_32 = np.uint32(0x9E3779B9)


class Masks(NamedTuple):
    """What is drawn within a layer and direction for one call; None where nothing is."""

    input: Array | None = None  # [N, I], on the layer's input
    state: Array | None = None  # [N, P], on h as the recurrent weights read it
    held: tuple[Array, ...] | None = None  # zoneout's d of h [T, N, P] and, of an LSTM, of c [T, N, H]


def masked(array: Array, mask: Array | None) -> Array:
    """Return an array times a mask, where there is one."""
    return array if mask is None else array * mask


def dropout_mask(
    seed: int, count: int, layer: int, shape: tuple[int, int, int], p: float, dtype: np.dtype[Any]
) -> Array:
    """Return the mask [T, N, J] on the output of ``layer`` in forward call number ``count``: 0, or 1 / (1 - p)."""
    T, N, J = shape
    t = np.arange(T, dtype="uint64").reshape(T, 1, 1)
    n = np.arange(N, dtype="uint64").reshape(1, N, 1)
    j = np.arange(J, dtype="uint32").reshape(1, 1, J)
    key = np.full((1, 1, 1), seed, dtype="uint64")  # arrays all, because scalars warn when they wrap
    for value in (np.full_like(key, count), np.full_like(key, layer), t, n):
        key = mix64(key + GOLDEN_64 * (value + np.uint64(1)))
    low, high = key.astype("uint32"), (key >> np.uint64(32)).astype("uint32")
    uniform = lowbias32(lowbias32(low + j * GOLDEN_32) ^ high)  # [T, N, J], uniform over 0 ... 2**32 - 1
    kept = uniform >= np.uint64(p * 2**32)
    scale = dtype.type(1) / (dtype.type(1) - dtype.type(p)) if p < 1 else dtype.type(0)
    mask: Array = np.where(kept, scale, dtype.type(0))
    return mask


def mix64(z: Array) -> Array:
    """Return a scrambled copy of 64-bit integers, one to one."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return z


def lowbias32(x: Array) -> Array:
    """Return a scrambled copy of 32-bit integers, one to one."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    x = x ^ (x >> np.uint32(16))
    return x
