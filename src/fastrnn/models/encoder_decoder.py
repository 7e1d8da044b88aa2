"""A sequence for a sequence: one network reads, another writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import Dense, Embedding
from fastrnn.layers._module import Layer, check_number, check_size
from fastrnn.layers._targets import IGNORED
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._batches import Sequences, batches_in_order, check_some, sequences
from fastrnn.models._beam import beam_search
from fastrnn.models._coder import Coder
from fastrnn.models._language_layers import CELLS
from fastrnn.models._pooling import last
from fastrnn.models._sequence import Examples, SequenceModel
from fastrnn.models._stream import ModelStream
from fastrnn.train.loop import Update

Array = NDArray[Any]


class EncoderDecoder(SequenceModel):
    """A recurrent network that answers a sequence by another one: many-to-many of different lengths.

    The encoder reads the source in both directions; a dense layer makes the decoder's initial state from the states e
    in which they end, h = tanh(W e + b), and an LSTM's c = W' e + b'. The decoder gives the odds of each symbol after
    those before it, from the stop symbol on and until the stop symbol (Cho et al. 2014; Sutskever et al. 2014). It is
    trained with the true symbols before each one.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm"}
        The recurrent layers; "rnn" has tanh units.
    hidden_size : int
        H, units in each layer of the decoder, and of each direction of the encoder.
    num_layers : int
        Layers in each of the two stacks.
    bidirectional : bool
        Whether the encoder reads from the end too.
    embedding_size : int, optional
        Columns of an embedding of the symbols of each side; by default there is none, and they go in as one-hot rows.
    dropout : float
        Probability with which training drops a value of the embeddings, between two layers of a stack, and below the
        softmax.
    max_vocab : int, optional
        Of symbols: keeps only that many of each side's most frequent, the others count as one, which is never written.
        Of ids: they run from 0 to max_vocab - 1; by default to the largest in training.
    dtype : {"float32", "float64"}
        Of parameters and computation.
    random_state : int, optional
        Makes `fit` reproducible to the bit on one instruction set.

    Attributes
    ----------
    vocabulary_, target_vocabulary_ : list of str or None
        The symbols of each side by their ids, the most frequent first.
    stop_ : int
        The id of the stop symbol in the odds of answers, the last one.
    encoder_, bridge_, decoder_, output_ : layers
        From the source to the odds; `source_embedding_` and `target_embedding_` are None where there are none.
    history_ : dict
        "loss" and "validation_loss": nats per target symbol after each epoch, the stop symbol included.
    real_share_ : float
        The share of the steps of the last epoch's batches of sources that was no padding.

    Examples
    --------
    >>> from fastrnn.models import EncoderDecoder
    >>> X = ["ab", "ba", "aab", "abb", "bba"] * 8
    >>> y = [x[::-1] for x in X]
    >>> model = EncoderDecoder(hidden_size=16, random_state=0).fit(X, y, epochs=60, learning_rate=1e-2, verbose=0)
    >>> model.predict(["aab", "ba"])
    ['baa', 'ab']
    """

    coder_: Coder
    target_coder_: Coder
    source_embedding_: Embedding | None
    target_embedding_: Embedding | None
    encoder_: Recurrent
    bridge_: Dense
    decoder_: Recurrent
    output_: Dense
    longest_: int  # of the targets in training
    _strings: bool  # whether targets came as strings, and so predictions go

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        *,
        bidirectional: bool = True,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        max_vocab: int | None = None,
        dtype: Any = "float32",
        random_state: int | None = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.max_vocab = max_vocab
        self.dtype = dtype
        self.random_state = random_state

    @property
    def layers(self) -> dict[str, Layer]:
        self._check_fitted()
        named = {
            "source_embedding": self.source_embedding_, "encoder": self.encoder_, "bridge": self.bridge_,
            "target_embedding": self.target_embedding_, "decoder": self.decoder_, "output": self.output_,
        }  # fmt: skip
        return {name: layer for name, layer in named.items() if layer is not None}

    @property
    def vocabulary_(self) -> list[str] | None:
        """The symbols of the sources by their ids, the most frequent first."""
        self._check_fitted()
        return self.coder_.vocabulary

    @property
    def target_vocabulary_(self) -> list[str] | None:
        """The symbols of the targets by their ids, the most frequent first."""
        self._check_fitted()
        return self.target_coder_.vocabulary

    @property
    def stop_(self) -> int:
        """The id of the stop symbol, the last one."""
        self._check_fitted()
        return self.target_coder_.size

    @property
    def _unit(self) -> str:
        return "symbol"

    def predict(
        self,
        X: Any,
        lengths: Any = None,
        *,
        beam_width: int = 1,
        length_normalization: float = 1.0,
        max_length: int | None = None,
    ) -> list[Any]:
        """Return the answers: strings, lists of symbols or arrays of ids, as the targets were in training.

        Parameters
        ----------
        X, lengths
            The sources, as in `fit`.
        beam_width : int
            How many beginnings are followed at a time; 1 always takes the likeliest symbol.
        length_normalization : float
            Answers compete by log p / (symbols, the stop symbol included) to this power: at 0 by their probability
            alone, which favours the short.
        max_length : int, optional
            Symbols in an answer at most; by default twice as many as the longest target in training.
        """
        self._check_fitted()
        B = check_size(beam_width, "beam_width")
        check_number(length_normalization, "length_normalization")
        longest = 2 * self.longest_ if max_length is None else check_size(max_length, "max_length", least=0)
        given = self.coder_.encode(self._given(X, lengths))
        answers: list[Any] = [None] * len(given)
        for chunk in batches_in_order(given.lengths):
            for rows in np.array_split(chunk, -(-len(chunk) * B // 256)):
                for row, ids in zip(rows, self._answers(given, rows, B, length_normalization, longest), strict=True):
                    answers[row] = self._given_form(ids)
        return answers

    def score(self, X: Any, y: Any, lengths: Any = None, **decoding: Any) -> float:
        """Return the share of the answers that are exactly y; `decoding` as of `predict`."""
        self._check_fitted()
        check_some(self._given(X, lengths))
        answers = self.predict(X, lengths, **decoding)
        if len(y) != len(answers):
            raise ValueError(f"y must hold {len(answers)} sequences, got {len(y)}")
        return float(np.mean([list(one) == list(other) for one, other in zip(answers, y, strict=True)]))

    def stream(self, X: Any, lengths: Any = None) -> ModelStream:
        """Read sources, and return the decoder that answers them, to be stepped a symbol at a time.

        Each step takes the symbols or ids (N,) that the N answers have got, `stop_` in the first step, and returns the
        log-probabilities (N, V) of those that follow: the target vocabulary's, an id that stands for all others if
        that holds symbols, and `stop_`. Which ones follow is for the caller to say; a row that is reset has no source.

        Parameters
        ----------
        X, lengths
            The sources, as in `fit`, at least one.

        Examples
        --------
        >>> from fastrnn.models import EncoderDecoder
        >>> model = EncoderDecoder(hidden_size=16, random_state=0)
        >>> model = model.fit(["ab", "ba"] * 20, ["ba", "ab"] * 20, epochs=30, learning_rate=1e-2, verbose=0)
        >>> stream = model.stream(["ab"])
        >>> odds = stream.step([model.stop_])[0]
        >>> model.target_vocabulary_[odds[:-2].argmax()]
        'b'
        >>> model.target_vocabulary_[stream.step("b")[:-2].argmax()]
        'a'
        """
        self._check_fitted()
        given = self.coder_.encode(self._given(X, lengths))
        if len(given) == 0:
            raise ValueError("X must hold at least one source, got none")
        layers = {"recurrent": self.decoder_, "output": self.output_, "embedding": self.target_embedding_}
        stream = ModelStream(layers, len(given), symbols=self.target_coder_.vocabulary)
        stream.state = self._initial(self._encode(given, np.arange(len(given))))
        return stream

    def _answers(self, X: Sequences, rows: Array, B: int, power: float, longest: int) -> list[Array]:
        """Return the ids of the answers to some sources."""
        state = self._initial(self._encode(X, rows))
        stream, table = self.decoder_.stream(len(rows) * B), self.target_embedding_
        parts = state if isinstance(state, tuple) else (state,)
        wide = [np.repeat(part, B, axis=1) for part in parts]
        stream.state = tuple(wide) if isinstance(state, tuple) else wide[0]

        def step(ids: Array, parents: Array | None) -> Array:
            if parents is not None:
                now = stream.state
                stream.state = tuple(part[:, parents] for part in now) if isinstance(now, tuple) else now[:, parents]
            return self.output_(stream.step(ids if table is None else table(ids)))

        unknown = None if self.target_coder_.vocabulary is None else self.stop_ - 1
        return beam_search(step, len(rows), B, self.stop_, longest, power, unknown)

    def _given_form(self, ids: Array) -> Any:
        vocabulary = self.target_coder_.vocabulary
        if vocabulary is None:
            return ids
        symbols = [vocabulary[k] for k in ids]
        return "".join(symbols) if self._strings else symbols

    def _learn(self, X: Sequences, y: Any, rng: np.random.Generator, classes: Array | None) -> None:
        targets = targets_of(y, len(X))
        for name, rows in (("X", X), ("y", targets)):
            if rows.kind == "features":
                raise TypeError(f"{name} must hold ids or symbols, got real numbers")
        self._strings = isinstance(y[0], str)
        self.coder_, self.target_coder_ = Coder.of(X, self.max_vocab), Coder.of(targets, self.max_vocab)
        self.longest_ = int(targets.lengths.max())
        self._build(rng)

    def _build(self, rng: np.random.Generator) -> None:
        """Make the layers; the stop symbol is one id more than the target's others."""
        V, W, E = self.coder_.size, self.target_coder_.size + 1, self.embedding_size
        H, L = self.hidden_size, self.num_layers
        seeds = [int(seed) for seed in rng.integers(2**63, size=6)]
        cell, options = CELLS[self.cell], {"dropout": self._dropout_between, "dtype": self.dtype}
        self.source_embedding_, self.target_embedding_ = (
            None if E is None else Embedding(size, E, dtype=self.dtype, seed=seed)
            for size, seed in ((V, seeds[0]), (W, seeds[1]))
        )
        self.encoder_ = cell(V if E is None else E, H, L, bidirectional=self.bidirectional, seed=seeds[2], **options)
        self.decoder_ = cell(W if E is None else E, H, L, seed=seeds[3], **options)
        parts = len(self.decoder_._state_names)
        width = parts * H * (2 if self.bidirectional else 1)
        self.bridge_ = Dense(width, parts * L * H, dtype=self.dtype, seed=seeds[4])
        self.output_ = Dense(H, W, dtype=self.dtype, seed=seeds[5])

    def _examples(self, X: Sequences, y: Any) -> Examples:
        return Examples(self.coder_.encode(X), self.target_coder_.encode(targets_of(y, len(X)), "y"))

    def _count(self, examples: Examples) -> int:
        return int((examples.targets.lengths + 1).sum())

    def _written(self, examples: Examples, rows: Array) -> tuple[Array, Array, Array]:
        """Return what the decoder reads (n, T), what it is to write, and the lengths (n,), the stop symbol included."""
        symbols, lengths = examples.targets.batch(rows, np.int64)
        n, T = len(symbols), symbols.shape[1] + 1
        read, write = np.full((n, T), self.stop_), np.full((n, T), IGNORED)
        read[:, 1:], write[:, :-1] = symbols, symbols
        write[np.arange(T) >= lengths[:, None]] = IGNORED
        write[np.arange(n), lengths] = self.stop_
        return read, write, lengths + 1

    def _gradients(self, examples: Examples, rows: Array) -> Update:
        x, lengths = self.coder_.batch(examples.inputs, rows, np.int64)
        read, write, steps = self._written(examples, rows)
        below, source = self._embed(self.source_embedding_, x)
        y, state, encoded = self.encoder_.forward(below, lengths=lengths)
        ends, back_to_state = both_ends(y, state)
        z, bridged = self.bridge_.forward(ends)
        initial = self._initial(z)
        below, target = self._embed(self.target_embedding_, read)
        h, _, decoded = self.decoder_.forward(below, initial, lengths=steps)
        dropped, kept = self._drop(h)
        loss, dh, output = self.output_.cross_entropy(dropped, write)

        dtarget, dinitial, decoder = self.decoder_.backward(decoded, dh if kept is None else dh * kept)
        dends, bridge = self.bridge_.backward(bridged, self._initial_back(initial, dinitial))
        dsource, _, encoder = self.encoder_.backward(encoded, None, back_to_state(dends))
        grads = {"encoder": encoder, "bridge": bridge, "decoder": decoder, "output": output}
        for name, embedded, dx in (("source_embedding", source, dsource), ("target_embedding", target, dtarget)):
            if embedded is not None:
                grads[name] = embedded(dx)
        return Update(loss, int(steps.sum()), grads)

    def _evaluate(self, examples: Examples, rows: Array) -> tuple[float, int]:
        read, write, steps = self._written(examples, rows)
        initial = self._initial(self._encode(examples.inputs, rows))
        table = self.target_embedding_
        h, _ = self.decoder_(read if table is None else table(read), initial, lengths=steps)
        return self.output_.cross_entropy_loss(h, write), int(steps.sum())

    def _encode(self, X: Sequences, rows: Array) -> Array:
        """Return what the bridge makes of some sources, (n, L·H), an LSTM's (n, 2·L·H)."""
        x, lengths = self.coder_.batch(X, rows, np.int64)
        table = self.source_embedding_
        y, state = self.encoder_(x if table is None else table(x), lengths=lengths)
        return self.bridge_(both_ends(y, state)[0])

    def _embed(self, table: Embedding | None, ids: Array) -> tuple[Array, Any]:
        """Return what a stack reads, with dropout, and what makes the gradients of the table from its gradient."""
        if table is None:
            return ids, None
        x, tape = table.forward(ids)
        x, kept = self._drop(x)
        return x, lambda dx: table.backward(tape, dx if kept is None else dx * kept)[1]

    def _initial(self, z: Array) -> Any:
        """Return the decoder's initial state, from what the bridge made."""
        parts = z.reshape(len(z), -1, self.decoder_.num_layers, self.decoder_.hidden_size).transpose(1, 2, 0, 3)
        h = np.tanh(parts[0])
        return h if len(parts) == 1 else (h, parts[1])

    def _initial_back(self, state: Any, dstate: Any) -> Array:
        """Return the gradient of the bridge's output."""
        (h, *_), (dh, *dc) = (part if isinstance(part, tuple) else (part,) for part in (state, dstate))
        parts = np.stack([dh * (1 - h**2), *dc])
        return np.ascontiguousarray(parts.transpose(2, 0, 1, 3)).reshape(h.shape[1], -1)

    def _get_fitted(self) -> dict[str, Any]:
        return super()._get_fitted() | {
            "coder": self.coder_.record(),
            "target_coder": self.target_coder_.record(),
            "longest": self.longest_,
            "strings": self._strings,
        }

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        super()._set_fitted(layers, fitted)
        self.source_embedding_, self.target_embedding_ = layers.get("source_embedding"), layers.get("target_embedding")
        self.encoder_, self.bridge_ = layers["encoder"], layers["bridge"]
        self.decoder_, self.output_ = layers["decoder"], layers["output"]
        self.coder_, self.target_coder_ = Coder.restored(fitted["coder"]), Coder.restored(fitted["target_coder"])
        self.longest_, self._strings = fitted["longest"], fitted["strings"]


def targets_of(y: Any, count: int) -> Sequences:
    """Return the answers to so many sources."""
    if y is None:
        raise TypeError("y must hold a sequence for each of X, got None")
    targets = sequences(y, name="y")
    if len(targets) != count:
        raise ValueError(f"y must hold {count} sequences, one for each of X, got {len(targets)}")
    return targets


def both_ends(y: Array, state: Any) -> tuple[Array, Any]:
    """Return the top layer's final states, every part and direction side by side, and the way back of the gradient."""
    parts = state if isinstance(state, tuple) else (state,)
    ends = [last(y, part) for part in parts]

    def back(d: Array) -> Any:
        wide = np.split(d, len(parts), axis=1)
        dstate = tuple(one_back(piece)[1] for (_, one_back), piece in zip(ends, wide, strict=True))
        return dstate if isinstance(state, tuple) else dstate[0]

    return np.concatenate([end for end, _ in ends], axis=1), back
