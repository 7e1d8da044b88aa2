"""Gradients of id inputs as touched rows: the numbers of the dense gradient, taken where the update is the same."""

import copy
import tracemalloc

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_close, assert_same_bits, make, normal

import fastrnn
from fastrnn import SparseRows, optim, reference

every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def in_full(grads: dict) -> dict:
    return {name: g.to_dense() if isinstance(g, SparseRows) else g for name, g in grads.items()}


def recurrent_gradients(layer, ids, **options) -> dict:
    y, _, tape = layer.forward(ids, **options)
    return layer.backward(tape, normal("dy", *y.shape, dtype=layer.dtype.name))[2]


def ragged(seed: int = 0):
    """Ids with holes whose ids are out of range, and resets."""
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 9)) < 0.7
    return np.where(mask, rng.choice([3, 5, 11, 40], (6, 9)), -7), {"mask": mask, "resets": rng.random((6, 9)) < 0.2}


@every_cell
@every_dtype
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_give_the_dense_gradient(bidirectional, dtype, cell):
    options = {"bidirectional": bidirectional, "dtype": dtype, "seed": 0}
    dense, sparse = (make(cell, 50, 33, 2, sparse_grad=flag, **options) for flag in (False, True))
    ids, rows = ragged()
    expected, got = (recurrent_gradients(layer, ids, **rows) for layer in (dense, sparse))
    assert_same_bits(in_full(got), expected)
    for name, gradient in got.items():
        assert isinstance(gradient, SparseRows) == (name in ("weight_ih_l0", "weight_ih_l0_reverse"))
        assert gradient.shape == sparse.parameters[name].shape
    assert got["weight_ih_l0"].indices.tolist() == [3, 5, 11, 40]
    assert got["weight_ih_l0"].values.shape == (4, dense.parameters["weight_ih_l0"].shape[0])
    twin = make(cell, 50, 33, 2, sparse_grad=True, module=reference, **options)
    theirs = recurrent_gradients(twin, ids, **rows)
    assert_same_bits(theirs["weight_ih_l0"].indices, got["weight_ih_l0"].indices)
    for name, gradient in in_full(theirs).items():
        assert_close(in_full(got)[name], gradient, 1e-5 if dtype == "float32" else 1e-12, name)


@every_dtype
def test_embeddings_give_the_dense_gradient(dtype):
    ids, dy = np.array([[4, 0, 4], [9, 0, 4]]), normal("dy", 2, 3, 7, dtype=dtype)
    dense, sparse, twin = (
        module.Embedding(10, 7, dtype=dtype, seed=0, sparse_grad=flag)
        for module, flag in ((fastrnn, False), (fastrnn, True), (reference, True))
    )
    expected, got, theirs = (layer.backward(layer.forward(ids)[1], dy)[1] for layer in (dense, sparse, twin))
    assert got["weight"].indices.tolist() == theirs["weight"].indices.tolist() == [0, 4, 9]
    assert_same_bits(in_full(got), expected)
    assert_close(theirs["weight"].to_dense(), expected["weight"], 1e-6)


def test_floating_input_has_a_dense_gradient():
    layer = fastrnn.GRU(5, 4, seed=0, sparse_grad=True)
    assert isinstance(recurrent_gradients(layer, normal("x", 2, 3, 5))["weight_ih_l0"], np.ndarray)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_read(shape):
    layer = fastrnn.LSTM(5, 4, seed=0, sparse_grad=True)
    gradient = recurrent_gradients(layer, np.zeros(shape, int))["weight_ih_l0"]
    assert gradient.values.shape == (0, 16) and not gradient.to_dense().any()
    optim.SGD(layer).step(recurrent_gradients(layer, np.zeros(shape, int)))


def test_a_padded_batch_of_nothing():
    layer = fastrnn.GRU(5, 4, seed=0, sparse_grad=True)
    assert len(recurrent_gradients(layer, np.full((2, 3), 99), lengths=[0, 0])["weight_ih_l0"].indices) == 0


def test_the_option_is_kept():
    layer = fastrnn.LSTM(5, 4, seed=0, sparse_grad=True)
    assert layer.get_config()["sparse_grad"] is True
    assert copy.deepcopy(layer).sparse_grad is True
    assert fastrnn.Embedding(5, 4).get_config()["sparse_grad"] is False


TAKES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "adagrad": ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-3}),
    "adagrad-defaults": ("Adagrad", {}),
}
REFUSES = {
    "SGD with momentum": ("SGD", {"momentum": 0.9}),
    "SGD with weight_decay": ("SGD", {"weight_decay": 0.1}),
    "Adagrad with weight_decay": ("Adagrad", {"weight_decay": 0.1}),
    "RMSprop": ("RMSprop", {}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {"weight_decay": 0.0}),
}


def layers(sparse: bool, dtype: str) -> list:
    return [
        fastrnn.LSTM(50, 9, seed=0, dtype=dtype, bidirectional=True, sparse_grad=sparse),
        fastrnn.Embedding(20, 7, seed=0, dtype=dtype, sparse_grad=sparse),
        fastrnn.Dense(9, 3, seed=0, dtype=dtype),
    ]


def gradients(made: list, seed: int) -> list:
    lstm, embedding, dense = made
    ids, rows = ragged(seed)
    y, tape = embedding.forward(ids.clip(0) % 20)
    z, dense_tape = dense.forward(normal(seed, 2, 9, dtype=dense.dtype.name))
    return [
        recurrent_gradients(lstm, ids, **rows),
        embedding.backward(tape, normal(seed, *y.shape, dtype=embedding.dtype.name))[1],
        dense.backward(dense_tape, z)[1],
    ]


