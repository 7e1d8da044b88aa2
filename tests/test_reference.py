"""The NumPy reference by itself: numbers worked out elsewhere, finite differences, and what its options mean.

Nothing here needs a compiled engine. The comparison of the two is in test_cells.py, that with torch in oracles/.
"""

import copy
import math
import pickle

import numpy as np
import pytest
from helpers import (
    CELLS,
    DTYPES,
    FORWARD,
    GRADIENT,
    assert_close,
    assert_gradient,
    assert_same_bits,
    make,
    named,
    normal,
    python,
    run,
    state_like,
)

from fastrnn import reference
from fastrnn.reference.dropout import dropout_mask

I, H, N, T = 3, 4, 3, 5
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 1, 1]], bool)
RESETS = np.array([[0, 0, 1, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]], bool)


def layer_of(cell, *sizes, **options):
    return make(cell, *(sizes or (I, H)), module=reference, **{"dtype": "float64", "init": 0.6, "seed": 0, **options})


def batch(layer):
    """Input, state, dy and dstate for N rows of T steps."""
    D = 1 + layer.bidirectional
    x, dy = normal("x", N, T, I, dtype="float64"), normal("dy", N, T, D * H, dtype="float64")
    return x, state_like(layer, N, "state"), dy, state_like(layer, N, "dstate")


WITHOUT_ENGINE = """
import sys

class NoEngine:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("fastrnn._engine._"):
            raise ImportError(name)

sys.meta_path.insert(0, NoEngine())
import numpy as np
from fastrnn import reference

lstm = reference.LSTM(3, 4, seed=0)
y, _, tape = lstm.forward(np.ones((2, 5, 3)))
lstm.backward(tape, y)
reference.Dense(4, 6, tied=reference.Embedding(6, 4)).cross_entropy(y, np.zeros((2, 5), int))
assert not {"safetensors", "tqdm", "fastrnn.models"} & sys.modules.keys()
"""


def test_needs_no_engine():
    result = python(WITHOUT_ENGINE, FASTRNN_ISA="")
    assert result.returncode == 0, result.stderr


# Numbers worked out elsewhere


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def scalar(cell, **values):
    """A layer of one unit on one input, its parameters given by the start of their names."""
    layer = layer_of(cell, 1, 1)
    layer.set_parameters(
        **{f"{name}_l0": np.reshape(value, layer.parameters[f"{name}_l0"].shape) for name, value in values.items()}
    )
    return layer


def test_one_unit_of_each_gated_cell():
    """One step written out in numbers: x = 2, h = 0.5, c = -1, weights 0.1, 0.2 ... in torch's order of gates."""
    x = [[[2.0]]]
    lstm = scalar("lstm", weight_ih=[0.1, 0.2, 0.3, 0.4], weight_hh=[0.5, 0.6, 0.7, 0.8],
                  bias_ih=[0.01, 0.02, 0.03, 0.04], bias_hh=[0.05, 0.06, 0.07, 0.08])  # fmt: skip
    i, f, o = sigmoid(0.2 + 0.25 + 0.06), sigmoid(0.4 + 0.3 + 0.08), sigmoid(0.8 + 0.4 + 0.12)
    c = f * -1 + i * math.tanh(0.6 + 0.35 + 0.10)
    y, (h_final, c_final) = lstm(x, ([[[0.5]]], [[[-1.0]]]))
    assert y.item() == h_final.item() == pytest.approx(o * math.tanh(c), abs=1e-15)
    assert c_final.item() == pytest.approx(c, abs=1e-15)

    weights = {
        "weight_ih": [0.1, 0.2, 0.3],
        "weight_hh": [0.5, 0.6, 0.7],
        "bias_ih": [0.01, 0.02, 0.03],
        "bias_hh": [0.05, 0.06, 0.07],
    }
    r, z = sigmoid(0.2 + 0.25 + 0.06), sigmoid(0.4 + 0.3 + 0.08)
    for cell, n in (
        ("gru", math.tanh(0.6 + 0.03 + r * (0.7 * 0.5 + 0.07))),
        ("gru-before", math.tanh(0.6 + 0.03 + 0.7 * (r * 0.5) + 0.07)),
    ):
        y, _ = scalar(cell, **weights)(x, [[[0.5]]])
        assert y.item() == pytest.approx((1 - z) * n + z * 0.5, abs=1e-15)


