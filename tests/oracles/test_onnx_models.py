"""Models written as ONNX graphs: onnxruntime and from_onnx give the numbers of `predict` and `predict_proba`."""

import numpy as np
import pytest
from helpers import assert_close, oracle
from onnx_node import run_model

from fastrnn import interop
from fastrnn.models import EncoderDecoder, LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger

oracle("onnx")

TOLERANCE = 4e-6  # both sides compute in float32
rng = np.random.default_rng(0)
LENGTHS = [*rng.integers(1, 9, 12), 1, 8]
FEATURES = [rng.normal(300, [3, 0.1], (T, 2)) for T in LENGTHS]
IDS = [rng.integers(0, 7, T) for T in LENGTHS]
SYMBOLS = ["".join(rng.choice(list("abcd"), T)) for T in LENGTHS]
LABELS = [str(label) for label in rng.integers(0, 3, len(LENGTHS))]
TAGS = [rng.integers(0, 3, T) for T in LENGTHS]
NUMBERS = rng.normal(-50, 7, (len(LENGTHS), 2))
SERIES = [rng.normal(-50, 7, T) for T in LENGTHS]

EMBEDDED = {"embedding_size": 4, "num_layers": 2, "bidirectional": True}
CASES = {
    "classifier-last": (SequenceClassifier("lstm", 5, 2, bidirectional=True), FEATURES, LABELS),
    "classifier-last-plain": (SequenceClassifier("gru", 5, 2, standardize=False), FEATURES, LABELS),
    "classifier-mean": (SequenceClassifier("gru", 5, pooling="mean", **EMBEDDED), IDS, LABELS),
    "classifier-max": (SequenceClassifier("rnn", 5, pooling="max", bidirectional=True), SYMBOLS, LABELS),
    "tagger": (SequenceTagger("lstm", 5, **EMBEDDED), IDS, TAGS),
    "tagger-forward": (SequenceTagger("gru", 5, bidirectional=False), FEATURES, TAGS),
    "regressor-last": (SequenceRegressor("lstm", 5, bidirectional=True), FEATURES, NUMBERS),
    "regressor-mean": (SequenceRegressor("rnn", 5, pooling="mean", standardize=False), IDS, NUMBERS[:, 0]),
    "regressor-max": (SequenceRegressor("gru", 5, 2, pooling="max"), FEATURES, NUMBERS[:, 0]),
    "regressor-steps": (SequenceRegressor("lstm", 5, 2, pooling=None), FEATURES, SERIES),
}


def fitted(name, dtype="float32"):
    model, X, y = CASES[name]
    model = type(model)(**{**model.get_params(), "dtype": dtype, "random_state": 0})
    return model.fit(X, y, epochs=2, learning_rate=0.05, verbose=0), X


def padded(model, X, beyond=0):
    """X as the graph reads it, and the lengths; `beyond` is what stands after the end of a row."""
    lengths = np.array([len(row) for row in X])
    ids = model.coder_.kind != "features"
    x = np.full((len(X), max(lengths), *(() if ids else (model.coder_.size,))), beyond, "int64" if ids else model.dtype)
    for n, row in enumerate(X):
        symbols = [model.vocabulary_.index(one) for one in row] if isinstance(row, str) else row
        x[n, : len(row)] = np.reshape(symbols, (len(row), *x.shape[2:]))
    return x, lengths


def expected(model, X):
    return model.predict(X) if isinstance(model, SequenceRegressor) else model.predict_proba(X)


