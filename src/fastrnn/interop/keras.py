"""Layers and models of Keras 3, from living objects or from files, and back."""

from __future__ import annotations

import os
from typing import Any

from fastrnn.interop import _keras_source as keras_source
from fastrnn.interop._keras_parse import ACTIVATIONS, CELLS, chain_of, steps_of
from fastrnn.interop._keras_weights import arrays_of, parameters_of, suffixes
from fastrnn.interop._options import check_options
from fastrnn.interop.sequential import DenseStep, EmbeddingStep, RecurrentStep, Sequential, Step
from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding
from fastrnn.layers._module import Layer
from fastrnn.layers._parameter import check_values
from fastrnn.layers.recurrent import Recurrent


def from_keras(source: Any, into: Any = None) -> Any:
    """Return the layers of a Keras layer, model or file, which give the numbers that Keras gives.

    Parameters
    ----------
    source : Keras layer, Keras model or path
        SimpleRNN, LSTM, GRU, Bidirectional (``merge_mode="concat"``), Embedding, Dense, TimeDistributed(Dense),
        Activation or Masking; a Sequential model or a functional one that is a single chain of them; or a file that
        Keras 3 wrote, `.keras` or `.weights.h5`. Files are read without Keras.
    into : layer or list of layers
        Of a `.weights.h5` file, which holds numbers alone: the fastrnn layers that take them, from the input to the
        output, all or, after an error, none.

    Returns
    -------
    layer or Sequential
        `into` where that is given. Of a single recurrent layer, Embedding or Dense the fastrnn layer; its caller passes
        what Keras keeps in the layer (state, mask, ``pad="hold"`` for the outputs that Keras gives at masked steps).
        Of a model, and of a layer with `go_backwards` or a Dense with an activation, a `Sequential`. A bias that Keras
        has once is in `bias_ih`, and `bias_hh` is zero. What acts in training only (dropout, regularizers,
        constraints) is not carried over, but for Dropout between equal recurrent layers, which become one stack.

    Raises
    ------
    TypeError, ValueError
        The reason why the result would not be Keras', or why the file cannot be read.
    ImportError
        A file is to be read and h5py is missing (``pip install 'fastrnn[keras]'``).

    Examples
    --------
    >>> import fastrnn, keras
    >>> lstm = keras.layers.LSTM(5)
    >>> lstm.build((None, None, 3))
    >>> layer = fastrnn.interop.from_keras(lstm)
    >>> type(layer).__name__, layer.input_size, layer.hidden_size
    ('LSTM', 3, 5)
    """
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith(".weights.h5"):
        return _load_weights(os.fspath(source), into)
    if into is not None:
        raise ValueError("into is for a .weights.h5 file alone: everything else says itself which layers it holds")
    try:
        config, weights = keras_source.describe(source)
        if "layers" in config["config"]:
            return Sequential(steps_of(chain_of(config), weights))
        return _alone(steps_of([config], weights))
    except KeyError as error:
        raise ValueError(
            f"source must be described as Keras 3 does, got no {error} where there should be one"
        ) from error


def _alone(steps: list[Step]) -> Any:
    """Return the layer of a single Keras layer, or a `Sequential` where the fastrnn layer would not do the same."""
    match steps:
        case [RecurrentStep(layer, go_backwards=False) | DenseStep(layer, activation="linear") | EmbeddingStep(layer)]:
            return layer
    return Sequential(steps)


def _load_weights(path: str, into: Any) -> Any:
    """Give layers the numbers of a `.weights.h5` file, all of them or, after an error, none."""
    layers = list(into) if isinstance(into, (list, tuple)) else [into]
    kinds = []
    for layer in layers:
        if not isinstance(layer, (RNN, LSTM, GRU, Dense, Embedding)):
            raise TypeError(
                f"into must be the layers that take the numbers of a .weights.h5 file, got {type(layer).__name__}"
            )
        kinds += [_kind(layer)] * (layer.num_layers if isinstance(layer, Recurrent) else 1)
    stored = iter(keras_source.read_weights(path, kinds))
    values = []
    for layer in layers:
        if isinstance(layer, Recurrent):
            arrays: dict[str, Any] = {}
            for names in suffixes(layer):
                for cell, suffix in zip(next(stored), names, strict=True):
                    arrays |= parameters_of(cell, suffix, isinstance(layer, GRU))
        elif isinstance(layer, Dense):
            kernel, *bias = next(stored)[0]
            arrays = {"weight": kernel.T} | ({"bias": bias[0]} if bias else {})
        else:
            arrays = {"weight": next(stored)[0][0]}
        check_values(layer._parameters, arrays, f"the weights in {path} and {layer!r}")
        values.append(arrays)
    for layer, arrays in zip(layers, values, strict=True):
        layer.load_state_dict(arrays)
    return into