def test_simple_cells_over_two_steps():
    """h2 = f(w x2 + b + u f(w x1 + b + u h0))."""
    functions = {"tanh": math.tanh, "relu": lambda v: max(v, 0.0), "sigmoid": sigmoid, "linear": lambda v: v}
    for name, f in functions.items():
        layer = scalar(f"rnn-{name}", weight_ih=0.5, weight_hh=-0.8, bias_ih=0.1, bias_hh=0.2)
        first = f(0.5 * 1.0 + 0.3 - 0.8 * 0.25)
        y, _ = layer([[[1.0], [-2.0]]], [[[0.25]]])
        assert y[0, :, 0] == pytest.approx([first, f(0.5 * -2.0 + 0.3 - 0.8 * first)], abs=1e-15)


def course_arrays(*shapes):
    """Standard normal arrays as the course's tests draw them."""
    rng = np.random.RandomState(1)
    return [rng.randn(*shape) for shape in shapes]


def from_course(array):
    """(features, batch, time) as (N, T, features)."""
    return array.transpose(1, 2, 0)


def test_published_numbers_of_a_simple_rnn():
    """Graded values of the deep-learning course's rnn_forward and rnn_backward."""
    x, a0, Waa, Wax, _, ba = course_arrays((3, 10, 4), (5, 10), (5, 5), (5, 3), (2, 5), (5, 1))
    layer = layer_of("rnn-tanh", 3, 5)
    layer.load_state_dict({"weight_ih_l0": Wax, "weight_hh_l0": Waa, "bias_ih_l0": ba[:, 0], "bias_hh_l0": np.zeros(5)})
    a, _ = layer(from_course(x), a0.T[None])
    assert_close(a[1, :, 4], [-0.99999375, 0.77911235, -0.99861469, -0.99833267], 1e-8)

    shapes = [(3, 10, 4), (5, 10), (5, 3), (5, 5), (2, 5), (5, 1), (2, 1), (5, 10, 4)]
    x, a0, Wax, Waa, _, ba, _, da = course_arrays(*shapes)
    layer.load_state_dict({"weight_ih_l0": Wax, "weight_hh_l0": Waa, "bias_ih_l0": ba[:, 0], "bias_hh_l0": np.zeros(5)})
    _, _, tape = layer.forward(from_course(x), a0.T[None])
    dx, da0, grads = layer.backward(tape, from_course(da))
    assert_close(dx[2, :, 1], [-2.07101689, -0.59255627, 0.02466855, 0.01483317], 1e-8)
    assert_close(da0[0, 3, 2], -0.3149423751, 1e-9)
    assert_close(grads["weight_ih_l0"][3, 1], 11.2641044965, 1e-9)
    assert_close(grads["weight_hh_l0"][1, 2], 2.3033331266, 1e-9)
    for bias in ("bias_ih_l0", "bias_hh_l0"):
        assert_close(grads[bias][4], -0.7474772166, 1e-9)


