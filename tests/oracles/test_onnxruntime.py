"""The engine against onnxruntime: the ONNX operators LSTM, GRU and RNN, with `sequence_lens`, in every direction.

GRU has both `linear_before_reset` = 1, the reset after the product, and 0, the reset before it.
"""

import numpy as np
import pytest
from helpers import assert_close, make, normal, state_like
from onnx_node import ORDER, run_node, stacked

# our cell: (operator, its attributes)
OPERATORS = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru-before": ("GRU", {"linear_before_reset": 0}),
    "rnn-tanh": ("RNN", {"activations": ["Tanh"]}),
    "rnn-relu": ("RNN", {"activations": ["Relu"]}),
    "rnn-sigmoid": ("RNN", {"activations": ["Sigmoid"]}),
    "rnn-linear": ("RNN", {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}),
}
SIZES = [(1, 1, 1, 1), (3, 7, 5, 2), (17, 16, 6, 7), (7, 65, 33, 4), (65, 33, 2, 9)]
TOLERANCE = 4e-6  # both sides compute in float32


def run_onnx(layer, cell, direction, x, state, lengths):
    """y (N, T, D·H) and the final states of one layer, from a model that holds just the operator."""
    operator, attributes = OPERATORS[cell]
    order = ORDER[operator]
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
    y, *final = run_node(operator, inputs, outputs, hidden_size=layer.hidden_size, direction=direction, **attributes)
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
