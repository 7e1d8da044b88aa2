"""A table of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._pointwise import EmbeddingBase, PointwiseTape
from fastrnn.layers.sparse import SparseRows, touched

Array = NDArray[Any]


class Embedding(EmbeddingBase):
    """y = weight[id], a row of a (V, E) table: the same as a one-hot row times the table (torch.nn.Embedding).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    dtype : {"float32", "float64"}
        Of the table and of y.
    seed : int, optional
        Makes the initial table reproducible.
    init : {"default", "torch"} or float
        Standard normal numbers, torch's choice too; or U(-init, init).
    sparse_grad : bool
        Whether `backward` gives the gradient as `SparseRows`, a row for each id that occurred (torch's `sparse`): for
        tables so large that a dense gradient costs more than all else. SGD and Adagrad take it.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> embedding = fastrnn.Embedding(10, 4, seed=0)
    >>> y, tape = embedding.forward(np.array([[1, 2, 1]]))
    >>> _, grads = embedding.backward(tape, np.ones_like(y))
    >>> y.shape, grads["weight"][:3, 0].tolist()
    ((1, 3, 4), [0.0, 2.0, 1.0])
    """

    def __call__(self, ids: Any) -> Array:
        """Return the rows (..., E) of integer ids (...), each from 0 to V - 1."""
        return self._parameters["weight"].value[self._check_ids(ids)]

    def forward(self, ids: Any) -> tuple[Array, PointwiseTape]:
        """Return the rows (..., E) of integer ids (...), and the tape for `backward`."""
        checked = self._check_ids(ids)
        return self._parameters["weight"].value[checked], self._new_tape(checked)

    def backward(self, tape: PointwiseTape, dy: Any, *, retain: bool = False) -> tuple[None, dict[str, Any]]:
        """Return None (ids have no gradient), and the table's: each row the sum of dy (..., E) where its id stood."""
        ids, dy = self._check_tape(tape, dy, self.embedding_dim)
        shape = (self.num_embeddings, self.embedding_dim)
        read, places = touched(ids) if self.sparse_grad else (None, ids)
        weight = np.zeros(shape if read is None else (len(read), self.embedding_dim), self.dtype)
        rows = np.ascontiguousarray(dy).reshape(-1, self.embedding_dim)
        _engine.load(self.dtype).add_rows(np.ascontiguousarray(places).ravel(), rows, weight)
        if not retain:
            tape.x = None
        return None, {"weight": weight if read is None else SparseRows(read, weight, shape)}
