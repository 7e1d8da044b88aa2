"""The encoder-decoder: gradients, decoding against a search through all strings, and what it takes and gives."""

import itertools

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, normal, slope

import fastrnn
from fastrnn.models import EncoderDecoder
from fastrnn.models._beam import beam_search

X = ["abc", "b", "caab", "", "bcb", "ac"]
Y = ["xyx", "", "zz", "y", "xz", "zyxxy"]
QUICK = {"epochs": 2, "batch_size": 4, "verbose": 0}
MODELS = {
    "lstm": {},
    "mingru": {"cell": "mingru", "num_layers": 2},
    "gru stack": {"cell": "gru", "num_layers": 2, "dropout": 0.3},
    "rnn one way": {"cell": "rnn", "bidirectional": False},
    "embedding": {"embedding_size": 3, "num_layers": 2, "dropout": 0.3},
}
every_model = pytest.mark.parametrize("kind", MODELS)


def fitted(kind="lstm", X=X, Y=Y, fit=QUICK, **params) -> EncoderDecoder:
    return EncoderDecoder(**{"hidden_size": 5, "random_state": 0, **MODELS[kind], **params}).fit(X, Y, **fit)


def parameters(model) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


def test_parameters_that_are_set_wait_for_the_next_fit():
    model = fitted()
    expected = model.predict(X)
    model.set_params(hidden_size=7, num_layers=2, bidirectional=False, dtype="float64")
    assert model.predict(X) == expected


@every_model
def test_gradients(kind):
    """Of every parameter against differences of the loss, dropout masks held fixed."""
    model = fitted(kind, dtype="float64")
    examples, rows = model._examples(model._given(X, None), Y), np.arange(6)
    state = model.random_state_.bit_generator.state
    counts = model.encoder_.forward_count, model.decoder_.forward_count

    def update():
        model.random_state_.bit_generator.state = state
        model.encoder_.forward_count, model.decoder_.forward_count = counts
        return model._gradients(examples, rows)

    grads = update().gradients
    for name, layer in model.layers.items():
        assert set(grads[name]) == set(layer.parameters)
        for key, value in layer.state_dict().items():
            direction = normal(f"{name}{key}", *value.shape, dtype="float64")
            moved = value.copy()

            def loss(layer=layer, key=key, moved=moved):
                layer.set_parameters(**{key: moved})
                return update().loss

            expected = slope(loss, moved, direction)
            layer.set_parameters(**{key: value})
            assert_close((grads[name][key] * direction).sum(), expected, 1e-7, f"{name}.{key}")


def odds_of(model, source: str, target: str, stopped: bool = True) -> float:
    """Log p of a whole answer, or of its beginning, by single calls of the layers."""
    layers, vocabulary = model.layers, model.target_vocabulary_

    def read(side, text):
        ids = np.array([text]) if side == "target" else np.array([[model.vocabulary_.index(c) for c in text]], int)
        return layers[f"{side}_embedding"](ids) if f"{side}_embedding" in layers else ids

    L, H = model.num_layers, model.hidden_size
    final = model.encoder_(read("source", source))[1]
    parts = final if isinstance(final, tuple) else (final,)
    ends = [part[-2:] if model.bidirectional else part[-1:] for part in parts]
    z = model.bridge_(np.concatenate([part[:, 0].ravel() for part in ends])[None])[0]
    state = [z[k * L * H : (k + 1) * L * H].reshape(L, 1, H) for k in range(len(ends))]
    state[0] = np.tanh(state[0])
    stop = len(vocabulary) + 1
    ids = [vocabulary.index(c) for c in target]
    h, _ = model.decoder_(read("target", [stop, *ids]), tuple(state) if len(state) == 2 else state[0])
    logits = model.output_(h[0]).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    each = log_p[np.arange(len(ids) + 1), [*ids, stop]]
    return float(each.sum() if stopped else each[:-1].sum())


@every_model
def test_loss(kind):
    model = fitted(kind, dtype="float64", dropout=0.0)
    examples, rows = model._examples(model._given(X, None), Y), np.arange(6)
    steps = sum(map(len, Y)) + 6
    expected = -sum(odds_of(model, x, y) for x, y in zip(X, Y, strict=True)) / steps
    assert_close(model._gradients(examples, rows).loss, expected, 1e-12)
    assert_close(model._loss(examples), expected, 1e-12)
    assert model._evaluate(examples, rows)[1] == model._count(examples) == steps


