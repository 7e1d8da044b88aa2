"""One label for a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.models._batches import Sequences, check_some
from fastrnn.models._labels import classes_of, labels_of, like, numbers_of, softmax
from fastrnn.models._sequence import Examples
from fastrnn.models._stack import StackModel
from fastrnn.train._checks import check_choice

Array = NDArray[Any]


class SequenceClassifier(StackModel):
    """A recurrent network that gives each sequence a label: many-to-one, a softmax over a state of the top layer.

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
    pooling : {"last", "mean", "max"}
        What the softmax sees: the state in which each direction ends, or the mean or the largest of all outputs.
    embedding_size : int, optional
        Columns of an embedding of ids or symbols; by default there is none, and they go in as one-hot rows.
    dropout : float
        Probability with which training drops a value of the embedding, between two layers of the stack, and below the
        softmax; never one that goes from step to step (Zaremba et al. 2014).
    max_vocab : int, optional
        Of symbols: keeps only that many of the most frequent, the others count as one. Of ids: they run from 0 to
        max_vocab - 1; by default to the largest in training.
    standardize : bool
        Whether features are brought to mean 0 and standard deviation 1 by what they have in training.
    dtype : {"float32", "float64"}
        Of parameters and computation.
    random_state : int, optional
        Makes `fit` reproducible to the bit on one instruction set.

    Attributes
    ----------
    classes_ : array
        The labels, sorted, in the order of the columns of `predict_proba`.
    embedding_, recurrent_, output_ : Embedding or None, a recurrent layer, Dense
        The layers.
    vocabulary_ : list of str or None
        The symbols by their ids, the most frequent first; the id after the last is that of all others.
    history_ : dict
        "loss" and "validation_loss": the mean cross-entropy in nats after each epoch.
    real_share_ : float
        The share of the steps of the last epoch's batches that was no padding.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.models import SequenceClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(5, 15), 2)) for _ in range(200)]
    >>> y = ["up" if x[:, 0].sum() > 0 else "down" for x in X]
    >>> model = SequenceClassifier(hidden_size=16, random_state=0).fit(X, y, learning_rate=1e-2, verbose=0)
    >>> model.predict(X[:3]).tolist() == y[:3], model.score(X, y) > 0.9
    (True, True)
    """

    _estimator_type = "classifier"
    _labels = True

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        pooling: str = "last",
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
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.max_vocab = max_vocab
        self.standardize = standardize
        self.dtype = dtype
        self.random_state = random_state

    def predict(self, X: Any, lengths: Any = None) -> Array:
        """Return the likeliest label of each sequence, (N,)."""
        logits = self._logits(X, lengths)[1]
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X: Any, lengths: Any = None) -> Array:
        """Return the odds of each label, (N, K), in the order of `classes_`."""
        return softmax(self._logits(X, lengths)[1])

    def score(self, X: Any, y: Any, lengths: Any = None) -> float:
        """Return the share of sequences whose label is predicted."""
        given, logits = self._logits(X, lengths)
        check_some(given)
        return float(np.mean(self.classes_[logits.argmax(axis=1)] == like(labels_of(y, len(given)), self.classes_)))

    def _logits(self, X: Any, lengths: Any) -> tuple[Sequences, Array]:
        self._check_fitted()
        given = self._given(X, lengths)
        return given, self._outputs(self.coder_.encode(given))

    def _check(self) -> None:
        check_choice(self.pooling, "pooling", ("last", "mean", "max"))
        super()._check()

    def _as_result(self, outputs: Array) -> Array:
        return softmax(outputs)

    def _learn(self, X: Sequences, y: Any, rng: np.random.Generator, classes: Array | None) -> None:
        self.classes_ = classes_of(labels_of(y, len(X))) if classes is None else classes
        self._build(X, len(self.classes_), rng)

    def _examples(self, X: Sequences, y: Any) -> Examples:
        return Examples(self.coder_.encode(X), numbers_of(labels_of(y, len(X)), self.classes_))

    def _targets(self, examples: Examples, rows: Array) -> Array:
        return examples.targets[rows]

    def _head(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int, Array, dict[str, Array]]:
        loss, dh, grads = self.output_.cross_entropy(h, targets)
        return loss, len(targets), dh, grads

    def _head_loss(self, h: Array, targets: Array, lengths: Array) -> tuple[float, int]:
        return self.output_.cross_entropy_loss(h, targets), len(targets)

    def _get_fitted(self) -> dict[str, Any]:
        return super()._get_fitted() | {"classes": self.classes_.tolist()}

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        super()._set_fitted(layers, fitted)
        self.classes_ = np.array(fitted["classes"])
