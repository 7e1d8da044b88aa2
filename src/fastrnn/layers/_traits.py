"""The traits in which a cell may differ from the plain one: its activations, and a clip of what these are given.

Names, formulas and defaults are those of the ONNX operators RNN, GRU and LSTM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Activation = str | tuple[Any, ...]  # a name, or (name, alpha) or (name, alpha, beta)

# {name: the defaults of alpha and beta}, in the order of the engine's numbers
ACTIVATIONS: dict[str, tuple[float, ...]] = {
    "tanh": (),
    "relu": (),
    "sigmoid": (),
    "linear": (),
    "affine": (1.0, 0.0),  # alpha z + beta
    "leaky_relu": (0.01,),  # z, below zero alpha z
    "thresholded_relu": (1.0,),  # z above alpha, else 0
    "scaled_tanh": (1.0, 1.0),  # alpha tanh(beta z)
    "hard_sigmoid": (0.2, 0.5),  # alpha z + beta between 0 and 1
    "elu": (1.0,),  # z, below zero alpha (exp(z) - 1)
    "softsign": (),  # z / (1 + |z|)
    "softplus": (),  # log(1 + exp(z))
}
RISING = ("leaky_relu", "elu")  # whose slope is read off the value: that must tell on which side of zero z was


def check_activation(value: Any, name: str) -> Activation:
    """Return an activation in its shortest form: a name, or a tuple where alpha or beta are not the defaults."""
    kind, *given = value if isinstance(value, (tuple, list)) and value else (value,)
    if not isinstance(kind, str) or kind not in ACTIVATIONS:
        raise ValueError(f"{name} must be one of {', '.join(ACTIVATIONS)}, got {kind!r}")
    defaults = ACTIVATIONS[kind]
    if len(given) > len(defaults):
        raise ValueError(f"{name}: {kind} takes {len(defaults)} parameters, got {len(given)}")
    if not all(is_finite(number) for number in given):
        raise ValueError(f"{name}: the parameters of {kind} must be finite numbers, got {tuple(given)!r}")
    numbers = (*map(float, given), *defaults[len(given) :])
    if kind in RISING and numbers[0] < 0:
        raise ValueError(f"{name}: alpha of {kind} must not be negative, got {numbers[0]}")
    return kind if numbers == defaults else (kind, *numbers)


def check_activations(value: Any, defaults: Sequence[str], name: str = "activations") -> tuple[Activation, ...]:
    """Return as many activations as a cell has."""
    if not isinstance(value, (tuple, list)) or len(value) != len(defaults):
        raise ValueError(f"{name} must be {len(defaults)} activations as {tuple(defaults)}, got {value!r}")
    return tuple(check_activation(item, name) for item in value)


def check_clip(value: Any) -> float | None:
    """Return the bound of pre-activations, or None."""
    if value is None:
        return None
    if not is_finite(value) or value <= 0:
        raise ValueError(f"clip must be a positive number or None, got {value!r}")
    return float(value)


def is_finite(value: Any) -> bool:
    """Return whether `value` is a finite number."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return bool(number and np.isfinite(value))


def with_parameters(activation: Activation) -> tuple[str, float, float]:
    """Return the name, alpha and beta of an activation that was checked; 0 for a parameter it has not."""
    kind, *numbers = (activation,) if isinstance(activation, str) else activation
    alpha, beta = [*(numbers or ACTIVATIONS[kind]), 0.0, 0.0][:2]
    return kind, alpha, beta
