"""One label for each step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._targets import IGNORED
from fastrnn.models._batches import Sequences, check_some
from fastrnn.models._labels import classes_of, like, numbers_of, softmax, step_labels
from fastrnn.models._sequence import Examples
from fastrnn.models._stack import StackModel

Array = NDArray[Any]


class SequenceTagger(StackModel):
    """A recurrent network that gives each step a label: many-to-many, in both directions, a softmax at every step.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm"}
        The recurrent layers; "rnn" has tanh units.
    hidden_size : int
        H, units in each layer and direction.
    num_layers : int
        Layers in the stack.
    bidirectional : bool
        Whether a step's label depends on the steps after it too.
    embedding_size, dropout, max_vocab, standardize, dtype, random_state
        As of `SequenceClassifier`.

    Attributes
    ----------
    classes_, embedding_, recurrent_, output_, vocabulary_, history_, real_share_
        As of `SequenceClassifier`; losses are means over all steps.

    Examples
    --------
    >>> from fastrnn.models import SequenceTagger
    >>> X = [["a", "dog", "sees", "a", "cat"], ["a", "cat", "runs"], ["dogs", "run"]] * 10
    >>> y = [["D", "N", "V", "D", "N"], ["D", "N", "V"], ["N", "V"]] * 10
    >>> tagger = SequenceTagger(hidden_size=8, random_state=0).fit(X, y, epochs=20, learning_rate=1e-2, verbose=0)
    >>> [tags.tolist() for tags in tagger.predict([["a", "dog", "sees", "dogs"]])]
    [['D', 'N', 'V', 'N']]
    """

    _labels = True
    pooling = None

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        *,
        bidirectional: bool = True,
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
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.max_vocab = max_vocab
        self.standardize = standardize
        self.dtype = dtype
        self.random_state = random_state

    @property
    def _unit(self) -> str:
        return "step"

    def predict(self, X: Any, lengths: Any = None) -> Any:
        """Return the likeliest labels: a list of arrays (T_n,), or (N, T) for an array without lengths."""
        given, logits = self._logits(X, lengths)
        return together([self.classes_[row.argmax(axis=1)] for row in logits], given, self.classes_[:0])

    def predict_proba(self, X: Any, lengths: Any = None) -> Any:
        """Return the odds of each label: a list of arrays (T_n, K), or (N, T, K) for an array without lengths."""
        given, logits = self._logits(X, lengths)
        return together([softmax(row) for row in logits], given, np.empty((0, len(self.classes_))))

    def score(self, X: Any, y: Any, lengths: Any = None) -> float:
        """Return the share of steps whose label is predicted."""
        given, logits = self._logits(X, lengths)
        check_some(given)
        predicted = self.classes_[np.concatenate([row.argmax(axis=1) for row in logits])]
        return float(np.mean(predicted == like(step_labels(y, given.lengths), self.classes_)))

    def _logits(self, X: Any, lengths: Any) -> tuple[Sequences, list[Array]]:
        self._check_fitted()
        given = self._given(X, lengths)
        return given, self._outputs(self.coder_.encode(given))

    def _as_result(self, outputs: Array) -> Array:
        return softmax(outputs)

    def _learn(self, X: Sequences, y: Any, rng: np.random.Generator, classes: Array | None) -> None:
        self.classes_ = classes_of(step_labels(y, X.lengths)) if classes is None else classes
        self._build(X, len(self.classes_), rng)

    def _examples(self, X: Sequences, y: Any) -> Examples:
        numbers = numbers_of(step_labels(y, X.lengths), self.classes_)
        rows = np.split(numbers, np.cumsum(X.lengths)[:-1])
        return Examples(self.coder_.encode(X), Sequences(rows, X.lengths, "ids"))

    def _count(self, examples: Examples) -> int:
        return int(examples.inputs.lengths.sum())

    def _targets(self, examples: Examples, rows: Array) -> Array:
        targets, lengths = examples.targets.batch(rows, np.int64)
        return np.where(np.arange(targets.shape[1]) < lengths[:, None], targets, IGNORED)

    def _head(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int, Array, dict[str, Array]]:
        loss, dh, grads = self.output_.cross_entropy(h, targets)
        return loss, int(lengths.sum()), dh, grads

    def _head_loss(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int]:
        return self.output_.cross_entropy_loss(h, targets), int(lengths.sum())

    def _get_fitted(self) -> dict[str, Any]:
        return super()._get_fitted() | {"classes": self.classes_.tolist()}

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        super()._set_fitted(layers, fitted)
        self.classes_ = np.array(fitted["classes"])


def together(rows: list[Array], given: Sequences, none: Array) -> Any:
    """Return one array where the input was one without lengths, else the list; `none`: a row of no steps."""
    if not given.padded:
        return rows
    return np.stack(rows) if rows else np.empty((0, given.rows.shape[1], *none.shape[1:]), none.dtype)
