"""Language models: training against a loop written out by hand, evaluation, sampling, and the trigram yardstick."""

import copy
import inspect
import math
import os
import re
import subprocess
import sys
from itertools import pairwise, product

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits

import fastrnn
from fastrnn import optim
from fastrnn.models import LanguageModel, TrigramModel, language
from fastrnn.models._characters import encode, vocabulary_of
from fastrnn.models._drawing import draw
from fastrnn.models.ngram import mixture_weights
from fastrnn.train import Interrupted

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 12
OTHER = "the cat sat on the log.\nthe dog sat on the mat.\n"
V = len(set(TEXT)) + 1  # and the symbol for all others
SMALL = {"hidden_size": 16, "num_layers": 1, "random_state": 0}
QUICK = {"epochs": 2, "batch_size": 3, "sequence_length": 7, "verbose": 0}
MODELS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "minlstm": {"cell": "minlstm"},
    "embedding": {"embedding_size": 5},
    "tied": {"embedding_size": 16, "tied": True},
    "dropout": {"num_layers": 2, "dropout": 0.4},
}


def fitted(text=TEXT, validation=None, *, fit=QUICK, **params) -> LanguageModel:
    return LanguageModel(**{**SMALL, **params}).fit(text, validation, **fit)


def parameters(model) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


@pytest.fixture(scope="module")
def model():
    """A model that knows the text well; its tests leave it as it is."""
    return fitted(fit={**QUICK, "epochs": 12, "learning_rate": 2e-2})


def new_layers(model) -> dict:
    """The model's layers with the values they had before training."""
    configs = {name: layer.get_config() for name, layer in model.layers.items()}
    layers = {name: type(model.layers[name])(**config) for name, config in configs.items() if name != "output"}
    tied = layers["embedding"] if model.tied else None
    return {**layers, "output": fastrnn.Dense(**configs["output"], tied=tied)}


def train_by_hand(model, text, *, epochs, N, T, lr, clip_norm) -> tuple[dict[str, np.ndarray], list[float]]:
    """Plain gradient descent by truncated BPTT, every stream and window cut out one by one."""
    layers = new_layers(model)
    recurrent, output, embedding = layers["recurrent"], layers["output"], layers.get("embedding")
    ids = [model.vocabulary_.index(character) for character in text]
    length = (len(ids) - 1) // N
    losses = []
    for _ in range(epochs):
        state, total = None, 0.0
        for start in range(0, length, T):
            steps = range(start, min(start + T, length))
            x = np.array([[ids[n * length + t] for t in steps] for n in range(N)])
            targets = np.array([[ids[n * length + t + 1] for t in steps] for n in range(N)])
            below, embedded = embedding.forward(x) if embedding else (x, None)
            h, state, tape = recurrent.forward(below, state)
            logits, dense = output.forward(h)
            loss, dlogits = fastrnn.losses.softmax_cross_entropy(logits, targets)
            dh, grads = output.backward(dense, dlogits)
            dx, _, recurrent_grads = recurrent.backward(tape, dh)
            pairs = [(recurrent, key, grad) for key, grad in recurrent_grads.items()]
            if embedding:
                table = embedding.backward(embedded, dx)[1]["weight"]
                pairs.append((embedding, "weight", table + grads.pop("weight") if model.tied else table))
            pairs += [(output, key, grad) for key, grad in grads.items()]
            norm = math.sqrt(sum(float((grad**2).sum()) for _, _, grad in pairs))
            scale = 1.0 if clip_norm is None else min(1.0, clip_norm / (norm + 1e-6))  # torch's
            for layer, key, grad in pairs:
                layer.set_parameters(**{key: layer.parameters[key] - lr * scale * grad})
            total += loss * targets.size
        losses.append(total / (N * length))
    values = {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()}
    return values, losses


