"""Variational dropout and zoneout: beside the reference, by finite differences with the masks held, and bit for bit."""

import copy
import pickle

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

CELLS = {
    "rnn": ("RNN", {}),
    "rnn-softplus": ("RNN", {"nonlinearity": "softplus"}),
    "gru": ("GRU", {}),
    "gru-before": ("GRU", {"reset_after": False}),
    "lstm": ("LSTM", {}),
    "lstm-all": ("LSTM", {"peephole": True, "coupled": True, "activations": ("sigmoid", "elu", "softsign")}),
    "lstm-projected": ("LSTM", {"proj_size": 5, "peephole": True}),
}
DRAWN = {
    "input": {"input_dropout": 0.3},
    "recurrent": {"recurrent_dropout": 0.4},
    "zoneout": {"zoneout": 0.3},
    "all": {"input_dropout": 0.2, "recurrent_dropout": 0.3, "zoneout": 0.25, "dropout": 0.2, "weight_dropout": 0.1},
}
PAIRS = {"c": {"zoneout": (0.4, 0)}, "h": {"zoneout": [0.0, 0.4]}, "both": {"zoneout": (0.6, 0.1)}}
every_cell = pytest.mark.parametrize("cell", CELLS)
every_drawn = pytest.mark.parametrize("drawn", DRAWN)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def layer_of(cell, *sizes, module=fastrnn, **options):
    name, fixed = CELLS[cell]
    return getattr(module, name)(*sizes, **{"seed": 0, "init": 0.3, **fixed, **options})


def pair_of(cell, *sizes, dtype, **options):
    """A layer, and the float64 reference layer with the same weights."""
    layer = layer_of(cell, *sizes, dtype=dtype, **options)
    twin = layer_of(cell, *sizes, dtype="float64", module=reference, **options)
    twin.load_state_dict(in_float64(layer.state_dict()))
    return layer, twin


def call_of(layer, N, T, dtype, inputs="float", **rows):
    width = (1 + layer.bidirectional) * (layer.proj_size or layer.hidden_size)
    x = normal("x", N, T, layer.input_size, dtype=dtype)
    if inputs == "ids":
        x = np.random.default_rng(0).integers(0, layer.input_size, (N, T))
    state, dstate = (state_like(layer, N, seed, dtype) for seed in "sd")
    return {"x": x, "state": state, "dy": normal("dy", N, T, width, dtype=dtype), "dstate": dstate, **rows}


def ragged(N, T):
    """A mask with holes, and restarts."""
    rng = np.random.default_rng(5)
    return {"mask": rng.random((N, T)) < 0.7, "resets": rng.random((N, T)) < 0.2}


@every_dtype
@pytest.mark.parametrize("inputs", ["float", "ids"])
@every_drawn
@every_cell
def test_equals_reference(cell, drawn, inputs, dtype):
    """Several panels and blocks, two layers in both directions, holes and restarts; two calls, each with its masks."""
    N, T = 40, 12
    layer, twin = pair_of(cell, 19, 19, 2, bidirectional=True, dtype=dtype, **DRAWN[drawn])
    for rows in (ragged(N, T), {}):
        calls = (call_of(layer, N, T, kind, inputs, **rows) for kind in (dtype, "float64"))
        results = [run(which, **call) for which, call in zip((layer, twin), calls, strict=True)]
        assert_all_close(*results, dtype)
    calls = [call_of(layer, N, T, kind, inputs, **ragged(N, T)) for kind in (dtype, "float64")]
    for call in calls:
        del call["dy"], call["dstate"]
    (y, final), (expected_y, expected) = (which(**call) for which, call in zip((layer, twin), calls, strict=True))
    assert_all_close({"y": y, **named(final, "")}, {"y": expected_y, **named(expected, "")}, dtype)


@every_drawn
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_normalised_cells(name, drawn):
    """In float64 alone: a norm makes much of rounding errors where its input varies little."""
    options = {"layer_norm": True, "bidirectional": True, "seed": 0, "init": 0.3, "dtype": "float64", **DRAWN[drawn]}
    pair = [getattr(module, name)(19, 19, 2, **options) for module in (fastrnn, reference)]
    results = [run(which, **call_of(which, 40, 12, "float64", **ragged(40, 12))) for which in pair]
    assert_all_close(*results, "float64")


