"""What the models of whole sequences share: what they are given, batches of about one length, and training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrnn import optim
from fastrnn.layers._module import check_dtype, check_number, check_size
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._batches import (
    Sequences,
    batches_by_length,
    batches_in_order,
    check_some,
    finite,
    real_share,
    sequences,
)
from fastrnn.models._labels import classes_of
from fastrnn.models._language_layers import CELLS, renew_dropout
from fastrnn.models._model import Model, generator
from fastrnn.train._checks import check_choice
from fastrnn.train.checkpoints import fingerprint
from fastrnn.train.loop import Task, Update, train
from fastrnn.train.options import OPTIMIZERS, Options, options_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """Inputs with their targets, as ids or numbers."""

    inputs: Sequences
    targets: Any  # an array (N, ...), or Sequences

    def arrays(self) -> Iterator[Array]:
        """Give all there is."""
        yield self.inputs.lengths
        yield from self.inputs.real()
        yield from self.targets.real() if isinstance(self.targets, Sequences) else [self.targets]


class SequenceModel(Model):
    """The base of `SequenceClassifier`, `SequenceTagger`, `SequenceRegressor` and `EncoderDecoder`."""

    _numbers: ClassVar[bool] = False  # whether integers are numbers and no ids
    _labels: ClassVar[bool] = False  # whether y holds labels
    _estimator_type: ClassVar[str | None] = None  # "classifier" or "regressor", as scikit-learn means it
    cell: str
    hidden_size: int
    num_layers: int
    embedding_size: int | None
    dropout: float
    max_vocab: int | None
    dtype: Any
    random_state: int | None
    history_: dict[str, list[float]]
    classes_: Array  # where y holds labels
    random_state_: np.random.Generator
    real_share_: float
    _order: int  # a seed of the order of the batches

    @property
    def _unit(self) -> str:
        """What a progress bar counts, and losses are means over."""
        return "sequence"

    def _check(self) -> None:
        """Refuse wrong arguments of the constructor."""
        check_choice(self.cell, "cell", CELLS)
        check_size(self.hidden_size, "hidden_size")
        check_size(self.num_layers, "num_layers")
        check_dtype(self.dtype)
        check_number(self.dropout, "dropout", below=1)
        for name in ("embedding_size", "max_vocab"):
            if getattr(self, name) is not None:
                check_size(getattr(self, name), name)

    def _learn(self, X: Sequences, y: Any, rng: np.random.Generator, classes: Array | None) -> None:
        """Set what is learned before training: vocabularies, classes (as given or None), scales, and the layers."""
        raise AssertionError("every model defines _learn")

    def _examples(self, X: Sequences, y: Any) -> Examples:
        """Return the inputs and targets in the model's own terms."""
        raise AssertionError("every model defines _examples")

    def _cut(self, examples: Examples, T: int) -> Examples:
        """Return pieces of at most T steps."""
        raise ValueError(f"sequence_length must be None for {type(self).__name__}, got {T}")

    def _count(self, examples: Examples) -> int:
        """Return of how many units the mean loss of all examples is the mean."""
        return len(examples.inputs)

    def _gradients(self, examples: Examples, rows: Array) -> Update:
        """Return the loss and the gradients of some rows, with dropout."""
        raise AssertionError("every model defines _gradients")

    def _evaluate(self, examples: Examples, rows: Array) -> tuple[float, int]:
        """Return the mean loss of some rows, and of how many units it is the mean."""
        raise AssertionError("every model defines _evaluate")

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        lengths: Any = None,
        validation: Any = None,
        epochs: int = 10,
        batch_size: int = 32,
        sequence_length: int | None = None,
        optimizer: str = "adam",
        learning_rate: float = 4e-3,
        schedule: Any = "linear",
        clip_norm: float | None = 1.0,
        verbose: int = 1,
        **training: Any,
    ) -> Any:
        """Train from new initial values, on batches of sequences of about one length, by back-propagation through time.

        Parameters
        ----------
        X : list or array
            A list of sequences of any lengths: arrays of ids (T,), of features (T, I) or of a single feature (T,),
            strings (their characters are the symbols) or lists of strings (words); or a padded array of ids (N, T) or
            features (N, T, I), which may be a memory map.
        y : list or array
            The targets, one for each sequence.
        lengths : array of int, optional
            (N,), of the rows of a padded X; by default all are full.
        validation : tuple, optional
            (X, y) or (X, y, lengths), evaluated after each epoch.
        epochs : int
            How often all sequences are read.
        batch_size : int
            Sequences at an update.
        sequence_length : int, optional
            Cuts longer sequences into pieces of so many steps, each read from a zero state; only for models that have
            an output at every step.
        optimizer, learning_rate, schedule, clip_norm, verbose, **training
            As of `fastrnn.train.Options`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; the model is as it was before.
        FloatingPointError
            Training diverged; the model is as it was before.

        Warns
        -----
        fastrnn.train.Interrupted
            Ctrl-C ends the training, and the model keeps the best it was.
        """
        options = options_of({
            "epochs": epochs, "optimizer": optimizer, "learning_rate": learning_rate, "schedule": schedule,
            "clip_norm": clip_norm, "verbose": verbose, **training,
        })  # fmt: skip
        N, given = check_size(batch_size, "batch_size"), self._given(X, lengths)
        check_some(given)
        before = dict(self.__dict__)
        try:
            self._start(given, y)
            examples = self._examples(given, y)
            if sequence_length is not None:
                examples = self._cut(examples, check_size(sequence_length, "sequence_length"))
            self._train(examples, None if validation is None else self._held_out(validation), N, options)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def _start(self, X: Sequences, y: Any, classes: Array | None = None) -> None:
        """Set all that training starts from."""
        self._check()
        rng = generator(self.random_state)
        self._order = int(rng.integers(2**63))
        self._learn(X, y, rng, classes)
        self.random_state_ = rng
        self.history_ = {"loss": [], "validation_loss": []}
        self.__dict__.pop("optimizer_", None)

    def _train(self, examples: Examples, held_out: Examples | None, batch_size: int, options: Options) -> None:
        lengths = examples.inputs.lengths

        def epoch(number: int, done: int, carried: Any) -> Iterator[Update]:
            batches = batches_by_length(lengths, batch_size, np.random.default_rng([self._order, number]))
            self.real_share_ = real_share(lengths, batches)
            for rows in batches[done:]:
                yield self._gradients(examples, rows)

        task = Task(
            epoch=epoch, size=self._count(examples), unit=self._unit, figures=lambda loss: f"loss {loss:.4f}",
            validate=None if held_out is None else lambda: self._loss(held_out),
            settings={"batch_size": batch_size}, fingerprint=lambda: fingerprint(*examples.arrays()),
        )  # fmt: skip
        train(self, task, options)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        *,
        lengths: Any = None,
        optimizer: str = "adam",
        learning_rate: float = 4e-3,
        clip_norm: float | None = 1.0,
    ) -> Any:
        """Make one update by all sequences given, as one batch; the first call makes the layers.

        So data of any size can be read batch by batch, from whatever iterates over it. What the first call sees decides
        the vocabulary (or the largest id), the classes and the scales. The optimizer goes on from call to call.

        Parameters
        ----------
        X, y, lengths, optimizer, learning_rate, clip_norm
            As of `fit`.
        classes : array, optional
            At the first call all labels that a classifier or tagger will meet, by default those in y; later ones may
            repeat it.

        Returns
        -------
        self
        """
        options = Options(1, optimizer, learning_rate, "constant", clip_norm, verbose=0)
        if classes is not None:
            if not self._labels:
                raise TypeError(f"classes must be None, since a {type(self).__name__} has none")
            classes = classes_of(classes, "classes")
        given = self._given(X, lengths)
        check_some(given)
        before = dict(self.__dict__)
        try:
            if not hasattr(self, "history_"):
                self._start(given, y, classes)
            if classes is not None and not np.array_equal(classes, self.classes_):
                first, got = self.classes_.tolist(), classes.tolist()
                raise ValueError(f"classes must be those of the first call, {first}, got {got}")
            self._renew_dropout()
            loss, _, grads, _ = self._gradients(self._examples(given, y), np.arange(len(given)))
        except BaseException:
            self.__dict__ = before
            raise
        if type(getattr(self, "optimizer_", None)) is not OPTIMIZERS[optimizer]:
            self.optimizer_ = options.new_optimizer(self)
        norm = 0.0 if clip_norm is None else optim.clip_grad_norm(grads, clip_norm)
        if not math.isfinite(loss + norm):
            self.__dict__ = before
            raise FloatingPointError(f"the loss is {loss} and the norm of the gradient {norm}: nothing was changed")
        self.optimizer_.lr = learning_rate
        self.optimizer_.step(grads)
        self.history_["loss"].append(loss)
        return self

    @property
    def _dropout_between(self) -> float:
        """The dropout of a stack's layers, which a single one warns of."""
        return self.dropout if self.num_layers > 1 else 0.0

    def _renew_dropout(self) -> None:
        self._check()
        for layer in self.layers.values():
            if isinstance(layer, Recurrent):
                renew_dropout(self, layer)

    def _drop(self, h: Array) -> tuple[Array, Array | None]:
        """Return h with dropout, and by what its gradient is to be multiplied."""
        if not self.dropout:
            return h, None
        kept = (self.random_state_.random(h.shape, "float32") >= self.dropout).astype(h.dtype)
        kept /= 1 - self.dropout
        return h * kept, kept

    def _loss(self, examples: Examples) -> float:
        """Return the mean loss."""
        parts = [self._evaluate(examples, rows) for rows in batches_in_order(examples.inputs.lengths)]
        return sum(loss * count for loss, count in parts) / max(sum(count for _, count in parts), 1)

    def _held_out(self, validation: Any) -> Examples:
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
            raise ValueError("validation must be (X, y) or (X, y, lengths)")
        X, y, lengths = (*validation, None)[:3]
        given = self._given(X, lengths, "X of validation")
        check_some(given, "X of validation")
        return self._examples(given, y)

    def _given(self, X: Any, lengths: Any, name: str = "X") -> Sequences:
        return finite(sequences(X, lengths, name, self._numbers), name)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn, which alone asks, what this is."""
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        kind = self._estimator_type
        return Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if kind == "classifier" else None,
            regressor_tags=RegressorTags() if kind == "regressor" else None,
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether `fit` was called."""
        return hasattr(self, "history_")

    def _get_fitted(self) -> dict[str, Any]:
        return {
            "history": self.history_,
            "random_state": self.random_state_.bit_generator.state,
            "order": self._order,
        }

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        self.history_, self._order = fitted["history"], fitted["order"]
        self.random_state_ = np.random.default_rng()
        self.random_state_.bit_generator.state = fitted["random_state"]
