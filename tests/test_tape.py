"""What a tape keeps, shows and allows; dropout, whose masks a tape shows."""

import sys
import weakref

import numpy as np
import pytest
from helpers import (
    CELLS,
    DTYPES,
    FORWARD,
    GRADIENT,
    assert_close,
    assert_same_bits,
    make,
    named,
    normal,
    peak_growths,
    run,
    state_like,
)

import fastrnn

I, H, N, T = 3, 17, 5, 7
LENGTHS = np.array([7, 3, 0, 1, 6])
ACTIVE = np.arange(T) < LENGTHS[:, None]
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
KEYS = {"lstm": "ifgoch", "gru": "rznh", "gru-before": "rznh", "mingru": "znh", "minlstm": "finh"}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@every_dtype
@every_cell
def test_retain(cell, dtype):
    """A retained tape gives the same bits again, other gradients too; the call without `retain` spends it."""
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0)
    x = normal("x", N, T, I, dtype=dtype)
    gradients = [normal(f"dy{k}", N, T, 2 * H, dtype=dtype) for k in range(2)]
    expected = [run(layer, x, None, dy, lengths=LENGTHS) for dy in gradients]
    tape = layer.forward(x, lengths=LENGTHS)[2]
    for k in (0, 1, 0):
        dx, _, grads = layer.backward(tape, gradients[k], retain=True)
        assert_same_bits({"dx": dx, **grads}, {name: expected[k][name] for name in ("dx", *grads)})
    layer.backward(tape, gradients[1])
    with pytest.raises(ValueError, match="spent"):
        layer.backward(tape, gradients[0], retain=True)


@every_cell
def test_tapes_may_be_spent_in_any_order(cell):
    layer = make(cell, I, H, 2, seed=0)
    inputs = [normal(f"x{k}", N, T, I) for k in range(3)]
    dy = normal("dy", N, T, H)
    expected = [run(layer, x, None, dy)["dx"] for x in inputs]
    tapes = [layer.forward(x)[2] for x in inputs]
    for k in (1, 0, 2):
        assert_same_bits(layer.backward(tapes[k], dy)[0], expected[k])


@every_dtype
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_keeps_six_numbers(layers, directions, dtype):
    """At most 6 per (time, batch, hidden), besides the input and the state; a spent tape keeps nothing."""
    layer = make("lstm", 3, 64, layers, bidirectional=directions == 2, dtype=dtype, seed=0)
    tape = layer.forward(normal("x", 16, 50, 3, dtype=dtype))[2]
    units = 50 * 16 * 64 * layers * directions
    assert 0 < tape.nbytes <= 6 * units * layer.dtype.itemsize
    layer.backward(tape)
    assert tape.nbytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say how much memory was held")
def test_memory_of_a_call():
    """As the system counts it: inference holds y and little else, forward y and the six numbers of the tape.

    `pad` keeps a call from being plain."""
    N, T, H = 32, 400, 128
    number = N * T * H * 4
    plain, inference, training = peak_growths(
        "import numpy as np, fastrnn\n"
        f"layer, x = fastrnn.LSTM(3, {H}, seed=0), np.ones(({N}, {T}, 3), 'float32')\n"
        "layer.backward(layer.forward(x[:, :1])[2])",
        "lambda: layer(x)", "lambda: layer(x, pad='hold')", "lambda: layer.forward(x)",
    )  # fmt: skip
    assert 0.9 * number < plain < 1.2 * number
    assert 0.9 * number < inference < 1.2 * number
    assert 6.9 * number < training < 7.2 * number


@every_cell
def test_a_tape_lets_go(cell):
    """It refers to x until it is spent, never to y."""
    layer = make(cell, I, H, 2, seed=0)
    x = normal("x", N, T, I)
    y, _, tape = layer.forward(x)
    of_x, of_y = weakref.ref(x), weakref.ref(y)
    del x, y
    assert of_x() is not None
    assert of_y() is None
    layer.backward(tape)
    assert of_x() is None


def test_public_names():
    layer = make("lstm", I, H)
    assert type(layer.forward(normal("x", N, T, I))[2]) is fastrnn.Tape
    assert type(layer.stream()) is fastrnn.Stream


# The gates


