"""The options of each cell, whoever does the arithmetic: the constructors of `RNN`, `LSTM` and `GRU`."""

from __future__ import annotations

from typing import Any

from fastrnn.layers._recurrent import RecurrentBase, check_probability, check_zoneout
from fastrnn.layers._traits import Activation, check_activation, check_activations, check_clip


class RNNBase(RecurrentBase):
    """The constructor of `RNN`."""

    _name = "rnn"
    _fixed = (*RecurrentBase._fixed, "nonlinearity")

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
        zoneout: float | tuple[float, float] = 0.0,
        **options: Any,
    ) -> None:
        self.activations = check_activations(activations, ("sigmoid", "tanh", "tanh"))
        self.peephole, self.coupled, self.clip = bool(peephole), bool(coupled), check_clip(clip)
        self.zoneout = check_zoneout(zoneout)
        super().__init__(input_size, hidden_size, num_layers, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("proj_size", "activations", "peephole", "coupled", "clip", "zoneout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class GRUBase(RecurrentBase):
    """The constructor of `GRU`."""

    _name = "gru"
    _fixed = (*RecurrentBase._fixed, "reset_after")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        activations: tuple[Activation, ...] = ("sigmoid", "tanh"),
        clip: float | None = None,
        zoneout: float = 0.0,
        **options: Any,
    ) -> None:
        self.reset_after = bool(reset_after)
        self.activations, self.clip = check_activations(activations, ("sigmoid", "tanh")), check_clip(clip)
        self.zoneout = check_probability(zoneout, "zoneout")
        super().__init__(input_size, hidden_size, num_layers, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        names = ("reset_after", "activations", "clip", "zoneout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