@pytest.mark.parametrize("T", [7, 40, 1000], ids=["short windows", "long windows", "full"])
@pytest.mark.parametrize("kind", MODELS)
def test_training_is_truncated_bptt_with_carried_state(kind, T):
    text, recipe = TEXT[:200], {"epochs": 2, "N": 3, "T": T, "lr": 0.5, "clip_norm": 0.2}
    fit = {
        "epochs": 2, "batch_size": 3, "sequence_length": T, "learning_rate": 0.5, "clip_norm": 0.2, "optimizer": "sgd",
        "schedule": "constant", "verbose": 0,
    }  # fmt: skip
    model = fitted(text, fit=fit, dtype="float64", **MODELS[kind])
    expected, losses = train_by_hand(model, text, **recipe)
    for name, value in parameters(model).items():
        assert_close(value, expected[name], 1e-12, name)
    assert_close(model.history_["loss"], losses, 1e-12)


def test_without_clipping():
    text, fit = TEXT[:100], {"optimizer": "sgd", "learning_rate": 5.0, "schedule": "constant"}
    model = fitted(text, fit={**QUICK, **fit, "clip_norm": None}, dtype="float64")
    expected, _ = train_by_hand(model, text, epochs=2, N=3, T=7, lr=5.0, clip_norm=None)
    for name, value in parameters(model).items():
        assert_close(value, expected[name], 1e-12, name)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
    ],
)
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "RMSprop", "Adagrad", "SGD"])
def test_rates(optimizer, schedule, expected, monkeypatch):
    rates, step = [], getattr(optim, optimizer).step

    def record(self, grads):
        rates.append(self.lr)
        step(self, grads)

    monkeypatch.setattr(getattr(optim, optimizer), "step", record)
    fit = {"epochs": 2, "batch_size": 2, "sequence_length": 10, "learning_rate": 0.01, "verbose": 0}
    fitted(TEXT[:41], fit={**fit, "optimizer": optimizer.lower(), "schedule": schedule})
    assert_close(rates, 0.01 * np.array(expected), 1e-12)


def test_learning():
    model = fitted(validation=OTHER, fit={**QUICK, "epochs": 6, "learning_rate": 1e-2})
    loss, validation = model.history_["loss"], model.history_["validation_loss"]
    assert len(loss) == len(validation) == 6
    assert loss == sorted(loss, reverse=True)
    assert model.perplexity(OTHER) < 0.3 * V
    assert validation[-1] == -model.score(OTHER)
    assert model.fit(TEXT, **QUICK).history_["validation_loss"] == []


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_seed_gives_the_same_bits(kind):
    one, two = (fitted(**MODELS[kind]) for _ in range(2))
    assert_same_bits(parameters(one), parameters(two))
    assert one.history_ == two.history_
    assert one.sample(30) == two.sample(30)
    assert_same_bits(parameters(one.fit(TEXT, **QUICK)), parameters(two))
    other = fitted(**MODELS[kind], **{"random_state": 1})
    assert all(bits.tobytes() != parameters(one)[name].tobytes() for name, bits in parameters(other).items())


def test_no_seed_gives_other_values_each_time():
    one, two = (fitted(random_state=None) for _ in range(2))
    assert (one.recurrent_.parameters["weight_hh_l0"] != two.recurrent_.parameters["weight_hh_l0"]).any()


def log_likelihoods(model, text) -> list[float]:
    """log p of every character but the first, one step at a time."""
    state, found = None, []
    for here, following in pairwise(text):
        ids = encode(here, model.vocabulary_)
        h, state = model.recurrent_(ids[None] if model.embedding_ is None else model.embedding_(ids[None]), state)
        z = model.output_(h)[0, 0].astype("float64")
        found.append(z[encode(following, model.vocabulary_)[0]] - np.log(np.exp(z).sum()))
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_score_is_the_mean_log_likelihood(kind):
    model = fitted(**MODELS[kind])
    text = OTHER + "Ünknown £"
    expected = np.mean(log_likelihoods(model, text))
    assert_close(model.score(text), expected, 1e-6)
    assert_close(model.perplexity(text), np.exp(-expected), 1e-5)
    assert_close(model.bits_per_character(text), -expected / np.log(2), 1e-5)