@every_dtype
@pytest.mark.parametrize("name", ["MinGRU", "MinLSTM"])
def test_cells_without_recurrent_weights(name, dtype):
    """Their input can be masked; a state that no weights read can not."""
    options = {"input_dropout": 0.3, "seed": 0, "init": 0.3}
    layer, twin = (getattr(module, name)(5, 19, 2, dtype=dtype, **options) for module in (fastrnn, reference))
    calls = [call_of(which, 7, 6, dtype, **ragged(7, 6)) for which in (layer, twin)]
    assert_all_close(*(run(which, **call) for which, call in zip((layer, twin), calls, strict=True)), dtype)
    with pytest.raises(ValueError, match=f"recurrent_dropout must be 0, got 0.3: a {name} has no recurrent weights"):
        getattr(fastrnn, name)(5, 19, recurrent_dropout=0.3)
    with pytest.raises(TypeError, match="zoneout"):
        getattr(fastrnn, name)(5, 19, zoneout=0.3)


@every_dtype
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("cell", ["lstm", "lstm-all", "lstm-projected"])
def test_zoneout_of_each_state(cell, pair, dtype):
    layer, twin = pair_of(cell, 3, 17, 2, dtype=dtype, **PAIRS[pair])
    results = [run(which, **call_of(layer, 4, 9, kind)) for which, kind in ((layer, dtype), (twin, "float64"))]
    assert_all_close(*results, dtype)
    x = normal("x", 4, 9, 3, dtype=dtype)
    assert_all_close({"y": layer(x)[0]}, {"y": twin(x)[0]}, dtype)


@pytest.mark.parametrize("inputs", ["float", "ids"])
@every_cell
def test_finite_differences(cell, inputs):
    """Every gradient of a ragged bidirectional stack, the masks held by the number of the call."""
    N, T = 3, 5
    options = {"input_dropout": 0.2, "recurrent_dropout": 0.3, "zoneout": 0.3}
    layer = layer_of(cell, 3, 6, 2, bidirectional=True, dtype="float64", **options)
    rows = {"lengths": [5, 0, 4], "resets": np.arange(15).reshape(3, 5) % 4 == 2}
    call = call_of(layer, N, T, "float64", inputs, **rows)
    got, weights = run(layer, **call), layer.state_dict()
    x, state, dy, dstate = (call[name] for name in ("x", "state", "dy", "dstate"))

    def loss():
        layer.load_state_dict(weights)
        layer.forward_count = 0
        y, final, _ = layer.forward(x, state, **rows)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dstate, strict=True))

    if inputs == "float":
        assert_gradient(loss, x, got["dx"], "dx")
    for name, part in named(state, "d").items():
        assert_gradient(loss, part, got[name], name)
    for name, weight in weights.items():
        assert_gradient(loss, weight, got[name], name)


@every_drawn
@every_cell
def test_bits(cell, drawn):
    """A row's bits depend neither on its batch, nor on threads, nor in inference on where a sequence is cut."""
    layer = layer_of(cell, 3, 17, 2, **DRAWN[drawn])
    call = call_of(layer, 24, 6, "float32")
    expected = run(layer, **call)
    layer.forward_count = 0
    rows = slice(0, 5)  # the first, whose masks are the same in a smaller batch
    state = tuple(part[:, rows] for part in call["state"]) if is_lstm(layer) else call["state"][:, rows]
    assert_same_bits(layer.forward(call["x"][rows], state)[0], expected["y"][rows])
    before = fastrnn.get_num_threads()
    try:
        fastrnn.set_num_threads(2)
        layer.forward_count = 0
        assert_same_bits(run(layer, **call), expected)
    finally:
        fastrnn.set_num_threads(before)
    y, final = layer(call["x"])
    stream, pool = layer.stream(24), layer.stream_pool()
    assert_same_bits(np.stack([stream.step(call["x"][:, t]) for t in range(6)], axis=1), y)
    assert_same_bits(stream.state, final)
    sessions = [pool.open() for _ in range(24)]
    assert_same_bits(np.stack([pool.step(sessions, call["x"][:, t]) for t in range(6)], axis=1), y)
    halves, state = [], None
    for half in (call["x"][:, :2], call["x"][:, 2:]):
        outputs, state = layer(half, state)
        halves.append(outputs)
    assert_same_bits(np.concatenate(halves, axis=1), y)


