"""MinGRU and MinLSTM against their paper's equations, written out in torch and differentiated by it."""

import numpy as np
import pytest
from helpers import DTYPES, assert_all_close, make, normal, oracle, run, state_like

torch = oracle("torch")


def mingru(a, h):
    z, n = a.chunk(2, dim=-1)
    z = torch.sigmoid(z)
    return (1 - z) * h + z * n


def minlstm(a, h):
    """The gates normalized in logarithms, as the paper's log-space form does it."""
    f, i, n = a.chunk(3, dim=-1)
    difference = torch.nn.functional.logsigmoid(i) - torch.nn.functional.logsigmoid(f)
    return torch.sigmoid(-difference) * h + torch.sigmoid(difference) * n


STEPS = {"mingru": mingru, "minlstm": minlstm}


def run_torch(cell, layer, x, state, dy, dstate):
    """What `helpers.run` returns, from torch in float64."""
    weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in layer.state_dict().items()}
    x, state = torch.tensor(x, dtype=torch.float64), torch.tensor(state, dtype=torch.float64)
    for leaf in (x, state, *weights.values()):
        leaf.requires_grad_()
    below, final, T = x, [], x.shape[1]
    for k in range(layer.num_layers):
        sides = []
        for d in range(1 + layer.bidirectional):
            suffix = f"l{k}" + "_reverse" * d
            bias = weights[f"bias_ih_{suffix}"] if layer.bias else None
            a = torch.nn.functional.linear(below, weights[f"weight_ih_{suffix}"], bias)
            h, outputs = state[len(final)], {}
            for t in range(T)[:: -1 if d else 1]:
                outputs[t] = h = STEPS[cell](a[:, t], h)
            final.append(h)
            sides.append(torch.stack([outputs[t] for t in range(T)], dim=1))
        below = torch.cat(sides, dim=2)
    h = torch.stack(final)
    ((below * torch.tensor(dy)).sum() + (h * torch.tensor(dstate)).sum()).backward()
    results = {"y": below, "h": h, "dx": x.grad, "dh": state.grad}
    results |= {name: weight.grad for name, weight in weights.items()}
    return {name: value.detach().numpy() for name, value in results.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 60], ids=["plain", "saturated"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize(("I", "H", "layers"), [(3, 7, 1), (17, 33, 2)])
@pytest.mark.parametrize("cell", STEPS)
def test_equals_torch(cell, I, H, layers, bidirectional, bias, scale, dtype):
    layer = make(cell, I, H, layers, bidirectional=bidirectional, bias=bias, init="torch", seed=0, dtype=dtype)
    x = scale * normal("x", 5, 9, I, dtype=dtype)
    if scale > 1:  # the gates alone: candidates of size 60 would only scale the rounding
        weights = {name: value * (np.arange(len(value)) < len(value) - H).reshape(-1, *[1] * (value.ndim - 1))
                   for name, value in layer.state_dict().items() if "l0" in name}  # fmt: skip
        layer.set_parameters(**weights)
    dy, state = normal("dy", 5, 9, (1 + bidirectional) * H, dtype=dtype), state_like(layer, 5, "s")
    dstate = state_like(layer, 5, "d")
    expected = run_torch(cell, layer, x, state, dy, dstate)
    assert_all_close(run(layer, x, state, dy, dstate), expected, dtype)
