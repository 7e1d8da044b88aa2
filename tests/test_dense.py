"""Dense, Embedding and the losses of the engine, against the reference and against what each must promise."""

import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import DTYPES, FORWARD, GRADIENT, assert_close, assert_same_bits, bits, normal, peak_growths

import fastrnn
from fastrnn import losses, reference

SHAPES = [(1, 1, 1), (4, 6, 5), (33, 65, 70), (16, 32, 7), (7, 5, 800), (200, 1000, 33), (3, 5000, 100), (128, 1, 9)]
REDUCTIONS = ("mean", "sum", "time_sum")


def twins(K: int, J: int, dtype: str, bias: bool = True):
    """An engine's Dense and a float64 reference of the same parameters."""
    dense = fastrnn.Dense(K, J, bias, dtype=dtype, seed=0, init=0.3)
    twin = reference.Dense(K, J, bias, dtype="float64")
    twin.load_state_dict(dense.state_dict())
    return dense, twin


def problem(N: int, T: int, K: int, J: int, dtype: str):
    """h, targets of which some are ignored, and weights of which some are zero."""
    rng = np.random.default_rng(N * T)
    targets = rng.integers(0, J, (N, T))
    targets[rng.random((N, T)) < 0.2] = -100
    return normal("h", N, T, K, dtype=dtype), targets, rng.random((N, T)) * (rng.random((N, T)) < 0.8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize(("K", "J", "M"), SHAPES)
def test_dense_equals_reference(K, J, M, bias, dtype):
    dense, twin = twins(K, J, dtype, bias)
    x, dy = normal("x", M, K, dtype=dtype), normal("dy", M, J, dtype=dtype)
    y, tape = dense.forward(x)
    y_twin, tape_twin = twin.forward(x)
    dx, grads = dense.backward(tape, dy)
    dx_twin, grads_twin = twin.backward(tape_twin, dy)
    assert_close(y, y_twin, FORWARD[dtype], "y")
    assert_close(dx, dx_twin, GRADIENT[dtype], "dx")
    assert list(grads) == list(grads_twin)
    for name in grads:
        assert_close(grads[name], grads_twin[name], GRADIENT[dtype], name)
    assert {y.dtype, dx.dtype, *(array.dtype for array in grads.values())} == {np.dtype(dtype)}
    assert_same_bits(dense(x), y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("K", "J", "M"), SHAPES)
def test_cross_entropy_equals_reference(K, J, M, reduction, dtype):
    dense, twin = twins(K, J, dtype)
    h, targets, mask = problem(3, -(-M // 3), K, J, dtype)
    loss, dh, grads = dense.cross_entropy(h, targets, mask, reduction)
    loss_twin, dh_twin, grads_twin = twin.cross_entropy(h, targets, mask, reduction)
    assert_close(loss, loss_twin, GRADIENT[dtype], "loss")
    assert_close(dh, dh_twin, GRADIENT[dtype], "dh")
    for name in grads_twin:
        assert_close(grads[name], grads_twin[name], GRADIENT[dtype], name)
    assert dense.cross_entropy_loss(h, targets, mask, reduction) == loss


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("J", [1, 2, 5, 8, 16, 31, 33, 700])
def test_softmax_cross_entropy_equals_reference(J, reduction, dtype):
    logits, targets, mask = problem(4, 7, J, J, dtype)
    for weights in (None, mask, mask > 0.5):
        loss, dlogits = losses.softmax_cross_entropy(5 * logits, targets, weights, reduction)
        loss_twin, twin = reference.losses.softmax_cross_entropy(5 * logits, targets, weights, reduction)
        assert_close(loss, loss_twin, GRADIENT[dtype], "loss")
        assert_close(dlogits, twin, GRADIENT[dtype], "dlogits")
        assert dlogits.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_squared_error_equals_reference(reduction, dtype):
    prediction, target = normal("p", 4, 7, 3, dtype=dtype), normal("t", 4, 7, 3, dtype=dtype)
    rows = np.random.default_rng(0).random((4, 7))
    for mask in (None, rows, rows > 0.5, np.random.default_rng(1).random((4, 7, 3)) > 0.5):
        loss, gradient = losses.squared_error(prediction, target, mask, reduction)
        loss_twin, twin = reference.losses.squared_error(prediction, target, mask, reduction)
        assert_close(loss, loss_twin, GRADIENT[dtype], "loss")
        assert_close(gradient, twin, GRADIENT[dtype], "gradient")
        assert gradient.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_that_does_not_count_reaches_a_result(dtype):
    dense, _ = twins(5, 40, dtype)
    h, targets, mask = problem(3, 6, 5, 40, dtype)
    spoilt, wild = h.copy(), targets.copy()
    ignored = (targets == -100) | (mask == 0)
    assert 0 < ignored.sum() < ignored.size
    spoilt[ignored], wild[mask == 0] = np.nan, 10**6
    assert_same_bits(dense.cross_entropy(spoilt, wild, mask), dense.cross_entropy(h, targets, mask))
    logits = dense(h)
    logits_spoilt = np.where(ignored[..., None], np.nan, logits)
    assert_same_bits(
        losses.softmax_cross_entropy(logits_spoilt, wild, mask), losses.softmax_cross_entropy(logits, targets, mask)
    )
    assert not losses.softmax_cross_entropy(logits, targets, mask)[1][ignored].any()
    target = np.ones_like(logits)
    spoilt_target = np.where(ignored[..., None], np.inf, target)
    assert_same_bits(
        losses.squared_error(logits_spoilt, spoilt_target, ~ignored), losses.squared_error(logits, target, ~ignored)
    )
    nothing = np.full((3, 6), -100)
    loss, dh, grads = dense.cross_entropy(spoilt, nothing)
    assert loss == 0 and not dh.any() and not any(gradient.any() for gradient in grads.values())
    assert losses.squared_error(logits_spoilt, target, np.zeros((3, 6), bool))[0] == 0


def test_a_nan_that_counts_is_seen():
    dense, _ = twins(4, 9, "float32")
    h = np.ones((2, 4), "float32")
    h[1, 2] = np.nan
    assert np.isnan(dense.cross_entropy_loss(h, [1, 2]))
    assert np.isnan(losses.softmax_cross_entropy([[0.0, np.nan]], [0])[0])


def test_large_logits():
    for dtype in DTYPES:
        logits = np.array([[1e4, 0.0, -1e4], [-3e4, -3e4, -3e4]], dtype)
        loss, gradient = losses.softmax_cross_entropy(logits, [1, 2], reduction="sum")
        assert_close(loss, 1e4 + np.log(3), 1e-6)
        assert_close(gradient, [[1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], 1e-6)
        least = np.full((1, 5), np.finfo(dtype).min)
        assert_close(losses.softmax_cross_entropy(least, [0])[0], np.log(5), 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_its_batch(dtype):
    dense, _ = twins(33, 70, dtype)
    x = normal("x", 50, 33, dtype=dtype)
    whole = dense(x)
    for rows in (slice(0, 1), slice(3, 7), slice(11, 50)):
        assert_same_bits(dense(x[rows]), whole[rows])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say how much memory was held")
def test_logits_of_all_rows_are_never_held():
    V, H, M = 10_000, 32, 2_000
    (growth,) = peak_growths(
        "import numpy as np, fastrnn\n"
        f"dense, h, targets = fastrnn.Dense({H}, {V}, seed=0), np.ones(({M}, {H}), 'float32'), np.arange({M})\n"
        "dense.cross_entropy(h[:8], targets[:8])",
        "lambda: dense.cross_entropy(h, targets)",
    )
    assert 0 < growth < M * V * 4 // 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_equals_reference(dtype):
    embedding = fastrnn.Embedding(50, 19, dtype=dtype, seed=0)
    twin = reference.Embedding(50, 19, dtype=dtype, seed=0)
    ids = np.random.default_rng(0).integers(0, 50, (7, 40)).astype("uint8")
    dy = normal("dy", 7, 40, 19, dtype=dtype)
    y, tape = embedding.forward(ids)
    assert_same_bits(y, twin.forward(ids)[0])
    assert_same_bits(embedding(ids), y)
    dx, grads = embedding.backward(tape, dy)
    assert dx is None
    assert_close(grads["weight"], twin.backward(twin.forward(ids)[1], dy)[1]["weight"], GRADIENT[dtype])


def test_embedding_equals_ids_through_a_dense_layer():
    """A one-hot row times a matrix is a row of it."""
    embedding = fastrnn.Embedding(6, 4, seed=0)
    onehot = np.eye(6, dtype="float32")
    dense = fastrnn.Dense(6, 4, bias=False)
    dense.set_parameters(weight=embedding.parameters["weight"].T)
    assert_same_bits(dense(onehot), embedding(np.arange(6)))


def test_tied_weights():
    embedding = fastrnn.Embedding(6, 4, seed=0)
    dense = fastrnn.Dense(4, 6, tied=embedding, seed=1)
    x = normal("x", 3, 4)
    tape = dense.forward(x)[1]
    assert dense.parameters["weight"] is embedding.parameters["weight"]
    embedding.set_parameters(weight=np.ones((6, 4)))
    assert_close(dense(np.ones((1, 4))), np.full((1, 6), 4.0), 1e-6)
    with pytest.raises(ValueError, match="older than the layer's parameters"):
        dense.backward(tape, np.zeros((3, 6)))
    for wrong in (fastrnn.Embedding(4, 6), fastrnn.Embedding(6, 4, dtype="float64")):
        with pytest.raises(ValueError, match="tied must"):
            fastrnn.Dense(4, 6, tied=wrong)
    with pytest.raises(TypeError, match="tied must be an Embedding"):
        fastrnn.Dense(4, 6, tied=dense)


def test_parameters_are_packed_again_when_they_change():
    dense, twin = twins(5, 7, "float64")
    x = normal("x", 3, 5, dtype="float64")
    dense(x)
    values = {"weight": normal("w", 7, 5, dtype="float64"), "bias": normal("b", 7, dtype="float64")}
    for layer in (dense, twin):
        layer.load_state_dict(values)
    assert_close(dense(x), twin(x), 1e-14)


def test_pickle():
    dense, embedding = fastrnn.Dense(5, 7, seed=0), fastrnn.Embedding(5, 7, seed=0)
    x = normal("x", 3, 5)
    before = dense(x)
    again = pickle.loads(pickle.dumps(dense))
    assert_same_bits(again(x), before)
    assert_same_bits(pickle.loads(pickle.dumps(embedding))([1, 2]), embedding([1, 2]))
    table, tied = pickle.loads(pickle.dumps((embedding, fastrnn.Dense(7, 5, tied=embedding))))
    assert table._parameters["weight"] is tied._parameters["weight"]


def test_results_are_new_and_inputs_stay():
    dense, _ = twins(5, 7, "float32")
    x, dy = normal("x", 3, 5), normal("dy", 3, 7)
    x.flags.writeable = dy.flags.writeable = False
    y, tape = dense.forward(x)
    dx, grads = dense.backward(tape, dy, retain=True)
    dx_again, grads_again = dense.backward(tape, dy)
    assert_same_bits((dx, grads), (dx_again, grads_again))
    arrays = [y, dx, dx_again, *grads.values(), *grads_again.values()]
    assert all(array.flags.writeable for array in arrays)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    dlogits = losses.softmax_cross_entropy(dy, [0, 1, 2])[1]
    assert not np.shares_memory(dlogits, dy) and bits(dy) == bits(normal("dy", 3, 7))


@pytest.mark.parametrize("module", [fastrnn, reference], ids=["engine", "reference"])
def test_bad_calls(module):
    dense, embedding = module.Dense(4, 6, seed=0), module.Embedding(6, 4, seed=0)
    x = np.zeros((2, 3, 4), "float32")
    y, tape = dense.forward(x)
    calls = [
        (ValueError, r"x must have the shape \(..., 4\)", lambda: dense(np.zeros((2, 5)))),
        (TypeError, "x must hold real numbers", lambda: dense(np.zeros((2, 4), complex))),
        (TypeError, "x must hold real numbers", lambda: dense(np.array([[None] * 4]))),
        (ValueError, "dy must have the shape of y", lambda: dense.backward(tape, np.zeros((2, 3, 5)))),
        (TypeError, "tape must come from", lambda: dense.backward(None, y)),
        (ValueError, "another layer", lambda: module.Dense(4, 6).backward(tape, y)),
        (TypeError, "targets must be integers", lambda: dense.cross_entropy(x, np.zeros((2, 3)))),
        (ValueError, "targets must have the shape", lambda: dense.cross_entropy(x, np.zeros(3, int))),
        (ValueError, "targets must be from 0 to 5", lambda: dense.cross_entropy(x, np.full((2, 3), 6))),
        (ValueError, "targets must be from 0 to 5", lambda: dense.cross_entropy(x, np.full((2, 3), -1))),
        (ValueError, "mask must have the shape", lambda: dense.cross_entropy(x, np.zeros((2, 3), int), np.ones(2))),
        (ValueError, "reduction must be", lambda: dense.cross_entropy(x, np.zeros((2, 3), int), reduction="none")),
        (ValueError, "ids must be from 0 to 5", lambda: embedding([0, 6])),
        (ValueError, "ids must be from 0 to 5", lambda: embedding([-1])),
        (TypeError, "ids must be integers", lambda: embedding([0.5])),
        (ValueError, "out_features must be at least 1", lambda: module.Dense(4, 0)),
        (TypeError, "in_features must be an integer", lambda: module.Dense(4.0, 2)),
        (ValueError, "target must have the shape", lambda: module.losses.squared_error(np.zeros(3), np.zeros(2))),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
    dense.backward(tape, y)  # no failed call has spent it
    with pytest.raises(ValueError, match="spent"):
        dense.backward(tape, y)


def test_empty_batches():
    dense, embedding = fastrnn.Dense(4, 6), fastrnn.Embedding(6, 4)
    y, tape = dense.forward(np.zeros((0, 3, 4)))
    dx, grads = dense.backward(tape, y)
    assert y.shape == (0, 3, 6) and dx.shape == (0, 3, 4) and not grads["weight"].any() and not grads["bias"].any()
    loss, dh, grads = dense.cross_entropy(np.zeros((0, 4)), np.zeros(0, int))
    assert loss == 0 and dh.shape == (0, 4) and not grads["weight"].any()
    y, tape = embedding.forward(np.zeros((0, 2), int))
    assert y.shape == (0, 2, 4) and not embedding.backward(tape, y)[1]["weight"].any()
    assert losses.softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, int))[0] == 0


def test_a_repeated_call_keeps_no_memory():
    dense = fastrnn.Dense(16, 500, seed=0)
    h, targets = normal("h", 64, 16), np.arange(64)
    dense.cross_entropy(h, targets)
    tracemalloc.start()
    for _ in range(5):
        dense.cross_entropy(h, targets)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 100_000
