"""The compiled engines, and the choice among them.

FASTRNN_ISA=base, avx2 or avx512 picks an instruction set; otherwise the best that both the machine and this
installation have is taken. Each precision's engine is a module of its own, loaded when it is first needed.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

INSTRUCTION_SETS = ("base", "avx2", "avx512")
PRECISIONS = ("float32", "float64")
LOW_PRECISIONS = {"bfloat16": 1, "int8": 2}  # the engines' numbers
MISSING = "fastrnn's compiled engine is missing: install fastrnn from a wheel, or by pip where there is a C compiler"


@cache
def compiled() -> dict[str, list[str]]:
    """Return {instruction set: precisions} of the engines in this installation."""
    names = {entry.name for entry in Path(__file__).parent.iterdir()}
    found = {
        isa: [dtype for dtype in PRECISIONS if any(f"_{dtype}_{isa}{suffix}" in names for suffix in EXTENSION_SUFFIXES)]
        for isa in INSTRUCTION_SETS
    }
    return {isa: dtypes for isa, dtypes in found.items() if dtypes}


@cache
def detected() -> list[str]:
    """Return the instruction sets that this machine has, the best last."""
    try:
        from fastrnn._engine import _cpu
    except ImportError as error:
        raise ImportError(MISSING) from error
    return _cpu.detected()


@cache
def instruction_set() -> str:
    """Return the instruction set in use.

    Raises
    ------
    ImportError
        FASTRNN_ISA names none, or one that the machine or this installation lacks.
    """
    wanted = os.environ.get("FASTRNN_ISA")
    if wanted and wanted not in INSTRUCTION_SETS:
        raise ImportError(f"FASTRNN_ISA must be one of {', '.join(INSTRUCTION_SETS)}, got {wanted!r}")
    usable = [isa for isa in detected() if isa in compiled()]
    if not usable:
        raise ImportError(MISSING)
    if wanted and wanted not in usable:
        who, has = ("this machine", detected()) if wanted in compiled() else ("this installation", compiled())
        raise ImportError(f"FASTRNN_ISA={wanted}, but {who} has only {', '.join(has)}")
    return wanted or usable[-1]


@cache
def load(dtype: str) -> ModuleType:
    """Return the engine for "float32" or "float64"."""
    engine = import_module(f"fastrnn._engine._{dtype}_{instruction_set()}")
    threads = import_module("fastrnn._threads")  # which gives the team its number of threads
    if "threadpoolctl" in sys.modules:
        threads.register_threadpoolctl()
    return engine


def cpu_info() -> dict[str, Any]:
    """Return the instruction sets compiled, detected and used, the precisions, and the number of threads.

    "low_precision" names the instructions by which the products of `layer.quantize` are computed.
    """
    from fastrnn._threads import get_num_threads

    isa = instruction_set()
    path = load("float32").quantized_path
    return {
        "compiled": list(compiled()),
        "detected": list(detected()),
        "isa": isa,
        "dtypes": list(compiled()[isa]),
        "low_precision": {precision: path(number) for precision, number in LOW_PRECISIONS.items()},
        "threads": get_num_threads(),
    }


def release_memory() -> None:
    """Return to the system what the engines keep for reuse: at most 256 MB for each precision.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.release_memory()
    """
    for dtype in PRECISIONS:
        engine = sys.modules.get(f"{__name__}._{dtype}_{instruction_set()}")
        if engine is not None:
            engine.release_memory()


def elementary(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return "exp" (of numbers ≤ 0), "tanh" or "sigmoid" of an array, by the functions that the cells use."""
    result: NDArray[Any] = load(array.dtype.name).elementary(name, array)
    return result


def fma_peak(seconds: float = 0.1) -> float:
    """Return the float32 multiply-add peak of one core, GFLOP/s, measured for some seconds."""
    return float(load("float32").fma_peak(seconds))


def read_bandwidth(nbytes: int, seconds: float = 0.1) -> float:
    """Return how fast one core reads an array of `nbytes` again and again, GB/s."""
    return float(load("float32").read_bandwidth(nbytes, seconds))


if os.environ.get("FASTRNN_ISA"):
    instruction_set()
