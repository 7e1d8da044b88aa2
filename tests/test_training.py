"""The training loop: schedules, clipping, early stopping, averages, callbacks, Ctrl-C, and exact checkpoints."""

import copy
import math
import os
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits

import fastrnn
from fastrnn import optim
from fastrnn.models import LanguageModel
from fastrnn.train import (
    Average,
    Constant,
    Cosine,
    Interrupted,
    Linear,
    Moment,
    Plateau,
    Step,
    Task,
    Update,
    Warmup,
    averaging,
    train,
)
from fastrnn.train.averaging import copy_weights, parameters_of, put_weights, stagnant
from fastrnn.train.checkpoints import fingerprint
from fastrnn.train.options import options_of
from fastrnn.train.schedules import SCHEDULES, schedule_of

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 5
OTHER = "the cat sat on the log.\nthe dog sat on the mat.\n"
SMALL = {"hidden_size": 6, "num_layers": 1, "random_state": 0}
QUICK = {"epochs": 3, "batch_size": 3, "sequence_length": 9, "verbose": 0}
PLAIN = {"epochs": 4, "optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant", "clip_norm": None, "verbose": 0}


@dataclass
class Toy:
    """A single weight, which each update moves by -gradient."""

    layers: dict = field(default_factory=lambda: {"only": fastrnn.Dense(1, 1, bias=False, init=0.0, dtype="float64")})
    history_: dict = field(default_factory=lambda: {"loss": [], "validation_loss": []})

    @property
    def weight(self) -> float:
        return float(self.layers["only"].parameters["weight"][0, 0])


def step(gradient: float, loss: float = 1.0) -> Update:
    return Update(loss, 1, {"only": {"weight": np.array([[gradient]])}})


def train_toy(model, updates=lambda number: [step(-1.0)] * 2, validation=None, size=2, **options):
    """Train by the given updates of each epoch; `validation` holds the losses that evaluation will find."""
    losses = None if validation is None else iter(validation)
    task = Task(
        lambda number, done, carried: updates(number)[done:], size, "step", "{:.2f}".format,
        None if losses is None else lambda: next(losses), lambda: "toy",
    )  # fmt: skip
    train(model, task, options_of({**PLAIN, **options}))
    return model