def test_published_numbers_of_an_lstm():
    """Graded values of the course's lstm_forward and lstm_backward; its matrices act on [a; x]."""
    shapes = [(3, 10, 7), (5, 10), *[(5, 8), (5, 1)] * 4, (5, 10, 4)]
    x, a0, Wf, bf, Wi, bi, Wo, bo, Wc, bc, da = course_arrays(*shapes)
    W = np.concatenate([Wi, Wf, Wc, Wo])
    layer = layer_of("lstm", 3, 5)
    layer.load_state_dict(
        {"weight_ih_l0": W[:, 5:], "weight_hh_l0": W[:, :5], "bias_ih_l0": np.concatenate([bi, bf, bc, bo])[:, 0],
         "bias_hh_l0": np.zeros(20)}
    )  # fmt: skip
    initial = (a0.T[None], np.zeros((1, 10, 5)))
    _, _, tape = layer.forward(from_course(x)[:, :4], initial)
    dx, (da0, _), grads = layer.backward(tape, from_course(da))
    assert_close(dx[2, :, 1], [0.00218254, 0.28205375, -0.48292508, -0.43281115], 1e-8)
    assert_close(da0[0, 3, 2], 0.3127703103, 1e-9)
    for gate, value, bias in zip(
        range(4), (0.4051243309, -0.0809802311, -0.0793746736, 0.0389487758),
        (-0.50848333, -0.15745657, -0.42510818, -0.17958196), strict=True,
    ):  # fmt: skip
        row, column = (1, 2) if gate in (0, 3) else (3, 1)  # both belong to the part of the matrix that acts on a
        assert_close(grads["weight_hh_l0"][5 * gate + row, column], value, 1e-9)
        assert_close(grads["bias_hh_l0"][5 * gate + 4], bias, 1e-8)

    tape = layer.forward(from_course(x), initial)[2]
    (gates,) = tape.gates()
    assert_close(gates["h"][3, 6, 4], 0.1721177675, 1e-9)
    assert_close(gates["c"][2, 1, 1], -0.8555449167, 1e-9)


# Gradients against finite differences


OPTIONS = {
    "plain": ({}, {}),
    "stack": ({"num_layers": 3, "bidirectional": True}, {}),
    "no-bias": ({"num_layers": 2, "bias": False}, {}),
    "lengths": ({"num_layers": 2, "bidirectional": True}, {"lengths": [5, 0, 2]}),
    "mask": ({"num_layers": 2, "bidirectional": True}, {"mask": MASK}),
    "hold": ({"num_layers": 2, "bidirectional": True}, {"mask": MASK, "pad": "hold"}),
    "resets": ({"num_layers": 2, "bidirectional": True}, {"resets": RESETS}),
    "mask-resets": ({"num_layers": 2, "bidirectional": True}, {"mask": MASK, "resets": RESETS}),
}


@pytest.mark.parametrize("inputs", ["float", "ids"])
@pytest.mark.parametrize("option", OPTIONS)
@every_cell
def test_finite_differences(cell, option, inputs):
    """dx, dstate and every parameter's gradient, for L = Σ y·dy + Σ state·dstate."""
    built, called = OPTIONS[option]
    layer = layer_of(cell, **built)
    x, state, dy, dstate = batch(layer)
    if inputs == "ids":
        x = np.random.default_rng(0).integers(0, I, (N, T))
    weights = layer.state_dict()

    def loss():
        layer.load_state_dict(weights)
        y, final = layer(x, state, **called)
        pairs = zip(named(final, "").values(), named(dstate, "").values(), strict=True)
        return (y * dy).sum() + sum((a * b).sum() for a, b in pairs)

    got = run(layer, x, state, dy, dstate, **called)
    for name, part in named(state, "").items():
        assert_gradient(loss, part, got["d" + name], "d" + name)
    for name, weight in weights.items():
        assert_gradient(loss, weight, got[name], name)
    if inputs == "ids":
        assert got["dx"] is None
    else:
        assert_gradient(loss, x, got["dx"], "dx")


@every_cell
def test_finite_differences_with_dropout(cell):
    """Copies of a layer draw the same masks, so the loss under dropout is a function of the input."""
    layer = layer_of(cell, num_layers=3, bidirectional=True, dropout=0.4)
    x, state, dy, _ = batch(layer)
    got = run(copy.deepcopy(layer), x, state, dy)
    assert_gradient(lambda: (copy.deepcopy(layer).forward(x, state)[0] * dy).sum(), x, got["dx"], "dx")


@every_cell
def test_hidden_gradients(cell):
    """dL/dh_t is dy_t and what the rest of the sequence, run alone from h_t, sends back."""
    layer = layer_of(cell)
    x, state, dy, dstate = batch(layer)
    _, _, tape = layer.forward(x, state)
    tape.watch()
    layer.backward(tape, dy, dstate)
    (seen,) = tape.hidden_gradients()
    for t in range(T):
        middle = layer(x[:, : t + 1], state)[1]
        rest = run(layer, x[:, t + 1 :], middle, dy[:, t + 1 :], dstate)
        assert_close(seen[:, t], dy[:, t] + rest["dh"][0], GRADIENT["float64"], f"step {t}")


