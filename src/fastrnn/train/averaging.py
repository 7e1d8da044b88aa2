"""Copies of a model's weights: the best so far, and running averages of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._parameter import Parameter
from fastrnn.optim import layers_of

Weights = dict[str, NDArray[Any]]

NON_MONOTONE = 5  # epochs that NT-ASGD looks back (Merity, Keskar and Socher 2018)


def parameters_of(model: Any) -> dict[str, Parameter]:
    """Return a model's parameters, a shared one once, under the first of its names."""
    found: dict[Parameter, str] = {}
    for prefix, layer in layers_of(model).items():
        for name, parameter in layer._parameters.items():
            found.setdefault(parameter, prefix + name)
    return {name: parameter for parameter, name in found.items()}


def copy_weights(model: Any) -> Weights:
    """Return copies of all weights as they lie in memory."""
    return {name: parameter.stored.copy() for name, parameter in parameters_of(model).items()}


def put_weights(model: Any, weights: Mapping[str, NDArray[Any]]) -> None:
    """Give a model the weights that `copy_weights` returned."""
    for name, parameter in parameters_of(model).items():
        parameter.touch()  # before too: whatever interrupts the copy, no pack of the old values seems up to date
        np.copyto(parameter.stored, weights[name])
        parameter.touch()


class Average:
    """A running average of a model's weights, which evaluation and the finished model use in their place.

    Parameters
    ----------
    rule : float or "nt-asgd"
        A number d below 1 is exponential: a ← d a + (1 - d) w after each update, a = w after the first (as
        torch.optim.swa_utils has it). "nt-asgd" is the plain mean of all weights since the validation loss was first
        above the least of those more than five epochs before (Merity, Keskar and Socher 2018).
    """

    def __init__(self, rule: float | str) -> None:
        self.decay = None if isinstance(rule, str) else float(rule)
        self.count = 0  # updates averaged
        self.weights: Weights = {}

    def update(self, model: Any, losses: Sequence[float]) -> None:
        """Take in the weights after an update; `losses` are those of validation so far."""
        if self.decay is None and not (self.count or stagnant(losses)):
            return
        self.count += 1
        if self.count == 1:
            self.weights = copy_weights(model)
            return
        share = 1.0 / self.count if self.decay is None else 1.0 - self.decay
        for name, parameter in parameters_of(model).items():
            mean = self.weights[name]
            mean += mean.dtype.type(share) * (parameter.stored - mean)

    @contextmanager
    def in_place(self, model: Any) -> Iterator[None]:
        """Let a model have its averaged weights for a while."""
        if not self.count:
            yield
            return
        own = copy_weights(model)
        try:
            put_weights(model, self.weights)
            yield
        finally:
            put_weights(model, own)


def stagnant(losses: Sequence[float]) -> bool:
    """Return whether the last loss is above the least of those more than `NON_MONOTONE` epochs before it."""
    earlier = losses[: -1 - NON_MONOTONE]
    return len(earlier) > 0 and losses[-1] > min(earlier)
