"""Dense, Embedding and the losses against torch, every gradient."""

import numpy as np
import pytest
from helpers import DTYPES, FORWARD, GRADIENT, assert_close, normal, oracle

import fastrnn

torch = oracle("torch")


def leaf(array):
    return torch.tensor(np.array(array), requires_grad=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("K", "J"), [(5, 3), (33, 70), (20, 3000)])
def test_dense(K, J, dtype):
    dense = fastrnn.Dense(K, J, seed=0, init="torch", dtype=dtype)
    weight, bias = (leaf(array) for array in dense.parameters.values())
    x, dy = normal("x", 7, 9, K, dtype=dtype), normal("dy", 7, 9, J, dtype=dtype)
    y, tape = dense.forward(x)
    dx, grads = dense.backward(tape, dy)
    x_leaf = leaf(x)
    expected = torch.nn.functional.linear(x_leaf, weight, bias)
    expected.backward(torch.tensor(dy))
    assert_close(y, expected.detach(), FORWARD[dtype], "y")
    assert_close(dx, x_leaf.grad, GRADIENT[dtype], "dx")
    assert_close(grads["weight"], weight.grad, GRADIENT[dtype], "weight")
    assert_close(grads["bias"], bias.grad, GRADIENT[dtype], "bias")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("V", [3, 70, 3000])
def test_cross_entropy(V, reduction, dtype):
    dense = fastrnn.Dense(20, V, seed=0, init="torch", dtype=dtype)
    weight, bias = (leaf(array) for array in dense.parameters.values())
    h, targets = normal("h", 33, 20, dtype=dtype), np.random.default_rng(0).integers(0, V, 33)
    targets[::5] = -100
    h_leaf = leaf(h)
    logits = torch.nn.functional.linear(h_leaf, weight, bias)
    logits.retain_grad()
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction=reduction)
    expected.backward()
    loss, dh, grads = dense.cross_entropy(h, targets, reduction=reduction)
    assert_close(loss, expected.detach(), GRADIENT[dtype], "loss")
    assert_close(dh, h_leaf.grad, GRADIENT[dtype], "dh")
    assert_close(grads["weight"], weight.grad, GRADIENT[dtype], "weight")
    assert_close(grads["bias"], bias.grad, GRADIENT[dtype], "bias")
    loss, dlogits = fastrnn.losses.softmax_cross_entropy(logits.detach(), targets, reduction=reduction)
    assert_close(loss, expected.detach(), GRADIENT[dtype], "plain loss")
    assert_close(dlogits, logits.grad, GRADIENT[dtype], "dlogits")


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding(dtype):
    embedding = fastrnn.Embedding(30, 5, seed=0, dtype=dtype)
    table = leaf(embedding.parameters["weight"])
    ids, dy = np.random.default_rng(0).integers(0, 30, (4, 50)), normal("dy", 4, 50, 5, dtype=dtype)
    y, tape = embedding.forward(ids)
    expected = torch.nn.functional.embedding(torch.tensor(ids), table)
    expected.backward(torch.tensor(dy))
    assert_close(y, expected.detach(), 0.0, "y")
    assert_close(embedding.backward(tape, dy)[1]["weight"], table.grad, GRADIENT[dtype], "weight")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_squared_error(reduction, dtype):
    prediction, target = normal("p", 4, 7, dtype=dtype), normal("t", 4, 7, dtype=dtype)
    prediction_leaf = leaf(prediction)
    expected = torch.nn.functional.mse_loss(prediction_leaf, torch.tensor(target), reduction=reduction)
    expected.backward()
    loss, gradient = fastrnn.losses.squared_error(prediction, target, reduction=reduction)
    assert_close(loss, expected.detach(), GRADIENT[dtype], "loss")
    assert_close(gradient, prediction_leaf.grad, GRADIENT[dtype], "gradient")
