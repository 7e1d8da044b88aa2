"""Check what a caller passes to a recurrent layer and bring it into the engine's form: time-major, row by row.

Every function names the argument in its error, what was expected and what came, and changes nothing. The engine's
layers and the reference call the same functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._parameter import as_array

Array = NDArray[Any]


def array_of(value: Any, name: str) -> Array:
    """Return `value` as an array, without a copy where it is one already."""
    try:
        return as_array(value)
    except (TypeError, ValueError, BufferError) as error:  # a list of rows of unequal length, memory of another device
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be one array, got {type(value).__name__}: {error}") from error


def floating(value: Any, name: str, dtype: np.dtype[Any]) -> Array:
    """Return `value` as numbers of `dtype`; a copy only where its own dtype or byte order differs."""
    array = array_of(value, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return np.asarray(array, dtype)


def lies_by_rows(array: Array) -> bool:
    """Return whether the engine can use `array` as it lies: its last axis contiguous, the others by whole numbers."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return True
    size = array.itemsize
    contiguous = array.shape[-1] <= 1 or array.strides[-1] == size
    return contiguous and flags.aligned and not any(step % size for step in array.strides)


def by_rows(array: Array) -> Array:
    """Return `array`, copied unless the engine can use it as it lies."""
    return array if lies_by_rows(array) else np.ascontiguousarray(array)


def time_major(array: Array, batched: bool, batch_first: bool) -> Array:
    """Return (N, T, ...), (T, N, ...) or unbatched (T, ...) as a view (T, N, ...)."""
    if not batched:
        return array[:, None]
    return array.swapaxes(0, 1) if batch_first else array


def as_given(array: Array, batched: bool, batch_first: bool) -> Array:
    """Return a (T, N, ...) array in the caller's order of axes: the inverse of `time_major`, a view."""
    if not batched:
        return array[:, 0]
    return array.swapaxes(0, 1) if batch_first else array


def check_input(x: Any, input_size: int, batch_first: bool, dtype: np.dtype[Any]) -> tuple[Array, bool]:
    """Return x as (T, N, I) numbers or (T, N) ids of int64, and whether it came with a batch axis."""
    array = array_of(x, "x")
    if array.dtype is not dtype:  # asking first of what kind it is would cost as much as a row of a small layer
        kind = array.dtype.kind
        if kind in "iu":
            return check_id_rows(array, batch_first)
        if kind != "f":
            raise TypeError(f"x must be floating numbers or integer ids, got dtype {array.dtype}")
    shape = array.shape
    batched = len(shape) == 3
    if (not batched and len(shape) != 2) or shape[-1] != input_size:
        order = "(N, T" if batch_first else "(T, N"
        raise ValueError(f"x must have the shape {order}, {input_size}) or, unbatched, (T, {input_size}), got {shape}")
    rows = by_rows(np.asarray(array, dtype))
    return time_major(rows, batched, batch_first), batched


def check_id_rows(array: Array, batch_first: bool) -> tuple[Array, bool]:
    """Return ids as `check_input` does."""
    if array.ndim == 3:
        raise TypeError("x of integers means ids and has no third axis; cast features to floating numbers first")
    if array.ndim not in (1, 2):
        order = "(N, T)" if batch_first else "(T, N)"
        raise ValueError(f"x of ids must have the shape {order} or, unbatched, (T,), got {array.shape}")
    ids = np.array(array, np.int64)  # a copy, which nobody changes between the check and the last use
    return time_major(ids, array.ndim == 2, batch_first), array.ndim == 2


def check_step(
    x: Any, leads: tuple[tuple[int, ...], ...], input_size: int, dtype: np.dtype[Any]
) -> tuple[Array, tuple[int, ...]]:
    """Return one step's input, contiguous, as numbers (N, I) or ids (N,), and which of the `leads` stood before I."""
    array = array_of(x, "x")
    ids = array.dtype.kind in "iu"
    if not ids and array.dtype.kind != "f":
        raise TypeError(f"x must be floating numbers or integer ids, got dtype {array.dtype}")
    shapes = {lead if ids else (*lead, input_size): lead for lead in leads}
    if array.shape not in shapes:
        raise ValueError(f"x must have the shape {' or '.join(map(str, shapes))}, got {array.shape}")
    if not ids:
        return np.ascontiguousarray(array, dtype).reshape(-1, input_size), shapes[array.shape]
    rows = np.ascontiguousarray(array, np.int64).reshape(-1)
    check_ids(rows[None], None, input_size)
    return rows, shapes[array.shape]


