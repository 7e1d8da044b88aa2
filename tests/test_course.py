"""The course's functions: its own published numbers, its equations, and a sequence against its steps.

The numbers are those that the exercises print for arrays drawn in the listed order from a seed.
"""

import math

import numpy as np
import pytest
from helpers import assert_close

import fastrnn
from fastrnn import course
from fastrnn.course import dinos

RNN = {"Wax": (5, 3), "Waa": (5, 5), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
LETTERS = ["\n", *"abcdefghijklmnopqrstuvwxyz"]
CHAR_TO_IX = {letter: k for k, letter in enumerate(LETTERS)}
IX_TO_CHAR = dict(enumerate(LETTERS))
SAMPLED = [
    12, 17, 24, 14, 13, 9, 10, 22, 24, 6, 13, 11, 12, 6, 21, 15, 21, 14, 3, 2,
    1, 21, 18, 24, 7, 25, 6, 25, 18, 10, 16, 2, 3, 8, 15, 12, 11, 7, 1, 12,
]  # fmt: skip


def drawn(names, seed=1, **shapes):
    """Standard normal arrays in the order of the names; an LSTM's W and b by their first letters."""
    known = RNN | shapes | {"Wy": (2, 5)}
    known |= {f"W{gate}": (5, 8) for gate in "fico"} | {f"b{gate}": (5, 1) for gate in "fico"}
    rng = np.random.RandomState(seed)
    return {name: rng.randn(*known[name]) for name in names.split()}


def golden(actual, *expected):
    """To 8 digits behind the point."""
    np.testing.assert_allclose(np.ravel(actual), expected, rtol=0, atol=6e-9)


def assert_same(actual, expected):
    assert list(actual) == list(expected)
    for name in expected:
        assert_close(actual[name], expected[name], 1e-12, name)


# The published numbers: the network step by step


def test_rnn_cell_forward():
    d = drawn("xt a_prev Waa Wax Wya ba by", xt=(3, 10), a_prev=(5, 10))
    a, y, cache = course.rnn_cell_forward(d["xt"], d["a_prev"], d)
    golden(a[4][:3], 0.59584544, 0.18141802, 0.61311866)
    golden(y[1][:3], 0.9888161, 0.01682021, 0.21140899)
    assert (a.shape, y.shape) == ((5, 10), (2, 10))
    np.testing.assert_equal(cache, (a, d["a_prev"], d["xt"], d))


def test_rnn_forward():
    d = drawn("x a0 Waa Wax Wya ba by", x=(3, 10, 4), a0=(5, 10))
    a, y, (caches, x) = course.rnn_forward(d["x"], d["a0"], d)
    golden(a[4][1], -0.99999375, 0.77911235, -0.99861469, -0.99833267)
    golden(y[1][3], 0.79560373, 0.86224861, 0.11118257, 0.81515947)
    assert (a.shape, y.shape, len(caches)) == ((5, 10, 4), (2, 10, 4), 4)
    np.testing.assert_equal(caches[1], (a[:, :, 1], a[:, :, 0], d["x"][:, :, 1], d))
    np.testing.assert_equal(x, d["x"])


def test_rnn_cell_backward():
    d = drawn("xt a_prev Wax Waa Wya ba by da", xt=(3, 10), a_prev=(5, 10), da=(5, 10))
    gradients = course.rnn_cell_backward(d["da"], course.rnn_cell_forward(d["xt"], d["a_prev"], d)[2])
    golden(gradients["dxt"][1][2], -1.3872130506)
    golden(gradients["da_prev"][2][3], -0.1523994938)
    golden(gradients["dWax"][3][1], 0.4107728249)
    golden(gradients["dWaa"][1][2], 1.1503450668)
    golden(gradients["dba"][4], 0.2002349139)
    shapes = {"dxt": (3, 10), "da_prev": (5, 10), "dWax": (5, 3), "dWaa": (5, 5), "dba": (5, 1)}
    assert {name: value.shape for name, value in gradients.items()} == shapes


def test_rnn_backward():
    d = drawn("x a0 Wax Waa Wya ba by da", x=(3, 10, 4), a0=(5, 10), da=(5, 10, 4))
    gradients = course.rnn_backward(d["da"], course.rnn_forward(d["x"], d["a0"], d)[2])
    golden(gradients["dx"][1][2], -2.07101689, -0.59255627, 0.02466855, 0.01483317)
    golden(gradients["da0"][2][3], -0.3149423751)
    golden(gradients["dWax"][3][1], 11.2641044965)
    golden(gradients["dWaa"][1][2], 2.3033331266)
    golden(gradients["dba"][4], -0.7474772166)
    shapes = {"dx": (3, 10, 4), "da0": (5, 10), "dWax": (5, 3), "dWaa": (5, 5), "dba": (5, 1)}
    assert {name: value.shape for name, value in gradients.items()} == shapes


LSTM_CELL = "xt a_prev c_prev Wf bf Wi bi Wo bo Wc bc Wy by"


def test_lstm_cell_forward():
    d = drawn(LSTM_CELL, xt=(3, 10), a_prev=(5, 10), c_prev=(5, 10))
    a, c, y, cache = course.lstm_cell_forward(d["xt"], d["a_prev"], d["c_prev"], d)
    golden(a[4][:4], -0.66408471, 0.0036921, 0.02088357, 0.22834167)
    golden(c[2][:3], 0.63267805, 1.00570849, 0.35504474)
    golden(y[1][:2], 0.79913913, 0.15986619)
    assert (a.shape, c.shape, y.shape, len(cache)) == ((5, 10), (5, 10), (2, 10), 10)
    np.testing.assert_equal(cache[:4], (a, c, d["a_prev"], d["c_prev"]))
    np.testing.assert_equal(cache[8:], (d["xt"], d))
    ft, it, cct, ot = cache[4:8]
    assert_close(c, ft * d["c_prev"] + it * cct, 1e-14)
    assert_close(a, ot * np.tanh(c), 1e-14)
    u = np.concatenate([d["a_prev"], d["xt"]])
    for gate, name in ((ft, "f"), (it, "i"), (ot, "o")):
        assert_close(gate, course.sigmoid(d[f"W{name}"] @ u + d[f"b{name}"]), 1e-14, name)


def test_lstm_cell_backward():
    d = drawn(f"{LSTM_CELL} da dc", xt=(3, 10), a_prev=(5, 10), c_prev=(5, 10), da=(5, 10), dc=(5, 10))
    cache = course.lstm_cell_forward(d["xt"], d["a_prev"], d["c_prev"], d)[3]
    gradients = course.lstm_cell_backward(d["da"], d["dc"], cache)
    golden(gradients["dxt"][1][2], 3.2305591151)
    golden(gradients["da_prev"][2][3], -0.0639621420)
    golden(gradients["dc_prev"][2][3], 0.7975220388)
    golden(gradients["dWf"][3][1], -0.1479548382)
    golden(gradients["dWi"][1][2], 1.0574980552)
    golden(gradients["dWc"][3][1], 2.3045621637)
    golden(gradients["dWo"][1][2], 0.3313115953)
    golden([gradients[f"db{gate}"][4] for gate in "fico"], 0.18864637, -0.40142491, 0.25587763, 0.13893342)
    shapes = {"dxt": (3, 10), "da_prev": (5, 10), "dc_prev": (5, 10)}
    assert {name: value.shape for name, value in gradients.items()} == shapes | GATE_SHAPES


GATE_SHAPES = {f"dW{gate}": (5, 8) for gate in "fico"} | {f"db{gate}": (5, 1) for gate in "fico"}


def test_lstm_forward():
    d = drawn("x a0 Wf bf Wi bi Wo bo Wc bc Wy by", x=(3, 10, 7), a0=(5, 10))
    a, y, c, (caches, x) = course.lstm_forward(d["x"], d["a0"], d)
    golden(a[4][3][6], 0.1721177675)
    golden(y[1][4][3], 0.9508734619)
    golden(c[1][2][1], -0.8555449167)
    assert (a.shape, y.shape, c.shape, len(caches)) == ((5, 10, 7), (2, 10, 7), (5, 10, 7), 7)
    np.testing.assert_equal(x, d["x"])


def test_lstm_backward():
    """The exercise draws gradients for 4 of 7 steps."""
    d = drawn("x a0 Wf bf Wi bi Wo bo Wc bc da", x=(3, 10, 7), a0=(5, 10), da=(5, 10, 4))
    d |= {"Wy": np.zeros((2, 5)), "by": np.zeros((2, 1))}
    gradients = course.lstm_backward(d["da"], course.lstm_forward(d["x"], d["a0"], d)[3])
    golden(gradients["dx"][1][2], 0.00218254, 0.28205375, -0.48292508, -0.43281115)
    golden(gradients["da0"][2][3], 0.3127703103)
    golden(gradients["dWf"][3][1], -0.0809802311)
    golden(gradients["dWi"][1][2], 0.4051243309)
    golden(gradients["dWc"][3][1], -0.0793746736)
    golden(gradients["dWo"][1][2], 0.0389487758)
    golden([gradients[f"db{gate}"][4] for gate in "fico"], -0.15745657, -0.50848333, -0.42510818, -0.17958196)
    assert {name: value.shape for name, value in gradients.items()} == {"dx": (3, 10, 4), "da0": (5, 10)} | GATE_SHAPES


# Steps and sequences


def test_an_rnn_is_its_cells():
    d = drawn("x a0 Waa Wax Wya ba by da", x=(3, 10, 4), a0=(5, 10), da=(5, 10, 4))
    a, y, caches = course.rnn_forward(d["x"], d["a0"], d)
    state, cells = d["a0"], []
    for t in range(4):
        state, odds, cache = course.rnn_cell_forward(d["x"][:, :, t], state, d)
        assert_close(a[:, :, t], state, 1e-14)
        assert_close(y[:, :, t], odds, 1e-14)
        cells.append(cache)
    carried, steps = 0, []
    for t in (3, 2, 1, 0):
        steps.insert(0, course.rnn_cell_backward(d["da"][:, :, t] + carried, cells[t]))
        carried = steps[0]["da_prev"]
    expected = {"dx": np.stack([step["dxt"] for step in steps], axis=2), "da0": carried}
    expected |= {name: sum(step[name] for step in steps) for name in ("dWax", "dWaa", "dba")}
    assert_same(course.rnn_backward(d["da"], caches), expected)
    assert_same(course.rnn_backward(d["da"], (cells, d["x"])), expected)


def test_an_lstm_is_its_cells():
    d = drawn("x a0 Wf bf Wi bi Wo bo Wc bc Wy by da", x=(3, 10, 4), a0=(5, 10), da=(5, 10, 4))
    a, y, c, caches = course.lstm_forward(d["x"], d["a0"], d)
    state, memory, cells = d["a0"], np.zeros((5, 10)), []
    for t in range(4):
        state, memory, odds, cache = course.lstm_cell_forward(d["x"][:, :, t], state, memory, d)
        for sequence, step in ((a, state), (c, memory), (y, odds)):
            assert_close(sequence[:, :, t], step, 1e-14)
        for part, whole in zip(cache[:-1], caches[0][t][:-1], strict=True):
            assert_close(whole, part, 1e-14)
        cells.append(cache)
    carried, carried_c, steps = 0, np.zeros((5, 10)), []
    for t in (3, 2, 1, 0):
        steps.insert(0, course.lstm_cell_backward(d["da"][:, :, t] + carried, carried_c, cells[t]))
        carried, carried_c = steps[0]["da_prev"], steps[0]["dc_prev"]
    expected = {"dx": np.stack([step["dxt"] for step in steps], axis=2), "da0": carried}
    expected |= {name: sum(step[name] for step in steps) for name in GATE_SHAPES}
    actual = course.lstm_backward(d["da"], caches)
    assert_same({name: actual[name] for name in expected}, expected)


def test_backward_takes_the_cache_at_its_word():
    """Gates and states that no forward pass has made are what the equations are applied to."""
    d = drawn("xt a_prev Wax Waa ba a da", xt=(3, 10), a_prev=(5, 10), a=(5, 10), da=(5, 10))
    delta = (1 - d["a"] ** 2) * d["da"]
    expected = {
        "dxt": d["Wax"].T @ delta,
        "da_prev": d["Waa"].T @ delta,
        "dWax": delta @ d["xt"].T,
        "dWaa": delta @ d["a_prev"].T,
        "dba": delta.sum(axis=1, keepdims=True),
    }
    assert_same(course.rnn_cell_backward(d["da"], (d["a"], d["a_prev"], d["xt"], d)), expected)

    parts = "a c a_prev c_prev f i g o"
    shapes = {"xt": (3, 10), **dict.fromkeys([*parts.split(), "da", "dc"], (5, 10))}
    d = drawn(f"{parts} xt Wf bf Wi bi Wo bo Wc bc da dc", **shapes)
    f, i, g, o, tanh_c = d["f"], d["i"], d["g"], d["o"], np.tanh(d["c"])
    s = d["dc"] + d["da"] * o * (1 - tanh_c**2)
    deltas = {
        "f": s * d["c_prev"] * f * (1 - f),
        "i": s * g * i * (1 - i),
        "c": s * i * (1 - g**2),
        "o": d["da"] * tanh_c * o * (1 - o),
    }
    u = np.concatenate([d["a_prev"], d["xt"]])
    du = sum(d[f"W{gate}"].T @ delta for gate, delta in deltas.items())
    expected = {"dxt": du[5:], "da_prev": du[:5], "dc_prev": s * f}
    for gate, delta in deltas.items():
        expected |= {f"dW{gate}": delta @ u.T, f"db{gate}": delta.sum(axis=1, keepdims=True)}
    cache = (*(d[name] for name in parts.split()), d["xt"], d)
    assert_same(course.lstm_cell_backward(d["da"], d["dc"], cache), expected)


def test_nothing_given_is_changed_and_results_are_new():
    d = drawn("x a0 Waa Wax Wya ba by", x=(3, 10, 4), a0=(5, 10))
    before = {name: value.copy() for name, value in d.items()}
    a, y, caches = course.rnn_forward(d["x"], d["a0"], d)
    course.rnn_backward(np.ones_like(a), caches)
    expected = caches[0][2][0].copy()
    a.fill(0)
    y.fill(0)
    np.testing.assert_equal(caches[0][2][0], expected)
    np.testing.assert_equal(d, before)


def test_parameters_may_change_between_calls():
    """They are read at every call, changed in place or not."""
    d = drawn("xt a_prev Waa Wax Wya ba by", xt=(3, 10), a_prev=(5, 10))
    before = course.rnn_cell_forward(d["xt"], d["a_prev"], d)[0]
    d["ba"] += 1
    after = course.rnn_cell_forward(d["xt"], d["a_prev"], d)[0]
    assert_close(np.arctanh(after) - np.arctanh(before), np.ones((5, 10)), 1e-9)


def test_softmax():
    assert_close(course.softmax([[1.0, 0.0], [1.0, math.log(3)]]), [[0.5, 0.25], [0.5, 0.75]], 1e-15)
    assert_close(course.softmax([[0.0, 9000.0], [-9000.0, 9000.0]]), [[1, 0.5], [0, 0.5]], 1e-15)
    assert_close(course.softmax(np.zeros((4, 2, 3))), np.full((4, 2, 3), 0.25), 1e-15)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"xt": np.zeros((4, 10))}, r"xt must have the shape \(3, any\), got \(4, 10\)"),
        ({"a_prev": np.zeros((5, 9))}, r"a_prev must have the shape \(5, 10\), got \(5, 9\)"),
        ({"ba": np.zeros(5)}, r"parameters\['ba'\] must have the shape \(5, 1\), got \(5,\)"),
        ({"Waa": np.zeros((5, 3))}, r"parameters\['Waa'\] must have the shape \(5, 5\), got \(5, 3\)"),
    ],
)
def test_errors(change, said):
    d = drawn("xt a_prev Waa Wax Wya ba by", xt=(3, 10), a_prev=(5, 10)) | change
    with pytest.raises(ValueError, match=said):
        course.rnn_cell_forward(d["xt"], d["a_prev"], d)


