"""Figures of trainings: which lines there are, of which numbers, and what is refused."""

import sys

import numpy as np
import pytest

import fastrnn
from fastrnn.models import LanguageModel, SequenceRegressor

HISTORY = {"loss": [3.0, 2.0, 1.5], "validation_loss": [2.5, 2.25, 2.125]}


def lines(figure) -> list[tuple]:
    """The label, style, colour and numbers of each line."""
    (axes,) = figure.axes
    drawn = [(one.get_label(), one.get_linestyle(), one.get_color(), *one.get_data()) for one in axes.get_lines()]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [label for label, *_ in drawn]
    return [(*first, list(x), list(y)) for *first, x, y in drawn]


def test_losses_of_a_training(tmp_path):
    figure = fastrnn.plot.history(HISTORY)
    steps = [1, 2, 3]
    assert lines(figure) == [
        ("training", "-", "C0", steps, HISTORY["loss"]),
        ("validation", "--", "C0", steps, HISTORY["validation_loss"]),
    ]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("epoch", "loss")
    figure.savefig(tmp_path / "losses.svg")
    assert (tmp_path / "losses.svg").stat().st_size > 1000


def test_losses_of_several():
    """A colour for each, from models and histories alike; no line where nothing was noted."""
    fitted = LanguageModel(hidden_size=4, num_layers=1, random_state=0)
    fitted.fit("abc" * 20, "cab", epochs=2, batch_size=2, sequence_length=8, verbose=0)
    drawn = lines(fastrnn.plot.history({"fitted": fitted, "noted": {"loss": [1.0]}}))
    assert drawn == [
        ("fitted", "-", "C0", [1, 2], fitted.history_["loss"]),
        ("fitted, validation", "--", "C0", [1, 2], fitted.history_["validation_loss"]),
        ("noted", "-", "C1", [1], [1.0]),
    ]


def test_losses_of_updates():
    """Few losses are marked, so that a single one is seen; many are a plain line."""
    model = SequenceRegressor(hidden_size=4, random_state=0)
    x = np.random.default_rng(0).normal(size=(4, 3, 1))
    for count in (1, 99):
        for _ in range(count):
            model.partial_fit(x, x[:, -1, 0])
        figure = fastrnn.plot.history(model, unit="update")
        assert figure.axes[0].get_xlabel() == "update"
        assert figure.axes[0].get_lines()[0].get_marker() == ("." if count == 1 else "")
    assert len(lines(figure)[0][-1]) == 100


def test_what_is_refused(monkeypatch):
    model = LanguageModel()
    for wrong in (model, {}, [1.0], {"validation_loss": [1.0]}, {"a": model}, {"a": HISTORY, "b": [1.0]}):
        with pytest.raises(TypeError, match="histories must"):
            fastrnn.plot.history(wrong)
    with pytest.raises(ValueError, match=r"histories must hold at least one loss each, got \{'loss': \[\]\}"):
        fastrnn.plot.history({"loss": []})
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastrnn\[plot\]'"):
        fastrnn.plot.history(HISTORY)
