"""Variational dropout and zoneout written out step by step in torch, by the masks that a tape shows, with autograd."""

import pytest
from helpers import DTYPES, assert_all_close, named, normal, oracle, run, state_like

import fastrnn

torch = oracle("torch")

CELLS = {
    "rnn": ("RNN", {}),
    "gru": ("GRU", {}),
    "gru-before": ("GRU", {"reset_after": False}),
    "lstm": ("LSTM", {}),
    "lstm-pair": ("LSTM", {"zoneout": (0.5, 0.1)}),
}


def step(cell, a, h, seen, rest, U, b):
    """One step of a cell from a = W x + b_ih: the state that it gives. `seen` is h as U reads it."""
    u = seen @ U.T + b
    if cell == "rnn":
        return (torch.tanh(a + u),)
    if cell.startswith("lstm"):
        i, f, g, o = (a + u).chunk(4, dim=1)
        c = torch.sigmoid(f) * rest[0] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3, dim=1), u.chunk(3, dim=1)
    r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    if cell == "gru-before":
        H = h.shape[1]
        n = torch.tanh(a_n + (r * seen) @ U[2 * H :].T + b[2 * H :])
    else:
        n = torch.tanh(a_n + r * u_n)
    return ((1 - z) * n + z * h,)


def run_torch(cell, layer, tape, x, state, dy, dstate):
    """What `helpers.run` returns, from torch in float64."""

    def leaf(value):
        return torch.tensor(value, dtype=torch.float64, requires_grad=True)

    weights = {name: leaf(value) for name, value in layer.state_dict().items()}
    given, initial = leaf(x), [leaf(part) for part in (state if isinstance(state, tuple) else (state,))]
    inputs, states, holds = tape.input_masks(), tape.recurrent_masks(), tape.zoneout_masks()
    below, final, k, T = given, [], 0, x.shape[1]
    for level in range(layer.num_layers):
        outputs = []
        for end in ("", "_reverse")[: 1 + layer.bidirectional]:
            W, U, b_ih, b_hh = (
                weights[f"{name}_l{level}{end}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            a = (below * torch.tensor(inputs[k])[:, None]) @ W.T + b_ih
            now, seen = tuple(part[k] for part in initial), {}
            for t in range(T) if not end else reversed(range(T)):
                new = step(cell, a[:, t], now[0], now[0] * torch.tensor(states[k]), now[1:], U, b_hh)
                held = [torch.tensor(holds[k][name][:, t]) for name in ("h", "c")[: len(now)]]
                now = tuple(torch.where(*parts) for parts in zip(held, now, new, strict=True))
                seen[t] = now[0]
            outputs.append(torch.stack([seen[t] for t in range(T)], dim=1))
            final.append(now)
            k += 1
        below = torch.cat(outputs, dim=2)
    final = [torch.stack(parts) for parts in zip(*final, strict=True)]
    above = [dy, *(dstate if isinstance(dstate, tuple) else (dstate,))]
    sum((a * torch.tensor(b)).sum() for a, b in zip((below, *final), above, strict=True)).backward()
    results = {"y": below, **named(tuple(final), ""), "dx": given.grad}
    results |= named(tuple(part.grad for part in initial), "d") | {name: leaf.grad for name, leaf in weights.items()}
    return {name: value.detach().numpy() for name, value in results.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_torch(cell, bidirectional, dtype):
    kind, fixed = CELLS[cell]
    options = {"input_dropout": 0.3, "recurrent_dropout": 0.2, "zoneout": 0.25, "init": 0.3, "seed": 0, **fixed}
    layer = getattr(fastrnn, kind)(5, 19, 2, bidirectional=bidirectional, dtype=dtype, **options)
    x, dy = normal("x", 4, 9, 5, dtype=dtype), normal("dy", 4, 9, (1 + bidirectional) * 19, dtype=dtype)
    state, dstate = state_like(layer, 4, "s"), state_like(layer, 4, "d")
    tape = layer.forward(x, state)[2]
    layer.forward_count = 0
    assert_all_close(run(layer, x, state, dy, dstate), run_torch(cell, layer, tape, x, state, dy, dstate), dtype)
