"""The optimizers and the clipping against torch, update by update, and whole training runs."""

import numpy as np
import pytest
from helpers import DTYPES, assert_close, normal, oracle
from test_optim import RULES, UPDATES, gradients_of, new, two_layers

import fastrnn
from fastrnn import losses, optim

torch = oracle("torch")

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def leaf(array):
    return torch.nn.Parameter(torch.tensor(np.array(array)))


def torch_rule(rule: str, parameters, **changes):
    name, options = RULES[rule]
    return getattr(torch.optim, name)(parameters, foreach=False, **{**options, **changes})


@every_dtype
@pytest.mark.parametrize("rule", RULES)
def test_update_by_update(rule, dtype):
    """Over changing rates; what is remembered carries torch's names and agrees too."""
    layers = two_layers(dtype)
    twins = [{name: leaf(array) for name, array in layer.parameters.items()} for layer in layers]
    optimizer = new(rule, layers)
    expected = torch_rule(rule, [twin for part in twins for twin in part.values()])
    for k in range(UPDATES):
        optimizer.lr = RULES[rule][1].get("lr", 1e-2) * (1 - k / UPDATES)
        expected.param_groups[0]["lr"] = optimizer.lr
        grads = [gradients_of(layer, f"{rule} {k}", dtype) for layer in layers]
        for twin, grad in zip(twins, grads, strict=True):
            for name in twin:
                twin[name].grad = torch.tensor(np.ascontiguousarray(grad[name]))
        optimizer.step(grads)
        expected.step()
        for layer, twin in zip(layers, twins, strict=True):
            for name, value in layer.parameters.items():
                assert_close(value, twin[name].detach(), TOLERANCE[dtype], f"{name} after update {k + 1}")
    for position, twin in enumerate(twins):
        for name in twin:
            remembered = optimizer.state_dict()["state"][f"{position}.{name}"]
            for slot, array in remembered.items():
                assert_close(array, expected.state[twin[name]][slot], TOLERANCE[dtype], slot)
            assert set(remembered) == set(expected.state[twin[name]]) - {"step"} - unused(expected.state[twin[name]])


def unused(state: dict) -> set:
    """What torch notes but does not keep: SGD without momentum has an empty buffer."""
    return {name for name, value in state.items() if value is None}


@every_dtype
@pytest.mark.parametrize("limit", [0.1, 5.0, 1e4])
def test_clipping(limit, dtype):
    grads = [gradients_of(layer, "clip", dtype) for layer in two_layers(dtype)]
    for ours, theirs in ((optim.clip_grad_norm, "clip_grad_norm_"), (optim.clip_grad_value, "clip_grad_value_")):
        arrays = [array.copy() for part in grads for array in part.values()]
        twins = [leaf(array) for array in arrays]
        for twin in twins:
            twin.grad = twin.detach().clone()
        result = ours([dict(enumerate(arrays))], limit)
        expected = getattr(torch.nn.utils, theirs)(twins, limit)
        if expected is not None:
            assert_close(result, expected, TOLERANCE[dtype], "norm")
        for array, twin in zip(arrays, twins, strict=True):
            assert_close(array, twin.grad, TOLERANCE[dtype], theirs)