@every_model
def test_stream(kind):
    """From the sources on, each step gives the odds of all symbols after those before it, read as symbols or as ids."""
    model = fitted(kind)
    sources, targets = X[2:4], ["zyx", "xxz"]
    ids = [[model.target_vocabulary_.index(c) for c in column] for column in zip(*targets, strict=True)]
    stop, stream, total = [model.stop_] * 2, model.stream(sources), np.zeros(2)
    for read, following in zip([stop, ids[0], ["y", "x"], ids[2]], [*ids, stop], strict=True):
        odds = stream.step(read)
        assert_close(np.exp(odds.astype("float64")).sum(axis=1), [1, 1], 1e-5)
        total += odds[[0, 1], following]
    assert_close(total, [odds_of(model, x, y) for x, y in zip(sources, targets, strict=True)], 1e-5)


def test_stream_writes_what_is_predicted():
    """A decoder of ids, and padded sources."""
    rng = np.random.default_rng(0)
    ids, lengths = rng.integers(0, 4, (12, 5)), rng.integers(1, 6, 12)
    answers = [row[:n][::-1] for row, n in zip(ids, lengths, strict=True)]
    fit = {**QUICK, "epochs": 40, "learning_rate": 0.02, "lengths": lengths}
    model = fitted(X=ids, Y=answers, fit=fit, hidden_size=8)
    stream, read, written = model.stream(ids, lengths), np.full(12, model.stop_), []
    for _ in range(6):
        read = stream.step(read).argmax(axis=1)
        written.append(read)
    for row, answer in zip(np.stack(written, axis=1).tolist(), model.predict(ids, lengths, max_length=6), strict=True):
        assert [*row, model.stop_][: len(answer) + 1] == [*answer, model.stop_]
    with pytest.raises(ValueError, match="X must hold at least one source, got none"):
        model.stream([])
    with pytest.raises(ValueError, match="not fitted yet"):
        EncoderDecoder().stream(ids)


@every_model
def test_greedy_decoding(kind):
    """Takes the likeliest symbol each time, at most so many."""
    model = fitted(kind, fit={**QUICK, "epochs": 30, "learning_rate": 0.02})
    for longest in (0, 3, 6):
        for x, answer in zip(X, model.predict(X, max_length=longest), strict=True):
            written = ""
            while len(written) < longest:
                following = {c: odds_of(model, x, written + c, stopped=False) for c in model.target_vocabulary_}
                best = max(following, key=following.get)
                if odds_of(model, x, written) > following[best]:
                    break
                written += best
            assert answer == written, (x, longest)
    assert model.predict(X) == model.predict(X, max_length=2 * max(map(len, Y)))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_strings(power):
    model = fitted("gru stack", fit={**QUICK, "epochs": 10, "learning_rate": 0.02})
    strings = ["".join(s) for T in range(4) for s in itertools.product(model.target_vocabulary_, repeat=T)]
    answers = model.predict(X, beam_width=64, length_normalization=power, max_length=3)
    for x, answer in zip(X, answers, strict=True):
        scores = {s: odds_of(model, x, s) / (len(s) + 1) ** power for s in strings}
        assert scores[answer] >= max(scores.values()) - 1e-5, (x, answer, max(scores, key=scores.get))


def search(model, source: str, B: int, power: float, longest: int) -> str:
    """Beam search over strings, each scored anew from its beginning."""
    kept = [("", False)]

    def score(written: str, ended: bool) -> float:
        return odds_of(model, source, written, stopped=ended) / (len(written) + ended) ** power

    for step in range(longest + 1):
        following = [pair for pair in kept if pair[1]]
        for written, ended in kept:
            if not ended:
                letters = model.target_vocabulary_ if step < longest else []
                following += [(written + letter, False) for letter in letters] + [(written, True)]
        kept = sorted(following, key=lambda pair: -score(*pair))[:B]
    return kept[0][0]


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("width", [2, 3])
def test_a_narrow_beam(width, power):
    model = fitted("lstm", dtype="float64", fit={**QUICK, "epochs": 25, "learning_rate": 0.03})
    answers = model.predict(X, beam_width=width, length_normalization=power, max_length=5)
    assert answers == [search(model, x, width, power, 5) for x in X]


def test_beams_of_a_table():
    """A first symbol that looks good leads nowhere: a beam of two finds what the greedy search misses."""
    # Ids: 0, 1, and 2 for the stop symbol. After 0 all is alike; after 1 comes the stop symbol.
    odds = {None: [0.6, 0.4, 1e-9], 0: [0.34, 0.33, 0.33], 1: [1e-9, 1e-9, 1.0]}

    def step(ids, parents):
        return np.log(np.array([odds[None if k == 2 else int(k)] for k in ids]))

    assert [row.tolist() for row in beam_search(step, 2, 1, 2, 3, 0.0)] == [[0, 0, 0]] * 2
    assert [row.tolist() for row in beam_search(step, 2, 2, 2, 3, 0.0)] == [[1]] * 2
    assert beam_search(step, 1, 2, 2, 3, 0.0, forbidden=1)[0][0] == 0


