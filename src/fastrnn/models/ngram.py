"""The yardstick of a character language model: counts of three characters in a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.models._characters import check_text, encode, vocabulary_of

Array = NDArray[Any]


class TrigramModel:
    """An interpolated trigram model: p(c | a b) = λ₃ f(c | a b) + λ₂ f(c | b) + λ₁ f(c) + λ₀ / V.

    f are relative frequencies in the training text; where a context never occurred, f of the next shorter one stands
    in. The λ are fitted by expectation maximisation on the last tenth of that text, with counts from the rest of it
    (Jelinek and Mercer 1980); the counts are then taken from all of it. V is the number of characters in the text and
    one more for all others.

    Attributes
    ----------
    vocabulary_ : list of str
        As of `LanguageModel`.
    weights_ : array
        (4,) λ₃, λ₂, λ₁, λ₀.

    Examples
    --------
    >>> from fastrnn.models import TrigramModel
    >>> TrigramModel().fit("the cat sat on the mat. " * 40).bits_per_character("the cat sat on the mat. ") < 1
    True
    """

    def fit(self, text: str) -> TrigramModel:
        """Count a text of at least 20 characters, and return the model."""
        check_text(text, "text", least=20)
        self.vocabulary_ = vocabulary_of(text)
        ids = encode(text, self.vocabulary_)
        cut = len(ids) - len(ids) // 10
        self._count(ids[:cut])
        self.weights_ = mixture_weights(self._frequencies(ids[cut:]))
        self._count(ids)
        return self

    def bits_per_character(self, text: str) -> float:
        """Return the mean of -log₂ p over every character of a text but the first."""
        frequencies = self._frequencies(encode(check_text(text, "text"), self.vocabulary_))
        return float(-np.log2(frequencies @ self.weights_).mean())

    def _count(self, ids: Array) -> None:
        V = len(self.vocabulary_) + 1
        self._counts = [Counts(grams(ids, order, V)) for order in (1, 2, 3)]
        self._contexts = [Counts(grams(ids[:-1], order, V)) for order in (1, 2)]

    def _frequencies(self, ids: Array) -> Array:
        """Return (n - 1, 4): for each character but the first, the frequencies that the λ weigh, in their order."""
        V = len(self.vocabulary_) + 1
        one, two, three = self._counts
        after_one, after_two = self._contexts
        columns = np.empty((len(ids) - 1, 4))
        columns[:, 3] = 1 / V
        columns[:, 2] = one.of(ids[1:]) / one.total
        columns[:, 1] = ratio(two.of(grams(ids, 2, V)), after_one.of(ids[:-1]), columns[:, 2])
        columns[0, 0] = columns[0, 1]  # the second character has one predecessor only
        columns[1:, 0] = ratio(three.of(grams(ids, 3, V)), after_two.of(grams(ids[:-1], 2, V)), columns[1:, 1])
        return columns


class Counts:
    """How often each number occurs."""

    def __init__(self, numbers: Array) -> None:
        self.numbers, self.counts = np.unique(numbers, return_counts=True)
        self.total = len(numbers)

    def of(self, numbers: Array) -> Array:
        """Return the count of each of some numbers, 0 where it does not occur."""
        places = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[places] == numbers, self.counts[places], 0)


def grams(ids: Array, order: int, V: int) -> Array:
    """Return one number for each run of `order` ids."""
    runs = len(ids) - order + 1
    return sum(ids[k : k + runs].astype(np.int64) * V ** (order - 1 - k) for k in range(order))


def ratio(counts: Array, contexts: Array, shorter: Array) -> Array:
    """Return the relative frequencies after each context, or after the shorter one where it never occurred."""
    return np.where(contexts > 0, counts / np.maximum(contexts, 1), shorter)


def mixture_weights(components: Array, tolerance: float = 1e-9) -> Array:
    """Return the weights (K,) that maximise Σ log(components @ weights), by expectation maximisation from equal ones.

    The last component must be positive everywhere.
    """
    weights = np.full(components.shape[1], 1 / components.shape[1])
    likelihood = -math.inf
    while True:
        mixed = components @ weights
        before, likelihood = likelihood, float(np.log(mixed).mean())
        if likelihood - before < tolerance:
            return weights
        weights = weights * (components / mixed[:, None]).mean(axis=0)
