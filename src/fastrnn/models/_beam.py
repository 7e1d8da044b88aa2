"""Beam search: the likeliest sequences of symbols that a decoder can write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def beam_search(
    step: Callable[[Array, Array | None], Array],
    N: int,
    B: int,
    stop: int,
    longest: int,
    power: float,
    forbidden: int | None = None,
) -> list[Array]:
    """Return for each of N sources the ids of the best sequence found, without its stop symbol.

    A sequence's score is log p / length^power, its length and its p including the stop symbol. At each step the B
    sequences of best score among all that go on by one symbol, and those that have ended, are kept (Graves 2012;
    Wu et al. 2016 for the length).

    Parameters
    ----------
    step : callable
        ``step(ids, parents)`` moves N·B decoders on by a symbol each and returns their logits (N·B, V); first each must
        take over the state of its parent, unless `parents` is None.
    N, B : int
        Sources, and sequences kept for each.
    stop : int
        The id that ends a sequence, and before which each begins.
    longest : int
        Symbols in a sequence at most.
    power : float
        Of the length, in the score.
    forbidden : int, optional
        An id that is never written.
    """
    ids, parents = np.full(N * B, stop), None
    total = np.full((N, B), -np.inf)  # log p
    total[:, 0] = 0
    length = np.zeros((N, B))
    ended = np.zeros((N, B), bool)
    first = np.arange(N)[:, None] * B
    written: list[Array] = []  # at each step the symbols (N, B)
    came_from: list[Array] = []  # and of which sequence they are the continuation
    for number in range(longest + 1):
        odds = log_softmax(step(ids, parents).astype(np.float64)).reshape(N, B, -1)
        V = odds.shape[-1]
        if forbidden is not None:
            odds[..., forbidden] = -np.inf
        if number == longest:
            odds[..., np.arange(V) != stop] = -np.inf
        odds[ended] = -np.inf
        odds[ended, stop] = 0
        length += ~ended
        totals = (total[..., None] + odds).reshape(N, B * V)
        scores = totals / np.repeat(length**power, V, axis=1)
        chosen = best(scores, B)
        total = np.take_along_axis(totals, chosen, axis=1)
        origin, symbols = np.divmod(chosen, V)
        length, ended = (np.take_along_axis(array, origin, axis=1) for array in (length, ended))
        ended = ended | (symbols == stop)
        written.append(symbols)
        came_from.append(origin)
        if ended.all():
            break
        ids, parents = symbols.ravel(), None if B == 1 else (first + origin).ravel()
    return traced(written, came_from, stop)


def traced(written: list[Array], came_from: list[Array], stop: int) -> list[Array]:
    """Return the first of the sequences of each source, followed back from its end."""
    N = len(written[0])
    at, rows = np.zeros(N, np.int64), np.arange(N)
    symbols = np.empty((N, len(written)), np.int64)
    for number in reversed(range(len(written))):
        symbols[:, number] = written[number][rows, at]
        at = came_from[number][rows, at]
    return [row[: np.argmax(row == stop)] for row in symbols]  # each ends by the stop symbol


def best(scores: Array, B: int) -> Array:
    """Return where the B largest scores of each row are, the largest first."""
    if B == 1:
        return scores.argmax(axis=1)[:, None]
    chosen = np.argpartition(-scores, B - 1, axis=1)[:, :B]
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def log_softmax(logits: Array) -> Array:
    """Return log p (..., V)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
