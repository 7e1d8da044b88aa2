"""The two layers around the recurrence: a matrix and a bias, and a table of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import floating
from fastrnn.layers._initial import dense_values, embedding_values
from fastrnn.layers._module import Layer, check_dtype, check_seed, check_size
from fastrnn.layers._parameter import Parameter, as_array
from fastrnn.reference.losses import check_targets, softmax_cross_entropy

Array = NDArray[Any]


@dataclass(eq=False)
class Tape:
    """What a `forward` call keeps: a reference to its input. Spent by one `backward` unless that retains it."""

    layer: Layer
    versions: tuple[int, ...]
    x: Array | None


class Pointwise(Layer):
    """A layer that treats every position alike; the base of `Dense` and `Embedding`."""

    def _versions(self) -> tuple[int, ...]:
        return tuple(parameter.version for parameter in self._parameters.values())

    def _check(self, tape: Tape, dy: Any, width: int) -> tuple[Array, Array]:
        """Return the input of a forward pass and the gradient of its output, after all checks."""
        if not isinstance(tape, Tape):
            raise TypeError(f"tape must come from this layer's forward, got {type(tape).__name__}")
        if tape.layer is not self:
            raise ValueError(f"tape was made by another layer, {tape.layer!r}")
        if tape.x is None:
            raise ValueError("tape is spent: one backward uses it up, unless called with retain=True")
        if tape.versions != self._versions():
            raise ValueError("tape is older than the layer's parameters, which have changed since its forward")
        gradient = floating(dy, "dy", self.dtype)
        positions = tape.x.shape if tape.x.dtype.kind in "iu" else tape.x.shape[:-1]
        if gradient.shape != (*positions, width):
            raise ValueError(f"dy must have the shape of y, {(*positions, width)}, got {gradient.shape}")
        return tape.x, gradient


class Embedding(Pointwise):
    """y = weight[id], a row of a (V, E) table; torch.nn.Embedding. The same as a one-hot row times the table.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    dtype, seed, init
        As of the recurrent layers; the default draws from N(0, 1).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: Any = "float32",
        seed: int | None = None,
        init: str | float = "default",
    ) -> None:
        self.num_embeddings = check_size(num_embeddings, "num_embeddings")
        self.embedding_dim = check_size(embedding_dim, "embedding_dim")
        self.dtype, self.seed, self.init = check_dtype(dtype), check_seed(seed), init
        values = embedding_values(self.num_embeddings, self.embedding_dim, init, self.seed, self.dtype)
        self._parameters = {name: Parameter(name, value) for name, value in values.items()}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("num_embeddings", "embedding_dim", "seed", "init")
        return {name: getattr(self, name) for name in names} | {"dtype": self.dtype.name}

    def __call__(self, ids: Any) -> Array:
        """Return the rows (..., E) of integer ids (...)."""
        return self.forward(ids)[0]

    def forward(self, ids: Any) -> tuple[Array, Tape]:
        """Return the rows (..., E) of integer ids (...), and the tape for `backward`."""
        ids = as_array(ids)
        if ids.dtype.kind not in "iu":
            raise TypeError(f"ids must be integers, got dtype {ids.dtype}")
        wrong = (ids < 0) | (ids >= self.num_embeddings)
        if wrong.any():
            raise ValueError(f"ids must be from 0 to {self.num_embeddings - 1}, got {ids[wrong][0]}")
        return self._parameters["weight"].value[ids], Tape(self, self._versions(), ids)

    def backward(self, tape: Tape, dy: Any, *, retain: bool = False) -> tuple[None, dict[str, Array]]:
        """Return None (ids have no gradient), and the table's: each row the sum of dy where its id stood."""
        ids, dy = self._check(tape, dy, self.embedding_dim)
        weight = np.zeros((self.num_embeddings, self.embedding_dim), self.dtype)
        np.add.at(weight, ids, dy)
        if not retain:
            tape.x = None
        return None, {"weight": weight}


class Dense(Pointwise):
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

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        seed: int | None = None,
        init: str | float = "default",
        tied: Embedding | None = None,
    ) -> None:
        self.in_features = check_size(in_features, "in_features")
        self.out_features = check_size(out_features, "out_features")
        self.bias = bool(bias)
        self.dtype, self.seed, self.init = check_dtype(dtype), check_seed(seed), init
        values = dense_values(self.in_features, self.out_features, self.bias, init, self.seed, self.dtype)
        self._parameters = {name: Parameter(name, value) for name, value in values.items()}
        if tied is not None:
            self._parameters["weight"] = self._shared(tied)

    def _shared(self, tied: Embedding) -> Parameter:
        if not isinstance(tied, Embedding):
            raise TypeError(f"tied must be an Embedding, got {type(tied).__name__}")
        if (tied.num_embeddings, tied.embedding_dim) != (self.out_features, self.in_features):
            raise ValueError(
                f"tied must be an Embedding of {self.out_features} rows of {self.in_features}, "
                f"got {tied.num_embeddings} rows of {tied.embedding_dim}"
            )
        if tied.dtype != self.dtype:
            raise ValueError(f"tied must have dtype {self.dtype}, got {tied.dtype}")
        return tied._parameters["weight"]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("in_features", "out_features", "bias", "seed", "init")
        return {name: getattr(self, name) for name in names} | {"dtype": self.dtype.name}

    def __call__(self, x: Any) -> Array:
        """Return y (..., out) of x (..., in)."""
        return self.forward(x)[0]

    def forward(self, x: Any) -> tuple[Array, Tape]:
        """Return y (..., out) of x (..., in), and the tape for `backward`."""
        x = self._input(x, "x")
        y = x @ self._parameters["weight"].value.T
        if self.bias:
            y = y + self._parameters["bias"].value
        return y, Tape(self, self._versions(), x)

    def backward(self, tape: Tape, dy: Any, *, retain: bool = False) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of x and of the parameters."""
        x, dy = self._check(tape, dy, self.out_features)
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
        h = self._input(h, "h")
        _, weights = check_targets(targets, mask, h.shape[:-1], self.out_features)
        return np.where(weights[..., None] != 0, h, 0)

    def _input(self, value: Any, name: str) -> Array:
        x = floating(value, name, self.dtype)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"{name} must have the shape (..., {self.in_features}), got {x.shape}")
        return x
