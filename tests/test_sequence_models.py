"""Classifier, tagger and regressor: gradients, padding, batches, labels, forecasts, and scikit-learn's habits."""

import copy

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, normal, slope

import fastrnn
from fastrnn.models import SequenceClassifier, SequenceRegressor, SequenceTagger
from fastrnn.models._batches import POOL, batches_by_length, batches_in_order, real_share

LENGTHS = np.array([5, 1, 7, 3, 6, 2])
RNG = np.random.default_rng(0)
IDS = [RNG.integers(0, 4, T) for T in LENGTHS]
IDS[0][:] = [0, 1, 2, 3, 3]
FEATURES = [RNG.normal(size=(T, 2)) for T in LENGTHS]
LABELS = ["b", "a", "c", "a", "b", "b"]
TAGS = [["x", "y", "z"][: T % 3 + 1] * T for T in LENGTHS]
TAGS = [tags[:T] for tags, T in zip(TAGS, LENGTHS, strict=True)]
NUMBERS = RNG.normal(size=(6, 2))
STEPS = [x.cumsum(axis=0)[:, 0] for x in FEATURES]
QUICK = {"epochs": 2, "batch_size": 4, "verbose": 0}
MODELS = {
    "classifier": (SequenceClassifier, {}, IDS, LABELS),
    "classifier of both": (SequenceClassifier, {"bidirectional": True, "num_layers": 2}, FEATURES, LABELS),
    "classifier mean": (SequenceClassifier, {"pooling": "mean", "embedding_size": 3}, IDS, LABELS),
    "classifier max": (SequenceClassifier, {"pooling": "max", "bidirectional": True}, FEATURES, LABELS),
    "classifier dropout": (SequenceClassifier, {"dropout": 0.4, "embedding_size": 3, "num_layers": 2}, IDS, LABELS),
    "classifier mingru": (SequenceClassifier, {"cell": "mingru", "num_layers": 2}, FEATURES, LABELS),
    "tagger": (SequenceTagger, {"embedding_size": 3}, IDS, TAGS),
    "tagger of features": (SequenceTagger, {"cell": "rnn", "dropout": 0.3}, FEATURES, TAGS),
    "regressor": (SequenceRegressor, {"cell": "gru"}, FEATURES, NUMBERS),
    "regressor huber": (SequenceRegressor, {"loss": "huber", "delta": 0.5, "pooling": "mean"}, FEATURES, NUMBERS[:, 0]),
    "regressor steps": (SequenceRegressor, {"pooling": None, "bidirectional": True}, FEATURES, STEPS),
    "regressor next": (SequenceRegressor, {"pooling": None}, FEATURES, None),
}  # fmt: skip
every_model = pytest.mark.parametrize("kind", MODELS)


def new(kind: str, **params):
    cls, options, X, y = MODELS[kind]
    return cls(**{"hidden_size": 5, "random_state": 0, **options, **params}), X, y


def fitted(kind: str, fit=QUICK, **params):
    model, X, y = new(kind, **params)
    return model.fit(X, y, **fit), X, y


def parameters(model) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


def padded(rows, filler) -> np.ndarray:
    """Rows in one array, and something in the padding that must not matter."""
    array = np.full((len(rows), max(map(len, rows)) + 2, *rows[0].shape[1:]), filler, rows[0].dtype)
    for n, row in enumerate(rows):
        array[n, : len(row)] = row
    return array


def flat(outputs) -> np.ndarray:
    return np.concatenate(outputs) if isinstance(outputs, list) else outputs


