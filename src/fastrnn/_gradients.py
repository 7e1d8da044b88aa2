"""Gradients as callers hold them: by which names, and how they are clipped; `fastrnn.optim` is where users find it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._module import check_number
from fastrnn.layers.sparse import SparseRows

Array = NDArray[Any]


def clip_grad_norm(grads: Any, max_norm: float) -> float:
    """Scale gradients down, in place, where the norm of all of them together is above `max_norm`.

    The factor is max_norm / (norm + 1e-6), as torch.nn.utils.clip_grad_norm_ has it (Pascanu, Mikolov and Bengio 2013).

    Parameters
    ----------
    grads : dict, list of dicts, or dict of dicts
        The gradients, writable float32 or float64 arrays, or `SparseRows` of such.
    max_norm : float
        From 0; inf only measures.

    Returns
    -------
    float
        The Euclidean norm before, its squares summed in double precision. One that is not finite leaves the gradients
        as they are.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> grads = {"weight": np.array([[3.0, 0.0]]), "bias": np.array([4.0])}
    >>> fastrnn.optim.clip_grad_norm(grads, 1.0), grads["bias"].round(4).tolist()
    (5.0, [0.8])
    """
    limit = check_number(max_norm, "max_norm", below=None)
    arrays = writable_arrays(grads)
    squares = (
        _engine.load(array.dtype).sum_of_squares(np.require(array.ravel(order="K"), requirements="A"))
        for array in arrays
    )
    norm = math.sqrt(sum(squares))
    factor = limit / (norm + 1e-6)
    if factor < 1 and norm < math.inf:
        for array in arrays:
            array *= array.dtype.type(factor)
    return norm


def clip_grad_value(grads: Any, value: float) -> None:
    """Bring every number of the gradients into the range from -value to value, in place; nan stays nan.

    Parameters
    ----------
    grads : dict, list of dicts, or dict of dicts
        The gradients, writable float32 or float64 arrays, or `SparseRows` of such.
    value : float
        From 0.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> grads = {"weight": np.array([[3.0, -0.5]])}
    >>> fastrnn.optim.clip_grad_value(grads, 1.0)
    >>> grads["weight"].tolist()
    [[1.0, -0.5]]
    """
    limit = check_number(value, "value", below=None)
    with np.errstate(over="ignore"):  # a value beyond float32 is infinity there
        for array in writable_arrays(grads):
            np.clip(array, -limit, limit, out=array)


def leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give all that is no mapping itself, with the names that lead to it joined by dots."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def named_gradients(grads: Any) -> dict[str, Any]:
    """Return what stands in a dict, a list of dicts or a dict of dicts, by names as of an optimizer's parameters."""
    if isinstance(grads, (list, tuple)) and all(isinstance(part, Mapping) for part in grads):
        grads = dict(enumerate(grads))
    if not isinstance(grads, Mapping):
        raise TypeError(f"grads must be a dict, a list of dicts or a dict of dicts, got {type(grads).__name__}")
    return dict(leaves(grads))


def writable_arrays(grads: Any) -> list[Array]:
    """Return the gradients, or refuse them by name."""
    arrays = []
    for name, gradient in named_gradients(grads).items():
        array = gradient.values if isinstance(gradient, SparseRows) else gradient
        if not isinstance(array, np.ndarray):
            raise TypeError(f"grads must hold NumPy arrays, got {type(array).__name__} for {name}")
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"grads must be float32 or float64, got {array.dtype} for {name}")
        if not array.flags.writeable:
            raise ValueError(f"grads must be writable, but {name} is read-only")
        arrays.append(array)
    return arrays
