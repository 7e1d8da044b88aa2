"""The course's columns and the engine's rows, and layers that hold the course's parameters.

The course writes an example as a column: x (n_x, m, T_x), W x + b. The engine writes it as a row: x (T, N, I). To get
from one to the other all axes are turned round, which is what NumPy's ``.T`` does: x.T is (T_x, m, n_x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import Dense
from fastrnn.layers._arguments import floating

Array = NDArray[Any]
Parameters = Mapping[str, Any]


def softmax(x: Any) -> Array:
    """Return exp(x) / Σ exp(x), the sum going down each column (axis 0).

    The largest number of a column is taken off first: it changes nothing but that exp cannot overflow.

    Examples
    --------
    >>> from fastrnn import course
    >>> course.softmax([[0.0, 1000.0], [0.0, 0.0]]).tolist()
    [[0.5, 1.0], [0.5, 0.0]]
    """
    x = column(x, "x")
    e = _engine.elementary("exp", np.ascontiguousarray(x - x.max(axis=0)))
    return e / e.sum(axis=0)


def sigmoid(x: Any) -> Array:
    """Return 1 / (1 + exp(-x)).

    Examples
    --------
    >>> from fastrnn import course
    >>> course.sigmoid([0.0]).tolist()
    [0.5]
    """
    return _engine.elementary("sigmoid", np.ascontiguousarray(column(x, "x")))


def column(value: Any, name: str, *shape: int | None) -> Array:
    """Return an array of float64, after a check of its shape, in which None is any size."""
    array = floating(value, name, np.dtype("float64"))
    fits = array.ndim == len(shape) and all(n in (None, size) for n, size in zip(shape, array.shape, strict=True))
    if shape and not fits:
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have the shape ({expected}), got {array.shape}")
    return array


def parameter(parameters: Parameters, name: str, *shape: int | None) -> Array:
    """Return one of the parameters, checked as `column` does."""
    if name not in parameters:
        raise ValueError(f"parameters must have {name}, got {', '.join(parameters)}")
    return column(parameters[name], f"parameters[{name!r}]", *shape)


def layer_with(kind: Callable[..., Any], inputs: int, outputs: int, **values: Array) -> Any:
    """Return a float64 layer of these sizes with these parameters, to be used at once and not kept.

    What is not given stays zero, as does the second of the engine's two recurrent biases, where the course has one.
    """
    layer = _made(kind, inputs, outputs, get_ident())
    held = layer.parameters
    if not all(np.array_equal(held[name], value) for name, value in values.items()):  # else they are packed already
        layer.set_parameters(**values)
    return layer


@lru_cache(maxsize=16)
def _made(kind: Callable[..., Any], inputs: int, outputs: int, thread: int) -> Any:
    """One layer for each size, so that a cell in a loop makes none anew; and for each thread, as its values change."""
    options = {} if kind is Dense else {"batch_first": False}
    return kind(inputs, outputs, dtype="float64", init=0, **options)


def logits(a: Array, parameters: Parameters, weight: str) -> Array:
    """Return Wy a + by in rows, (..., n_y), for a in columns, (n_a, ...)."""
    n_a = len(a)
    W = parameter(parameters, weight, None, n_a)
    dense = layer_with(Dense, n_a, len(W), weight=W, bias=parameter(parameters, "by", len(W), 1)[:, 0])
    return dense(a.T)