@every_model
def test_gradients(kind):
    """Of every parameter against differences of the loss, dropout masks held fixed."""
    model, X, y = fitted(kind, dtype="float64")
    examples, rows = model._examples(model._given(X, None), y), np.arange(6)
    state, count = model.random_state_.bit_generator.state, model.recurrent_.forward_count

    def update():
        model.random_state_.bit_generator.state, model.recurrent_.forward_count = state, count
        return model._gradients(examples, rows)

    grads = update().gradients
    assert {name: set(part) for name, part in grads.items()} == {
        name: set(layer.parameters) for name, layer in model.layers.items()
    }
    for name, layer in model.layers.items():
        for key, parameter in layer._parameters.items():
            direction = normal(f"{name}{key}", *parameter.stored.shape, dtype="float64")
            moved = parameter.stored.copy()

            def loss(moved=moved, layer=layer, key=key, parameter=parameter):
                layer.set_parameters(**{key: moved.T if parameter.transposed else moved})
                return update().loss

            before = moved.copy()
            expected = slope(loss, moved, direction)
            layer.set_parameters(**{key: before.T if parameter.transposed else before})
            gradient = grads[name][key].T if parameter.transposed else grads[name][key]
            assert_close((gradient * direction).sum(), expected, 1e-7, f"{name}.{key}")


@every_model
def test_the_loss_without_dropout_is_that_of_evaluation(kind):
    model, X, y = fitted(kind, dtype="float64", dropout=0.0)
    examples, rows = model._examples(model._given(X, None), y), np.arange(6)
    loss, count = model._evaluate(examples, rows)
    update = model._gradients(examples, rows)
    assert_close(update.loss, loss, 1e-12)
    assert update.units == count == model._count(examples)
    assert_close(model._loss(examples), loss, 1e-12)


@every_model
def test_padding_does_not_matter(kind):
    """Lists and padded arrays train to the same bits and predict the same, whatever stands in the padding."""
    model, X, y = fitted(kind)
    twin, _, _ = new(kind)
    array = padded(X, -7 if X is IDS else np.nan)
    targets = y
    if isinstance(y, list) and not isinstance(y[0], str):
        targets = padded([np.array(row) for row in y], "?" if y is TAGS else np.nan)
    twin.fit(array, targets, lengths=LENGTHS, **QUICK)
    assert_same_bits(parameters(twin), parameters(model))
    assert_same_bits(twin.predict(array, LENGTHS), model.predict(X))
    assert twin.score(array, targets, LENGTHS) == model.score(X, y)
    assert twin.history_ == model.history_


@every_model
def test_each_sequence_is_predicted_as_if_alone(kind):
    model, X, _ = fitted(kind)
    method = "predict" if isinstance(model, SequenceRegressor) else "predict_proba"
    together = getattr(model, method)(X)
    for n, x in enumerate(X):
        assert_same_bits(getattr(model, method)([x])[0], together[n])
        assert_same_bits(getattr(model, method)(x[None])[0], together[n])


def test_arrays_without_lengths_give_arrays():
    array = np.stack([FEATURES[0], FEATURES[2][:5]])
    model, _, _ = fitted("tagger of features")
    assert model.predict(array).shape == (2, 5) and model.predict_proba(array).shape == (2, 5, 3)
    assert isinstance(model.predict(array, [5, 5]), list)
    assert fitted("regressor steps")[0].predict(array).shape == (2, 5)


def test_last_state_of_both_directions():
    """What the classifier's softmax sees: the forward direction at the last real step, the reverse one at the first."""
    model, X, _ = fitted("classifier of both", standardize=False)
    for x, odds in zip(X, model.predict_proba(X), strict=True):
        y = model.recurrent_(x[None].astype("float32"))[0][0]
        z = model.output_(np.concatenate([y[-1, :5], y[0, 5:]])).astype("float64")
        assert_close(odds, np.exp(z) / np.exp(z).sum(), 1e-6)


@every_model
def test_the_same_seed_gives_the_same_bits(kind):
    one, two = (fitted(kind)[0] for _ in range(2))
    assert_same_bits(parameters(one), parameters(two))
    other = fitted(kind, random_state=1)[0]
    assert not np.array_equal(other.output_.parameters["weight"], one.output_.parameters["weight"])


@every_model
def test_files_copies_and_parameters(kind, tmp_path):
    model, X, y = fitted(kind)
    fastrnn.save(model, tmp_path / "model")
    twins = [fastrnn.load(tmp_path / "model"), copy.deepcopy(model)]
    expected, params = model.predict(X), model.get_params()
    for twin in twins:
        assert twin.get_params() == params and type(twin) is type(model)
        assert_same_bits(twin.predict(X), expected)
        assert twin.score(X, y) == model.score(X, y)
        twin.partial_fit(X, y)
    model.partial_fit(X, y)
    for twin in twins:  # with the same dropout
        assert_same_bits(parameters(twin), parameters(model))
    assert type(model)(**params).get_params() == params
    assert model.set_params(hidden_size=3).fit(X, y, **QUICK).recurrent_.hidden_size == 3
    with pytest.raises(ValueError, match="has no parameter 'size'"):
        model.set_params(size=3)


