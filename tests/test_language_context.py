"""Texts written from a vector or a class: one to many, through a learned initial state."""

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits

import fastrnn
from fastrnn.models import LanguageModel
from fastrnn.train import loop

TEXTS = ["red rose", "blue", "green grass now", "yellow"]
CLASSES = ["r", "b", "g", "y"]
SMALL = {"hidden_size": 12, "num_layers": 2, "random_state": 0}
QUICK = {"epochs": 2, "batch_size": 3, "verbose": 0}


def fitted(texts=TEXTS, context=CLASSES, validation=None, fit=QUICK, **params) -> LanguageModel:
    return LanguageModel(**{**SMALL, **params}).fit(texts, validation, context=context, **fit)


def parameters(model) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("level", ["char", "word"])
def test_every_class_writes_its_own_text(cell, level):
    embedding = {"embedding_size": 8} if level == "word" else {}
    fit = {"epochs": 150, "batch_size": 4, "learning_rate": 2e-2, "verbose": 0}
    model = fitted(fit=fit, level=level, cell=cell, **embedding)
    assert model.generate(40, context=CLASSES, temperature=0) == TEXTS
    assert model.generate(40, context=["g", "g", "r"], temperature=0) == [TEXTS[2], TEXTS[2], TEXTS[0]]
    assert model.perplexity(TEXTS, context=CLASSES) < 1.5
    assert model.perplexity(TEXTS, context=CLASSES[::-1]) > 3


def test_vectors():
    """Between two vectors lies another text than at them; a prompt is gone on with."""
    context = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    model = fitted(context=context, fit={"epochs": 150, "batch_size": 4, "learning_rate": 2e-2, "verbose": 0})
    assert model.generate(40, context=context, temperature=0) == TEXTS
    assert model.generate(40, ["bl"], context=context[1:2], temperature=0) == ["ue"]
    assert model.generate(3, context=context[2:3], temperature=0) == ["gre"]
    assert model.generate(40, context=context[:1], temperature=0, stop=" ") == ["red"]


@pytest.mark.parametrize("reduction", ["mean", "time_sum"])
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_gradients_are_those_of_finite_differences(cell, reduction, monkeypatch):
    """Of the loss of a whole batch, texts of unequal length, by every parameter, the context's among them."""
    seen, make = [], loop.Run.make

    def noted(self, update):
        if not seen:
            start = {name: layer.state_dict() for name, layer in model.layers.items()}
            seen.append((start, {name: dict(part) for name, part in update.gradients.items()}, update.loss))
        make(self, update)

    monkeypatch.setattr(loop.Run, "make", noted)
    model = LanguageModel(cell=cell, hidden_size=3, num_layers=2, dtype="float64", random_state=1)
    fit = {"epochs": 1, "batch_size": 4, "clip_norm": None, "reduction": reduction, "verbose": 0}
    model.fit(TEXTS, context=CLASSES, **fit)
    ((start, gradients, loss),) = seen
    for name, values in start.items():
        model.layers[name].load_state_dict(values)
    scale = 1 if reduction == "mean" else sum(len(text) + 1 for text in TEXTS) / 4
    assert_close(loss, -model.score(TEXTS, 4, context=CLASSES), 1e-12)
    rng = np.random.default_rng(0)
    for name, layer in model.layers.items():
        for key, value in start[name].items():
            direction = rng.standard_normal(value.shape)
            losses = []
            for sign in (1, -1):
                layer.set_parameters(**{key: value + sign * 1e-5 * direction})
                losses.append(-scale * model.score(TEXTS, 4, context=CLASSES))
            layer.set_parameters(**{key: value})
            expected = (losses[0] - losses[1]) / 2e-5
            assert_close(np.vdot(gradients[name][key], direction), expected, 1e-7, f"{name}.{key}")


