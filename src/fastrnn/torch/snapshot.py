"""A module's parameters as a layer of the engine, packed, for as long as their numbers stay the same.

Nothing in torch tells reliably that a parameter has changed: writing through `.data`, as many training loops do, leaves
its version and its address as they were. So every call compares the numbers themselves with a copy, the biases first,
and packs them anew when a bit differs. A layer once made is never changed: the graphs that were built on it keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from numpy.typing import NDArray
from torch import Tensor, nn

from fastrnn import _engine
from fastrnn.layers._parameter import Parameter, check_values
from fastrnn.layers.recurrent import Recurrent
from fastrnn.torch.checks import array_of, check_parameters

Array = NDArray[Any]


@dataclass(eq=False)
class Snapshot:
    """What a module's layer was made of."""

    config: dict[str, Any]
    numbers: list[bytes]  # of every parameter, the last one's first
    layer: Recurrent

    def holds(self, config: dict[str, Any], arrays: list[Array]) -> bool:
        """Return whether it was made of these, bit for bit."""
        pairs = zip(reversed(arrays), self.numbers, strict=True)
        return self.config == config and all(array.tobytes() == numbers for array, numbers in pairs)


# Beside the modules and not in them: what is copied, pickled or saved of a module is torch's alone.
_SNAPSHOTS: WeakKeyDictionary[nn.Module, Snapshot] = WeakKeyDictionary()


def layer_of(
    module: nn.Module, cell: type[Recurrent], config: dict[str, Any], parameters: Mapping[str, Tensor]
) -> Recurrent:
    """Return a packed layer of the constructor's arguments `config` with the parameters' numbers of this moment."""
    arrays = [array_of(parameter, name) for name, parameter in parameters.items()]
    old = _SNAPSHOTS.get(module)
    if old is not None and old.holds(config, arrays):
        return old.layer
    check_parameters(module, parameters)
    dtype = arrays[0].dtype.name
    fits = old is not None and old.config == config and old.layer.dtype.name == dtype
    like = old.layer if old is not None and fits else cell(**config, dtype=dtype, init=0.0)
    check_values(like._parameters, dict(zip(parameters, arrays, strict=True)))
    layer = clone(like)
    layer._parameters = {
        name: Parameter(name, as_stored(parameters[name], parameter.transposed), parameter.transposed)
        for name, parameter in like._parameters.items()
    }
    layer._packed = None
    layer._weights(_engine.load(dtype))
    _SNAPSHOTS[module] = Snapshot(config, [array.tobytes() for array in reversed(arrays)], layer)
    return layer


def as_stored(tensor: Tensor, transposed: bool) -> Array:
    """Return a tensor's numbers as a layer stores them in memory: torch transposes large arrays five times as fast."""
    tensor = tensor.detach()
    array: Array = tensor.t().contiguous().numpy().T if transposed else tensor.numpy()
    return array


def clone(layer: Recurrent) -> Recurrent:
    """Return a layer that shares everything with another, to differ in what is set anew."""
    copy = object.__new__(type(layer))
    copy.__dict__.update(layer.__dict__)
    return copy


def with_dropout(layer: Recurrent, p: float, seed: int) -> Recurrent:
    """Return a layer with the same parameters that drops by `seed`."""
    copy = clone(layer)
    copy.dropout, copy._dropout_seed, copy.forward_count = p, seed, 0
    return copy
