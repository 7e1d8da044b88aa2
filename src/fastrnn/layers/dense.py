"""A matrix and a bias at every position, and the loss of a softmax over its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._pointwise import DenseBase, PointwiseTape
from fastrnn.layers._targets import check_divisor, check_targets

Array = NDArray[Any]


class Dense(DenseBase):
    """y = weight x + bias at every position (torch.nn.Linear).

    Parameters
    ----------
    in_features, out_features : int
        The widths of x and y.
    bias : bool
        Whether a bias is added.
    dtype : {"float32", "float64"}
        Of parameters and results.
    seed : int, optional
        Makes initial values reproducible.
    init : {"default", "torch"} or float
        Glorot uniform weights and a zero bias; torch's U(-1/sqrt(in), 1/sqrt(in)); or U(-init, init).
    tied : Embedding, optional
        Whose (out, in) table is this layer's weight too (Inan, Khosravi and Socher 2017; Press and Wolf 2017).

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(5, 3, seed=0)
    >>> y, tape = dense.forward(np.ones((2, 4, 5), "float32"))
    >>> dx, grads = dense.backward(tape, np.ones_like(y))
    >>> y.shape, dx.shape, grads["weight"].shape
    ((2, 4, 3), (2, 4, 5), (3, 5))
    """

    _transient = ("_packed",)
    _packed: tuple[tuple[int, ...], Any] | None = None

    def __call__(self, x: Any) -> Array:
        """Return y (..., out) of x (..., in)."""
        return self._outputs(self._check_input(x, "x"))

    def forward(self, x: Any) -> tuple[Array, PointwiseTape]:
        """Return y (..., out) of x (..., in), and the tape for `backward`, which keeps a reference to x."""
        x = self._check_input(x, "x")
        return self._outputs(x), self._new_tape(x)

    def backward(self, tape: PointwiseTape, dy: Any, *, retain: bool = False) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of x and of the parameters from that of y (..., out)."""
        x, dy = self._check_tape(tape, dy, self.out_features)
        dx = np.empty(x.shape, self.dtype)
        grads = self._room()
        _engine.load(self.dtype).dense_backward(
            self._matrix(), self._rows(x), self._rows(dy), self._rows(dx), grads["weight"], grads.get("bias")
        )
        if not retain:
            tape.x = None
        return dx, grads

    def cross_entropy(
        self, h: Any, targets: Any, mask: Any = None, reduction: str = "mean"
    ) -> tuple[float, Array, dict[str, Array]]:
        """Return the softmax cross-entropy of y = weight h + bias, its gradient with respect to h, and the parameters'.

        One sweep over blocks of rows: however many classes, the logits of all positions are never held at once.

        Parameters
        ----------
        h : array
            (..., in).
        targets : array of int
            (...), from 0 to out - 1, or -100 for a position that does not count.
        mask : array, optional
            (...), booleans, or weights of the positions. Nothing at a position that does not count, nan included,
            reaches a result.
        reduction : {"mean", "sum", "time_sum"}
            Divide the sum by the sum of the weights, by nothing, or by the length of the first axis (of a batch-first
            h: the sum over time of batch means).

        Returns
        -------
        loss : float
            0 where nothing counts.
        dh : array
            In the shape of h.
        grads : dict
            {"weight": (out, in), "bias": (out,)}.
        """
        h = self._check_input(h, "h")
        dh, grads = np.zeros(h.shape, self.dtype), self._room()
        return self._sweep(h, targets, mask, reduction, dh, grads), dh, grads

    def cross_entropy_loss(self, h: Any, targets: Any, mask: Any = None, reduction: str = "mean") -> float:
        """Return the loss of `cross_entropy` alone, at a third of its work."""
        return self._sweep(self._check_input(h, "h"), targets, mask, reduction, None, {})

    def _sweep(
        self, h: Array, targets: Any, mask: Any, reduction: str, dh: Array | None, grads: dict[str, Array]
    ) -> float:
        targets, weights = check_targets(targets, mask, h.shape[:-1], self.out_features)
        divisor = check_divisor(reduction, weights)
        rows = np.flatnonzero(weights)
        scale, losses = weights.ravel()[rows] / divisor, np.empty(len(rows))
        _engine.load(self.dtype).dense_cross_entropy(
            self._matrix(), self._rows(h), rows, targets.ravel()[rows].astype(np.int64), scale, losses,
            None if dh is None else self._rows(dh), grads.get("weight"), grads.get("bias"),
        )  # fmt: skip
        return float(scale @ losses)

    def _outputs(self, x: Array) -> Array:
        y = np.empty((*x.shape[:-1], self.out_features), self.dtype)
        _engine.load(self.dtype).dense_forward(self._matrix(), self._rows(x), self._rows(y))
        return y

    def _rows(self, array: Array) -> Array:
        """Return (..., K) as contiguous rows (M, K); a view of what is contiguous."""
        return np.ascontiguousarray(array).reshape(-1, array.shape[-1])

    def _room(self) -> dict[str, Array]:
        """Return arrays for the gradients of the parameters."""
        engine = _engine.load(self.dtype)
        return {name: engine.pooled(parameter.stored.shape) for name, parameter in self._parameters.items()}

    def _matrix(self) -> Any:
        """Return the packed parameters, packed again when they have changed."""
        versions = self._versions()
        if self._packed is None or self._packed[0] != versions:
            stored = [parameter.stored for parameter in self._parameters.values()] + ([] if self.bias else [None])
            self._packed = (versions, _engine.load(self.dtype).Matrix(*stored))
        return self._packed[1]
