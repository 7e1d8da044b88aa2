"""The arrays of Keras' recurrent cells in fastrnn's order, and back.

Keras multiplies from the left, so its kernels are (I, G·H) and (H, G·H); its gates are i, f, c, o of an LSTM, which is
torch's order, and z, r, h of a GRU, whose first two torch has the other way round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import GRU
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]


def swapped(array: Array) -> Array:
    """Return a GRU's columns (..., 3H) with the first two gates exchanged."""
    first, second, third = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)


def parameters_of(arrays: list[Array], suffix: str, gru: bool) -> dict[str, Array]:
    """Return {fastrnn's name: array} of a cell's kernel, recurrent kernel and, where it has one, bias.

    A GRU that resets after the product has both biases, the rows of one array. Of all other cells the one bias becomes
    `bias_ih`, and `bias_hh` is zero.
    """
    if gru:
        arrays = [swapped(array) for array in arrays]
    kernel, recurrent, *biases = arrays
    parameters = {f"weight_ih_{suffix}": kernel.T, f"weight_hh_{suffix}": recurrent.T}
    for bias in biases:
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        parameters |= {f"bias_ih_{suffix}": both[0], f"bias_hh_{suffix}": both[1]}
    return parameters


def arrays_of(layer: Recurrent, suffix: str) -> list[Array]:
    """Return a direction's kernel, recurrent kernel and, where the layer has biases, bias, as Keras has them."""
    values = layer.parameters
    arrays = [values[f"weight_ih_{suffix}"].T, values[f"weight_hh_{suffix}"].T]
    if layer.bias:
        both = np.stack([values[f"bias_ih_{suffix}"], values[f"bias_hh_{suffix}"]])
        arrays.append(both if isinstance(layer, GRU) and layer.reset_after else both.sum(axis=0))
    return [swapped(array) for array in arrays] if isinstance(layer, GRU) else arrays


def suffixes(layer: Recurrent) -> list[list[str]]:
    """Return for each layer of a stack the endings of its parameters' names, one for each direction."""
    return [[f"l{k}", f"l{k}_reverse"][: layer._directions] for k in range(layer.num_layers)]
