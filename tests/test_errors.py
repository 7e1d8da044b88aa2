"""Bad input: an error that names the argument, what was expected and what came, and nothing is changed by it."""

import re

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_same_bits, make, normal, run, state_like

import fastrnn

I, H, N, T = 3, 5, 4, 6
X = normal("x", N, T, I)
IDS = np.arange(N * T).reshape(N, T) % I
ONE_OF_EACH = ("lstm", "gru", "gru-before", "rnn-tanh")
every_kind = pytest.mark.parametrize("cell", ONE_OF_EACH)


def layer_of(cell, **options):
    """Two layers with dropout between them, so that a call which failed shows in the next one's masks."""
    return make(cell, I, H, 2, bidirectional=True, dropout=0.5, seed=0, **options)


def with_value(array, index, value, dtype=None):
    changed = array.astype(dtype or array.dtype)
    changed[index] = value
    return changed


# what is wrong: (error, words its message must hold, arguments of the call)
BAD = {
    "x of rank 1": (ValueError, ["x", "(3,)"], {"x": X[0, 0]}),
    "x of rank 4": (ValueError, ["x", "(1, 4, 6, 3)"], {"x": X[None]}),
    "x too wide": (ValueError, ["x", "3", "4"], {"x": np.zeros((N, T, 4), "float32")}),
    "x of width 0": (ValueError, ["x", "3", "0"], {"x": np.zeros((N, T, 0), "float32")}),
    "unbatched x too narrow": (ValueError, ["x", "3", "2"], {"x": np.zeros((T, 2), "float32")}),
    "x of integers with features": (TypeError, ["x", "cast"], {"x": X.astype("int64")}),
    "x bool": (TypeError, ["x", "bool"], {"x": X > 0}),
    "x bool of rank 2": (TypeError, ["x", "bool"], {"x": IDS > 0}),
    "x complex": (TypeError, ["x", "complex"], {"x": X.astype("complex64")}),
    "x object": (TypeError, ["x", "object"], {"x": X.astype(object)}),
    "x of text": (TypeError, ["x"], {"x": X.astype(str)}),
    "x of rows of unequal length": (ValueError, ["x", "list"], {"x": [[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]] * 2]}),
    "x None": (TypeError, ["x"], {"x": None}),
    "x of dates": (TypeError, ["x"], {"x": IDS.astype("datetime64[s]")}),
    "id too large": (ValueError, ["x", "3"], {"x": with_value(IDS, (2, 5), 3)}),
    "id far too large": (ValueError, ["x", str(2**40)], {"x": with_value(IDS, (3, 5), 2**40)}),
    "id unsigned and huge": (ValueError, ["x"], {"x": with_value(IDS, (3, 5), 2**63 + 1, "uint64")}),
    "id far too negative": (ValueError, ["x", str(-(2**40))], {"x": with_value(IDS, (3, 5), -(2**40))}),
    "id negative": (ValueError, ["x", "-1"], {"x": with_value(IDS, (0, 0), -1)}),
    "id out of range, unbatched": (ValueError, ["x", "7"], {"x": np.array([0, 7, 1])}),
    "id out of range in a short row": (
        ValueError, ["x", "5"], {"x": with_value(IDS, (1, 2), 5), "lengths": [6, 3, 0, 1]},
    ),
    "lengths negative": (ValueError, ["lengths", "-1"], {"lengths": [6, -1, 2, 3]}),
    "lengths too long": (ValueError, ["lengths", "6", "7"], {"lengths": [6, 7, 2, 3]}),
    "lengths huge": (ValueError, ["lengths"], {"lengths": [6, 2**40, 2, 3]}),
    "lengths too few": (ValueError, ["lengths", "4", "3"], {"lengths": [6, 5, 2]}),
    "lengths a scalar": (ValueError, ["lengths"], {"lengths": 6}),
    "lengths of rank 2": (ValueError, ["lengths"], {"lengths": [[6, 5, 2, 3]]}),
    "lengths floating": (TypeError, ["lengths", "float64"], {"lengths": [6.0, 5.0, 2.0, 3.0]}),
    "lengths bool": (TypeError, ["lengths", "bool"], {"lengths": [True, False, True, True]}),
    "lengths of text": (TypeError, ["lengths"], {"lengths": ["6", "5", "2", "3"]}),
    "lengths of objects": (TypeError, ["lengths", "object"], {"lengths": [None, 5, 2, 3]}),
    "lengths in rows of unequal length": (ValueError, ["lengths", "list"], {"lengths": [[6, 5], [2]]}),
    "lengths of an unbatched x": (ValueError, ["lengths", "6", "7"], {"x": X[0], "lengths": 7}),
    "mask too short": (ValueError, ["mask", "(4, 6)", "(4, 5)"], {"mask": np.ones((N, T - 1), bool)}),
    "mask transposed": (ValueError, ["mask", "(4, 6)", "(6, 4)"], {"mask": np.ones((T, N), bool)}),
    "mask of rank 1": (ValueError, ["mask"], {"mask": np.ones(N, bool)}),
    "mask of numbers": (TypeError, ["mask", "int64"], {"mask": np.ones((N, T), "int64")}),
    "mask of objects": (TypeError, ["mask", "object"], {"mask": np.ones((N, T), object)}),
    "mask and lengths": (ValueError, ["mask", "lengths"], {"mask": np.ones((N, T), bool), "lengths": [6] * N}),
    "resets too short": (ValueError, ["resets", "(4, 6)", "(4, 5)"], {"resets": np.ones((N, T - 1), bool)}),
    "resets of numbers": (TypeError, ["resets", "float64"], {"resets": np.ones((N, T))}),
    "resets of objects": (TypeError, ["resets", "object"], {"resets": np.ones((N, T), object)}),
    "pad unknown": (ValueError, ["pad", "zero", "hold", "repeat"], {"pad": "repeat"}),
    "state of another batch": ((ValueError, TypeError), ["state"], {"state": "batch"}),
    "state of other units": ((ValueError, TypeError), ["state"], {"state": "units"}),
    "state of too few layers": ((ValueError, TypeError), ["state"], {"state": "layers"}),
    "state without its batch": ((ValueError, TypeError), ["state"], {"state": "unbatched"}),
    "state of complex numbers": (TypeError, ["state", "complex"], {"state": "complex"}),
    "state of booleans": (TypeError, ["state", "bool"], {"state": "bool"}),
    "state of text": (TypeError, ["state"], {"state": "text"}),
    "state of objects": (TypeError, ["state", "object"], {"state": "object"}),
    "state in three parts": ((ValueError, TypeError), ["state"], {"state": "three"}),
    "state of the other form": ((ValueError, TypeError), ["state"], {"state": "form"}),
    "out too short": (ValueError, ["out", "(4, 6, 10)", "(4, 5, 10)"], {"out": np.zeros((N, T - 1, 2 * H), "float32")}),
    "out of the other precision": (
        (TypeError, ValueError), ["out", "float32", "float64"], {"out": np.zeros((N, T, 2 * H))},
    ),
    "out a list": (TypeError, ["out", "list"], {"out": np.zeros((N, T, 2 * H)).tolist()}),
}  # fmt: skip


