"""Cells other than the plain ones: activations, clip, peepholes, coupled gates, projection, layer normalization; alone,
together, with every option."""

import numpy as np
import pytest
from helpers import (
    DTYPES,
    assert_all_close,
    assert_close,
    assert_gradient,
    assert_same_bits,
    in_float64,
    is_lstm,
    named,
    normal,
    run,
    state_like,
)

import fastrnn
from fastrnn import reference

# what is varied: the class and its options
TRAITS = {
    "rnn-clip": ("RNN", {"clip": 0.4}),
    "rnn-softsign": ("RNN", {"nonlinearity": "softsign"}),
    "gru-activations": ("GRU", {"activations": (("hard_sigmoid", 0.3, 0.4), "elu")}),
    "gru-clip": ("GRU", {"clip": 0.3}),
    "gru-before-activations": ("GRU", {"reset_after": False, "activations": ("softsign", ("scaled_tanh", 0.8, 1.2))}),
    "gru-before-clip": ("GRU", {"reset_after": False, "clip": 0.3}),
    "lstm-activations": ("LSTM", {"activations": ("hard_sigmoid", ("leaky_relu", 0.1), "softsign")}),
    "lstm-clip": ("LSTM", {"clip": 0.3}),
    "lstm-peephole": ("LSTM", {"peephole": True}),
    "lstm-coupled": ("LSTM", {"coupled": True}),
    "lstm-all": (
        "LSTM", {"activations": ("sigmoid", "softplus", "tanh"), "peephole": True, "coupled": True, "clip": 0.5},
    ),
    "lstm-projected": ("LSTM", {"proj_size": 3}),
    "lstm-projected-all": (
        "LSTM", {"proj_size": 2, "activations": ("hard_sigmoid", "tanh", "softsign"), "peephole": True, "clip": 0.5},
    ),
    "lstm-norm": ("LSTM", {"layer_norm": True}),
    "lstm-norm-all": (
        "LSTM", {"layer_norm": True, "activations": ("sigmoid", "softplus", "elu"), "coupled": True, "clip": 0.9},
    ),
    "gru-norm": ("GRU", {"layer_norm": True}),
    "gru-norm-clip": ("GRU", {"layer_norm": True, "clip": 0.6}),
}  # fmt: skip
ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "linear": lambda z: z,
    ("affine", 0.7, 0.2): lambda z: 0.7 * z + 0.2,
    ("affine", -0.7): lambda z: -0.7 * z,
    ("leaky_relu", 0.2): lambda z: np.where(z < 0, 0.2 * z, z),
    "thresholded_relu": lambda z: np.where(z > 1, z, 0),
    ("thresholded_relu", -0.3): lambda z: np.where(z > -0.3, z, 0),
    ("scaled_tanh", 1.7159, 2 / 3): lambda z: 1.7159 * np.tanh(2 / 3 * z),
    ("scaled_tanh", 0): lambda z: 0 * z,
    "hard_sigmoid": lambda z: np.clip(0.2 * z + 0.5, 0, 1),
    ("elu", 0.6): lambda z: np.where(z < 0, 0.6 * (np.exp(np.minimum(z, 0)) - 1), z),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "softplus": lambda z: np.logaddexp(z, 0),
}
every_trait = pytest.mark.parametrize("trait", TRAITS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def layer_of(trait, *sizes, module=fastrnn, **options):
    """A layer whose norms have gains around a half: by the gains errors of rounding grow from step to step."""
    name, fixed = TRAITS[trait]
    layer = getattr(module, name)(*sizes, **{"seed": 0, "init": 0.5, **fixed, **options})
    norms = {name: value for name, value in layer.parameters.items() if "_norm_" in name}
    layer.set_parameters(**{name: 0.5 * value + 0.2 * normal(name, *value.shape) for name, value in norms.items()})
    return layer


def twin_of(layer, trait):
    """The float64 reference layer with the same weights."""
    twin = layer_of(
        trait, layer.input_size, layer.hidden_size, layer.num_layers, bidirectional=layer.bidirectional,
        batch_first=layer.batch_first, bias=layer.bias, dtype="float64", module=reference,
    )  # fmt: skip
    twin.load_state_dict(in_float64(layer.state_dict()))
    return twin


# I, H, N, T, and what else a layer and its call may have
CASES = {
    "plain": ((3, 9, 5, 7), {}, {}),
    "no-bias": ((4, 8, 1, 5), {"bias": False}, {}),
    "wide": ((5, 70, 26, 18), {"init": 0.1}, {}),
    "stacked": ((3, 17, 6, 6), {"num_layers": 2, "bidirectional": True}, {"lengths": [6, 0, 3, 1, 6, 2]}),
    "mask": ((3, 5, 3, 6), {"bidirectional": True, "batch_first": False}, {"mask": "drawn", "resets": "drawn"}),
}


def call_of(layer, N, T, options, dtype):
    """The arguments of `run`: everything that can be given, as the layer takes it."""
    shape = (N, T) if layer.batch_first else (T, N)
    rng = np.random.default_rng(5)
    drawn = {name: rng.random(shape) < 0.7 if isinstance(value, str) else value for name, value in options.items()}
    width = (1 + layer.bidirectional) * (layer.proj_size or layer.hidden_size)
    x, dy = (normal(name, *shape, columns, dtype=dtype) for name, columns in (("x", layer.input_size), ("dy", width)))
    state, dstate = (state_like(layer, N, seed, dtype) for seed in "sd")
    return {"x": x, "state": state, "dy": dy, "dstate": dstate, **drawn}


@every_dtype
@pytest.mark.parametrize("case", CASES)
@every_trait
def test_equals_reference(trait, case, dtype):
    (I, H, N, T), built, called = CASES[case]
    layer = layer_of(trait, I, H, dtype="float32", **built)
    weights = layer.state_dict()
    layer = layer_of(trait, I, H, dtype=dtype, **built)
    layer.load_state_dict(weights)
    expected = run(twin_of(layer, trait), **call_of(layer, N, T, called, "float64"))
    assert_all_close(run(layer, **call_of(layer, N, T, called, dtype)), expected, dtype)
    y, final = layer(*(call_of(layer, N, T, called, dtype)[name] for name in ("x", "state")))
    assert_same_bits((y, final), layer.forward(*(call_of(layer, N, T, called, dtype)[k] for k in ("x", "state")))[:2])


@pytest.mark.parametrize("inputs", ["float", "ids"])
@every_trait
def test_finite_differences(trait, inputs):
    """Every gradient of a ragged bidirectional stack, along random directions."""
    I, H, N, T = 3, 4, 3, 4
    layer = layer_of(trait, I, H, 2, bidirectional=True, dtype="float64")
    lengths, resets = [4, 0, 3], np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]], bool)
    call = call_of(layer, N, T, {"lengths": lengths, "resets": resets}, "float64")
    if inputs == "ids":
        call["x"] = np.random.default_rng(0).integers(0, I, (N, T))
    got, weights = run(layer, **call), layer.state_dict()
    x, state, dy, dstate = (call[name] for name in ("x", "state", "dy", "dstate"))

    def loss():
        layer.load_state_dict(weights)
        y, final = layer(x, state, lengths=lengths, resets=resets)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dstate, strict=True))

    step = 1e-6 if layer.layer_norm else 1e-5  # numbers close to one another are normalised along sharp bends
    if inputs == "float":
        assert_gradient(loss, x, got["dx"], "dx", step)
    for name, part in named(state, "d").items():
        assert_gradient(loss, part, got[name], name, step)
    for name, weight in weights.items():
        assert_gradient(loss, weight, got[name], name, step)


