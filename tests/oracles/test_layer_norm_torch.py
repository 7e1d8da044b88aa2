"""Layer-normalised cells beside the paper's equations in torch, torch's layer_norm and autograd."""

import numpy as np
import pytest
from helpers import DTYPES, assert_close, normal, oracle, run, state_like

import fastrnn

torch = oracle("torch")
norm = torch.nn.functional.layer_norm


def lstm_step(w, x, h, c):
    """Equations 20 to 22 of Ba, Kiros and Hinton (2016), gates in the order i, f, g, o."""
    sums = norm(x @ w["weight_ih_l0"].T, (len(w["weight_ih_l0"]),), w["weight_norm_ih_l0"], w["bias_ih_l0"])
    sums = sums + norm(h @ w["weight_hh_l0"].T, (len(w["weight_hh_l0"]),), w["weight_norm_hh_l0"], w["bias_hh_l0"])
    i, f, g, o = sums.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(norm(c, (c.shape[1],), w["weight_norm_c_l0"], w["bias_norm_c_l0"]))
    return h, c


def gru_step(w, x, h):
    """The paper's supplement: r and z together, n by itself; its z is 1 - z here."""
    H = h.shape[1]

    def normalised(a, side):
        gain, bias = w[f"weight_norm_{side}_l0"], w[f"bias_{side}_l0"]
        gates = norm(a[:, : 2 * H], (2 * H,), gain[: 2 * H], bias[: 2 * H])
        return *gates.chunk(2, dim=1), norm(a[:, 2 * H :], (H,), gain[2 * H :], bias[2 * H :])

    x_r, x_z, x_n = normalised(x @ w["weight_ih_l0"].T, "ih")
    h_r, h_z, h_n = normalised(h @ w["weight_hh_l0"].T, "hh")
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return ((1 - z) * n + z * h,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "step"), [("LSTM", lstm_step), ("GRU", gru_step)], ids=["lstm", "gru"])
def test_equals_autograd(kind, step, dtype):
    I, H, N, T = 5, 19, 4, 11
    layer = getattr(fastrnn, kind)(I, H, layer_norm=True, dtype=dtype, seed=0, init=0.3)
    vectors = {name: value for name, value in layer.parameters.items() if value.ndim == 1}
    layer.set_parameters(**{name: 0.6 * value + 0.2 * normal(name, *value.shape) for name, value in vectors.items()})
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, H, dtype=dtype)
    state = state_like(layer, N, "s", dtype)
    got = run(layer, x, state, dy)

    def leaf(array):
        return torch.tensor(np.asarray(array, "float64"), requires_grad=True)

    weights, x, dy = {name: leaf(value) for name, value in layer.parameters.items()}, leaf(x), leaf(dy)
    initial = [leaf(part[0]) for part in (state if kind == "LSTM" else (state,))]
    now, outputs = tuple(initial), []
    for t in range(T):
        now = step(weights, x[:, t], *now)
        outputs.append(now[0])
    y = torch.stack(outputs, dim=1)
    (y * dy).sum().backward()
    expected = {"y": y, "h": now[0][None], "dx": x.grad, "dh": initial[0].grad[None]}
    expected |= {name: value.grad for name, value in weights.items()}
    if kind == "LSTM":
        expected |= {"c": now[1][None], "dc": initial[1].grad[None]}
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        forward = name in ("y", "h", "c")
        tolerance = (2e-6 if forward else 1e-5) if dtype == "float32" else 1e-12
        assert_close(got[name], value.detach().numpy(), tolerance, name)
