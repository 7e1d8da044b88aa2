"""The windows of a text, a language model's loss over one, in words too, and its gradients, dropout and penalties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import Dense, Embedding
from fastrnn.layers._module import check_size
from fastrnn.layers.recurrent import Recurrent
from fastrnn.reference.dropout import dropout_mask
from fastrnn.train._checks import check_choice
from fastrnn.train.loop import Gradients

Array = NDArray[Any]


@dataclass(frozen=True)
class Network:
    """The layers of a language model, and what holds in training only.

    Attributes
    ----------
    embedding, recurrent, output : Embedding or None, a recurrent layer, Dense
        The layers; `output` may be tied to `embedding`.
    input_dropout, output_dropout : float
        Probabilities of dropping a value of the embedding's output, and of the last layer's (Zaremba et al. 2014).
    embedding_dropout : float
        Probability of dropping a row of the embedding, in a whole window (Gal and Ghahramani 2016).
    activation, temporal : float
        Weights of the mean square of the last layer's output after dropout, and of its change from step to step before
        (Merity, McCann and Socher 2017).
    """

    embedding: Embedding | None
    recurrent: Recurrent
    output: Dense
    input_dropout: float
    output_dropout: float
    embedding_dropout: float
    activation: float
    temporal: float

    def gradients(
        self, ids: Array, targets: Array, state: Any, summed: bool, lengths: Array | None = None
    ) -> tuple[float, Any, Any, Gradients]:
        """Return a window's mean loss, without penalties, its final state, the initial state's gradient and all others.

        `ids` and `targets` are (N, T), the targets -100 from a row's length on. The gradients are those of the mean
        over N and T, or, if `summed`, of the sum over T of the means over N.
        """
        T, count = ids.shape[1], self.recurrent.forward_count
        real = None if lengths is None else np.arange(T) < lengths[:, None]
        x, embedded, rows = self._embed(ids, count)
        h, state, tape = self.recurrent.forward(x, state, lengths)
        top = self._drop(h, self.output_dropout, count, self.recurrent.num_layers - 1)
        loss, dtop, output = self.output.cross_entropy(top, targets, reduction="time_sum" if summed else "mean")
        scale = (T if real is None else real.sum() / len(real)) if summed else 1
        if self.activation:
            dtop += top.dtype.type(scale * 2 * self.activation / top.size) * top
        dh = self._drop(dtop, self.output_dropout, count, self.recurrent.num_layers - 1)
        if self.temporal and T > 1:
            dh = dh + self._temporal(h, scale, real)
        dx, dstate, recurrent = self.recurrent.backward(tape, dh)
        grads: Gradients = {"recurrent": recurrent, "output": output}
        if self.embedding is not None:
            dx = self._drop(dx, self.input_dropout, count, self.recurrent.num_layers)
            _, grads["embedding"] = self.embedding.backward(embedded, dx if rows is None else dx * rows)
            if "weight" in output and self.output._parameters["weight"] is self.embedding._parameters["weight"]:
                grads["embedding"]["weight"] += output.pop("weight")  # one parameter, one gradient, one norm
        return loss / scale, state, dstate, grads

    def _embed(self, ids: Array, count: int) -> tuple[Array, Any, Array | None]:
        """Return the stack's input, the embedding's tape, and by what each of its rows was multiplied."""
        if self.embedding is None:
            return ids, None, None
        x, tape = self.embedding.forward(ids)
        rows = None
        if self.embedding_dropout:
            seed, V = self.recurrent._dropout_seed, self.embedding.num_embeddings
            layer = self.recurrent.num_layers + 1
            mask = dropout_mask(seed, count, layer, (1, 1, V), self.embedding_dropout, x.dtype)
            rows = mask[0, 0][ids][..., None]
            x = x * rows
        return self._drop(x, self.input_dropout, count, self.recurrent.num_layers), tape, rows

    def _drop(self, x: Any, p: float, count: int, place: int) -> Any:
        """Return x (N, T, J) with values dropped, the same ones for the same count and place."""
        if not p:
            return x
        key = self.recurrent._dropout_seed, count, p
        return _engine.load(x.dtype).dropped(x.swapaxes(0, 1), key, place).swapaxes(0, 1)

    def _temporal(self, h: Array, scale: float, real: Array | None) -> Array:
        """Return the gradient of temporal · mean (h⟨t+1⟩ - h⟨t⟩)²."""
        change = np.diff(h, axis=1)
        if real is not None:
            change *= real[:, 1:, None]
        change *= h.dtype.type(scale * 2 * self.temporal / change.size)
        gradient = np.zeros_like(h)
        gradient[:, 1:] += change
        gradient[:, :-1] -= change
        return gradient


class Windows:
    """How a text is cut for training and validation, checked."""

    def __init__(self, batch_size: Any, sequence_length: Any, reduction: Any, validation_batch_size: Any) -> None:
        self.batch_size = check_size(batch_size, "batch_size")
        self.sequence_length = check_size(sequence_length, "sequence_length")
        check_choice(reduction, "reduction", ("mean", "time_sum"))
        self.reduction = str(reduction)
        self.validation_batch_size = check_size(validation_batch_size, "validation_batch_size")

    def settings(self) -> dict[str, Any]:
        """Return all of it by the names that `fit` has."""
        return dict(vars(self))


def streams(ids: Array, N: int) -> tuple[Array, Array]:
    """Return ids cut into N rows of equal length, and the ids that follow each of them."""
    length = (len(ids) - 1) // N
    inputs, targets = (part[: N * length].reshape(N, length) for part in (ids[:-1], ids[1:]))
    return inputs, targets


def perplexity_of(loss: float) -> float:
    """Return exp(loss), or infinity."""
    return math.exp(loss) if loss < 700 else math.inf


def figures_of(level: str) -> Any:
    """Return what says a loss in words for the progress bar."""
    if level == "word":
        return lambda loss: f"loss {loss:.3f}, perplexity {perplexity_of(loss):.1f}"
    return lambda loss: f"loss {loss:.3f}, {loss / math.log(2):.3f} bits/char"
