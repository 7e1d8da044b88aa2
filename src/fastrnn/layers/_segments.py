"""How long the segments of a tape are that keeps less than everything: block by block, by the memory there may be."""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import numpy as np


class Sizes(NamedTuple):
    """What the engine says of a call: see `segment_sizes` there."""

    block: int  # steps
    state: int  # bytes of the states before a segment
    step: int  # of a step of a group of layers that is run again
    passed: int  # of the gradients that a step passes between the layers of a group
    between: int  # of all that lies between bidirectional layers
    shared: int  # of that, what a plain tape has among its states


def check_checkpoint(checkpoint: Any, tape_dtype: Any) -> None:
    """Refuse what neither bounds a tape nor leaves it alone."""
    is_budget = isinstance(checkpoint, (int, np.integer)) and not isinstance(checkpoint, bool)
    if checkpoint is not None and not is_budget and not (isinstance(checkpoint, str) and checkpoint == "sqrt"):
        raise ValueError(f'checkpoint must be None, "sqrt" or a number of bytes, got {checkpoint!r}')
    if tape_dtype is not None and not (isinstance(tape_dtype, str) and tape_dtype == "bfloat16"):
        raise ValueError(f'tape_dtype must be None or "bfloat16", got {tape_dtype!r}')
    if checkpoint is not None and tape_dtype is not None:
        raise ValueError('checkpoint and tape_dtype="bfloat16" both make a tape smaller: give one of them')


def segments_for(checkpoint: str | int, T: int, groups: int, sizes: Sizes) -> tuple[int, int] | None:
    """Return the steps of a segment and how many of the last segments are kept whole; None where a plain tape fits.

    `groups` of layers go through the segments one after another, all needing as much.

    Raises
    ------
    ValueError
        The budget is too small: the message names the least.
    """
    blocks = -(-T // sizes.block)

    def states(m: int) -> int:
        return (-(-blocks // m) + 1) * sizes.state

    def room(m: int) -> int:
        return m * sizes.block * sizes.step

    def need(m: int) -> int:
        return states(m) + room(m) + m * sizes.block * sizes.passed + sizes.between

    # states fall and rooms grow with m: their sum is least where both are about equal
    middle = isqrt(blocks * sizes.state // max(sizes.block * (sizes.step + sizes.passed), 1))
    m = min((min(max(middle + k, 1), max(blocks, 1)) for k in range(-1, 3)), key=need)
    plain = T * (groups * sizes.step + sizes.passed) + sizes.between - sizes.shared
    least = min(need(m), plain)
    budget = least if isinstance(checkpoint, str) else checkpoint
    if budget < least:
        raise ValueError(f"checkpoint must be at least {least} bytes for this call, got {checkpoint}")
    return None if budget >= plain else (m * sizes.block, int(budget - need(m)) // max(groups * room(m), 1))