@every_model
def test_each_source_is_answered_as_if_alone(kind):
    model = fitted(kind, fit={**QUICK, "epochs": 20, "learning_rate": 0.02})
    for width in (1, 3):
        answers = model.predict(X, beam_width=width)
        assert answers == [model.predict([x], beam_width=width)[0] for x in X]
        assert model.score(X, Y, beam_width=width) == np.mean([a == b for a, b in zip(answers, Y, strict=True)])


def test_what_it_takes_and_gives():
    """Strings for strings, lists of words for lists of words, ids for ids; padded sources as well."""
    fit = {**QUICK, "epochs": 60, "learning_rate": 0.03, "batch_size": 6}
    model = fitted(fit=fit)
    assert model.predict(X) == Y and model.score(X, Y) == 1.0
    words = fitted(X=[list(x) for x in X], Y=[list(y) for y in Y], fit=fit)
    assert words.predict(X) == [list(y) for y in Y]
    assert_same_bits(parameters(words), parameters(model))
    places = [
        [np.array([vocabulary.index(c) for c in row], int) for row in rows]
        for rows, vocabulary in ((X, model.vocabulary_), (Y, model.target_vocabulary_))
    ]
    ids = fitted(X=places[0], Y=places[1], fit=fit)
    assert ids.vocabulary_ is None and ids.output_.out_features == 4
    assert [row.tolist() for row in ids.predict(places[0])] == [row.tolist() for row in places[1]]
    array, lengths = np.full((6, 9), 77), np.array(list(map(len, X)))
    for n, row in enumerate(places[0]):
        array[n, : len(row)] = row
    padded = EncoderDecoder(hidden_size=5, random_state=0).fit(array, places[1], lengths=lengths, **fit)
    assert_same_bits(parameters(padded), parameters(ids))
    assert [row.tolist() for row in padded.predict(array, lengths)] == [row.tolist() for row in places[1]]


def test_unknown_symbols_are_read_and_never_written():
    model = fitted(max_vocab=1, fit={**QUICK, "epochs": 40})
    assert (model.vocabulary_, model.target_vocabulary_) == (["b"], ["x"])
    assert set("".join(model.predict([*X, "?"], max_length=4))) <= {"x"}
    assert np.isfinite(model._loss(model._examples(model._given(["?"], None), ["?"])))


@every_model
def test_files(kind, tmp_path):
    model = fitted(kind)
    fastrnn.save(model, tmp_path / "model")
    twin = fastrnn.load(tmp_path / "model")
    assert twin.predict(X, beam_width=2) == model.predict(X, beam_width=2)
    for one in (model, twin):
        one.partial_fit(X, Y)
    assert_same_bits(parameters(twin), parameters(model))
    assert twin.history_ == model.history_ and twin.get_params() == model.get_params()


ERRORS = [
    (lambda m: m.fit(X), TypeError, "y must hold a sequence for each of X, got None"),
    (lambda m: m.fit(X, Y[:2]), ValueError, "y must hold 6 sequences, one for each of X, got 2"),
    (lambda m: m.fit(X, [np.ones(2)] * 6), TypeError, "y must hold ids or symbols, got real numbers"),
    (lambda m: m.fit([np.ones(2)] * 6, Y), TypeError, "X must hold ids or symbols, got real numbers"),
    (lambda m: m.fit(X, Y).predict(X, beam_width=0), ValueError, "beam_width must be at least 1"),
    (lambda m: m.fit(X, Y).predict(X, length_normalization=-1), ValueError, "length_normalization must be a number"),
    (lambda m: m.fit(X, Y).predict(X, max_length=-1), ValueError, "max_length must be at least 0"),
    (lambda m: m.fit(X, Y).predict([np.array([1])]), TypeError, "X must hold symbols, as in training, got ids"),
    (lambda m: m.fit(X, Y).partial_fit(X, [np.array([1])] * 6), TypeError, "y must hold symbols, as in training"),
    (lambda m: m.fit(X, Y).score(X, Y[:1]), ValueError, "y must hold 6 sequences, got 1"),
    (lambda m: m.fit(X, Y, sequence_length=3), ValueError, "sequence_length must be None for EncoderDecoder"),
    (lambda m: m.predict(X), ValueError, "not fitted yet"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, error, message):
    model = EncoderDecoder(hidden_size=3, random_state=0)
    fit = model.fit
    model.fit = lambda X, y=None, **options: fit(X, y, **{**QUICK, "epochs": 1, **options})
    with pytest.raises(error, match=message):
        call(model)


def test_learning():
    """Strings of up to five letters backwards, of which most were never seen."""
    rng = np.random.default_rng(0)
    sources = ["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(400)]
    targets = [s[::-1] for s in sources]
    model = EncoderDecoder("gru", hidden_size=32, random_state=0)
    model.fit(sources[:300], targets[:300], epochs=40, learning_rate=0.01, verbose=0)
    assert model.score(sources[300:], targets[300:]) > 0.95
