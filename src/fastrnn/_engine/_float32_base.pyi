# What every engine offers: the six modules are one source, engine.pxi, for an instruction set and a precision each.
# Arrays are of the engine's precision; their shapes stand at the definitions.

from typing import Any

from numpy import bool_, float64, int32, int64, uint16
from numpy.typing import NDArray

_Array = NDArray[Any]

class Buffer: ...
class Plan: ...
class Cuts: ...

class Weights:
    def __init__(
        self,
        cell: int,
        traits: tuple[list[tuple[int, float, float]], float | None, bool, tuple[float, float]],
        I: int,
        H: int,
        weight_ih: _Array,
        weight_hh: _Array | None,
        bias_ih: _Array | None,
        bias_hh: _Array | None,
        weight_hr: _Array | None,
        peephole: _Array | None,
        norm_ih: _Array | None,
        norm_hh: _Array | None,
        norm_c: _Array | None,
        norm_bias: _Array | None,
    ) -> None: ...

class QuantizedWeights(Weights):
    nbytes: int
    def __init__(
        self,
        storage: int,
        cell: int,
        activation: int,
        I: int,
        H: int,
        codes_ih: NDArray[int32],
        codes_hh: NDArray[int32],
        scale_ih: _Array | None,
        scale_hh: _Array | None,
        bias_ih: _Array | None,
        bias_hh: _Array | None,
    ) -> None: ...
    def codes(self) -> tuple[NDArray[int32], NDArray[int32]]: ...

def quantized_path(storage: int) -> str: ...

class Kept:
    h: _Array
    c: _Array | None
    gates: _Array | None
    x: _Array | NDArray[int64]

def stack_forward(
    weights: list[Weights],
    D: int,
    x: _Array | NDArray[int64],
    active: NDArray[bool_] | None,
    resets: NDArray[bool_] | None,
    h0: _Array | None,
    c0: _Array | None,
    y: _Array,
    h_final: _Array,
    c_final: _Array | None,
    keep: bool,
    hold: bool,
    dropout: tuple[int, int, float] | None,
    drawn: tuple[tuple[int, int, float, int], ...] | None,
) -> list[Kept] | None: ...
def stack_backward(
    weights: list[Weights],
    D: int,
    tape: list[Kept],
    dy: _Array | None,
    dh: _Array | None,
    dc: _Array | None,
    dx: _Array | None,
    gradients: list[list[_Array | None]],
    dh0: _Array,
    dc0: _Array | None,
    watched: list[_Array] | None,
    hold: bool,
    dropout: tuple[int, int, float] | None,
    drawn: tuple[tuple[int, int, float, int], ...] | None,
    places: NDArray[int64] | None = None,
) -> None: ...

class Half:
    h: NDArray[uint16]
    c: NDArray[uint16] | None
    gates: NDArray[uint16] | None

class Segments:
    x: _Array | NDArray[int64]
    @property
    def nbytes(self) -> int: ...
    def whole(self, weights: list[Weights]) -> list[Kept]: ...

def plain_call(
    weights: list[Weights], D: int, x: Any, state: Any, out: Any, I: int, batch_first: bool, keep: bool
) -> tuple[Any, ...] | None: ...
def segment_sizes(
    weights: list[Weights], D: int, T: int, N: int, dropout: bool
) -> tuple[int, int, int, int, int, int]: ...
def segments_forward(
    weights: list[Weights],
    D: int,
    x: _Array | NDArray[int64],
    active: NDArray[bool_] | None,
    resets: NDArray[bool_] | None,
    h0: _Array | None,
    c0: _Array | None,
    y: _Array,
    h_final: _Array,
    c_final: _Array | None,
    hold: bool,
    dropout: tuple[int, int, float] | None,
    drawn: tuple[tuple[int, int, float, int], ...] | None,
    steps: int,
    kept: int,
    half: bool,
) -> Segments: ...
def segments_backward(
    weights: list[Weights],
    D: int,
    tape: Segments,
    dy: _Array | None,
    dh: _Array | None,
    dc: _Array | None,
    dx: _Array | None,
    gradients: list[list[_Array | None]],
    dh0: _Array,
    dc0: _Array | None,
    watched: list[_Array] | None,
    hold: bool,
    places: NDArray[int64] | None = None,
) -> None: ...

