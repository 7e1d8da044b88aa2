"""Layers and models in files: safetensors, with all that is not an array as JSON in the metadata."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrnn
from fastrnn import models
from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding, MinGRU, MinLSTM
from fastrnn.layers._module import Layer
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models._model import Model

Array = NDArray[Any]
Record = dict[str, Any]

VERSION = 1
KEY = "fastrnn"  # of the metadata
LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in (RNN, LSTM, GRU, MinGRU, MinLSTM, Dense, Embedding)}
MODELS: dict[str, type[Model]] = {
    cls.__name__: cls
    for cls in (
        models.LanguageModel, models.SequenceClassifier, models.SequenceTagger, models.SequenceRegressor,
        models.EncoderDecoder,
    )
}  # fmt: skip


def save(obj: Layer | Model, path: str | os.PathLike[str]) -> None:
    """Write a layer or a fitted model to exactly `path`, all of it or, after an error, nothing.

    The arrays stand in the file under torch's names, in a model with the layer's name before them
    ("recurrent.weight_ih_l0"), and can be read by any program that knows safetensors. The random states are saved too:
    what is loaded draws the same dropout masks and samples as what was saved. A parameter that two layers of a model
    share stands there once; a layer saved by itself is tied to no other.

    Parameters
    ----------
    obj : layer or model
        A recurrent layer, Dense, Embedding, or a fitted model of `fastrnn.models`.
    path : path
        Of the file; one that is there already is replaced.

    Examples
    --------
    >>> import fastrnn, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "lstm.safetensors")
    >>> fastrnn.save(fastrnn.LSTM(3, 5, seed=0), path)
    >>> fastrnn.load(path).hidden_size
    5
    """
    write(serialized(obj), path)


def serialized(obj: Layer | Model, more: Record | None = None, arrays: Mapping[str, Array] | None = None) -> bytes:
    """Return what a file of a layer or a fitted model holds, with `more` in its description and further arrays."""
    from safetensors.numpy import save as to_bytes

    name = type(obj).__name__
    record: Record = {"format_version": VERSION, "written_by": f"fastrnn {fastrnn.__version__}", "class": name}
    if isinstance(obj, Layer) and LAYERS.get(name) is type(obj):
        layers = {"": obj}
    elif isinstance(obj, Model) and MODELS.get(name) is type(obj):
        layers = obj.layers
        record |= {"params": obj.get_params(), "fitted": obj._get_fitted()}
    else:
        raise TypeError(f"obj must be one of {', '.join([*LAYERS, *MODELS])}, got {name}")
    record |= {"layers": {layer_name: describe(layer, layers) for layer_name, layer in layers.items()}, **(more or {})}
    tensors = {
        tensor_name(layer_name, parameter): array
        for layer_name, layer in layers.items()
        for parameter, array in layer.parameters.items()
        if not (parameter == "weight" and "tied" in record["layers"][layer_name])
    } | dict(arrays or {})
    contiguous = {key: np.ascontiguousarray(array) for key, array in tensors.items()}  # 0.8.0 misreads strided arrays
    return to_bytes(contiguous, {KEY: json.dumps(record, default=plain)})


def load(path: str | os.PathLike[str]) -> Any:
    """Return the layer or model that `save` wrote to a file. Nothing in the file is ever executed.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is not a safetensors file, is damaged, was written by another program, or by a newer version of fastrnn.
    """
    record, tensors = read(path)
    try:
        layers = layers_in(record, tensors)
        if record["class"] in LAYERS:
            return layers[""]
        model = MODELS[record["class"]](**record["params"])
        model._set_fitted(layers, record["fitted"])
        return model
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def layers_in(record: Record, tensors: Mapping[str, Array]) -> dict[str, Layer]:
    """Return the layers that a file describes, by name."""
    layers: dict[str, Layer] = {}
    for name, described in record["layers"].items():
        layers[name] = build(described, name, layers, tensors)
    return layers


def describe(layer: Layer, layers: Mapping[str, Layer]) -> Record:
    """Return what makes a layer again but for its arrays, "tied" being the one of `layers` that has its weight too."""
    name = type(layer).__name__
    if LAYERS.get(name) is not type(layer):
        raise TypeError(f"obj must be made of {', '.join(LAYERS)}, got one with a {name}")
    record: Record = {"class": name, "config": layer.get_config()}
    if isinstance(layer, Recurrent):
        record |= {"dropout_seed": layer._dropout_seed, "forward_count": layer.forward_count}
    if isinstance(layer, Dense):
        for name, other in layers.items():
            if isinstance(other, Embedding) and other._parameters["weight"] is layer._parameters["weight"]:
                record["tied"] = name
    return record


def build(record: Record, name: str, layers: Mapping[str, Layer], tensors: Mapping[str, Array]) -> Layer:
    """Return the layer that `describe` described, with its arrays."""
    tied = {"tied": layers[record["tied"]]} if "tied" in record else {}
    layer = LAYERS[record["class"]](**record["config"], **tied)
    values = {parameter: tensors.get(tensor_name(name, parameter)) for parameter in layer.parameters}
    if tied:
        values["weight"] = layers[record["tied"]].parameters["weight"]
    layer.load_state_dict({parameter: value for parameter, value in values.items() if value is not None})
    if isinstance(layer, Recurrent):
        layer._dropout_seed, layer.forward_count = int(record["dropout_seed"]), int(record["forward_count"])
    return layer


def tensor_name(layer: str, parameter: str) -> str:
    """Return the name of an array in the file."""
    return f"{layer}.{parameter}" if layer else parameter


def plain(value: Any) -> Any:
    """Return a NumPy number or a precision as what JSON can say."""
    return value.item() if isinstance(value, np.generic) else np.dtype(value).name


def read(path: str | os.PathLike[str]) -> tuple[Record, dict[str, Array]]:
    """Return the description and the arrays in a file of a version that is known here."""
    from safetensors import SafetensorError, safe_open

    name = os.fspath(check_path(path))
    with open(name, "rb"):
        pass  # a file that is not there or not to be read is reported as Python does it
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise ValueError(f"{name} is a safetensors file, but was not written by fastrnn")
            record = check_version(metadata[KEY], name)
            return record, {tensor: file.get_tensor(tensor) for tensor in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{name} is not a safetensors file, or is damaged: {error}") from error


def check_version(description: str, path: str) -> Record:
    """Return the description in a file, unless it is of a version that is not known here."""
    try:
        record: Record = json.loads(description)
        version = record["format_version"]
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    if version != VERSION:
        raise ValueError(
            f"{path} has format version {version!r}, and fastrnn {fastrnn.__version__} reads version {VERSION}"
        )
    return record


def damaged(path: str | os.PathLike[str], error: Exception) -> ValueError:
    """Return the error of a file whose description makes no sense."""
    return ValueError(f"{os.fspath(path)} is damaged: {type(error).__name__}: {error}")


def check_path(path: Any) -> str | os.PathLike[str]:
    """Return the name of a file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a string or a path, got {type(path).__name__}")
    return path


def write(data: bytes, path: str | os.PathLike[str]) -> None:
    """Put a file where `path` leads, in one step: under another name in its folder, to the disk, and renamed."""
    target = os.path.realpath(check_path(path))
    temporary = os.path.join(os.path.dirname(target), f".fastrnn-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.replace(temporary, target)
            except BaseException:
                os.unlink(temporary)
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