# What the options mean, forward: the backward pass is that of whatever the forward pass does


def one_direction(layer, k, reverse):
    """A layer of one direction with the weights of the k-th layer's forward or reverse direction."""
    names = [f"{part}_l{k}" + "_reverse" * reverse for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    weights = [layer.parameters[name] for name in names if name in layer.parameters]
    single = type(layer)(weights[0].shape[1], H, dtype="float64", **{
        name: getattr(layer, name) for name in ("nonlinearity", "reset_after") if hasattr(layer, name)
    })  # fmt: skip
    single.load_state_dict(dict(zip(single.parameters, weights, strict=True)))
    return single


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("ragged", ["full", "mask"])
@every_cell
def test_rows_one_by_one(cell, ragged, resets):
    """A stack in both directions, as each direction of each row's pieces of real steps, run alone one after another."""
    layer = layer_of(cell, num_layers=2, bidirectional=True)
    x, state, _, _ = batch(layer)
    active = MASK if ragged == "mask" else np.ones((N, T), bool)
    cuts = RESETS if resets else np.zeros((N, T), bool)
    y, final = layer(x, state, mask=active, resets=cuts)
    finals = named(final, "")
    below = x
    for k in range(2):
        outputs = np.zeros((N, T, 2 * H))
        for d in range(2):
            single = one_direction(layer, k, d == 1)
            for n in range(N):
                steps = np.flatnonzero(active[n])
                pieces = np.split(steps, np.flatnonzero(cuts[n, steps]))
                carried = {name: part[2 * k + d, n] for name, part in named(state, "").items()}
                zero = {name: np.zeros(H) for name in carried}
                ordered = [piece[::-1] for piece in pieces[::-1]] if d else pieces
                for number, piece in enumerate(ordered):
                    if number:  # a piece of a row starts from nothing
                        carried = zero if len(piece) or not d else carried
                    if not len(piece):
                        continue
                    start = tuple(part[None, None] for part in carried.values())
                    out, last = single(below[n, piece][None], start if len(start) == 2 else start[0])
                    outputs[n, piece, d * H : (d + 1) * H] = out[0]
                    carried = {name: part[0, 0] for name, part in named(last, "").items()}
                for name, part in carried.items():
                    assert_close(finals[name][2 * k + d, n], part, FORWARD["float64"], f"{name} {k} {d} {n}")
        below = outputs
    assert_close(y, below, FORWARD["float64"])


@every_cell
def test_lengths_are_a_mask(cell):
    layer = layer_of(cell, num_layers=2, bidirectional=True)
    batch_ = batch(layer)
    lengths = np.array([5, 0, 2])
    masked = run(layer, *batch_, mask=np.arange(T) < lengths[:, None])
    assert_same_bits(run(layer, *batch_, lengths=lengths), masked)
    assert not masked["y"][1].any()
    assert_same_bits(masked["h"][:, 1], named(batch_[1], "")["h"][:, 1])


def test_hold_repeats_in_the_order_of_each_direction():
    layer = layer_of("gru", bidirectional=True)
    x = normal("x", N, T, I, dtype="float64")
    zero, held = layer(x, mask=MASK)[0][1], layer(x, mask=MASK, pad="hold")[0][1]  # real steps 1 and 3
    assert_same_bits(held[:, :H], np.stack([np.zeros(H), zero[1, :H], zero[1, :H], zero[3, :H], zero[3, :H]]))
    assert_same_bits(held[:, H:], np.stack([zero[1, H:], zero[1, H:], zero[3, H:], zero[3, H:], np.zeros(H)]))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e300])
@every_cell
def test_garbage_at_padded_steps(cell, garbage):
    layer = layer_of(cell, num_layers=2, bidirectional=True)
    x, state, dy, dstate = batch(layer)
    spoilt, upper = x.copy(), dy.copy()
    spoilt[~MASK], upper[~MASK] = garbage, garbage
    assert_same_bits(run(layer, spoilt, state, upper, dstate, mask=MASK), run(layer, x, state, dy, dstate, mask=MASK))
    ids = np.random.default_rng(0).integers(0, I, (N, T))
    wrong = np.where(MASK, ids, 10**9)
    assert_same_bits(run(layer, wrong, state, dy, dstate, mask=MASK), run(layer, ids, state, dy, dstate, mask=MASK))


