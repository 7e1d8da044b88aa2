"""Drawing the next symbol of a text from the odds that a model gives it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._module import check_number, check_size


def check_drawing(temperature: Any, top_k: Any, top_p: Any) -> None:
    """Refuse numbers that `draw` cannot take."""
    check_number(temperature, "temperature")
    if top_k is not None:
        check_size(top_k, "top_k")
    if top_p is not None:
        check_number(top_p, "top_p", above=True)
        if top_p > 1:
            raise ValueError(f"top_p must be a number above 0, to 1, got {top_p!r}")


def draw(
    logits: NDArray[Any], temperature: float, top_k: int | None, rng: np.random.Generator, top_p: float | None = None
) -> int:
    """Return an id drawn from softmax(logits / temperature), at temperature 0 the likeliest.

    Only the `top_k` likeliest are drawn, and of these only the likeliest that together have a share of `top_p` in the
    odds (Holtzman et al. 2020).
    """
    if temperature == 0:
        return int(np.argmax(logits))
    z = logits.astype(np.float64) - logits.max()
    ids = np.arange(len(z)) if top_k is None and top_p is None else np.argsort(-z, kind="stable")[:top_k]
    with np.errstate(over="ignore", under="ignore"):
        odds = np.exp(z[ids] / temperature)
    cumulative = np.cumsum(odds)
    if top_p is not None:
        cumulative = cumulative[: 1 + np.searchsorted(cumulative, top_p * cumulative[-1])]
    return int(ids[np.searchsorted(cumulative / cumulative[-1], rng.random(), side="right")])
