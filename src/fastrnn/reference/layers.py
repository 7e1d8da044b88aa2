"""The recurrent layers: stacks in one or both directions, with the engine's constructors and methods.

The stack is that of Graves, Mohamed and Hinton (2013): layer k + 1 reads the outputs of layer k, both directions side
by side (Schuster and Paliwal 1997), and dropout acts between the layers only. What an argument means is written at the
engine's layers, `fastrnn.LSTM` and its kin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import _arguments as arguments
from fastrnn.layers import tape as engine_tape
from fastrnn.layers._cells import GRUBase, LSTMBase, MinGRUBase, MinLSTMBase, RNNBase
from fastrnn.layers._recurrent import WEIGHTS, RecurrentBase
from fastrnn.layers._segments import check_checkpoint
from fastrnn.layers.sparse import SparseRows
from fastrnn.reference.cells import GRUCell, GRUResetBeforeCell, LSTMCell, RNNCell, State, Weights
from fastrnn.reference.dropout import Masks, dropout_mask
from fastrnn.reference.minimal import AnyCell, MinGRUCell, MinLSTMCell
from fastrnn.reference.pool import StreamPool
from fastrnn.reference.quantized import PRECISIONS, quantized
from fastrnn.reference.sequence import (
    Pass,
    backward_direction,
    bfloat16,
    exactly,
    forward_direction,
    hold,
    hold_backward,
    restarts,
    time_order,
)
from fastrnn.reference.stream import Stream

Array = NDArray[Any]


class Tape(engine_tape.Tape):
    """What a forward pass keeps: a `Pass` for each layer and direction."""

    @property
    def nbytes(self) -> int:
        """Bytes kept besides the input."""
        return sum(kept.nbytes for kept in self.kept)

    def gates(self) -> list[dict[str, Array]]:
        """Return every gate and state that the cell has `shown`."""
        self._refuse_spent("gates")
        names = self.layer._cell.shown
        widths = {name: self.layer._output_size if name == "h" else self.layer.hidden_size for name in names}
        return [{name: self._given(kept.sequence(name, widths[name])) for name in names} for kept in self.kept]

    def drawn_masked(self, array: Array, which: int, k: int) -> Array:
        """Return an array [T, N, J] times the mask of one kind that is drawn within the k-th layer and direction."""
        assert self.drawn is not None
        seed, count, p, first = self.drawn[which]
        product: Array = array * dropout_mask(seed, count, first + k, array.shape, p, array.dtype)
        return product

    def masked_weight(self, array: Array, k: int) -> Array:
        """Return an array [P, G·H] times the mask on the k-th weight_hh, transposed."""
        assert self.weight_dropout is not None
        seed, count, p = self.weight_dropout
        mask: Array = dropout_mask(seed, count, WEIGHTS + k, (1, *array.shape), p, array.dtype)[0]
        return array * mask

    def masked(self, array: Array, layer: int) -> Array:
        """Return an array [T, N, J] times the mask on the output of a layer."""
        assert self.dropout is not None
        seed, count, p = self.dropout
        product: Array = array * dropout_mask(seed, count, layer, array.shape, p, array.dtype)
        return product


class Recurrent(RecurrentBase):
    """A stack of recurrent layers in one or both directions; the base of `RNN`, `LSTM`, `GRU` and the minimal cells."""

    _precision: str | None = None  # of the weights, where that is less than dtype's

    @property
    def _cell(self) -> AnyCell:
        raise AssertionError("every layer defines _cell")

    def __call__(
        self,
        x: Any,
        state: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        pad: str = "zero",
        out: Array | None = None,
    ) -> tuple[Array, Any]:
        """Return y and the final state, without dropout."""
        return self._run(x, state, lengths, mask, resets, pad, out, None)[:2]

    def forward(
        self,
        x: Any,
        state: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        pad: str = "zero",
        out: Array | None = None,
        checkpoint: str | int | None = None,
        tape_dtype: str | None = None,
    ) -> tuple[Array, Any, Tape]:
        """Return y, the final state and the tape for `backward`, with dropout.

        No result depends on `checkpoint`, and none is saved by it here.
        """
        check_checkpoint(checkpoint, tape_dtype)
        rounding = exactly if tape_dtype is None else bfloat16
        result = self._run(x, state, lengths, mask, resets, pad, out, rounding)
        self.forward_count += 1
        return result

    def _run(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        mask: Any,
        resets: Any,
        pad: str,
        out: Array | None,
        keep: Callable[[Array], Array] | None,
    ) -> tuple[Array, Any, Tape]:
        holds = arguments.check_pad(pad)
        rows, batched = arguments.check_input(x, self.input_size, self.batch_first, self.dtype)
        T, N = rows.shape[:2]
        active = arguments.check_active(lengths, mask, T, N, batched, self.batch_first)
        if rows.ndim == 2:
            arguments.check_ids(rows, active, self.input_size)
        starts = arguments.check_resets(resets, T, N, batched, self.batch_first)
        initial = self._state(state, N, batched, "state")
        steps = arguments.as_given(np.empty((T, N)), batched, self.batch_first).shape
        shape = (*steps, self._directions * self._output_size)
        given = state if isinstance(state, (tuple, list)) else (state,)
        arguments.check_out(out, shape, self.dtype, (rows, *given))

        dropout = self._draw(self.dropout) if keep else None
        tape = Tape(self, self._versions(), shape, batched, holds, active, dropout, T, N, [])
        tape.weight_dropout = self._draw(self.weight_dropout) if keep else None
        tape.drawn = self._draw_within() if keep else None
        active = np.ones((T, N), bool) if active is None else active
        starts = np.zeros((T, N), bool) if starts is None else starts
        final = tuple(part.copy() for part in initial)
        below = rows
        for layer in range(self.num_layers):
            outputs = []
            for k, reverse in self._passes(layer):
                restart, masks = restarts(starts, active, reverse), self._masks(tape, layer, k)
                kept = Pass(rows, active, restart, time_order(T, reverse), keep or exactly, masks)
                before = tuple(part[k] for part in initial)
                h, last = forward_direction(self._cell, self._weights(k, tape), before, kept)
                kept.x = below
                for part, value in zip(final, last, strict=True):
                    part[k] = value
                if holds and layer == self.num_layers - 1:
                    h = hold(h, active, kept.order)
                outputs.append(h)
                tape.kept.append(kept)
            rows = np.concatenate(outputs, axis=2)
            below = kept.keep(rows)
            if dropout and layer < self.num_layers - 1:
                rows, below = tape.masked(rows, layer), tape.masked(below, layer)
        y = np.empty(shape, self.dtype) if out is None else out
        y[...] = arguments.as_given(rows, batched, self.batch_first)
        return y, self._shown(final, batched), tape

    def backward(
        self, tape: Tape, dy: Any = None, dstate: Any = None, *, retain: bool = False
    ) -> tuple[Array | None, Any, dict[str, Array]]:
        """Return the gradients of x (None for ids), of the initial state, and {parameter name: gradient}."""
        if not isinstance(tape, Tape):
            raise TypeError(f"tape must come from this layer's forward, got {type(tape).__name__}")
        tape.check(self, self._versions())
        given = arguments.check_gradient(dy, tape.y_shape, self.dtype)
        last = self._state(dstate, tape.N, tape.batched, "dstate")
        above = np.zeros(tape.y_shape, self.dtype) if given is None else given
        above = arguments.time_major(above, tape.batched, self.batch_first)

        initial = tuple(part.copy() for part in last)
        grads: dict[str, Any] = {}
        watched: dict[int, Array] = {}
        P = self._output_size
        below: Array | None = None
        for layer in reversed(range(self.num_layers)):
            below = None
            for k, reverse in self._passes(layer):
                kept, part = tape.kept[k], above[:, :, reverse * P : (reverse + 1) * P]
                if tape.hold and layer == self.num_layers - 1:
                    part = hold_backward(part, kept.active, kept.order)
                dx, first, gradients, watched[k] = backward_direction(
                    self._cell, self._weights(k, tape), part, tuple(part[k] for part in last), kept
                )
                for gradient, value in zip(initial, first, strict=True):
                    gradient[k] = value
                if tape.weight_dropout:
                    gradients = gradients._replace(U=tape.masked_weight(gradients.U.T, k).T)
                names = self._named({name: name for name in self._parameters}, k)
                grads |= dict(zip(names, gradients, strict=True))
                if dx is not None:
                    below = dx if below is None else below + dx
            if layer:
                assert below is not None  # only the first layer reads ids
                above = tape.masked(below, layer - 1) if tape.dropout else below
        if tape.watching:
            tape.watched = [watched[k] for k in sorted(watched)]
        first_pass = tape.kept[0]
        if self.sparse_grad and first_pass.x.ndim == 2:
            read = np.unique(first_pass.x[first_pass.active])
            for k, _ in self._passes(0):
                name = self._groups[k][0]
                assert name is not None
                grads[name] = SparseRows(read, grads[name].T[read], grads[name].shape, transposed=True)
        if not retain:
            tape.spend()
        dx = None if below is None else np.array(arguments.as_given(below, tape.batched, self.batch_first), order="C")
        return dx, self._shown(initial, tape.batched), {name: grads[name] for name in self._parameters}

    def stream(self, batch_size: int = 1) -> Stream:
        """Return a `Stream`, which steps `batch_size` rows one input at a time and carries their states."""
        return Stream(self, batch_size)

    def stream_pool(self) -> StreamPool:
        """Return a `StreamPool`: sessions that come and go, any of which take a step together."""
        return StreamPool(self)

    def _passes(self, layer: int) -> list[tuple[int, bool]]:
        """Each direction of a layer: its place in a state, and whether it is the reverse one."""
        return [(layer * self._directions + d, d == 1) for d in range(self._directions)]

    def quantize(self, precision: str) -> Recurrent:
        """Return a float64 layer with this one's weights rounded as the engine rounds them, for inference."""
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        layer = type(self)(**{**self.get_config(), "dtype": "float64"})
        layer.load_state_dict(self.state_dict())
        layer._precision = precision
        return layer

    def _masks(self, tape: Tape, layer: int, k: int) -> Masks:
        """Return what is drawn within a direction of a layer; in inference the expectation of zoneout."""
        T, N, P, H = tape.T, tape.N, self._output_size, self.hidden_size
        p_c, p_h = self._zoneouts
        widths = (P, H)[: len(self._cell.states)]
        if tape.drawn is None:
            held = tuple(np.full((T, N, J), p, self.dtype) for J, p in zip(widths, (p_h, p_c), strict=False))
            return Masks(held=held if p_c or p_h else None)
        ones = np.ones((1, N, tape.y_shape[-1] if layer else self.input_size), self.dtype)
        held = tuple(
            np.where(tape.drawn_masked(np.ones((T, N, J), self.dtype), which, k) == 0, 1, 0).astype(self.dtype)
            for J, which in zip(widths, (3, 2), strict=False)
        )
        return Masks(
            tape.drawn_masked(ones, 0, k)[0] if self.input_dropout else None,
            tape.drawn_masked(np.ones((1, N, P), self.dtype), 1, k)[0] if self.recurrent_dropout else None,
            held if p_c or p_h else None,
        )

    def _weights(self, k: int, tape: Tape) -> Weights:
        W, U, b_ih, b_hh, R, p, s_ih, s_hh, s_c, b_c = self._named(self.parameters, k)
        if self._precision:
            W, U = quantized(W, self._precision), quantized(U, self._precision)
        if tape.weight_dropout:
            U = tape.masked_weight(U.T, k).T
        if not self.bias:
            b_ih = b_hh = np.zeros(len(W), self.dtype)
            b_c = None if s_c is None else np.zeros(len(s_c), self.dtype)
        return Weights(W, U, b_ih, b_hh, R, p, s_ih, s_hh, s_c, b_c)

    def _state(self, state: Any, N: int, batched: bool, name: str) -> State:
        """Return a copy of a state or of its gradient as a tuple of (L·D, N, ·), zeros for None."""
        shapes = self._state_shapes(N)
        parts = arguments.check_state(state, self._cell.states, shapes, batched, self.dtype, name)
        return tuple(
            np.zeros(shape, self.dtype) if part is None else part for part, shape in zip(parts, shapes, strict=False)
        )

    def _shown(self, state: State, batched: bool) -> Any:
        """Return a state as the caller sees it: h, or the pair (h, c)."""
        parts = tuple(part if batched else part[:, 0] for part in state)
        return parts if len(parts) == 2 else parts[0]