def test_errors_of_sequences():
    d = drawn("x a0 Waa Wax Wya ba by", x=(3, 10, 4), a0=(5, 10))
    caches = course.rnn_forward(d["x"], d["a0"], d)[2]
    with pytest.raises(ValueError, match="parameters must have Wf, got x, a0, Waa"):
        course.lstm_forward(d["x"], d["a0"], d)
    with pytest.raises(ValueError, match="da must have at most as many steps as x, 4, got 5"):
        course.rnn_backward(np.zeros((5, 10, 5)), caches)
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype complex128"):
        course.rnn_forward(1j * d["x"], d["a0"], d)


def test_the_lectures_gru_as_a_layer():
    """Γu takes the new where z keeps the old: Wu and bu change their sign; the reset comes before the product."""
    shapes = {f"W{gate}": (5, 8) for gate in "ruc"} | {f"b{gate}": (5, 1) for gate in "ruc"}
    d = drawn("x Wr Wu Wc br bu bc", x=(3, 10, 4), **shapes)
    W, b = (np.concatenate([d[f"{kind}r"], -d[f"{kind}u"], d[f"{kind}c"]]) for kind in "Wb")
    gru = fastrnn.GRU(3, 5, reset_after=False, dtype="float64")
    gru.set_parameters(
        weight_hh_l0=W[:, :5], weight_ih_l0=W[:, 5:], bias_ih_l0=b[:, 0], bias_hh_l0=np.zeros(15)
    )  # fmt: skip
    y, _ = gru(d["x"].transpose(1, 2, 0))
    c = np.zeros((5, 10))
    for t in range(4):
        xt = d["x"][:, :, t]
        reset, update = (course.sigmoid(d[f"W{k}"] @ np.concatenate([c, xt]) + d[f"b{k}"]) for k in "ru")
        candidate = np.tanh(d["Wc"] @ np.concatenate([reset * c, xt]) + d["bc"])
        c = update * candidate + (1 - update) * c
        assert_close(y[:, t], c.T, 1e-14, f"step {t}")