def test_score_is_the_mean_over_all_symbols():
    model = fitted()
    expected = 0.0
    for text, context in zip(TEXTS, CLASSES, strict=True):
        expected += model.score([text], context=[context]) * (len(text) + 1)
    assert_close(model.score(TEXTS, context=CLASSES), expected / sum(len(text) + 1 for text in TEXTS), 1e-6)
    assert_close(model.score(TEXTS, 3, context=CLASSES), model.score(TEXTS, context=CLASSES), 1e-6)
    both = fitted(validation=(TEXTS[:2], CLASSES[:2]))
    assert_close(both.history_["validation_loss"][-1], -both.score(TEXTS[:2], context=CLASSES[:2]), 1e-6)


def test_saved_and_resumed(tmp_path):
    fit = {**QUICK, "epochs": 4, "batch_size": 1, "schedule": "constant"}
    model = fitted(fit=fit)
    fastrnn.save(model, tmp_path / "model")
    loaded = fastrnn.load(tmp_path / "model")
    assert loaded.generate(20, context=CLASSES) == model.generate(20, context=CLASSES)

    def lost(epoch):
        if epoch.number == 3:
            raise OSError("lost")

    options = {**fit, "checkpoint": tmp_path / "kept", "checkpoint_every": 5, "resume": True}  # 10: in the third epoch
    with pytest.raises(OSError, match="lost"):
        fitted(fit={**options, "callbacks": [lost]})
    assert_same_bits(parameters(fitted(fit=options)), parameters(model))


def test_the_order_of_texts_changes_from_epoch_to_epoch():
    texts, context = [str(k) * (k % 7 + 1) for k in range(9)] * 4, np.arange(36) % 9
    one, two = fitted(texts, context), fitted(texts, context)
    assert_same_bits(parameters(one), parameters(two))
    data = one._texts(texts, context, "text")
    orders = [[batch[2].tolist() for batch in data.batches(5, np.random.default_rng([0, k]))] for k in range(2)]
    assert orders[0] != orders[1]
    assert [sorted(length for batch in order for length in batch) for order in orders] == [
        sorted(len(text) + 1 for text in texts)
    ] * 2


BAD = [
    ({"text": "text"}, TypeError, "text must be a list of strings, one for each context, got str"),
    ({"text": []}, ValueError, "text must have at least one text"),
    ({"text": TEXTS[:3]}, ValueError, r"context must have the shape \(3,\), got \(4,\)"),
    ({"context": np.zeros((4, 2, 2))}, ValueError, "context must be vectors .* or classes .* got float64"),
    ({"context": [0.5] * 4}, ValueError, "context must be vectors .* or classes"),
    ({"validation": TEXTS}, TypeError, "validation must be a pair, texts and contexts, got list"),
    ({"validation": (TEXTS[:1], ["z"])}, ValueError, r"context must be of the classes \['b', .* got \['z'\]"),
]


@pytest.mark.parametrize(("given", "error", "words"), BAD)
def test_bad_input(given, error, words):
    model = fitted()
    before, attributes = parameters(model), dict(vars(model))
    with pytest.raises(error, match=words):
        model.fit(**{"text": TEXTS, "context": CLASSES, **QUICK, **given})
    assert vars(model) == attributes
    assert_same_bits(parameters(model), before)


def test_a_context_is_given_where_it_is_known():
    model = fitted()
    for call in (lambda: model.score("the cat"), lambda: model.partial_fit("the cat" * 20)):
        with pytest.raises(ValueError, match="context must be given"):
            call()
    flow = fastrnn.diagnostics.gradient_flow
    calls = {"sample": lambda: model.sample(3), "stream": model.stream, "gradient_flow": lambda: flow(model, "the cat")}
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"{name} takes no context, and the model was fitted with contexts"):
            call()
    with pytest.raises(ValueError, match=r"context must have the shape \('M',\)"):
        model.generate(3, context=[["r"]])
    plain = LanguageModel(**SMALL).fit("abc" * 50, **QUICK)
    with pytest.raises(ValueError, match="context must be None"):
        plain.generate(3, context=["r"])
