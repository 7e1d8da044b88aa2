"""Gradients of tables of which few rows were read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import array_of

Array = NDArray[Any]


class SparseRows:
    """A matrix that is zero but for some of its rows, or, `transposed`, some of its columns.

    It is what `backward` gives for the parameter that integer ids read from, where the layer was made with
    ``sparse_grad=True``: a row for every id that occurred, and time and memory that do not grow with the vocabulary.
    `optim.SGD` and `optim.Adagrad` take it where the update is that of the dense gradient, and refuse it otherwise.

    Parameters
    ----------
    indices : array of int
        (K,), ascending, none twice: which rows (columns).
    values : array
        (K, J), float32 or float64: the rows, or the columns as rows.
    shape : pair of ints
        (V, J), or (J, V) where transposed.
    transposed : bool
        Whether the values are columns, as in a recurrent layer's `weight_ih_l0` (G·H, I).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> embedding = fastrnn.Embedding(5, 2, sparse_grad=True)
    >>> y, tape = embedding.forward([3, 1, 3])
    >>> rows = embedding.backward(tape, np.ones_like(y))[1]["weight"]
    >>> rows.indices.tolist(), rows.values.tolist()
    ([1, 3], [[1.0, 1.0], [2.0, 2.0]])
    >>> rows.to_dense()[:, 0].tolist()
    [0.0, 1.0, 0.0, 2.0, 0.0]
    """

    def __init__(self, indices: Any, values: Any, shape: tuple[int, int], transposed: bool = False) -> None:
        indices, values = array_of(indices, "indices"), array_of(values, "values")
        if indices.dtype.kind not in "iu" and indices.size:
            raise TypeError(f"indices must be integers, got dtype {indices.dtype}")
        if values.dtype.name not in ("float32", "float64"):
            raise TypeError(f"values must be float32 or float64, got dtype {values.dtype}")
        self.indices: Array = indices.astype(np.int64)
        self.values: Array = values
        self.shape, self.transposed = (int(shape[0]), int(shape[1])), bool(transposed)
        V, J = self.shape[::-1] if transposed else self.shape
        if self.indices.ndim != 1 or values.shape != (len(self.indices), J):
            raise ValueError(f"values must have the shape ({self.indices.size}, {J}), got {values.shape}")
        if len(self.indices) and (self.indices[0] < 0 or self.indices[-1] >= V or (np.diff(self.indices) <= 0).any()):
            raise ValueError(f"indices must ascend from 0 to {V - 1}, none twice")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the values."""
        return self.values.dtype

    def to_dense(self) -> Array:
        """Return the whole matrix."""
        dense = np.zeros(self.shape[::-1] if self.transposed else self.shape, self.dtype)
        dense[self.indices] = self.values
        return dense.T if self.transposed else dense

    def __repr__(self) -> str:
        what = "columns" if self.transposed else "rows"
        return f"{type(self).__name__}({len(self.indices)} {what} of {self.shape}, {self.dtype})"


def touched(ids: Array, active: Array | None = None) -> tuple[Array, Array]:
    """Return the ids that occur, ascending, and for each place of `ids` which of them stands there.

    active: where ids are real, bool of their shape; elsewhere the second array holds 0.
    """
    indices, ranks = np.unique(ids if active is None else ids[active], return_inverse=True)
    if active is None:
        return indices, ranks.reshape(ids.shape)
    places = np.zeros(ids.shape, np.int64)
    places[active] = ranks
    return indices, places
