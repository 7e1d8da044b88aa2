"""Checks of arguments that training and models share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def check_choice(value: Any, name: str, choices: Iterable[Any]) -> None:
    """Refuse what is not one of the choices."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")


def check_number(value: Any, name: str, above: bool = False) -> None:
    """Refuse what is not a number from 0 upwards, or above 0."""
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf or (above and value == 0):
        raise ValueError(f"{name} must be a number {'above 0' if above else 'from 0 upwards'}, got {value!r}")
