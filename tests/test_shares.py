"""Work shared among threads: large enough to be shared, and the same bits whatever their number."""

import os

import numpy as np
import pytest
from helpers import CELLS, assert_same_bits, make, normal, run, state_like

import fastrnn
from fastrnn import _engine, optim
from fastrnn._engine import _team

# name: N, T, H, layers, directions. The split that each is cut by stands in docs/architecture.md.
SPLITS = {
    "rows": (33, 12, 65, 2, 1),
    "rows-both-directions": (27, 12, 33, 1, 2),
    "slices": (41, 21, 33, 2, 1),
    "slices-both-directions": (65, 21, 19, 1, 2),
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
    """A call that is shared wherever its shape allows, as the first one is: see test_pace.py."""
    _team.paces.clear()
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


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_scans(cell):
    """Cells without recurrent weights share the panels of many steps at once."""
    layer = make(cell, 300, 300, seed=0, init=0.1)
    x = normal("x", 1, 100, 300)
    alone = on_threads(1, lambda: layer(x))
    for number in (2, 3) * 5:
        assert_same_bits(on_threads(number, lambda: layer(x)), alone)


def test_denormals_in_the_gradient_of_the_input():
    layer = fastrnn.RNN(64, 256, nonlinearity="linear", bidirectional=True, seed=0)
    x, dy = np.zeros((1, 64, 64), "float32"), normal("dy", 1, 64, 512) * np.float32(4e-38)

    def call():
        return run(layer, x, None, dy)

    alone = on_threads(1, call)
    assert_same_bits(on_threads(2, call), alone)


@pytest.mark.parametrize("P", [20, 70, 190])
@pytest.mark.parametrize("N", [1, 5, 33])
def test_projections(N, P):
    """Of which a step's gates wait for the whole gradient of h."""
    layer = fastrnn.LSTM(31, 200, 2, proj_size=P, peephole=True, clip=3.0, seed=0, init=0.1)
    rng = np.random.default_rng(0)
    options = {"mask": rng.random((N, 20)) < 0.8, "resets": rng.random((N, 20)) < 0.1}
    x, dy, state = normal("x", N, 20, 31), normal("dy", N, 20, P), state_like(layer, N, "state")

    def call():
        return run(layer, x, state, dy, state_like(layer, N, "dstate"), **options)

    alone = on_threads(1, call)
    for number in (2, 3):
        assert_same_bits(on_threads(number, call), alone)


@pytest.mark.parametrize("cell", CELLS)
def test_packing(cell):
    """Of a layer's parameters at its first call, in widths that leave lanes of vectors and rows of panels over."""
    x, dy = normal("x", 1, 2, 310), normal("dy", 1, 2, 517)

    def call():
        return run(make(cell, 310, 517, seed=0, init=0.1), x, None, dy)

    alone = on_threads(1, call)
    for number in (2, 3):
        run(make(cell, 310, 517, seed=1, init=0.1), x, None, dy)  # leaves other numbers in the memory that is reused
        assert_same_bits(on_threads(number, call), alone)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("rule", [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("RMSprop", {"centered": True, "momentum": 0.5}), ("Adagrad", {}),
    ("AdamW", {}),
], ids=lambda rule: "-".join([rule[0], *rule[1]]))  # fmt: skip
def test_updates(rule, number):
    """A large parameter is updated like its rows, each a layer of its own."""
    name, options = rule
    whole, rows = fastrnn.Dense(777, 650, seed=0), [fastrnn.Dense(777, 65, seed=k) for k in range(10)]
    weight, gradient = normal("weight", 650, 777), normal("gradient", 650, 777)
    parts = [{"weight": part, "bias": np.zeros(65, "float32")} for part in np.split(gradient, 10)]
    whole.load_state_dict({"weight": weight, "bias": np.zeros(650)})
    for layer, part in zip(rows, np.split(weight, 10), strict=True):
        layer.load_state_dict({"weight": part, "bias": np.zeros(65)})
    fastrnn.set_num_threads(number)
    together, apart = (getattr(optim, name)(target, **options) for target in (whole, rows))
    for _ in range(3):
        together.step({"weight": gradient, "bias": np.zeros(650, "float32")})
        apart.step(parts)
    expected = np.concatenate([layer.parameters["weight"] for layer in rows])
    assert_same_bits(np.asarray(whole.parameters["weight"]), expected)


def test_sums_of_squares():
    engine, arrays = _engine.load("float32"), [normal(k, 400_000 + k) for k in range(9)]
    arrays.append(np.full(4_000_000, 1e-40, "float32"))  # denormal, and large enough to wake a worker
    alone = on_threads(1, lambda: [engine.sum_of_squares(array) for array in arrays])
    for number in (2, 3):
        assert on_threads(number, lambda: [engine.sum_of_squares(array) for array in arrays]) == alone


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
