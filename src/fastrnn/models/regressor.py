"""Numbers for a sequence, or for each of its steps, and the future of a series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import losses
from fastrnn.layers._arguments import floating
from fastrnn.layers._module import check_number, check_size
from fastrnn.models._batches import Sequences, check_some, finite, next_steps, sequences
from fastrnn.models._coder import Scale
from fastrnn.models._sequence import Examples
from fastrnn.models._stack import StackModel
from fastrnn.models.tagger import together
from fastrnn.train._checks import check_choice

Array = NDArray[Any]

LOSSES: dict[str, Callable[..., tuple[float, Array]]] = {
    "squared": losses.squared_error, "absolute": losses.absolute_error, "huber": losses.huber,
}  # fmt: skip


class SequenceRegressor(StackModel):
    """A recurrent network that gives numbers: many-to-one, or many-to-many with ``pooling=None``.

    Integers in X are numbers, not ids. Without y, `fit` learns to predict each series' next step, and `forecast`
    continues a series.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm"}
        The recurrent layers; "rnn" has tanh units.
    hidden_size : int
        H, units in each layer and direction.
    num_layers : int
        Layers in the stack.
    bidirectional : bool
        Whether a second set of parameters reads each sequence from its end.
    pooling : {"last", "mean", "max", None}
        What the output is made from, as in `SequenceClassifier`; None makes one at every step.
    loss : {"squared", "absolute", "huber"}
        What is minimised.
    delta : float
        Of the Huber loss: where it goes over from squares to absolute values.
    embedding_size, dropout, max_vocab, dtype, random_state
        As of `SequenceClassifier`; the first and the third matter for symbols only.
    standardize : bool
        Whether X and y are brought to mean 0 and standard deviation 1 by what they have in training; the losses, and
        delta, are then in that scale of y, and predictions in the original one.

    Attributes
    ----------
    embedding_, recurrent_, output_, vocabulary_, real_share_
        As of `SequenceClassifier`.
    history_ : dict
        "loss" and "validation_loss": the mean loss over all numbers after each epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.models import SequenceRegressor
    >>> series = [np.sin(0.3 * np.arange(60) + phase) for phase in range(8)]
    >>> model = SequenceRegressor(pooling=None, hidden_size=16, random_state=0)
    >>> model = model.fit(series, epochs=100, learning_rate=1e-2, verbose=0)
    >>> future = model.forecast([np.sin(0.3 * np.arange(40))], steps=5)[0]
    >>> bool(np.abs(future - np.sin(0.3 * np.arange(40, 45))).max() < 0.2)
    True
    """

    _numbers = True
    _estimator_type = "regressor"
    target_scale_: Scale | None
    _flat: bool  # whether targets came without an axis of their own, and so predictions go

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        pooling: str | None = "last",
        loss: str = "squared",
        delta: float = 1.0,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        max_vocab: int | None = None,
        standardize: bool = True,
        dtype: Any = "float32",
        random_state: int | None = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.loss = loss
        self.delta = delta
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.max_vocab = max_vocab
        self.standardize = standardize
        self.dtype = dtype
        self.random_state = random_state

    @property
    def _unit(self) -> str:
        return "step" if self._pooling is None else "sequence"

    def predict(self, X: Any, lengths: Any = None) -> Any:
        """Return the numbers of each sequence, (N,) or (N, K), or of each step.

        With ``pooling=None`` these are a list of arrays (T_n,) or (T_n, K), or (N, T) or (N, T, K) for an array without
        lengths. There is an axis K where y had one in training.
        """
        self._check_fitted()
        given = self._given(X, lengths)
        outputs = self._outputs(self.coder_.encode(given))
        if self._pooling is not None:
            return self._as_result(outputs)
        none = np.empty((0, self.output_.out_features))
        return together([self._as_result(row) for row in outputs], given, self._as_result(none))

    def score(self, X: Any, y: Any = None, lengths: Any = None) -> float:
        """Return R², the share of the variance of y that is predicted, over all steps; the mean over the K numbers."""
        self._check_fitted()
        given = self._given(X, lengths)
        check_some(given)
        inputs, targets = self._pairs(given, y)
        self._check_width(targets)
        outputs, true = self._outputs(self.coder_.encode(inputs)), targets
        if isinstance(targets, Sequences):
            outputs, true = np.concatenate(outputs), np.concatenate(list(targets.real()))
        residual = ((true - self._unscaled(outputs)) ** 2).sum(axis=0)
        total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(total > 0, 1 - residual / total, np.where(residual > 0, 0.0, 1.0))  # as scikit-learn
        return float(shares.mean())

    def forecast(self, X: Any, steps: int, lengths: Any = None) -> Array:
        """Return how series go on, (N, steps) or (N, steps, K): each prediction is the input of the next step.

        Parameters
        ----------
        X, lengths
            The series so far, as in `fit`.
        steps : int
            How many steps to predict.

        Raises
        ------
        ValueError
            The model's outputs cannot be its inputs: it was trained with another number of targets than features, is
            bidirectional, or pools the states of all steps.
        """
        self._check_fitted()
        count = check_size(steps, "steps", least=0)
        if self.recurrent_.bidirectional or self._pooling not in (None, "last"):
            raise ValueError('forecast needs bidirectional=False and pooling=None or "last"')
        coder, K = self.coder_, self.output_.out_features
        if coder.kind != "features" or K != coder.size:
            inputs = f"{coder.size} features" if coder.kind == "features" else coder.kind
            raise ValueError(f"forecast needs outputs that can be inputs, got {K} numbers for {inputs}")
        given = coder.encode(self._given(X, lengths))
        if not len(given):
            return self._given_form(np.empty((0, count, K)))
        x, counts = coder.batch(given, np.arange(len(given)), self.recurrent_.dtype)
        state = self.recurrent_(x, lengths=counts)[1]
        h = (state[0] if isinstance(state, tuple) else state)[-1]
        stream = self.recurrent_.stream(len(x))
        stream.state = state
        series = np.empty((len(x), count, K))
        for step in range(count):
            series[:, step] = self._unscaled(self.output_(h))
            if step + 1 < count:
                x = series[:, step].astype(self.recurrent_.dtype)
                h = stream.step(x if coder.scale is None else coder.scale.scaled(x))
        return self._given_form(series)

    def _check(self) -> None:
        super()._check()
        check_choice(self.loss, "loss", LOSSES)
        check_number(self.delta, "delta", above=True)

    def _pairs(self, X: Sequences, y: Any) -> tuple[Sequences, Any]:
        """Return the inputs and the targets (N, K), or Sequences of (T_n, K); without y the next step of X."""
        if self._pooling is not None:
            if y is None:
                raise ValueError("y can be left out, for the next step of X, only with pooling=None")
            numbers = floating(y, "y", np.dtype(np.float64))
            if numbers.ndim not in (1, 2) or len(numbers) != len(X):
                raise ValueError(f"y must have the shape {(len(X),)} or ({len(X)}, K), got {numbers.shape}")
            numbers = numbers.reshape(len(X), -1)
            wrong = np.argwhere(~np.isfinite(numbers))
            if len(wrong):
                raise ValueError(f"y must hold finite numbers, got {numbers[tuple(wrong[0])]} in row {wrong[0][0]}")
            return X, numbers
        if y is None:
            if X.kind != "features":
                raise TypeError(f"y can be left out, for the next step of X, only where X holds numbers, not {X.kind}")
            if X.lengths.max(initial=0) < 2:
                raise ValueError("X must hold a sequence of at least 2 steps where y is left out, got none")
            return next_steps(X)
        padded = not isinstance(y, (list, tuple)) and np.asarray(y).dtype != object
        targets = finite(sequences(y, X.lengths if padded else None, "y", numbers=True), "y")
        if not np.array_equal(targets.lengths, X.lengths):
            raise ValueError("y must have as many steps as X in every sequence")
        return X, targets

    def _learn(self, X: Sequences, y: Any, rng: np.random.Generator, classes: Array | None) -> None:
        inputs, targets = self._pairs(X, y)
        self._flat = targets.flat if isinstance(targets, Sequences) else np.ndim(y) == 1
        self.target_scale_ = Scale.of(targets) if self.standardize else None
        self._build(inputs, width_of(targets), rng)

    def _examples(self, X: Sequences, y: Any) -> Examples:
        inputs, targets = self._pairs(X, y)
        self._check_width(targets)
        return Examples(self.coder_.encode(inputs), targets)

    def _check_width(self, targets: Any) -> None:
        K, width = self.output_.out_features, width_of(targets)
        if width != K:
            raise ValueError(f"y must have {K} numbers, as in training, got {width}")

    def _count(self, examples: Examples) -> int:
        return int(examples.inputs.lengths.sum()) if self._pooling is None else len(examples.inputs)

    def _targets(self, examples: Examples, rows: Array) -> Array:
        targets = examples.targets
        numbers = targets.batch(rows, np.float64)[0] if isinstance(targets, Sequences) else targets[rows]
        return numbers if self.target_scale_ is None else self.target_scale_.scaled(numbers)

    def _head(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int, Array, dict[str, Array]]:
        y, tape = self.output_.forward(h)
        loss, dy, count = self._compare(y, targets, lengths)
        return loss, count, *self.output_.backward(tape, dy)

    def _head_loss(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int]:
        loss, _, count = self._compare(self.output_(h), targets, lengths)
        return loss, count

    def _compare(self, y: Array, targets: Array, lengths: Array) -> tuple[float, Array, int]:
        """Return the mean loss over all real outputs, its gradient, and of how many steps or sequences they are."""
        options = {"delta": self.delta} if self.loss == "huber" else {}
        real = None if self._pooling is not None else np.arange(y.shape[1]) < lengths[:, None]
        loss, dy = LOSSES[self.loss](y, targets, real, **options)
        return loss, dy, len(y) if real is None else int(lengths.sum())

    def _unscaled(self, outputs: Array) -> Array:
        """Return outputs of the head in the scale of the targets."""
        return outputs if self.target_scale_ is None else self.target_scale_.unscaled(outputs)

    def _as_result(self, outputs: Array) -> Array:
        return self._given_form(self._unscaled(outputs))

    def _given_form(self, numbers: Array) -> Array:
        """Return (..., K), or (...,) where that is how the targets came."""
        return numbers[..., 0] if self._flat else numbers

    def _get_fitted(self) -> dict[str, Any]:
        return super()._get_fitted() | {
            "target_scale": None if self.target_scale_ is None else asdict(self.target_scale_),
            "flat": self._flat,
        }

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        super()._set_fitted(layers, fitted)
        scale = fitted["target_scale"]
        self.target_scale_, self._flat = None if scale is None else Scale(**scale), fitted["flat"]


def width_of(targets: Any) -> int:
    """Return K."""
    return targets.width if isinstance(targets, Sequences) else targets.shape[1]