def as_results(model, y):
    """What `y` of a graph means."""
    if isinstance(model, SequenceRegressor):
        return y
    odds = np.exp(y - y.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def runs(path):
    """The two ways to run a file."""
    return (lambda inputs: run_model(path.read_bytes(), inputs)), interop.from_onnx(path).run


@pytest.mark.parametrize("name", CASES)
def test_ragged(name, tmp_path):
    """By an input of lengths; what stands after a row's end is not read, and a row may be empty."""
    model, X = fitted(name)
    X = [*X[::-1], X[0][:0]]
    x, lengths = padded(model, X, 0 if model.coder_.kind != "features" else np.nan)
    interop.to_onnx(model, tmp_path / "model.onnx", lengths=True)
    right = expected(model, X)
    for run in runs(tmp_path / "model.onnx"):
        got = as_results(model, run({"x": x, "lengths": lengths})["y"])
        assert got.dtype == "float32"
        for row, values, length in zip(got, right, lengths, strict=True):
            assert_close(row[:length] if isinstance(right, list) else row, values, TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_whole(name, tmp_path):
    """Without lengths, at several sizes."""
    model, X = fitted(name)
    interop.to_onnx(model, tmp_path / "model.onnx")
    for rows in ([X[-1], X[-1]], [X[-2]]):
        x, _ = padded(model, rows)
        for run in runs(tmp_path / "model.onnx"):
            assert_close(as_results(model, run({"x": x})["y"]), np.stack(expected(model, rows)), TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_float64(name, tmp_path):
    """For which onnxruntime has no recurrent nodes."""
    model, X = fitted(name, "float64")
    interop.to_onnx(model, tmp_path / "model.onnx", lengths=True)
    x, lengths = padded(model, X)
    got = as_results(model, interop.from_onnx(tmp_path / "model.onnx").run({"x": x, "lengths": lengths})["y"])
    right = expected(model, X)
    for row, values, length in zip(got, right, lengths, strict=True):
        assert_close(row[:length] if isinstance(right, list) else row, values, 1e-12)


def test_step_by_step(tmp_path):
    """With a state going in and out, what `stream` gives."""
    model, X = fitted("regressor-steps")
    interop.to_onnx(model, tmp_path / "model.onnx", state=True)
    x, _ = padded(model, [X[-1]])
    for run in runs(tmp_path / "model.onnx"):
        live, state = model.stream(), {name: np.zeros((2, 1, 5), "float32") for name in ("h0", "c0")}
        for t in range(x.shape[1]):
            got = run({"x": x[:, t : t + 1], **state})
            state = {"h0": got["h"], "c0": got["c"]}
            assert_close(got["y"][:, 0], live.step(x[:, t]), TOLERANCE)


@pytest.mark.parametrize("embedding", [None, 6])
def test_language_model(embedding, tmp_path):
    """The logits of ids, with the state going in and out, so that a text can be written step by step."""
    model = LanguageModel(cell="gru", hidden_size=8, embedding_size=embedding, random_state=0)
    model.fit("the cat sat on the mat. " * 4, epochs=1, batch_size=2, verbose=0)
    path = tmp_path / "model.onnx"
    interop.to_onnx(model, path, state=True)
    ids = np.random.default_rng(0).integers(0, len(model.vocabulary_), (2, 5))
    h = ids if model.embedding_ is None else model.embedding_(ids)
    logits = model.output_(model.recurrent_(h)[0])
    state = np.zeros((2, 2, 8), "float32")
    for run in runs(path):
        first = run({"x": ids[:, :3], "h0": state})
        second = run({"x": ids[:, 3:], "h0": first["h"]})
        assert_close(np.concatenate([first["y"], second["y"]], axis=1), logits, TOLERANCE)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("kind", ["vectors", "classes"])
def test_language_model_with_contexts(kind, cell, tmp_path):
    """A graph that starts from the context, and one that goes on, write what `generate` writes."""
    words = ["one", "two", "three", "four"]
    context = np.eye(4, 3, dtype="float32") if kind == "vectors" else np.array(["d", "a", "c", "b"])
    model = LanguageModel(cell=cell, hidden_size=16, num_layers=2, tied=True, random_state=0)
    model.fit(words, context=context, epochs=60, batch_size=4, learning_rate=1e-2, verbose=0)
    start, go_on = tmp_path / "start.onnx", tmp_path / "go_on.onnx"
    interop.to_onnx(model, start)
    interop.to_onnx(model, go_on, state=True)
    texts = model.generate(8, temperature=0, context=context)
    assert len(set(texts)) == 4
    given = context if kind == "vectors" else np.array([3, 0, 2, 1])
    ids = np.array([model.vocabulary_.encode(f"\n{text}\n") for text in words[:2]], np.int64)
    logits = model.output_(model._read(ids, model._initial_state(model._rows(context[:2], 2)).state)[0])
    for first, then in zip(runs(start), runs(go_on), strict=True):
        assert_close(first({"x": ids, "context": given[:2]})["y"], logits, TOLERANCE)
        got = first({"x": np.full((4, 1), model.vocabulary_.encode("\n")[0], np.int64), "context": given})
        written = []
        for _ in range(8):
            written.append(got["y"][:, -1, :-1].argmax(-1))  # never the last, which stands for unknown symbols
            state = {f"{name}0": got[name] for name in ("h", "c") if name in got}
            got = then({"x": written[-1][:, None], **state})
        assert [model.vocabulary_.decode(row).split("\n")[0] for row in np.transpose(written)] == texts


@pytest.mark.parametrize("options", [
    {"cell": "lstm", "num_layers": 2}, {"cell": "gru", "embedding_size": 5, "bidirectional": False, "num_layers": 2},
    {"cell": "rnn", "embedding_size": 5},
], ids=str)  # fmt: skip
def test_encoder_decoder(options, tmp_path):
    """Two graphs, and what is likeliest at each step is what `predict` answers."""
    X = ["ab", "ba", "aab", "abb", "bba", "b"] * 4
    model = EncoderDecoder(hidden_size=16, random_state=0, **options)
    model.fit(X, [x[::-1] for x in X], epochs=25, learning_rate=2e-2, verbose=0)
    paths = tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"
    interop.to_onnx(model, paths, lengths=True)
    x, lengths = padded(model, X[:6])
    answers = model.predict(X[:6])
    assert len(set(answers)) > 2
    stop, unknown = len(model.target_vocabulary_) + 1, len(model.target_vocabulary_)
    for encode, decode in zip(*map(runs, paths), strict=True):
        state = encode({"x": x, "lengths": lengths})
        assert list(state) == (["h0", "c0"] if options["cell"] == "lstm" else ["h0"])
        ids, written = np.full((6, 1), stop), []
        for _ in range(7):
            got = decode({"x": ids, **state})
            state = {f"{name}0": got[name] for name in ("h", "c") if name in got}
            logits = np.where(np.arange(stop + 1) == unknown, -np.inf, got["y"][:, -1])
            ids = logits.argmax(-1)[:, None]
            written.append([[*model.target_vocabulary_, "?", "."][k] for k in ids[:, 0]])
        assert ["".join(symbols).split(".")[0] for symbols in zip(*written, strict=True)] == answers


def test_numbers_of_encoder_and_decoder(tmp_path):
    """The logits after an answer's symbols, whose mean loss is that which `fit` reports."""
    X, y = ["ab", "ba", "aab"], ["x", "yx", ""]
    model = EncoderDecoder("lstm", 6, 2, random_state=0).fit(X, y, validation=(X, y), epochs=1, verbose=0)
    paths = tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"
    interop.to_onnx(model, paths, lengths=True)
    x, lengths = padded(model, X)
    stop = len(model.target_vocabulary_) + 1
    for encode, decode in zip(*map(runs, paths), strict=True):
        state, losses = encode({"x": x, "lengths": lengths}), []
        for n, answer in enumerate(y):
            ids = [stop, *map(model.target_vocabulary_.index, answer), stop]
            own = {name: part[:, n : n + 1] for name, part in state.items()}
            logits = decode({"x": np.array([ids[:-1]]), **own})["y"][0].astype("float64")
            losses += [np.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, ids[1:], strict=True)]
        assert_close(np.mean(losses), model.history_["validation_loss"][-1], TOLERANCE)


def test_refused(tmp_path):
    pair, one = (tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"), tmp_path / "model.onnx"
    model = EncoderDecoder(hidden_size=4, random_state=0).fit(["ab"], ["a"], epochs=1, verbose=0)
    classifier, _ = fitted("classifier-last")
    language = LanguageModel(hidden_size=4).fit("abab" * 20, epochs=1, verbose=0)
    language.recurrent_ = language.recurrent_.quantize("int8")
    minimal = SequenceClassifier("mingru", 5).fit(FEATURES, LABELS, epochs=1, verbose=0)
    for source, path, options, kind, match in [
        (model, one, {}, ValueError, "path must be one, and for an EncoderDecoder two, .* got 1 for EncoderDecoder"),
        (classifier, pair, {}, ValueError, "path must be one, .* got 2 for SequenceClassifier"),
        (model, pair, {"state": True}, ValueError, "state must be False for an EncoderDecoder"),
        (SequenceTagger(), one, {}, ValueError, "SequenceTagger is not fitted yet"),
        (language, one, {}, TypeError, "layers must be RNN, LSTM, .* or a model .* got Quantized"),
        (minimal, one, {}, TypeError, "layers must be RNN, LSTM, .* or a model .* got MinGRU"),
    ]:
        with pytest.raises(kind, match=match):
            interop.to_onnx(source, path, **options)
    assert not list(tmp_path.iterdir())