def check_ids(ids: Array, active: Array | None, input_size: int) -> None:
    """Refuse ids (T, N) that are not in 0 ... input_size - 1 at a real step."""
    wrong = (ids < 0) | (ids >= input_size)
    if active is not None:
        wrong &= active
    if wrong.any():
        t, n = np.argwhere(wrong)[0]
        raise ValueError(f"x must hold ids from 0 to {input_size - 1}, got {ids[t, n]} at row {n}, step {t}")


def check_active(lengths: Any, mask: Any, T: int, N: int, batched: bool, batch_first: bool) -> Array | None:
    """Return which steps are real, bool (T, N), or None where all are."""
    if lengths is not None and mask is not None:
        raise ValueError("lengths and mask say the same thing twice: give one of them")
    if mask is not None:
        return flags(mask, "mask", T, N, batched, batch_first)
    if lengths is None:
        return None
    array = array_of(lengths, "lengths")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"lengths must be integers, got dtype {array.dtype}")
    expected = (N,) if batched else ()
    if array.shape != expected:
        raise ValueError(f"lengths must have the shape {expected}, got {array.shape}")
    if np.count_nonzero((array < 0) | (array > T)):
        raise ValueError(f"lengths must be from 0 to T = {T}, got {array.min()} to {array.max()}")
    return np.arange(T, dtype=np.int32)[:, None] < array.astype(np.int32).reshape(1, N)


def check_resets(resets: Any, T: int, N: int, batched: bool, batch_first: bool) -> Array | None:
    """Return resets as bool (T, N), or None."""
    return None if resets is None else flags(resets, "resets", T, N, batched, batch_first)


def flags(value: Any, name: str, T: int, N: int, batched: bool, batch_first: bool) -> Array:
    """Return a contiguous copy of booleans, laid out as ids are, as (T, N)."""
    array = array_of(value, name)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} must be booleans, got dtype {array.dtype}")
    expected = ((N, T) if batch_first else (T, N)) if batched else (T,)
    if array.shape != expected:
        raise ValueError(f"{name} must have the shape {expected}, got {array.shape}")
    return np.array(time_major(array, batched, batch_first), order="C")


def check_state(
    state: Any,
    names: tuple[str, ...],
    shapes: tuple[tuple[int, int, int], ...],
    batched: bool,
    dtype: np.dtype[Any],
    name: str,
) -> tuple[Array | None, Array | None]:
    """Return copies of h and c of a state, (L·D, N, ·) of the given shapes, None where there is none.

    `name` is "state", where a pair must be whole, or "dstate", where an LSTM's pair may hold one None.
    """
    if state is None:
        return None, None
    parts: tuple[Any, ...] = (state,)
    if len(names) == 2:
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            count = f" of {len(state)}" if isinstance(state, (tuple, list)) else ""
            raise ValueError(f"{name} of an LSTM must be the pair (h, c), got {type(state).__name__}{count}")
        parts = tuple(state)
        if name == "state" and any(part is None for part in parts):
            raise ValueError("state of an LSTM must be a whole pair (h, c), got None for one of them")
    elif isinstance(state, tuple):
        raise ValueError(f"{name} must be one array, got a tuple of {len(state)}")
    labels = [f"{name} {letter}" for letter in names] if len(names) == 2 else [name]
    checked = [
        None if part is None else check_part(part, label, shape, batched, dtype)
        for part, label, shape in zip(parts, labels, shapes, strict=True)
    ]
    return checked[0], checked[1] if len(checked) == 2 else None


def check_part(value: Any, name: str, shape: tuple[int, int, int], batched: bool, dtype: np.dtype[Any]) -> Array:
    """Return a contiguous copy of one part of a state as (L·D, N, H)."""
    array = floating(value, name, dtype)
    expected = shape if batched else (shape[0], shape[2])
    if array.shape != expected:
        raise ValueError(f"{name} must have the shape {expected}, got {array.shape}")
    return np.array(array, order="C").reshape(shape)


def check_gradient(dy: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """Return the gradient of y in y's own shape, its last axis contiguous, or None."""
    if dy is None:
        return None
    array = dy if type(dy) is np.ndarray and dy.dtype is dtype else floating(dy, "dy", dtype)
    if array.shape != shape:
        raise ValueError(f"dy must have the shape of y, {shape}, got {array.shape}")
    return by_rows(array)


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: tuple[Any, ...]) -> None:
    """Refuse an `out` that cannot hold the output or that shares memory with an input; None asks for a new array."""
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writable")
    if any(array is not None and np.shares_memory(out, as_array(array)) for array in inputs):
        raise ValueError("out must not share memory with an input")


def check_pad(pad: Any) -> bool:
    """Return whether padded steps hold the last output."""
    if pad not in ("zero", "hold"):
        raise ValueError(f'pad must be "zero" or "hold", got {pad!r}')
    return bool(pad == "hold")