def bad_state(layer, what):
    """A state, or the gradient of one, that is wrong in the named way."""

    def each(change, N=N):
        state = state_like(layer, N, "s")
        return tuple(map(change, state)) if isinstance(state, tuple) else change(state)

    good = state_like(layer, N, "s")
    return {
        "batch": lambda: each(lambda part: part, N + 1),
        "units": lambda: each(lambda part: part[:, :, 1:]),
        "layers": lambda: each(lambda part: part[1:]),
        "unbatched": lambda: each(lambda part: part[:, 0]),
        "complex": lambda: each(lambda part: part.astype("complex64")),
        "object": lambda: each(lambda part: part.astype(object)),
        "bool": lambda: each(lambda part: part > 0),
        "text": lambda: each(lambda part: part.astype(str)),
        "three": lambda: (good,) * 3 if not isinstance(good, tuple) else (*good, good[0]),
        "form": lambda: good[0] if isinstance(good, tuple) else (good, good),
    }[what]()  # fmt: skip


def expect(error, words, call, *arguments, **options):
    """The call raises the error, and its message holds every word."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    for word in words:
        assert re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}", str(caught.value)), f"no {word!r} in: {caught.value}"


def arrays_in(arguments):
    flat = [part for value in arguments.values() for part in (value if isinstance(value, tuple) else (value,))]
    return [value for value in flat if isinstance(value, np.ndarray)]


@every_kind
@pytest.mark.parametrize("what", BAD)
def test_bad_call(what, cell):
    error, words, arguments = BAD[what]
    layer, untouched = layer_of(cell), layer_of(cell)
    if isinstance(arguments.get("state"), str):
        arguments = {"state": bad_state(layer, arguments["state"])}
    arguments = {"x": X, **arguments}
    before = [array.copy() for array in arrays_in(arguments)]
    expect(error, words, layer, **arguments)
    expect(error, words, layer.forward, **arguments)
    for array, copy in zip(arrays_in(arguments), before, strict=True):
        assert array.dtype == object or np.array_equal(array, copy)
    assert_same_bits(layer.state_dict(), untouched.state_dict())
    assert_same_bits(run(layer, X), run(untouched, X))


@every_kind
def test_bad_call_leaves_out_alone(cell):
    """Whatever is found wrong is found before the first number is written."""
    layer = layer_of(cell)
    for arguments in (
        {"x": with_value(IDS, (N - 1, T - 1), I)}, {"x": X, "lengths": [6, 6, 6, 7]}, {"x": X, "pad": "none"},
        {"x": X, "resets": np.ones((N, 1), bool)}, {"x": X, "state": bad_state(layer, "units")},
    ):  # fmt: skip
        out = normal("out", N, T, 2 * H)
        before = out.copy()
        expect((ValueError, TypeError), [], layer, **arguments, out=out)
        assert_same_bits(out, before)


@pytest.mark.parametrize("half", [0, 1])
def test_half_a_pair(half):
    """An LSTM's state is a pair; half of one is no state."""
    layer = layer_of("lstm")
    pair = [None, None]
    pair[half] = state_like(layer, N, "s")[half]
    expect((ValueError, TypeError), ["state"], layer, X, tuple(pair))
    expect((ValueError, TypeError), ["state"], layer, X, tuple(pair[half : half + 1]))


