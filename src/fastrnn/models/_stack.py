"""One stack of layers that reads sequences, and a head on its states: what classifier, tagger and regressor share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import Dense, Embedding
from fastrnn.layers._module import Layer
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._batches import Sequences, batches_in_order
from fastrnn.models._coder import Coder
from fastrnn.models._language_layers import CELLS
from fastrnn.models._live import LiveModel
from fastrnn.models._pooling import POOLINGS
from fastrnn.models._sequence import Examples, SequenceModel
from fastrnn.train._checks import check_choice
from fastrnn.train.loop import Gradients, Update

Array = NDArray[Any]


class StackModel(SequenceModel):
    """An embedding or none, a stack, a pooling of its states, and a dense layer."""

    bidirectional: bool
    pooling: str | None = None
    standardize: bool

    coder_: Coder
    embedding_: Embedding | None
    recurrent_: Recurrent
    output_: Dense
    _pooling: str | None  # that of the fit, which `set_params` leaves alone

    def _head(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int, Array, dict[str, Array]]:
        """Return the mean loss, of how many units, the gradient of h, and those of the head's parameters."""
        raise AssertionError("every model defines _head")

    def _head_loss(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int]:
        """Return the mean loss, and of how many units."""
        raise AssertionError("every model defines _head_loss")

    def _targets(self, examples: Examples, rows: Array) -> Array:
        """Return the targets of some rows, padded as these are."""
        raise AssertionError("every model defines _targets")

    @property
    def layers(self) -> dict[str, Layer]:
        self._check_fitted()
        named = {"embedding": self.embedding_, "recurrent": self.recurrent_, "output": self.output_}
        return {name: layer for name, layer in named.items() if layer is not None}

    def _check(self) -> None:
        super()._check()
        check_choice(self.pooling, "pooling", POOLINGS)

    def _start(self, X: Sequences, y: Any, classes: Array | None = None) -> None:
        self._pooling = self.pooling
        super()._start(X, y, classes)

    @property
    def vocabulary_(self) -> list[str] | None:
        """The symbols by their ids, the most frequent first; the id after the last is that of all others."""
        self._check_fitted()
        return self.coder_.vocabulary

    def stream(self, batch_size: int = 1) -> LiveModel:
        """Return the model as a `LiveModel`, which takes one step of `batch_size` rows at a time.

        Raises
        ------
        ValueError
            The model is bidirectional, or pools the states of all steps.
        """
        self._check_fitted()
        if self.recurrent_.bidirectional or self._pooling not in (None, "last"):
            raise ValueError('stream needs bidirectional=False and pooling=None or "last"')
        model = copy.copy(self)  # which keeps the layers of this fit
        return LiveModel(model, model._as_result, batch_size)

    def _as_result(self, outputs: Array) -> Array:
        """Return what the head's outputs (..., K) mean: odds or numbers."""
        raise AssertionError("every model defines _as_result")

    def _build(self, X: Sequences, outputs: int, rng: np.random.Generator) -> None:
        """Make the layers for such inputs and so many outputs."""
        self.coder_ = coder = Coder.of(X, self.max_vocab, self.standardize)
        seeds, E = rng.integers(2**63, size=3), None if coder.kind == "features" else self.embedding_size
        self.embedding_ = None if E is None else Embedding(coder.size, E, dtype=self.dtype, seed=seeds[0])
        self.recurrent_ = CELLS[self.cell](
            coder.size if E is None else E, self.hidden_size, self.num_layers, bidirectional=self.bidirectional,
            dropout=self._dropout_between, dtype=self.dtype, seed=seeds[1],
        )  # fmt: skip
        width = (2 if self.bidirectional else 1) * self.hidden_size
        self.output_ = Dense(width, outputs, dtype=self.dtype, seed=seeds[2])

    def _gradients(self, examples: Examples, rows: Array) -> Update:
        x, lengths = self.coder_.batch(examples.inputs, rows, self.recurrent_.dtype)
        below, embedded = (x, None) if self.embedding_ is None else self.embedding_.forward(x)
        below, kept_below = (below, None) if embedded is None else self._drop(below)
        y, state, tape = self.recurrent_.forward(below, lengths=lengths)
        pooled, back = POOLINGS[self._pooling](y, state, lengths)
        h, kept = self._drop(pooled)
        loss, count, dh, output = self._head(h, self._targets(examples, rows), lengths)
        dx, _, recurrent = self.recurrent_.backward(tape, *back(dh if kept is None else dh * kept))
        grads: Gradients = {"recurrent": recurrent, "output": output}
        if self.embedding_ is not None and embedded is not None:
            dx = dx if kept_below is None else dx * kept_below
            grads["embedding"] = self.embedding_.backward(embedded, dx)[1]
        return Update(loss, count, grads)

    def _states(self, X: Sequences, rows: Array) -> tuple[Array, Array]:
        """Return what the head reads of some rows, and their lengths."""
        x, lengths = self.coder_.batch(X, rows, self.recurrent_.dtype)
        y, state = self.recurrent_(x if self.embedding_ is None else self.embedding_(x), lengths=lengths)
        return POOLINGS[self._pooling](y, state, lengths)[0], lengths

    def _cut(self, examples: Examples, T: int) -> Examples:
        if self._pooling is not None:
            raise ValueError(f"sequence_length needs an output at every step, got pooling={self._pooling!r}")
        return Examples(examples.inputs.cut(T), examples.targets.cut(T))

    def _evaluate(self, examples: Examples, rows: Array) -> tuple[float, int]:
        h, lengths = self._states(examples.inputs, rows)
        return self._head_loss(h, self._targets(examples, rows), lengths)

    def _outputs(self, X: Sequences) -> Any:
        """Return the head's outputs, (N, K) or a list of (T_n, K)."""
        results: Any = [None] * len(X) if self._pooling is None else np.empty((len(X), self.output_.out_features))
        for rows in batches_in_order(X.lengths):
            h, lengths = self._states(X, rows)
            y = self.output_(h).astype(np.float64)
            if self._pooling is not None:
                results[rows] = y
                continue
            for row, values, length in zip(rows, y, lengths, strict=True):
                results[row] = values[:length]
        return results

    def _get_fitted(self) -> dict[str, Any]:
        return super()._get_fitted() | {"coder": self.coder_.record(), "pooling": self._pooling}

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        super()._set_fitted(layers, fitted)
        self.embedding_, self.recurrent_, self.output_ = layers.get("embedding"), layers["recurrent"], layers["output"]
        self.coder_, self._pooling = Coder.restored(fitted["coder"]), fitted["pooling"]
