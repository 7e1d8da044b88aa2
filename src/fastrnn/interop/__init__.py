"""Weights and models of other systems: converted without change of result, or refused with the reason."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrnn.interop.keras import from_keras, to_keras
    from fastrnn.interop.onnx import from_onnx, to_onnx
    from fastrnn.interop.torch import from_torch, to_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_keras", "to_onnx", "to_torch"]

_MODULES = {name: name.partition("_")[2] for name in __all__}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"fastrnn.interop.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastrnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