@every_model
def test_one_update(kind):
    """`partial_fit` is one update by all that is given; `fit` with one batch for one epoch makes the same."""
    model, X, y = new(kind, dropout=0.0)
    options = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 0.3}
    model.fit(X, y, epochs=1, batch_size=6, schedule="constant", verbose=0, **options)
    twin = new(kind, dropout=0.0)[0].partial_fit(X, y, **options)
    for name, value in parameters(twin).items():
        assert_close(value, parameters(model)[name], 1e-6, name)
    assert_close(twin.history_["loss"], model.history_["loss"], 1e-6)


@every_model
def test_partial_fit_drops_as_the_parameters_say(kind):
    """A model whose dropout was changed goes on as one that always had it, between its layers too."""
    sgd = {"optimizer": "sgd", "learning_rate": 1e-300}  # in float32 none at all
    changed, always = (new(kind, dropout=p, num_layers=2)[0] for p in (0.5, 0.0))
    _, X, y = new(kind)
    for model in (changed, always):
        model.partial_fit(X, y, **sgd)
    changed.set_params(dropout=0.0)
    for model in (changed, always):
        model.partial_fit(X, y, **{**sgd, "learning_rate": 0.1})
    assert_same_bits(parameters(changed), parameters(always))
    with pytest.raises(ValueError, match="dropout"):
        changed.set_params(dropout=1.0).partial_fit(X, y)
    assert_same_bits(parameters(changed), parameters(always))


@pytest.mark.parametrize("kind", ["classifier", "tagger"])
def test_partial_fit_knows_classes_that_come_later(kind):
    """And keeps to them."""
    model, X, y = new(kind)
    classes = np.unique(np.concatenate(y) if kind == "tagger" else y).tolist()
    model.partial_fit(X[:1], y[:1], [*classes[::-1], "zz"])
    assert model.classes_.tolist() == [*classes, "zz"] and model.layers["output"].out_features == len(classes) + 1
    model.partial_fit(X, y, [*classes, "zz"]).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"classes must be those of the first call, \["):
        model.partial_fit(X, y, classes)
    assert len(model.history_["loss"]) == 3


def test_partial_fit_keeps_its_optimizer():
    """Two calls are two updates of one Adam, whose step grows with what it remembers."""
    model, X, y = new("regressor", dtype="float64")
    model.partial_fit(X, y)
    optimizer = model.optimizer_
    model.partial_fit(X, y, learning_rate=1e-3)
    assert model.optimizer_ is optimizer and optimizer.state_dict()["step"] == 2 and optimizer.lr == 1e-3
    assert len(model.history_["loss"]) == 2
    model.fit(X, y, **QUICK)
    assert not hasattr(model, "optimizer_")


