"""The traits of a cell against onnxruntime: every activation with its alpha and beta, clip, peepholes, input_forget.

Of the defaults of alpha and beta onnxruntime keeps those of LeakyRelu, HardSigmoid and Elu; elsewhere it takes 0,
against the operators' own (ThresholdedRelu 1, Affine 1 and 0; ScaledTanh has none), so there both are always given.
"""

import numpy as np
import pytest
from helpers import assert_close, normal, state_like
from onnx_node import ORDER, run_node, stacked

import fastrnn

I, H, N, T = 5, 19, 7, 6
TOLERANCE = 4e-6  # both sides compute in float32

# our name: ONNX's, and alpha and beta other than the defaults where it has any
ACTIVATIONS = {
    "tanh": ("Tanh", ()),
    "relu": ("Relu", ()),
    "sigmoid": ("Sigmoid", ()),
    "affine": ("Affine", (0.7, 0.1)),
    "leaky_relu": ("LeakyRelu", (0.2,)),
    "thresholded_relu": ("ThresholdedRelu", (0.3,)),
    "scaled_tanh": ("ScaledTanh", (0.8, 1.3)),
    "hard_sigmoid": ("HardSigmoid", (0.3, 0.4)),
    "elu": ("Elu", (0.6,)),
    "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()),
}
LAYERS = {
    "rnn": ("RNN", {}),
    "gru": ("GRU", {"reset_after": True}),
    "gru-before": ("GRU", {"reset_after": False}),
    "lstm": ("LSTM", {}),
}


def both(layer, activations, lengths=None, **attributes):
    """y and the final states of a bidirectional layer, ours and onnxruntime's; `activations`: (name, given) of each."""
    operator, lstm = type(layer).__name__, isinstance(layer, fastrnn.LSTM)
    suffixes, order = ["l0", "l0_reverse"], ORDER[operator]
    x, state = normal("x", N, T, I), state_like(layer, N, "s")
    y, final = layer(x, state, lengths=lengths)
    biases = [stacked(layer, kind, order, suffixes) for kind in ("bias_ih", "bias_hh")]
    inputs = {
        "X": x.swapaxes(0, 1),
        "W": stacked(layer, "weight_ih", order, suffixes),
        "R": stacked(layer, "weight_hh", order, suffixes),
        "B": np.concatenate(biases, axis=1),
        "sequence_lens": None if lengths is None else np.asarray(lengths, "int32"),
        "initial_h": state[0] if lstm else state,
    }
    if lstm:
        inputs["initial_c"] = state[1]
        if layer.peephole:
            inputs["P"] = stacked(layer, "weight_peephole", (0, 2, 1), suffixes)  # ONNX has i, o, f
    if operator == "GRU":
        attributes["linear_before_reset"] = int(layer.reset_after)
    if activations:
        attributes["activations"] = [ACTIVATIONS[name][0] for name, _ in activations] * 2
        for k, attribute in enumerate(("activation_alpha", "activation_beta")):
            numbers = [given[k] for _, given in activations if len(given) > k]  # one for each function that has any
            attributes |= {attribute: numbers * 2} if numbers else {}
    theirs, *their_final = run_node(
        operator, inputs, ["Y", "Y_h", "Y_c"] if lstm else ["Y", "Y_h"], hidden_size=H, direction="bidirectional",
        **attributes,
    )  # fmt: skip
    finals = final if lstm else (final,)
    return (y, *finals), (np.concatenate(list(theirs.swapaxes(0, 1)), axis=2).swapaxes(0, 1), *their_final)


def assert_equal(layer, activations=(), lengths=None, **attributes):
    ours, theirs = both(layer, activations, lengths, **attributes)
    for name, got, expected in zip(("y", "h", "c"), ours, theirs, strict=False):
        assert_close(got, expected, TOLERANCE, name)


def layer_of(kind, **options):
    name, fixed = LAYERS[kind]
    return getattr(fastrnn, name)(I, H, bidirectional=True, init=0.15, seed=0, **fixed, **options)


def named(name, given):
    return (name, *given) if given else name


@pytest.mark.parametrize(
    ("name", "numbers"),
    [(name, numbers) for name, (_, numbers) in ACTIVATIONS.items()]
    + [(name, ()) for name in ("leaky_relu", "hard_sigmoid", "elu")],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_activation(kind, name, numbers):
    """An activation in every place of the cell."""
    if kind == "rnn":
        layer = layer_of(kind, nonlinearity=named(name, numbers))
        assert_equal(layer, [(name, numbers)])
        return
    plain = ["sigmoid", "tanh", "tanh"][: 3 if kind == "lstm" else 2]
    for place in range(len(plain)):
        chosen = [(other, ()) for other in plain]
        chosen[place] = (name, numbers)
        assert_equal(layer_of(kind, activations=tuple(named(*pair) for pair in chosen)), chosen)


@pytest.mark.parametrize("clip", [0.1, 0.4])
@pytest.mark.parametrize("kind", LAYERS)
def test_clip(kind, clip):
    assert_equal(layer_of(kind, clip=clip), clip=clip)


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "sequence_lens"])
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
def test_lstm(peephole, coupled, clip, ragged):
    """Every combination of the LSTM's traits."""
    attributes = ({"input_forget": 1} if coupled else {}) | ({"clip": clip} if clip else {})
    layer = layer_of("lstm", peephole=peephole, coupled=coupled, clip=clip)
    assert_equal(layer, lengths=[6, 1, 3, 5, 2, 6, 4] if ragged else None, **attributes)