# The names of dinosaurs


def dinosaur(seed):
    shapes = {"a_prev": (100, 1), "Wax": (100, 27), "Waa": (100, 100), "Wya": (27, 100), "b": (100, 1), "by": (27, 1)}
    return drawn("a_prev Wax Waa Wya b by" if seed == 1 else "Wax Waa Wya b by", seed, **shapes)


X, Y = [12, 3, 5, 11, 22, 3], [4, 14, 11, 22, 25, 26]


def test_clip():
    d = drawn("dWax dWaa dWya db dby", 3, dWax=(5, 3), dWaa=(5, 5), dWya=(2, 5), db=(5, 1), dby=(2, 1))
    gradients = {name: value * 10 for name, value in d.items()}
    clipped = course.clip(gradients, 10)  # by either name
    golden(clipped["dWaa"][1][2], 10)
    golden(clipped["dWax"][3][1], -10)
    golden(clipped["dWya"][1][2], 0.29713815)
    golden(clipped["db"][4], 10)
    golden(clipped["dby"][1], 8.45833407)
    assert all(clipped[name] is gradients[name] for name in d)


def test_sample():
    """The last of the 51 published ids depend on the last bits of the arithmetic; the first 40 do not."""
    state = np.random.get_state()[1].copy()
    indices = dinos.sample(dinosaur(2), CHAR_TO_IX, 0)
    assert indices[:40] == SAMPLED
    assert indices.index(0) == len(indices) - 1 <= 50
    np.testing.assert_equal(np.random.get_state()[1], state)


