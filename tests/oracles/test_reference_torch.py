"""The NumPy reference against torch, in float64: recurrent layers, Dense, Embedding and the losses."""

import numpy as np
import pytest
from helpers import assert_all_close, assert_close, make, normal, oracle, run, state_like

from fastrnn import reference

torch = oracle("torch")

TIGHT = 1e-12


def leaf(array):
    return torch.tensor(np.array(array), requires_grad=True)


def torch_results(layer, x, state, dy, dstate, lengths):
    """What `helpers.run` returns, from torch's module with the same weights."""
    options = {"nonlinearity": layer.nonlinearity} if hasattr(layer, "nonlinearity") else {}
    module = getattr(torch.nn, type(layer).__name__)(
        layer.input_size, layer.hidden_size, layer.num_layers, bidirectional=layer.bidirectional, bias=layer.bias,
        batch_first=True, dtype=torch.float64, **options,
    )  # fmt: skip
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.state_dict().items()})
    pair = isinstance(state, tuple)
    inputs, initial = leaf(x), tuple(map(leaf, state)) if pair else (leaf(state),)
    above = dstate if pair else (dstate,)
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    y, final = module(packed, initial if pair else initial[0])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    final = final if pair else (final,)
    outputs = zip((y, *final), (dy, *above), strict=True)
    sum((output * torch.tensor(gradient)).sum() for output, gradient in outputs).backward()
    names = "hc"[: len(final)]
    results = {"y": y, **dict(zip(names, final, strict=True)), "dx": inputs.grad}
    results |= {f"d{name}": part.grad for name, part in zip(names, initial, strict=True)}
    results |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in results.items()}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh", "rnn-relu"])
def test_recurrent_layers(cell, layers, bidirectional, bias):
    """A ragged batch from a given state: outputs, final state and every gradient."""
    layer = make(
        cell, 3, 7, layers, bidirectional=bidirectional, bias=bias, dtype="float64", seed=0, init="torch",
        module=reference,
    )  # fmt: skip
    x, dy = normal("x", 5, 6, 3, dtype="float64"), normal("dy", 5, 6, 7 * (1 + bidirectional), dtype="float64")
    state, dstate = state_like(layer, 5, "s"), state_like(layer, 5, "d")
    for lengths in ([6] * 5, [6, 1, 4, 4, 2]):
        got = run(layer, x, state, dy, dstate, lengths=lengths)
        assert_all_close(got, torch_results(layer, x, state, dy, dstate, lengths), "float64")


def test_dense_and_embedding():
    """A tied embedding and softmax, as a language model has them: the loss and both gradients."""
    embedding = reference.Embedding(6, 4, dtype="float64", seed=0)
    dense = reference.Dense(4, 6, dtype="float64", seed=1, init=0.3, tied=embedding)
    ids, targets = np.random.default_rng(0).integers(0, 6, (2, 3, 5))
    h, tape = embedding.forward(ids)
    loss, dh, grads = dense.cross_entropy(np.tanh(h), targets)
    weight_below = embedding.backward(tape, dh * (1 - np.tanh(h) ** 2))[1]["weight"]

    table, bias = leaf(embedding.parameters["weight"]), leaf(dense.parameters["bias"])
    logits = torch.tanh(torch.nn.functional.embedding(torch.tensor(ids), table)) @ table.T + bias
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten())
    expected.backward()
    assert_close(loss, expected.item(), TIGHT)
    assert_close(grads["weight"] + weight_below, table.grad.numpy(), TIGHT)
    assert_close(grads["bias"], bias.grad.numpy(), TIGHT)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses(reduction):
    logits, targets = normal("z", 3, 5, 6, dtype="float64"), np.random.default_rng(0).integers(0, 6, (3, 5))
    targets[1, 2:] = -100
    given = leaf(logits)
    expected = torch.nn.functional.cross_entropy(
        given.flatten(0, 1), torch.tensor(targets).flatten(), reduction=reduction
    )
    expected.backward()
    loss, gradient = reference.losses.softmax_cross_entropy(logits, targets, reduction=reduction)
    assert_close(loss, expected.item(), TIGHT)
    assert_close(gradient, given.grad.numpy(), TIGHT)

    prediction, target = normal("p", 3, 5, 2, dtype="float64"), normal("t", 3, 5, 2, dtype="float64")
    given = leaf(prediction)
    expected = torch.nn.functional.mse_loss(given, torch.tensor(target), reduction=reduction)
    expected.backward()
    loss, gradient = reference.losses.squared_error(prediction, target, reduction=reduction)
    assert_close(loss, expected.item(), TIGHT)
    assert_close(gradient, given.grad.numpy(), TIGHT)
