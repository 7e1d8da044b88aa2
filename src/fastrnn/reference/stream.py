"""One step at a time, by calls over sequences of one step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import stream as engine_stream

Array = NDArray[Any]


class Stream(engine_stream.Stream):
    """A reference layer stepped by its user; the methods are written at `fastrnn.layers.stream.Stream`."""

    def _open(self) -> None:
        self._now = self._layer._state(None, self.batch_size, True, "state")

    def _move(self, x: Array, y: Array) -> None:
        step = x[:, None] if self._layer.batch_first else x[None]
        outputs, state = self._layer(step, self.state)
        y[...] = outputs.reshape(y.shape)
        self.state = state

    def _restart(self, rows: Array) -> None:
        for part in self._now:
            part[:, rows] = 0

    @property
    def state(self) -> Any:
        return self._layer._shown(tuple(np.array(part) for part in self._now), True)

    @state.setter
    def state(self, state: Any) -> None:
        self._now = self._layer._state(state, self.batch_size, True, "state")
