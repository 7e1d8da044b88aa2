"""What a recurrent layer is made of, whoever does the arithmetic: its sizes, its options and its parameters."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._initial import MINIMAL, initial_values
from fastrnn.layers._module import Layer, check_dtype, check_seed, check_size
from fastrnn.layers._parameter import Parameter
from fastrnn.layers._traits import Activation

# The parameters of a layer and direction, in torch's order and in that of the engine's arguments.
KINDS = (
    "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_peephole",
    "weight_norm_ih", "weight_norm_hh", "weight_norm_c", "bias_norm_c",
)  # fmt: skip

# The masks of outputs are numbered from 0, others from here on: those of recurrent weights, of each layer's input, of
# the state that the recurrent weights read, and, of zoneout, of c and of h.
WEIGHTS, INPUTS, STATES, HELD_C, HELD_H = (k << 32 for k in range(1, 6))

Drawn = tuple[tuple[int, int, float, int], ...]  # seed, count, probability and first number: of INPUTS, ..., HELD_H


class Probability:
    """A probability with which `forward` drops something; it can be changed."""

    def __init__(self, recurrent: bool = False) -> None:
        self.recurrent = recurrent  # of recurrent weights, or of what they read

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type[Any]) -> Any:
        return self if layer is None else layer.__dict__[self.name]

    def __set__(self, layer: Any, p: Any) -> None:
        p = check_probability(p, self.name)
        if p and self.recurrent and layer._name in MINIMAL:
            raise ValueError(f"{self.name} must be 0, got {p}: a {type(layer).__name__} has no recurrent weights")
        layer.__dict__[self.name] = p


class RecurrentBase(Layer):
    """The constructor of `RNN`, `LSTM`, `GRU` and the minimal cells."""

    _name: str  # of the cell, by which parameters are shaped and drawn
    _fixed = (
        *Layer._fixed, "input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "bias", "proj_size",
        "activations", "peephole", "coupled", "clip", "layer_norm", "zoneout",
    )  # fmt: skip
    activations: tuple[Activation, ...]  # of the gates, of the candidate, of the cell: as many as the cell has
    peephole: bool = False
    coupled: bool = False
    layer_norm: bool = False
    clip: float | None
    zoneout: float | tuple[float, float]  # of an LSTM of c and of h, where they are not the same
    dropout = Probability()  # of a value between two layers of the stack
    weight_dropout = Probability(recurrent=True)  # of a recurrent weight
    input_dropout = Probability()  # of a column of every layer's input
    recurrent_dropout = Probability(recurrent=True)  # of a unit in what recurrent weights read

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = True,
        bias: bool = True,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        proj_size: int = 0,
        dtype: Any = "float32",
        seed: int | None = None,
        init: str | float = "default",
        sparse_grad: bool = False,
    ) -> None:
        self.input_size = check_size(input_size, "input_size")
        self.hidden_size = check_size(hidden_size, "hidden_size")
        self.num_layers = check_size(num_layers, "num_layers")
        self.proj_size = check_size(proj_size, "proj_size", least=0)
        if self.proj_size and self._name != "lstm":
            raise ValueError(f"proj_size must be 0, got {proj_size}: only an LSTM's output is projected")
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size must be smaller than hidden_size, {hidden_size}, got {proj_size}")
        self.bidirectional, self.batch_first, self.bias = bool(bidirectional), bool(batch_first), bool(bias)
        self._directions = 2 if self.bidirectional else 1
        self._output_size = self.proj_size or self.hidden_size  # columns of h, P
        self.dropout, self.weight_dropout, self.sparse_grad = dropout, weight_dropout, bool(sparse_grad)
        self.input_dropout, self.recurrent_dropout = input_dropout, recurrent_dropout
        if self.dropout and self.num_layers == 1:
            warnings.warn(f"dropout={dropout} has no effect with num_layers=1: it acts between layers", stacklevel=3)
        self.dtype = check_dtype(dtype)
        self.seed = check_seed(seed)
        self.init = init
        values = initial_values(
            self._name, self.input_size, self.hidden_size, self.num_layers, self.bidirectional, self.bias,
            self.proj_size, self.peephole, self.layer_norm, init, self.seed, self.dtype,
        )  # fmt: skip
        self._parameters = {name: self._parameter(name, value) for name, value in values.items()}
        ends = ("", "_reverse")[: self._directions]
        suffixes = [f"l{layer}{end}" for layer in range(self.num_layers) for end in ends]
        self._groups = [
            [name if name in values else None for name in (f"{kind}_{suffix}" for kind in KINDS)] for suffix in suffixes
        ]
        self.forward_count = 0
        self._dropout_seed = secrets.randbits(64) if self.seed is None else self.seed

    def _parameter(self, name: str, value: NDArray[Any]) -> Parameter:
        return Parameter(name, value)

    @property
    def _zoneouts(self) -> tuple[float, float]:
        """The zoneout of c and of h."""
        if isinstance(self.zoneout, tuple):
            return self.zoneout
        return self.zoneout if self._name == "lstm" else 0.0, self.zoneout

    def _state_shapes(self, N: int) -> tuple[tuple[int, int, int], ...]:
        """Return the shapes of h and, of an LSTM, c."""
        count = self.num_layers * self._directions
        h = (count, N, self._output_size)
        return (h, (count, N, self.hidden_size)) if self._name == "lstm" else (h,)

    def _named(self, values: Mapping[str, Any], k: int) -> list[Any]:
        """Return what belongs to the k-th layer and direction, in the order of `KINDS`; None for what it has not."""
        return [None if name is None else values[name] for name in self._groups[k]]

    @property
    def _drops(self) -> bool:
        """Whether a forward call draws masks."""
        of = self.__dict__  # past the descriptors, which would cost as much as all else in a small call
        between = of["dropout"] or of["weight_dropout"]
        return bool(between or of["input_dropout"] or of["recurrent_dropout"] or self.zoneout)

    def _draw(self, p: float) -> tuple[int, int, float] | None:
        """Return what determines the masks of this forward call, or None where p is 0."""
        return (self._dropout_seed, self.forward_count, p) if p else None

    def _draw_within(self) -> Drawn | None:
        """Return what determines the masks within the layers of this forward call, or None where there are none."""
        if not (self.input_dropout or self.recurrent_dropout or self.zoneout):
            return None
        p_c, p_h = self._zoneouts
        rates = ((self.input_dropout, INPUTS), (self.recurrent_dropout, STATES), (p_c, HELD_C), (p_h, HELD_H))
        if not any(p for p, _ in rates):
            return None
        return tuple((self._dropout_seed, self.forward_count, p, first) for p, first in rates)

    def _keeps(self, gates: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
        """Return what the old state was multiplied by, from what a tape shows; None of a cell with no such gate."""
        return None

    def _versions(self) -> tuple[int, ...]:
        return tuple([parameter.version for parameter in self._parameters.values()])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = (
            "input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "bias", "dropout",
            "weight_dropout", "input_dropout", "recurrent_dropout", "sparse_grad",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {
            "dtype": self.dtype.name,
            "seed": self.seed,
            "init": self.init,
        }


def check_zoneout(value: Any) -> float | tuple[float, float]:
    """Return the zoneout of an LSTM's c and h: one number where they are the same."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"zoneout of an LSTM must be a number, or one of c and one of h, got {value!r}")
    c, h = (check_probability(p, "zoneout") for p in pair)
    return c if c == h else (c, h)


def check_probability(p: Any, name: str) -> float:
    """Return a number from 0 to 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {p!r}")
    return float(p)
