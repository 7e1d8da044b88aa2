"""ONNX models run by onnxruntime, and one operator in a model that holds nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers import oracle

onnx = oracle("onnx")
onnxruntime = oracle("onnxruntime")

# Of each operator: its gates in the order that takes ours to the operator's.
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def run_model(file: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{output's name: array} of a model's file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, inputs), strict=True))


def run_node(operator: str, inputs: dict[str, np.ndarray | None], outputs: list[str], **attributes: Any) -> list:
    """The outputs of an operator; an input that is None is not given to it."""
    node = onnx.helper.make_node(
        operator, [name if value is not None else "" for name, value in inputs.items()], outputs, **attributes
    )
    given = {name: np.ascontiguousarray(value) for name, value in inputs.items() if value is not None}

    def described(name, array=None):
        number = onnx.helper.np_dtype_to_tensor_dtype(array.dtype) if array is not None else onnx.TensorProto.FLOAT
        return onnx.helper.make_tensor_value_info(name, number, None if array is None else array.shape)

    graph = onnx.helper.make_graph(
        [node], "one", [described(*item) for item in given.items()], [described(name) for name in outputs]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    return list(run_model(model.SerializeToString(), given).values())


def stacked(layer, kind: str, order: tuple[int, ...], suffixes: list[str]) -> np.ndarray:
    """A parameter of the named directions with the operator's gate order, (directions, G·H, ...)."""

    def reordered(name):
        return np.concatenate([np.split(layer.parameters[name], len(order))[k] for k in order])

    return np.stack([reordered(f"{kind}_{suffix}") for suffix in suffixes])