@every_dtype
@pytest.mark.parametrize("form", ["batch_first", "time_major", "unbatched"])
@every_cell
def test_form_of_gates(cell, form, dtype):
    layer = make(cell, I, H, 2, bidirectional=True, batch_first=form != "time_major", dtype=dtype, seed=0)
    shape = {"batch_first": (N, T), "time_major": (T, N), "unbatched": (T,)}[form]
    _, _, tape = layer.forward(normal("x", *shape, I, dtype=dtype))
    gates = tape.gates()
    assert len(gates) == 4
    for part in gates:
        assert sorted(part) == sorted(KEYS.get(cell, "h"))
        for value in part.values():
            assert value.shape == (*shape, H)
            assert value.dtype == dtype


@every_dtype
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "resets"])
@every_cell
def test_gates_obey_the_equations(cell, cut, dtype):
    """Each gate is what its equation makes of the weights, the input of its layer, and the state before it."""
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, init=0.3, seed=0)
    x, state = normal("x", N, T, I, dtype=dtype), state_like(layer, N, "s")
    resets = (np.arange(N * T).reshape(N, T) % 5 == 3) & cut
    y, _, tape = layer.forward(x, state, lengths=LENGTHS, resets=resets)
    gates, weights = tape.gates(), {name: value.astype("float64") for name, value in layer.parameters.items()}
    below = x
    for k in range(2):
        for reverse in (0, 1):
            kept = {name: value.astype("float64") for name, value in gates[2 * k + reverse].items()}
            for value in kept.values():
                assert not value[~ACTIVE].any()
            suffix = f"l{k}" + "_reverse" * reverse
            W, U, b, v = (weights.get(f"{part}_{suffix}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            initial = {name: part[2 * k + reverse] for name, part in named(state, "").items()}
            before = {name: states_before(kept[name], initial[name], reverse, resets) for name in initial}
            expected = equations(cell, below @ W.T + b, before, U, v)
            for name, value in expected.items():
                assert_close(kept[name][ACTIVE], value[ACTIVE], 3 * FORWARD[dtype], name)
        below = np.concatenate([gates[2 * k]["h"], gates[2 * k + 1]["h"]], axis=2)
    assert_same_bits(below, y)


def states_before(states, initial, reverse, resets):
    """The state that each active step started from, in the order in which the direction goes."""
    before = np.zeros_like(states)
    for n in range(N):
        state = initial[n]
        for t in range(LENGTHS[n])[:: -1 if reverse else 1]:
            before[n, t] = 0 if resets[n, t] and not reverse else state
            state = np.zeros(H) if resets[n, t] and reverse else states[n, t]
    return before


def equations(cell, a, before, U, v):
    """The gates of all steps at once, from a = W x + b_ih and the states before each step."""
    h = before["h"]
    if cell == "lstm":
        i, f, g, o = np.split(a + h @ U.T + v, 4, axis=2)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * before["c"] + i * g
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * np.tanh(c)}
    if cell.startswith("gru"):
        a_r, a_z, a_n = np.split(a, 3, axis=2)
        u_r, u_z, u_n = np.split(h @ U.T + v, 3, axis=2)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = np.tanh(a_n + (r * u_n if cell == "gru" else (r * h) @ U[2 * H :].T + v[2 * H :]))
        return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}
    if cell == "mingru":
        z, n = np.split(a, 2, axis=2)
        return {"z": sigmoid(z), "n": n, "h": (1 - sigmoid(z)) * h + sigmoid(z) * n}
    if cell == "minlstm":
        f, i, n = np.split(a, 3, axis=2)
        f, i = sigmoid(f), sigmoid(i)
        return {"f": f, "i": i, "n": n, "h": f / (f + i) * h + i / (f + i) * n}
    z = a + h @ U.T + v
    function = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "sigmoid": sigmoid, "linear": lambda z: z}
    return {"h": function[cell.removeprefix("rnn-")](z)}


@every_cell
def test_gates_of_a_row_with_holes(cell):
    """Those of the row without its holes, and zeros in them."""
    layer = make(cell, I, H, 2, bidirectional=True, seed=0)
    x, mask = normal("x", N, T, I), normal("mask", N, T) > 0
    gates = layer.forward(x, mask=mask)[2].gates()
    for n in range(N):
        expected = layer.forward(x[n][mask[n]])[2].gates()
        for part, alone in zip(gates, expected, strict=True):
            assert_same_bits({name: value[n][mask[n]] for name, value in part.items()}, alone)
            assert not any(value[n][~mask[n]].any() for value in part.values())


