"""Model streams: one step at a time, what the model says of the whole text."""

import copy
import pickle
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, normal

import fastrnn
from fastrnn.models import LanguageModel
from fastrnn.models._stream import ModelStream

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 6
OTHER = "the dog sat on the cat~.\n"  # one character that was never read
KINDS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn-float64": {"cell": "rnn", "dtype": "float64"},
    "embedding": {"embedding_size": 5},
    "tied": {"embedding_size": 17, "tied": True},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def fitted(kind: str) -> LanguageModel:
    params = {"hidden_size": 17, "num_layers": 2, "random_state": 0, **KINDS[kind]}
    return LanguageModel(**params).fit(TEXT, epochs=1, batch_size=4, sequence_length=16, verbose=0)


def place(model, character: str) -> int:
    return model.vocabulary_.index(character) if character in model.vocabulary_ else len(model.vocabulary_)


@every_kind
def test_steps_add_up_to_the_score(kind):
    model = fitted(kind)
    stream, total = model.stream(), 0.0
    for character, following in pairwise(OTHER):
        y = stream.step(character)
        assert y.shape == (len(model.vocabulary_) + 1,) and y.dtype == model.dtype
        assert_close(np.exp(y.astype("float64")).sum(), 1.0, 1e-5)
        total += y[place(model, following)]
    assert_close(total / (len(OTHER) - 1), model.score(OTHER), 1e-6)


@every_kind
def test_equals_the_layers(kind):
    """The odds are the softmax of the logits that the model's layers give, computed in double precision."""
    model, rows = fitted(kind), ["the cat", "sat on~"]
    ids = np.array([[place(model, character) for character in row] for row in rows])
    x = ids if model.embedding_ is None else model.embedding_(ids)
    logits = model.output_(model.recurrent_(x)[0]).astype("float64")
    expected = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    stream = model.stream(2)
    for t in range(7):
        y = stream.step([row[t] for row in rows]) if t % 2 else stream.step(ids[:, t])
        assert_close(y, expected[:, t], 1e-12 if model.dtype == "float64" else 1e-6)
    assert_same_bits(stream.state, model.recurrent_(x)[1])


@every_kind
def test_state_and_resets(kind):
    model = fitted(kind)
    stream = model.stream(3)
    first = stream.step(list("the"))
    state = stream.state
    second = stream.step(list("hec"))
    stream.state = state
    assert_same_bits(stream.step(list("hec")), second)
    assert_same_bits(stream.step(list("the"), resets=[True] * 3), first)
    stream.step(list("hec"))
    stream.reset([True, False, True])
    assert_same_bits(stream.step(list("the"))[::2].copy(), first[::2].copy())
    stream.reset()
    assert_same_bits(stream.step(list("the")), first)


@every_kind
def test_follows_the_parameters(kind):
    model, other = fitted(kind), fitted(kind)
    stream = model.stream()
    stream.step("t")
    for name, layer in model.layers.items():
        changed = {key: 0.5 * value for key, value in layer.state_dict().items()}
        layer.load_state_dict(changed)
        if not (name == "output" and model.tied):
            other.layers[name].load_state_dict(changed)
    other.layers["output"].load_state_dict(model.layers["output"].state_dict())
    stream.reset()
    assert_same_bits(stream.step("t"), other.stream().step("t"))


def test_forms_of_a_single_row():
    model = fitted("lstm")
    t = place(model, "t")
    y = model.stream().step("t")
    for x in (t, np.int32(t)):
        assert_same_bits(model.stream().step(x), y)
    for x in (["t"], [t], np.array([t])):
        assert_same_bits(model.stream().step(x), y[None])


def test_a_model_of_numbers():
    """Layers without an embedding, and a regressor's head."""
    layers = {"recurrent": fastrnn.GRU(3, 9, 2, seed=0), "output": fastrnn.Dense(9, 2, seed=0)}
    stream, x = ModelStream(layers, 4, log_odds=False), normal("x", 4, 5, 3)
    got = np.stack([stream.step(x[:, t]) for t in range(5)], axis=1)
    assert_same_bits(got, layers["output"](layers["recurrent"](x)[0]))
    with pytest.raises(TypeError, match="reads no text"):
        stream.step(list("text"))


def test_banned_classes_and_large_logits():
    """A bias of -inf bans a class; logits far from 0 lose nothing."""
    layers = {"recurrent": fastrnn.RNN(3, 4, seed=0), "output": fastrnn.Dense(4, 20, seed=0, dtype="float32")}
    bias = np.full(20, 1e4, "float32")
    bias[[0, 7]] = -np.inf
    layers["output"].set_parameters(weight=np.zeros((20, 4)), bias=bias)
    y = ModelStream(layers).step(normal("x", 3))
    assert np.isneginf(y[[0, 7]]).all()
    assert_close(np.delete(y, [0, 7]), np.full(18, -np.log(18)), 1e-6)


def test_out_and_no_other_allocation():
    V, E, H, N = 50, 64, 32, 200
    layers = {"embedding": fastrnn.Embedding(V, E), "recurrent": fastrnn.LSTM(E, H), "output": fastrnn.Dense(H, V)}
    stream, ids, out = ModelStream(layers, N), np.arange(N) % V, np.empty((N, V), "float32")
    expected = stream.step(ids)
    stream.reset()
    assert stream.step(ids, out=out) is out
    assert_same_bits(out, expected)
    tracemalloc.start()
    try:
        for _ in range(10):
            stream.step(ids, out=out)
        assert tracemalloc.get_traced_memory()[1] < 4 * N * H  # the h of all rows; their embeddings would be twice that
    finally:
        tracemalloc.stop()


def test_copies_go_their_own_ways():
    model = fitted("tied")
    stream = model.stream()
    stream.step("t")
    copies = copy.copy(stream), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))
    expected = stream.step("h")
    for other in copies:
        assert_same_bits(other.step("h"), expected)


def test_bad_calls_move_nothing():
    model = fitted("embedding")
    stream, V = model.stream(2), len(model.vocabulary_) + 1
    stream.step(["t", "h"])
    before = stream.state
    calls = [
        (ValueError, "x must be a single character for each row, got 'th'", lambda: stream.step(["th", "e"])),
        (ValueError, r"x must have the shape \(2,\)", lambda: stream.step("t")),
        (ValueError, r"x must have the shape \(2,\)", lambda: stream.step([1, 2, 3])),
        (ValueError, f"ids from 0 to {V - 1}", lambda: stream.step([0, V])),
        (TypeError, "x must be integer ids", lambda: stream.step(np.zeros((2, V)))),
        (TypeError, "x must be floating numbers or integer ids", lambda: stream.step([True, False])),
        (ValueError, "out must have the shape", lambda: stream.step([0, 1], out=np.empty((2, V + 1), "float32"))),
        (TypeError, "out must have dtype", lambda: stream.step([0, 1], out=np.empty((2, V)))),
        (ValueError, "out must be contiguous", lambda: stream.step([0, 1], out=np.empty((V, 2), "float32").T)),
        (ValueError, "resets must have the shape", lambda: stream.step([0, 1], resets=[True])),
        (ValueError, "batch_size must be at least 1", lambda: model.stream(0)),
        (ValueError, "not fitted yet", lambda: LanguageModel().stream()),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
        assert_same_bits(stream.state, before)
