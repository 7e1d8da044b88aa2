"""‖∂L/∂h⟨t⟩‖ against torch: its cells step by step, each new h retaining its gradient."""

import numpy as np
import pytest
from helpers import DTYPES, assert_close, make, normal, oracle, state_like

from fastrnn.diagnostics import gradient_flow

torch = oracle("torch")

N, T, I, H = 4, 9, 3, 17
LENGTHS = np.array([9, 4, 0, 7])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh", "rnn-relu"])


def cell_of(layer, suffix):
    """A torch cell with the weights of one layer and direction, in float64."""
    options = {"nonlinearity": layer.nonlinearity} if hasattr(layer, "nonlinearity") else {}
    weights = {
        name.removesuffix(f"_{suffix}"): torch.tensor(value).double()
        for name, value in layer.state_dict().items()
        if name.endswith(f"_{suffix}")
    }
    kind = getattr(torch.nn, f"{type(layer).__name__}Cell")
    cell = kind(weights["weight_ih"].shape[1], H, dtype=torch.float64, **options)
    cell.load_state_dict(weights)
    return cell


def run_direction(cell, x, state, active, reverse):
    """Every new h of one direction [T][N, H], which keeps its gradient; y [N, T, H], zero where padded; the final h."""
    hidden, outputs = [None] * T, [None] * T
    for t in range(T)[:: -1 if reverse else 1]:
        new = cell(x[:, t], state if len(state) == 2 else state[0])
        new = new if len(state) == 2 else (new,)
        new[0].retain_grad()
        real = active[:, t, None]
        hidden[t], outputs[t] = new[0], torch.where(real, new[0], 0)
        state = tuple(torch.where(real, after, before) for after, before in zip(new, state, strict=True))
    return hidden, torch.stack(outputs, dim=1), state[0]


def torch_norms(layer, x, state, dy, lengths):
    """Norms (L·D, T); `dy` None: of the sum of the last layer's final h."""
    directions = 2 if layer.bidirectional else 1
    active = torch.arange(T) < torch.tensor(lengths)[:, None]
    parts = state if isinstance(state, tuple) else (state,)
    y, hidden = torch.tensor(x).double(), []
    for k in range(layer.num_layers):
        below, outputs, finals = y, [], []
        for d in range(directions):
            initial = tuple(torch.tensor(part[k * directions + d]).double() for part in parts)
            cell = cell_of(layer, f"l{k}" + "_reverse" * d)
            own, output, final = run_direction(cell, below, initial, active, d == 1)
            hidden.append(own)
            outputs.append(output)
            finals.append(final)
        y = torch.cat(outputs, dim=2)
    loss = sum(final.sum() for final in finals) if dy is None else (y * torch.tensor(dy)).sum()
    loss.backward()
    zero = torch.zeros(N, H)
    return np.array([[float((zero if h.grad is None else h.grad).norm()) for h in own] for own in hidden])


@every_dtype
@pytest.mark.parametrize("given", ["dy", "loss", "final"])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (2, True)])
@every_cell
def test_norms_equal_torch(cell, layers, bidirectional, given, dtype):
    layer = make(cell, I, H, layers, bidirectional=bidirectional, dtype=dtype, init=0.3, seed=1)
    x, state = normal("x", N, T, I, dtype=dtype), state_like(layer, N, "s")
    dy = normal("dy", N, T, H * (1 + bidirectional), dtype=dtype)
    options = {"dy": {"dy": dy}, "loss": {"loss": lambda y: (float((y * dy).sum()), dy, "more")}, "final": {}}[given]
    flow = gradient_flow(layer, x, state=state, lengths=LENGTHS, **options)
    expected = torch_norms(layer, x, state, None if given == "final" else dy, LENGTHS)
    assert flow.names == tuple(f"l{k}{way}" for k in range(layers) for way in ("", "_reverse")[: 1 + bidirectional])
    assert expected.all()
    assert_close(flow.norms, expected, 1e-5 if dtype == "float32" else 1e-12)
