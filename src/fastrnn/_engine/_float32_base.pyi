# What every engine offers: the six modules are one source (engine.pxi), compiled for an instruction set and a precision.
# Shapes stand at the definitions; arrays are of the engine's precision unless said otherwise there.

from typing import Any

from numpy import bool_, dtype, int32, int64, ndarray
from numpy.typing import NDArray

Array = NDArray[Any]

class Plan:
    def __init__(self, T: int, N: int, active: NDArray[bool_] | None, resets: NDArray[bool_] | None) -> None: ...

class Weights:
    def __init__(self, cell: int, activation: int, I: int, H: int) -> None: ...
    def set(self, weight_ih: Array, weight_hh: Array, bias_ih: Array | None, bias_hh: Array | None) -> None: ...