@every_kind
def test_out_is_not_read_only(cell):
    out = np.zeros((N, T, 2 * H), "float32")
    out.flags.writeable = False
    expect(ValueError, ["out"], layer_of(cell), X, out=out)


@every_kind
def test_out_is_no_input(cell):
    """Filling `out` would modify an input that shares its memory: refused."""
    layer = make(cell, H, H, seed=0)
    memory = normal("memory", N + 1, T, H)
    before = memory.copy()
    expect(ValueError, ["out"], layer, memory[:N], out=memory[:N])
    expect(ValueError, ["out"], layer, memory[:N], out=memory[1:])
    state = memory[:1, :N]
    expect(ValueError, ["out"], layer, X[..., [0] * H], (state, state) if cell == "lstm" else state, out=memory[:N])
    assert_same_bits(memory, before)


BAD_GRADIENTS = {
    "dy of another batch": (
        ValueError, ["dy", "(4, 6, 10)", "(3, 6, 10)"], {"dy": np.zeros((N - 1, T, 2 * H), "float32")},
    ),
    "dy of one direction": (ValueError, ["dy", "(4, 6, 10)", "(4, 6, 5)"], {"dy": np.zeros((N, T, H), "float32")}),
    "dy of rank 2": (ValueError, ["dy"], {"dy": np.zeros((T, 2 * H), "float32")}),
    "dy complex": (TypeError, ["dy", "complex"], {"dy": np.zeros((N, T, 2 * H), complex)}),
    "dy bool": (TypeError, ["dy", "bool"], {"dy": np.zeros((N, T, 2 * H), bool)}),
    "dy of text": (TypeError, ["dy"], {"dy": np.zeros((N, T, 2 * H)).astype(str)}),
    "dy in rows of unequal length": (ValueError, ["dy", "list"], {"dy": [[0.0], [0.0, 1.0]]}),
    "dy of objects": (TypeError, ["dy", "object"], {"dy": np.zeros((N, T, 2 * H), object)}),
    "dstate of another batch": ((ValueError, TypeError), ["dstate"], {"dstate": "batch"}),
    "dstate of other units": ((ValueError, TypeError), ["dstate"], {"dstate": "units"}),
    "dstate of too few layers": ((ValueError, TypeError), ["dstate"], {"dstate": "layers"}),
    "dstate of complex numbers": (TypeError, ["dstate", "complex"], {"dstate": "complex"}),
    "dstate of objects": (TypeError, ["dstate", "object"], {"dstate": "object"}),
    "dstate of text": (TypeError, ["dstate"], {"dstate": "text"}),
    "dstate in three parts": ((ValueError, TypeError), ["dstate"], {"dstate": "three"}),
    "dstate of the other form": ((ValueError, TypeError), ["dstate"], {"dstate": "form"}),
}  # fmt: skip


