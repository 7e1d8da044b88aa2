"""Text as numbers: the vocabulary of a text, and each character's place in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_text(text: Any, name: str, least: int = 2) -> str:
    """Return a string of at least so many characters."""
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, got {type(text).__name__}")
    if len(text) < least:
        raise ValueError(f"{name} must have at least {least} characters, got {len(text)}")
    return text


def vocabulary_of(text: str, max_vocab: int | None = None) -> list[str]:
    """Return the characters of a text, the most frequent first; of equally frequent ones the lower code point."""
    codes, counts = np.unique(code_points(text), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:max_vocab]
    return [chr(code) for code in codes[order]]


def encode(text: str, vocabulary: Sequence[str]) -> NDArray[np.int32]:
    """Return each character's place in the vocabulary, or len(vocabulary) for one that is not there."""
    known = code_points("".join(vocabulary))
    order = np.argsort(known)
    codes = code_points(text)
    places = order[np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)]
    return np.where(known[places] == codes, places, len(known)).astype(np.int32)


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the Unicode number of each character, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
