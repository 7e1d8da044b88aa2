"""The loop over time: one direction of one layer over a whole batch of sequences, forward and backward.

Back-propagation through time is that of Werbos (1990): the steps of the forward loop, taken from the last to the first,
each handing the gradient of the state before it to the step that made that state.

Which steps are real is said by ``active`` [T, N]. A row takes part in the loop at its real steps only, so its state
stays as it is at the others and the reverse direction starts at its last real step, as torch does with packed sequences
and Keras with a mask. ``restart`` [T, N] marks the steps that start from a zero state whatever came before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.reference import zoneout
from fastrnn.reference.cells import Kept, State, Weights
from fastrnn.reference.dropout import Masks, masked
from fastrnn.reference.minimal import AnyCell
from fastrnn.reference.norm import centred, norm_backward, scaled

Array = NDArray[Any]


@dataclass
class Pass:
    """What a direction's forward pass leaves for its backward pass: for each step the state before it and the gates."""

    x: Array  # [T, N, I], or ids [T, N]
    active: Array  # [T, N]
    restart: Array  # [T, N]
    order: range
    keep: Callable[[Array], Array]  # how states and gates are kept: `exactly` or `bfloat16`
    masks: Masks
    before: dict[int, State] = field(default_factory=dict)
    steps: dict[int, Kept] = field(default_factory=dict)
    product: Array | None = None  # W x [T, N, G·H], centred, where it is normalised

    @property
    def nbytes(self) -> int:
        """Bytes kept besides the input."""
        arrays = [array for step in self.steps.values() for array in step.values()]
        arrays += [part for state in self.before.values() for part in state]
        arrays += [] if self.product is None else [self.product]
        return sum(array.nbytes for array in arrays)

    def state_mask(self, t: int) -> Array | None:
        """Return the mask [n, P] on h of the rows that are real at t, or None."""
        return None if self.masks.state is None else self.masks.state[self.active[t]]

    def held(self, t: int) -> State | None:
        """Return zoneout's d of h and of c of the rows that are real at t, or None."""
        return None if self.masks.held is None else tuple(d[t, self.active[t]] for d in self.masks.held)

    def sequence(self, name: str, width: int) -> Array:
        """Return a gate or state of every step, [T, N, width], zeros at padded steps."""
        T, N = self.active.shape
        values = [self.steps[t][name] for t in range(T)]
        shown = np.zeros((T, N, width), values[0].dtype if values else None)
        for t in range(T):
            shown[t, self.active[t]] = values[t]
        return shown


def exactly(array: Array) -> Array:
    """Keep an array as it is."""
    return array


def bfloat16(array: Array) -> Array:
    """Round to the 8 significant bits of bfloat16, to nearest, ties to even: a float32 whose lower half is zero."""
    bits = array.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isfinite(array), rounded.astype(np.uint32).view(np.float32), array).astype(array.dtype)


def time_order(T: int, reverse: bool) -> range:
    """Return the steps in the order in which a direction takes them."""
    return range(T - 1, -1, -1) if reverse else range(T)


def restarts(resets: Array, active: Array, reverse: bool) -> Array:
    """Return which steps start from a zero state, where a new sequence begins at each real step with a reset.

    The forward direction restarts at that step. The reverse direction has finished a sequence with it, so it restarts
    at the next real step that it takes.
    """
    if not reverse:
        return resets & active
    restart = np.zeros_like(resets)
    finished = np.zeros(resets.shape[1], bool)
    for t in time_order(len(resets), reverse):
        restart[t] = finished & active[t]
        finished = np.where(active[t], resets[t], finished)
    return restart


def forward_direction(cell: AnyCell, weights: Weights, state: State, tape: Pass) -> tuple[Array, State]:
    """Return h of every step [T, N, H], zeros at padded ones, and the final state; `tape` is filled."""
    active, restart, keep = tape.active, tape.restart, tape.keep
    a = product_with_input(tape.x, active, weights.W, tape.masks.input)
    if weights.s_ih is not None:
        a = centred(a, cell.normalised)
        tape.product = keep(a)
        a = weights.s_ih * scaled(a, cell.normalised)
    a = a + weights.b_ih
    state = tuple(part.copy() for part in state)
    kept = tuple(part.copy() for part in state)
    y = np.zeros((*active.shape, state[0].shape[1]), a.dtype)
    for t in tape.order:
        real = active[t]
        before, tape.before[t] = (
            tuple(np.where(restart[t, real, None], 0, part[real]) for part in parts) for parts in (state, kept)
        )
        after, gates = cell.step_forward(a[t, real], before, weights, tape.state_mask(t))
        d = tape.held(t)
        if d is not None:
            after = zoneout.hold(after, before, d)
            gates |= dict(zip(cell.states, after, strict=True))
        tape.steps[t] = {name: keep(value) for name, value in gates.items()}
        for part, kept_part, new in zip(state, kept, after, strict=True):
            part[real], kept_part[real] = new, keep(new)
        y[t, real] = after[0]
    return y, state


