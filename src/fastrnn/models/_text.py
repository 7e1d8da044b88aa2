"""Texts to learn from: strings, files that may be larger than memory, and iterables of strings."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.models.vocabulary import Vocabulary

Ids = NDArray[np.int32]

BLOCK = 1 << 20  # characters of a file that are in memory at once
PATH = 4096  # characters that the name of a file can have


class Text:
    """A text that can be read as often as one likes within a `with` statement.

    Parameters
    ----------
    given : str, path, or iterable of str
        The text itself; the file where it stands, in UTF-8; or its parts, which are put into a file without a name,
        words with a space between two parts.
    name : str
        What errors call it.
    level : {"char", "word"}
        A piece never ends within a symbol.
    """

    def __init__(self, given: Any, name: str, level: str) -> None:
        if isinstance(given, (bytes, bytearray)) or not isinstance(given, (str, os.PathLike, Iterable)):
            raise TypeError(f"{name} must be a string, a path or an iterable of strings, got {type(given).__name__}")
        if isinstance(given, str) and len(given) < PATH and os.path.isfile(given):
            warnings.warn(f"{name} is taken as the text itself; pathlib.Path({given!r}) is that file", stacklevel=3)
        self.name, self.level = name, level
        self.given: Any = given
        self._parts: Any = None  # a file

    def __enter__(self) -> Text:
        if not isinstance(self.given, (str, os.PathLike)):
            self._parts = tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", newline="")
            try:
                self._collect()
            except BaseException:
                self._parts.close()
                raise
        return self

    def __exit__(self, *error: Any) -> None:
        if self._parts is not None:
            self._parts.close()

    def _collect(self) -> None:
        for part in self.given:
            if not isinstance(part, str):
                raise TypeError(f"{self.name} must be an iterable of strings, got one of {type(part).__name__}")
            self._parts.write(f"{part} " if self.level == "word" else part)

    def pieces(self) -> Iterator[str]:
        """Give the text, a piece after the other."""
        if isinstance(self.given, str):
            yield self.given
            return
        if self._parts is not None:
            self._parts.seek(0)
            yield from self._blocks(self._parts)
            return
        with open(self.given, encoding="utf-8-sig") as file:
            try:
                yield from self._blocks(file)
            except UnicodeDecodeError as error:
                raise ValueError(f"{os.fspath(self.given)} is not UTF-8 text: {error.reason}") from error

    def _blocks(self, file: Any) -> Iterator[str]:
        rest = ""
        while block := file.read(BLOCK):
            rest += block
            cut = 1 + max(map(rest.rfind, " \n")) if self.level == "word" else len(rest)
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    def encode(self, vocabulary: Vocabulary, least: int = 2) -> Ids:
        """Return the ids of the text's symbols, in memory for a string, else mapped from a file without a name."""
        if isinstance(self.given, str):
            ids = vocabulary.encode(self.given)
        else:
            with tempfile.TemporaryFile() as file:
                for piece in self.pieces():
                    file.write(vocabulary.encode(piece).tobytes())
                file.flush()
                ids = np.memmap(file, np.int32, "r") if file.tell() else np.empty(0, np.int32)
        if len(ids) < least:
            raise ValueError(f"{self.name} must have at least {least} {symbols(self.level)}, got {len(ids)}")
        return ids


def symbols(level: str) -> str:
    """Return what the symbols of a level are called."""
    return {"char": "characters", "word": "words"}[level]
