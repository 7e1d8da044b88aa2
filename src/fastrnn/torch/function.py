"""The engine's forward and backward passes as one node of torch's graph, on the tensors' own memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, from_numpy
from torch.autograd import forward_ad

from fastrnn.layers.recurrent import Recurrent
from fastrnn.layers.tape import Tape

Array = NDArray[Any]
State = Any  # h, the pair (h, c) of an LSTM, or None


@dataclass(frozen=True)
class Call:
    """What a module computes, besides its numbers."""

    layer: Recurrent
    lengths: Tensor | None = None
    step: bool = False  # of a cell: no axis of time and of layers, and the state is all that comes out

    def lifted(self, array: Array) -> Array:
        """Return an array as the layer takes it."""
        return array[None] if self.step else array

    def tensor(self, array: Array) -> Tensor:
        """Return an array of the layer's as torch takes it."""
        return from_numpy(array[0] if self.step else array)

    def forward(self, x: Array, *state: Array) -> tuple[tuple[Tensor, ...], Tape]:
        """Return the results and the tape."""
        y, final, tape = self.layer.forward(self.lifted(x), as_state(list(map(self.lifted, state))), self.lengths)
        return self.results(y, final), tape

    def inference(self, x: Array, *state: Array) -> tuple[Tensor, ...]:
        """Return the results, and keep nothing."""
        if self.layer.dropout:  # which a module in training mode applies whether or not it is differentiated
            return self.forward(x, *state)[0]
        return self.results(*self.layer(self.lifted(x), as_state(list(map(self.lifted, state))), self.lengths))

    def results(self, y: Array, final: State) -> tuple[Tensor, ...]:
        """Return y and the parts of the final state, or these alone of a step."""
        return tuple(map(self.tensor, as_parts(final) if self.step else (y, *as_parts(final))))


def run(call: Call, arrays: list[Array], tensors: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the results of a call.

    arrays: x and the parts of the initial state; tensors: the same and the parameters, by which torch differentiates.
    """
    if forward_ad._current_level >= 0 and any(map(has_tangent, tensors)):  # which a call without a graph would lose
        raise RuntimeError(
            "fastrnn.torch has no forward-mode derivatives: use torch.nn, whose modules take the same state_dict"
        )
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        results: tuple[Tensor, ...] = Recurrence.apply(call, arrays, *tensors)  # type: ignore[no-untyped-call]
        return results
    return call.inference(*arrays)


def has_tangent(tensor: Tensor) -> bool:
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


class Recurrence(torch.autograd.Function):
    """A call under autograd. What the backward pass needs is given to torch, which so can free it and make it again."""

    @staticmethod
    def forward(ctx: Any, call: Call, arrays: list[Array], *tensors: Tensor) -> tuple[Tensor, ...]:
        results, ctx.tape = call.forward(*arrays)
        ctx.call, ctx.count = call, len(arrays)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *map(from_numpy, ctx.tape.unload()))
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """gradients: of each result, None where there is none."""
        call, tape, saved, wanted = ctx.call, ctx.tape, ctx.saved_tensors, ctx.needs_input_grad[2:]
        tensors, kept = saved[: len(wanted)], saved[len(wanted) :]
        arrays = [None if gradient is None else call.lifted(gradient.detach().numpy()) for gradient in gradients]
        dy, *dfinal = [None, *arrays] if call.step else arrays
        tape.load([tensor.numpy() for tensor in kept])
        try:
            dx, dstate, grads = call.layer._backward(tape, dy, as_state(dfinal), retain=True, with_dx=wanted[0])
        finally:
            tape.unload()
        inner = [dx, *as_parts(dstate)][: ctx.count]
        results = [None if array is None else call.tensor(array) for array in inner]
        results += map(from_numpy, grads.values())
        results = [result if want else None for result, want in zip(results, wanted, strict=True)]
        if torch.is_grad_enabled():  # create_graph=True
            results = Once.apply(len(results), *results, *tensors, *gradients)  # type: ignore[no-untyped-call]
        return None, None, *results


class Once(torch.autograd.Function):
    """Gradients that cannot be differentiated again, which torch would take for constants."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        """tensors: `count` gradients, and all that they depend on."""
        return tuple(None if tensor is None else tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError(
            "fastrnn.torch has no second derivatives: where a gradient is differentiated in its turn, as in a gradient "
            "penalty, use torch.nn, whose modules take the same state_dict"
        )


def as_state(parts: list[Any]) -> State:
    """Return a state in the form that layers and modules share."""
    return None if not parts else parts[0] if len(parts) == 1 else tuple(parts)


def as_parts(state: State) -> tuple[Any, ...]:
    """Return the parts of a state, the inverse of `as_state`."""
    return () if state is None else tuple(state) if isinstance(state, (tuple, list)) else (state,)
