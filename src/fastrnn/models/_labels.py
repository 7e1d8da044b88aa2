"""Labels of any kind, one for a sequence or one for each step, and their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import array_of
from fastrnn.models._batches import of_one_kind

Array = NDArray[Any]


def labels_of(y: Any, count: int) -> Array:
    """Return one label for each of `count` sequences."""
    if y is None:
        raise TypeError("y must hold labels, got None")
    labels = of_one_kind(y, "y")
    if labels.shape != (count,):
        raise ValueError(f"y must hold one label for each of {count} sequences, got the shape {labels.shape}")
    return check_kind(labels)


def step_labels(y: Any, lengths: Array) -> Array:
    """Return the labels of all real steps, those of one sequence after those of the other."""
    if not hasattr(y, "__len__") or len(y) != len(lengths):
        got = len(y) if hasattr(y, "__len__") else type(y).__name__
        raise ValueError(f"y must hold the labels of {len(lengths)} sequences, got {got}")
    padded = not isinstance(y, (list, tuple)) and array_of(y, "y").ndim > 1
    rows = []
    for n, (given, length) in enumerate(zip(y, lengths, strict=True)):
        row = np.array(list(given)) if isinstance(given, str) else of_one_kind(given, f"y[{n}]")
        row = row[:length] if padded else row
        if row.shape != (length,):
            raise ValueError(f"y[{n}] must hold one label for each of {length} steps, got the shape {row.shape}")
        if length:
            rows.append(row)
    if len({row.dtype.kind == "U" for row in rows}) > 1:
        raise TypeError("y must hold strings or numbers, got both")
    return check_kind(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def check_kind(labels: Array, name: str = "y") -> Array:
    """Refuse real numbers, which are no labels, and what a file would not give back."""
    if labels.dtype.kind not in "biufcUO":
        raise TypeError(f"{name} must hold labels that are strings, integers or booleans, got dtype {labels.dtype}")
    if labels.dtype.kind == "c" or (labels.dtype.kind == "f" and (labels != np.round(labels)).any()):
        raise TypeError(f"{name} must hold labels, got real numbers, which SequenceRegressor is for")
    return labels


def classes_of(labels: Any, name: str = "y") -> Array:
    """Return the different ones of some labels (M,), sorted."""
    array = check_kind(of_one_kind(labels, name), name)
    if array.ndim != 1:
        raise ValueError(f"{name} must have the shape (K,), got {array.shape}")
    try:
        return np.unique(array)
    except TypeError as error:
        raise TypeError(f"{name} must hold labels of one kind, which can be sorted: {error}") from error


def like(labels: Array, classes: Array) -> Array:
    """Return labels, or refuse strings where training had none, and the other way round."""
    kinds = ["strings" if array.dtype.kind == "U" else "numbers" for array in (labels, classes)]
    if kinds[0] != kinds[1] and "O" not in (labels.dtype.kind, classes.dtype.kind):
        raise TypeError(f"y must hold {kinds[1]}, as in training, got {kinds[0]}")
    return labels


def numbers_of(labels: Array, classes: Array) -> Array:
    """Return each label's place among the classes."""
    places = np.minimum(np.searchsorted(classes, like(labels, classes)), len(classes) - 1)
    unknown = classes[places] != labels
    if np.any(unknown):
        raise ValueError(f"y must hold labels that were there in training, got {labels[unknown].tolist()[0]!r}")
    return places


def softmax(logits: Array) -> Array:
    """Return the odds (..., K)."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)