@pytest.mark.parametrize("rule", ["sgd-momentum", "adam", "adamw"])
def test_training_with_tied_weights(rule):
    """Embedding, LSTM and a softmax tied to the embedding, clipped by the norm: the losses and the final parameters."""
    V, H, N, T = 11, 7, 4, 6
    embedding = fastrnn.Embedding(V, H, seed=1, dtype="float64")
    lstm = fastrnn.LSTM(H, H, seed=1, dtype="float64")
    dense = fastrnn.Dense(H, V, seed=1, dtype="float64", tied=embedding)
    optimizer = new(rule, [embedding, lstm, dense])
    table, bias = leaf(embedding.parameters["weight"]), leaf(dense.parameters["bias"])
    twin = torch.nn.LSTM(H, H, batch_first=True, dtype=torch.float64)
    twin.load_state_dict({name: torch.tensor(value) for name, value in lstm.state_dict().items()})
    expected = torch_rule(rule, [table, *twin.parameters(), bias])
    ids = np.random.default_rng(0).integers(0, V, (N, T + 1))
    for _ in range(15):
        x, embedded = embedding.forward(ids[:, :-1])
        h, _, tape = lstm.forward(x)
        loss, dh, output = dense.cross_entropy(h, ids[:, 1:])
        dx, _, recurrent = lstm.backward(tape, dh)
        _, below = embedding.backward(embedded, dx)
        below["weight"] += output.pop("weight")
        grads = [below, recurrent, output]
        norm = optim.clip_grad_norm(grads, 0.5)
        optimizer.step(grads)

        expected.zero_grad()
        z = torch.nn.functional.linear(twin(table[torch.tensor(ids[:, :-1])])[0], table, bias)
        torch_loss = torch.nn.functional.cross_entropy(z.reshape(-1, V), torch.tensor(ids[:, 1:]).reshape(-1))
        torch_loss.backward()
        torch_norm = torch.nn.utils.clip_grad_norm_([table, *twin.parameters(), bias], 0.5)
        expected.step()
        assert_close(loss, torch_loss.detach(), 1e-11, "loss")
        assert_close(norm, torch_norm, 1e-11, "norm")
    assert_close(embedding.parameters["weight"], table.detach(), 1e-11, "table")
    assert_close(dense.parameters["bias"], bias.detach(), 1e-11, "bias")
    for name, value in twin.named_parameters():
        assert_close(lstm.parameters[name], value.detach(), 1e-11, name)


def test_training_by_squared_error():
    """Two layers and the plain form of a loss, in float32: still together after a number of updates."""
    lstm, dense = fastrnn.LSTM(3, 8, seed=0), fastrnn.Dense(8, 1, seed=0)
    optimizer = optim.Adam([lstm, dense], lr=1e-2)
    twin, head = torch.nn.LSTM(3, 8, batch_first=True), torch.nn.Linear(8, 1)
    for module, layer in ((twin, lstm), (head, dense)):
        module.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    expected = torch.optim.Adam([*twin.parameters(), *head.parameters()], lr=1e-2)
    x, target = normal("x", 5, 9, 3), normal("target", 5, 9, 1)
    for _ in range(20):
        h, _, tape = lstm.forward(x)
        y, dense_tape = dense.forward(h)
        loss, dy = losses.squared_error(y, target)
        dh, dense_grads = dense.backward(dense_tape, dy)
        optimizer.step([lstm.backward(tape, dh)[2], dense_grads])
        expected.zero_grad()
        torch_loss = torch.nn.functional.mse_loss(head(twin(torch.tensor(x))[0]), torch.tensor(target))
        torch_loss.backward()
        expected.step()
        assert_close(loss, torch_loss.detach(), 1e-5, "loss")


@every_dtype
@pytest.mark.parametrize("rule", ["sgd", "adagrad"])
def test_sparse_gradients(rule, dtype):
    """Of an embedding, update by update, beside torch's with ``sparse=True``."""
    ours = fastrnn.Embedding(40, 7, seed=0, dtype=dtype, sparse_grad=True)
    theirs = torch.nn.Embedding(40, 7, sparse=True, dtype=getattr(torch, dtype))
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()})
    optimizer, expected = new(rule, ours), torch_rule(rule, theirs.parameters())
    for k in range(20):
        ids, dy = np.random.default_rng(k).integers(0, 40, (3, 5)), normal(k, 3, 5, 7, dtype=dtype)
        grads = ours.backward(ours.forward(ids)[1], dy)[1]
        expected.zero_grad()
        with torch.sparse.check_sparse_tensor_invariants():  # torch warns where nobody says whether to
            theirs(torch.tensor(ids)).backward(torch.tensor(dy))
            rows = theirs.weight.grad.coalesce()
        assert grads["weight"].indices.tolist() == rows.indices()[0].tolist()
        assert_close(grads["weight"].values, rows.values(), TOLERANCE[dtype])
        optimizer.step(grads)
        expected.step()
        assert_close(ours.parameters["weight"], theirs.weight.detach(), TOLERANCE[dtype], f"update {k + 1}")