@every_kind
@pytest.mark.parametrize("what", BAD_GRADIENTS)
def test_bad_gradient(what, cell):
    """The tape survives: the right gradient may follow."""
    error, words, arguments = BAD_GRADIENTS[what]
    layer = layer_of(cell)
    if isinstance(arguments.get("dstate"), str):
        arguments = {"dstate": bad_state(layer, arguments["dstate"])}
    dy = normal("dy", N, T, 2 * H)
    expected = run(layer_of(cell), X, None, dy)
    y, _, tape = layer.forward(X)
    expect(error, words, layer.backward, tape, **arguments)
    dx, _, grads = layer.backward(tape, dy)
    got = {"y": y, "dx": dx, **grads}
    assert_same_bits(got, {name: expected[name] for name in got})


@every_kind
def test_spent_tape(cell):
    layer = layer_of(cell)
    tape = layer.forward(X)[2]
    layer.backward(tape)
    expect(ValueError, ["tape", "spent"], layer.backward, tape)


@every_kind
def test_tape_of_another_layer(cell):
    """Even of one with the same options and weights; and it is still good for its own."""
    layer, other = layer_of(cell), layer_of(cell)
    tape = layer.forward(X)[2]
    expect(ValueError, ["tape", "layer"], other.backward, tape)
    layer.backward(tape)
    expect(TypeError, ["tape", "None"], layer.backward, None)
    expect(TypeError, ["tape"], layer.backward, X)


@every_kind
@pytest.mark.parametrize("change", ["load_state_dict", "set_parameters", "optimizer"])
def test_tape_of_older_parameters(change, cell):
    layer = layer_of(cell)
    tape = layer.forward(X)[2]
    if change == "load_state_dict":
        layer.load_state_dict(layer.state_dict())
    elif change == "set_parameters":
        layer.set_parameters(bias_hh_l1=np.zeros_like(layer.parameters["bias_hh_l1"]))
    else:
        later = layer.forward(X)[2]
        fastrnn.optim.SGD(layer, lr=0.1).step(layer.backward(later)[2])
    expect(ValueError, ["tape", "parameters"], layer.backward, tape)


BAD_OPTIONS = {
    "input_size": [0, -1, 2.5, "3", None],
    "hidden_size": [0, -1, 2.5, "3", None],
    "num_layers": [0, -1, 1.5, None],
    "dropout": [-0.1, 1.1, float("nan"), "half", None],
    "proj_size": [5, 6, -1, 1.5],
    "dtype": ["float16", "int32", "single precision", "complex64"],
    "seed": [-1, 2**64, 1.5, "seed"],
    "init": ["xavier", -0.1, float("nan"), float("inf"), True],
}


@pytest.mark.parametrize("dtype", DTYPES)
@every_kind
@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_option(name, cell, dtype):
    for value in BAD_OPTIONS[name]:
        options = {"input_size": I, "hidden_size": H, "dtype": dtype, name: value}
        class_name, fixed = CELLS[cell]
        expect((ValueError, TypeError), [name], getattr(fastrnn, class_name), **options, **fixed)


def test_bad_nonlinearity():
    expect(ValueError, ["nonlinearity", "swish", "relu"], fastrnn.RNN, I, H, nonlinearity="swish")
    expect((ValueError, TypeError), ["nonlinearity"], fastrnn.RNN, I, H, nonlinearity=None)


@every_kind
def test_unknown_options(cell):
    expect(TypeError, ["hidden"], make, cell, I, H, hidden=3)
    expect(TypeError, ["length"], layer_of(cell), X, length=[6] * N)
