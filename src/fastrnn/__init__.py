"""Recurrent networks on the CPU, trained and run from Python."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrnn import course, diagnostics, interop, losses, models, optim, plot, reference, train
    from fastrnn._engine import cpu_info, release_memory
    from fastrnn._threads import get_num_threads, register_threadpoolctl, set_num_threads
    from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding, MinGRU, MinLSTM, Quantized, SparseRows, Stream, Tape
    from fastrnn.serialization import load, save

__version__ = "0.1.0"
__all__ = [
    "GRU", "LSTM", "RNN", "Dense", "Embedding", "MinGRU", "MinLSTM", "Quantized", "SparseRows", "Stream", "Tape",
    "course", "cpu_info", "diagnostics", "get_num_threads", "interop", "load", "losses", "models", "optim", "plot",
    "reference", "register_threadpoolctl", "release_memory", "save", "set_num_threads", "train",
]  # fmt: skip

# Everything is loaded when it is first used: importing fastrnn costs little, and fastrnn.reference needs no engine.
_MODULES = {
    "GRU": "layers", "LSTM": "layers", "RNN": "layers", "Dense": "layers", "Embedding": "layers",
    "Stream": "layers", "Tape": "layers", "SparseRows": "layers", "Quantized": "layers",
    "MinGRU": "layers", "MinLSTM": "layers",
    "cpu_info": "_engine", "release_memory": "_engine", "load": "serialization", "save": "serialization",
    "get_num_threads": "_threads", "register_threadpoolctl": "_threads", "set_num_threads": "_threads",
}  # fmt: skip
_SUBMODULES = ("course", "diagnostics", "interop", "losses", "models", "optim", "plot", "reference", "torch", "train")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"fastrnn.{name}")
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"fastrnn.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastrnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "torch", "__version__"]


def _is_program() -> bool:
    """Return whether this is the command line, which says itself, in one line, what is wrong."""
    name = [*getattr(sys, "argv", []), ""][0]
    return name == "-m" or os.path.splitext(os.path.basename(name))[0] == "fastrnn"


if os.environ.get("FASTRNN_ISA") and not _is_program():
    import_module("fastrnn._engine")  # refuses at once what the machine or this installation lacks
if os.environ.get("FASTRNN_NUM_THREADS") and not _is_program():
    import_module("fastrnn._threads")  # likewise what is no number of threads
