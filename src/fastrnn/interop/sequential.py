"""A chain of layers that runs as the Keras model it was taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrnn.interop._functions import FUNCTIONS
from fastrnn.layers import Dense, Embedding
from fastrnn.layers._arguments import array_of
from fastrnn.layers._module import Layer
from fastrnn.layers.recurrent import Recurrent
from fastrnn.layers.stream import Stream

Array = NDArray[Any]
Masked = tuple[Array, Array | None]  # values, and which steps (N, T) are real, None where all are


class PointwiseStep(Protocol):
    """A link of the chain that treats every step alike: values and their mask to values and theirs."""

    def __call__(self, x: Array, mask: Array | None) -> Masked: ...

    def at_one_step(self, x: Array) -> Array:
        """Return what becomes of one step's values, (N, ·)."""
        ...


@dataclass(eq=False)
class RecurrentStep:
    """A recurrent layer with Keras' options: what of its output goes on, in which order, and what stands at padding."""

    layer: Recurrent
    go_backwards: bool
    return_sequences: bool
    pad: str
    stateful: bool
    state: Any = None

    def __call__(self, x: Array, mask: Array | None) -> Masked:
        turned, real = (x[:, ::-1], mask if mask is None else mask[:, ::-1]) if self.go_backwards else (x, mask)
        y, final = self.layer(turned, self.state, mask=real, pad=self.pad)
        if self.stateful:
            self.state = final
        if self.return_sequences:
            return y, mask  # of a layer that goes backwards too, whose y is turned round and whose mask is not
        if not y.shape[1]:
            raise ValueError("x must have at least one step, got none: the model gives the output of the last one")
        H = self.layer.hidden_size  # the reverse direction ends at the first step
        return np.concatenate([y[:, -1, :H], y[:, 0, H:]], axis=1), None

    def stream(self, batch_size: int) -> Stream:
        """Return the layer's stream."""
        if self.go_backwards:
            raise ValueError("a layer with go_backwards has no stream: it starts at the end")
        return self.layer.stream(batch_size)


@dataclass(eq=False)
class EmbeddingStep:
    """A table of vectors; with `mask_zero` the id 0 is padding."""

    layer: Embedding
    mask_zero: bool

    def __call__(self, x: Array, mask: Array | None) -> Masked:
        return self.layer(x), x != 0 if self.mask_zero else mask

    def at_one_step(self, x: Array) -> Array:
        return self.layer(x)


@dataclass(eq=False)
class DenseStep:
    """A dense layer and the function after it."""

    layer: Dense
    activation: str

    def __call__(self, x: Array, mask: Array | None) -> Masked:
        return FUNCTIONS[self.activation](self.layer(x)), mask

    def at_one_step(self, x: Array) -> Array:
        return FUNCTIONS[self.activation](self.layer(x))


@dataclass(eq=False)
class ActivationStep:
    """A function by itself."""

    activation: str

    def __call__(self, x: Array, mask: Array | None) -> Masked:
        return FUNCTIONS[self.activation](x), mask

    def at_one_step(self, x: Array) -> Array:
        return FUNCTIONS[self.activation](x)


@dataclass(eq=False)
class MaskingStep:
    """Steps whose features all equal a value are padding."""

    mask_value: float

    def __call__(self, x: Array, mask: Array | None) -> Masked:
        real = (x != x.dtype.type(self.mask_value)).any(axis=-1)
        return np.where(real[..., None], x, x.dtype.type(0)), real

    def at_one_step(self, x: Array) -> Array:
        return x


Step = RecurrentStep | PointwiseStep


class Sequential:
    """Layers one after the other, made by `from_keras`: a call gives what the Keras model's gives.

    Attributes
    ----------
    layers : list of RNN, LSTM, GRU, Dense and Embedding
        From the input to the output; equal recurrent layers that follow one another are one stack. They are the
        model's own: an optimizer over them changes what the model computes.

    Examples
    --------
    >>> import fastrnn, keras, numpy as np
    >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(5), keras.layers.Dense(2)])
    >>> model, x = fastrnn.interop.from_keras(model), np.ones((1, 4, 3), "float32")
    >>> stream = model.stream()
    >>> steps = [stream.step(x[:, t]) for t in range(4)]
    >>> bool((steps[-1] == model(x)).all())
    True
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)

    @property
    def layers(self) -> list[Layer]:
        return [step.layer for step in self._steps if hasattr(step, "layer")]

    def __call__(self, x: Any, mask: Any = None) -> Array:
        """Return the model's output.

        Parameters
        ----------
        x : array
            (N, T, I) floating, or ids (N, T) where the model begins with an embedding.
        mask : array of bool, optional
            (N, T): which steps are real; masks that the model's own layers make take its place.

        Returns
        -------
        y : array
            (N, T, ·), or (N, ·) where the last recurrent layer does not return sequences.
        """
        values, real = array_of(x, "x"), None if mask is None else array_of(mask, "mask")
        for step in self._steps:
            values, real = step(values, real)
        return values

    def reset_state(self) -> None:
        """Let the layers that were stateful in Keras start from zeros again."""
        for step in self._steps:
            if isinstance(step, RecurrentStep):
                step.state = None

    def stream(self, batch_size: int = 1) -> SequentialStream:
        """Return a stream that steps `batch_size` rows one input at a time.

        Every step of it is real, whatever its values, and gives what the model would give if the sequence ended there.

        Raises
        ------
        ValueError
            A layer is bidirectional or goes backwards.
        """
        return SequentialStream(
            [step.stream(batch_size) if isinstance(step, RecurrentStep) else step for step in self._steps]
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._steps!r})"


class SequentialStream:
    """The layers of a `Sequential` at one step after the other; the recurrent ones carry their states."""

    def __init__(self, links: Sequence[Stream | PointwiseStep]) -> None:
        self._links = list(links)

    def step(self, x: Any) -> Array:
        """Return the output (N, ·) for one step's input: (N, I) floating, or ids (N,)."""
        values = array_of(x, "x")
        for link in self._links:
            values = link.step(values) if isinstance(link, Stream) else link.at_one_step(values)
        return values

    def reset(self, rows: Any = None) -> None:
        """Give all rows a zero state, or those that are true in `rows` (N,)."""
        for link in self._links:
            if isinstance(link, Stream):
                link.reset(rows)
