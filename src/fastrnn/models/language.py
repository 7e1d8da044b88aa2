"""Language models: a recurrent network that reads a text and gives the odds of each next symbol."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import optim
from fastrnn.layers import Dense, Embedding
from fastrnn.layers._module import Layer, check_size
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._characters import check_text
from fastrnn.models._context import ContextModel, Contexts
from fastrnn.models._drawing import check_drawing, draw
from fastrnn.models._language_layers import check_params, new_layers, renew_dropout
from fastrnn.models._model import generator
from fastrnn.models._stream import ModelStream
from fastrnn.models._text import Text, symbols
from fastrnn.models._window import Network, Windows, figures_of, perplexity_of, streams
from fastrnn.models.vocabulary import END, LEVELS, Vocabulary
from fastrnn.train._checks import check_choice
from fastrnn.train.checkpoints import fingerprint
from fastrnn.train.loop import Carried, Task, Update, train
from fastrnn.train.options import Options, options_of

Array = NDArray[Any]
Source = str | PathLike[str] | Iterable[str]

CHUNK = 4096  # positions that are evaluated in one call, so that memory does not grow with the text


class LanguageModel(ContextModel):
    """A recurrent language model over characters or words: p(next symbol | all symbols before it).

    Symbols go in as one-hot rows or through an embedding, then through a stack of recurrent layers, and a
    softmax gives the odds of the next one (Mikolov et al. 2010; Graves 2013). The vocabulary is the symbols of the
    training text and one more for all others, so that any text has a perplexity. That one is never sampled; it occurs
    in training only where `max_vocab` leaves symbols out or the text itself has the word "<unk>", and is an expensive
    surprise otherwise.

    Parameters
    ----------
    level : {"char", "word"}
        What the text is cut into: characters, or words between white space with "<eos>" at the end of each line.
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm"}
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
    input_dropout, output_dropout : float
        The same below the stack, on the embedding's output, and above it.
    recurrent_dropout : float
        Probability with which training drops a unit from what the recurrent weights read, throughout a window.
    embedding_dropout : float
        Probability with which training drops a symbol's whole row of the embedding throughout a window.
    activation_penalty, temporal_penalty : float
        Add to what is minimised so much times the mean square of the last layer's outputs, after dropout, and of their
        change from step to step (Merity, McCann and Socher 2017).
    max_vocab : int, optional
        Keeps only that many of the most frequent symbols.
    init : {"default", "torch"} or float
        Initial values of all layers, as the layers have them; a number b is U(-b, b), biases too.
    forget_bias : float, optional
        Where an LSTM's forget gates start, in `bias_ih`; by default where `init` puts them.
    dtype : {"float32", "float64"}
        Of parameters and computation.
    random_state : int, optional
        Makes `fit`, and every `sample` after it, reproducible to the bit on one instruction set.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The symbols by their ids, the most frequent first; the id after the last is that of all others.
    embedding_, recurrent_, output_ : Embedding or None, a recurrent layer, Dense
        The layers.
    context_ : Dense or None
        What makes the initial state of a context, where `fit` was given any.
    history_ : dict
        "loss" and "validation_loss": nats per symbol after each epoch.
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
    recurrent_: Recurrent
    output_: Dense
    history_: dict[str, list[float]]
    _optimizer: optim.Optimizer  # of partial_fit

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
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        activation_penalty: float = 0.0,
        temporal_penalty: float = 0.0,
        max_vocab: int | None = None,
        init: str | float = "default",
        forget_bias: float | None = None,
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
        self.input_dropout = input_dropout
        self.output_dropout = output_dropout
        self.recurrent_dropout = recurrent_dropout
        self.embedding_dropout = embedding_dropout
        self.activation_penalty = activation_penalty
        self.temporal_penalty = temporal_penalty
        self.max_vocab = max_vocab
        self.init = init
        self.forget_bias = forget_bias
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self,
        text: Source,
        validation: Any = None,
        *,
        context: Any = None,
        epochs: int = 10,
        batch_size: int = 16,
        sequence_length: int = 64,
        optimizer: str = "adam",
        learning_rate: float = 4e-3,
        schedule: Any = "linear",
        clip_norm: float | None = 1.0,
        reduction: str = "mean",
        validation_batch_size: int = 1,
        verbose: int = 1,
        **training: Any,
    ) -> LanguageModel:
        """Train on a text, from new initial values, by truncated back-propagation through time.

        The text is cut into `batch_size` streams of equal length (its last few symbols may be left over), which are
        read side by side, `sequence_length` symbols at an update. The state at the end of a window is where the next
        one starts, from zeros at the beginning of an epoch; gradients stop at the window's first symbol.

        Parameters
        ----------
        text : str, path, or iterable of str
            The training text, of more than `batch_size` symbols; a file of it, in UTF-8, which may be larger than
            memory (a `pathlib.Path`: a string is the text itself); or its parts one after the other, no word of which
            goes on in the next.
        validation : str, path, or iterable of str, optional
            A text that is evaluated after each epoch, as `score` does it.
        context : array, optional
            Vectors (M, C), or classes (M,), integers or strings, that texts are to be written from: `text` is then a
            list of M strings, each of which starts from a state of its own, the tanh of a learned linear function of
            its context, and `validation` a pair of such a list and contexts. A line break is put before and after each
            text, which is read as a whole, `batch_size` texts at an update, in an order drawn anew for each epoch.
        epochs : int
            How often the text is read.
        batch_size, sequence_length : int
            N and T of a window.
        optimizer : {"adam", "adamw", "rmsprop", "adagrad", "sgd"}
            From `fastrnn.optim`, with the defaults it has there.
        learning_rate : float
            The rate at the start.
        schedule : str, dict or Schedule
            How the rate changes: "linear" and "cosine" fall to 0 at the end, "constant" stays; the others are "step",
            "plateau" and "warmup", whose arguments `fastrnn.train` explains.
        clip_norm : float, optional
            The largest norm of all gradients together; None leaves them as they are.
        reduction : {"mean", "time_sum"}
            Whether gradients are those of the mean loss in a window, or of the sum over its steps of the batch's mean,
            `sequence_length` times as large.
        validation_batch_size : int
            Streams into which the validation text is cut.
        verbose : {0, 1, 2}
            No progress bar, one where standard error is a terminal, in any case one and a table of losses.
        **training
            What else `fastrnn.train.Options` has: clip_value, optimizer_options, patience, averaging, callbacks,
            checkpoint, checkpoint_every, keep, resume.

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

        Warns
        -----
        fastrnn.train.Interrupted
            Ctrl-C has ended the training: the model keeps the weights that did best in validation, or without
            validation what it has learned so far.
        """
        options = options_of({
            "epochs": epochs, "optimizer": optimizer, "learning_rate": learning_rate, "schedule": schedule,
            "clip_norm": clip_norm, "verbose": verbose, **training,
        })  # fmt: skip
        windows = Windows(batch_size, sequence_length, reduction, validation_batch_size)
        before = dict(self.__dict__)
        try:
            check_choice(self.level, "level", LEVELS)
            if context is not None:
                self._fit_texts(text, validation, context, windows, options)
                return self
            others = nullcontext() if validation is None else Text(validation, "validation", self.level)
            with Text(text, "text", self.level) as source, others as held_out:
                self._build(source)
                self._train(source, held_out, windows, options, None)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def partial_fit(
        self,
        text: Source,
        *,
        batch_size: int = 16,
        sequence_length: int = 64,
        optimizer: str = "adam",
        learning_rate: float = 4e-3,
        clip_norm: float | None = 1.0,
        reduction: str = "mean",
    ) -> LanguageModel:
        """Read a text once more, or another one, and go on from the present weights at a constant rate.

        The first call, on a model that is not fitted yet, makes the vocabulary, which then stays. Until `fit` is called
        the optimizer goes on too, as long as it is of one kind; it is not saved with the model. The parameters are
        those of `fit`; after an error, a diverged training excepted, the model is as it was before.
        """
        options = Options(1, optimizer, learning_rate, "constant", clip_norm, 0)
        windows = Windows(batch_size, sequence_length, reduction, 1)
        before = dict(self.__dict__)
        try:
            check_choice(self.level, "level", LEVELS)
            level = self.vocabulary_.level if hasattr(self, "history_") else self.level
            with Text(text, "text", level) as source:
                self._check_context(None)
                if not hasattr(self, "history_"):
                    self._build(source)
                check_params(self)
                renew_dropout(self, self.recurrent_)
                self.history_ = {name: list(losses) for name, losses in self.history_.items()}
                last = self.__dict__.get("_optimizer")
                kept = last if type(last).__name__.lower() == optimizer else None
                self._optimizer = self._train(source, None, windows, options, kept)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def score(self, text: Source, batch_size: int = 1, *, context: Any = None) -> float:
        """Return the mean log-likelihood of a text's symbols, in nats: the higher, the better.

        The text is read as one stream from a zero state, and every symbol but the first is predicted from all those
        before it. Symbols that are not in the vocabulary count as the one that stands for all of them. A larger
        `batch_size` cuts the text into so many streams, each from a zero state, which is faster and leaves the last few
        symbols out. A model that was fitted with contexts takes a list of texts and their contexts; the line breaks at
        their ends are predicted too.
        """
        self._check_fitted()
        self._check_context(context)
        size = check_size(batch_size, "batch_size")
        if context is not None:
            return -self._loss_of_texts(self._texts(text, context, "text"), size)
        with Text(text, "text", self.vocabulary_.level) as source:
            return -self._loss(source.encode(self.vocabulary_, size + 1), size)

    def perplexity(self, text: Source, batch_size: int = 1, *, context: Any = None) -> float:
        """Return exp(-score): the number of equally likely symbols between which the model is left to guess."""
        return perplexity_of(-self.score(text, batch_size, context=context))

    def bits_per_character(self, text: Source, batch_size: int = 1) -> float:
        """Return -score / ln 2: the size to which a model of characters can compress a text."""
        return -self.score(text, batch_size) / math.log(2)

    def sample(
        self,
        length: int,
        prompt: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        random_state: int | None = None,
        *,
        top_p: float | None = None,
        stop: str | None = None,
    ) -> str:
        """Return text that the model writes, symbol by symbol, each drawn from its own odds.

        Parameters
        ----------
        length : int
            How many symbols.
        prompt : str
            What the text continues, not part of the result; by default a line break, or the most frequent symbol where
            the training text had no line breaks.
        temperature : float
            Divides the logits: below 1 the likely becomes likelier, and 0 always takes the likeliest.
        top_k : int, optional
            Draws only among so many of the likeliest symbols.
        random_state : int, optional
            Makes the draws reproducible; by default they continue from the model's own `random_state_`.
        top_p : float, optional
            Draws only among the likeliest symbols that have such a share of the odds (Holtzman et al. 2020).
        stop : str, optional
            A symbol that ends the text, which then is without it: a character, a word, or a line break.
        """
        check_text(prompt, "prompt", least=0)
        self._refuse_contexts("sample")
        return self.generate(length, [prompt], temperature, top_k, random_state, top_p=top_p, stop=stop)[0]

    def generate(
        self,
        length: int,
        prompts: Sequence[str] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        random_state: int | None = None,
        *,
        top_p: float | None = None,
        stop: str | None = None,
        context: Any = None,
    ) -> list[str]:
        """Return a text for each of some prompts, all written side by side; the parameters are those of `sample`.

        A model that was fitted with contexts writes a text for each row of `context`, and stops at a line break unless
        `stop` is another symbol; prompts, if any, are as many.

        Examples
        --------
        >>> import fastrnn
        >>> lm = fastrnn.models.LanguageModel(hidden_size=32, num_layers=1, random_state=0)
        >>> lm = lm.fit("the cat sat on the mat. " * 40, epochs=20, batch_size=4, learning_rate=1e-2, verbose=0)
        >>> lm.generate(9, ["the cat", "the mat. the cat s"], temperature=0, stop=".")
        [' sat on t', 'at on the']
        """
        self._check_fitted()
        check_size(length, "length", least=0)
        check_drawing(temperature, top_k, top_p)
        self._check_context(context)
        stop = "\n" if stop is None and context is not None else stop
        last = None if stop is None else self._stop(stop)
        rng = self.random_state_ if random_state is None else generator(random_state)
        rows = None if context is None else self._rows(context, None if prompts is None else len(prompts))
        prompts = [""] * (1 if rows is None else len(rows)) if prompts is None else prompts
        stream, h = self._read_prompts(prompts, rows)
        drawn: list[list[int]] = [[] for _ in prompts]
        writing = np.ones(len(drawn), bool)
        for _ in range(length if drawn else 0):
            logits = self.output_(h)
            logits[:, self.vocabulary_.unknown] = -np.inf
            ids = np.array([draw(row, temperature, top_k, rng, top_p) for row in logits])
            writing &= ids != last
            for n in np.flatnonzero(writing):
                drawn[n].append(int(ids[n]))
            if not writing.any():
                break
            h = stream.step(ids if self.embedding_ is None else self.embedding_(ids))
        return [self.vocabulary_.decode(ids) for ids in drawn]

    def stream(self, batch_size: int = 1) -> ModelStream:
        """Return a `ModelStream`, which reads `batch_size` texts as they come.

        Its `step` takes the next symbol of each (or its place in `vocabulary_`) and returns the log-probabilities of
        the one after it, in the order of `vocabulary_`, last the symbol that stands for all others. It starts
        from a zero state, as `score` does, and stays with the layers of this fit. A model that was fitted with contexts
        has no such state to start from, and is refused.
        """
        self._check_fitted()
        self._refuse_contexts("stream")
        return ModelStream(self.layers, batch_size, symbols=self.vocabulary_)

    def _flow_case(self, text: str) -> tuple[Any, Array, Callable[[Array], tuple[Any, ...]]]:
        """Return what `diagnostics.gradient_flow` runs: the stack, its input for a text, the loss over its output."""
        self._check_fitted()
        self._refuse_contexts("gradient_flow")
        ids = self.vocabulary_.encode(check_text(text, "text"))[None]
        x = ids[:, :-1] if self.embedding_ is None else self.embedding_(ids[:, :-1])
        return self.recurrent_, x, lambda h: self.output_.cross_entropy(h, ids[:, 1:])

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers, {name: layer}, from the input to the output."""
        self._check_fitted()
        layers = {
            "context": self.context_, "embedding": self.embedding_,
            "recurrent": self.recurrent_, "output": self.output_,
        }  # fmt: skip
        return {name: layer for name, layer in layers.items() if layer is not None}

    def _build(self, source: Text) -> None:
        """Make the vocabulary and new layers."""
        check_params(self)
        rng = generator(self.random_state)
        seeds = [int(seed) for seed in rng.integers(0, 2**64, 3, np.uint64)]
        vocabulary = Vocabulary.of(source.pieces(), self.level, self.max_vocab)
        if not vocabulary:
            raise ValueError(f"text must have at least 2 {symbols(self.level)}, got 0")
        self.embedding_, self.recurrent_, self.output_ = new_layers(self, vocabulary.size, seeds)
        self.vocabulary_, self.random_state_ = vocabulary, rng
        self.context_ = self._contexts = None
        self.history_ = {"loss": [], "validation_loss": []}
        self.__dict__.pop("_optimizer", None)

    def _get_fitted(self) -> dict[str, Any]:
        contexts = self._contexts
        return {
            "level": self.vocabulary_.level,
            "vocabulary": list(self.vocabulary_),
            "history": self.history_,
            "random_state": self.random_state_.bit_generator.state,
            "contexts": contexts and {"width": contexts.width, "classes": contexts.classes, "order": self._order},
        }

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        self.embedding_, self.recurrent_, self.output_ = layers.get("embedding"), layers["recurrent"], layers["output"]
        self.vocabulary_, self.history_ = Vocabulary(fitted["vocabulary"], fitted["level"]), fitted["history"]
        contexts = fitted.get("contexts")
        self.context_, self._contexts = layers.get("context"), None
        if contexts is not None:
            self._contexts = Contexts(contexts["width"], contexts["classes"])
            self._order = contexts["order"]
        self.random_state_ = np.random.default_rng()
        self.random_state_.bit_generator.state = fitted["random_state"]

    def _train(
        self, source: Text, held_out: Text | None, windows: Windows, options: Options, optimizer: Any
    ) -> optim.Optimizer:
        """Train on a text by windows, and return the optimizer."""
        N, size, level = windows.batch_size, windows.validation_batch_size, self.vocabulary_.level
        ids = source.encode(self.vocabulary_)
        if len(ids) <= N:
            raise ValueError(f"text must have more {symbols(level)} than batch_size={N}, got {len(ids)}")
        others = None if held_out is None else held_out.encode(self.vocabulary_, size + 1)
        inputs, targets = streams(ids, N)
        task = Task(
            lambda number, done, carried: self._updates(inputs, targets, windows, done, carried),
            inputs.size, level, figures_of(level),
            None if others is None else lambda: self._loss(others, size),
            lambda: fingerprint(ids, [] if others is None else others),
            windows.settings(),
        )  # fmt: skip
        return train(self, task, options, optimizer)

    def _updates(
        self, inputs: Array, targets: Array, windows: Windows, done: int, carried: Carried
    ) -> Iterator[Update]:
        """Give the loss and the gradients of one window after the other, each starting where the last one ended."""
        network, T, names = self._network(), windows.sequence_length, self.recurrent_._state_names
        for start in range(done * T, inputs.shape[1], T):
            parts = tuple(carried[name] for name in names) if carried else None
            state: Any = parts[0] if parts and len(parts) == 1 else parts
            window = np.s_[:, start : start + T]
            summed = windows.reduction == "time_sum"
            loss, state, _, grads = network.gradients(inputs[window], targets[window], state, summed)
            carried = dict(zip(names, state if isinstance(state, tuple) else (state,), strict=True))
            yield Update(loss, inputs[window].size, grads, carried)

    def _network(self) -> Network:
        """Return the layers with what holds in training."""
        return Network(
            self.embedding_, self.recurrent_, self.output_, self.input_dropout, self.output_dropout,
            self.embedding_dropout, self.activation_penalty, self.temporal_penalty,
        )  # fmt: skip

    def _read(self, ids: Array, state: Any = None, lengths: Any = None) -> tuple[Array, Any]:
        """Return the last layer's h (N, T, H) over ids (N, T), and the final state."""
        return self.recurrent_(ids if self.embedding_ is None else self.embedding_(ids), state, lengths)

    def _read_prompts(self, prompts: Any, contexts: Array | None) -> tuple[Any, Array]:
        """Return a stream that has read the prompts, and its outputs (N, H)."""
        if isinstance(prompts, str) or not isinstance(prompts, Sequence):
            raise TypeError(f"prompts must be a list of strings, got {type(prompts).__name__}")
        rows = [self.vocabulary_.encode(check_text(prompt, "prompt", least=0)) for prompt in prompts]
        start = self.vocabulary_.encode(self._start())
        rows = [ids if len(ids) and contexts is None else np.concatenate([start, ids]) for ids in rows]
        lengths = np.array([len(ids) for ids in rows], np.int64)
        padded = np.zeros((len(rows), max(lengths, default=1)), np.int32)
        for ids, row in zip(rows, padded, strict=True):
            row[: len(ids)] = ids
        outputs, state = self._read(padded, None if contexts is None else self._initial_state(contexts).state, lengths)
        stream = self.recurrent_.stream(max(1, len(rows)))
        if rows:
            stream.state = state
        return stream, outputs[np.arange(len(rows)), lengths - 1]

    def _start(self) -> str:
        """Return what a text without a prompt continues."""
        return "\n" if {"char": "\n", "word": END}[self.vocabulary_.level] in self.vocabulary_ else self.vocabulary_[0]

    def _stop(self, stop: Any) -> int:
        """Return the id of a symbol that ends a text."""
        ids = self.vocabulary_.encode(check_text(stop, "stop", least=0))
        if len(ids) != 1 or ids[0] == self.vocabulary_.unknown:
            raise ValueError(f"stop must be one symbol of the vocabulary, got {stop!r}")
        return int(ids[0])

    def _loss(self, ids: Array, batch_size: int) -> float:
        """Return the mean loss over streams of ids, in nats per symbol."""
        inputs, targets = streams(ids, batch_size)
        T = max(1, CHUNK // batch_size)
        state, total = None, 0.0
        for start in range(0, inputs.shape[1], T):
            window = np.s_[:, start : start + T]
            h, state = self._read(inputs[window], state)
            total += self.output_.cross_entropy_loss(h, targets[window], reduction="sum")
        return total / inputs.size

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_optimizer"}
