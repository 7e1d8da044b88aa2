"""Projected LSTMs against torch: every output, state and gradient, and torch's names, shapes and initial values."""

import numpy as np
import pytest
from helpers import DTYPES, assert_all_close, named, normal, oracle, run, state_like

import fastrnn

torch = oracle("torch")


def run_torch(layer, x, state, dy, dstate, lengths):
    """What `helpers.run` returns, from torch in float64."""
    module = torch.nn.LSTM(
        layer.input_size, layer.hidden_size, layer.num_layers, bidirectional=layer.bidirectional, bias=layer.bias,
        batch_first=True, proj_size=layer.proj_size, dtype=torch.float64,
    )  # fmt: skip
    module.load_state_dict({name: torch.tensor(value).double() for name, value in layer.state_dict().items()})
    leaves = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in (x, *state)]
    given = leaves[0]
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(given, torch.tensor(lengths), True, enforce_sorted=False)
    y, final = module(given, tuple(leaves[1:]))
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, True, total_length=x.shape[1])
    sum((a * torch.tensor(b)).sum() for a, b in zip((y, *final), (dy, *dstate), strict=True)).backward()
    results = {"y": y, **named(final, ""), "dx": leaves[0].grad, "dh": leaves[1].grad, "dc": leaves[2].grad}
    results |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in results.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [None, [9, 1, 4, 9, 3]], ids=["full", "packed"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("I", "H", "P"), [(3, 7, 2), (17, 65, 33)])
def test_equals_torch(I, H, P, layers, bidirectional, bias, lengths, dtype):
    options = {"proj_size": P, "bidirectional": bidirectional, "bias": bias, "init": "torch", "seed": 0}
    weights = fastrnn.LSTM(I, H, layers, **options).state_dict()
    layer = fastrnn.LSTM(I, H, layers, dtype=dtype, **options)
    layer.load_state_dict(weights)
    x, dy = normal("x", 5, 9, I, dtype=dtype), normal("dy", 5, 9, (1 + bidirectional) * P, dtype=dtype)
    state, dstate = state_like(layer, 5, "s"), state_like(layer, 5, "d")
    expected = run_torch(layer, x, state, dy, dstate, lengths)
    assert_all_close(run(layer, x, state, dy, dstate, lengths=lengths), expected, dtype)


@pytest.mark.parametrize("bias", [True, False])
def test_torchs_names_and_shapes(bias):
    layer = fastrnn.LSTM(3, 7, 2, proj_size=2, bidirectional=True, bias=bias, init="torch", seed=0)
    module = torch.nn.LSTM(3, 7, 2, proj_size=2, bidirectional=True, bias=bias)
    shapes = [(name, tuple(value.shape)) for name, value in module.state_dict().items()]
    assert [(name, value.shape) for name, value in layer.state_dict().items()] == shapes
    layer.load_state_dict(module.state_dict())
    for name, value in module.state_dict().items():
        assert np.array_equal(layer.parameters[name], value.numpy())
        assert np.abs(layer.parameters[name]).max() <= 7**-0.5
