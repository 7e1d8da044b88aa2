"""One to many: texts that are each written from a vector or a class, through a learned initial state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import Dense
from fastrnn.layers._parameter import as_array
from fastrnn.layers._targets import IGNORED
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._batches import batches_by_length
from fastrnn.models._model import Model
from fastrnn.models._text import Text
from fastrnn.models._window import Network, Windows, figures_of
from fastrnn.models.vocabulary import Vocabulary
from fastrnn.train.checkpoints import fingerprint
from fastrnn.train.loop import Task, Update, train
from fastrnn.train.options import Options

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


class ContextModel(Model):
    """What `LanguageModel` does with contexts: it learns texts that are written from them, and knows how good it is."""

    level: str
    dtype: Any
    num_layers: int
    hidden_size: int
    init: str | float
    recurrent_: Recurrent
    output_: Dense
    vocabulary_: Vocabulary
    random_state_: np.random.Generator
    context_: Dense | None
    _contexts: Contexts | None
    _order: int  # seeds the order of texts

    def _build(self, source: Text) -> None:
        """Make the vocabulary and new layers."""
        raise AssertionError("LanguageModel defines _build")

    def _network(self) -> Network:
        """Return the layers with what holds in training."""
        raise AssertionError("LanguageModel defines _network")

    def _read(self, ids: Array, state: Any = None, lengths: Any = None) -> tuple[Array, Any]:
        """Return the last layer's h (N, T, H) over ids (N, T), and the final state."""
        raise AssertionError("LanguageModel defines _read")

    def _fit_texts(self, texts: Any, validation: Any, context: Any, windows: Windows, options: Options) -> None:
        """Build a model of texts that are written from contexts, and train it."""
        texts, contexts = check_texts(texts, "text"), Contexts.of(context)
        with Text((f"\n{text}\n" for text in texts), "text", self.level) as source:
            self._build(source)
        seed, self._order = (int(one) for one in self.random_state_.integers(0, 2**63, 2))
        size = len(self.recurrent_._state_names) * self.num_layers * self.hidden_size
        self.context_ = Dense(contexts.width, size, dtype=self.dtype, init=self.init, seed=seed)
        self._contexts = contexts
        data = self._texts(texts, context, "text")
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            raise TypeError(f"validation must be a pair, texts and contexts, got {type(validation).__name__}")
        others = None if validation is None else self._texts(validation[0], validation[1], "validation")
        parts = [data] if others is None else [data, others]
        task = Task(
            lambda number, done, carried: self._updates_of_texts(data, windows, number, done),
            data.targets, self.level, figures_of(self.level),
            None if others is None else lambda: self._loss_of_texts(others, windows.batch_size),
            lambda: fingerprint(*(array for part in parts for array in (*part.ids, part.rows))),
            windows.settings(),
        )  # fmt: skip
        train(self, task, options)

    def _updates_of_texts(self, data: Texts, windows: Windows, number: int, done: int) -> Iterator[Update]:
        """Give the loss and the gradients of one batch of texts after the other."""
        network, rng = self._network(), np.random.default_rng([self._order, number])
        for inputs, targets, lengths, rows in islice(data.batches(windows.batch_size, rng), done, None):
            start = self._initial_state(rows)
            summed = windows.reduction == "time_sum"
            loss, _, dstate, grads = network.gradients(inputs, targets, start.state, summed, lengths)
            yield Update(loss, int(lengths.sum()), {**grads, "context": start.backward(dstate)})

    def _loss_of_texts(self, data: Texts, batch_size: int) -> float:
        """Return the mean loss over texts, in nats per symbol."""
        total = 0.0
        for inputs, targets, lengths, rows in data.batches(batch_size, None):
            h, _ = self._read(inputs, self._initial_state(rows).state, lengths)
            total += self.output_.cross_entropy_loss(h, targets, reduction="sum")
        return total / data.targets

    def _texts(self, texts: Any, context: Any, name: str) -> Texts:
        """Return texts and their contexts as numbers."""
        texts = check_texts(texts, name)
        return Texts.of(texts, self._rows(context, len(texts)), self.vocabulary_)

    def _rows(self, context: Any, count: int | None) -> Array:
        """Return contexts as vectors."""
        assert self._contexts is not None
        return self._contexts.rows(context, count, self.recurrent_.dtype)

    def _initial_state(self, rows: Array) -> Start:
        """Return the state from which texts are written."""
        assert self.context_ is not None
        return Start(self.context_, self.recurrent_, rows)

    def _check_context(self, context: Any) -> None:
        """Refuse a context where the model knows none, and none where it needs one."""
        known = self.__dict__.get("context_") is not None
        if known and context is None:
            raise ValueError("context must be given, since the model was fitted with contexts")
        if context is not None and not known:
            raise ValueError("context must be None, since the model was fitted without contexts")

    def _refuse_contexts(self, what: str) -> None:
        """Refuse what starts from a zero state where the model was fitted with contexts."""
        if self.__dict__.get("context_") is not None:
            raise ValueError(f"{what} takes no context, and the model was fitted with contexts: use generate(context=)")
