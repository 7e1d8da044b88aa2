"""Language models: a recurrent network that reads a text and gives the odds of each next character."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding
from fastrnn.layers._module import Layer, check_dtype, check_size
from fastrnn.models._characters import check_text, encode, vocabulary_of
from fastrnn.models._model import Model, generator
from fastrnn.train._checks import check_choice, check_number
from fastrnn.train.checkpoints import fingerprint
from fastrnn.train.loop import Carried, Gradients, Task, Update, train
from fastrnn.train.options import options_of

Array = NDArray[Any]

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
CHUNK = 4096  # steps that are evaluated in one call, so that memory does not grow with the text


class LanguageModel(Model):
    """A recurrent language model over characters: p(next character | all characters before it).

    Characters go in as one-hot rows or through an embedding, then through a stack of LSTM, GRU or tanh layers, and a
    softmax gives the odds of the next one (Mikolov et al. 2010; Graves 2013). The vocabulary is the characters of the
    training text and one symbol for all others, so that any text has a perplexity. That symbol is never sampled; it
    occurs in training only where `max_vocab` leaves characters out, and is an expensive surprise otherwise.

    Parameters
    ----------
    level : {"char"}
        What the text is cut into.
    cell : {"lstm", "gru", "rnn"}
        The recurrent layers; "rnn" has tanh units.
    hidden_size : int
        H, units in each layer.
    num_layers : int
        Layers in the stack.
    embedding_size : int, optional
        Columns of an embedding below the stack; by default there is none, and the input is one-hot.
    tied : bool
        Whether the output weights are those of the embedding, whose size is then `hidden_size` (Press and Wolf 2017).
    dropout : float
        Probability with which training drops a value between two layers of the stack.
    max_vocab : int, optional
        Keeps only that many of the most frequent characters.
    dtype : {"float32", "float64"}
        Of parameters and computation.
    random_state : int, optional
        Makes `fit`, and every `sample` after it, reproducible to the bit on one instruction set.

    Attributes
    ----------
    vocabulary_ : list of str
        The characters by their ids, the most frequent first; the id after the last is that of all others.
    embedding_, recurrent_, output_ : Embedding or None, LSTM or GRU or RNN, Dense
        The layers.
    history_ : dict
        "loss" and "validation_loss": nats per character after each epoch.
    random_state_ : numpy.random.Generator
        Drew the initial values, and draws what `sample` gives.

    Examples
    --------
    >>> import fastrnn
    >>> lm = fastrnn.models.LanguageModel(hidden_size=32, num_layers=1, random_state=0)
    >>> lm = lm.fit("the cat sat on the mat. " * 40, epochs=20, batch_size=4, learning_rate=1e-2, verbose=0)
    >>> lm.perplexity("the cat sat on the mat. ") < 1.5
    True
    >>> lm.sample(9, prompt="the cat sat on", temperature=0)
    ' the mat.'
    """

    embedding_: Embedding | None
    recurrent_: LSTM | GRU | RNN
    output_: Dense

    def __init__(
        self,
        level: str = "char",
        cell: str = "lstm",
        hidden_size: int = 256,
        num_layers: int = 2,
        *,
        embedding_size: int | None = None,
        tied: bool = False,
        dropout: float = 0.0,
        max_vocab: int | None = None,
        dtype: Any = "float32",
        random_state: int | None = None,
    ) -> None:
        self.level = level
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding_size = embedding_size
        self.tied = tied
        self.dropout = dropout
        self.max_vocab = max_vocab
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self,
        text: str,
        validation: str | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 16,
        sequence_length: int = 64,
        optimizer: str = "adam",
        learning_rate: float = 4e-3,
        schedule: str = "linear",
        clip_norm: float | None = 1.0,
        verbose: int = 1,
        **training: Any,
    ) -> LanguageModel:
        """Train on a text, from new initial values, by truncated back-propagation through time.

        The text is cut into `batch_size` streams of equal length (its last few characters may be left over), which are
        read side by side, `sequence_length` characters at an update. The state at the end of a window is where the next
        one starts, from zeros at the beginning of an epoch; gradients stop at the window's first character.

        Parameters
        ----------
        text : str
            The training text, of more than `batch_size` characters.
        validation : str, optional
            A text that is evaluated after each epoch, as `score` does it.
        epochs : int
            How often the text is read.
        batch_size, sequence_length : int
            N and T of a window.
        optimizer : {"adam", "adamw", "rmsprop", "adagrad", "sgd"}
            From `fastrnn.optim`, with the defaults it has there.
        learning_rate : float
            The rate at the start.
        schedule : {"linear", "cosine", "constant"}
            How the rate falls to 0 at the end, if it does.
        clip_norm : float, optional
            The largest norm of all gradients together; None leaves them as they are.
        verbose : {0, 1, 2}
            No progress bar, one where standard error is a terminal, one in any case.

        Returns
        -------
        LanguageModel
            The model itself.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; the model is as it was before.
        FloatingPointError
            Training diverged; the model is as it was before.
        KeyboardInterrupt
            Ctrl-C ends the training, and the model keeps what it has learned so far.
        """
        check_text(text, "text")
        if validation is not None:
            check_text(validation, "validation")
        N, T = check_size(batch_size, "batch_size"), check_size(sequence_length, "sequence_length")
        if len(text) <= N:
            raise ValueError(f"text must have more characters than batch_size={N}, got {len(text)}")
        options = options_of({
            "epochs": epochs, "optimizer": optimizer, "learning_rate": learning_rate, "schedule": schedule,
            "clip_norm": clip_norm, "verbose": verbose, **training,
        })  # fmt: skip
        before = dict(self.__dict__)
        try:
            self._build(text)
            ids = encode(text, self.vocabulary_)
            held_out = None if validation is None else encode(validation, self.vocabulary_)
            length = (len(ids) - 1) // N
            inputs, targets = (part[: N * length].reshape(N, length) for part in (ids[:-1], ids[1:]))
            task = Task(
                lambda number, done, carried: self._updates(inputs, targets, T, done, carried),
                N * length, "char", figures,
                None if held_out is None else lambda: self._loss(held_out), lambda: fingerprint(inputs, targets),
            )  # fmt: skip
            train(self, task, options)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def score(self, text: str) -> float:
        """Return the mean log-likelihood of a text's characters, in nats: the higher, the better.

        The text is read as one stream from a zero state, and every character but the first is predicted from all those
        before it. Characters that are not in the vocabulary count as the one symbol that stands for all of them.
        """
        self._check_fitted()
        return -self._loss(encode(check_text(text, "text"), self.vocabulary_))

    def perplexity(self, text: str) -> float:
        """Return exp(-score): the number of equally likely characters between which the model is left to guess."""
        loss = -self.score(text)
        return math.exp(loss) if loss < 700 else math.inf

    def bits_per_character(self, text: str) -> float:
        """Return -score / ln 2: the size to which the model can compress a text."""
        return -self.score(text) / math.log(2)

    def sample(
        self,
        length: int,
        prompt: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        random_state: int | None = None,
    ) -> str:
        """Return text that the model writes, character by character, each drawn from its own odds.

        Parameters
        ----------
        length : int
            How many characters.
        prompt : str
            What the text continues, not part of the result; by default a line break, or the most frequent character
            where the training text had no line breaks.
        temperature : float
            Divides the logits: below 1 the likely becomes likelier, and 0 always takes the likeliest.
        top_k : int, optional
            Draws only among so many of the likeliest characters.
        random_state : int, optional
            Makes the draws reproducible; by default they continue from the model's own `random_state_`.
        """
        self._check_fitted()
        check_size(length, "length", least=0)
        check_text(prompt, "prompt", least=0)
        if top_k is not None:
            check_size(top_k, "top_k")
        check_number(temperature, "temperature")
        rng = self.random_state_ if random_state is None else generator(random_state)
        known = len(self.vocabulary_)
        ids = encode(prompt or ("\n" if "\n" in self.vocabulary_ else self.vocabulary_[0]), self.vocabulary_)
        outputs, state = self._read(ids[None])
        stream, h, drawn = self.recurrent_.stream(), outputs[0, -1], []
        stream.state = state
        for _ in range(length):
            drawn.append(draw(self.output_(h)[:known], temperature, top_k, rng))
            h = stream.step(drawn[-1] if self.embedding_ is None else self.embedding_(drawn[-1]))
        return "".join(self.vocabulary_[k] for k in drawn)

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers, {name: layer}, from the input to the output."""
        self._check_fitted()
        below: dict[str, Layer] = {} if self.embedding_ is None else {"embedding": self.embedding_}
        return {**below, "recurrent": self.recurrent_, "output": self.output_}

    def _build(self, text: str) -> None:
        """Make the vocabulary and new layers."""
        if self.level != "char":
            raise ValueError(f'level must be "char", got {self.level!r}: models of words are not built yet')
        check_choice(self.cell, "cell", CELLS)
        H, E = self.hidden_size, self.embedding_size
        if self.tied and E is None:
            E = H
        if self.tied and E != H:
            raise ValueError(f"tied=True needs embedding_size to equal hidden_size, got {E} and {H}")
        if self.dropout and self.num_layers == 1:
            raise ValueError(f"dropout acts between layers and needs num_layers of at least 2, got {self.num_layers}")
        for name in ("embedding_size", "max_vocab"):
            if getattr(self, name) is not None:
                check_size(getattr(self, name), name)
        check_dtype(self.dtype)
        rng = generator(self.random_state)
        seeds = [int(seed) for seed in rng.integers(0, 2**64, 3, np.uint64)]
        vocabulary = vocabulary_of(text, self.max_vocab)
        V = len(vocabulary) + 1
        stack: dict[str, Any] = {"num_layers": self.num_layers, "dropout": self.dropout, "dtype": self.dtype}
        recurrent = CELLS[self.cell](V if E is None else E, H, **stack, seed=seeds[0])
        init = 0.1 if self.tied else "default"  # N(0, 1) rows would make the first logits as large as sqrt(H)
        embedding = None if E is None else Embedding(V, E, dtype=self.dtype, seed=seeds[1], init=init)
        output = Dense(H, V, dtype=self.dtype, seed=seeds[2], tied=embedding if self.tied else None)
        self.embedding_, self.recurrent_, self.output_ = embedding, recurrent, output
        self.vocabulary_, self.random_state_ = vocabulary, rng
        self.history_: dict[str, list[float]] = {"loss": [], "validation_loss": []}

    def _get_fitted(self) -> dict[str, Any]:
        return {
            "vocabulary": self.vocabulary_,
            "history": self.history_,
            "random_state": self.random_state_.bit_generator.state,
        }

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        self.embedding_, self.recurrent_, self.output_ = layers.get("embedding"), layers["recurrent"], layers["output"]
        self.vocabulary_, self.history_ = fitted["vocabulary"], fitted["history"]
        self.random_state_ = np.random.default_rng()
        self.random_state_.bit_generator.state = fitted["random_state"]

    def _updates(self, inputs: Array, targets: Array, T: int, done: int, carried: Carried) -> Iterator[Update]:
        """Give the loss and the gradients of one window after the other, each starting where the last one ended."""
        names = self.recurrent_._state_names
        for start in range(done * T, inputs.shape[1], T):
            state: Any = tuple(carried[name] for name in names) if carried else None
            if state and len(names) == 1:
                state = state[0]
            window = np.s_[:, start : start + T]
            loss, state, grads = self._gradients(inputs[window], targets[window], state)
            carried = dict(zip(names, state if isinstance(state, tuple) else (state,), strict=True))
            yield Update(loss, inputs[window].size, grads, carried)

    def _gradients(self, ids: Array, targets: Array, state: Any) -> tuple[float, Any, Gradients]:
        """Return a window's mean loss, its final state and the gradients of all parameters."""
        x, embedded = (ids, None) if self.embedding_ is None else self.embedding_.forward(ids)
        h, state, tape = self.recurrent_.forward(x, state)
        loss, dh, output = self.output_.cross_entropy(h, targets)
        dx, _, recurrent = self.recurrent_.backward(tape, dh)
        grads: Gradients = {"recurrent": recurrent, "output": output}
        if self.embedding_ is not None and embedded is not None:
            _, grads["embedding"] = self.embedding_.backward(embedded, dx)
        if self.tied:  # one parameter has one gradient, whose norm is that of the sum
            grads["embedding"]["weight"] += grads["output"].pop("weight")
        return loss, state, grads

    def _read(self, ids: Array, state: Any = None) -> tuple[Array, Any]:
        """Return the last layer's h (N, T, H) over ids (N, T), and the final state."""
        return self.recurrent_(ids if self.embedding_ is None else self.embedding_(ids), state)

    def _loss(self, ids: Array) -> float:
        """Return the mean loss over one stream of ids, in nats per character."""
        state, total = None, 0.0
        for start in range(0, len(ids) - 1, CHUNK):
            targets = ids[start + 1 : start + 1 + CHUNK]
            h, state = self._read(ids[None, start : start + len(targets)], state)
            total += self.output_.cross_entropy_loss(h[0], targets, reduction="sum")
        return total / (len(ids) - 1)


def draw(logits: Array, temperature: float, top_k: int | None, rng: np.random.Generator) -> int:
    """Return an id drawn from softmax(logits / temperature) over the `top_k` likeliest, at 0 the likeliest."""
    if temperature == 0:
        return int(np.argmax(logits))
    z = logits.astype(np.float64) - logits.max()
    ids = np.arange(len(z)) if top_k is None else np.argsort(-z, kind="stable")[:top_k]
    with np.errstate(over="ignore", under="ignore"):
        odds = np.exp(z[ids] / temperature)
    cumulative = np.cumsum(odds)
    return int(ids[np.searchsorted(cumulative / cumulative[-1], rng.random(), side="right")])


def figures(loss: float) -> str:
    """Say a loss in words for the progress bar."""
    return f"loss {loss:.3f}, {loss / math.log(2):.3f} bits/char"
