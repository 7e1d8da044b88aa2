"""Layers as ONNX graphs with a dynamic batch and time; imported only where the onnx package is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import fastrnn
from fastrnn.interop._onnx_recurrent import ACTIVATIONS, CELLS, FUNCTIONS, GATES, PEEPHOLES, reordered
from fastrnn.interop._options import check_options
from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding
from fastrnn.layers._traits import ACTIVATIONS as NUMBERS
from fastrnn.layers._traits import with_parameters
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]

VERSION = 17  # of the operator set; onnxruntime has it since 1.12
IR_VERSION = 8
IDS = np.dtype(np.int64)
OPTIONS = {
    "nonlinearity", "activations", "reset_after", "peephole", "coupled", "clip", "weight_dropout", "input_dropout",
    "recurrent_dropout",
}  # fmt: skip


class Graph:
    """A graph that grows node by node; values go by name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, sizes: list[Any], dtype: np.dtype[Any] | None = None) -> str:
        self.inputs.append(self._described(name, sizes, dtype or self.dtype))
        return name

    def output(self, name: str, value: str, sizes: list[Any]) -> None:
        self.add("Identity", [value], [name])
        self.outputs.append(self._described(name, sizes, self.dtype))

    def constant(self, array: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operator: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        names = outputs or [f"{operator}_{len(self.nodes)}"]
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        self.nodes.append(
            onnx.helper.make_node(operator, inputs, names, name=f"{operator}_{len(self.nodes)}", **attributes)
        )
        return names[0]

    def cast(self, value: str, dtype: np.dtype[Any]) -> str:
        return self.add("Cast", [value], to=onnx.helper.np_dtype_to_tensor_dtype(dtype))

    def file(self) -> bytes:
        graph = onnx.helper.make_graph(self.nodes, "fastrnn", self.inputs, self.outputs, self.constants)
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", VERSION)], ir_version=IR_VERSION,
            producer_name="fastrnn", producer_version=fastrnn.__version__,
        )  # fmt: skip
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()

    @staticmethod
    def _described(name: str, sizes: list[Any], dtype: np.dtype[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), sizes)


def written(layers: Any, state: bool, lengths: bool) -> bytes:
    """Return the file of some layers."""
    chain = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    recurrent = check_chain(chain, state, lengths)
    axes: list[Any] = ["N", "T"] if not recurrent or recurrent[0].batch_first else ["T", "N"]
    graph = Graph(chain[0].dtype)
    ids = isinstance(chain[0], Embedding)
    x = graph.input("x", axes, IDS) if ids else graph.input("x", [*axes, widths(chain[0])[0]])
    steps = add_lengths(graph) if lengths else ""
    finals = []
    for layer in chain:
        if isinstance(layer, Embedding):
            x = add_rows(graph, x, layer, layer.num_embeddings)
        elif isinstance(layer, Dense):
            x = add_dense(graph, x, layer)
        else:
            suffix = f"_{recurrent.index(layer)}" if len(recurrent) > 1 else ""
            x, last = add_recurrent(graph, layer, x, add_initial(graph, layer, state, suffix), steps)
            finals.append((layer, last, suffix))
    graph.output("y", x, [*axes, widths(chain[-1])[1]])
    for final in finals:
        add_finals(graph, *final)
    return graph.file()


def check_chain(chain: list[Any], state: bool, lengths: bool) -> list[Recurrent]:
    """Refuse layers that cannot follow one another in one graph; return the recurrent ones."""
    if not chain:
        raise ValueError("layers must be at least one layer, got an empty list")
    check_layers(chain)
    recurrent = [layer for layer in chain if isinstance(layer, Recurrent)]
    for below, layer in pairwise(chain):
        if isinstance(layer, Embedding) or widths(below)[1] != widths(layer)[0] or below.dtype != layer.dtype:
            raise ValueError(f"layers must fit one another in width and dtype, got {below!r} before {layer!r}")
    if len({layer.batch_first for layer in recurrent}) > 1:
        raise ValueError("layers must all be batch_first or all be not")
    if not recurrent and (state or lengths):
        raise ValueError("state and lengths are inputs of recurrent layers, and layers has none")
    return recurrent


def check_layers(layers: Iterable[Any]) -> None:
    """Refuse layers, and options of theirs, that a graph cannot hold."""
    for layer in layers:
        if not isinstance(layer, (RNN, LSTM, GRU, Dense, Embedding)):
            raise TypeError(
                "layers must be RNN, LSTM, GRU, Dense or Embedding, a list of them or a model of fastrnn.models, "
                f"got {type(layer).__name__}"
            )
        if isinstance(layer, Recurrent):
            check_options(layer, OPTIONS, "ONNX")


def widths(layer: Any) -> tuple[int, int]:
    """Return the widths of a layer's input and output."""
    if isinstance(layer, Embedding):
        return layer.num_embeddings, layer.embedding_dim
    if isinstance(layer, Dense):
        return layer.in_features, layer.out_features
    return layer.input_size, layer.hidden_size * layer._directions


def add_lengths(graph: Graph) -> str:
    """Add the input of how many steps each row has; return its name in the type that recurrent nodes read."""
    return graph.cast(graph.input("lengths", ["N"], IDS), np.dtype(np.int32))


def add_rows(graph: Graph, ids: str, table: Embedding | None, width: int) -> str:
    """Add what makes vectors of ids: the rows of a table, or of none the one-hot rows of a width."""
    if table is not None:
        return graph.add("Gather", [graph.constant(table.parameters["weight"]), ids])
    values = graph.constant(np.array([0, 1], graph.dtype))
    return graph.add("OneHot", [ids, graph.constant(np.array(width)), values])


