"""Live input: a model's outputs step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.models._batches import Sequences, sequences

Array = NDArray[Any]


class LiveModel:
    """A model that is fed one step at a time, made by `model.stream(batch_size)`.

    A step gives what `predict_proba`, or `predict` of a `SequenceRegressor`, would give at the end of all that was fed
    so far. It follows the model's parameters, and belongs to one thread at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.models import SequenceClassifier
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 2))
    >>> model = SequenceClassifier(hidden_size=4, random_state=0).fit(X, X[:, 0, 0] > 0, epochs=1, verbose=0)
    >>> live = model.stream()
    >>> odds = [live.step(x) for x in X[:1].swapaxes(0, 1)]
    >>> bool(np.allclose(odds[-1], model.predict_proba(X[:1])))
    True
    """

    def __init__(self, model: Any, outputs: Callable[[Array], Array], batch_size: int) -> None:
        self._model, self._outputs = model, outputs
        self._stream = model.recurrent_.stream(batch_size)
        self._characters = all(len(symbol) == 1 for symbol in model.coder_.vocabulary or ["none"])

    @property
    def batch_size(self) -> int:
        """The number of rows, N."""
        return self._stream.batch_size

    def step(self, x: Any) -> Array:
        """Return the outputs (N, ...) after one more step of each row.

        Parameters
        ----------
        x : array or list
            (N, I) features, or N ids or symbols, as the model was trained on; of a single row also (I,), one id or one
            symbol, and the outputs come without their axis of rows too.
        """
        model, alone = self._model, self._is_alone(x)
        x = [x] if alone else x
        if self._characters and any(isinstance(symbol, str) and len(symbol) != 1 for symbol in x):
            raise ValueError(f"x must be a single character for each row, got {x!r}")
        rows = [[symbol] for symbol in x] if model.coder_.kind == "symbols" else np.asarray(x)[:, None]
        given: Sequences = model.coder_.encode(sequences(rows, name="x", numbers=model._numbers), "x")
        if len(given) != self.batch_size:
            raise ValueError(f"x must have {self.batch_size} rows, got {len(given)}")
        inputs = model.coder_.batch(given, np.arange(len(given)), model.recurrent_.dtype)[0][:, 0]
        if not np.isfinite(inputs).all():
            raise ValueError("x must hold finite numbers, got nan or infinity")
        h = self._stream.step(inputs if model.embedding_ is None else model.embedding_(inputs))
        outputs = self._outputs(model.output_(h).astype(np.float64))
        return outputs[0] if alone else outputs

    def _is_alone(self, x: Any) -> bool:
        """Return whether x is a step of a single row, without an axis of rows."""
        coder = self._model.coder_
        return np.ndim(x) < (2 if coder.kind == "features" and coder.size > 1 else 1)

    def reset(self, rows: Any = None) -> None:
        """Begin anew, in all rows or in those that are true in `rows` (N,)."""
        self._stream.reset(rows)
