"""Weights of low precision: the arithmetic of `layer.quantize`, in exact products.

A `RoundedMatrix` or `QuantizedMatrix` stands where a float matrix stands in the cells' equations, and rounds what it is
multiplied by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.reference.sequence import bfloat16

Array = NDArray[Any]

PRECISIONS = ("bfloat16", "int8")


def levels(rows: Array) -> tuple[Array, Array]:
    """Return rows (..., K) as integers from -127 to 127, and the scale (..., 1) that each row's are multiplied by.

    q = round(x · 127 / max |x|), ties to even, in float32; rows of zeros, or smaller than 1e-30, have the scale 0.
    """
    rows = np.asarray(rows, np.float32)
    most = np.abs(rows).max(axis=-1, keepdims=True)
    most = np.where(most > 1e-30, most, np.float32(0))
    factor = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    return np.rint(rows * factor).astype(np.int64), most / np.float32(127)


class RoundedMatrix(np.ndarray[Any, Any]):
    """A matrix (G·H, K) of numbers of bfloat16; ``rows @ matrix.T`` rounds the rows likewise."""

    def __rmatmul__(self, rows: Any) -> Any:  # self is a transpose, or a part of one
        return bfloat16(np.asarray(rows)) @ np.asarray(self)


class QuantizedMatrix(np.ndarray[Any, Any]):
    """A matrix (G·H, K) of integer levels times each row's scale; ``rows @ matrix.T`` rounds the rows likewise."""

    def __rmatmul__(self, rows: Any) -> Any:  # self is a transpose, or a part of one
        q, scale = levels(rows)
        return scale * (q @ np.asarray(self))


def quantized(matrix: Array, precision: str) -> Array:
    """Return a weight matrix (G·H, K) as a layer of low precision has it, in float64."""
    if precision == "bfloat16":
        return bfloat16(matrix.astype(np.float64)).view(RoundedMatrix)
    q, scale = levels(matrix)
    return (q * scale.astype(np.float64)).view(QuantizedMatrix)
