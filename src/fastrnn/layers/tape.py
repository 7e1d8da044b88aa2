"""What a forward pass keeps for its backward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._arguments import as_given

Array = NDArray[Any]


@dataclass(eq=False)
class Tape:
    """The states and gates of one `forward` call, spent by one `backward` unless that retains it.

    `gates`, `masks` and `hidden_gradients` give what was computed, as new arrays: (N, T, ·) where the layer is
    `batch_first`, else (T, N, ·), (T, ·) unbatched, one for each layer and direction in the order of a state
    (layer 0 forward, layer 0 reverse, layer 1 forward, ...); zeros at padded steps.
    """

    layer: Any
    versions: tuple[int, ...]
    y_shape: tuple[int, ...]
    batched: bool
    hold: bool
    active: Array | None
    dropout: tuple[int, int, float] | None  # seed, count and probability, where there are masks
    T: int
    N: int
    kept: Any  # a list, for each layer and direction what its backward pass needs; or the engine's Segments
    watching: bool = False
    watched: list[Array] = field(default_factory=list)
    spent: bool = False

    def check(self, layer: Any) -> None:
        """Refuse a backward pass that this tape cannot serve."""
        if self.layer is not layer:
            raise ValueError(f"tape was made by another layer, {self.layer!r}")
        if self.spent:
            raise ValueError("tape is spent: one backward uses it up, unless called with retain=True")
        if self.versions != layer._versions():
            raise ValueError("tape is older than the layer's parameters, which have changed since its forward")

    def spend(self) -> None:
        """Give the memory back."""
        self.spent = True
        self.kept = []

    @property
    def input(self) -> Array:
        """x as the engine reads it, (T, N, I) or ids (T, N)."""
        x: Array = self.kept[0].x if isinstance(self.kept, list) else self.kept.x
        return x

    @property
    def nbytes(self) -> int:
        """Bytes kept besides the input: of an LSTM 6 numbers for each step, row and hidden unit, GRU 5, RNN 1.

        With ``checkpoint`` the states before each segment, and what a budget let it keep.
        """
        if not isinstance(self.kept, list):
            return int(self.kept.nbytes)
        return sum(array.nbytes for kept in self.kept for array in (kept.h, kept.c, kept.gates) if array is not None)

    def gates(self) -> list[dict[str, Array]]:
        """Return every gate and state: LSTM i, f, g, o, c, h; GRU r, z, n, h; RNN h.

        A tape with ``checkpoint`` runs the whole sequence again for it, and refuses once parameters have changed.
        """
        self._refuse_spent("gates")
        names, whole = self.layer._gate_names, self.kept
        if not isinstance(whole, list):
            self.check(self.layer)
            whole = whole.whole(self.layer._weights(_engine.load(self.layer.dtype))[0])
        return [{name: self._show(self._part(kept, name, names)) for name in names} for kept in whole]

    @staticmethod
    def _part(kept: Any, name: str, names: tuple[str, ...]) -> Array:
        part: Array = {"h": kept.h, "c": kept.c}[name] if name in "hc" else kept.gates[:, :, names.index(name)]
        return part

    def masks(self) -> list[Array]:
        """Return the dropout masks between the layers, 0 or 1 / (1 - p); none without dropout."""
        self._refuse_spent("masks")
        if self.dropout is None:
            return []
        ones = np.ones((self.T, self.N, self.y_shape[-1]), self.layer.dtype)
        return [self._given(self.masked(ones, k)) for k in range(self.layer.num_layers - 1)]

    def masked(self, array: Array, layer: int) -> Array:
        """Return an array [T, N, J] times the mask on the output of a layer."""
        assert self.dropout is not None
        product: Array = _engine.load(self.layer.dtype).dropped(array, self.dropout, layer)
        return product

    def watch(self) -> None:
        """Ask the backward pass for the gradient of every hidden state."""
        self.watching = True

    def hidden_gradients(self) -> list[Array]:
        """Return dL/dh_t, all that reaches h_t, of every layer and direction; `watch` comes before `backward`."""
        if not self.watched:
            raise ValueError("the tape has no hidden gradients: call tape.watch() before backward")
        return [self._given(array) for array in self.watched]

    def _refuse_spent(self, what: str) -> None:
        if self.spent:
            raise ValueError(f"tape is spent: read its {what} before backward, or call that with retain=True")

    def _show(self, array: Array) -> Array:
        if self.active is None:
            return self._given(array)
        shown = np.zeros(array.shape, array.dtype)
        shown[self.active] = array[self.active]
        return self._given(shown)

    def _given(self, array: Array) -> Array:
        return np.array(as_given(array, self.batched, self.layer.batch_first), order="C")