def add_dense(graph: Graph, x: str, layer: Dense) -> str:
    x = graph.add("MatMul", [x, graph.constant(layer.parameters["weight"].T)])
    return graph.add("Add", [x, graph.constant(layer.parameters["bias"])]) if layer.bias else x


def add_initial(graph: Graph, layer: Recurrent, given: bool, suffix: str = "") -> list[str]:
    """Return the names of the initial states: inputs, where they are to be given, or "" for zeros."""
    return [graph.input(f"{name}0{suffix}", state_sizes(layer)) if given else "" for name in layer._state_names]


def add_finals(graph: Graph, layer: Recurrent, values: list[str], suffix: str = "") -> None:
    """Make outputs of the final states."""
    for name, value in zip(layer._state_names, values, strict=True):
        graph.output(f"{name}{suffix}", value, state_sizes(layer))


def state_sizes(layer: Recurrent) -> list[Any]:
    return [layer.num_layers * layer._directions, "N", layer.hidden_size]


def add_recurrent(graph: Graph, layer: Recurrent, x: str, initial: list[str], steps: str) -> tuple[str, list[str]]:
    """Add a stack of layers: a node for each; return the names of its output and of its final states."""
    L, D = layer.num_layers, layer._directions
    operator = next(name for name, cell in CELLS.items() if isinstance(layer, cell))
    attributes = {"hidden_size": layer.hidden_size, "direction": "bidirectional" if D == 2 else "forward"}
    attributes |= options_of(layer, operator)
    x = graph.add("Transpose", [x], perm=[1, 0, 2]) if layer.batch_first else x
    starts = [split_state(graph, name, L) for name in initial]
    ends: list[list[str]] = []
    for k in range(L):
        names = [f"{operator}_{len(graph.nodes)}_{output}" for output in ("Y", "h", "c")[: 1 + len(initial)]]
        weights, peepholes = weights_of(graph, layer, operator, k)
        inputs = [x, *weights, steps, *(parts[k] for parts in starts), peepholes]
        x = graph.add(operator, inputs, names, **attributes)
        x = graph.add("Transpose", [x], perm=[0, 2, 1, 3])
        x = graph.add("Reshape", [x, graph.constant(np.array([0, 0, D * layer.hidden_size]))])
        ends.append(names[1:])
    x = graph.add("Transpose", [x], perm=[1, 0, 2]) if layer.batch_first else x
    return x, [parts[0] if L == 1 else graph.add("Concat", list(parts), axis=0) for parts in zip(*ends, strict=True)]


def split_state(graph: Graph, name: str, L: int) -> list[str]:
    """Return the names of each layer's part of an initial state (L·D, N, H)."""
    if not name or L == 1:
        return [name] * L
    parts = [f"{name}_part_{k}" for k in range(L)]
    graph.add("Split", [name], parts, axis=0)
    return parts


def weights_of(graph: Graph, layer: Recurrent, operator: str, k: int) -> tuple[list[str], str]:
    """Return the names of W, R and B, and of P, of one layer, both its directions, gates in ONNX' order."""
    suffixes = [f"l{k}", f"l{k}_reverse"][: layer._directions]

    def stacked(kind: str, ours: list[int]) -> Array:
        order = [ours.index(gate) for gate in range(len(ours))]
        return np.stack([reordered(layer.parameters[f"{kind}_{suffix}"], order) for suffix in suffixes])

    gates = GATES[operator]
    weights = [graph.constant(stacked(kind, gates)) for kind in ("weight_ih", "weight_hh")]
    biases = [stacked(kind, gates) for kind in ("bias_ih", "bias_hh") if layer.bias]
    weights.append(graph.constant(np.concatenate(biases, axis=1)) if biases else "")
    return weights, graph.constant(stacked("weight_peephole", PEEPHOLES)) if layer.peephole else ""


def options_of(layer: Recurrent, operator: str) -> dict[str, Any]:
    """Return the attributes by which a layer differs from the operator's defaults."""
    attributes: dict[str, Any] = {}
    if isinstance(layer, GRU):
        attributes["linear_before_reset"] = int(layer.reset_after)
    if layer.coupled:
        attributes["input_forget"] = 1
    if layer.clip is not None:
        attributes["clip"] = layer.clip
    written = {ours: name for name, ours in FUNCTIONS.items()} | {"linear": "Affine"}
    activations = [with_parameters(activation) for activation in layer.activations] * layer._directions
    if [written[kind] for kind, *_ in activations] != ACTIVATIONS[operator] * layer._directions:
        attributes["activations"] = [written[kind] for kind, *_ in activations]
        numbers = [(1.0, 0.0) if kind == "linear" else pair[: len(NUMBERS[kind])] for kind, *pair in activations]
        attributes["activation_alpha"] = [pair[0] for pair in numbers if len(pair) > 0]
        attributes["activation_beta"] = [pair[1] for pair in numbers if len(pair) > 1]
    check_numbers(layer, attributes)
    return {name: value for name, value in attributes.items() if value != []}


def check_numbers(layer: Recurrent, attributes: dict[str, Any]) -> None:
    """Refuse numbers that a float64 layer has and ONNX' attributes, which are float32, cannot hold."""
    for name, value in attributes.items():
        numbers = [number for number in np.atleast_1d(value).tolist() if isinstance(number, float)]
        if layer.dtype == np.float64 and any(float(np.float32(number)) != number for number in numbers):
            raise ValueError(f"{layer!r} cannot be written: its {name} {value} is not a float32 number, as ONNX has it")
