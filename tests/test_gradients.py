"""The engine's float64 gradients against central differences of its own forward pass."""

import numpy as np
import pytest
from helpers import CELLS, assert_close, make, named, normal, state_like

I, H, N, T = 3, 4, 3, 4
STEP, TOLERANCE = 1e-5, 1e-7

OPTIONS = {
    "plain": ({}, {}),
    "stacked": ({"num_layers": 2, "bidirectional": True}, {}),
    "no-bias": ({"bias": False}, {}),
    "lengths": ({"num_layers": 2, "bidirectional": True}, {"lengths": [4, 0, 2]}),
    "mask": ({"bidirectional": True}, {"mask": np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1]], bool)}),
    "hold": (
        {"bidirectional": True},
        {"mask": np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 1]], bool), "pad": "hold"},
    ),
    "resets": (
        {"num_layers": 2, "bidirectional": True},
        {"lengths": [4, 3, 2], "resets": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]], bool)},
    ),
}


@pytest.mark.parametrize("inputs", ["float", "ids"])
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_finite_differences(cell, option, inputs):
    """Every number of dx, dstate and every parameter's gradient, for L = Σ y·dy + Σ state·dstate."""
    built, called = OPTIONS[option]
    layer = make(cell, I, H, dtype="float64", init=0.6, seed=0, **built)
    D = 1 + layer.bidirectional
    x = normal("x", N, T, I, dtype="float64")
    if inputs == "ids":
        x = np.random.default_rng(0).integers(0, I, (N, T))
    state, dstate = state_like(layer, N, "state"), state_like(layer, N, "dstate")
    dy = normal("dy", N, T, D * H, dtype="float64")

    _, _, tape = layer.forward(x, state, **called)
    dx, dinitial, grads = layer.backward(tape, dy, dstate)

    weights = layer.state_dict()

    def loss():
        y, final = layer(x, state, **called)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dstate, strict=True))

    def assert_slope(array, gradient, name, renew=lambda: None):
        numeric = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            sides = []
            for side in (STEP, -STEP):
                array[index] = kept + side
                renew()
                sides.append(loss())
            array[index] = kept
            numeric[index] = (sides[0] - sides[1]) / (2 * STEP)
        renew()
        assert_close(gradient, numeric, TOLERANCE, name)

    if inputs == "float":
        assert_slope(x, dx, "dx")
    else:
        assert dx is None
    for name, part in named(state, "").items():
        assert_slope(part, named(dinitial, "")[name], "d" + name)
    for name, weight in weights.items():
        assert_slope(weight, grads[name], name, lambda: layer.load_state_dict(weights))
