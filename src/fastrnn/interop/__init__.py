"""Weights and models of other systems: converted without change of result, or refused with the reason."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrnn.interop.keras import from_keras, to_keras
    from fastrnn.interop.onnx import from_onnx, to_onnx

__all__ = ["from_keras", "from_onnx", "to_keras", "to_onnx"]

_MODULES = {"from_keras": "keras", "to_keras": "keras", "from_onnx": "onnx", "to_onnx": "onnx"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"fastrnn.interop.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastrnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