def test_a_name_ends_with_the_line_break():
    """Drawn, or added where 50 letters have brought none."""
    parameters = dinos.initialize_parameters(4, 3, 3)
    parameters["by"][2] = 50
    assert dinos.sample(parameters, {"a": 0, "b": 1, "\n": 2}, 0) == [2]
    assert dinos.sample(parameters, {"a": 0, "b": 2, "\n": 1}, 0) == [2] * 50 + [1]


def test_optimize():
    parameters = dinosaur(1)
    before = {name: value.copy() for name, value in parameters.items()}
    loss, gradients, a_last = dinos.optimize(X, Y, parameters["a_prev"], parameters, learning_rate=0.01)
    golden(loss, 126.503975722)
    golden(gradients["dWaa"][1][2], 0.194709315347)
    assert np.argmax(gradients["dWax"]) == 93
    golden(gradients["dWya"][1][2], -0.007773876032)
    golden(gradients["db"][4], -0.06809825)
    golden(gradients["dby"][1], 0.01538192)
    golden(a_last[4], -1)
    assert list(gradients) == ["dWax", "dWaa", "dWya", "db", "dby"]
    assert max(np.abs(value).max() for value in gradients.values()) == 5
    for name, value in gradients.items():
        assert_close(parameters[name[1:]], before[name[1:]] - 0.01 * value, 1e-15, name)


