"""How the learning rate changes: each schedule gives the part of it that an update uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastrnn.layers._module import check_number, check_size
from fastrnn.train._checks import check_choice


@dataclass(frozen=True)
class Moment:
    """Where a training stands before an update.

    Attributes
    ----------
    done : float
        The part of the whole training that is done, from 0 to 1.
    epoch : int
        The number of the epoch, from 1.
    update : int
        The number of the update in the whole training, from 0.
    losses : sequence of float
        The validation loss after each epoch so far; the training loss where there is no validation.
    """

    done: float
    epoch: int
    update: int
    losses: Sequence[float]


class Schedule:
    """A rule for the learning rate; subclasses are frozen dataclasses of numbers and strings."""

    def factor(self, at: Moment) -> float:
        """Return by what the learning rate is multiplied."""
        raise AssertionError("every schedule defines factor")

    def describe(self) -> dict[str, Any]:
        """Return the schedule as plain values, from which `schedule_of` makes it again."""
        name = next(name for name, cls in SCHEDULES.items() if cls is type(self))
        return {"name": name, **{argument.name: getattr(self, argument.name) for argument in arguments_of(type(self))}}


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout."""

    def factor(self, at: Moment) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Linear(Schedule):
    """From the full rate in a straight line to 0 at the end."""

    def factor(self, at: Moment) -> float:
        """Return 1 - done."""
        return 1.0 - at.done


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a wave of the cosine from the full rate to 0 at the end (Loshchilov and Hutter 2017)."""

    def factor(self, at: Moment) -> float:
        """Return (1 + cos(pi done)) / 2."""
        return 0.5 * (1.0 + math.cos(math.pi * at.done))


@dataclass(frozen=True)
class Step(Schedule):
    """The full rate at first, then multiplied by `by` every so many epochs.

    Parameters
    ----------
    by : float
        Above 0.
    every : int
        How many epochs each further rate lasts.
    after : int, optional
        How many epochs the full rate lasts, by default `every`.

    Examples
    --------
    >>> from fastrnn.train import Moment, Step
    >>> [Step(0.5, after=3).factor(Moment(0, epoch, 0, [])) for epoch in range(1, 7)]
    [1.0, 1.0, 1.0, 0.5, 0.25, 0.125]
    """

    by: float = 0.5
    every: int = 1
    after: int | None = None

    def __post_init__(self) -> None:
        check_number(self.by, "by", above=True)
        check_size(self.every, "every")
        if self.after is not None:
            check_size(self.after, "after", least=0)

    def factor(self, at: Moment) -> float:
        """Return by to the power of how often it has been applied."""
        over = at.epoch - 1 - (self.every if self.after is None else self.after)
        return float(self.by ** (1 + over // self.every)) if over >= 0 else 1.0


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplied by `by` whenever the loss has not fallen for more than `patience` epochs in a row.

    Parameters
    ----------
    by : float
        Above 0.
    patience : int
        In epochs; the count starts anew after each fall and each change of the rate.
    """

    by: float = 0.5
    patience: int = 0

    def __post_init__(self) -> None:
        check_number(self.by, "by", above=True)
        check_size(self.patience, "patience", least=0)

    def factor(self, at: Moment) -> float:
        """Return by to the power of how often the losses so far have called for it."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in at.losses:
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited > self.patience:
                factor, waited = factor * self.by, 0
        return factor


@dataclass(frozen=True)
class Warmup(Schedule):
    """From near 0 in a straight line to the full rate over the first updates, multiplied by another schedule.

    Parameters
    ----------
    updates : int
        Update k of these, counted from 1, has k / updates of the rate.
    then : str, dict or Schedule
        The other schedule, which counts from the beginning too.
    """

    updates: int = 100
    then: Any = "constant"

    def __post_init__(self) -> None:
        check_size(self.updates, "updates")
        schedule_of(self.then)

    def factor(self, at: Moment) -> float:
        """Return the smaller part of the way and the other schedule's factor, multiplied."""
        return min(1.0, (at.update + 1) / self.updates) * schedule_of(self.then).factor(at)

    def describe(self) -> dict[str, Any]:
        """Return the schedule as plain values, the other one's among them."""
        return {"name": "warmup", "updates": self.updates, "then": schedule_of(self.then).describe()}


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "linear": Linear, "cosine": Cosine, "step": Step, "plateau": Plateau, "warmup": Warmup,
}  # fmt: skip


def schedule_of(value: Any) -> Schedule:
    """Return a schedule given as itself, by name, or as a mapping of its name and arguments."""
    if isinstance(value, Schedule):
        return value
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = given.pop("name", None)
    check_choice(name, "schedule", SCHEDULES)
    known = [argument.name for argument in arguments_of(SCHEDULES[name])]
    for argument in given:
        if argument not in known:
            raise ValueError(f"schedule {name} has no argument {argument!r}; it has {', '.join(known) or 'none'}")
    return SCHEDULES[name](**given)


def arguments_of(cls: Any) -> tuple[Any, ...]:
    """Return the fields of a schedule, which are its constructor's arguments."""
    return fields(cls)
