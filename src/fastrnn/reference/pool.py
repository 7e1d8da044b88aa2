"""Many sessions, by calls over sequences of one step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import pool as engine_pool

Array = NDArray[Any]


class StreamPool(engine_pool.StreamPool):
    """Sessions of a reference layer; the methods are written at `fastrnn.layers.pool.StreamPool`."""

    def _check_state(self, state: Any, M: int, single: bool) -> tuple[Array | None, Array | None]:
        h, *c = self._layer._state(state, M, not single, "state")
        return h, c[0] if c else None

    def _shown(self, h: Array, c: Array | None, batched: bool) -> Any:
        return self._layer._shown((h,) if c is None else (h, c), batched)

    def _start(self) -> None:
        self._states = self._layer._state(None, 0, True, "state")  # (L, capacity, H), h and of LSTMs c

    def _grow(self, capacity: int) -> None:
        larger = self._layer._state(None, capacity, True, "state")
        for part, old in zip(larger, self._states, strict=True):
            part[:, : old.shape[1]] = old
        self._states = larger

    def _find_slots(self, ids: Array, slots: Array) -> int:
        place = {int(id): slot for slot, id in enumerate(self._holders) if id >= 0}
        for m, id in enumerate(ids):
            if int(id) not in place:
                return m
            slots[m] = place.pop(int(id))
        return len(ids)

    def _move(self, slots: Array, x: Array, y: Array) -> None:
        step = x[:, None] if self._layer.batch_first else x[None]
        state = self._layer._shown(tuple(part[:, slots] for part in self._states), True)
        outputs, state = self._layer(step, state)
        y[...] = outputs.reshape(y.shape)
        self._write(slots, *(state if isinstance(state, tuple) else (state, None)))

    def _restart(self, slots: Array) -> None:
        for part in self._states:
            part[:, slots] = 0

    def _read(self, slots: Array) -> tuple[Array, Array | None]:
        h, *c = (np.array(part[:, slots], order="C") for part in self._states)
        return h, c[0] if c else None

    def _write(self, slots: Array, h: Array, c: Array | None) -> None:
        for part, value in zip(self._states, (h, c), strict=False):
            part[:, slots] = value