@pytest.mark.parametrize("chunk", [1, 5, len(OTHER) - 2, len(OTHER) - 1, len(OTHER)])
def test_score_does_not_depend_on_how_the_text_is_cut(model, chunk, monkeypatch):
    whole = model.score(OTHER)
    monkeypatch.setattr(language, "CHUNK", chunk)
    assert_close(model.score(OTHER), whole, 1e-12)


def test_equal_odds_have_the_perplexity_of_the_vocabulary():
    model = fitted()
    model.output_.set_parameters(weight=np.zeros((V, 16)), bias=np.zeros(V))
    assert_close(model.perplexity(OTHER), V, 1e-6)
    assert_close(model.bits_per_character(OTHER), np.log2(V), 1e-6)


def test_a_hopeless_perplexity_is_infinite():
    model = fitted()
    model.output_.set_parameters(bias=np.where(np.arange(V) == V - 1, 1e4, 0))
    assert model.perplexity(OTHER) == math.inf


def test_vocabulary():
    assert vocabulary_of("cabbaa c") == ["a", "b", "c", " "]
    assert vocabulary_of("cabbaa c", 2) == ["a", "b"]
    everything = "\x00a\N{GREEK SMALL LETTER ALPHA}\N{PILE OF POO}\ud800"
    vocabulary = vocabulary_of(everything)
    assert [vocabulary[k] for k in encode(everything, vocabulary)] == list(everything)
    assert encode("?a\U0010ffff", ["b", "a"]).tolist() == [2, 1, 2]
    assert encode("", ["b", "a"]).tolist() == []


def test_unknown_characters():
    model = fitted(max_vocab=4)
    assert list(model.vocabulary_) == vocabulary_of(TEXT)[:4]
    assert model.recurrent_.input_size == model.output_.out_features == 5
    assert model.score("xy") == model.score("\N{GREEK SMALL LETTER ALPHA}!")
    assert model.sample(50, prompt="xyz?", random_state=0) == model.sample(50, prompt="!!!!", random_state=0)


def test_the_unknown_symbol_is_never_sampled():
    model = fitted(max_vocab=4)
    model.output_.set_parameters(bias=[0, 0, 0, 0, 100])
    for options in ({}, {"temperature": 0}, {"top_k": 1}, {"temperature": 1e-9}, {"temperature": 1e9, "top_k": 5}):
        assert set(model.sample(40, **options)) <= set(model.vocabulary_)


def likeliest(model, length, prompt) -> str:
    """What the model writes when it always takes the likeliest character, the whole text read anew for each."""
    written = ""
    for _ in range(length):
        h, _ = model.recurrent_(encode(prompt + written, model.vocabulary_)[None])
        written += model.vocabulary_[int(np.argmax(model.output_(h)[0, -1, :-1]))]
    return written


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1e-300}, {"temperature": 1e-5}, {"top_k": 1}])
def test_sampling_the_likeliest(model, options):
    for prompt in ("the dog", "c"):
        assert model.sample(40, prompt, **options) == likeliest(model, 40, prompt)
    assert model.sample(40, **options) == likeliest(model, 40, "\n")


def test_without_line_breaks_a_text_starts_after_the_most_frequent_character():
    model = fitted("abracadabra " * 20)
    assert model.sample(20, temperature=0) == model.sample(20, "a", temperature=0)


def test_a_prompt_is_read(model):
    assert model.sample(4, "the cat", temperature=0) == " sat"
    assert model.sample(4, "on the mat", temperature=0) == ".\nth"
    assert model.sample(0, "the") == ""


