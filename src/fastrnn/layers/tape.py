"""What a forward pass keeps for its backward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers._arguments import as_given
from fastrnn.layers._recurrent import WEIGHTS, Drawn

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
    _places: list[tuple[Any, str]] = field(default_factory=list)
    weight_dropout: tuple[int, int, float] | None = None
    drawn: Drawn | None = None  # within the layers
    weights: list[Any] | None = None  # the packed parameters of this call, where they are not the layer's

    def check(self, layer: Any, versions: tuple[int, ...]) -> None:
        """Refuse a backward pass that this tape cannot serve; `versions`: of the layer's parameters now."""
        if self.layer is not layer:
            raise ValueError(f"tape was made by another layer, {self.layer!r}")
        if self.spent:
            raise ValueError("tape is spent: one backward uses it up, unless called with retain=True")
        if self.versions != versions:
            raise ValueError("tape is older than the layer's parameters, which have changed since its forward")

    def spend(self) -> None:
        """Give the memory back."""
        self.spent = True
        self.kept = []
        self.weights = None

    def unload(self) -> list[Array]:
        """Give all kept arrays away; `load` brings them, or their like, back before `backward`.

        Raises
        ------
        ValueError
            The tape keeps less than a plain one, by ``checkpoint`` or ``tape_dtype``, and does not give it away.
        """
        if not isinstance(self.kept, list):
            raise ValueError("tape keeps less, by checkpoint or tape_dtype, and does not give its arrays away")
        self._places = [
            (kept, name) for kept in self.kept for name in ("x", "h", "c", "gates") if getattr(kept, name) is not None
        ]
        arrays = [getattr(kept, name) for kept, name in self._places]
        for kept, name in self._places:
            setattr(kept, name, None)
        return arrays

    def load(self, arrays: list[Array]) -> None:
        """Take back what `unload` gave."""
        for (kept, name), array in zip(self._places, arrays, strict=True):
            setattr(kept, name, array)

    @property
    def input(self) -> Array:
        """x as the engine reads it, (T, N, I) or ids (T, N)."""
        x: Array = self.kept[0].x if isinstance(self.kept, list) else self.kept.x
        return x

    @property
    def nbytes(self) -> int:
        """Bytes kept besides the input: of an LSTM 6 numbers for each step, row and hidden unit, GRU 5, RNN 1; of an
        LSTM with `layer_norm` 14, GRU 11. Where a row of c would be whole pages, it is a cache line more.

        Of a MinLSTM 4, of a MinGRU 3. With ``checkpoint`` the states before each segment, and what a budget let it
        keep.
        """
        if not isinstance(self.kept, list):
            return int(self.kept.nbytes)
        return sum(array.nbytes for kept in self.kept for array in (kept.h, kept.c, kept.gates) if array is not None)

    def gates(self) -> list[dict[str, Array]]:
        """Return every gate and state of every step; before `backward` spends them.

        A tape with ``checkpoint`` runs the whole sequence again for it, and refuses once parameters have changed.

        Returns
        -------
        list of dict
            For each layer and direction {name: array}, each (N, T, H), or as x lies: i, f, g, o, c, h of an LSTM, r, z,
            n, h of a GRU, h of an RNN, z, n, h of a MinGRU, f, i, n, h of a MinLSTM, by the letters of the layer's
            equations. A step's h and c are those after it.

        Examples
        --------
        >>> import fastrnn, numpy as np
        >>> lstm = fastrnn.LSTM(3, 5, num_layers=2, bidirectional=True, seed=0)
        >>> y, state, tape = lstm.forward(np.ones((2, 4, 3), "float32"))
        >>> gates = tape.gates()
        >>> len(gates), list(gates[0]), gates[0]["f"].shape
        (4, ['i', 'f', 'g', 'o', 'c', 'h'], (2, 4, 5))
        >>> bool((y[:, :, 5:] == gates[3]["h"]).all())  # of the last layer's reverse direction
        True
        """
        self._refuse_spent("gates")
        names, whole = self.layer._gate_names, self.kept
        if not isinstance(whole, list):
            self.check(self.layer, self.layer._versions())
            whole = whole.whole(self.weights or self.layer._weights(_engine.load(self.layer.dtype))[0])
        return [{name: self._show(self._part(kept, name, names)) for name in names} for kept in whole]

    @staticmethod
    def _part(kept: Any, name: str, names: tuple[str, ...]) -> Array:
        part: Array = {"h": kept.h, "c": kept.c}[name] if name in "hc" else kept.gates[:, :, names.index(name)]
        return part if name == "h" else part[:, :, : kept.gates.shape[-1]]  # rows of c may lie a little further apart

    def masks(self) -> list[Array]:
        """Return the dropout masks between the layers, 0 or 1 / (1 - p); none without dropout."""
        self._refuse_spent("masks")
        if self.dropout is None:
            return []
        ones = np.ones((self.T, self.N, self.y_shape[-1]), self.layer.dtype)
        return [self._given(self.masked(ones, k)) for k in range(self.layer.num_layers - 1)]

    def weight_masks(self) -> list[Array]:
        """Return the masks on each `weight_hh`, in its shape, 0 or 1 / (1 - p); none without dropout of weights."""
        self._refuse_spent("weight_masks")
        if self.weight_dropout is None:
            return []
        names = [name for name in self.layer.parameters if name.startswith("weight_hh")]
        ones = [np.ones(self.layer.parameters[name].shape[::-1], self.layer.dtype) for name in names]
        return [np.array(self.masked_weight(array, k).T, order="C") for k, array in enumerate(ones)]

    def input_masks(self) -> list[Array]:
        """Return the masks on the input of each layer and direction, 0 or 1 / (1 - p); none without `input_dropout`.

        Each (N, I) with the columns that the layer reads, (I,) unbatched.
        """
        layer = self.layer
        widths = [layer.input_size, *[self.y_shape[-1]] * (layer.num_layers - 1)]
        return self._row_masks("input_masks", 0, [width for width in widths for _ in range(layer._directions)])

    def recurrent_masks(self) -> list[Array]:
        """Return the masks on h' of each layer and direction, 0 or 1 / (1 - p); none without `recurrent_dropout`.

        Each (N, P), (P,) unbatched.
        """
        return self._row_masks("recurrent_masks", 1, [self.layer._output_size] * len(self.layer._groups))

    def zoneout_masks(self) -> list[dict[str, Array]]:
        """Return which units stayed as they were: as `gates`, but booleans, of h and, of LSTMs, c.

        Of each layer and direction {name: (N, T, H)}, false at padded steps; none without zoneout.
        """
        self._refuse_spent("zoneout_masks")
        if self.drawn is None or not any(self.layer._zoneouts):
            return []
        widths = {"h": self.layer._output_size, "c": self.layer.hidden_size}
        shown = []
        for k in range(len(self.layer._groups)):
            ones = {name: np.ones((self.T, self.N, widths[name])) for name in self.layer._state_names}
            held = {name: self.drawn_masked(array, 2 + (name == "h"), k) == 0 for name, array in ones.items()}
            shown.append({name: self._show(array) for name, array in held.items()})
        return shown

    def _row_masks(self, name: str, which: int, widths: list[int]) -> list[Array]:
        """Return the masks for each row of one kind that is drawn, of the given widths."""
        self._refuse_spent(name)
        if self.drawn is None or not self.drawn[which][2]:
            return []
        ones = [np.ones((1, self.N, width), self.layer.dtype) for width in widths]
        masks = [self.drawn_masked(array, which, k)[0] for k, array in enumerate(ones)]
        return [np.array(mask if self.batched else mask[0]) for mask in masks]

    def drawn_masked(self, array: Array, which: int, k: int) -> Array:
        """Return an array [T, N, J] times the mask of one kind that is drawn within the k-th layer and direction."""
        assert self.drawn is not None
        *dropout, first = self.drawn[which]
        product: Array = _engine.load(array.dtype).dropped(array, dropout, first + k)
        return product

    def masked_weight(self, array: Array, k: int) -> Array:
        """Return an array [P, G*H] times the mask on the k-th weight_hh, transposed."""
        assert self.weight_dropout is not None
        product: Array = _engine.load(self.layer.dtype).dropped(array[None], self.weight_dropout, WEIGHTS + k)[0]
        return product

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