@every_dtype
@every_trait
def test_gates(trait, dtype):
    """The tape shows every gate and state as the reference does."""
    layer = layer_of(trait, 3, 9, 2, bidirectional=True, dtype=dtype)
    call = {"x": normal("x", 5, 7, 3, dtype=dtype), "state": state_like(layer, 5, "s"), "lengths": [7, 0, 3, 1, 6]}
    ours, theirs = (which.forward(**call)[2].gates() for which in (layer, twin_of(layer, trait)))
    for got, expected in zip(ours, theirs, strict=True):
        assert list(got) == list(expected)
        for name, value in got.items():
            assert_close(value, expected[name], 4e-6 if dtype == "float32" else 1e-12, name)
        if layer.coupled:
            active = np.arange(7) < np.array([7, 0, 3, 1, 6])[:, None]
            assert_same_bits(got["f"][active], 1 - got["i"][active])


@every_dtype
@every_trait
def test_bits(trait, dtype):
    """A row's results depend neither on its batch nor on where the sequence is cut, nor gradients on threads."""
    layer = layer_of(trait, 3, 17, 2, dtype=dtype, init=0.3)
    x, state = normal("x", 8, 6, 3, dtype=dtype), state_like(layer, 8, "s")
    y, final = layer(x, state)
    alone = layer(x[3:4], tuple(part[:, 3:4] for part in state) if is_lstm(layer) else state[:, 3:4])[0]
    assert_same_bits(alone, y[3:4])
    stream = layer.stream(8)
    stream.state = state
    assert_same_bits(np.stack([stream.step(x[:, t]) for t in range(6)], axis=1), y)
    assert_same_bits(stream.state, final)
    ids = np.random.default_rng(1).integers(0, 3, (8, 6))
    assert_same_bits(layer(ids), layer(np.eye(3, dtype=dtype)[ids]))