@every_dtype
@pytest.mark.parametrize("width", [64, 63])
@every_cell
def test_gates_of_a_large_tape(cell, width, dtype):
    """Short rows of more than 4 MB of gates go past the caches where they are whole lines; those of a part do not."""
    layer = make(cell, I, width, bidirectional=True, dtype=dtype, seed=0)
    x, dy = normal("x", 96, 50, I, dtype=dtype), normal("dy", 96, 50, 2 * width, dtype=dtype)
    lengths = 50 - np.arange(96) % 7
    _, _, tape = layer.forward(x, lengths=lengths)
    _, _, part = layer.forward(x[:24], lengths=lengths[:24])
    for gates, expected in zip(tape.gates(), part.gates(), strict=True):
        assert_same_bits({name: value[:24] for name, value in gates.items()}, expected)
    assert_same_bits(layer.backward(tape, dy)[0][:24], layer.backward(part, dy[:24])[0])


@every_cell
def test_gates_are_copies(cell):
    layer = make(cell, I, H, 2, seed=0)
    x, dy = normal("x", N, T, I), normal("dy", N, T, H)
    expected = run(layer, x, None, dy)
    tape = layer.forward(x)[2]
    for part in tape.gates():
        for value in part.values():
            value.fill(np.nan)
    dx, _, grads = layer.backward(tape, dy)
    assert_same_bits({"dx": dx, **grads}, {name: expected[name] for name in ("dx", *grads)})
    with pytest.raises(ValueError, match="spent"):
        tape.gates()


# The gradients of the hidden states


@every_dtype
@every_cell
def test_hidden_gradients(cell, dtype):
    """dL/dh_t is dy_t and what the rest of the sequence, run alone from h_t, sends back."""
    layer = make(cell, I, H, dtype=dtype, seed=0)
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, H, dtype=dtype)
    state, dstate = state_like(layer, N, "s"), state_like(layer, N, "d")
    expected = run(layer, x, state, dy, dstate)
    tape = layer.forward(x, state)[2]
    tape.watch()
    dx, _, grads = layer.backward(tape, dy, dstate)
    assert_same_bits({"dx": dx, **grads}, {name: expected[name] for name in ("dx", *grads)})
    (seen,) = tape.hidden_gradients()
    assert seen.shape == (N, T, H)
    assert seen.dtype == dtype
    for t in range(T):
        middle = layer(x[:, : t + 1], state)[1]
        rest = run(layer, x[:, t + 1 :], middle, dy[:, t + 1 :], dstate)
        assert_close(seen[:, t], dy[:, t] + rest["dh"][0], GRADIENT[dtype], f"step {t}")


@every_cell
def test_hidden_gradients_of_a_stack(cell):
    """One array for each layer and direction, zero at padded steps; a parameter's gradient follows from them."""
    layer = make(cell, I, H, 2, bidirectional=True, dtype="float64", seed=0)
    x, dy = normal("x", N, T, I, dtype="float64"), normal("dy", N, T, 2 * H, dtype="float64")
    tape = layer.forward(x, lengths=LENGTHS)[2]
    tape.watch()
    layer.backward(tape, dy)
    seen = tape.hidden_gradients()
    assert len(seen) == 4
    for value in seen:
        assert value.shape == (N, T, H)
        assert not value[~ACTIVE].any()
        assert value[ACTIVE].all()
    last = LENGTHS - 1
    rows = np.flatnonzero(LENGTHS)
    assert_same_bits(seen[2][rows, last[rows]], dy[rows, last[rows], :H])  # nothing comes later
    assert_same_bits(seen[3][rows, 0], dy[rows, 0, H:])


def test_only_a_watched_tape_shows_gradients():
    layer = make("lstm", I, H, seed=0)
    x = normal("x", N, T, I)
    tape = layer.forward(x)[2]
    layer.backward(tape)
    with pytest.raises(ValueError, match="watch"):
        tape.hidden_gradients()


# Dropout


@every_cell
def test_dropout_only_in_forward(cell):
    layer, plain = (make(cell, I, H, 3, bidirectional=True, dropout=p, seed=0) for p in (0.5, 0.0))
    x = normal("x", N, T, I)
    for _ in range(2):
        assert_same_bits(layer(x), plain(x))
    assert not np.array_equal(layer.forward(x)[0], plain(x)[0])
    assert plain.forward(x)[2].masks() == []
    with pytest.warns(UserWarning, match="dropout=0.5 has no effect with num_layers=1") as said:
        single = make(cell, I, H, dropout=0.5, seed=0)
    assert single.forward(x)[2].masks() == [] and len(said) == 1


