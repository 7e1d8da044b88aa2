"""Layers from other systems and for them: everything is converted exactly, or refused with the reason."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrnn.interop.torch import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]

_MODULES = {"from_torch": "torch", "to_torch": "torch"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"fastrnn.interop.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastrnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
