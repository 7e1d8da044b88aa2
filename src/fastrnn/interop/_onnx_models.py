"""Models as ONNX graphs, batch-first: what stands around their stacks, from ids or features to logits or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn.interop._onnx_write import (
    IDS,
    Graph,
    add_dense,
    add_finals,
    add_initial,
    add_lengths,
    add_recurrent,
    add_rows,
    check_layers,
    state_sizes,
    written,
)
from fastrnn.layers.recurrent import Recurrent
from fastrnn.models import EncoderDecoder, LanguageModel, SequenceRegressor
from fastrnn.models._coder import Coder, Scale
from fastrnn.models._stack import StackModel

FLOAT64 = np.dtype(np.float64)


def files_of(source: Any, state: bool, lengths: bool) -> list[bytes]:
    """Return the files of layers or a model: one, of an `EncoderDecoder` the encoder's and the decoder's."""
    if not isinstance(source, (StackModel, LanguageModel, EncoderDecoder)):
        return [written(source, state, lengths)]
    check_layers(source.layers.values())
    if isinstance(source, LanguageModel):
        return [language_model(source, state, lengths)]
    if isinstance(source, StackModel):
        return [stack_model(source, state, lengths)]
    if state:
        raise ValueError("state must be False for an EncoderDecoder: its decoder reads one anyway, its encoder none")
    return [encoder(source, lengths), decoder(source)]


def stack_model(model: StackModel, state: bool, lengths: bool) -> bytes:
    """Return the graph of a classifier, a tagger or a regressor."""
    layer, output = model.recurrent_, model.output_
    graph = Graph(layer.dtype)
    x = add_input(graph, model.coder_, model.embedding_)
    steps = add_lengths(graph) if lengths else ""
    y, finals = add_recurrent(graph, layer, x, add_initial(graph, layer, state), steps)
    if model.pooling == "last":
        y = add_last(graph, layer, finals[0])
    elif model.pooling is not None:
        y = add_pooled(graph, y, model.pooling, lengths)
    y = add_dense(graph, y, output)
    sizes = ["N", "T", output.out_features] if model.pooling is None else ["N", output.out_features]
    if isinstance(model, SequenceRegressor):
        if model.target_scale_ is not None:
            y = add_unscaled(graph, y, model.target_scale_)
        if model._flat:
            y, sizes = graph.add("Squeeze", [y, graph.constant(np.array([-1]))]), sizes[:-1]
    graph.output("y", y, sizes)
    add_finals(graph, layer, finals)
    return graph.file()


def language_model(model: LanguageModel, state: bool, lengths: bool) -> bytes:
    """Return the graph of a language model: with contexts the one that starts from these, or, by `state`, goes on."""
    layer, V = model.recurrent_, model.output_.out_features
    graph = Graph(layer.dtype)
    x = add_rows(graph, graph.input("x", ["N", "T"], IDS), model.embedding_, V)
    if model.context_ is None or state:
        initial = add_initial(graph, layer, state)
    else:
        context = add_context(graph, model._contexts)
        z = graph.add("Tanh", [add_dense(graph, context, model.context_)])
        initial = add_parts(graph, z, layer)
    steps = add_lengths(graph) if lengths else ""
    y, finals = add_recurrent(graph, layer, x, initial, steps)
    graph.output("y", add_dense(graph, y, model.output_), ["N", "T", V])
    add_finals(graph, layer, finals)
    return graph.file()


def encoder(model: EncoderDecoder, lengths: bool) -> bytes:
    """Return the graph from the source to the decoder's initial state."""
    layer = model.encoder_
    graph = Graph(layer.dtype)
    x = add_input(graph, model.coder_, model.source_embedding_)
    steps = add_lengths(graph) if lengths else ""
    _, finals = add_recurrent(graph, layer, x, add_initial(graph, layer, False), steps)
    ends = graph.add("Concat", [add_last(graph, layer, part) for part in finals], axis=1)
    parts = add_parts(graph, add_dense(graph, ends, model.bridge_), model.decoder_)
    parts[0] = graph.add("Tanh", [parts[0]])
    for name, part in zip(model.decoder_._state_names, parts, strict=True):
        graph.output(f"{name}0", part, state_sizes(model.decoder_))
    return graph.file()