def test_sampling_is_reproducible():
    model = fitted()
    once = model.sample(60, random_state=5)
    assert len(once) == 60
    assert model.sample(60, random_state=5) == once
    assert model.sample(60, random_state=6) != once


def test_sampling_continues_from_the_models_own_state():
    model = fitted()
    twin = copy.deepcopy(model)
    first = model.sample(60)
    model.sample(10, random_state=3)  # has a state of its own
    second = model.sample(60)
    assert first != second
    assert [twin.sample(60), twin.sample(60)] == [first, second]


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 3), (1.0, 100)])
def test_draws_follow_the_odds(temperature, top_k):
    logits, rng, count = np.array([0.3, 2.0, -1.0, 1.2, 0.9], "float32"), np.random.default_rng(0), 20_000
    odds = np.exp(logits.astype("float64") / temperature)
    if top_k == 3:
        odds[[0, 2]] = 0
    drawn = [draw(logits, temperature, top_k, rng) for _ in range(count)]
    assert_close(np.bincount(drawn, minlength=5) / count, odds / odds.sum(), 0.015)


def test_tied_weights_are_one_parameter():
    model = fitted(tied=True)
    assert model.layers["embedding"].embedding_dim == model.hidden_size
    model = fitted(**MODELS["tied"])
    assert_same_bits(model.embedding_.parameters["weight"], model.output_.parameters["weight"])
    assert model.output_._parameters["weight"] is model.embedding_._parameters["weight"]


def test_layers():
    assert list(fitted().layers) == ["recurrent", "output"]
    assert list(fitted(embedding_size=3).layers) == ["embedding", "recurrent", "output"]
    assert type(fitted(cell="gru").layers["recurrent"]) is fastrnn.GRU


# scikit-learn's habits


def test_the_constructor_only_stores():
    marks = {name: object() for name in inspect.signature(LanguageModel).parameters}
    model = LanguageModel(**marks)
    assert model.get_params() == marks == vars(model)


def test_a_clone_as_scikit_learn_makes_it():
    model = fitted(cell="gru", dtype=np.float64)
    params = {name: copy.deepcopy(value) for name, value in model.get_params(deep=False).items()}
    clone = type(model)(**params)
    assert all(clone.get_params(deep=False)[name] is value for name, value in params.items())
    assert not hasattr(clone, "layers")
    assert_same_bits(parameters(clone.fit(TEXT, **QUICK)), parameters(model))


def test_set_params():
    model = LanguageModel()
    assert model.set_params(cell="gru", hidden_size=8) is model
    assert (model.cell, model.hidden_size) == ("gru", 8)
    with pytest.raises(ValueError, match="no parameter 'size'; it has level, cell, hidden_size"):
        model.set_params(cell="rnn", size=3)
    assert model.cell == "gru"
    assert repr(model) == "LanguageModel(cell='gru', hidden_size=8)"


@pytest.mark.parametrize("call", ["score", "perplexity", "bits_per_character", "sample", "layers"])
def test_not_fitted(call):
    with pytest.raises(ValueError, match="not fitted yet: call fit first"):
        getattr(LanguageModel(), call)(4 if call == "sample" else TEXT)


# bad input: (what is given, the error, words of its message)

