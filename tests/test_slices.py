"""The backward pass of a large batch, whose slices have sums of their own: beside the reference, and bit for bit."""

import numpy as np
import pytest
from helpers import (
    CELLS,
    GRADIENT,
    assert_all_close,
    assert_close,
    assert_same_bits,
    in_float64,
    make,
    normal,
    run,
    state_like,
)

import fastrnn
from fastrnn import _engine, reference
from fastrnn.layers import recurrent

N, T, I, H = 41, 21, 5, 19  # two slices, of 20 and 21 rows, in blocks of 18 steps
OPTIONS = {
    "projected": ("LSTM", {"proj_size": 7, "peephole": True}),
    "drawn": ("LSTM", {"input_dropout": 0.2, "recurrent_dropout": 0.3, "zoneout": 0.25}),
    "drawn-projected": ("LSTM", {"proj_size": 7, "recurrent_dropout": 0.3, "zoneout": 0.25}),
    "coupled": ("LSTM", {"coupled": True, "activations": ("sigmoid", "elu", "softsign")}),
    "lstm-norm": ("LSTM", {"layer_norm": True}),
    "gru-norm": ("GRU", {"layer_norm": True, "recurrent_dropout": 0.3}),
    "gru-before": ("GRU", {"reset_after": False, "recurrent_dropout": 0.3}),
    "no-bias": ("GRU", {"bias": False}),
}


def rows_of(kind, N, T):
    rng = np.random.default_rng(3)
    return {
        "full": {},
        "lengths": {"lengths": rng.integers(0, T + 1, N)},
        "mask": {"mask": rng.random((N, T)) < 0.7, "resets": rng.random((N, T)) < 0.1, "pad": "hold"},
    }[kind]


def call_of(layer, inputs="float", kind="mask", N=N, T=T):
    width = (1 + layer.bidirectional) * (layer.proj_size or H)
    dtype = layer.dtype.name
    x = normal("x", N, T, I, dtype=dtype)
    if inputs == "ids":
        x = np.random.default_rng(0).integers(0, I, (N, T))
    state, dstate = state_like(layer, N, "s"), state_like(layer, N, "d")
    dy = normal("dy", N, T, width, dtype=dtype)
    return {"x": x, "state": state, "dy": dy, "dstate": dstate, **rows_of(kind, N, T)}


def assert_equals_reference(build, dtype, *batch):
    layer, twin = build(fastrnn, dtype), build(reference, "float64")
    twin.load_state_dict(in_float64(layer.state_dict()))
    for _ in range(2):  # the second finds the first's numbers in its memory
        assert_all_close(run(layer, **call_of(layer, *batch)), run(twin, **call_of(twin, *batch)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["full", "lengths", "mask"])
@pytest.mark.parametrize("inputs", ["float", "ids"])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_reference(cell, inputs, kind, dtype):
    def build(module, dtype):
        return make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0, init=0.3, module=module)

    assert_equals_reference(build, dtype, inputs, kind)


@pytest.mark.parametrize(("N", "T"), [(131, 13), (300, 11)])
@pytest.mark.parametrize("inputs", ["float", "ids"])
@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm"])
def test_four_and_eight_slices(cell, inputs, N, T):
    def build(module, dtype):
        return make(cell, I, H, 1, bidirectional=True, dtype=dtype, seed=0, init=0.3, module=module)

    assert_equals_reference(build, "float64", inputs, "mask", N, T)


@pytest.mark.parametrize("inputs", ["float", "ids"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(option, inputs):
    name, options = OPTIONS[option]

    def build(module, dtype):
        return getattr(module, name)(I, H, 2, bidirectional=True, dtype=dtype, seed=0, init=0.3, **options)

    assert_equals_reference(build, "float64", inputs)


@pytest.mark.parametrize("options", [{"checkpoint": "sqrt"}, {"tape_dtype": "bfloat16"}], ids=["sqrt", "bfloat16"])
@pytest.mark.parametrize("directions", [1, 2])
def test_layers_whose_blocks_differ(directions, options, monkeypatch):
    """Only the upper layers have few enough weights for slices: segments end where blocks of all layers do."""
    monkeypatch.setattr(recurrent, "segments_for", lambda checkpoint, T, groups, sizes: (sizes.block, 0))
    layer = fastrnn.LSTM(400 // directions, 65, 3, bidirectional=directions == 2, seed=0)
    x, dy = normal("x", 33, 97, layer.input_size), normal("dy", 33, 97, directions * 65)
    before = fastrnn.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fastrnn.set_num_threads(threads)
            results.append(run(layer, x, None, dy, **options))
    finally:
        fastrnn.set_num_threads(before)
    for result in results[1:]:
        assert_same_bits(result, results[0])
    if "checkpoint" in options:
        assert_same_bits(results[0], run(layer, x, None, dy))


def test_rows_of_ids_alone():
    """Gradients of the rows that were touched, from slices that touch others."""
    ids, dy = np.repeat(np.arange(N) % 37, T).reshape(N, T), normal("dy", N, T, H, dtype="float64")
    layer, twin = fastrnn.GRU(50, H, dtype="float64", seed=0, sparse_grad=True), reference.GRU(50, H, dtype="float64")
    twin.load_state_dict(layer.state_dict())
    sparse, expected = (run(which, ids, None, dy)["weight_ih_l0"] for which in (layer, twin))
    assert len(sparse.indices) == 37
    assert_close(sparse.to_dense(), expected, GRADIENT["float64"])


def test_a_repeated_call_allocates_nothing():
    layer, engine = fastrnn.GRU(I, H, seed=0), _engine.load("float32")
    x, dy = normal("x", N, T, I), normal("dy", N, T, H)
    for _ in range(3):
        run(layer, x, None, dy)
    before = engine.allocated()
    run(layer, x, None, dy)
    assert engine.allocated() == before
