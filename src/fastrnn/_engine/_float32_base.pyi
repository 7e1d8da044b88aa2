# What every engine offers: the six modules are one source, engine.pxi, for an instruction set and a precision each.
# Arrays are of the engine's precision; their shapes stand at the definitions.

from collections.abc import Sequence
from typing import Any

from numpy import bool_, int64
from numpy.typing import NDArray

_Array = NDArray[Any]

class Buffer: ...

class Plan:
    def __init__(self, T: int, N: int, active: NDArray[bool_] | None, resets: NDArray[bool_] | None) -> None: ...

class Weights:
    def __init__(self, cell: int, activation: int, I: int, H: int) -> None: ...
    def set(self, weight_ih: _Array, weight_hh: _Array, bias_ih: _Array | None, bias_hh: _Array | None) -> None: ...

class Kept:
    h: _Array
    c: _Array | None
    gates: _Array | None
    x: _Array | NDArray[int64]
    plan: Plan

def forward(
    w: Weights,
    plan: Plan,
    x: _Array | NDArray[int64],
    h0: _Array | None,
    c0: _Array | None,
    reverse: bool,
    y: _Array,
    h_final: _Array,
    c_final: _Array | None,
    keep: bool,
    y_is_kept: bool,
) -> Kept | None: ...
def backward(
    w: Weights,
    kept: Kept,
    dy: _Array | None,
    dh: _Array | None,
    dc: _Array | None,
    dx: _Array | None,
    add: bool,
    d_ih: _Array,
    d_hh: _Array,
    db_ih: _Array | None,
    db_hh: _Array | None,
    dh0: _Array,
    dc0: _Array | None,
    watched: _Array | None,
) -> None: ...
def fill_padding(plan: Plan, y: _Array, hold: bool, reverse: bool) -> None: ...
def gather_held(plan: Plan, dy: _Array, reverse: bool) -> None: ...
def apply_dropout(source: _Array, out: _Array, seed: int, count: int, layer: int, p: float) -> None: ...
def pooled(shape: Sequence[int]) -> _Array: ...
def release_memory() -> None: ...
def elementary(name: str, x: _Array) -> _Array: ...
def fma_peak(seconds: float) -> float: ...
def read_bandwidth(nbytes: int, seconds: float) -> float: ...
