"""Sequences of unequal length: what X may be, the share of it that is padding, and batches with little of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import array_of

Array = NDArray[Any]

POOL = 32  # batches whose rows are sorted by length together: more of it is less padding and less chance
STEPS = 1 << 15  # steps, padding included, that are evaluated in one call


@dataclass(frozen=True)
class Sequences:
    """Rows (T_n, ...): either a list of arrays, of ids (T_n,), features (T_n, I) or words, or a padded array.

    A padded array, which may be a memory map, stays where it is; only what a batch needs of it is read.
    """

    rows: Any
    lengths: Array  # (N,)
    kind: str  # "ids", "features" or "symbols"
    padded: bool = False  # whether it came as one array without lengths, which is how results are then given back
    flat: bool = False  # whether the features of a step came as a plain number

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def width(self) -> int:
        """I, the number of features."""
        rows = self.rows if isinstance(self.rows, np.ndarray) else next(iter(self.rows), np.empty((0, 1)))
        return int(rows.shape[-1])

    def batch(self, chosen: Array, dtype: Any) -> tuple[Array, Array]:
        """Return some rows as (n, T, ...), zeros where padded, and their lengths (n,)."""
        lengths = self.lengths[chosen]
        T = int(lengths.max(initial=0))
        if isinstance(self.rows, np.ndarray):
            array = np.asarray(self.rows[chosen, :T], dtype)  # a copy: the rows are chosen by their numbers
            array[np.arange(T) >= lengths[:, None]] = 0
            return array, lengths
        array = np.zeros((len(chosen), T, *([self.width] if self.kind == "features" else [])), dtype)
        for n, row in enumerate(chosen):
            array[n, : lengths[n]] = self.rows[row]
        return array, lengths

    def real(self) -> Iterator[Array]:
        """Give the rows without padding, one after the other."""
        for row, length in zip(self.rows, self.lengths, strict=True):
            yield np.asarray(row)[:length]

    def encoded(self, vocabulary: Sequence[str]) -> Sequences:
        """Return symbols as their places in a vocabulary, those that are not there as its length."""
        places = {symbol: place for place, symbol in enumerate(vocabulary)}
        unknown = len(vocabulary)
        rows = [np.array([places.get(symbol, unknown) for symbol in row], np.int64) for row in self.rows]
        return Sequences(rows, self.lengths, "ids")

    def cut(self, T: int) -> Sequences:
        """Return the pieces, of at most T steps, into which the rows can be cut."""
        pieces = [row[start : start + T] for row in self.real() for start in range(0, len(row), T)]
        return Sequences(pieces, np.array([len(piece) for piece in pieces], np.int64), self.kind)


def sequences(X: Any, lengths: Any = None, name: str = "X", numbers: bool = False) -> Sequences:
    """Return what a user gave as sequences.

    Parameters
    ----------
    X : list or array
        A list of arrays, each (T_n,) ids, (T_n, I) features or (T_n,) of a single feature; a list of strings, whose
        symbols are characters, or of lists of strings, whose symbols are words, or such a list as an array; or a padded
        array (N, T) or (N, T, I).
    lengths : array of int, optional
        (N,), of a padded array.
    numbers : bool
        Whether integers are numbers and no ids.
    """
    array = X if isinstance(X, (list, tuple)) else array_of(X, name)
    if not isinstance(array, np.ndarray) or (array.dtype.kind, array.ndim) in (("O", 1), ("U", 1), ("U", 2)):
        if lengths is not None:
            raise ValueError(f"lengths go with a padded array, and {name} is a list of sequences, which has its own")
        return ragged(list(array), name, numbers)
    if array.ndim == 0:
        raise TypeError(f"{name} must be a list of sequences or an array, got {type(X).__name__}")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold ids, real numbers or strings, got dtype {array.dtype}")
    ids = array.dtype.kind in "iu" and not numbers
    if array.ndim not in ((2,) if ids else (2, 3)):
        wanted = "(N, T)" if ids else "(N, T) or (N, T, I)"
        raise ValueError(f"{name} must be a list of sequences or have the shape {wanted}, got {array.shape}")
    N, T = array.shape[:2]
    counts = np.full(N, T) if lengths is None else check_lengths(lengths, N, T)
    rows = array if ids or array.ndim == 3 else array[..., None]
    return Sequences(rows, counts, "ids" if ids else "features", lengths is None, array.ndim == 2)


def ragged(X: Iterable[Any], name: str, numbers: bool) -> Sequences:
    """Return a list of rows as sequences."""
    rows, kinds = [], set()
    for n, given in enumerate(X):
        row = np.array(list(given)) if isinstance(given, str) else of_one_kind(given, f"{name}[{n}]")
        if row.ndim == 0 or row.dtype.kind not in "fiuU":
            got = type(given).__name__ if row.ndim == 0 else f"dtype {row.dtype}"
            raise TypeError(f"{name}[{n}] must be a sequence of ids, real numbers or symbols, got {got}")
        kind = "symbols" if row.dtype.kind == "U" else "ids" if row.dtype.kind in "iu" and not numbers else "features"
        if row.ndim > (2 if kind == "features" else 1):
            wanted = "(T,) or (T, I)" if kind == "features" else "(T,)"
            raise ValueError(f"{name}[{n}] must have the shape {wanted}, got {row.shape}")
        if len(row):
            kinds.add(kind)
        rows.append(row)
    if len(kinds) > 1:
        raise TypeError(f"{name} must hold one kind of sequence, got {' and '.join(sorted(kinds))}")
    kind = kinds.pop() if kinds else "features" if numbers else "ids"
    flat = all(row.ndim == 1 for row in rows)
    if kind == "features":
        rows = [row if row.ndim == 2 else row[:, None] for row in rows]
        widths = {row.shape[1] for row in rows if len(row)}
        if len(widths) > 1:
            raise ValueError(f"{name} must have as many features in every row, got {sorted(widths)}")
        width = widths.pop() if widths else 1
        rows = [row if len(row) else np.empty((0, width)) for row in rows]
    return Sequences(rows, np.array([len(row) for row in rows], np.int64), kind, flat=flat)


def finite(X: Sequences, name: str) -> Sequences:
    """Return sequences, or refuse features that are nan or infinite, padding excepted."""
    for n, row in enumerate(X.real() if X.kind == "features" else ()):
        wrong = np.argwhere(~np.isfinite(row))
        if len(wrong):
            t, k = wrong[0]
            raise ValueError(f"{name} must hold finite numbers, got {row[t, k]} in row {n}, step {t}")
    return X


def check_some(X: Sequences, name: str = "X") -> None:
    """Refuse sequences of which none has a step."""
    if not X.lengths.any():
        got = f"{len(X)} empty ones" if len(X) else "none"
        raise ValueError(f"{name} must hold at least one step of one sequence, got {got}")


def of_one_kind(given: Any, name: str) -> Array:
    """Return an array; a list of strings and of something else is refused, of which NumPy would make strings alone."""
    array = array_of(given, name)
    if array.dtype.kind == "U" and array.ndim == 1 and isinstance(given, (list, tuple)):
        kinds = {"str" if isinstance(one, str) else type(one).__name__ for one in given}
        if len(kinds) > 1:
            raise TypeError(f"{name} must hold strings or numbers, got {' and '.join(sorted(kinds))}")
    return array


def next_steps(X: Sequences) -> tuple[Sequences, Sequences]:
    """Return each row but its last step, and what follows each of these steps."""
    lengths = np.maximum(X.lengths - 1, 0)
    one = isinstance(X.rows, np.ndarray)
    before = X.rows[:, :-1] if one else [row[:-1] for row in X.rows]
    after = X.rows[:, 1:] if one else [row[1:] for row in X.rows]
    return (
        Sequences(before, lengths, X.kind, X.padded, X.flat),
        Sequences(after, lengths, X.kind, X.padded, X.flat),
    )


def check_lengths(lengths: Any, N: int, T: int) -> Array:
    """Return the lengths (N,) of a padded array."""
    array = array_of(lengths, "lengths")
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers, got dtype {array.dtype}")
    if array.shape != (N,):
        raise ValueError(f"lengths must have the shape {(N,)}, got {array.shape}")
    if N and (array.min() < 0 or array.max() > T):
        raise ValueError(f"lengths must be from 0 to T = {T}, got {array.min()} to {array.max()}")
    return np.array(array, np.int64)


def symbols_of(rows: Iterable[Iterable[str]], max_vocab: int | None) -> list[str]:
    """Return the symbols of some rows, the most frequent first, and of equally frequent ones the lower first."""
    counts = Counter(str(symbol) for row in rows for symbol in row)
    return sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:max_vocab]


def batches_by_length(lengths: Array, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """Return the numbers of all rows cut into batches, in random order, each of rows of about one length.

    The rows are shuffled and cut into pools of `POOL` batches; a pool is sorted by length and cut into batches, and
    all batches are shuffled.
    """
    order = rng.permutation(len(lengths))
    size = POOL * batch_size
    pools = [order[start : start + size] for start in range(0, len(order), size)]
    by_length = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    cut = [pool[start : start + batch_size] for pool in by_length for start in range(0, len(pool), batch_size)]
    return [cut[place] for place in rng.permutation(len(cut))]


def real_share(lengths: Array, batches: Iterable[Array]) -> float:
    """Return the share of the steps of padded batches that are no padding."""
    padded = sum(len(batch) * int(lengths[batch].max(initial=0)) for batch in batches)
    return float(lengths.sum() / padded) if padded else 1.0


def batches_in_order(lengths: Array) -> Iterator[Array]:
    """Give the numbers of all rows cut into batches of neighbours in length, for evaluation."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= STEPS and stop - start < 256:
            stop += 1
        yield order[start:stop]
        start = stop
