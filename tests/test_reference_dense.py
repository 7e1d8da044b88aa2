"""The reference's Dense, Embedding and losses: numbers worked out by hand, and finite differences."""

import math

import numpy as np
import pytest
from helpers import DTYPES, assert_close, assert_gradient, assert_same_bits, normal

from fastrnn import reference

I, H, N, T = 3, 4, 3, 5
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def test_dense_gradients():
    dense = reference.Dense(4, 6, dtype="float64", seed=0, init=0.5)
    x, dy = normal("x", 2, 3, 4, dtype="float64"), normal("dy", 2, 3, 6, dtype="float64")
    y, tape = dense.forward(x)
    assert_close(y, np.einsum("oi,nti->nto", dense.parameters["weight"], x) + dense.parameters["bias"], 1e-14)
    dx, grads = dense.backward(tape, dy)
    weights = dense.state_dict()

    def loss():
        dense.load_state_dict(weights)
        return (dense(x) * dy).sum()

    for array, gradient, name in ((x, dx, "x"), *((weights[name], grads[name], name) for name in weights)):
        assert_gradient(loss, array, gradient, name)
    assert list(reference.Dense(4, 6, bias=False).parameters) == ["weight"]


def test_embedding_adds_repeated_rows():
    embedding = reference.Embedding(5, 2, dtype="float64", seed=0)
    ids = np.array([[1, 1, 4], [0, 1, 4]])
    y, tape = embedding.forward(ids)
    assert_same_bits(y, embedding.parameters["weight"][ids])
    dy = np.arange(12.0).reshape(2, 3, 2)
    dx, grads = embedding.backward(tape, dy)
    assert dx is None
    assert_same_bits(grads["weight"], np.array([[6.0, 7], [0 + 2 + 8, 1 + 3 + 9], [0, 0], [0, 0], [4 + 10, 5 + 11]]))
    with pytest.raises(ValueError, match="ids must be from 0 to 4, got 5"):
        embedding([[5]])
    with pytest.raises(TypeError, match="ids"):
        embedding([[0.0]])


def test_tied_weights_are_one_parameter():
    embedding = reference.Embedding(6, 4, seed=0)
    dense = reference.Dense(4, 6, tied=embedding)
    assert dense.parameters["weight"] is embedding.parameters["weight"]
    tape = dense.forward(np.zeros((1, 4)))[1]
    embedding.set_parameters(weight=np.ones((6, 4)))
    assert (dense(np.ones((1, 4))) == 4).all()
    with pytest.raises(ValueError, match="older"):
        dense.backward(tape, np.zeros((1, 6)))
    for wrong in (reference.Embedding(4, 6), reference.Embedding(6, 4, dtype="float64")):
        with pytest.raises(ValueError, match="tied"):
            reference.Dense(4, 6, tied=wrong)


@pytest.mark.parametrize("reduction", ["mean", "sum", "time_sum"])
def test_cross_entropy_of_a_dense_layer(reduction):
    """The loss, dh and both gradients; what does not count may be nan."""
    dense = reference.Dense(4, 6, dtype="float64", seed=0, init=0.5)
    h = normal("h", 2, 3, 4, dtype="float64")
    targets = np.array([[0, 5, -100], [2, 2, 9]])
    mask = np.array([[1, 1, 1], [1, 1, 0]], bool)
    loss, dh, grads = dense.cross_entropy(h, targets, mask, reduction)
    weights = dense.state_dict()

    def again():
        dense.load_state_dict(weights)
        return dense.cross_entropy_loss(h, targets, mask, reduction)

    assert loss == pytest.approx(again(), abs=1e-15)
    for array, gradient, name in ((h, dh, "h"), *((weights[name], grads[name], name) for name in weights)):
        assert_gradient(again, array, gradient, name)
    dense.load_state_dict(weights)
    spoilt = h.copy()
    spoilt[0, 2], spoilt[1, 2] = np.nan, np.inf
    assert_same_bits(dense.cross_entropy(spoilt, targets, mask, reduction)[1:], (dh, grads))


