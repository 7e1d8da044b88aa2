"""A fitted model that reads its input as it comes: embedding, recurrent layers and output, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import _arguments as arguments

Array = NDArray[Any]


class ModelStream:
    """A model stepped by its user, made by `model.stream`; rows start from a zero state, a decoder's from its sources.

    A step allocates nothing but its output, and not even that with `out`. The stream follows changes of the layers'
    parameters, but stays with the layers it was made of. It belongs to one thread at a time.

    Parameters
    ----------
    layers : mapping
        "recurrent", one direction; "output", Dense; and, where the input goes through it, "embedding".
    batch_size : int
        N, the number of rows.
    symbols : sequence of str, optional
        What ids stand for; any other string is the id after the last.
    log_odds : bool
        Whether a step returns log softmax of the output layer, or what that gives.

    Attributes
    ----------
    state : array or pair
        h, or (h, c) of an LSTM, each (L, N, H): reads as copies, and takes what the layer takes as `state`.

    Examples
    --------
    >>> import fastrnn
    >>> lm = fastrnn.models.LanguageModel(hidden_size=16, num_layers=1, random_state=0)
    >>> stream = lm.fit("to be or not to be. " * 20, epochs=1, verbose=0).stream()
    >>> total, before = 0.0, stream.step("t")
    >>> for character in "o be":
    ...     total += before[lm.vocabulary_.index(character)]
    ...     before = stream.step(character)
    >>> bool(abs(total / 4 - lm.score("to be")) < 1e-5)
    True
    """

    def __init__(
        self,
        layers: Mapping[str, Any],
        batch_size: int = 1,
        *,
        symbols: Sequence[str] | None = None,
        log_odds: bool = True,
    ) -> None:
        self._made_of = (dict(layers), batch_size, symbols, log_odds)
        recurrent, output, embedding = layers["recurrent"], layers["output"], layers.get("embedding")
        self._stream = recurrent.stream(batch_size)
        self._output, self._embedding, self._log_odds = output, embedding, log_odds
        self._input_size = recurrent.input_size if embedding is None else embedding.num_embeddings
        self._ids = {symbol: place for place, symbol in enumerate(symbols or ())}
        self._characters = all(len(symbol) == 1 for symbol in self._ids)
        N, self._dtype = self._stream.batch_size, recurrent.dtype
        self._h = np.empty((N, recurrent._output_size), self._dtype)
        self._x = None if embedding is None else np.empty((N, embedding.embedding_dim), self._dtype)

    @property
    def batch_size(self) -> int:
        """The number of rows, N."""
        return self._stream.batch_size

    @property
    def state(self) -> Any:
        return self._stream.state

    @state.setter
    def state(self, state: Any) -> None:
        self._stream.state = state

    def reset(self, rows: Any = None) -> None:
        """Give all rows a zero state, or those that are true in `rows` (N,)."""
        self._stream.reset(rows)

    def step(self, x: Any, *, out: Array | None = None, resets: Any = None) -> Array:
        """Return the model's output for one step's input.

        Parameters
        ----------
        x : str, list of str, or array
            A symbol for each of the N rows, or ids (N,), or, of a model without an embedding, numbers (N, I); of a
            single row also one symbol, one id, or (I,).
        out : array, optional
            (N, V), contiguous, of the model's dtype: filled and returned.
        resets : array of bool, optional
            (N,): rows that start anew, from a zero state, before this step.

        Returns
        -------
        y : array
            (N, V): log-probabilities, or a regressor's values; (V,) where x was of a single row without its axis.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; no row has moved on.
        """
        N, V = self.batch_size, self._output.out_features
        leads: tuple[tuple[int, ...], ...] = ((N,), ()) if N == 1 else ((N,),)
        rows, lead = arguments.check_step(self._numbers(x), leads, self._input_size, self._dtype)
        if self._embedding is not None and rows.ndim != 1:
            raise TypeError(f"x must be integer ids, which the embedding reads, got dtype {np.asarray(x).dtype}")
        if out is None:
            y = np.empty((*lead, V), self._dtype)
        else:
            arguments.check_out(out, (*lead, V), self._dtype, (rows,))
            if not out.flags.c_contiguous:
                raise ValueError("out must be contiguous")
            y = out
        if self._embedding is not None:
            table = self._embedding.parameters["weight"]
            rows = np.take(table, rows, axis=0, out=self._x, mode="clip")  # checked above; "raise" would copy
        h = self._stream.step(rows, out=self._h, resets=resets)
        engine, logits = _engine.load(self._dtype), y.reshape(N, V)
        engine.dense_forward(self._output._matrix(), h, logits)
        if self._log_odds:
            engine.log_softmax(logits)
        return y

    def _numbers(self, x: Any) -> Any:
        """Return the ids of symbols; anything else as it is."""
        if isinstance(x, str):
            return self._id(x)
        if isinstance(x, (list, tuple)) and x and all(isinstance(symbol, str) for symbol in x):
            return [self._id(symbol) for symbol in x]
        return x

    def _id(self, symbol: str) -> int:
        if not self._ids:
            raise TypeError("x must be numbers, this model reads no text")
        if self._characters and len(symbol) != 1:
            raise ValueError(f"x must be a single character for each row, got {symbol!r}")
        return self._ids.get(symbol, len(self._ids))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._made_of, self.state)


def _remade(made_of: tuple[Any, ...], state: Any) -> ModelStream:
    layers, batch_size, symbols, log_odds = made_of
    stream = ModelStream(layers, batch_size, symbols=symbols, log_odds=log_odds)
    stream.state = state
    return stream