@pytest.mark.parametrize(("H", "N", "T"), [(40, 64, 40), (40, 64, 11), (300, 2, 40)], ids=["slices", "rows", "units"])
@pytest.mark.parametrize("trait", ["lstm-all", "gru-before-clip", "lstm-projected", "lstm-norm", "gru-norm"])
def test_threads(trait, H, N, T):
    layer = layer_of(trait, 20, H, init=0.1)
    x, dy = normal("x", N, T, 20), normal("dy", N, T, layer.proj_size or H)
    before = fastrnn.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            fastrnn.set_num_threads(count)
            results.append(run(layer, x, None, dy))
    finally:
        fastrnn.set_num_threads(before)
    assert_same_bits(results[1], results[0])


@every_trait
def test_saved(trait, tmp_path):
    layer = layer_of(trait, 3, 5, 2)
    fastrnn.save(layer, tmp_path / "layer")
    twin = fastrnn.load(tmp_path / "layer")
    assert twin.get_config() == layer.get_config()
    assert repr(twin) == repr(layer)
    x = normal("x", 2, 4, 3)
    assert_same_bits(twin(x), layer(x))


# Each trait for itself


@every_dtype
@pytest.mark.parametrize(("H", "P"), [(5, 1), (33, 32), (70, 17), (16, 8)])
def test_projection_equals_reference(H, P, dtype):
    """Sizes that fill vectors and panels in part, more steps than one block, dropout between layers."""
    options = {"proj_size": P, "bidirectional": True, "dropout": 0.4, "seed": 2}
    layer = fastrnn.LSTM(7, H, 2, dtype=dtype, init="torch", **options)
    twin = reference.LSTM(7, H, 2, dtype="float64", **options)
    twin.load_state_dict(in_float64(layer.state_dict()))
    x, dy = normal("x", 9, 60, 7, dtype=dtype), normal("dy", 9, 60, 2 * P, dtype=dtype)
    lengths = [60, 0, 7, 60, 59, 1, 30, 60, 60]
    for pad in ("zero", "hold"):
        got, expected = (run(which, x, None, dy, lengths=lengths, pad=pad) for which in (layer, twin))
        assert_all_close(got, expected, dtype)


def test_projection_of_nothing():
    """No rows, no steps: the state passes through, and every gradient is zero."""
    layer = fastrnn.LSTM(3, 5, 2, proj_size=2, seed=0)
    for N, T in ((0, 4), (3, 0)):
        state, dstate = state_like(layer, N, "s"), state_like(layer, N, "d")
        got = run(layer, np.ones((N, T, 3), "float32"), state, np.ones((N, T, 2), "float32"), dstate)
        assert_same_bits((got["h"], got["c"], got["dh"], got["dc"]), (*state, *dstate))
        assert not any(got[name].any() for name in layer.parameters)


