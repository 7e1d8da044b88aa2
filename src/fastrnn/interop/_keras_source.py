"""Where a Keras model's layers and weights are found: in a living model, in a `.keras` file, in a `.weights.h5` file.

A layer's weights are lists of arrays, one list for each part that has some: the cell of a recurrent layer, both cells
of a bidirectional one. Files are read with h5py alone, and nothing in them is executed.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._parameter import as_array

Array = NDArray[Any]
Config = dict[str, Any]

# The attributes of a layer that lead to its weights; a file's groups have the same names.
PARTS = {
    "SimpleRNN": ["cell"], "LSTM": ["cell"], "GRU": ["cell"], "Embedding": [""], "Dense": [""],
    "Bidirectional": ["forward_layer/cell", "backward_layer/cell"], "TimeDistributed": ["layer"],
}  # fmt: skip
GROUPS = {"SimpleRNN": "simple_rnn", "TimeDistributed": "time_distributed"}  # others: their name in lower case


def describe(source: Any) -> tuple[Config, dict[str, list[list[Array]]]]:
    """Return the configuration of a Keras layer or model, or of a `.keras` file, and {layer's name: weights}."""
    if isinstance(source, (str, os.PathLike)):
        return read_model(os.fspath(source))
    if not (hasattr(source, "get_config") and hasattr(source, "get_weights")):
        raise TypeError(f"source must be a Keras layer or model or the path of a file, got {type(source).__name__}")
    if not source.built:
        raise ValueError(f"source must be built, so that it has weights; call {source.name} on an input first")
    from keras.saving import serialize_keras_object  # whatever made `source` is installed

    config = serialize_keras_object(source)
    weights = {layer.name: list(living_weights(layer)) for layer in getattr(source, "layers", [source])}
    return config, weights


def living_weights(layer: Any) -> Iterator[list[Array]]:
    """Give the arrays of each part of a layer, but for those of a dtype that its parser refuses."""
    for part in PARTS.get(type(layer).__name__, []):
        owner = layer
        for name in filter(None, part.split("/")):
            owner = getattr(owner, name)
        yield [as_array(variable.value) for variable in owner.weights if variable.dtype in ("float32", "float64")]


def read_model(path: str) -> tuple[Config, dict[str, list[list[Array]]]]:
    """Return the configuration in a `.keras` file and {layer's name: weights}."""
    h5py = load_h5py()
    with open(path, "rb"):
        pass  # a file that is not there or not to be read is reported as Python does it
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            data = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a .keras file of Keras 3, or is damaged: {error}") from error
    layers = layers_of(config)
    with h5py.File(io.BytesIO(data), "r") as file:
        groups = numbered(layer["class_name"] for layer in layers)
        stored = {
            layer["config"]["name"]: [arrays_of(file, f"layers/{group}", part, path) for part in parts]
            for layer, group in zip(layers, groups, strict=True)
            if (parts := PARTS.get(layer["class_name"]))
        }
    return config, stored


def read_weights(path: str, kinds: list[str]) -> list[list[list[Array]]]:
    """Return the weights in a `.weights.h5` file of layers of the given Keras classes, in the model's order.

    Such a file holds no configuration; it names its groups by class, counted in the order of the model's layers.
    """
    h5py = load_h5py()
    with open(path, "rb"):
        pass
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file, or is damaged: {error}") from error
    with file:
        groups = list(numbered(kinds))
        found = {name for name, group in file.get("layers", {}).items() if has_arrays(group)}
        if found != set(groups):
            got = ", ".join(sorted(found)) or "none"
            raise ValueError(f"{path} must hold the weights of the layers {', '.join(groups)}, got {got}")
        return [
            [arrays_of(file, f"layers/{group}", part, path) for part in PARTS[kind]]
            for kind, group in zip(kinds, groups, strict=True)
        ]


def layers_of(config: Config) -> list[Config]:
    """Return the layers of a model's configuration, or the one of a layer's own."""
    return config["config"].get("layers", [config])


def numbered(kinds: Any) -> Iterator[str]:
    """Give the names of the groups of layers of these classes: lstm, lstm_1, ..."""
    counts: dict[str, int] = {}
    for kind in kinds:
        name = GROUPS.get(kind, kind.lower())
        counts[name] = counts.get(name, -1) + 1
        yield f"{name}_{counts[name]}" if counts[name] else name


def arrays_of(file: Any, group: str, part: str, path: str) -> list[Array]:
    """Return the arrays of one part of a layer, in Keras' order."""
    place = "/".join(filter(None, [group, part, "vars"]))
    if place not in file:
        raise ValueError(
            f"{path} holds no weights at {place}; only what save and save_weights of Keras 3 write is read"
        )
    variables = file[place]
    return [np.asarray(variables[str(k)]) for k in range(len(variables))]


def has_arrays(group: Any) -> bool:
    """Return whether an HDF5 group holds an array at any depth, but for the states of random generators."""
    return any(
        name != "seed_generator" and (has_arrays(item) if isinstance(item, Mapping) else True)
        for name, item in group.items()
    )


def load_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading files of Keras needs h5py: pip install 'fastrnn[keras]'") from error
    return h5py