def factors(schedule, epochs=6, updates=2, losses=()) -> list[float]:
    schedule, total = schedule_of(schedule), epochs * updates
    return [
        schedule.factor(Moment(k / total, 1 + k // updates, k, losses[: k // updates]))
        for k in range(0, total, updates)
    ]


# schedules


def test_schedules():
    assert factors("constant") == factors(Constant()) == [1] * 6
    assert_close(factors(Linear()), [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6], 1e-15)
    assert_close(factors(Cosine()), (1 + np.cos(np.pi * np.arange(6) / 6)) / 2, 1e-15)
    assert factors(Step()) == [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert factors(Step(0.5, after=4)) == [1, 1, 1, 1, 0.5, 0.25]
    assert factors(Step(0.1, every=2)) == [1, 1, 0.1, 0.1, 0.1**2, 0.1**2]
    assert factors(Step(0.5, every=2, after=1)) == [1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert factors({"name": "step", "by": 0.5, "after": 0}) == [2.0**-k for k in range(1, 7)]
    assert factors(Warmup(8)) == [1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1]
    assert factors(Warmup(3, Step(0.5, after=2))) == [1 / 3, 1, 0.5, 0.25, 0.125, 0.0625]


def test_plateau():
    losses = [3.0, 2.0, 2.0, 1.9, 1.9, 1.9]
    assert factors(Plateau(0.5), losses=losses) == [1, 1, 1, 0.5, 0.5, 0.25]
    assert factors(Plateau(0.5, patience=1), losses=[3.0, 3.0, 3.0, 3.0, 2.0, 3.0]) == [1, 1, 1, 0.5, 0.5, 0.5]


def test_a_schedule_is_made_again_from_its_description():
    defaults = [one() for one in SCHEDULES.values()]
    for schedule in (Step(0.3, after=2), Plateau(0.2, 3), Warmup(5, Step(0.3, every=2)), *defaults):
        assert factors(schedule_of(schedule.describe()), losses=[1.0] * 6) == factors(schedule, losses=[1.0] * 6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("steep", "schedule must be one of constant, linear"), ({"by": 2}, "schedule must be one of .*, got None"),
        ({"name": "step", "size": 1}, "schedule step has no argument 'size'; it has by, every, after"),
        ({"name": "step", "by": 0}, "by must be a number above 0, got 0"),
        ({"name": "step", "every": 0}, "every must be at least 1, got 0"),
        ({"name": "warmup", "then": "x"}, "schedule must be one of .*, got 'x'"),
    ],
)  # fmt: skip
def test_bad_schedules(given, words):
    with pytest.raises(ValueError, match=words):
        schedule_of(given)


def test_the_rate_follows_the_validation_loss():
    model = train_toy(Toy(), validation=[5.0, 5.0, 5.0, 5.0], schedule=Plateau(0.5))
    assert model.weight == 2 * (1 + 1 + 0.5 + 0.25)
    model = train_toy(Toy(), lambda number: [step(-1.0, loss=9.0)] * 2, schedule=Plateau(0.5))  # without validation
    assert model.weight == 2 * (1 + 1 + 0.5 + 0.25)


# clipping, optimizers


def test_clipping_by_value_comes_before_the_norm():
    assert train_toy(Toy(), lambda number: [step(-7.0), step(0.25)], clip_value=2.0, epochs=1).weight == 1.75
    weight = train_toy(Toy(), lambda number: [step(-7.0), step(7.0)], clip_value=2.0, clip_norm=1.0, epochs=1).weight
    assert_close(weight, 0.0, 1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [{"clip_value": 2.0}, {"clip_norm": 1.0}])
def test_what_is_not_finite_stops_the_training_and_says_where(bad, clip):
    model = Toy()
    with pytest.raises(FloatingPointError, match=r"norm of the gradient is (nan|inf) in epoch 3, update 2 of it"):
        train_toy(model, lambda number: [step(-1.0), step(bad if number == 3 else 0.0)], **clip)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1, update 1 of it"):
        train_toy(Toy(), lambda number: [step(0.0, math.nan)], size=1)


def test_options_reach_the_optimizer():
    model = train_toy(Toy(), optimizer_options={"momentum": 0.5}, epochs=1)
    assert model.weight == 1 + 1.5


# early stopping


def test_early_stopping_restores_the_best_weights():
    model = train_toy(Toy(), validation=[4.0, 2.0, 3.0, 2.0, 1.0], epochs=5, patience=2)
    assert model.history_["validation_loss"] == [4.0, 2.0, 3.0, 2.0]
    assert model.weight == 4
    model = train_toy(Toy(), validation=[4.0, 2.0, 3.0, 2.0, 1.0], epochs=5, patience=3)
    assert (len(model.history_["loss"]), model.weight) == (5, 10)
    model = train_toy(Toy(), validation=[4.0, 2.0, 3.0], epochs=3, patience=3)  # the end comes first
    assert model.weight == 4
    assert train_toy(Toy(), validation=[4.0, 2.0, 3.0], epochs=3).weight == 6  # not asked for


def test_a_callback_sees_each_epoch_and_can_end_the_training():
    seen = []

    def callback(epoch):
        losses = epoch.loss, epoch.validation_loss
        seen.append((epoch.number, epoch.epochs, *losses, epoch.learning_rate, epoch.model.weight))
        return epoch.number == 3

    updates = lambda number: [step(-1.0, loss=number), step(-1.0, loss=number + 1)]  # noqa: E731
    model = train_toy(Toy(), updates, validation=[9.0, 8.0, 7.0], callbacks=[callback], schedule=Step(0.5))
    assert seen == [(1, 4, 1.5, 9.0, 1.0, 2.0), (2, 4, 2.5, 8.0, 0.5, 3.0), (3, 4, 3.5, 7.0, 0.25, 3.5)]
    assert model.history_ == {"loss": [1.5, 2.5, 3.5], "validation_loss": [9.0, 8.0, 7.0]}


def test_ctrl_c_keeps_the_best():
    def interrupted(number):
        yield step(-1.0)
        if number == 4:
            raise KeyboardInterrupt
        yield step(-1.0)

    def updates(number):
        class Epoch:
            def __getitem__(self, rest):
                return interrupted(number)

        return Epoch()

    with pytest.warns(Interrupted, match="in epoch 4, after update 1 of it; .* the weights after epoch 2, the"):
        model = train_toy(Toy(), updates, validation=[3.0, 1.0, 2.0])
    assert model.weight == 4
    with pytest.warns(Interrupted, match="the model keeps what it has learned so far"):
        model = train_toy(Toy(), updates)
    assert model.weight == 7


# averages


def test_exponential_average():
    rng, model, mean = np.random.default_rng(0), Toy(), Average(0.75)
    values = rng.standard_normal(5)
    for value in values:
        model.layers["only"].set_parameters(weight=[[value]])
        mean.update(model, [])
    expected = values[0]
    for value in values[1:]:
        expected = 0.75 * expected + 0.25 * value
    assert_close(mean.weights["only.weight"], [[expected]], 1e-15)


def test_non_monotonically_triggered_average(monkeypatch):
    monkeypatch.setattr(averaging, "NON_MONOTONE", 2)
    assert [stagnant([3.0, 2.0, 2.0, 2.0, 2.5][:k]) for k in range(6)] == [False] * 5 + [True]
    model = train_toy(Toy(), validation=[3.0, 2.0, 2.0, 2.5, 3.5, 3.5], epochs=6, averaging="nt-asgd")
    assert model.weight == np.mean([11, 12])  # of epoch 6: that of epoch 5 was the first above the least of 1 and 2


def test_the_average_is_what_is_evaluated_and_kept():
    model, seen = Toy(), []
    task = Task(
        lambda number, done, carried: [step(-1.0)] * 2, 2, "step", str,
        lambda: seen.append(model.weight) or [3.0, 1.0, 2.0][len(seen) - 1], lambda: "",
    )  # fmt: skip
    inside = []
    options = {**PLAIN, "epochs": 3, "averaging": 0.5, "callbacks": [lambda epoch: inside.append(epoch.model.weight)]}
    train(model, task, options_of(options))
    expected = [1.0]
    for weight in range(2, 7):
        expected.append(0.5 * expected[-1] + 0.5 * weight)
    assert seen == expected[1::2]
    assert inside == [2, 4, 6]
    assert model.weight == expected[-1]


def test_the_best_average_is_restored():
    model = train_toy(Toy(), validation=[3.0, 1.0, 2.0], epochs=3, averaging=0.5, patience=2)
    assert model.weight == 0.5 * (0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 3) + 0.5 * 4


def test_weights_of_a_tied_model_are_taken_once():
    model = LanguageModel(**SMALL, tied=True).fit(TEXT, **QUICK)
    assert sum(name.endswith("weight") for name in parameters_of(model)) == 1
    before, layers = copy_weights(model), {name: layer.state_dict() for name, layer in model.layers.items()}
    scores = [model.score(OTHER)]
    put_weights(model, {name: np.zeros_like(array) for name, array in before.items()})
    scores.append(model.score(OTHER))
    put_weights(model, before)
    scores.append(model.score(OTHER))
    assert scores[0] == scores[2] != scores[1]
    assert_same_bits({name: layer.state_dict() for name, layer in model.layers.items()}, layers)


# checkpoints


class Stop(Exception):
    """Takes the place of a lost machine."""


def fingers(model) -> dict:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


CHECKPOINTED = {
    "adam": {},
    "dropout": {"model": {"num_layers": 2, "dropout": 0.4}},
    "gru": {"model": {"cell": "gru", "embedding_size": 4}, "fit": {"optimizer": "adamw", "schedule": "cosine"}},
    "tied": {"model": {"tied": True}, "fit": {"optimizer": "rmsprop", "optimizer_options": {"momentum": 0.5}}},
    "average": {"fit": {"averaging": 0.9, "schedule": Warmup(9, "linear")}},
    "asgd": {"fit": {"averaging": "nt-asgd", "learning_rate": 0.1}, "validation": OTHER[::-1]},  # from epoch 3 on
    "patience": {"fit": {"patience": 2, "learning_rate": 0.1, "schedule": Plateau(0.9)}, "validation": OTHER[::-1]},
}


@pytest.mark.parametrize("kind", CHECKPOINTED)
def test_an_interrupted_training_resumes_with_the_same_bits(kind, tmp_path, monkeypatch):
    """Lost after any update: in the middle of an epoch, at its end, before the first checkpoint."""
    monkeypatch.setattr(averaging, "NON_MONOTONE", 0)
    params = {**SMALL, **CHECKPOINTED[kind].get("model", {})}
    fit = {**QUICK, **CHECKPOINTED[kind].get("fit", {})}
    held_out = CHECKPOINTED[kind].get("validation", OTHER)
    whole = LanguageModel(**params).fit(TEXT, held_out, **fit)
    method, made = optim.Optimizer.step, []

    def counted(self, grads):
        if len(made) == limit:
            raise Stop
        made.append(self)
        method(self, grads)

    monkeypatch.setattr(optim.Optimizer, "step", counted)
    folder = tmp_path / "checkpoints"
    options = {**fit, "checkpoint": folder, "checkpoint_every": 4, "resume": True}
    for limit in (2, 7, 1, 8, 12):  # noqa: B007 - read by `counted`
        made.clear()
        with pytest.raises(Stop):
            LanguageModel(**params).fit(TEXT, held_out, **options)
    limit = math.inf
    resumed = LanguageModel(**params).fit(TEXT, held_out, **options)
    assert_same_bits(fingers(resumed), fingers(whole))
    assert resumed.history_ == whole.history_
    assert resumed.sample(30) == whole.sample(30)
    made.clear()
    again = LanguageModel(**params).fit(TEXT, held_out, **options)  # what is finished is not trained further
    assert made == []
    assert_same_bits(fingers(again), fingers(whole))


def test_the_last_checkpoints_stay_and_are_models(tmp_path):
    model = LanguageModel(**SMALL)
    model.fit(TEXT, **QUICK, checkpoint=tmp_path / "a" / "b", keep=2)
    names = sorted(os.listdir(tmp_path / "a" / "b"))
    assert names == ["checkpoint-000000018.safetensors", "checkpoint-000000027.safetensors"]
    last = fastrnn.load(tmp_path / "a" / "b" / names[-1])
    assert_same_bits(fingers(last), fingers(model))
    assert last.score(OTHER) == model.score(OTHER)


def test_a_checkpoint_that_cannot_be_written_whole_leaves_the_others(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    LanguageModel(**SMALL).fit(TEXT, **{**QUICK, "epochs": 1}, checkpoint=tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        LanguageModel(**SMALL).fit(TEXT, **QUICK, checkpoint=tmp_path / "other")
    assert os.listdir(tmp_path / "other") == []
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_what_does_not_belong_together_is_not_mixed(tmp_path):
    def fit(text=TEXT, other=OTHER, resume=True, params=SMALL, **changes):
        return LanguageModel(**params).fit(text, other, **{**QUICK, **changes}, checkpoint=tmp_path, resume=resume)

    fit(resume=False)
    kept = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    for change, words in (
        ({"resume": False}, "holds checkpoints of another training: resume=True goes on with it"),
        ({"text": TEXT.replace("dog", "god")}, "is of a training on other data"),
        ({"other": TEXT}, "is of a training on other data"),
        ({"batch_size": 4}, "is of the training with batch_size=3, got 4"),
        ({"learning_rate": 1e-3}, "is of the training with learning_rate=0.004, got 0.001"),
        ({"params": {**SMALL, "hidden_size": 7}}, "is of the model with hidden_size=6, got 7"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(**change)
    assert kept == {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    (tmp_path / sorted(kept)[-1]).write_bytes(b"junk")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        fit()


def test_fingerprints():
    a = np.arange(6, dtype="int32")
    different = [a, a[::-1], a.reshape(2, 3), a.astype("int64"), a[:5], np.concatenate([a, a])]
    assert len({fingerprint(array) for array in different}) == len(different)
    assert fingerprint(a, a) == fingerprint(a.copy(), np.arange(12)[::2].astype("int32") // 2)
    assert fingerprint(a, a) != fingerprint(np.concatenate([a, a]))


# bad input

BAD = [
    ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
    ({"patience": 2}, ValueError, "patience=2 needs validation data"),
    ({"averaging": "nt-asgd"}, ValueError, "averaging='nt-asgd' needs validation data"),
    ({"averaging": 1.0}, ValueError, "averaging must be a number between 0 and 1, .* got 1.0"),
    ({"averaging": "ema"}, ValueError, "averaging must be .* got 'ema'"),
    ({"clip_value": 0}, ValueError, "clip_value must be a number above 0, got 0"),
    ({"callbacks": print}, TypeError, "callbacks must be a list of functions, got <built-in"),
    ({"callbacks": [3]}, TypeError, "callbacks must be a list of functions"),
    ({"keep": 0, "checkpoint": "x"}, ValueError, "keep must be at least 1, got 0"),
    ({"resume": True}, ValueError, "resume and checkpoint_every need checkpoint"),
    ({"checkpoint_every": 2}, ValueError, "resume and checkpoint_every need checkpoint"),
    ({"checkpoint": 3}, TypeError, "checkpoint must be a path, got int"),
    ({"optimizer_options": 3}, TypeError, "optimizer_options must be a mapping, got int"),
    ({"optimizer_options": {"beta": 3}}, TypeError, "optimizer_options of adam: .*beta"),
    ({"optimizer_options": {"eps": -1}}, ValueError, "eps must be .* got -1"),
    ({"epoch": 3}, TypeError, "fit has no argument 'epoch'; those of training are epochs, optimizer, learning_rate"),
]


@pytest.mark.parametrize(("given", "error", "words"), BAD)
def test_bad_options(given, error, words):
    model = LanguageModel(**SMALL).fit(TEXT, **QUICK)
    before, attributes = fingers(model), copy.copy(vars(model))
    with pytest.raises(error, match=words):
        model.fit(TEXT, **{**QUICK, **given})
    assert vars(model) == attributes
    assert_same_bits(fingers(model), before)


def test_a_table_of_losses(capsys):
    LanguageModel(**SMALL).fit(TEXT, OTHER, **{**QUICK, "verbose": 2})
    rows = [line.split() for line in capsys.readouterr().err.replace("\r", "\n").splitlines()]
    assert ["epoch", "loss", "validation", "rate"] in rows
    numbers = [row[0] for row in rows if len(row) == 4 and row[0].isdigit()]
    assert numbers == ["1", "2", "3"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LanguageModel(**SMALL).fit(TEXT, **QUICK)
    assert capsys.readouterr().err == ""