@every_cell
def test_ids_are_one_hot_rows(cell):
    layer = layer_of(cell, num_layers=2, bidirectional=True)
    ids = np.random.default_rng(0).integers(0, I, (N, T))
    _, state, dy, dstate = batch(layer)
    got, expected = (run(layer, x, state, dy, dstate) for x in (ids, np.eye(I)[ids]))
    for name in expected:
        if name != "dx":
            assert_close(got[name], expected[name], 1e-14, name)


@every_cell
def test_forms_of_a_batch(cell):
    """Time-major and unbatched are the same numbers, laid out otherwise; no batch and no time are legal."""
    layer = layer_of(cell, num_layers=2, bidirectional=True)
    columns = layer_of(cell, num_layers=2, bidirectional=True, batch_first=False)
    x, state, dy, dstate = batch(layer)
    got, turned = (run(each, a, state, b, dstate, lengths=[5, 1, 2]) for each, a, b in (
        (layer, x, dy), (columns, x.swapaxes(0, 1), dy.swapaxes(0, 1)),
    ))  # fmt: skip
    for name in got:
        assert_same_bits(turned[name].swapaxes(0, 1) if name in ("y", "dx") else turned[name], got[name], name)
    alone = run(layer, x[0], None, dy[0], lengths=5)
    for name, value in run(layer, x[:1], None, dy[:1], lengths=[5]).items():
        axis = 0 if name in ("y", "dx") else 1 if name in ("h", "c", "dh", "dc") else None
        assert_same_bits(alone[name], value if axis is None else value.squeeze(axis), name)
    for rows, steps in ((0, T), (N, 0), (0, 0)):
        nothing = run(
            layer, x[:rows, :steps], state_like(layer, rows, "s"), dy[:rows, :steps], state_like(layer, rows, "d")
        )
        assert nothing["y"].shape == (rows, steps, 2 * H)
        assert_same_bits(nothing["h"], named(state_like(layer, rows, "s"), "")["h"])
        assert_same_bits(nothing["dh"], named(state_like(layer, rows, "d"), "")["h"])
        assert not any(nothing[name].any() for name in layer.parameters)


@every_cell
def test_precision(cell):
    """float32 stays float32 all the way, and near float64."""
    layer, twin = (layer_of(cell, num_layers=2, bidirectional=True, dropout=0.3, dtype=dtype) for dtype in DTYPES)
    weights = layer.state_dict()
    twin.load_state_dict(weights)
    batch_ = batch(twin)
    got, expected = (run(each, *batch_, mask=MASK, resets=RESETS) for each in (layer, twin))
    for name in expected:
        assert got[name].dtype == "float32"
        assert expected[name].dtype == "float64"
        assert_close(got[name], expected[name], FORWARD["float32"] if name in "yhc" else GRADIENT["float32"], name)


def test_results_share_no_memory():
    layer = layer_of("lstm", num_layers=2)
    x, state, dy, dstate = batch(layer)
    arrays = [*run(layer, x, state, dy, dstate).values(), x, dy, *state, *dstate]
    for k, first in enumerate(arrays):
        assert first.flags.writeable
        assert not any(np.shares_memory(first, second) for second in arrays[:k])
    out = np.empty((N, T, H))
    y, _ = layer(x, state, out=out)
    assert y is out
    assert_same_bits(y, arrays[0])


# Dropout


def mask_by_integers(seed, count, layer, t, n, j, p):
    """One value of a dropout mask in Python's own integers."""

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def low_bias(x):
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    key = seed
    for value in (count, layer, t, n):
        key = mix((key + 0x9E3779B97F4A7C15 * (value + 1)) % 2**64)
    drawn = low_bias(low_bias((key + j * 0x9E3779B9) % 2**32) ^ (key >> 32))
    return 1 / (1 - p) if drawn >= int(p * 2**32) else 0.0


