"""The two layers around the recurrence: a matrix and a bias, and a table of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._pointwise import DenseBase, EmbeddingBase, PointwiseTape
from fastrnn.layers._targets import check_targets
from fastrnn.layers.sparse import SparseRows
from fastrnn.reference.losses import softmax_cross_entropy

Array = NDArray[Any]


class Embedding(EmbeddingBase):
    """y = weight[id], a row of a (V, E) table; torch.nn.Embedding. The same as a one-hot row times the table.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    dtype, seed, sparse_grad, init
        As of the recurrent layers; the default draws from N(0, 1).
    """

    def __call__(self, ids: Any) -> Array:
        """Return the rows (..., E) of integer ids (...)."""
        return self.forward(ids)[0]

    def forward(self, ids: Any) -> tuple[Array, PointwiseTape]:
        """Return the rows (..., E) of integer ids (...), and the tape for `backward`."""
        ids = self._check_ids(ids)
        return self._parameters["weight"].value[ids], self._new_tape(ids)

    def backward(self, tape: PointwiseTape, dy: Any, *, retain: bool = False) -> tuple[None, dict[str, Any]]:
        """Return None (ids have no gradient), and the table's: each row the sum of dy where its id stood."""
        ids, dy = self._check_tape(tape, dy, self.embedding_dim)
        weight = np.zeros((self.num_embeddings, self.embedding_dim), self.dtype)
        np.add.at(weight, ids, dy)
        if not retain:
            tape.x = None
        if self.sparse_grad:
            read = np.unique(ids)
            return None, {"weight": SparseRows(read, weight[read], weight.shape)}
        return None, {"weight": weight}


class Dense(DenseBase):
    """y = weight x + bias at every position; torch.nn.Linear.

    Parameters
    ----------
    in_features, out_features : int
        The widths of x and y.
    bias : bool
        Whether a bias is added.
    dtype, seed, init
        As of the recurrent layers.
    tied : Embedding, optional
        Whose table is this layer's weight too (Inan, Khosravi and Socher 2017; Press and Wolf 2017).
    """

    def __call__(self, x: Any) -> Array:
        """Return y (..., out) of x (..., in)."""
        return self.forward(x)[0]

    def forward(self, x: Any) -> tuple[Array, PointwiseTape]:
        """Return y (..., out) of x (..., in), and the tape for `backward`."""
        x = self._check_input(x, "x")
        y = x @ self._parameters["weight"].value.T
        if self.bias:
            y = y + self._parameters["bias"].value
        return y, self._new_tape(x)

    def backward(self, tape: PointwiseTape, dy: Any, *, retain: bool = False) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of x and of the parameters."""
        x, dy = self._check_tape(tape, dy, self.out_features)
        if not retain:
            tape.x = None
        rows = dy.reshape(-1, self.out_features)
        grads = {"weight": rows.T @ x.reshape(-1, self.in_features)}
        if self.bias:
            grads["bias"] = rows.sum(axis=0)
        return dy @ self._parameters["weight"].value, grads

    def cross_entropy(
        self, h: Any, targets: Any, mask: Any = None, reduction: str = "mean"
    ) -> tuple[float, Array, dict[str, Array]]:
        """Return the softmax cross-entropy of y = weight h + bias, dL/dh, and the gradients of the parameters.

        The arguments are those of `fastrnn.reference.losses.softmax_cross_entropy`.
        """
        logits, tape = self.forward(self._counted(h, targets, mask))
        loss, dlogits = softmax_cross_entropy(logits, targets, mask, reduction)
        return loss, *self.backward(tape, dlogits)

    def cross_entropy_loss(self, h: Any, targets: Any, mask: Any = None, reduction: str = "mean") -> float:
        """Return the loss of `cross_entropy` alone."""
        return softmax_cross_entropy(self(self._counted(h, targets, mask)), targets, mask, reduction)[0]

    def _counted(self, h: Any, targets: Any, mask: Any) -> Array:
        """Return h with zeros where a position does not count, so that nothing there reaches a product."""
        h = self._check_input(h, "h")
        _, weights = check_targets(targets, mask, h.shape[:-1], self.out_features)
        return np.where(weights[..., None] != 0, h, 0)