def test_steps_make_a_name():
    """`rnn_forward` and `rnn_backward` against their steps; the first input is a column of zeros."""
    parameters, given = dinosaur(1), [None, *X[1:]]
    loss, (y_hat, a, x) = dinos.rnn_forward(given, Y, parameters["a_prev"], parameters)
    assert sorted(a) == [-1, *range(6)]
    assert not x[0].any()
    expected_loss, state = 0, parameters["a_prev"]
    for t in range(6):
        state, odds = dinos.rnn_step_forward(parameters, state, np.eye(27)[:, [X[t]]] if t else np.zeros((27, 1)))
        assert_close(a[t], state, 1e-14)
        assert_close(y_hat[t], odds, 1e-14)
        expected_loss -= math.log(odds[Y[t], 0])
    assert_close(loss, expected_loss, 1e-13)

    expected = {f"d{name}": np.zeros_like(parameters[name]) for name in ("Wax", "Waa", "b", "Wya", "by")}
    expected["da_next"] = np.zeros((100, 1))
    for t in range(5, -1, -1):
        dy = y_hat[t] - np.eye(27)[:, [Y[t]]]
        assert dinos.rnn_step_backward(dy, expected, parameters, x[t], a[t], a[t - 1]) is expected
    gradients, states = dinos.rnn_backward(given, Y, parameters, (y_hat, a, x))
    assert_same(gradients, expected)
    assert states is a