@pytest.mark.parametrize(("H", "N", "T"), [(40, 64, 40), (40, 64, 11), (300, 2, 40)], ids=["slices", "rows", "units"])
@pytest.mark.parametrize("cell", ["rnn", "gru-before", "lstm-all", "lstm-projected"])
def test_threads(cell, H, N, T):
    layer = layer_of(cell, 20, H, init=0.1, **{**DRAWN["all"], "dropout": 0})
    call, before, results = call_of(layer, N, T, "float32"), fastrnn.get_num_threads(), []
    try:
        for count in (1, 2):
            fastrnn.set_num_threads(count)
            layer.forward_count = 0
            results.append(run(layer, **call))
    finally:
        fastrnn.set_num_threads(before)
    assert_same_bits(results[1], results[0])


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("inputs", ["float", "ids"])
@every_cell
def test_checkpoints(cell, inputs, directions):
    """Segments that are run again draw the same masks; gates are those of the plain tape."""
    N, T = 40, 20
    layer = layer_of(cell, 5, 9, 2, bidirectional=directions == 2, **DRAWN["all"])
    call = call_of(layer, N, T, "float32", inputs, **ragged(N, T))
    dy, dstate = call.pop("dy"), call.pop("dstate")
    results = []
    for options in ({}, {"checkpoint": "sqrt"}):
        layer.forward_count = 0
        y, final, tape = layer.forward(**call, **options)
        gates = [part for direction in tape.gates() for part in direction.values()]
        results.append([y, final, gates, *layer.backward(tape, dy, dstate)])
    for got, expected in zip(*results, strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            assert_same_bits(got, expected)


@pytest.mark.parametrize("directions", [1, 2])
@every_cell
def test_bfloat16(cell, directions):
    """The gradients of the reference, which rounds what is kept; but for r h' of the reset before, rounded once."""
    N, T = 40, 24
    layer, twin = pair_of(cell, 5, 9, 2, bidirectional=directions == 2, dtype="float64", **DRAWN["all"])
    results = []
    for which in (layer, twin):
        call = call_of(layer, N, T, "float64", **ragged(N, T))
        results.append(run(which, **call, tape_dtype="bfloat16"))
    for name, expected in results[1].items():
        loose = cell == "gru-before" and name.startswith("weight_hh")
        assert_close(results[0][name], expected, 0.02 if loose else 1e-12, name)


@every_cell
def test_expectation(cell):
    """In inference a state is p times the old one and 1 - p times what the plain cell gives."""
    zoneout = (0.3, 0.2) if cell.startswith("lstm") else 0.2
    layer, plain = layer_of(cell, 6, 17, zoneout=zoneout), layer_of(cell, 6, 17)
    x, state = normal("x", 3, 1, 6), state_like(layer, 3, "s")
    got, new = (named(which(x, state)[1], "") for which in (layer, plain))
    for name, old in named(state, "").items():
        p = {"c": 0.3, "h": 0.2}[name]
        assert_close(got[name], p * old + (1 - p) * new[name], 2e-6)


@every_cell
def test_replayed_by_its_masks(cell):
    """Input dropout is a plain layer on masked input; zoneout holds the units that the tape shows."""
    layer, plain = layer_of(cell, 6, 17, input_dropout=0.4), layer_of(cell, 6, 17)
    x = normal("x", 3, 7, 6)
    for _ in range(2):
        y, final, tape = layer.forward(x)
        (mask,) = tape.input_masks()
        assert mask.shape == (3, 6)
        assert_same_bits(plain(x * mask[:, None]), (y, final))
    layer = layer_of(cell, 6, 17, zoneout=0.3)
    y, final, tape = layer.forward(x)
    (masks,), (gates,) = tape.zoneout_masks(), tape.gates()
    assert sorted(masks) == (["c", "h"] if is_lstm(layer) else ["h"])
    for name, held in masks.items():
        assert held.dtype == bool
        states = np.concatenate([np.zeros_like(gates[name][:, :1]), gates[name]], axis=1)
        stays = states[:, 1:] == states[:, :-1]
        assert_same_bits(stays, held)


def test_masks_are_drawn():
    """At their rates, other ones in every layer, direction and call, and of each kind."""
    options = {"input_dropout": 0.3, "recurrent_dropout": 0.4, "zoneout": (0.1, 0.2)}
    layer = fastrnn.LSTM(50, 50, 2, bidirectional=True, seed=0, **options)
    shown = []
    for _ in range(2):
        tape = layer.forward(normal("x", 40, 9, 50))[2]
        kinds = tape.input_masks(), tape.recurrent_masks(), tape.zoneout_masks()
        assert [len(kind) for kind in kinds] == [4, 4, 4]
        assert [mask.shape for mask in kinds[0]] == [(40, 50)] * 2 + [(40, 100)] * 2
        assert [mask.shape for mask in kinds[1]] == [(40, 50)] * 4
        for masks, p in zip(kinds[:2], (0.3, 0.4), strict=True):
            scale = np.float32(1) / (np.float32(1) - np.float32(p))
            assert all(set(np.unique(mask)) == {0, scale} for mask in masks)
        flat = [mask[:, :50] == 0 for masks in kinds[:2] for mask in masks]
        flat += [masks[name][:, 0] for masks in kinds[2] for name in "ch"]
        for mask, p in zip(flat, [0.3] * 4 + [0.4] * 4 + [0.1, 0.2] * 4, strict=True):
            assert abs(mask.mean() - p) < 5 * (p * (1 - p) / mask.size) ** 0.5
        assert not np.array_equal(kinds[2][0]["h"][:, 0], kinds[2][0]["h"][:, 1])  # zoneout draws at every step
        shown += flat
    for k, mask in enumerate(shown):
        assert all(abs(np.corrcoef(mask.ravel(), other.ravel())[0, 1]) < 0.12 for other in shown[:k])


@every_cell
def test_ids_are_their_one_hot_rows(cell):
    """A row's mask drops whole symbols; with sparse gradients too, of symbols some of which nothing reads."""
    layer = layer_of(cell, 40, 17, 2, **DRAWN["all"])
    call = call_of(layer, 5, 6, "float32", "ids")
    expected = run(layer, **{**call, "x": np.eye(40, dtype="float32")[call["x"]]})
    for sparse in (False, True):
        layer.forward_count, layer.sparse_grad = 0, sparse
        got = run(layer, **call)
        if sparse:
            got["weight_ih_l0"] = got["weight_ih_l0"].to_dense()
        assert got["dx"] is None
        for name in expected.keys() - {"dx"}:
            assert_same_bits(got[name] + 0, expected[name] + 0, name)


@every_cell
def test_in_forward_alone(cell):
    """Inference and streams drop nothing, without the options there are no masks, a spent tape shows none."""
    x, options = normal("x", 3, 4, 5), {"input_dropout": 0.5, "recurrent_dropout": 0.5}
    layer, plain = layer_of(cell, 5, 17, **options), layer_of(cell, 5, 17)
    assert_same_bits(layer(x), plain(x))
    tape = plain.forward(x)[2]
    assert tape.input_masks() == tape.recurrent_masks() == tape.zoneout_masks() == []
    y, _, tape = layer.forward(x)
    assert tape.zoneout_masks() == []
    assert not np.array_equal(y, plain(x)[0])
    layer.backward(tape, y)
    for show in (tape.input_masks, tape.recurrent_masks, tape.zoneout_masks):
        with pytest.raises(ValueError, match="spent"):
            show()
    layer.input_dropout = layer.recurrent_dropout = 0
    assert_same_bits(layer.forward(x)[:2], plain(x))


@every_cell
def test_limits(cell):
    """Where everything stays the state does, in training and in inference, and its gradient comes back whole."""
    layer = layer_of(cell, 5, 17, zoneout=1, dtype="float64")
    call = call_of(layer, 3, 4, "float64")
    got = run(layer, **call)
    for name, part in named(call["state"], "").items():
        assert_same_bits(got[name], part)
    for name, part in named(call["dstate"], "d").items():
        assert_close(got[name], part + (call["dy"].sum(axis=1) if name == "dh" else 0), 1e-15)
    assert not any(got[name].any() for name in layer.parameters)
    assert_same_bits(layer(call["x"], call["state"])[1], call["state"])
    deaf = layer_of(cell, 5, 17, input_dropout=1, dtype="float64")
    assert_same_bits(deaf.forward(call["x"], call["state"])[0], deaf(0 * call["x"], call["state"])[0])


@every_cell
def test_hidden_gradients(cell):
    """All that reaches h, whether or not it stayed."""
    layer, twin = pair_of(cell, 3, 9, dtype="float64", **{**DRAWN["all"], "dropout": 0})
    seen = []
    for which in (layer, twin):
        _, _, tape = which.forward(normal("x", 4, 6, 3, dtype="float64"))
        tape.watch()
        which.backward(tape, normal("dy", 4, 6, layer.proj_size or 9, dtype="float64"))
        seen.append(tape.hidden_gradients()[0])
    assert_close(*seen, 1e-12)


@pytest.mark.parametrize("zoneout", [0.3, (0.1, 0.4)])
def test_saved(zoneout, tmp_path):
    """Files, pickles and copies carry the options and the number of the next call."""
    layer = fastrnn.LSTM(3, 9, zoneout=zoneout, input_dropout=0.2, recurrent_dropout=0.1)
    x = normal("x", 2, 4, 3)
    layer.forward(x)
    fastrnn.save(layer, tmp_path / "layer")
    twins = [fastrnn.load(tmp_path / "layer"), pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)]
    expected = layer.forward(x)
    for twin in twins:
        assert repr(twin) == repr(layer)
        assert_same_bits(twin.forward(x)[:2], expected[:2])


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn"])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_quantized(cell, precision):
    """Inference in low precision goes by the expectation of zoneout too."""
    layer, twin = pair_of(cell, 16, 32, dtype="float32", zoneout=0.3)
    x = normal("x", 4, 9, 16)
    got, expected = layer.quantize(precision)(x)[0], twin.quantize(precision)(x.astype("float64"))[0]
    assert_close(got, expected, 1e-5 if precision == "bfloat16" else 0.05)
    assert np.abs(layer_of(cell, 16, 32)(x)[0] - got).max() > 0.1


@pytest.mark.parametrize("module", [fastrnn, reference], ids=["engine", "reference"])
def test_options(module):
    """Each is checked; the layer keeps zoneout, which streams go by, and lets the others be changed."""
    for name in ("input_dropout", "recurrent_dropout", "zoneout"):
        for value in (-0.1, 1.1, float("nan"), "half", None, True):
            for kind in ("RNN", "LSTM", "GRU"):
                with pytest.raises(ValueError, match=f"{name} must be a number from 0 to 1"):
                    getattr(module, kind)(3, 5, **{name: value})
    with pytest.raises(ValueError, match="zoneout must be a number from 0 to 1"):
        module.GRU(3, 5, zoneout=(0.1, 0.2))
    with pytest.raises(ValueError, match="zoneout of an LSTM must be a number, or one of c and one of h"):
        module.LSTM(3, 5, zoneout=(0.1, 0.2, 0.3))
    assert module.LSTM(3, 5, zoneout=[0.1, 0.1]).zoneout == 0.1
    with pytest.raises(AttributeError, match="zoneout"):
        module.LSTM(3, 5).zoneout = 0.5