class RNN(RNNBase, Recurrent):
    """The simple recurrent network; the equations are at `fastrnn.reference.cells.RNNCell`."""

    @property
    def _cell(self) -> RNNCell:
        return RNNCell(self.activations, self.clip)


class LSTM(LSTMBase, Recurrent):
    """Long short-term memory with a forget gate; the equations are at `fastrnn.reference.cells.LSTMCell`."""

    @property
    def _cell(self) -> LSTMCell:
        return LSTMCell(self.activations, self.clip, self.coupled)


class GRU(GRUBase, Recurrent):
    """The gated recurrent unit; the equations are at `fastrnn.reference.cells.GRUCell` and `GRUResetBeforeCell`."""

    @property
    def _cell(self) -> GRUCell | GRUResetBeforeCell:
        return (GRUCell if self.reset_after else GRUResetBeforeCell)(self.activations, self.clip)


class MinGRU(MinGRUBase, Recurrent):
    """The minimal gated recurrent unit; the equations are at `fastrnn.reference.minimal.MinGRUCell`."""

    @property
    def _cell(self) -> MinGRUCell:
        return MinGRUCell(self.activations)


class MinLSTM(MinLSTMBase, Recurrent):
    """The minimal long short-term memory; the equations are at `fastrnn.reference.minimal.MinLSTMCell`."""

    @property
    def _cell(self) -> MinLSTMCell:
        return MinLSTMCell(self.activations)