def test_projection_watched():
    """dL/dh has the columns of h."""
    layer = fastrnn.LSTM(3, 5, proj_size=2, dtype="float64", seed=0)
    dy = normal("dy", 4, 6, 2, dtype="float64")
    tape = layer.forward(normal("x", 4, 6, 3, dtype="float64"))[2]
    tape.watch()
    layer.backward(tape, dy)
    (seen,) = tape.hidden_gradients()
    assert seen.shape == (4, 6, 2)
    assert_same_bits(seen[:, -1], dy[:, -1])
    assert not np.isclose(seen[:, :-1], dy[:, :-1]).any()


def test_projection_default_values():
    """Orthonormal columns gate by gate, the projection from Glorot's distribution."""
    layer = fastrnn.LSTM(3, 40, proj_size=20, dtype="float64", seed=0)
    for gate in np.split(layer.parameters["weight_hh_l0"], 4):
        assert_close(gate.T @ gate, np.eye(20), 1e-12)
    bound = (6 / 60) ** 0.5
    assert 0.95 * bound < np.abs(layer.parameters["weight_hr_l0"]).max() <= bound


@pytest.mark.parametrize(("kind", "size", "words"), [
    ("LSTM", 5, ["proj_size", "5"]), ("LSTM", -1, ["proj_size", "-1"]), ("GRU", 2, ["proj_size", "LSTM"]),
    ("RNN", 2, ["proj_size", "LSTM"]),
])  # fmt: skip
def test_bad_projection(kind, size, words):
    with pytest.raises(ValueError, match=words[0]) as caught:
        getattr(fastrnn, kind)(3, 5, proj_size=size)
    assert all(word in str(caught.value) for word in words)


@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activation(activation, dtype):
    """The value of an RNN that only passes its input on, and its slope beside finite differences of the formula."""
    layer = fastrnn.RNN(1, 1, nonlinearity=activation, bias=False, dtype=dtype)
    layer.set_parameters(weight_ih_l0=[[1.0]], weight_hh_l0=[[0.0]])
    x = np.concatenate([np.linspace(-30, 30, 797), np.geomspace(1e-6, 100, 99), -np.geomspace(1e-6, 100, 99)])
    x = x.astype("float32").astype(dtype)[:, None, None]
    exact = ACTIVATIONS[activation](x.astype("float64"))
    y, _, tape = layer.forward(x)
    error = np.abs(y - exact) / np.maximum(np.abs(exact), 0.1)
    assert error.max() < 8 * np.finfo(dtype).eps
    dx, _, _ = layer.backward(tape, np.ones_like(y))
    step = 1e-6
    f = ACTIVATIONS[activation]
    wide = x.astype("float64")
    numeric = (f(wide + step) - f(wide - step)) / (2 * step)
    smooth = np.abs(f(wide + step) - 2 * f(wide) + f(wide - step)) < 1e-9
    assert smooth.mean() > 0.9
    assert_close(dx[smooth], numeric[smooth], 2e-6)  # softsign bends at 0


@every_dtype
def test_limits(dtype):
    """Softplus keeps its digits where it is small, elu too; both saturate, and a nan stays one."""
    x = np.array([-np.inf, -80, -20, -0.0, 0.0, 1e-30, 80, np.inf, np.nan], dtype)[:, None, None]
    for name, expected in {
        "softplus": [0, np.exp(-80.0), np.log1p(np.exp(-20.0)), np.log(2), np.log(2), np.log(2), 80, np.inf, np.nan],
        "elu": [-1, np.expm1(-80.0), np.expm1(-20.0), 0, 0, 1e-30, 80, np.inf, np.nan],
        "hard_sigmoid": [0, 0, 0, 0.5, 0.5, 0.5, 1, 1, np.nan],
    }.items():
        layer = fastrnn.RNN(1, 1, nonlinearity=name, bias=False, dtype=dtype)
        layer.set_parameters(weight_ih_l0=[[1.0]], weight_hh_l0=[[0.0]])
        y = layer(x)[0].ravel()
        np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(dtype).eps, err_msg=name)