# Losses


def test_cross_entropy_by_hand():
    """Logits ln 1, ln 2, ln 5: p = 1/8, 2/8, 5/8."""
    logits = np.log([[1.0, 2, 5], [5, 2, 1]])
    loss, gradient = reference.losses.softmax_cross_entropy(logits, [2, 1])
    assert loss == pytest.approx((math.log(8 / 5) + math.log(8 / 2)) / 2)
    assert_close(gradient, np.array([[1, 2, -3], [5, -6, 1]]) / 16, 1e-15)
    weighted, _ = reference.losses.softmax_cross_entropy(logits, [2, 1], mask=[3.0, 1.0])
    assert weighted == pytest.approx((3 * math.log(8 / 5) + math.log(8 / 2)) / 4)
    big, gradient = reference.losses.softmax_cross_entropy([[1e4, 0.0]], [1])
    assert big == 1e4
    assert_close(gradient, [[1.0, -1.0]], 0)


def test_squared_error_by_hand():
    prediction, target = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 4], [3, 1]])
    loss, gradient = reference.losses.squared_error(prediction, target)
    assert loss == (1 + 4 + 0 + 9) / 4
    assert_close(gradient, [[0.5, -1], [0, 1.5]], 0)
    loss, gradient = reference.losses.squared_error(
        prediction, np.array([[0, 4], [3, np.nan]]), mask=[[1, 0], [2, 0]], reduction="sum"
    )
    assert loss == 1
    assert_close(gradient, [[2.0, 0], [0, 0]], 0)
    assert reference.losses.squared_error(prediction, target, mask=[False, True])[0] == 4.5


@pytest.mark.parametrize("reduction", ["mean", "sum", "time_sum"])
def test_loss_gradients(reduction):
    """Over a batch with weights and targets that do not count; time_sum adds the batch means of the steps."""
    logits, weight = normal("z", N, T, 6, dtype="float64"), np.abs(normal("w", N, T, dtype="float64"))
    targets = np.random.default_rng(0).integers(0, 6, (N, T))
    targets[1, 3:] = -100
    prediction, target = normal("p", N, T, 2, dtype="float64"), normal("t", N, T, 2, dtype="float64")
    for loss, array, arguments in (
        (reference.losses.softmax_cross_entropy, logits, (targets, weight, reduction)),
        (reference.losses.squared_error, prediction, (target, weight, reduction)),
    ):
        assert_gradient(lambda: loss(array, *arguments)[0], array, loss(array, *arguments)[1], loss.__name__)  # noqa: B023
        nothing = loss(array, arguments[0], np.zeros((N, T), bool), reduction)
        assert nothing[0] == 0
        assert not nothing[1].any()
        single = loss(array.astype("float32"), *arguments)[1]
        assert single.dtype == "float32"
        assert_close(single, loss(array, *arguments)[1], 1e-6)
    per_step = [
        reference.losses.softmax_cross_entropy(logits[:1, t], targets[:1, t], reduction="mean")[0] for t in range(T)
    ]
    whole = reference.losses.softmax_cross_entropy(logits[:1], targets[:1], reduction="time_sum")[0]
    assert whole == pytest.approx(sum(per_step))


@pytest.mark.parametrize(
    ("error", "word", "arguments"),
    [
        (ValueError, "targets must be from 0 to 5", ([[0.0] * 6], [6])),
        (ValueError, "targets", ([[0.0] * 6], [-1])),
        (TypeError, "targets", ([[0.0] * 6], [1.0])),
        (ValueError, "targets", ([[0.0] * 6], [1, 2])),
        (TypeError, "logits", ([[True] * 6], [1])),
        (ValueError, "mask", ([[0.0] * 6], [1], [True, False])),
        (TypeError, "mask", ([[0.0] * 6], [1], ["yes"])),
        (ValueError, "reduction", ([[0.0] * 6], [1], None, "none")),
    ],
)
def test_bad_loss(error, word, arguments):
    with pytest.raises(error, match=word):
        reference.losses.softmax_cross_entropy(*arguments)
