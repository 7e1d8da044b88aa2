"""Zoneout (Krueger et al. 2017): with some probability a unit of a state stays as it was before the step.

    h = d_h ⊙ h' + (1 - d_h) ⊙ h̃,   c = d_c ⊙ c' + (1 - d_c) ⊙ c̃

h̃ and c̃ are what the cell gives, h̃ made from all of c̃ as in the paper's equations; d is drawn for each step, row and
unit in training, and in inference it is its expectation.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
State = tuple[Array, ...]


def hold(given: State, before: State, d: State) -> State:
    """Return the state after a step."""
    return tuple(d_ * old + (1 - d_) * new for d_, old, new in zip(d, before, given, strict=True))


def hold_backward(dstate: State, d: State) -> tuple[State, State]:
    """Return the gradient of what the cell gave, and the one that goes past it to the state before."""
    past = tuple(d_ * part for d_, part in zip(d, dstate, strict=True))
    return tuple((1 - d_) * part for d_, part in zip(d, dstate, strict=True)), past


def given_cell(kept: dict[str, Array], before: State) -> dict[str, Array]:
    """Return what a step kept, of an LSTM with c̃ in place of c: no tape keeps c̃, since i, f, g and c' give it again."""
    return kept if len(before) == 1 else {**kept, "c": kept["f"] * before[1] + kept["i"] * kept["g"]}
