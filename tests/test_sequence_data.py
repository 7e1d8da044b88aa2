"""What the models of sequences make of data that is empty, not finite or of mixed kinds."""

import numpy as np
import pytest

from fastrnn.models import EncoderDecoder, SequenceClassifier, SequenceRegressor, SequenceTagger

IDS = [np.array(row) for row in ([0, 1, 2], [3], [1, 1])]
FEATURES = [np.arange(2.0 * T).reshape(T, 2) for T in (3, 1, 2)]
TEXTS = ["abc", "d", "bb"]
TAGS = [["x", "y", "x"], ["y"], ["x", "x"]]
MODELS = {
    "classifier": (SequenceClassifier, {}, IDS, ["x", "y", "x"]),
    "classifier of features": (SequenceClassifier, {"pooling": "max"}, FEATURES, ["x", "y", "x"]),
    "classifier of texts": (SequenceClassifier, {"pooling": "mean"}, TEXTS, ["x", "y", "x"]),
    "tagger": (SequenceTagger, {}, IDS, TAGS),
    "tagger of features": (SequenceTagger, {}, FEATURES, TAGS),
    "regressor": (SequenceRegressor, {}, FEATURES, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "regressor next": (SequenceRegressor, {"pooling": None}, FEATURES, None),
    "encoder-decoder": (EncoderDecoder, {}, TEXTS, TEXTS),
    "encoder-decoder of ids": (EncoderDecoder, {}, IDS, IDS),
}  # fmt: skip
every_model = pytest.mark.parametrize("kind", MODELS)
NOTHING = ([], np.zeros((0, 4), int), np.zeros((0, 4, 2)), np.zeros((0, 0, 3)))
EMPTY = ([[], []], ["", ""], np.zeros((2, 0), int), np.zeros((2, 0, 3)), [np.zeros((0, 3))] * 2)


def new(kind: str):
    cls, options, X, y = MODELS[kind]
    return cls(hidden_size=3, random_state=0, **options), X, y


def fitted(kind: str):
    model, X, y = new(kind)
    return model.fit(X, y, epochs=1, verbose=0)


@every_model
def test_nothing_gives_nothing(kind):
    model = fitted(kind)
    for X in NOTHING:
        assert len(model.predict(X)) == 0
        if hasattr(model, "forecast"):
            assert model.forecast(X, 4).shape == (0, 4, 2)
    if kind.startswith("classifier"):
        assert model.predict_proba([]).shape == (0, 2)
    if kind.startswith("tagger"):
        assert model.predict(NOTHING[1]).shape == (0, 4) and model.predict_proba(NOTHING[1]).shape == (0, 4, 2)
    if kind == "regressor next":
        assert model.predict(NOTHING[2]).shape == (0, 4, 2)


@every_model
def test_empty_sequences_are_of_any_kind(kind):
    model = fitted(kind)
    expected = [np.asarray(one).tolist() for one in model.predict(EMPTY[0])]
    assert len(expected) == 2
    for X in EMPTY:
        assert [np.asarray(one).tolist() for one in model.predict(X)] == expected


@every_model
def test_nothing_can_be_learned_from_or_scored_on_nothing(kind):
    model, X, y = new(kind)
    none = None if y is None else []
    for given, got in [(given, "none") for given in NOTHING] + [(given, "2 empty ones") for given in EMPTY]:
        targets = none if got == "none" else y if y is None else [y[0][:0]] * 2
        message = f"must hold at least one step of one sequence, got {got}"
        with pytest.raises(ValueError, match=f"^X {message}"):
            model.fit(given, targets)
        with pytest.raises(ValueError, match=f"^X {message}"):
            model.partial_fit(given, targets)
        with pytest.raises(ValueError, match=f"^X of validation {message}"):
            model.fit(X, y, validation=(given, targets), verbose=0)
        for call in (fitted(kind).score, fitted(kind).partial_fit):
            with pytest.raises(ValueError, match=f"^X {message}"):
                call(given, targets)


def test_no_features_and_no_next_step():
    for X in (np.zeros((3, 4, 0)), [np.zeros((4, 0))] * 3):
        with pytest.raises(ValueError, match="X must have at least one feature, got none"):
            SequenceClassifier().fit(X, [0, 1, 0])
    model = SequenceRegressor(pooling=None)
    with pytest.raises(ValueError, match="X must hold a sequence of at least 2 steps where y is left out"):
        model.fit([[1.0], [2.0], []])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(wrong):
    """In features, targets and live input; not in padding."""
    bad = [FEATURES[0], FEATURES[1], FEATURES[2].copy()]
    bad[2][1, 0] = wrong
    array, lengths = np.full((3, 4, 2), wrong), [3, 1, 2]
    for row, given in zip(array, bad, strict=True):
        row[: len(given)] = given
    message = f"X must hold finite numbers, got {wrong} in row 2, step 1"
    for kind in ("classifier of features", "tagger of features", "regressor", "regressor next"):
        model, (_, X, y) = fitted(kind), MODELS[kind][1:]
        for call in (model.fit, model.partial_fit, model.score):
            with pytest.raises(ValueError, match=f"^{message}"):
                call(bad, y)
            with pytest.raises(ValueError, match=f"^{message}"):
                call(array, y, lengths=lengths)
        for call in (model.predict, getattr(model, "forecast", None) and (lambda X, model=model: model.forecast(X, 1))):
            if call is not None:
                with pytest.raises(ValueError, match=f"^{message}"):
                    call(bad)
        with pytest.raises(ValueError, match="X of validation must hold finite numbers"):
            model.fit(X, y, validation=(bad, y), verbose=0)
    array[2, 1, 0] = 0
    fitted("regressor next").fit(array, lengths=lengths, epochs=1, verbose=0)


def test_targets_and_live_input_that_are_no_numbers():
    model, X, _ = new("regressor")
    with pytest.raises(ValueError, match="y must hold finite numbers, got nan in row 1"):
        model.fit(X, [[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    steps = SequenceRegressor(pooling=None)
    with pytest.raises(ValueError, match="y must hold finite numbers, got nan in row 2, step 0"):
        steps.fit(X, [np.ones(3), np.ones(1), np.array([np.nan, 1.0])])
    live = fitted("regressor").stream()
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        live.step([[np.nan, 1.0]])
    assert live.step([[0.0, 1.0]]).tolist() == fitted("regressor").stream().step([[0.0, 1.0]]).tolist()


@pytest.mark.parametrize("mixed", [[1, "a", 1], ["a", True, "a"], ("a", "b", None), ["a", 1.0, "b"]])
def test_strings_among_other_labels_or_symbols(mixed):
    with pytest.raises(TypeError, match="y must hold "):
        SequenceClassifier().fit(IDS, mixed)
    with pytest.raises(TypeError, match=r"y.* must hold "):
        SequenceTagger().fit(IDS[:1], [mixed])
    with pytest.raises(TypeError, match=r"X\[0\] must (hold|be)"):
        SequenceTagger().fit([mixed], [[0, 1, 0]])


def test_labels_of_another_kind_than_those_of_training():
    """Of other rows, of validation and of a score: 1 is not "1"."""
    with pytest.raises(TypeError, match="y must hold strings or numbers, got both"):
        SequenceTagger().fit(IDS[:2], [["1", "2", "1"], [1]])
    for cls, strings, numbers in (
        (SequenceClassifier, ["1", "2", "1"], [1, 2, 1]),
        (SequenceTagger, [["1", "2", "1"], ["1"], ["1", "1"]], [[1, 2, 1], [1], [1, 1]]),
    ):
        for y, other, message in ((strings, numbers, "strings"), (numbers, strings, "numbers")):
            model = cls(hidden_size=3).fit(IDS, y, epochs=1, verbose=0)
            for call in (model.score, model.partial_fit):
                with pytest.raises(TypeError, match=f"y must hold {message}, as in training"):
                    call(IDS, other)
            with pytest.raises(TypeError, match=f"y must hold {message}, as in training"):
                model.fit(IDS, y, validation=(IDS, other), verbose=0)


def test_live_input_of_another_form():
    texts = SequenceClassifier(hidden_size=3).fit(TEXTS, [0, 1, 0], epochs=1, verbose=0)
    for model, x, error, message in (
        (texts, "ab", ValueError, "x must be a single character for each row, got "),
        (texts, 5, TypeError, "x must hold symbols, as in training, got ids"),
        (fitted("classifier"), 0.5, TypeError, "x must hold ids, as in training, got features"),
        (fitted("classifier"), [[1, 2]], ValueError, "x must be a list of sequences or"),
        (fitted("regressor"), 0.5, ValueError, "x must have 2 features, as in training, got 1"),
        (fitted("regressor"), [[[1.0, 2.0]]], ValueError, "x must be a list of sequences or"),
    ):
        with pytest.raises(error, match=f"^{message}"):
            model.stream().step(x)


def test_words_as_an_array_are_those_of_the_list():
    """Sentences of one length, of which NumPy makes a single array."""
    words, tags = [["a", "dog"], ["the", "cat"]], [["D", "N"], ["D", "N"]]
    models = [SequenceTagger(hidden_size=3, random_state=0) for _ in range(2)]
    for model, X, y in zip(models, (words, np.array(words)), (tags, np.array(tags)), strict=True):
        model.fit(X, y, epochs=1, verbose=0)
    listed, arrayed = (np.stack(model.predict_proba(np.array(words))) for model in models)
    assert np.array_equal(listed, arrayed)