class Stream:
    stale: bool
    def __init__(self, weights: list[Weights], N: int) -> None: ...
    def renew(self, weights: list[Weights]) -> None: ...
    def step(self, x: _Array | NDArray[int64], y: _Array) -> None: ...
    def restart(self, rows: NDArray[bool_]) -> None: ...
    def read(self, h: _Array, c: _Array | None) -> None: ...
    def write(self, h: _Array, c: _Array | None) -> None: ...

class Pool:
    stale: bool
    def __init__(self, weights: list[Weights]) -> None: ...
    def renew(self, weights: list[Weights]) -> None: ...
    def grow(self, capacity: int) -> None: ...
    def step(self, slots: NDArray[int64], x: _Array | NDArray[int64], y: _Array) -> None: ...
    def restart(self, slots: NDArray[int64]) -> None: ...
    def read(self, slots: NDArray[int64], h: _Array, c: _Array | None) -> None: ...
    def write(self, slots: NDArray[int64], h: _Array, c: _Array | None) -> None: ...

def find_slots(ids: NDArray[int64], holders: NDArray[int64], seen: NDArray[bool_], slots: NDArray[int64]) -> int: ...

class Matrix:
    def __init__(self, weight: _Array, bias: _Array | None) -> None: ...

def dense_forward(w: Matrix, x: _Array, y: _Array) -> None: ...
def dense_backward(w: Matrix, x: _Array, dy: _Array, dx: _Array, d_weight: _Array, d_bias: _Array | None) -> None: ...
def dense_cross_entropy(
    w: Matrix,
    h: _Array,
    rows: NDArray[int64],
    targets: NDArray[int64],
    scale: NDArray[float64],
    losses: NDArray[float64],
    dh: _Array | None,
    d_weight: _Array | None,
    d_bias: _Array | None,
) -> None: ...
def softmax_cross_entropy(
    z: _Array, rows: NDArray[int64], targets: NDArray[int64], scale: NDArray[float64], losses: NDArray[float64]
) -> None: ...
def log_softmax(z: _Array) -> None: ...
def add_rows(ids: NDArray[int64], dy: _Array, d_table: _Array) -> None: ...
def sgd(
    p: _Array,
    g: _Array,
    momentum_buffer: _Array | None,
    lr: float,
    weight_decay: float,
    keep: float,
    gain: float,
    ahead: float,
) -> None: ...
def rmsprop(
    p: _Array,
    g: _Array,
    square_avg: _Array,
    grad_avg: _Array | None,
    momentum_buffer: _Array | None,
    lr: float,
    weight_decay: float,
    alpha: float,
    eps: float,
    momentum: float,
) -> None: ...
def adagrad(p: _Array, g: _Array, sum_: _Array, lr: float, weight_decay: float, eps: float) -> None: ...
def adam(
    p: _Array,
    g: _Array,
    exp_avg: _Array,
    exp_avg_sq: _Array,
    step_size: float,
    beta1: float,
    beta2: float,
    correction: float,
    eps: float,
    weight_decay: float,
    shrink: float,
) -> None: ...
def sum_of_squares(array: _Array) -> float: ...
def dropped(source: _Array, dropout: tuple[int, int, float], layer: int, t0: int = 0) -> _Array: ...
def pooled(shape: tuple[int, ...], half: bool = False) -> _Array: ...
def release_memory() -> None: ...
def allocated() -> int: ...
def elementary(name: str, x: _Array) -> _Array: ...
def fma_peak(seconds: float) -> float: ...
def read_bandwidth(nbytes: int, seconds: float) -> float: ...
