"""One parameter of a layer: read-only to its users, with a version that tells the engine when to pack it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray


class Parameter:
    """An array that changes only through `assign`, or by its `stored` numbers followed by `touch`.

    Recurrent weights lie in memory as (I, G·H) and are shown transposed, in torch's shape: so integer input gathers
    contiguous rows, and no update has to reorder 10,000 of them.
    """

    changes: ClassVar[int] = 0  # of all parameters that there are: while it stays the same, so do their versions

    __slots__ = ("_watchers", "name", "stored", "transposed", "value", "version")

    def __init__(self, name: str, value: NDArray[Any], transposed: bool = False) -> None:
        self.name = name
        self.transposed = transposed
        self.stored = np.array(value.T if transposed else value, order="C")
        self.version = 0
        self._watchers: WeakSet[Any] = WeakSet()
        self._show()

    def _show(self) -> None:
        self.value = self.stored.T if self.transposed else self.stored.view()
        self.value.flags.writeable = False

    def in_storage(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of `value`'s shape as `stored` lies in memory; a copy only where it lies otherwise."""
        lying = np.ascontiguousarray(array.T if self.transposed else array, dtype=self.stored.dtype)
        return lying if lying.flags.aligned else lying.copy()

    def assign(self, array: NDArray[Any]) -> None:
        """Copy new values in."""
        self.touch()  # before too: whatever interrupts the copy, no pack of the old values seems up to date
        np.copyto(self.stored, array.T if self.transposed else array)
        self.touch()

    def touch(self) -> None:
        """Say that `stored` has changed."""
        self.version += 1
        Parameter.changes += 1
        for watcher in list(self._watchers):
            watcher.stale = True

    def watch(self, watcher: Any) -> None:
        """Set the watcher's `stale` whenever `stored` changes."""
        self._watchers.add(watcher)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.name, self.stored, self.transposed, self.version

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.name, self.stored, self.transposed, self.version = state
        self._watchers = WeakSet()
        self._show()


def check_values(
    parameters: Mapping[str, Parameter],
    values: Mapping[str, Any],
    what: str = "parameters",
    *,
    some: bool = False,
    others: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of `values` that belong to `parameters`, or list all that is wrong with them in one error.

    `what` names the values in that error; `some` lets parameters be missing, `others` lets values be that belong to
    none.
    """
    missing = [] if some else [name for name in parameters if name not in values]
    unexpected = [] if others else [name for name in values if name not in parameters]
    misshapen = []
    arrays = {}
    for name in parameters.keys() & values.keys():
        try:
            array = as_array(values[name])
        except (TypeError, ValueError, BufferError) as error:  # bfloat16, another device, a ragged list
            misshapen.append(f"{name}, no array of numbers ({error})")
            continue
        if array.shape != parameters[name].value.shape:
            misshapen.append(f"{name} {array.shape} instead of {parameters[name].value.shape}")
        elif array.dtype.kind not in "fiu":
            misshapen.append(f"{name} of dtype {array.dtype}")
        arrays[name] = array
    problems = [
        f"{word}: {', '.join(sorted(names))}"
        for word, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise ValueError(f"{what} do not fit: " + "; ".join(problems))
    return arrays


def as_array(value: Any) -> NDArray[Any]:
    """Return an array of what has `__array__` or DLPack, a tensor that requires gradients included."""
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)
