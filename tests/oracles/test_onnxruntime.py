"""The engine against onnxruntime: the ONNX operators LSTM, GRU and RNN, with `sequence_lens`, in every direction.

GRU has both `linear_before_reset` = 1, the reset after the product, and 0, the reset before it.
"""

import numpy as np
import pytest
from helpers import assert_close, make, normal, oracle, state_like

onnx = oracle("onnx")
onnxruntime = oracle("onnxruntime")

# our cell: (operator, the operator's order of our gates, its attributes)
OPERATORS = {
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "gru-before": ("GRU", (1, 0, 2), {"linear_before_reset": 0}),
    "rnn-tanh": ("RNN", (0,), {"activations": ["Tanh"]}),
    "rnn-relu": ("RNN", (0,), {"activations": ["Relu"]}),
    "rnn-sigmoid": ("RNN", (0,), {"activations": ["Sigmoid"]}),
    "rnn-linear": ("RNN", (0,), {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}),
}
SIZES = [(1, 1, 1, 1), (3, 7, 5, 2), (17, 16, 6, 7), (7, 65, 33, 4), (65, 33, 2, 9)]
TOLERANCE = 4e-6  # both sides compute in float32


def stacked(layer, kind, order, suffixes):
    """A parameter of the named directions with the operator's gate order, (directions, G·H, ...)."""

    def reordered(name):
        return np.concatenate([np.split(layer.parameters[name], len(order))[k] for k in order])

    return np.stack([reordered(f"{kind}_{suffix}") for suffix in suffixes])


def run_onnx(layer, cell, direction, x, state, lengths):
    """y (N, T, D·H) and the final states of one layer, from a model that holds just the operator."""
    operator, order, attributes = OPERATORS[cell]
    suffixes = {"forward": ["l0"], "reverse": ["l0_reverse"], "bidirectional": ["l0", "l0_reverse"]}[direction]
    inputs = {
        "X": x.swapaxes(0, 1),
        "W": stacked(layer, "weight_ih", order, suffixes),
        "R": stacked(layer, "weight_hh", order, suffixes),
        "B": np.concatenate([stacked(layer, kind, order, suffixes) for kind in ("bias_ih", "bias_hh")], axis=1),
        "sequence_lens": None if lengths is None else lengths.astype("int32"),
        "initial_h": state[0],
        **({"initial_c": state[1]} if cell == "lstm" else {}),
    }
    outputs = ["Y", "Y_h", "Y_c"] if cell == "lstm" else ["Y", "Y_h"]
    attributes = {
        name: value * len(suffixes) if isinstance(value, list) else value for name, value in attributes.items()
    }  # lists hold one entry for each direction
    node = onnx.helper.make_node(
        operator, [name if value is not None else "" for name, value in inputs.items()], outputs,
        hidden_size=layer.hidden_size, direction=direction, **attributes,
    )  # fmt: skip
    inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items() if value is not None}

    def described(name, array=None):
        number = onnx.helper.np_dtype_to_tensor_dtype(array.dtype) if array is not None else onnx.TensorProto.FLOAT
        return onnx.helper.make_tensor_value_info(name, number, None if array is None else array.shape)

    graph = onnx.helper.make_graph(
        [node], "one", [described(*item) for item in inputs.items()], [described(name) for name in outputs]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    y, *final = session.run(outputs, inputs)
    return np.concatenate(list(y.swapaxes(0, 1)), axis=2).swapaxes(0, 1), final


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "sequence_lens"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("I", "H", "N", "T"), SIZES)
@pytest.mark.parametrize("cell", OPERATORS)
def test_equals_onnxruntime(cell, I, H, N, T, direction, ragged):
    layer = make(cell, I, H, bidirectional=direction != "forward", init=1 / max(I, H) ** 0.5, seed=0)
    x, state = normal("x", N, T, I), state_like(layer, N, "s")
    lengths = np.random.default_rng(N).integers(1, T + 1, N) if ragged else None
    y, final = layer(x, state, lengths=lengths)
    states, finals = ((part if cell == "lstm" else (part,)) for part in (state, final))
    if direction == "reverse":
        y, states, finals = y[:, :, H:], [part[1:] for part in states], [part[1:] for part in finals]
    expected_y, expected_final = run_onnx(layer, cell, direction, x, states, lengths)
    assert_close(y, expected_y, TOLERANCE, "y")
    for got, expected in zip(finals, expected_final, strict=True):
        assert_close(got, expected, TOLERANCE, "final state")
