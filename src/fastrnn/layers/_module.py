"""What every layer has: named parameters, read-only to the caller, their mappings, and a form that can be stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._parameter import Parameter, check_values


class Layer:
    """A layer's parameters by torch's names, and the constructor's arguments by which it can be made again."""

    _parameters: dict[str, Parameter]
    _transient: tuple[str, ...] = ()  # attributes that a copy or a pickle leaves behind, set to None in it
    _fixed: tuple[str, ...] = ("dtype", "seed", "init")  # attributes by which the parameters were shaped and made
    dtype: np.dtype[Any]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__:
            raise AttributeError(f"{name} is fixed when the layer is made; make another with {name}={value!r}")
        object.__setattr__(self, name, value)

    @property
    def parameters(self) -> Mapping[str, NDArray[Any]]:
        """Read-only arrays by torch's names, in torch's order and shapes; `set_parameters` changes them."""
        return MappingProxyType({name: parameter.value for name, parameter in self._parameters.items()})

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return writable copies of the parameters by torch's names."""
        return {name: np.array(parameter.value, order="C") for name, parameter in self._parameters.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Take every parameter from a mapping of arrays or tensors; all of them or, after an error, none.

        Parameters
        ----------
        state_dict : mapping
            {torch's name: array of torch's shape}, cast to the layer's dtype.
        strict : bool
            Whether missing and unexpected names are errors; otherwise they are passed over.

        Raises
        ------
        ValueError
            Lists every missing, unexpected and misshapen name.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping of names to arrays, got {type(state_dict).__name__}")
        self._assign(check_values(self._parameters, state_dict, some=not strict, others=not strict))

    def set_parameters(self, **arrays: Any) -> None:
        """Take some parameters by name; all that are given or, after an error, none."""
        self._assign(check_values(self._parameters, arrays, some=True))

    def _assign(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        stored = [parameter.stored for parameter in self._parameters.values()]
        values = {  # what is given may be what is to be replaced
            name: np.array(array) if any(np.may_share_memory(array, other) for other in stored) else array
            for name, array in arrays.items()
        }
        for name, array in values.items():
            self._parameters[name].assign(array)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, numbers and strings only."""
        raise AssertionError("every layer defines get_config")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **dict.fromkeys(self._transient)}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def check_size(value: Any, name: str, least: int = 1) -> int:
    """Return a size given as any integer."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def check_real(value: Any, name: str) -> float:
    """Return any finite number."""
    check_is_number(value, name)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    return float(value)


def check_is_number(value: Any, name: str) -> None:
    """Refuse what is no real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")


def check_number(value: Any, name: str, above: bool = False, below: float | None = math.inf) -> float:
    """Return a number from 0 upwards, or above 0, and below `below`; None lets it be infinite too."""
    check_is_number(value, name)
    if not (value > 0 if above else value >= 0) or (below is not None and value >= below):
        kind = "a finite number" if value == math.inf else "a number"
        end = f"to below {below}" if below is not None and below < math.inf else "" if above else "upwards"
        start = "above 0" if above else "from 0"
        raise ValueError(f"{name} must be {' '.join(filter(None, (kind, start, end)))}, got {value}")
    return float(value)


def check_dtype(value: Any) -> np.dtype[Any]:
    """Return float32 or float64."""
    try:
        dtype = None if value is None else np.dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64", got {value!r}')
    return np.dtype(dtype.name)  # in this machine's byte order


def check_seed(value: Any) -> int | None:
    """Return a seed from 0 to 2**64 - 1, or None."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"seed must be an integer or None, got {type(value).__name__}")
    if not 0 <= value < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, got {value}")
    return int(value)
