"""How to train: what `fit` of every model takes besides its data, checked in one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from fastrnn import optim
from fastrnn.layers._module import check_number, check_size
from fastrnn.train._checks import check_choice
from fastrnn.train.schedules import Schedule, schedule_of

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad, "sgd": optim.SGD,
}  # fmt: skip


@dataclass(frozen=True)
class Epoch:
    """What a callback is told after each epoch.

    Attributes
    ----------
    model : model
        As the epoch left it; averaged weights are not in place.
    number, epochs : int
        Of this epoch, from 1, and of all.
    loss : float
        The mean loss of the epoch's updates.
    validation_loss : float or None
        The loss on the validation data.
    learning_rate : float
        Of the last update.
    """

    model: Any
    number: int
    epochs: int
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes
    ----------
    epochs : int
        How often the data is read.
    optimizer : {"adam", "adamw", "rmsprop", "adagrad", "sgd"}
        From `fastrnn.optim`.
    learning_rate : float
        The rate that the schedule multiplies.
    schedule : str, dict or Schedule
        "constant", "linear", "cosine", "step", "plateau" or "warmup", or an object of `fastrnn.train`, which has
        arguments, such as ``Step(0.5, after=4)``; also {"name": "step", "by": 0.5, "after": 4}.
    clip_norm : float, optional
        The largest norm of all gradients together.
    verbose : {0, 1, 2}
        No progress bar, one where standard error is a terminal, in any case one and a table of losses.
    clip_value : float, optional
        The largest absolute value of each number in the gradients; before `clip_norm` where both are given.
    optimizer_options : dict
        Further arguments of the optimizer, such as {"momentum": 0.9}.
    patience : int, optional
        Ends the training when the validation loss has not fallen for so many epochs, and restores the best weights.
    averaging : float or "nt-asgd", optional
        The decay of an exponential average of the weights, or non-monotonically triggered averaging, which evaluation
        and the trained model use (see `fastrnn.train.Average`).
    callbacks : sequence of callables
        Each is called with an `Epoch` after every epoch; one that returns True ends the training.
    checkpoint : path, optional
        A folder that gets a checkpoint after every epoch.
    checkpoint_every : int, optional
        Makes a checkpoint after so many updates too.
    keep : int
        How many checkpoints, the last ones, stay.
    resume : bool
        Continues from the last checkpoint, if there is one, with the same bits as if nothing had happened.
    """

    epochs: int
    optimizer: str
    learning_rate: float
    schedule: Any
    clip_norm: float | None
    verbose: int
    clip_value: float | None = None
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    patience: int | None = None
    averaging: float | str | None = None
    callbacks: Sequence[Callable[[Epoch], Any]] = ()
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int | None = None
    keep: int = 2
    resume: bool = False

    def __post_init__(self) -> None:
        check_size(self.epochs, "epochs")
        check_choice(self.optimizer, "optimizer", OPTIMIZERS)
        check_number(self.learning_rate, "learning_rate", above=True)
        schedule_of(self.schedule)
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                check_number(getattr(self, name), name, above=True)
        check_choice(self.verbose, "verbose", (0, 1, 2))
        if not isinstance(self.optimizer_options, Mapping):
            raise TypeError(f"optimizer_options must be a mapping, got {type(self.optimizer_options).__name__}")
        for name in ("patience", "checkpoint_every"):
            if getattr(self, name) is not None:
                check_size(getattr(self, name), name)
        self._check_averaging()
        self._check_callbacks()
        check_size(self.keep, "keep")
        if self.checkpoint is None and (self.resume or self.checkpoint_every is not None):
            raise ValueError("resume and checkpoint_every need checkpoint, the folder of the checkpoints, got None")
        if self.checkpoint is not None and not isinstance(self.checkpoint, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be a path, got {type(self.checkpoint).__name__}")

    def _check_averaging(self) -> None:
        value = self.averaging
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (value is None or value == "nt-asgd" or (number and 0 < float(value) < 1)):
            raise ValueError(f'averaging must be a number between 0 and 1, "nt-asgd" or None, got {value!r}')

    def _check_callbacks(self) -> None:
        if not isinstance(self.callbacks, Sequence) or not all(callable(one) for one in self.callbacks):
            raise TypeError(f"callbacks must be a list of functions, got {self.callbacks!r}")

    def check_validation(self, given: bool) -> None:
        """Refuse what needs validation data where there is none."""
        for name in () if given else ("patience", "averaging"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, float):
                raise ValueError(f"{name}={value!r} needs validation data")

    @property
    def rule(self) -> Schedule:
        """The schedule as an object."""
        return schedule_of(self.schedule)

    def new_optimizer(self, model: Any) -> optim.Optimizer:
        """Return a new optimizer of a model's parameters."""
        try:
            return OPTIMIZERS[self.optimizer](model, lr=self.learning_rate, **self.optimizer_options)
        except TypeError as error:
            raise TypeError(f"optimizer_options of {self.optimizer}: {error}") from error

    def describe(self) -> dict[str, Any]:
        """Return all that decides about the trained bits, as plain values."""
        names = ("epochs", "optimizer", "learning_rate", "clip_norm", "clip_value", "patience", "averaging")
        return {
            **{name: getattr(self, name) for name in names},
            "optimizer_options": dict(self.optimizer_options),
            "schedule": self.rule.describe(),
        }


def options_of(given: Mapping[str, Any]) -> Options:
    """Return the options in the arguments of a `fit`, or name the one that does not exist."""
    known = [one.name for one in fields(Options)]
    for name in given:
        if name not in known:
            raise TypeError(f"fit has no argument {name!r}; those of training are {', '.join(known)}")
    return Options(**given)