@every_dtype
@pytest.mark.parametrize("clip", [None, "norm", "value"])
@pytest.mark.parametrize("rule", TAKES)
def test_an_update_is_that_of_the_dense_gradient(rule, clip, dtype):
    """Bit for bit but for the norm, whose squares are added in another order where others stand between them."""
    name, options = TAKES[rule]
    results = []
    for sparse in (False, True):
        made = layers(sparse, dtype)
        optimizer = getattr(optim, name)(made, **options)
        for seed in range(4):
            grads = gradients(made, seed)
            if clip == "norm":
                assert optim.clip_grad_norm(grads, 0.5) > 0.5
            elif clip == "value":
                optim.clip_grad_value(grads, 0.01)
            optimizer.step(grads)
        parameters = {f"{k}.{name}": a for k, layer in enumerate(made) for name, a in layer.state_dict().items()}
        slots = optimizer.state_dict()["state"]
        results.append(parameters | {f"{name}.{slot}": a for name in slots for slot, a in slots[name].items()})
    if clip == "norm":
        for key, array in results[0].items():
            assert_close(results[1][key], array, 1e-6 if dtype == "float32" else 1e-14, key)
    else:
        assert_same_bits(results[1], results[0])


@pytest.mark.parametrize("why", REFUSES)
def test_other_rules_refuse_by_name(why):
    name, options = REFUSES[why]
    made = layers(True, "float32")
    optimizer, grads = getattr(optim, name)(made, **options), gradients(made, 0)
    before = [layer.state_dict() for layer in made], optimizer.state_dict()["step"]
    with pytest.raises(ValueError, match=f"SparseRows for 0.weight_ih_l0, but {why} moves rows"):
        optimizer.step(grads)
    for layer, state in zip(made, before[0], strict=True):
        assert_same_bits(layer.state_dict(), state)
    assert optimizer.state_dict()["step"] == before[1]
    optimizer.step([in_full(part) for part in grads])
    assert optimizer.state_dict()["step"] == before[1] + 1


def test_a_shared_parameter_takes_the_sum():
    def updated(sparse: bool) -> np.ndarray:
        embedding = fastrnn.Embedding(10, 4, seed=0, sparse_grad=sparse)
        dense = fastrnn.Dense(4, 10, seed=0, tied=embedding)
        y, tape = embedding.forward([1, 5, 1])
        z, dense_tape = dense.forward(y)
        dx, grads = dense.backward(dense_tape, z)
        optim.Adam([embedding, dense]).step([embedding.backward(tape, dx)[1], grads])
        return embedding.state_dict()["weight"]

    assert_same_bits(updated(True), updated(False))


def test_wrong_gradients_are_listed():
    embedding = fastrnn.Embedding(10, 4, seed=0, sparse_grad=True)
    optimizer, values = optim.SGD(embedding), np.ones((2, 4), "float32")
    for rows, message in (
        (SparseRows([0, 9], values, (11, 4)), r"misshapen: weight \(11, 4\) instead of \(10, 4\)"),
        (SparseRows([0, 3], np.ones((2, 10), "float32"), (10, 4), transposed=True), "transposed=False"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.step({"weight": rows})
    optimizer.step({"weight": SparseRows([0, 9], values.astype("float64"), (10, 4))})
    with pytest.raises(ValueError, match="misshapen"):
        embedding.load_state_dict({"weight": SparseRows([0, 9], values, (10, 4))})


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "indices must be integers", ([0.0, 1.0], np.ones((2, 3)), (4, 3))),
        (TypeError, "values must be float32 or float64", ([0, 1], np.ones((2, 3), int), (4, 3))),
        (ValueError, r"values must have the shape \(2, 3\)", ([0, 1], np.ones((2, 4)), (4, 3))),
        (ValueError, r"values must have the shape \(2, 4\)", ([0, 1], np.ones((2, 3)), (4, 3), True)),
        (ValueError, "indices must ascend from 0 to 3", ([0, 4], np.ones((2, 3)), (4, 3))),
        (ValueError, "indices must ascend from 0 to 3", ([-1, 2], np.ones((2, 3)), (4, 3))),
        (ValueError, "indices must ascend", ([2, 2], np.ones((2, 3)), (4, 3))),
        (ValueError, "indices must ascend", ([2, 1], np.ones((2, 3)), (4, 3))),
    ],
)
def test_rows_that_make_no_matrix_are_refused(error, message, arguments):
    with pytest.raises(error, match=message):
        SparseRows(*arguments)


@pytest.mark.parametrize("rule", TAKES)
def test_cost_does_not_follow_the_vocabulary(rule):
    """A pass and an update allocate for the rows read, not for the 50,000 there are (25.6 MB)."""
    name, options = TAKES[rule]
    layer = fastrnn.LSTM(50_000, 32, seed=0, init=0.1, sparse_grad=True)
    optimizer = getattr(optim, name)(layer, **options)
    ids = np.random.default_rng(0).integers(0, 50_000, (4, 8))
    optimizer.step(recurrent_gradients(layer, ids))
    tracemalloc.start()
    try:
        grads = recurrent_gradients(layer, ids)
        optimizer.step(grads)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert grads["weight_ih_l0"].values.shape == (len(np.unique(ids)), 128)