def _kind(layer: Layer) -> str:
    """Return the Keras class of one layer of a stack."""
    if isinstance(layer, Recurrent):
        return "Bidirectional" if layer.bidirectional else _cell(layer)
    return type(layer).__name__


def _cell(layer: Recurrent) -> str:
    return next(name for name, cell in CELLS.items() if isinstance(layer, cell))


def to_keras(layer: Any, **options: Any) -> Any:
    """Return the Keras layer or model of a fastrnn layer, with its weights.

    Parameters
    ----------
    layer : RNN, LSTM, GRU, Dense or Embedding, or a list of them
        From the input to the output.
    **options
        Of the last recurrent Keras layer: `return_sequences` (true by default), `return_state`, `go_backwards`,
        `stateful`, `zero_output_for_mask`, ...

    Returns
    -------
    keras.Layer
        Built. Of a stack of several layers, and of a list, a `keras.Sequential`, with Dropout between the layers of a
        stack that has dropout. Where Keras has one bias it is the sum of the two.

    Raises
    ------
    TypeError
        The object is none of these.
    ImportError
        Keras is not installed.

    Examples
    --------
    >>> import fastrnn
    >>> layers = [fastrnn.GRU(3, 5, num_layers=2, seed=0), fastrnn.Dense(5, 2, seed=0)]
    >>> model = fastrnn.interop.to_keras(layers, return_sequences=False)
    >>> [type(layer).__name__ for layer in model.layers]
    ['GRU', 'GRU', 'Dense']
    """
    try:
        import keras
    except ImportError as error:
        raise ImportError("to_keras makes layers of Keras, which is not installed: pip install keras") from error
    layers = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    recurrent = [k for k, one in enumerate(layers) if isinstance(one, Recurrent)]
    if options and not recurrent:
        raise ValueError(f"options are those of a recurrent Keras layer, got {', '.join(options)} and no such layer")
    made: list[Any] = []
    for k, one in enumerate(layers):
        made += _keras_layers(keras.layers, one, options if k == max(recurrent, default=-1) else {})
    if len(made) == 1 and not isinstance(layer, (list, tuple)):
        return made[0]
    return keras.Sequential(made)


def _keras_layers(module: Any, layer: Any, options: dict[str, Any]) -> list[Any]:
    """Return the Keras layers of one fastrnn layer, built, with its weights."""
    if isinstance(layer, Embedding):
        made = module.Embedding(layer.num_embeddings, layer.embedding_dim, dtype=layer.dtype.name)
        made.build((None, None))
        made.set_weights([layer.parameters["weight"]])
        return [made]
    if isinstance(layer, Dense):
        made = module.Dense(layer.out_features, use_bias=layer.bias, dtype=layer.dtype.name)
        made.build((None, layer.in_features))
        made.set_weights([value.T for value in layer.parameters.values()])
        return [made]
    if not isinstance(layer, (RNN, LSTM, GRU)):
        kind = type(layer).__name__
        raise TypeError(f"layer must be an RNN, LSTM, GRU, Dense or Embedding, or a list of them, got {kind}")
    chain: list[Any] = []
    for k, names in enumerate(suffixes(layer)):
        last = k == layer.num_layers - 1
        given = {"return_sequences": True, **(options if last else {})}
        made = _keras_recurrent(module, layer, given)
        made.build((None, None, layer.input_size if k == 0 else layer.hidden_size * layer._directions))
        parts = [made.forward_layer, made.backward_layer] if layer.bidirectional else [made]
        for part, suffix in zip(parts, names, strict=True):
            part.cell.set_weights(arrays_of(layer, suffix))
        chain += [made] if last or not layer.dropout else [made, module.Dropout(layer.dropout, dtype=layer.dtype.name)]
    return chain


def _keras_recurrent(module: Any, layer: Recurrent, options: dict[str, Any]) -> Any:
    """Return the Keras layer of one layer of a stack, without weights."""
    check_options(layer, {"nonlinearity", "activations", "reset_after"}, "Keras")
    *gates, activation = layer.activations
    own: dict[str, Any] = {"use_bias": layer.bias, "dtype": layer.dtype.name, "activation": _name(layer, activation)}
    if gates:
        own["recurrent_activation"] = _name(layer, gates[0])
    if gates[1:] not in ([], [activation]):
        raise ValueError(f"{layer!r} cannot be given to Keras, whose LSTM has one activation for g and for c")
    if isinstance(layer, GRU):
        own["reset_after"] = layer.reset_after
    made = getattr(module, _cell(layer))(layer.hidden_size, **own, **options)
    return module.Bidirectional(made, dtype=layer.dtype.name) if layer.bidirectional else made


def _name(layer: Recurrent, activation: Any) -> str:
    """Return Keras' name of an activation."""
    for name, ours in ACTIVATIONS.items():
        if activation == ours:
            return name
    raise ValueError(f"{layer!r} cannot be given to Keras, which has no activation {activation!r}")