def backward_direction(
    cell: AnyCell, weights: Weights, dy: Array, dstate: State, tape: Pass
) -> tuple[Array | None, State, Weights, Array]:
    """Return dL/dx (None for ids), dL/d(initial state), the parameters' gradients, and dL/dh of every step [T, N, H].

    `dy` is what reaches each h from above, `dstate` what reaches the final state.
    """
    active, restart = tape.active, tape.restart
    da = np.zeros((*active.shape, len(weights.W)), dy.dtype)
    dh = np.zeros_like(dy)
    sums = {name: np.zeros_like(value) for name, value in weights._asdict().items() if value is not None}
    dstate = tuple(part.copy() for part in dstate)
    for t in reversed(tape.order):
        real = active[t]
        above = tuple(part[real] for part in dstate)
        above = (above[0] + dy[t, real], *above[1:])  # h goes up to y and on to the next step
        dh[t, real] = above[0]
        kept, past, d = tape.steps[t], None, tape.held(t)
        if d is not None:
            above, past = zoneout.hold_backward(above, d)
            kept = zoneout.given_cell(kept, tape.before[t])
        da[t, real], before, gradients = cell.step_backward(above, kept, tape.before[t], weights, tape.state_mask(t))
        if past is not None:
            before = tuple(part + more for part, more in zip(before, past, strict=True))
        for name, gradient in gradients.items():
            sums[name] += gradient
        for part, new in zip(dstate, before, strict=True):
            part[real] = np.where(restart[t, real, None], 0, new)
    sums["b_ih"] = da.sum(axis=(0, 1))
    if weights.s_ih is not None:
        assert tape.product is not None
        da, sums["s_ih"] = norm_backward(da, tape.product, weights.s_ih, cell.normalised)
    dx, sums["W"] = gradients_of_product(tape.x, active, weights.W, da, tape.masks.input)
    return dx, dstate, weights._replace(**sums), dh


def product_with_input(x: Array, active: Array, W: Array, mask: Array | None) -> Array:
    """Return W x_t of every step [T, N, G·H]; where x is ids, W times a one-hot column is a column of W."""
    if x.ndim == 2:
        ids = np.where(active, x, 0)
        product = np.asarray(W.T[ids])  # numbers, no longer a matrix that rounds its factor
        return masked(product, mask_of_ids(ids, mask))
    return masked(np.where(active[:, :, None], x, 0), mask) @ W.T


def gradients_of_product(
    x: Array, active: Array, W: Array, da: Array, mask: Array | None
) -> tuple[Array | None, Array]:
    """Return dL/dx and dL/dW from dL/d(W x), which is zero at padded steps."""
    dW = np.zeros_like(W)
    if x.ndim == 2:
        scaled = masked(da, mask_of_ids(np.where(active, x, 0), mask))
        np.add.at(dW.T, x[active], scaled[active])
        return None, dW
    dW += da[active].T @ masked(x, mask)[active]
    return masked(da @ W, mask), dW


def mask_of_ids(ids: Array, mask: Array | None) -> Array | None:
    """Return a mask [N, I] at the place of each id [T, N], as [T, N, 1]."""
    if mask is None:
        return None
    chosen: Array = mask[np.arange(ids.shape[1]), ids][:, :, None]
    return chosen


def hold(y: Array, active: Array, order: range) -> Array:
    """Return y with its padded steps filled by the last real one before them in `order`; zeros where there is none."""
    held = np.zeros_like(y)
    last = np.zeros(y.shape[1:], y.dtype)
    for t in order:
        last = np.where(active[t, :, None], y[t], last)
        held[t] = last
    return held


def hold_backward(dy: Array, active: Array, order: range) -> Array:
    """Return the gradient of what `hold` was given: each real step gathers those of the steps that repeat it."""
    gathered = np.zeros_like(dy)
    waiting = np.zeros(dy.shape[1:], dy.dtype)
    for t in reversed(order):
        waiting = waiting + dy[t]
        gathered[t] = np.where(active[t, :, None], waiting, 0)
        waiting = np.where(active[t, :, None], 0, waiting)
    return gathered