BAD_PARAMS = [
    ({"level": "byte"}, ValueError, "level must be one of char, word, got 'byte'"),
    ({"init": "zeros"}, ValueError, "init must be .*, got 'zeros'"),
    ({"forget_bias": 1, "cell": "gru"}, ValueError, "forget_bias needs cell=.lstm. or .minlstm., got 'gru'"),
    ({"forget_bias": "1"}, TypeError, "forget_bias must be a number, got str"),
    ({"forget_bias": np.nan}, ValueError, "forget_bias must be a finite number, got nan"),
    ({"input_dropout": 0.5}, ValueError, "input_dropout needs embedding_size, got None"),
    ({"embedding_dropout": 0.5}, ValueError, "embedding_dropout needs embedding_size, got None"),
    ({"output_dropout": 1}, ValueError, "output_dropout must be a number from 0 to below 1, got 1"),
    ({"recurrent_dropout": 1}, ValueError, "recurrent_dropout must be a number from 0 to below 1, got 1"),
    ({"temporal_penalty": -1}, ValueError, "temporal_penalty must be a number from 0 upwards, got -1"),
    ({"cell": "mlp"}, ValueError, "cell must be one of lstm, gru, rnn, mingru, minlstm, got 'mlp'"),
    ({"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
    ({"hidden_size": 2.5}, TypeError, "hidden_size must be an integer, got float"),
    ({"num_layers": 0}, ValueError, "num_layers must be at least 1, got 0"),
    ({"embedding_size": 0}, ValueError, "embedding_size must be at least 1, got 0"),
    ({"tied": True, "embedding_size": 4}, ValueError, "tied=True needs .* got 4 and 16"),
    ({"dropout": 1, "num_layers": 2}, ValueError, "dropout must be a number from 0 to below 1, got 1"),
    ({"dropout": 0.5}, ValueError, "dropout acts between layers and needs num_layers of at least 2, got 1"),
    ({"max_vocab": 0}, ValueError, "max_vocab must be at least 1, got 0"),
    ({"dtype": "float16"}, ValueError, "dtype must be .*, got 'float16'"),
    ({"random_state": -1}, ValueError, "random_state must be at least 0, got -1"),
    ({"random_state": "x"}, TypeError, "random_state must be an integer, got str"),
]
BAD_FIT = [
    ({"text": b"bytes"}, TypeError, "text must be a string, a path or an iterable of strings, got bytes"),
    ({"text": [b"a", "b"]}, TypeError, "text must be an iterable of strings, got one of bytes"),
    ({"text": ["a", ""]}, ValueError, "text must have at least 2 characters, got 1"),
    ({"text": "a"}, ValueError, "text must have at least 2 characters, got 1"),
    ({"reduction": "sum"}, ValueError, "reduction must be one of mean, time_sum, got 'sum'"),
    ({"validation_batch_size": 0}, ValueError, "validation_batch_size must be at least 1, got 0"),
    (
        {"validation": TEXT[:9], "validation_batch_size": 9},
        ValueError,
        "validation must have at least 10 char.*, got 9",
    ),
    ({"text": ""}, ValueError, "text must have at least 2 characters, got 0"),
    ({"text": "abc"}, ValueError, "text must have more characters than batch_size=3, got 3"),
    ({"validation": 3}, TypeError, "validation must be a string, a path or an iterable of strings, got int"),
    ({"validation": "a"}, ValueError, "validation must have at least 2 characters, got 1"),
    ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
    ({"epochs": 1.0}, TypeError, "epochs must be an integer, got float"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    ({"sequence_length": 0}, ValueError, "sequence_length must be at least 1, got 0"),
    ({"optimizer": "lbfgs"}, ValueError, "optimizer must be one of adam, adamw, rmsprop, adagrad, sgd, got 'lbfgs'"),
    ({"learning_rate": 0}, ValueError, "learning_rate must be a number above 0, got 0"),
    ({"learning_rate": math.nan}, ValueError, "learning_rate must be a number above 0, got nan"),
    ({"learning_rate": "1"}, TypeError, "learning_rate must be a number, got str"),
    ({"schedule": "steep"}, ValueError, "schedule must be one of constant, linear, cosine, step, .* got 'steep'"),
    ({"clip_norm": 0}, ValueError, "clip_norm must be a number above 0, got 0"),
    ({"clip_norm": True}, TypeError, "clip_norm must be a number, got bool"),
    ({"verbose": 3}, ValueError, "verbose must be one of 0, 1, 2, got 3"),
]
BAD_SAMPLE = [
    ({"length": -1}, ValueError, "length must be at least 0, got -1"),
    ({"length": 2.0}, TypeError, "length must be an integer, got float"),
    ({"prompt": None}, TypeError, "prompt must be a string, got NoneType"),
    ({"temperature": -1}, ValueError, "temperature must be a number from 0 upwards, got -1"),
    ({"temperature": math.nan}, ValueError, "temperature must be a number from 0 upwards, got nan"),
    ({"temperature": "hot"}, TypeError, "temperature must be a number, got str"),
    ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
    ({"random_state": "x"}, TypeError, "random_state must be an integer, got str"),
    ({"top_p": 0}, ValueError, "top_p must be a number above 0, got 0"),
    ({"top_p": 1.5}, ValueError, "top_p must be a number above 0, to 1, got 1.5"),
    ({"stop": "the"}, ValueError, "stop must be one symbol of the vocabulary, got 'the'"),
    ({"stop": "Z"}, ValueError, "stop must be one symbol of the vocabulary, got 'Z'"),
    ({"stop": 3}, TypeError, "stop must be a string, got int"),
]


def unchanged_by(model, error, words, call):
    before, attributes = parameters(model), dict(vars(model))
    state = copy.deepcopy(model.random_state_.bit_generator.state)
    history = copy.deepcopy(model.history_)
    with pytest.raises(error, match=words):
        call()
    assert vars(model) == attributes
    assert_same_bits(parameters(model), before)
    assert (model.random_state_.bit_generator.state, model.history_) == (state, history)


@pytest.mark.parametrize(("given", "error", "words"), BAD_PARAMS)
def test_bad_params(given, error, words):
    model = fitted().set_params(**given)
    unchanged_by(model, error, words, lambda: model.fit(TEXT, **QUICK))
    with pytest.raises(error, match=words):
        (unfitted := LanguageModel(**{**SMALL, **given})).fit(TEXT, **QUICK)
    assert not hasattr(unfitted, "history_")


@pytest.mark.parametrize(("given", "error", "words"), BAD_FIT)
def test_bad_fit(given, error, words):
    model = fitted()
    unchanged_by(model, error, words, lambda: model.fit(**{"text": TEXT, **QUICK, **given}))


@pytest.mark.parametrize(("given", "error", "words"), BAD_SAMPLE)
def test_bad_sample(given, error, words):
    model = fitted()
    unchanged_by(model, error, words, lambda: model.sample(**{"length": 3, **given}))


@pytest.mark.parametrize("text", ["", "a", None, b"ab"])
def test_bad_score(model, text):
    unchanged_by(model, (TypeError, ValueError), "text must", lambda: model.score(text))


@pytest.mark.parametrize("clip_norm", [None, 1e38])
def test_a_diverged_training_stops(clip_norm):
    model = fitted()
    fit = {**QUICK, "optimizer": "sgd", "learning_rate": 1e300, "clip_norm": clip_norm}
    unchanged_by(
        model, FloatingPointError, r"is (nan|inf) in epoch \d, update \d of it: .* try a learning_rate below 1e\+300",
        lambda: model.fit(TEXT, **fit),
    )  # fmt: skip


def test_ctrl_c_keeps_what_was_learned(monkeypatch):
    model, step, updates = fitted(), optim.Adam.step, []

    def interrupted(self, grads):
        step(self, grads)
        updates.append(self)
        if len(updates) == 40:
            raise KeyboardInterrupt

    monkeypatch.setattr(optim.Adam, "step", interrupted)
    with pytest.warns(
        Interrupted, match="interrupted in epoch 2, after update 11 of it; the model keeps the weights after"
    ):
        model.fit(TEXT, OTHER, **QUICK)
    assert [len(losses) for losses in model.history_.values()] == [1, 1]
    assert model.score(OTHER) == -model.history_["validation_loss"][0]
    assert len(model.sample(5)) == 5


@pytest.mark.parametrize(("verbose", "shown"), [(0, False), (1, False), (2, True)])
def test_progress(verbose, shown, capsys):
    fitted(fit={**QUICK, "verbose": verbose})
    written = capsys.readouterr()
    assert written.out == ""
    assert shown or written.err == ""
    if shown:
        last = written.err.split("\r")[-1].rstrip()
        assert re.fullmatch(r"epoch 2/2 100% \|.+\| [\d.]+k?char/s, 00:00 left, loss \d\.\d+, \d\.\d+ bits/char", last)


@pytest.mark.skipif(os.name != "posix", reason="pseudoterminals are POSIX's")
def test_progress_on_a_terminal():
    """One that does not say its size, as in a container; the figures fit into 80 columns."""
    import pty

    code = f"from fastrnn.models import LanguageModel; LanguageModel(**{SMALL}).fit({TEXT!r}, epochs=1)"
    main, terminal = pty.openpty()
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], stderr=terminal, check=False, timeout=300)
    shown = os.read(main, 100_000).decode()
    os.close(main)
    os.close(terminal)
    assert done.returncode == 0, shown
    assert all(word in shown for word in ("epoch 1/1 100%", "char/s", "left", "bits/char"))
    assert max(map(len, re.split("[\r\n]+", shown))) <= 80


# the trigram model


def brute_force(model, text, context) -> list[float]:
    """p(c | context) of every character in the vocabulary and of one that is not, by counting in the text itself."""
    weights, odds = model.weights_, []
    for c in [*model.vocabulary_, "\uffff"]:
        frequencies = [1 / (len(model.vocabulary_) + 1), text.count(c) / len(text)]
        for order in (1, 2):
            before = context[-order:] if len(context) >= order else None
            starts = [k for k in range(len(text) - order) if text[k : k + order] == before]
            follows = sum(text[k + order] == c for k in starts)
            frequencies.append(follows / len(starts) if starts else frequencies[-1])
        odds.append(float(np.dot(weights[::-1], frequencies)))
    return odds


def test_trigram_odds_are_those_of_the_formula():
    text = "abracadabra, cabba! " * 3
    model = TrigramModel().fit(text)
    assert_close(model.weights_.sum(), 1, 1e-12)
    assert (model.weights_ >= 0).all()
    symbols = [*model.vocabulary_, "\uffff"]
    for context in ["", *symbols, *map("".join, product(symbols, repeat=2))]:
        if context:
            assert_close(sum(brute_force(model, text, context)), 1, 1e-12, context)
    for new in ("abba", "ab", "zz!", "a\uffffbr", text):
        expected = [brute_force(model, text, new[max(0, k - 2) : k])[symbols.index(c) if c in symbols else -1]
                    for k, c in enumerate(new) if k]  # fmt: skip
        assert_close(model.bits_per_character(new), -np.mean(np.log2(expected)), 1e-9, new)


def test_mixture_weights_are_the_likeliest():
    rng = np.random.default_rng(0)
    components = rng.random((300, 3)) ** 3
    components[:, 2] = 0.2
    weights = mixture_weights(components)
    best = np.log(components @ weights).mean()
    for direction in ([1, -1, 0], [1, 0, -1], [0, 1, -1]):
        for step in (1e-2, -1e-2):
            moved = weights + step * np.array(direction)
            assert (moved < 0).any() or np.log(components @ moved).mean() < best


def test_trigrams_learn_from_the_end_of_the_text():
    """The last tenth, where the others' counts fail, decides the weights."""
    regular = TrigramModel().fit("abcd" * 100)
    surprising = TrigramModel().fit("abcd" * 90 + "dcab" * 10)
    assert regular.weights_[:2].sum() > 0.9 > surprising.weights_[:2].sum()


@pytest.mark.parametrize(("text", "error"), [("too short", ValueError), (None, TypeError)])
def test_bad_trigrams(text, error):
    with pytest.raises(error, match="text must"):
        TrigramModel().fit(text)
