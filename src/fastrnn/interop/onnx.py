"""ONNX graphs around recurrent layers: run here, and written from layers and models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.interop._onnx_operators import OPERATORS, Node
from fastrnn.interop._onnx_recurrent import CELLS, RecurrentNode
from fastrnn.layers._arguments import array_of
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]
Path = str | os.PathLike[str]

FIRST_VERSION = 7  # of the operator set; arithmetic broadcasts otherwise before it


def from_onnx(source: Any) -> OnnxModel:
    """Return a model that runs an ONNX graph of RNN, LSTM and GRU nodes and what exporters put around them.

    Parameters
    ----------
    source : path or onnx.ModelProto
        Of an operator set from version 7 on, which is that of 2018.

    Returns
    -------
    OnnxModel
        With `run`, and `layers` to step, to train or to save.

    Raises
    ------
    ImportError
        The onnx package is missing (``pip install 'fastrnn[onnx]'``).
    TypeError, ValueError
        The graph has operators, attributes or types that are not known here, by name.

    Examples
    --------
    >>> import fastrnn, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "gru.onnx")
    >>> fastrnn.interop.to_onnx(fastrnn.GRU(3, 5, seed=0), path)
    >>> model = fastrnn.interop.from_onnx(path)
    >>> outputs = model.run({"x": np.ones((2, 4, 3), "float32")})
    >>> outputs["y"].shape, outputs["h"].shape
    ((2, 4, 5), (1, 2, 5))
    """
    onnx = load_onnx("from_onnx reads")
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        try:
            source = onnx.load(path)
        except OSError:
            raise
        except Exception as error:  # whatever protobuf raises
            raise ValueError(f"{path} is not an ONNX model, or is damaged: {error}") from error
    if not isinstance(source, onnx.ModelProto):
        raise TypeError(f"source must be the path of a file or an onnx.ModelProto, got {type(source).__name__}")
    return OnnxModel(source)


def to_onnx(layers: Any, path: Path | tuple[Path, Path], *, state: bool = False, lengths: bool = False) -> None:
    """Write layers or a model to exactly `path`, with batch and time of any size; onnxruntime gives the same numbers.

    The graph's inputs are `x`, laid out as the layer takes it (ids where an Embedding comes first), and on demand the
    initial state and the lengths; its outputs are `y` and the final state. States are named h and c, the initial ones
    h0 and c0, with _0, _1, ... after them where there are several recurrent layers.

    A model reads what its `predict` reads, scaling included, as features (N, T, I) in the model's dtype or as ids
    (N, T), of symbols their places in `vocabulary_`. It gives `y`, the logits of `predict_proba` or the numbers of a
    regressor, of a LanguageModel the logits after every step. A LanguageModel with contexts has an input `context`:
    vectors (N, C), or places (N,) among the sorted classes; with `state` it goes on from a state instead. An
    EncoderDecoder becomes two graphs: the encoder gives h0 and c0, which the decoder takes with the symbols written so
    far, from the stop symbol on, whose id is one more than the targets' others.

    Parameters
    ----------
    layers : RNN, LSTM, GRU, Dense or Embedding, a list of them, or a model of `fastrnn.models`
        A list from the input to the output.
    path : path, or for an EncoderDecoder two
        Of the file, or of the encoder's and the decoder's; what is there already is replaced.
    state : bool
        Whether initial states are inputs; otherwise they are zeros. An EncoderDecoder's decoder always takes one.
    lengths : bool
        Whether there is an input `lengths` (N,) of int64; what stands at later steps of a row is not read, but ids
        there must be ids. ONNX says that a row of length 0 ends at a zero state, fastrnn that it ends where it started.

    Raises
    ------
    ImportError
        The onnx package is missing (``pip install 'fastrnn[onnx]'``).
    TypeError, ValueError
        The layers cannot be written, and why.

    Examples
    --------
    >>> import fastrnn, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> fastrnn.interop.to_onnx([fastrnn.GRU(3, 5, seed=0), fastrnn.Dense(5, 2, seed=0)], path, state=True)
    >>> fastrnn.interop.from_onnx(path).inputs
    ['x', 'h0']
    """
    load_onnx("to_onnx writes")
    from fastrnn.interop._onnx_models import files_of
    from fastrnn.serialization import write

    files = files_of(layers, state, lengths)
    paths = path if isinstance(path, (tuple, list)) else [path]
    if len(paths) != len(files):
        raise ValueError(
            f"path must be one, and for an EncoderDecoder two, the encoder's and the decoder's; got {len(paths)} for "
            f"{type(layers).__name__}"
        )
    for data, target in zip(files, paths, strict=True):
        write(data, target)


def load_onnx(what: str) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"{what} graphs by the onnx package: pip install 'fastrnn[onnx]'") from error
    return onnx


class OnnxModel:
    """An ONNX graph, checked when it is loaded: everything that cannot be run is refused then, by name.

    Attributes
    ----------
    inputs, outputs : list of str
        The names that `run` takes and gives.
    layers : list of RNN, LSTM and GRU
        The recurrent layers whose weights are in the file, in the graph's order: time-major layers of the model's own,
        one for each node. An optimizer over them changes what `run` computes.
    """

    def __init__(self, model: Any) -> None:
        graph = model.graph
        versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        version = versions.get("ai.onnx", 0)
        if version < FIRST_VERSION:
            raise ValueError(f"the graph must be of operator set {FIRST_VERSION} or later, got {version}")
        check_operators(graph.node)
        self._values = {tensor.name: to_array(tensor) for tensor in graph.initializer}  # what is known before any input
        self._types = {item.name: input_type(item) for item in graph.input if item.name not in self._values}
        self.inputs, self.outputs = list(self._types), [item.name for item in graph.output]
        self._nodes: list[tuple[Node, RecurrentNode | None]] = []
        self.layers: list[Recurrent] = []
        known = {*self.inputs, *self._values}
        for proto in graph.node:
            self._add(node_of(proto, version), known)
        missing = [name for name in self.outputs if name not in known]
        if missing:
            raise ValueError(f"the graph's outputs {', '.join(missing)} are written by no node")

    def _add(self, node: Node, known: set[str]) -> None:
        """Take a node into the graph, or compute it at once where all that it reads is constant."""
        missing = [name for name in node.inputs if name and name not in known]
        if missing:
            raise node.refuse(f"it reads {', '.join(missing)}, which no node before it writes")
        known.update(node.outputs)
        if node.operator in CELLS:
            recurrent = RecurrentNode(node)
            W, R, B, P = ([*node.inputs, *[""] * 8][k] for k in (1, 2, 3, 7))
            if all(name in self._values for name in (W, R, B, P) if name):
                self.layers += recurrent.prepare(
                    self._values[W], self._values[R], self._values.get(B), self._values.get(P)
                )
            self._nodes.append((node, recurrent))
        elif all(name in self._values for name in node.inputs if name):
            self._values |= outputs_of(node, None, self._values)
        else:
            self._nodes.append((node, None))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Return {output's name: array}, new arrays, for {input's name: array}.

        Raises
        ------
        TypeError, ValueError
            An input is missing, unknown, or of another type or shape than the graph says.
        """
        if not isinstance(inputs, Mapping):
            raise TypeError(f"inputs must be a mapping of names to arrays, got {type(inputs).__name__}")
        if set(inputs) != set(self.inputs):
            raise ValueError(f"inputs must be {', '.join(self.inputs)}, got {', '.join(map(str, inputs))}")
        values = dict(self._values)
        for name, value in inputs.items():
            values[name] = checked(array_of(value, name), name, *self._types[name])
        for node, recurrent in self._nodes:
            values |= outputs_of(node, recurrent, values)
        return {name: np.array(values[name], order="C") for name in self.outputs}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(inputs={self.inputs}, outputs={self.outputs}, layers={self.layers})"


