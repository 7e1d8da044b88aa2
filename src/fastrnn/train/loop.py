"""The training loop that all models share: epochs of updates, validation, the best weights, and what ends it early."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import InitVar, dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import optim
from fastrnn.train.averaging import Average, Weights, copy_weights, put_weights
from fastrnn.train.checkpoints import Checkpoints
from fastrnn.train.options import Epoch, Options
from fastrnn.train.progress import Report, progress
from fastrnn.train.schedules import Moment

Gradients = dict[str, dict[str, Any]]
Carried = Mapping[str, NDArray[Any]]


class Interrupted(UserWarning):
    """Ctrl-C has ended a training; the model is fitted."""


class Update(NamedTuple):
    """One batch's mean loss, of how many units it is the mean, its gradients, and what the next batch starts from."""

    loss: float
    units: int
    gradients: Gradients
    carried: Carried = MappingProxyType({})


@dataclass(frozen=True)
class Task:
    """What a model is trained on.

    Attributes
    ----------
    epoch : callable
        ``epoch(number, done, carried)`` gives the `Update`s of epoch `number` (from 1), each made with the parameters
        that the one before it left, after the first `done` of them, whose last one carried `carried`. Any order of the
        data must follow from the number alone, so that a resumed epoch goes on where it was.
    size, unit : int, str
        How many units (characters, sequences) an epoch has, and what they are called in the progress bar.
    figures : callable
        Says a loss in words for the progress bar.
    validate : callable or None
        Gives the validation loss.
    fingerprint : callable
        Gives a text that is another one for other data; it is asked for only where there are checkpoints.
    settings : mapping
        What else decides about the updates, such as the size of a batch, by the names of arguments.
    """

    epoch: Callable[[int, int, Carried], Iterable[Update]]
    size: int
    unit: str
    figures: Callable[[float], str]
    validate: Callable[[], float] | None
    fingerprint: Callable[[], str]
    settings: Mapping[str, Any] = field(default_factory=dict)


def train(model: Any, task: Task, options: Options, optimizer: optim.Optimizer | None = None) -> optim.Optimizer:
    """Train a model in place.

    After each epoch `history_` of the model gets the mean loss of its updates under "loss", and the validation loss
    under "validation_loss". In the end the model has its last weights, their average where that was asked for, or,
    with `patience` and after Ctrl-C, those that did best in validation.

    Parameters
    ----------
    model : model
        It has `layers` and `history_`; for checkpoints it must be one that `fastrnn.save` takes.
    task, options : Task, Options
        What to train on, and how.
    optimizer : Optimizer, optional
        Of the model, to go on with; by default a new one.

    Returns
    -------
    Optimizer
        What has made the updates.

    Raises
    ------
    FloatingPointError
        A loss or a gradient's norm is not a finite number.
    ValueError
        The last checkpoint is of other data or other options.

    Warns
    -----
    Interrupted
        On Ctrl-C.
    """
    options.check_validation(task.validate is not None)
    run = Run(model, task, options, optimizer)
    if run.checkpoints is not None:
        run.checkpoints.open(run)
    try:
        with progress(options.epochs * task.size, task.unit, options.verbose) as report:
            report.add(run.units, "", "")
            while not run.ended:
                run.train_epoch(report)
        run.settle(best=options.patience is not None)
    except KeyboardInterrupt:
        run.settle(best=True)
        warnings.warn(run.interruption(), Interrupted, stacklevel=3)
    return run.optimizer