def test_batches_hold_each_row_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(1, 100, 5000)
    batches = batches_by_length(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(5000))
    assert {len(batch) for batch in batches} <= {16, 5000 % 16}
    share = real_share(lengths, batches)
    assert share == lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in batches)
    assert share > 0.9 > 0.6 > real_share(lengths, np.split(np.arange(4992), 312))
    again = batches_by_length(lengths, 16, np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    other = batches_by_length(lengths, 16, np.random.default_rng(2))
    assert not all(np.array_equal(a, b) for a, b in zip(batches, other, strict=True))
    means = [lengths[batch].mean() for batch in batches[:POOL]]
    assert means != sorted(means)  # batches come in no order of length
    assert sorted(np.concatenate(list(batches_in_order(lengths)))) == list(range(5000))


@every_model
def test_parameters_that_are_set_wait_for_the_next_fit(kind, tmp_path):
    model, X, _ = fitted(kind)
    expected = model.predict(X)
    changes = {"hidden_size": 7, "num_layers": 3, "bidirectional": not model.bidirectional, "dtype": "float64"}
    if not isinstance(model, SequenceTagger):
        changes["pooling"] = {"last": "mean", "mean": "last", "max": "last", None: "max"}[model.pooling]
    model.set_params(**changes)
    assert_same_bits(model.predict(X), expected)
    fastrnn.save(model, tmp_path / "model")
    twin = fastrnn.load(tmp_path / "model")
    assert_same_bits(twin.predict(X), expected)
    assert twin.get_params() == model.get_params()


def test_dropout_of_a_single_layer_is_above_and_below_it():
    """Where a layer would warn that it has none."""
    model, X, y = fitted("tagger", dropout=0.5)
    assert model.recurrent_.dropout == 0.0 and fitted("tagger", dropout=0.5, num_layers=2)[0].recurrent_.dropout == 0.5
    examples, rows = model._examples(model._given(X, None), y), np.arange(6)
    assert model._gradients(examples, rows).loss != model._gradients(examples, rows).loss


def test_share_of_real_steps():
    model = fitted("tagger", fit={**QUICK, "batch_size": 6})[0]
    assert model.real_share_ == LENGTHS.sum() / (6 * 7)


def test_every_epoch_has_another_order(monkeypatch):
    model, X, y = new("regressor")
    seen = []
    gradients = model._gradients

    def record(examples, rows):
        seen.append(list(rows))
        return gradients(examples, rows)

    monkeypatch.setattr(model, "_gradients", record)
    model.fit(X, y, epochs=4, batch_size=1, verbose=0)
    epochs = [np.ravel(seen[k : k + 6]).tolist() for k in range(0, 24, 6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_memory_map(tmp_path):
    array = padded(FEATURES, 0.0)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model, _, _ = new("classifier of both")
    model.fit(mapped, LABELS, lengths=LENGTHS, **QUICK)
    assert_same_bits(parameters(model), parameters(fitted("classifier of both")[0]))


@pytest.mark.parametrize("labels", [[1, 0, 5, 0, 1, 1], [True, False] * 3, LABELS, [2.0, 1.0] * 3])
def test_labels_of_any_kind(labels, tmp_path):
    model = SequenceClassifier(hidden_size=8, random_state=0)
    model.fit(IDS, labels, epochs=150, learning_rate=0.02, verbose=0)
    assert model.classes_.tolist() == sorted(set(labels))
    assert model.predict(IDS).tolist() == labels and model.score(IDS, labels) == 1.0
    odds = model.predict_proba(IDS)
    assert odds.shape == (6, len(set(labels)))
    assert_close(odds.sum(axis=1), np.ones(6), 1e-12)
    assert model.classes_[odds.argmax(axis=1)].tolist() == labels
    fastrnn.save(model, tmp_path / "model")
    assert_same_bits(fastrnn.load(tmp_path / "model").predict(IDS), model.predict(IDS))


def test_symbols():
    """Strings are characters, lists of strings are words; what training never saw is one symbol more."""
    names = ["anna", "otto", "ann", "tot", "o", "na"]
    model = SequenceClassifier(hidden_size=5, random_state=0).fit(names, LABELS, **QUICK)
    assert model.vocabulary_ == ["n", "a", "o", "t"]  # 5 n, 4 of each other
    words = SequenceClassifier(hidden_size=5, random_state=0).fit([list(name) for name in names], LABELS, **QUICK)
    assert_same_bits(words.predict_proba(names), model.predict_proba(names))
    assert_same_bits(model.predict_proba(["?"]), model.predict_proba(["é"]))
    assert_same_bits(model.predict_proba(np.array(names)), model.predict_proba(names))
    rows = np.empty(6, object)
    rows[:] = [list(name) for name in names]
    assert_same_bits(model.predict_proba(rows), model.predict_proba(names))
    few = SequenceClassifier(hidden_size=5, max_vocab=2, random_state=0).fit(names, LABELS, **QUICK)
    assert few.vocabulary_ == model.vocabulary_[:2] and few.recurrent_.input_size == 3


def test_number_of_ids():
    assert fitted("classifier")[0].recurrent_.input_size == 4
    assert fitted("classifier", max_vocab=9)[0].recurrent_.input_size == 9


def test_tagger_score_counts_steps():
    model, X, y = fitted("tagger")
    right = sum((a == np.array(b)).sum() for a, b in zip(model.predict(X), y, strict=True))
    assert model.score(X, y) == right / LENGTHS.sum()
    odds = model.predict_proba(X)
    assert [part.shape for part in odds] == [(T, 3) for T in LENGTHS]


def test_tagger_loss_is_of_real_steps():
    model, X, y = fitted("tagger", dtype="float64")
    odds, classes = np.concatenate(model.predict_proba(X)), model.classes_.tolist()
    places = [classes.index(tag) for tags in y for tag in tags]
    examples = model._examples(model._given(X, None), y)
    expected = -np.log(odds[np.arange(len(places)), places]).mean()
    assert_close(model._loss(examples), expected, 1e-12)
    assert_close(model._gradients(examples, np.arange(6)).loss, expected, 1e-12)


def test_tagger_of_empty_sequences():
    model, X, y = fitted("tagger")
    assert [len(part) for part in model.predict([X[0], np.array([], int), X[1]])] == [5, 0, 1]
    model.fit([*X, np.array([], int)], [*y, []], **QUICK)


def test_regressor_standardizes():
    """The units of X and y do not matter; without it they do."""
    X, y = FEATURES, NUMBERS
    model = fitted("regressor", dtype="float64")[0]
    shifted = new("regressor", dtype="float64")[0].fit([1000 * x + 7 for x in X], y / 100 - 3, **QUICK)
    assert_close(shifted.predict([1000 * x + 7 for x in X]), model.predict(X) / 100 - 3, 1e-9)
    assert_close(shifted.history_["loss"], model.history_["loss"], 1e-9)
    steps = np.concatenate(X)
    assert_close(model.coder_.scale.mean, steps.mean(axis=0), 1e-12)
    assert_close(model.coder_.scale.deviation, steps.std(axis=0), 1e-12)
    assert_close(model.target_scale_.deviation, y.std(axis=0), 1e-12)
    raw = new("regressor", standardize=False)[0].fit(X, y, **QUICK)
    assert raw.coder_.scale is None and raw.target_scale_ is None
    constant = new("regressor")[0].fit([np.ones((3, 2)), np.ones((2, 2))], [[4.0], [4.0]], **QUICK)
    assert_close(constant.predict([np.ones((3, 2))]), [[4.0]], 1.0)


def test_integers_are_numbers_for_the_regressor():
    X = [np.arange(T) for T in LENGTHS]
    model = SequenceRegressor(hidden_size=5, random_state=0).fit(X, NUMBERS, **QUICK)
    twin = SequenceRegressor(hidden_size=5, random_state=0).fit([x[:, None] / 1.0 for x in X], NUMBERS, **QUICK)
    assert model.recurrent_.input_size == 1
    assert_same_bits(model.predict(X), twin.predict([x * 1.0 for x in X]))


@pytest.mark.parametrize("kind", ["regressor", "regressor huber", "regressor steps", "regressor next"])
def test_score_is_r_squared(kind):
    model, X, y = fitted(kind)
    if kind == "regressor next":
        X, y = [x[:-1] for x in X], [x[1:] for x in X]
    predicted, true = (np.concatenate(part) if isinstance(part, list) else part for part in (model.predict(X), y))
    residual = ((predicted - true) ** 2).sum(axis=0)
    expected = np.mean(1 - residual / ((true - true.mean(axis=0)) ** 2).sum(axis=0))
    assert_close(model.score(X, y), expected, 1e-9)
    if kind == "regressor next":
        assert_close(model.score(FEATURES), expected, 1e-9)


@pytest.mark.parametrize("kind", ["regressor", "regressor steps"])
def test_scores_refuse_targets_of_another_width(kind):
    """They would be stretched to those of training."""
    model, X, y = fitted(kind)
    wide = [np.stack([row, row, row], -1) for row in y] if isinstance(y, list) else np.stack([y[:, 0]] * 3, -1)
    with pytest.raises(ValueError, match=r"y must have \d numbers, as in training, got 3"):
        model.score(X, wide)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_losses_are_of_the_name(loss):
    model = SequenceRegressor(loss=loss, delta=0.4, hidden_size=5, standardize=False, dtype="float64", random_state=0)
    model.fit(FEATURES, NUMBERS, **QUICK)
    d = np.abs(model.predict(FEATURES) - NUMBERS)
    expected = {"squared": d**2, "absolute": d, "huber": np.where(d < 0.4, d**2 / 2, 0.4 * (d - 0.2))}[loss]
    given = model._examples(model._given(FEATURES, None), NUMBERS)
    assert_close(model._loss(given), expected.mean(), 1e-12)


@pytest.mark.parametrize("pooling", [None, "last"])
@pytest.mark.parametrize("width", [1, 2])
def test_forecast_feeds_predictions_back(width, pooling):
    """Against predictions over the whole series each time, with what was predicted at its end."""
    series = [normal(f"s{T}", T, dtype="float64").cumsum() for T in (9, 12, 7)]
    if width == 2:
        series = [np.stack([one, one[::-1]], axis=1) for one in series]
    model = SequenceRegressor(pooling=pooling, hidden_size=6, num_layers=2, dtype="float64", random_state=0)
    y = None if pooling is None else np.stack([one[-1] for one in series])
    model.fit(series, y, epochs=5, learning_rate=0.02, verbose=0)
    future = model.forecast(series, 4)
    assert future.shape == ((3, 4) if width == 1 else (3, 4, 2))
    for n, one in enumerate(series):
        for step in range(4):
            predicted = model.predict([one])[0]
            one = np.concatenate([one, predicted[-1:] if pooling is None else predicted[None]])
            assert_close(future[n, step], one[-1], 1e-10, f"{n} {step}")
    assert model.forecast(series, 0).shape[1] == 0


@pytest.mark.parametrize("kind", ["ids", "symbols", "embedded tags", "features", "plain numbers", "steps"])
def test_live_input(kind):
    """Each step gives what the whole so far would; rows can begin anew."""
    cls, X, y, options = {
        "ids": (SequenceClassifier, IDS, LABELS, {"num_layers": 2}),
        "symbols": (SequenceClassifier, ["".join("abcd"[k] for k in row) for row in IDS], LABELS, {}),
        "embedded tags": (SequenceTagger, IDS, TAGS, {"bidirectional": False, "embedding_size": 3}),
        "features": (SequenceRegressor, FEATURES, NUMBERS, {}),
        "plain numbers": (SequenceRegressor, [x[:, 0] for x in FEATURES], NUMBERS[:, 0], {}),
        "steps": (SequenceRegressor, FEATURES, STEPS, {"pooling": None}),
    }[kind]
    model = cls(hidden_size=5, random_state=0, **options).fit(X, y, **QUICK)
    method = model.predict if cls is SequenceRegressor else model.predict_proba
    live, pair = model.stream(2), [X[2], X[4]]
    ends_only = kind not in ("embedded tags", "steps")
    for t in range(6):
        if t == 3:
            live.reset([True, False])
        outputs = live.step([row[t] for row in pair])
        for row, start, output in zip(pair, (3 if t >= 3 else 0, 0), outputs, strict=True):
            whole = method([row[start : t + 1]])[0]
            assert_close(output, whole if ends_only else whole[-1], 1e-6, f"{t}")
    alone, rows = model.stream(), model.stream()
    for x in X[0]:
        assert_same_bits(alone.step(x), rows.step([x])[0])
    for x in (X[2][0], [X[2][0]]):
        with pytest.raises(ValueError, match="x must have 2 rows, got 1"):
            live.step(x)


def test_pieces_of_long_sequences():
    """`sequence_length` cuts: the same as giving the pieces."""
    x, y = normal("x", 10, 2), normal("y", 10)
    model = SequenceRegressor(pooling=None, hidden_size=5, random_state=0, standardize=False)
    model.fit([x], [y], sequence_length=4, **QUICK)
    twin = copy.deepcopy(model).fit([x[:4], x[4:8], x[8:]], [y[:4], y[4:8], y[8:]], **QUICK)
    assert_same_bits(parameters(model), parameters(twin))
    with pytest.raises(ValueError, match="needs an output at every step, got pooling='last'"):
        fitted("regressor", fit={**QUICK, "sequence_length": 4})


def test_validation_and_early_stopping():
    model, X, y = new("classifier")
    model.fit(X, y, validation=(X, y), epochs=3, verbose=0)
    assert_close(model.history_["validation_loss"][-1], -np.mean(np.log(
        model.predict_proba(X)[np.arange(6), [sorted(set(y)).index(label) for label in y]]
    )), 1e-6)  # fmt: skip
    array = padded(X, 0)
    early = {"validation": (array, y, LENGTHS), "epochs": 200, "patience": 2, "learning_rate": 0.3, "verbose": 0}
    model.fit(array, y, lengths=LENGTHS, **early)
    assert len(model.history_["loss"]) < 200
    best = min(model.history_["validation_loss"])
    assert_close(model._loss(model._examples(model._given(array, LENGTHS), y)), best, 1e-6)


@pytest.mark.parametrize("kind", ["classifier dropout", "tagger of features", "regressor steps"])
def test_checkpoints_resume_exactly(kind, tmp_path):
    fit = {"epochs": 4, "batch_size": 2, "verbose": 0}
    whole = fitted(kind, fit=fit)[0]

    def fail(epoch):
        if epoch.number == 3:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        fitted(kind, fit={**fit, "checkpoint": tmp_path, "checkpoint_every": 2, "callbacks": [fail]})
    resumed = fitted(kind, fit={**fit, "checkpoint": tmp_path, "resume": True})[0]
    assert_same_bits(parameters(resumed), parameters(whole))
    assert resumed.history_ == whole.history_


ERRORS = [
    ("classifier", lambda m: m.fit([], []), ValueError, "X must hold at least one step"),
    ("classifier", lambda m: m.fit([IDS[0], FEATURES[0]], [0, 1]), TypeError, "X must hold one kind of sequence"),
    ("classifier", lambda m: m.fit(IDS, LABELS, lengths=LENGTHS), ValueError, "lengths go with a padded"),
    ("classifier", lambda m: m.fit(np.ones((2, 3), int), [0, 1], lengths=[3, 4]), ValueError, "lengths must be from 0"),
    ("classifier", lambda m: m.fit(IDS, LABELS[:5]), ValueError, "y must hold one label for each of 6"),
    ("classifier", lambda m: m.fit(IDS, NUMBERS[:, 0]), TypeError, "y must hold labels, got real numbers"),
    ("classifier", lambda m: m.fit(IDS, LABELS).partial_fit(IDS[:1], ["q"]), ValueError, "training, got 'q'"),
    ("classifier", lambda m: m.fit(IDS), TypeError, "y must hold labels, got None"),
    ("classifier", lambda m: m.set_params(cell="cnn").fit(IDS, LABELS), ValueError, "cell must be one of"),
    ("classifier", lambda m: m.set_params(pooling="sum").fit(IDS, LABELS), ValueError, "pooling must be one of"),
    ("classifier", lambda m: m.set_params(pooling=None).fit(IDS, LABELS), ValueError, "last, mean, max, got None"),
    ("classifier", lambda m: m.fit(iter(IDS), LABELS), TypeError, "X must be a list of .* got list_iterator"),
    ("classifier", lambda m: m.set_params(dropout=1).fit(IDS, LABELS), ValueError, "dropout must be a number from"),
    ("classifier", lambda m: m.fit([np.array([-1, 2])], [0]), ValueError, "X must hold ids from 0"),
    ("classifier", lambda m: m.fit(IDS, LABELS).predict([np.array([4])]), ValueError, "from 0 to 3, got 4 in row 0"),
    ("classifier", lambda m: m.fit(IDS, LABELS).predict(FEATURES), TypeError, "X must hold ids, as in training"),
    ("classifier", lambda m: m.predict(IDS), ValueError, "not fitted yet"),
    ("classifier", lambda m: m.fit(IDS, LABELS, validation=IDS), ValueError, r"validation must be \(X, y\)"),
    ("classifier", lambda m: m.fit(IDS, LABELS, batch_size=0), ValueError, "batch_size must be at least 1"),
    ("classifier", lambda m: m.fit(IDS, LABELS, epoch=3), TypeError, "no argument 'epoch'"),
    ("classifier", lambda m: m.fit(IDS, LABELS, sequence_length=3), ValueError, "sequence_length needs an output"),
    ("tagger", lambda m: m.fit(IDS, [*TAGS[:5], TAGS[0]]), ValueError, r"y\[5\] must hold one label for each of 2"),
    ("classifier", lambda m: m.partial_fit(IDS, LABELS, [0.5]), TypeError, "classes must hold labels, got real"),
    ("classifier", lambda m: m.partial_fit(IDS, LABELS, "ab"), ValueError, r"classes must have the shape \(K,\)"),
    ("classifier", lambda m: m.partial_fit(IDS, LABELS, ["q"]), ValueError, "y must hold labels that were there"),
    ("regressor", lambda m: m.partial_fit(FEATURES, NUMBERS, [1]), TypeError, "classes must be None, since a Seq"),
    ("tagger", lambda m: m.fit(IDS, TAGS[:2]), ValueError, "the labels of 6 sequences, got 2"),
    ("regressor", lambda m: m.fit(FEATURES, NUMBERS).predict([np.ones((2, 3))]), ValueError, "must have 2 features"),
    ("regressor", lambda m: m.fit([np.ones((2, 3)), np.ones((1, 2))], [1, 2]), ValueError, "as many features"),
    ("regressor", lambda m: m.fit(np.ones(5)), ValueError, "X must be a list of sequences or"),
    ("regressor", lambda m: m.fit(FEATURES), ValueError, "only with pooling=None"),
    ("regressor", lambda m: m.fit(FEATURES, NUMBERS[:3]), ValueError, r"y must have the shape \(6,\) or"),
    ("regressor", lambda m: m.set_params(loss="l2").fit(FEATURES, NUMBERS), ValueError, "loss must be one of"),
    ("regressor", lambda m: m.fit(FEATURES, NUMBERS).partial_fit(FEATURES, NUMBERS[:, 0]), ValueError, "2 numbers"),
    ("regressor", lambda m: m.fit(FEATURES, NUMBERS[:, 0]).forecast(FEATURES, 2), ValueError, "1 numbers for 2 feat"),
    ("regressor huber", lambda m: m.fit(FEATURES, NUMBERS[:, 0]).stream(), ValueError, "stream needs bidirectional"),
    ("regressor steps", lambda m: m.fit(FEATURES, STEPS[::-1]), ValueError, "as many steps as X in every"),
    ("regressor steps", lambda m: m.fit(FEATURES, STEPS).forecast(FEATURES, 2), ValueError, "bidirectional=False"),
]


@pytest.mark.parametrize(("kind", "call", "error", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(kind, call, error, message):
    model = new(kind)[0]
    fit = model.fit
    model.fit = lambda X, y=None, **options: fit(X, y, **{**QUICK, **options})
    with pytest.raises(error, match=message):
        call(model)


@pytest.mark.parametrize("call", [
    lambda m, X, y: m.fit(X, y[:2], **QUICK),
    lambda m, X, y: m.partial_fit(X, y[:2]),
    lambda m, X, y: m.fit(X, y, **{**QUICK, "optimizer": "sgd", "learning_rate": 1e30, "clip_norm": None}),
])  # fmt: skip
@pytest.mark.parametrize("before", ["new", "fitted"])
def test_after_an_error_a_model_is_as_before(call, before):
    model, X, y = new("regressor") if before == "new" else fitted("regressor")
    attributes = dict(model.__dict__)
    with pytest.raises((ValueError, FloatingPointError)), np.errstate(all="ignore"):
        call(model, X, y)
    assert model.__dict__ == attributes


def test_learning():
    """Whether the first symbol comes again at the end: something that one must remember."""
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 3, rng.integers(5, 12)) for _ in range(600)]
    y = [x[0] == x[-1] for x in X]
    model = SequenceClassifier(hidden_size=16, random_state=0)
    model.fit(X[:500], y[:500], epochs=20, learning_rate=0.02, verbose=0)
    assert model.score(X[500:], y[500:]) > 0.97
