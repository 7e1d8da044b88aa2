"""The training loop that all models share: epochs of updates, a rate that may decay, clipping, validation, history."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn import optim
from fastrnn.layers._module import check_size
from fastrnn.train.progress import progress

Gradients = dict[str, dict[str, Any]]
Update = tuple[float, int, Gradients]  # mean loss of a batch, how many units it was the mean of, gradients
History = dict[str, list[float]]

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad, "sgd": optim.SGD,
}  # fmt: skip
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class Options:
    """How to train: what `fit` of every model takes, checked."""

    epochs: int
    optimizer: str
    learning_rate: float
    schedule: str
    clip_norm: float | None
    verbose: int

    def __post_init__(self) -> None:
        check_size(self.epochs, "epochs")
        check_choice(self.optimizer, "optimizer", OPTIMIZERS)
        check_number(self.learning_rate, "learning_rate", above=True)
        check_choice(self.schedule, "schedule", SCHEDULES)
        if self.clip_norm is not None:
            check_number(self.clip_norm, "clip_norm", above=True)
        check_choice(self.verbose, "verbose", (0, 1, 2))

    def rate(self, done: float) -> float:
        """Return the learning rate when a part of the training, from 0 to 1, is done."""
        return self.learning_rate * SCHEDULES[self.schedule](done)


def train(
    model: Any,
    epoch: Callable[[], Iterable[Update]],
    history: History,
    options: Options,
    *,
    size: int,
    unit: str,
    figures: Callable[[float], str],
    validate: Callable[[], float] | None,
) -> None:
    """Train a model in place.

    Parameters
    ----------
    model
        What an optimizer takes: it has `layers`.
    epoch : callable
        Starts an epoch: gives an update after the other, each made with the parameters that the one before it left.
    history : dict
        Gets each epoch's mean loss under "loss", and what `validate` then gives under "validation_loss".
    size, unit : int, str
        How many units (characters, sequences) an epoch has, and what they are called in the progress bar.
    figures : callable
        Says a loss in words for the progress bar.
    validate : callable, optional
        Gives the validation loss.

    Raises
    ------
    FloatingPointError
        A loss or a gradient's norm is not a finite number.
    """
    optimizer = OPTIMIZERS[options.optimizer](model, lr=options.rate(0))
    done, shown = 0, None
    with progress(options.epochs * size, unit, options.verbose) as report:
        for number in range(1, options.epochs + 1):
            total = 0.0
            for loss, count, grads in epoch():
                norm = 0.0 if options.clip_norm is None else optim.clip_grad_norm(grads, options.clip_norm)
                if not math.isfinite(loss + norm):
                    raise FloatingPointError(diverged(loss, norm, number, options.learning_rate))
                optimizer.lr = options.rate(done / (options.epochs * size))
                optimizer.step(grads)
                done, total = done + count, total + loss * count
                shown = loss if shown is None else 0.95 * shown + 0.05 * loss
                report(count, f"epoch {number}/{options.epochs}", figures(shown))
            history["loss"].append(total / size)
            if validate is not None:
                history["validation_loss"].append(validate())


def diverged(loss: float, norm: float, epoch: int, learning_rate: float) -> str:
    """Say what went wrong, and what helps."""
    what = f"the norm of the gradient is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    return f"{what} in epoch {epoch}: training diverged; try a learning_rate below {learning_rate}, or clip_norm=1.0"


def check_choice(value: Any, name: str, choices: Iterable[Any]) -> None:
    """Refuse what is not one of the choices."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")


def check_number(value: Any, name: str, above: bool = False) -> None:
    """Refuse what is not a number from 0 upwards, or above 0."""
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf or (above and value == 0):
        raise ValueError(f"{name} must be a number {'above 0' if above else 'from 0 upwards'}, got {value!r}")