def test_dropout_mask_by_integers():
    for seed, count, layer, p in ((0, 0, 0, 0.5), (2**64 - 1, 5, 2, 0.1), (12345678901234567890, 1, 1, 0.9)):
        mask = dropout_mask(seed, count, layer, (3, 4, 33), p, np.dtype("float64"))
        for (t, n, j), value in np.ndenumerate(mask):
            assert value == mask_by_integers(seed, count, layer, t, n, j, p)


def test_dropout_shares():
    for p in (0.0, 0.2, 1.0):
        mask = dropout_mask(1, 0, 0, (50, 20, 40), p, np.dtype("float32"))
        assert mask.dtype == "float32"
        assert abs((mask == 0).mean() - p) < 5 * (p * (1 - p) / mask.size) ** 0.5 + 1e-12
        assert set(np.unique(mask)) <= {
            np.float32(0),
            np.float32(1) / (np.float32(1) - np.float32(p or 0.0)) if p < 1 else 0,
        }


@every_cell
def test_dropout_replayed_by_its_masks(cell):
    """Each layer alone, with the masks that the tape shows in between; a call without a tape drops nothing."""
    layer = layer_of(cell, num_layers=2, dropout=0.5)
    x = normal("x", N, T, I, dtype="float64")
    y, _, tape = layer.forward(x)
    (mask,) = tape.masks()
    first, second = (one_direction(layer, k, False) for k in range(2))
    assert_close(y, second(first(x)[0] * mask)[0], FORWARD["float64"])
    assert_close(layer(x)[0], second(first(x)[0])[0], FORWARD["float64"])
    assert not np.array_equal(layer.forward(x)[2].masks()[0], mask)


# Tapes, copies and errors


@every_cell
def test_tape_rules(cell):
    layer, other = layer_of(cell), layer_of(cell)
    x, state, dy, dstate = batch(layer)
    tape = layer.forward(x, state)[2]
    assert tape.nbytes > 0
    assert_same_bits(tape.gates()[0]["h"], layer(x, state)[0])
    first = layer.backward(tape, dy, dstate, retain=True)
    with pytest.raises(ValueError, match="another layer"):
        other.backward(tape)
    assert_same_bits(layer.backward(tape, dy, dstate)[2], first[2])
    with pytest.raises(ValueError, match="spent"):
        layer.backward(tape, dy)
    tape = layer.forward(x)[2]
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(ValueError, match="older"):
        layer.backward(tape, dy)
    with pytest.raises(TypeError, match="tape"):
        layer.backward(None)


@every_cell
def test_pickle_goes_on_with_the_masks(cell):
    layer = layer_of(cell, num_layers=2, dropout=0.5, seed=None)
    x, state, dy, dstate = batch(layer)
    layer.forward(x)
    twin = pickle.loads(pickle.dumps(layer))
    assert_same_bits(run(twin, x, state, dy, dstate), run(layer, x, state, dy, dstate))


@pytest.mark.parametrize(
    ("error", "word", "arguments"),
    [
        (ValueError, "x", {"x": np.zeros((N, T, I + 1))}),
        (TypeError, "x", {"x": np.zeros((N, T, I), int)}),
        (ValueError, "x", {"x": np.full((N, T), I)}),
        (ValueError, "lengths", {"lengths": [5, 6, 0]}),
        (TypeError, "lengths", {"lengths": [5.0, 1.0, 0.0]}),
        (ValueError, "mask", {"lengths": [5, 1, 0], "mask": MASK}),
        (ValueError, "resets", {"resets": RESETS.T}),
        (ValueError, "state", {"state": np.zeros((1, N, H))}),
        (ValueError, "pad", {"pad": "repeat"}),
        (ValueError, "out", {"out": np.zeros((N, T, H + 1))}),
    ],
)
def test_bad_call(error, word, arguments):
    """A refused call leaves the count of forward calls, and so the next masks, as they were."""
    layer = layer_of("lstm", num_layers=2, dropout=0.5)
    with pytest.raises(error, match=word):
        layer.forward(**{"x": np.zeros((N, T, I)), **arguments})
    assert layer.forward_count == 0
