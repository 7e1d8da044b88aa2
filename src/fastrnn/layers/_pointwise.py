"""What `Dense` and `Embedding` are made of, whoever does the arithmetic: parameters, checks and the tape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import array_of, floating
from fastrnn.layers._initial import dense_values, embedding_values
from fastrnn.layers._module import Layer, check_dtype, check_seed, check_size
from fastrnn.layers._parameter import Parameter

Array = NDArray[Any]


@dataclass(eq=False)
class PointwiseTape:
    """What a `forward` call keeps: a reference to its input. Spent by one `backward` unless that retains it."""

    layer: Layer
    versions: tuple[int, ...]
    x: Array | None = field(repr=False)


class Pointwise(Layer):
    """A layer that treats every position alike."""

    def _versions(self) -> tuple[int, ...]:
        return tuple(parameter.version for parameter in self._parameters.values())

    def _new_tape(self, x: Array) -> PointwiseTape:
        return PointwiseTape(self, self._versions(), x)

    def _check_tape(self, tape: PointwiseTape, dy: Any, width: int) -> tuple[Array, Array]:
        """Return the input of a forward pass and the gradient of its output, after all checks."""
        if not isinstance(tape, PointwiseTape):
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


class EmbeddingBase(Pointwise):
    """The constructor and the checks of an embedding."""

    _fixed = (*Layer._fixed, "num_embeddings", "embedding_dim")

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: Any = "float32",
        seed: int | None = None,
        init: str | float = "default",
        sparse_grad: bool = False,
    ) -> None:
        self.num_embeddings = check_size(num_embeddings, "num_embeddings")
        self.embedding_dim = check_size(embedding_dim, "embedding_dim")
        self.dtype, self.seed, self.init = check_dtype(dtype), check_seed(seed), init
        self.sparse_grad = bool(sparse_grad)
        values = embedding_values(self.num_embeddings, self.embedding_dim, init, self.seed, self.dtype)
        self._parameters = {name: Parameter(name, value) for name, value in values.items()}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("num_embeddings", "embedding_dim", "seed", "init", "sparse_grad")
        return {name: getattr(self, name) for name in names} | {"dtype": self.dtype.name}

    def _check_ids(self, ids: Any) -> Array:
        """Return a copy of the ids, which nobody changes before `backward`."""
        ids = array_of(ids, "ids")
        if ids.dtype.kind not in "iu":
            raise TypeError(f"ids must be integers, got dtype {ids.dtype}")
        ids = np.array(ids, np.int64, order="C")
        wrong = (ids < 0) | (ids >= self.num_embeddings)
        if wrong.any():
            raise ValueError(f"ids must be from 0 to {self.num_embeddings - 1}, got {ids[wrong][0]}")
        return ids


class DenseBase(Pointwise):
    """The constructor and the checks of a dense layer."""

    _fixed = (*Layer._fixed, "in_features", "out_features", "bias")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        seed: int | None = None,
        init: str | float = "default",
        tied: EmbeddingBase | None = None,
    ) -> None:
        self.in_features = check_size(in_features, "in_features")
        self.out_features = check_size(out_features, "out_features")
        self.bias = bool(bias)
        self.dtype, self.seed, self.init = check_dtype(dtype), check_seed(seed), init
        values = dense_values(self.in_features, self.out_features, self.bias, init, self.seed, self.dtype)
        self._parameters = {name: Parameter(name, value) for name, value in values.items()}
        if tied is not None:
            self._parameters["weight"] = self._shared(tied)

    def _shared(self, tied: EmbeddingBase) -> Parameter:
        if not isinstance(tied, EmbeddingBase):
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

    def _check_input(self, value: Any, name: str) -> Array:
        x = floating(value, name, self.dtype)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"{name} must have the shape (..., {self.in_features}), got {x.shape}")
        return x