def decoder(model: EncoderDecoder) -> bytes:
    """Return the graph from symbols and the state before them to the logits of those after them and the state then."""
    layer, W = model.decoder_, model.output_.out_features
    graph = Graph(layer.dtype)
    x = add_rows(graph, graph.input("x", ["N", "T"], IDS), model.target_embedding_, W)
    y, finals = add_recurrent(graph, layer, x, add_initial(graph, layer, True), "")
    graph.output("y", add_dense(graph, y, model.output_), ["N", "T", W])
    add_finals(graph, layer, finals)
    return graph.file()


def add_input(graph: Graph, coder: Coder, table: Any) -> str:
    """Add the input of a model: ids (N, T), or features (N, T, I) in the scale of its training."""
    if coder.kind != "features":
        return add_rows(graph, graph.input("x", ["N", "T"], IDS), table, coder.size)
    x = graph.input("x", ["N", "T", coder.size])
    if coder.scale is None:
        return x
    x = graph.add("Sub", [graph.cast(x, FLOAT64), graph.constant(np.array(coder.scale.mean))])
    return graph.cast(graph.add("Div", [x, graph.constant(np.array(coder.scale.deviation))]), graph.dtype)


def add_context(graph: Graph, contexts: Any) -> str:
    """Add the input of what texts are written from: vectors, or the classes' places, which become one-hot rows."""
    if contexts.classes is None:
        return graph.input("context", ["N", contexts.width])
    return add_rows(graph, graph.input("context", ["N"], IDS), None, contexts.width)


def add_unscaled(graph: Graph, y: str, scale: Scale) -> str:
    """Add what brings a model's numbers to the scale of its targets, in float64 as the model does it."""
    y = graph.add("Mul", [graph.cast(y, FLOAT64), graph.constant(np.array(scale.deviation))])
    return graph.cast(graph.add("Add", [y, graph.constant(np.array(scale.mean))]), graph.dtype)


def add_last(graph: Graph, layer: Recurrent, state: str) -> str:
    """Add the top layer's part of a final state, (N, D·H)."""
    L, D = layer.num_layers, layer._directions
    if L > 1:
        state = graph.add("Slice", [state, *(graph.constant(np.array([k])) for k in (L * D - D, L * D))])
    sides = graph.add("Transpose", [state], perm=[1, 0, 2])
    return graph.add("Reshape", [sides, graph.constant(np.array([0, D * layer.hidden_size]))])


def add_pooled(graph: Graph, y: str, pooling: str, lengths: bool) -> str:
    """Add the mean or the largest of each row's outputs (N, T, D·H); an empty row has zeros, of one step then."""
    if not lengths:
        return graph.add({"mean": "ReduceMean", "max": "ReduceMax"}[pooling], [y], axes=[1], keepdims=0)
    one = graph.constant(np.array([1]))
    counts = graph.add("Unsqueeze", [graph.add("Max", ["lengths", one]), one])
    if pooling == "mean":
        total = graph.add("ReduceSum", [y, one], keepdims=0)
        return graph.add("Div", [total, graph.cast(counts, graph.dtype)])
    T = graph.add("Squeeze", [graph.add("Shape", [y], start=1, end=2)])
    times = graph.add("Range", [graph.constant(np.array(0)), T, graph.constant(np.array(1))])
    real = graph.add("Unsqueeze", [graph.add("Less", [times, counts]), graph.constant(np.array([2]))])
    y = graph.add("Where", [real, y, graph.constant(np.array(-np.inf, graph.dtype))])
    return graph.add("ReduceMax", [y], axes=[1], keepdims=0)


def add_parts(graph: Graph, z: str, layer: Recurrent) -> list[str]:
    """Add the parts (L, N, H) of an initial state that lie side by side in z, (N, parts·L·H)."""
    count = len(layer._state_names)
    sizes = np.array([0, count, layer.num_layers, layer.hidden_size])
    parts = graph.add("Transpose", [graph.add("Reshape", [z, graph.constant(sizes)])], perm=[1, 2, 0, 3])
    return [graph.add("Gather", [parts, graph.constant(np.array(k))]) for k in range(count)]