@every_dtype
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("ragged", [{}, {"lengths": LENGTHS}], ids=["full", "lengths"])
@every_cell
def test_dropout_replayed_by_its_masks(cell, ragged, batch_first, dtype):
    """The same network as three layers with the masks multiplied in between, forward and backward."""
    options = {"bidirectional": True, "batch_first": batch_first, "dtype": dtype}
    stack = make(cell, I, H, 3, dropout=0.3, seed=5, **options)
    single = [make(cell, I if k == 0 else 2 * H, H, **options) for k in range(3)]
    for k, layer in enumerate(single):
        layer.load_state_dict({name: stack.parameters[name.replace("l0", f"l{k}")] for name in layer.parameters})
    shape = (N, T) if batch_first else (T, N)
    x, dy = normal("x", *shape, I, dtype=dtype), normal("dy", *shape, 2 * H, dtype=dtype)
    y, _, tape = stack.forward(x, **ragged)
    masks = tape.masks()
    assert [mask.shape for mask in masks] == [(*shape, 2 * H)] * 2

    tapes, value = [], x
    for layer, mask in zip(single, [*masks, None], strict=True):
        value, _, own = layer.forward(value, **ragged)
        tapes.append(own)
        value = value if mask is None else value * mask
    assert_close(y, value, FORWARD[dtype], "y")

    dx, _, grads = stack.backward(tape, dy)
    gradient = dy
    for k in (2, 1, 0):
        gradient, _, own = single[k].backward(tapes[k], gradient)
        for name, part in own.items():
            assert_close(grads[name.replace("l0", f"l{k}")], part, GRADIENT[dtype], name)
        if k:
            gradient = gradient * masks[k - 1]
    assert_close(dx, gradient, GRADIENT[dtype], "dx")


@every_dtype
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_statistics(p, dtype):
    """Each value is dropped with probability p, whatever its layer, time, row and unit, and whatever the others are."""
    layer = make("rnn-tanh", 1, 50, 3, dropout=p, dtype=dtype, seed=11)
    x = np.zeros((40, 30, 1), dtype)
    first, second = (np.stack(layer.forward(x)[2].masks()) for _ in range(2))
    scale = np.dtype(dtype).type(1) / (np.dtype(dtype).type(1) - np.dtype(dtype).type(p))
    assert set(np.unique(first)) == {0, scale}
    kept = (first > 0).astype(float) - (1 - p)
    spread = (p * (1 - p)) ** 0.5
    for axes in [(0, 1, 2, 3), (1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]:
        count = np.prod([kept.shape[axis] for axis in axes])
        assert np.abs(kept.mean(axes)).max() < 5 * spread / count**0.5
    others = [(second > 0) - (1 - p)] + [np.roll(kept, 1, axis) for axis in range(4)]
    for other in others:
        assert abs((kept * other).mean()) < 5 * spread**2 / kept.size**0.5


def test_dropout_of_nothing_and_of_everything():
    x = normal("x", N, T, I)
    none, every = (make("lstm", I, H, 2, dropout=p, seed=0) for p in (0.0, 1.0))
    assert not every.forward(x)[2].masks()[0].any()
    assert np.isfinite(run(every, x, None, normal("dy", N, T, H))["weight_hh_l1"]).all()
    assert_same_bits(none.forward(x)[0], none(x)[0])


@every_cell
def test_dropout_depends_on_the_seed_and_the_count_alone(cell):
    """Not on calls without a tape, nor on the other rows and steps of the batch."""
    layer, twin, other = (make(cell, I, H, 2, dropout=0.5, seed=seed) for seed in (3, 3, 4))
    x = normal("x", N, T, I)
    masks = [layer.forward(x)[2].masks()[0] for _ in range(2)]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], other.forward(x)[2].masks()[0])
    twin(x)
    assert_same_bits(twin.forward(x[:2, :3])[2].masks()[0], masks[0][:2, :3])
    twin(x)
    y, _, tape = twin.forward(x, lengths=LENGTHS)
    assert_same_bits(tape.masks()[0][ACTIVE], masks[1][ACTIVE])
    assert not y[~ACTIVE].any()