def outputs_of(node: Node, recurrent: RecurrentNode | None, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return what a node writes, {name: array}."""
    inputs: list[Any] = [values[name] if name else None for name in node.inputs]
    try:
        results = recurrent(*inputs) if recurrent else OPERATORS[node.operator](node, *inputs)
    except KeyError as error:
        raise node.refuse(f"it lacks the attribute {error}") from error
    except (TypeError, ValueError, IndexError) as error:
        if str(error).startswith("the ONNX node"):
            raise
        raise node.refuse(f"{error} (its inputs are {', '.join(map(described, inputs))})") from error
    outputs = results if isinstance(results, tuple) else (results,)
    return {name: value for name, value in zip(node.outputs, outputs, strict=False) if name}


def described(value: Array | None) -> str:
    return "nothing" if value is None else f"{value.dtype} {value.shape}"


def check_operators(nodes: Any) -> None:
    """Refuse all operators that are not known here in one error."""
    unknown = {
        f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in nodes
        if node.domain not in ("", "ai.onnx") or node.op_type not in {*OPERATORS, *CELLS}
    }
    if unknown:
        raise ValueError(
            f"the graph has operators that are not known here: {', '.join(sorted(unknown))}; known are "
            f"{', '.join(sorted({*OPERATORS, *CELLS}))}"
        )


def node_of(proto: Any, version: int) -> Node:
    """Return a node in Python's values: text for bytes, arrays for tensors, NumPy's types for their numbers."""
    import onnx

    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, onnx.TensorProto):
            value = to_array(value)
        elif isinstance(value, list) and value and isinstance(value[0], bytes):
            value = [item.decode() for item in value]
        elif proto.op_type == "Cast" and attribute.name == "to":
            value = dtype_of(value, f"Cast {proto.name}")
        attributes[attribute.name] = value
    return Node(proto.op_type, proto.name, list(proto.input), list(proto.output), attributes, version)


def to_array(tensor: Any) -> Array:
    import onnx

    dtype_of(tensor.data_type, tensor.name)
    return onnx.numpy_helper.to_array(tensor)


def dtype_of(number: int, name: str) -> np.dtype[Any]:
    """Return the NumPy type of ONNX' number, of those that are known here."""
    import onnx

    word = onnx.TensorProto.DataType.Name(number)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)) if number else np.dtype(object)
    if dtype.kind not in "fiub" or word.startswith(("BFLOAT", "FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2")):
        raise TypeError(f"{name} must hold numbers that NumPy has too, got {word}")
    return dtype


def input_type(item: Any) -> tuple[np.dtype[Any], list[int | None] | None]:
    """Return an input's type, and its shape with None for what may vary, or None for any shape."""
    tensor = item.type.tensor_type
    dtype = dtype_of(tensor.elem_type, f"the graph's input {item.name}")
    if not tensor.HasField("shape"):
        return dtype, None
    return dtype, [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]


def checked(array: Array, name: str, dtype: np.dtype[Any], shape: list[int | None] | None) -> Array:
    """Return an input that is as the graph says."""
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {array.dtype}")
    sizes = array.shape if shape is None else shape
    if array.ndim != len(sizes) or any(a != b for a, b in zip(array.shape, sizes, strict=True) if b is not None):
        expected = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ValueError(f"{name} must have the shape ({expected}), got {array.shape}")
    return array
