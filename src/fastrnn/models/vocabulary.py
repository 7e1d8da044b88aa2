"""Symbols of a text, characters or words, and their ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._module import check_size
from fastrnn.models._characters import code_points, encode
from fastrnn.train._checks import check_choice

LEVELS = ("char", "word")
END, UNKNOWN = "<eos>", "<unk>"  # of a line; any word that has no id of its own


class Vocabulary(Sequence[str]):
    """The symbols of a text by their ids: the most frequent first, of equally frequent ones the lower in Unicode.

    The id after the last is that of all symbols that are not among them. Words are what stands between white space, and
    "<eos>" at the end of each line, as in the Penn Treebank's usual form; "<unk>" in a text is the unknown word itself.

    Parameters
    ----------
    symbols : iterable of str
        In the order of their ids.
    level : {"char", "word"}
        What the symbols are.

    Attributes
    ----------
    unknown : int
        The id of all others, len(vocabulary).
    size : int
        The number of ids, len(vocabulary) + 1.

    Examples
    --------
    >>> from fastrnn.models import Vocabulary
    >>> vocabulary = Vocabulary.of(["the cat and\\nthe dog\\n"], "word", max_size=3)
    >>> list(vocabulary), vocabulary.encode("the mat\\n").tolist()
    (['<eos>', 'the', 'and'], [1, 3, 0])
    >>> vocabulary.decode([1, 3, 0, 1])
    'the <unk>\\nthe'
    """

    def __init__(self, symbols: Iterable[str], level: str = "char") -> None:
        check_choice(level, "level", LEVELS)
        self.level = level
        self._symbols = list(symbols)
        self._ids = {symbol: k for k, symbol in enumerate(self._symbols)}
        self.unknown, self.size = len(self._symbols), len(self._symbols) + 1

    @classmethod
    def of(cls, pieces: Iterable[str], level: str = "char", max_size: int | None = None) -> Vocabulary:
        """Return the vocabulary of a text given in pieces, or the `max_size` most frequent symbols of it."""
        check_choice(level, "level", LEVELS)
        if max_size is not None:
            check_size(max_size, "max_size")
        counts: Counter[str] = Counter()
        for piece in pieces:
            if level == "word":
                counts.update(words_of(piece))
            else:
                codes, times = np.unique(code_points(piece), return_counts=True)
                counts.update({chr(code): int(count) for code, count in zip(codes, times, strict=True)})
        if level == "word":
            del counts[UNKNOWN]
        return cls(sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:max_size], level)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a text's symbols."""
        if self.level == "char":
            return encode(text, self._symbols)
        return np.fromiter((self._ids.get(word, self.unknown) for word in words_of(text)), np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids: words with a space between them, lines that end where "<eos>" stood."""
        if self.level == "char":
            return "".join(self._symbols[k] if k < self.unknown else "\ufffd" for k in ids)
        words = (self._symbols[k] if k < self.unknown else UNKNOWN for k in ids)
        return re.sub(f" ?{END} ?", "\n", " ".join(words))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._symbols[index]

    def __len__(self) -> int:
        return len(self._symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self.level, self._symbols) == (other.level, other._symbols)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary of {len(self)} {'words' if self.level == 'word' else 'characters'}"


def words_of(text: str) -> list[str]:
    """Return the words of a text, and "<eos>" for each line break."""
    return text.replace("\n", f" {END} ").split()
