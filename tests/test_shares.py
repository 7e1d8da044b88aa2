"""Work shared among threads: large enough to be shared, and the same bits whatever their number."""

import os

import numpy as np
import pytest
from helpers import CELLS, assert_same_bits, make, normal, run, state_like

import fastrnn

# name: N, T, H, layers, directions. The split that each is cut by stands in docs/architecture.md.
SPLITS = {
    "rows": (33, 12, 65, 2, 1),
    "rows-both-directions": (27, 12, 33, 1, 2),
    "side-by-side": (3, 40, 65, 2, 2),
    "units": (1, 20, 200, 2, 1),
    "units-some-rows": (5, 20, 200, 1, 1),
}


@pytest.fixture(autouse=True)
def restore_threads():
    before = fastrnn.get_num_threads()
    yield
    fastrnn.set_num_threads(before)


def on_threads(number: int, call):
    fastrnn.set_num_threads(number)
    return call()


@pytest.mark.parametrize("rows", ["full", "lengths", "mask-and-resets"])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers(cell, split, rows):
    N, T, H, L, D = SPLITS[split]
    layer = make(cell, 31, H, L, bidirectional=D == 2, seed=0, init=0.1)
    rng = np.random.default_rng(0)
    options = {
        "full": {},
        "lengths": {"lengths": rng.integers(0, T + 1, N)},
        "mask-and-resets": {"mask": rng.random((N, T)) < 0.7, "resets": rng.random((N, T)) < 0.1},
    }[rows]
    x, dy, state = normal("x", N, T, 31), normal("dy", N, T, D * H), state_like(layer, N, "state")
    dstate = state_like(layer, N, "dstate")

    def call():
        return run(layer, x, state, dy, dstate, **options), layer(x, state, **options)

    alone = on_threads(1, call)
    for number in (2, 3):
        assert_same_bits(on_threads(number, call), alone)


def test_denormals_in_the_gradient_of_the_input():
    layer = fastrnn.RNN(64, 256, nonlinearity="linear", bidirectional=True, seed=0)
    x, dy = np.zeros((1, 64, 64), "float32"), normal("dy", 1, 64, 512) * np.float32(4e-38)

    def call():
        return run(layer, x, None, dy)

    alone = on_threads(1, call)
    assert_same_bits(on_threads(2, call), alone)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("split", SPLITS)
def test_ids(split, cell):
    N, T, H, L, D = SPLITS[split]
    layer = make(cell, 50, H, L, bidirectional=D == 2, seed=0, init=0.1)
    ids, dy = np.random.default_rng(0).integers(0, 50, (N, T)), normal("dy", N, T, D * H)

    def call():
        return run(layer, ids, None, dy)

    alone = on_threads(1, call)
    for number in (2, 3):
        assert_same_bits(on_threads(number, call), alone)


@pytest.mark.parametrize(("K", "J", "M"), [(33, 3000, 70), (200, 65, 500), (64, 31, 1000)])
def test_dense(K, J, M):
    dense = fastrnn.Dense(K, J, seed=0)
    h, dy, targets = normal("h", M, K), normal("dy", M, J), np.random.default_rng(0).integers(-1, J, M)
    targets[targets < 0] = -100

    def call():
        y, tape = dense.forward(h)
        return y, dense.backward(tape, dy), dense.cross_entropy(h, targets)

    alone = on_threads(1, call)
    for number in (2, 3):
        assert_same_bits(on_threads(number, call), alone)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("N", [1, 40])
def test_streams(N, cell):
    layer = make(cell, 31, 300, 2, seed=0, init=0.1)
    x = normal("x", N, 5, 31)
    alone = on_threads(1, lambda: layer(x)[0])
    fastrnn.set_num_threads(3)
    stream = layer.stream(N)
    assert_same_bits(np.stack([stream.step(x[:, t]) for t in range(5)], axis=1), alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_computes_the_same():
    fastrnn.set_num_threads(3)
    layer, x = fastrnn.LSTM(31, 65, seed=0), normal("x", 33, 12, 31)
    expected = layer(x)[0].tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if layer(x)[0].tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert layer(x)[0].tobytes() == expected