@every_dtype
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_plain_by_name(kind, dtype):
    """The activations that a cell has anyway, named; and a clip that nothing reaches: the same numbers."""
    x, dy = normal("x", 4, 5, 3, dtype=dtype), normal("dy", 4, 5, 9, dtype=dtype)
    cls = getattr(fastrnn, kind)
    plain = cls(3, 9, seed=0, dtype=dtype)
    given = {"nonlinearity": "tanh"} if kind == "RNN" else {"activations": list(plain.activations)}
    expected = run(plain, x, None, dy)
    assert_same_bits(run(cls(3, 9, seed=0, dtype=dtype, **given), x, None, dy), expected)
    assert_all_close(run(cls(3, 9, seed=0, dtype=dtype, clip=50), x, None, dy), expected, dtype)


def test_coupled_rows_of_the_forget_gate_do_nothing():
    """They stay for the sake of the shapes: nothing reads them, and their gradients are zero."""
    layer = fastrnn.LSTM(3, 5, coupled=True, peephole=True, seed=0, init=0.4)
    x, dy = normal("x", 2, 4, 3), normal("dy", 2, 4, 5)
    expected = run(layer, x, None, dy)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_peephole_l0"):
        assert not expected[name][5:10].any()
        changed = layer.state_dict()[name]
        changed[5:10] = 7
        layer.set_parameters(**{name: changed})
    assert_same_bits(run(layer, x, None, dy), expected)


def test_peepholes_start_from_zero():
    """So a new peephole LSTM is a plain one, and learns them."""
    layer, plain = fastrnn.LSTM(3, 5, 2, peephole=True, seed=0), fastrnn.LSTM(3, 5, 2, seed=0)
    assert [name for name in layer.parameters if name not in plain.parameters] == [
        "weight_peephole_l0", "weight_peephole_l1",
    ]  # fmt: skip
    x, dy = normal("x", 2, 4, 3), normal("dy", 2, 4, 5)
    got, expected = run(layer, x, None, dy), run(plain, x, None, dy)
    assert got["weight_peephole_l0"].shape == (15,)
    assert got["weight_peephole_l0"].all()
    assert_all_close({name: got[name] for name in expected}, expected, "float32")
    drawn = fastrnn.LSTM(3, 5, peephole=True, seed=0, init="torch").parameters["weight_peephole_l0"]
    assert 0 < np.abs(drawn).max() <= 5**-0.5


def test_canonical_form():
    """An activation is given back in its shortest form, which `save` writes and a constructor takes."""
    layer = fastrnn.LSTM(3, 5, activations=[["hard_sigmoid", 0.2, 0.5], ("elu", 0.5), "affine"])
    assert layer.activations == ("hard_sigmoid", ("elu", 0.5), "affine")
    assert fastrnn.RNN(3, 5, nonlinearity=("affine", 2)).nonlinearity == ("affine", 2.0, 0.0)
    for name in ("activations", "clip", "peephole", "coupled"):
        with pytest.raises(AttributeError, match=f"{name} is fixed"):
            setattr(layer, name, None)


@pytest.mark.parametrize("module", [fastrnn, reference], ids=["engine", "reference"])
@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("RNN", {"nonlinearity": "swish"}, ["nonlinearity", "softplus", "swish"]),
        ("RNN", {"nonlinearity": ()}, ["nonlinearity"]),
        ("RNN", {"nonlinearity": ("tanh", 1.0)}, ["nonlinearity", "tanh", "0", "1"]),
        ("RNN", {"nonlinearity": ("elu", "a")}, ["nonlinearity", "finite", "a"]),
        ("RNN", {"nonlinearity": ("elu", float("inf"))}, ["nonlinearity", "finite", "inf"]),
        ("RNN", {"nonlinearity": ("leaky_relu", -0.1)}, ["nonlinearity", "alpha", "-0.1"]),
        ("LSTM", {"activations": ("sigmoid", "tanh")}, ["activations", "3"]),
        ("LSTM", {"activations": "tanh"}, ["activations", "3"]),
        ("GRU", {"activations": ("sigmoid", None)}, ["activations", "None"]),
        ("GRU", {"clip": 0}, ["clip", "0"]),
        ("LSTM", {"clip": float("nan")}, ["clip", "nan"]),
        ("LSTM", {"clip": True}, ["clip", "True"]),
    ],
)
def test_bad_options(kind, options, words, module):
    with pytest.raises(ValueError, match=words[0]) as caught:
        getattr(module, kind)(3, 5, **options)
    assert all(word in str(caught.value) for word in words)
