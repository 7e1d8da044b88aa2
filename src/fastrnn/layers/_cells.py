"""The options of each cell, whoever does the arithmetic: the constructors of the recurrent layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from numpy.typing import NDArray

from fastrnn.layers._recurrent import RecurrentBase, check_probability, check_zoneout
from fastrnn.layers._traits import Activation, check_activation, check_activations, check_clip

Array = NDArray[Any]
Init = TypeVar("Init", bound=Callable[..., None])


def with_all_options(init: Init) -> Init:
    """Show, in the signature of a cell's constructor, the options that it hands on to `RecurrentBase`."""
    signature, common = inspect.signature(init), inspect.signature(RecurrentBase.__init__)
    own = list(signature.parameters.values())[:-1]
    options = [option for option in common.parameters.values() if option.kind is option.KEYWORD_ONLY]
    init.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return init


class RNNBase(RecurrentBase):
    """The constructor of `RNN`."""

    _name = "rnn"
    _fixed = (*RecurrentBase._fixed, "nonlinearity")

    @with_all_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: Activation = "tanh",
        clip: float | None = None,
        zoneout: float = 0.0,
        **options: Any,
    ) -> None:
        self.nonlinearity = check_activation(nonlinearity, "nonlinearity")
        self.activations, self.clip = (self.nonlinearity,), check_clip(clip)
        self.zoneout = check_probability(zoneout, "zoneout")
        super().__init__(input_size, hidden_size, num_layers, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("nonlinearity", "clip", "zoneout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class LSTMBase(RecurrentBase):
    """The constructor of `LSTM`."""

    _name = "lstm"

    @with_all_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        activations: tuple[Activation, ...] = ("sigmoid", "tanh", "tanh"),
        peephole: bool = False,
        coupled: bool = False,
        clip: float | None = None,
        layer_norm: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        **options: Any,
    ) -> None:
        self.activations = check_activations(activations, ("sigmoid", "tanh", "tanh"))
        self.peephole, self.coupled, self.clip = bool(peephole), bool(coupled), check_clip(clip)
        self.zoneout = check_zoneout(zoneout)
        self.layer_norm = bool(layer_norm)
        if self.layer_norm and self.peephole:
            raise ValueError("layer_norm must be False with peephole=True: its source has no peepholes")
        super().__init__(input_size, hidden_size, num_layers, **options)
        if self.layer_norm and self.proj_size:
            raise ValueError(f"layer_norm must be False with proj_size={self.proj_size}: its source has no projection")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("proj_size", "activations", "peephole", "coupled", "clip", "layer_norm", "zoneout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _keeps(self, gates: dict[str, Array]) -> Array:
        return gates["f"]


class GRUBase(RecurrentBase):
    """The constructor of `GRU`."""

    _name = "gru"
    _fixed = (*RecurrentBase._fixed, "reset_after")

    @with_all_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        activations: tuple[Activation, ...] = ("sigmoid", "tanh"),
        clip: float | None = None,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        **options: Any,
    ) -> None:
        self.reset_after = bool(reset_after)
        self.activations, self.clip = check_activations(activations, ("sigmoid", "tanh")), check_clip(clip)
        self.zoneout = check_probability(zoneout, "zoneout")
        self.layer_norm = bool(layer_norm)
        if self.layer_norm and not self.reset_after:
            raise ValueError("layer_norm must be False with reset_after=False: its source resets after the product")
        super().__init__(input_size, hidden_size, num_layers, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("reset_after", "activations", "clip", "layer_norm", "zoneout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _keeps(self, gates: dict[str, Array]) -> Array:
        return gates["z"]


class MinimalBase(RecurrentBase):
    """The constructor of the cells without recurrent weights."""

    _fixed = (*RecurrentBase._fixed, "nonlinearity")
    clip = None
    zoneout = 0.0

    @with_all_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: Activation = "linear",
        **options: Any,
    ) -> None:
        self.nonlinearity = check_activation(nonlinearity, "nonlinearity")
        self.activations = ("sigmoid", self.nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        return {**super().get_config(), "nonlinearity": self.nonlinearity}


class MinGRUBase(MinimalBase):
    """The constructor of `MinGRU`."""

    _name = "mingru"

    def _keeps(self, gates: dict[str, Array]) -> Array:
        return 1 - gates["z"]


class MinLSTMBase(MinimalBase):
    """The constructor of `MinLSTM`."""

    _name = "minlstm"

    def _keeps(self, gates: dict[str, Array]) -> Array:
        return gates["f"] / (gates["f"] + gates["i"])
