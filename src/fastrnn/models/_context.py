"""One to many: texts that are each written from a vector or a class, through a learned initial state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import Dense
from fastrnn.layers._parameter import as_array
from fastrnn.layers._targets import IGNORED
from fastrnn.models._batches import batches_by_length
from fastrnn.models.vocabulary import Vocabulary

Array = NDArray[Any]


@dataclass(frozen=True)
class Contexts:
    """What texts are written from: vectors (M, width), or one of some classes each."""

    width: int
    classes: list[Any] | None

    @classmethod
    def of(cls, context: Any) -> Contexts:
        """Return what there is in the contexts of a training."""
        array = as_array(context)
        if array.ndim == 2 and array.dtype.kind in "fiu" and array.shape[1] > 0:
            return cls(array.shape[1], None)
        if array.ndim == 1 and array.dtype.kind in "iuU":
            classes = np.unique(array).tolist()
            return cls(len(classes), classes)
        raise ValueError(
            f"context must be vectors (M, C) or classes (M,), integers or strings, got {array.dtype} {array.shape}"
        )

    def rows(self, context: Any, count: int | None, dtype: Any) -> Array:
        """Return contexts as vectors (M, width), M being `count` where that is given; a class as a one-hot row."""
        array = as_array(context)
        expected = (self.width,) if self.classes is None else ()
        shape = ("M" if count is None else count, *expected)
        if array.ndim != len(shape) or array.shape[1:] != expected or count not in (None, len(array)):
            raise ValueError(f"context must have the shape {shape}, got {array.shape}")
        if self.classes is None:
            return np.asarray(array, dtype)
        unknown = set(array.tolist()) - set(self.classes)
        if unknown:
            raise ValueError(f"context must be of the classes {self.classes}, got {sorted(unknown)}")
        places = [self.classes.index(value) for value in array.tolist()]
        rows: Array = np.eye(self.width, dtype=dtype)[places]
        return rows


class Start:
    """The initial state of a stack: tanh(weight context + bias), one row for each text, and its gradients."""

    def __init__(self, dense: Dense, recurrent: Any, rows: Array) -> None:
        self.dense, self.shape = dense, (len(rows), -1, recurrent.num_layers, recurrent.hidden_size)
        z, self.tape = dense.forward(rows)
        self.values = np.tanh(z)
        parts = tuple(self.values.reshape(self.shape).transpose(1, 2, 0, 3))
        self.state = parts[0] if len(parts) == 1 else parts

    def backward(self, dstate: Any) -> dict[str, Array]:
        """Return the gradients of weight and bias from that of the state."""
        parts = np.stack(dstate if isinstance(dstate, tuple) else (dstate,))
        dz = parts.transpose(2, 0, 1, 3).reshape(self.values.shape) * (1 - self.values**2)
        return self.dense.backward(self.tape, dz)[1]


@dataclass(frozen=True)
class Texts:
    """Texts by the ids of their symbols, a line break before and after each, and their contexts as vectors."""

    ids: list[Array]
    rows: Array

    @classmethod
    def of(cls, texts: Sequence[str], rows: Array, vocabulary: Vocabulary) -> Texts:
        """Return texts as ids."""
        return cls([vocabulary.encode(f"\n{text}\n") for text in texts], rows)

    @property
    def targets(self) -> int:
        """How many symbols are predicted."""
        return sum(len(ids) - 1 for ids in self.ids)

    def batches(self, N: int, rng: np.random.Generator | None) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Give ids and targets (n, T), lengths (n,) and contexts of N texts after the other, in any order by `rng`."""
        lengths = np.array([len(ids) - 1 for ids in self.ids])
        if rng is None:
            pieces = np.split(np.argsort(lengths, kind="stable"), range(N, len(lengths), N))
        else:
            pieces = batches_by_length(lengths, N, rng)
        for chosen in pieces:
            T = lengths[chosen].max()
            inputs = np.zeros((len(chosen), T), np.int32)
            targets = np.full((len(chosen), T), IGNORED, np.int32)
            for n, k in enumerate(chosen):
                inputs[n, : lengths[k]], targets[n, : lengths[k]] = self.ids[k][:-1], self.ids[k][1:]
            yield inputs, targets, lengths[chosen], self.rows[chosen]


def check_texts(texts: Any, name: str) -> list[str]:
    """Return a list of strings, at least one."""
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} must be a list of strings, one for each context, got {type(texts).__name__}")
    if not texts:
        raise ValueError(f"{name} must have at least one text, got none")
    return list(texts)
