"""Checks of arguments that training and models share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def check_choice(value: Any, name: str, choices: Iterable[Any]) -> None:
    """Refuse what is not one of the choices."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")