@dataclass
class Run:
    """A training under way: all that it knows between two updates, which is what a checkpoint holds."""

    model: Any
    task: Task
    options: Options
    given: InitVar[optim.Optimizer | None]
    epoch: int = 1
    done: int = 0  # updates in this epoch
    updates: int = 0  # in all epochs
    units: int = 0  # in all epochs
    total: float = 0.0  # of this epoch's losses, each times its units
    carried: Carried = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)  # after each epoch: of validation, or else of training
    best: Weights = field(default_factory=dict)  # those of the least validation loss
    ended: bool = False
    shown: float = math.nan  # a running mean for the progress bar

    def __post_init__(self, given: optim.Optimizer | None) -> None:
        self.optimizer = given or self.options.new_optimizer(self.model)
        self.average = None if self.options.averaging is None else Average(self.options.averaging)
        folder = self.options.checkpoint
        self.checkpoints = None if folder is None else Checkpoints(folder, self.options.keep)

    def train_epoch(self, report: Report) -> None:
        """Make the updates that are left of this epoch, and evaluate."""
        for update in self.task.epoch(self.epoch, self.done, self.carried):
            self.make(update)
            self.shown = update.loss if math.isnan(self.shown) else 0.95 * self.shown + 0.05 * update.loss
            report.add(update.units, f"epoch {self.epoch}/{self.options.epochs}", self.task.figures(self.shown))
            every = self.options.checkpoint_every
            if self.checkpoints is not None and every is not None and self.updates % every == 0:
                self.checkpoints.write(self)
        row = self.evaluate()
        self.epoch, self.done, self.total, self.carried = self.epoch + 1, 0, 0.0, {}
        stop = [callback(row) for callback in self.options.callbacks]
        self.ended = self.epoch > self.options.epochs or self.stagnant() or any(one is True for one in stop)
        report.row(row)
        if self.checkpoints is not None:
            self.checkpoints.write(self)

    def make(self, update: Update) -> None:
        """Clip the gradients and change the weights by them."""
        norm = self.clip(update.gradients)
        if not math.isfinite(update.loss + norm):
            raise FloatingPointError(self.divergence(update.loss, norm))
        done = self.units / (self.options.epochs * self.task.size)
        moment = Moment(done, self.epoch, self.updates, self.losses)
        self.optimizer.lr = self.options.learning_rate * self.options.rule.factor(moment)
        self.optimizer.step(update.gradients)
        if self.average is not None:
            self.average.update(self.model, self.losses)
        self.done, self.updates, self.units = self.done + 1, self.updates + 1, self.units + update.units
        self.total += update.loss * update.units
        self.carried = update.carried

    def clip(self, grads: Gradients) -> float:
        """Clip gradients in place; return a norm of them, or 0 where no one asked."""
        if self.options.clip_value is not None:
            worst = max(float(np.abs(array).max(initial=0)) for part in grads.values() for array in part.values())
            optim.clip_grad_value(grads, self.options.clip_value)
            if not math.isfinite(worst):
                return worst
        return 0.0 if self.options.clip_norm is None else optim.clip_grad_norm(grads, self.options.clip_norm)

    def evaluate(self) -> Epoch:
        """Note the losses of this epoch, and keep the weights if they are the best."""
        loss, validation = self.total / self.task.size, None
        if self.task.validate is not None:
            with nullcontext() if self.average is None else self.average.in_place(self.model):
                validation = self.task.validate()
                if validation < min(self.losses, default=math.inf):
                    self.best = copy_weights(self.model)
            self.model.history_["validation_loss"].append(validation)
        self.model.history_["loss"].append(loss)
        self.losses.append(loss if validation is None else validation)
        return Epoch(self.model, self.epoch, self.options.epochs, loss, validation, self.optimizer.lr)

    def stagnant(self) -> bool:
        """Return whether the loss has not fallen for `patience` epochs."""
        patience = self.options.patience
        return patience is not None and len(self.losses) - 1 - int(np.argmin(self.losses)) >= patience

    def settle(self, best: bool) -> None:
        """Give the model the weights that it is to keep."""
        if best and self.best:
            put_weights(self.model, self.best)
        elif self.average is not None and self.average.count:
            put_weights(self.model, self.average.weights)

    def interruption(self) -> str:
        """Say where Ctrl-C came, and what the model keeps."""
        if self.best:
            kept = f"the weights after epoch {int(np.argmin(self.losses)) + 1}, the best in validation"
        else:
            kept = "what it has learned so far"
        return f"training was interrupted in epoch {self.epoch}, after update {self.done} of it; the model keeps {kept}"

    def divergence(self, loss: float, norm: float) -> str:
        """Say what went wrong and where, and what helps."""
        what = f"the norm of the gradient is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
        return (
            f"{what} in epoch {self.epoch}, update {self.done + 1} of it: training diverged; "
            f"try a learning_rate below {self.options.learning_rate}, or clip_norm=1.0"
        )
