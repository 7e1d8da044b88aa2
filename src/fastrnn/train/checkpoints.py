"""Checkpoints: the file of a model, which holds also all that its training needs to go on with the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._gradients import leaves

if TYPE_CHECKING:
    from fastrnn.train.loop import Run

NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
FIELDS = ("epoch", "done", "updates", "units", "total", "losses", "ended")  # of a run, besides arrays
PREFIX = "training."  # of the arrays' names; no layer has it


class Checkpoints:
    """A folder of checkpoints, of which the last ones stay. Each is written whole or not at all, and is a model's file.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    keep : int
        How many stay.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int) -> None:
        self.folder, self.keep = os.fspath(folder), keep

    def files(self) -> list[str]:
        """Return the paths of all checkpoints, the oldest first."""
        found = [name for name in os.listdir(self.folder) if NAME.fullmatch(name)]
        return [os.path.join(self.folder, name) for name in sorted(found, key=lambda name: int(name[11:-12]))]

    def open(self, run: Run) -> None:
        """Bring a run to where the last checkpoint was made if it asks for that, and refuse to mix two trainings."""
        os.makedirs(self.folder, exist_ok=True)
        files = self.files()
        if files and not run.options.resume:
            raise ValueError(
                f"checkpoint={self.folder} holds checkpoints of another training: "
                "resume=True goes on with it, or name another folder"
            )
        if files:
            restore(run, files[-1])

    def write(self, run: Run) -> None:
        """Write a checkpoint, and remove those that are too many."""
        from fastrnn import serialization

        path = os.path.join(self.folder, f"checkpoint-{run.updates:09d}.safetensors")
        record, arrays = describe(run)
        serialization.write(serialization.serialized(run.model, {"training": record}, arrays), path)
        for old in self.files()[: -self.keep]:
            os.unlink(old)


def describe(run: Run) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a run knows besides the model: plain values, and arrays by name."""
    state = run.optimizer.state_dict()
    arrays = {
        "optimizer": dict(leaves(state["state"])),
        "average": {} if run.average is None else run.average.weights,
        "best": run.best,
        "carried": run.carried,
    }
    record = {
        "options": {**run.options.describe(), **run.task.settings},
        "data": run.task.fingerprint(),
        "run": {name: getattr(run, name) for name in FIELDS},
        "averaged": 0 if run.average is None else run.average.count,
        "optimizer": {"step": state["step"], "options": state["options"]},
    }
    return record, {f"{PREFIX}{kind}.{name}": array for kind, part in arrays.items() for name, array in part.items()}


def restore(run: Run, path: str) -> None:
    """Give a run, and its model, what `describe` returned when the checkpoint was written."""
    from fastrnn import serialization

    record, tensors = serialization.read(path)
    try:
        training, params = record["training"], record["params"]
        check_same(params, run.model.get_params(), "the model", path)
        check_same(training["options"], {**run.options.describe(), **run.task.settings}, "the training", path)
        if training["data"] != run.task.fingerprint():
            raise ValueError(f"{path} is of a training on other data")
        layers = serialization.layers_in(record, tensors)
        run.model._set_fitted(layers, record["fitted"])
        run.optimizer = run.options.new_optimizer(run.model)
        run.optimizer.load_state_dict({**training["optimizer"], "state": arrays_in(tensors, "optimizer")})
        for name in FIELDS:
            setattr(run, name, training["run"][name])
        run.best, run.carried = arrays_in(tensors, "best"), arrays_in(tensors, "carried")
        if run.average is not None:
            run.average.count, run.average.weights = training["averaged"], arrays_in(tensors, "average")
    except (KeyError, TypeError, AttributeError) as error:
        raise serialization.damaged(path, error) from error


def arrays_in(tensors: dict[str, NDArray[Any]], kind: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one kind by the names that `describe` had for them."""
    start = f"{PREFIX}{kind}."
    return {name[len(start) :]: array for name, array in tensors.items() if name.startswith(start)}


def check_same(saved: dict[str, Any], given: dict[str, Any], what: str, path: str) -> None:
    """Refuse to go on with other settings than those in a checkpoint."""
    from fastrnn.serialization import plain

    now = json.loads(json.dumps(given, default=plain))
    for name in now.keys() | saved.keys():
        if saved.get(name) != now.get(name):
            raise ValueError(f"{path} is of {what} with {name}={saved.get(name)!r}, got {now.get(name)!r}")


def fingerprint(*arrays: Any) -> str:
    """Return a hash of arrays, their shapes and precisions among it; of a file in memory it reads a piece at a time."""
    found = hashlib.blake2b(digest_size=16)
    for value in arrays:
        array = np.asarray(value)
        found.update(f"{array.shape} {array.dtype.str};".encode())
        flat = array.reshape(-1)
        for start in range(0, len(flat), 1 << 20):
            found.update(np.ascontiguousarray(flat[start : start + (1 << 20)]).data)
    return found.hexdigest()
