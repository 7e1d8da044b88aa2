"""Calls in which nothing has to be asked take a way of their own: the same bits, shapes and errors as all others."""

from itertools import product

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_same_bits, is_lstm, make, normal, state_like

I, H, N, T = 3, 5, 4, 6
X = normal("x", N, T, I)


def layer_of(cell, **options):
    return make(cell, I, H, 2, **{"bidirectional": True, "seed": 0, **options})


@pytest.fixture(params=product(CELLS, [True, False], DTYPES), ids=lambda case: "-".join(map(str, case)))
def layer(request):
    cell, batch_first, dtype = request.param
    return layer_of(cell, batch_first=batch_first, dtype=dtype)


def x_of(layer) -> np.ndarray:
    return np.ascontiguousarray(X.astype(layer.dtype) if layer.batch_first else X.astype(layer.dtype).swapaxes(0, 1))


def parts(state) -> tuple:
    return state if isinstance(state, tuple) else (state,)


def test_x_alone(layer):
    x = x_of(layer)
    (y, state), (other_y, other_state) = layer(x), layer(x, pad="hold")
    assert_same_bits(y, other_y)
    assert y.flags.c_contiguous
    assert y.dtype == layer.dtype
    assert type(state) is type(other_state)
    assert_same_bits(parts(state), parts(other_state))
    apart = np.repeat(x, 2, axis=1)[:, ::2]
    for other in (np.asfortranarray(x), apart, x.tolist(), x.astype(x.dtype.newbyteorder())):
        assert_same_bits(layer(other)[0], y)
    for wrong in (x[..., :2], x[0, 0], x[None]):
        with pytest.raises(ValueError, match="x must have the shape"):
            layer(np.ascontiguousarray(wrong))
    assert layer(x[:0])[0].shape == (0, *y.shape[1:])
    assert layer(np.ascontiguousarray(x[:, :0]))[0].shape == (len(x), 0, y.shape[2])


def test_a_state(layer):
    x, state = x_of(layer), state_like(layer, N, "state")
    (y, final), (other_y, other_final) = layer(x, state), layer(x, state, pad="hold")
    assert_same_bits(y, other_y)
    assert type(final) is type(other_final)
    assert_same_bits(parts(final), parts(other_final))
    assert_same_bits(parts(state), parts(state_like(layer, N, "state")))

    def like(change) -> object:
        return tuple(map(change, state)) if is_lstm(layer) else change(state)

    def every_other(part: np.ndarray) -> np.ndarray:
        return np.repeat(part, 2, axis=0)[::2]

    for other in (like(np.asfortranarray), like(np.ndarray.tolist), like(every_other)):
        assert_same_bits(layer(x, other)[0], y)
    for axis in range(3):
        for k in range(len(parts(state))):
            wrong = list(parts(state))
            wrong[k] = np.delete(wrong[k], 0, axis)
            with pytest.raises(ValueError, match=r"state.* must have the shape"):
                layer(x, tuple(wrong) if is_lstm(layer) else wrong[0])


def test_out(layer):
    x, state = x_of(layer), state_like(layer, N, "state")
    y, _ = layer(x, state)
    out = np.full_like(y, 7)
    assert layer(x, state, out=out)[0] is out
    assert_same_bits(out, y)
    wide = np.full((*y.shape[:2], 2 * y.shape[2]), 7, layer.dtype)
    layer(x, state, out=wide[..., ::2])
    assert_same_bits(wide[..., ::2], y)
    assert (wide[..., 1::2] == 7).all()
    with pytest.raises(ValueError, match="out must have the shape"):
        layer(x, state, out=out[:, 1:].copy())
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writable"):
        layer(x, state, out=out)


@pytest.mark.parametrize("what", ["x", "h", "c"])
def test_out_in_the_memory_of_an_input(what):
    """From its first byte or its last."""
    layer = make("lstm", H, H, seed=0)
    memory = normal("memory", 3 * N * H)
    for first in (0, N * H - 1, 2 * N * H - 1):
        given = {"x": normal("x", N, 1, H), "h": normal("h", 1, N, H), "c": normal("c", 1, N, H)}
        given[what] = memory[N * H - 1 : 2 * N * H - 1].reshape(given[what].shape)
        out = memory[first : first + N * H].reshape(N, 1, H)
        if first == 2 * N * H - 1:  # behind it
            layer(given["x"], (given["h"], given["c"]), out=out)
            continue
        with pytest.raises(ValueError, match="share memory"):
            layer(given["x"], (given["h"], given["c"]), out=out)


@pytest.mark.parametrize("with_state", [False, True])
def test_training(layer, with_state):
    """The tape keeps the initial state as it was."""
    x, state = x_of(layer), state_like(layer, N, "state") if with_state else None
    dy = normal("dy", *x.shape[:2], 2 * H, dtype=layer.dtype.name)
    expected = layer.forward(x, state, pad="hold")
    y, final, tape = layer.forward(x, state)
    assert_same_bits(y, expected[0])
    assert_same_bits(parts(final), parts(expected[1]))
    for part in parts(state) if with_state else ():
        part.fill(7)
    (dx, dstate, grads), (other_dx, other_dstate, other_grads) = (
        layer.backward(tape, dy), layer.backward(expected[2], dy),
    )  # fmt: skip
    assert_same_bits(dx, other_dx)
    assert_same_bits(parts(dstate), parts(other_dstate))
    assert_same_bits(tuple(grads.values()), tuple(other_grads.values()))
    assert layer.forward_count == 2


@pytest.mark.parametrize("checkpoint", [None, "sqrt"])
@pytest.mark.parametrize("pad", ["zero", "hold"])
def test_an_input_whose_shape_is_set_afterwards(checkpoint, pad):
    """The tape reads it as it lay: never as ids."""
    layer = layer_of("lstm", batch_first=False)
    x, dy = np.zeros((T, N, I), "float32"), normal("dy", T, N, 2 * H)
    expected = layer.backward(layer.forward(x)[2], dy)
    tape = layer.forward(x, checkpoint=checkpoint, pad=pad)[2]
    x.resize((T * N, I), refcheck=False)
    dx, _, grads = layer.backward(tape, dy)
    assert_same_bits(dx, expected[0])
    assert_same_bits(tuple(grads.values()), tuple(expected[2].values()))


@pytest.mark.parametrize("option", ["dropout", "weight_dropout", "input_dropout", "recurrent_dropout", "zoneout"])
def test_what_is_drawn_is_asked_for(option):
    layer, plain = (layer_of("lstm", **options) for options in ({option: 0.5}, {}))
    assert_same_bits(layer(X)[0], plain(X)[0]) if option != "zoneout" else None
    assert not np.array_equal(layer.forward(X)[0], plain.forward(X)[0])