def test_gradients_of_a_name():
    """A central difference of the loss along every parameter and the initial state."""
    parameters = {name: value / 8 for name, value in dinosaur(1).items()}
    a0, rng = parameters["a_prev"], np.random.default_rng(0)
    gradients, _ = dinos.rnn_backward(X, Y, parameters, dinos.rnn_forward(X, Y, a0, parameters)[1])
    for name in ("Wax", "Waa", "Wya", "b", "by", "a_prev"):
        direction = rng.standard_normal(parameters[name].shape)
        sides = []
        for side in (1e-5, -1e-5):
            moved = parameters | {name: parameters[name] + side * direction}
            sides.append(dinos.rnn_forward(X, Y, moved["a_prev"], moved)[0])
        gradient = gradients["da_next" if name == "a_prev" else f"d{name}"]
        assert_close((sides[0] - sides[1]) / 2e-5, (gradient * direction).sum(), 1e-7, name)


def test_initial_values_and_losses():
    parameters, rng = dinos.initialize_parameters(4, 3, 2), np.random.RandomState(1)
    np.testing.assert_equal(parameters["Wax"], rng.randn(4, 3) * 0.01)
    np.testing.assert_equal(parameters["Waa"], rng.randn(4, 4) * 0.01)
    np.testing.assert_equal(parameters["Wya"], rng.randn(2, 4) * 0.01)
    np.testing.assert_equal((parameters["b"], parameters["by"]), (np.zeros((4, 1)), np.zeros((2, 1))))
    assert dinos.smooth(20.0, 30.0) == pytest.approx(20.01)
    assert dinos.get_initial_loss(27, 7) == pytest.approx(7 * math.log(27))


def test_update_parameters():
    parameters = {name: np.ones(2) for name in ("Wax", "Waa", "Wya", "b", "by")}
    kept = dict(parameters)
    gradients = {f"d{name}": np.full(2, k) for k, name in enumerate(parameters)}
    assert dinos.update_parameters(parameters, gradients, 0.1) is parameters
    for k, name in enumerate(kept):
        assert parameters[name] is kept[name]
        assert_close(kept[name], np.full(2, 1 - 0.1 * k), 1e-15, name)


NAMES = ["Aachenosaurus", "Abelisaurus", "Baryonyx", "Diplodocus", "Iguanodon", "Stegosaurus", "Triceratops"]


def test_model(capsys):
    """Trained on a few names it writes names like them, the same ones each time, from lines or from a list."""
    names = [name.lower() for name in NAMES]
    parameters = dinos.model(names, IX_TO_CHAR, CHAR_TO_IX, num_iterations=2001, n_a=30, dino_names=3)
    printed = capsys.readouterr().out
    first, second = printed.split("Iteration: ")[1:]
    assert first.startswith("0, Loss: 9.9")
    again = dinos.model("\n".join(names), IX_TO_CHAR, CHAR_TO_IX, num_iterations=2001, n_a=30, dino_names=3)
    assert capsys.readouterr().out == printed
    np.testing.assert_equal(again, parameters)
    invented = second.split("\n")[2:5]
    assert all(name[0].isupper() and name[1:].islower() for name in invented)
    total, a = 0.0, np.zeros((30, 1))
    for name in names:
        letters = [CHAR_TO_IX[letter] for letter in name]
        loss, (_, states, _) = dinos.rnn_forward([None, *letters], [*letters, 0], a, parameters)
        total, a = total + loss, states[len(letters)]
    uniform = sum(dinos.get_initial_loss(27, len(name) + 1) for name in names)
    assert total < 0.5 * uniform


def test_errors_of_names():
    parameters = dinosaur(1)
    with pytest.raises(ValueError, match="Y must have as many ids as X, 6, got 5"):
        dinos.rnn_forward(X, Y[:5], parameters["a_prev"], parameters)
    with pytest.raises(ValueError, match="vocab_size must be the columns of Wax, 27, got 28"):
        dinos.rnn_forward(X, Y, parameters["a_prev"], parameters, 28)
