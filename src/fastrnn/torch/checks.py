"""Refuse what the engine cannot compute with, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]

DTYPES = (torch.float32, torch.float64)


def array_of(tensor: Any, name: str) -> Array:
    """Return a tensor's numbers, on its memory."""
    try:
        array: Array = tensor.detach().numpy()
    except (AttributeError, RuntimeError, TypeError) as error:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}") from None
        if tensor.device.type != "cpu":
            raise ValueError(
                f"{name} must lie on the CPU, where fastrnn computes, got device {tensor.device}"
            ) from None
        if tensor.dtype not in DTYPES:
            raise TypeError(f"{name} must be torch.float32 or torch.float64, got {tensor.dtype}") from None
        raise TypeError(
            f"{name} must lie in memory, row by row: tensors by which torch.func or torch.export follow a computation, "
            f"and sparse ones, do not ({error})"
        ) from error
    return array


def check_traced(module: nn.Module) -> None:
    """Refuse a trace, which would take results for constants."""
    if torch._C._get_tracing_state():
        refuse_scripts(module)


def refuse_scripts(module: nn.Module) -> NoReturn:
    """Refuse what makes a program of a module."""
    name = type(module).__name__
    raise TypeError(
        f"{name} cannot be traced or scripted, its arithmetic is not torch's: load its state_dict into torch.nn.{name}"
    )


def check_parameters(module: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Refuse parameters that are not all float32 or all float64."""
    dtypes = list(dict.fromkeys(parameter.dtype for parameter in parameters.values()))
    if len(dtypes) != 1 or dtypes[0] not in DTYPES:
        raise TypeError(
            f"the parameters of {type(module).__name__} must be all torch.float32 or all torch.float64, "
            f"got {', '.join(map(str, dtypes))}"
        )


def check_input(array: Array, dtype: np.dtype[Any], width: int, forms: tuple[str, str]) -> None:
    """Refuse an input that is not of the parameters' dtype, or has neither form: the axes before the last, as text."""
    if array.dtype != dtype:
        raise TypeError(f"input must be {dtype}, as the parameters are, got {array.dtype}")
    if array.ndim - 1 not in [len(form.split()) for form in forms] or array.shape[-1] != width:
        expected = " or ".join(f"({form}{width}{'' if form else ','})" for form in forms)
        raise ValueError(f"input must have the shape {expected}, got {array.shape}")


def state_arrays(hx: Any, pair: bool, dtype: np.dtype[Any], shapes: list[tuple[int, ...]]) -> list[Array]:
    """Return the parts of a state, each of its shape; none where there is no state."""
    if hx is None:
        return []
    if pair and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
        count = f" of {len(hx)}" if isinstance(hx, (tuple, list)) else ""
        raise TypeError(f"hx of an LSTM must be the pair (h, c), got {type(hx).__name__}{count}")
    arrays = []
    for part, name, shape in zip(hx if pair else (hx,), ("hx[0]", "hx[1]") if pair else ("hx",), shapes, strict=False):
        array = array_of(part, name)
        if array.dtype != dtype:
            raise TypeError(f"{name} must be {dtype}, as the parameters are, got {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
        arrays.append(array)
    return arrays
