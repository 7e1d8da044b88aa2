"""How sequences become what layers read: symbols their ids, features numbers in one scale."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.models._batches import Sequences, symbols_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Scale:
    """The mean and the standard deviation of some numbers in training, column by column."""

    mean: list[float]
    deviation: list[float]  # 1 for a column that never changes

    @classmethod
    def of(cls, numbers: Array | Sequences) -> Scale:
        """Return the scale of an array (N, K), or of all real steps."""
        rows = numbers.real if isinstance(numbers, Sequences) else lambda: iter([numbers])
        width = numbers.width if isinstance(numbers, Sequences) else numbers.shape[1]
        count = max(sum(len(row) for row in rows()), 1)
        mean = sum((row.sum(axis=0, dtype=np.float64) for row in rows()), np.zeros(width)) / count
        deviation = np.sqrt(sum((((row - mean) ** 2).sum(axis=0) for row in rows()), np.zeros(width)) / count)
        return cls(mean.tolist(), np.where(deviation > 0, deviation, 1.0).tolist())

    def scaled(self, x: Array) -> Array:
        """Return x with mean 0 and deviation 1, in its own precision."""
        return ((x - np.array(self.mean)) / np.array(self.deviation)).astype(x.dtype)

    def unscaled(self, x: Array) -> Array:
        """Return what `scaled` made x from, in float64."""
        return x * np.array(self.deviation) + np.array(self.mean)


@dataclass(frozen=True)
class Coder:
    """What the training's sequences were, and so what others must be."""

    kind: str  # "ids", "features" or "symbols"
    size: int  # V or I; symbols have one id more, the last, for those that are not in the vocabulary
    vocabulary: list[str] | None = None
    scale: Scale | None = None

    @classmethod
    def of(cls, X: Sequences, max_vocab: int | None, standardize: bool = False) -> Coder:
        """Return the coder of the training's sequences."""
        if X.kind == "symbols":
            vocabulary = symbols_of(X.rows, max_vocab)
            return cls(X.kind, len(vocabulary) + 1, vocabulary)
        if X.kind == "ids":
            largest = max((int(row.max()) for row in X.real() if len(row)), default=0)
            return cls(X.kind, largest + 1 if max_vocab is None else max_vocab)
        if X.width == 0:
            raise ValueError("X must have at least one feature, got none")
        return cls(X.kind, X.width, scale=Scale.of(X) if standardize else None)

    @classmethod
    def restored(cls, record: dict[str, Any]) -> Coder:
        """Return what `record` was made of."""
        return cls(**{**record, "scale": None if record["scale"] is None else Scale(**record["scale"])})

    def record(self) -> dict[str, Any]:
        """Return all there is in the terms of JSON."""
        return asdict(self)

    def encode(self, X: Sequences, name: str = "X") -> Sequences:
        """Return sequences as ids or features, or refuse what is not of the training's kind."""
        if not X.lengths.any():  # nothing that could be of another kind
            return self._empty(X.lengths)
        if X.kind != self.kind:
            raise TypeError(f"{name} must hold {self.kind}, as in training, got {X.kind}")
        if self.vocabulary is not None:
            return X.encoded(self.vocabulary)
        if self.kind == "features":
            if X.width != self.size:
                raise ValueError(f"{name} must have {self.size} features, as in training, got {X.width}")
            return X
        for n, row in enumerate(X.real()):
            if len(row) and not 0 <= row.min() <= row.max() < self.size:
                wrong = row.min() if row.min() < 0 else row.max()
                raise ValueError(f"{name} must hold ids from 0 to {self.size - 1}, got {wrong} in row {n}")
        return X

    def _empty(self, lengths: Array) -> Sequences:
        """Return sequences without a step."""
        if self.kind == "features":
            return Sequences([np.empty((0, self.size))] * len(lengths), lengths, "features")
        return Sequences([np.empty(0, np.int64)] * len(lengths), lengths, "ids")

    def batch(self, X: Sequences, rows: Array, dtype: Any) -> tuple[Array, Array]:
        """Return some rows as (n, T) ids or (n, T, I) scaled features, zeros where padded, and their lengths."""
        x, lengths = X.batch(rows, dtype if self.kind == "features" else np.int64)
        return x if self.scale is None else self.scale.scaled(x), lengths
