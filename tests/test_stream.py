"""Streams: one step at a time, the same bits as a call over the whole sequence."""

import copy
import gc
import pickle

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_close, assert_same_bits, is_lstm, make, normal, state_like

import fastrnn
from fastrnn import reference

every_cell = pytest.mark.parametrize("cell", CELLS)


def steps(stream, x, **options) -> np.ndarray:
    """The outputs of a stream over x (N, T, ...), side by side as a layer gives them."""
    return np.stack([stream.step(x[:, t], **options) for t in range(x.shape[1])], axis=1)


@every_cell
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "I", "H", "L"), [(1, 3, 5, 1), (1, 33, 65, 2), (5, 16, 17, 3), (33, 7, 64, 1)])
def test_equals_a_call_over_the_sequence(N, I, H, L, dtype, cell):
    layer = make(cell, I, H, L, dtype=dtype, seed=0)
    x = normal("x", N, 6, I, dtype=dtype)
    y, final = layer(x)
    stream = layer.stream(N)
    assert_same_bits(steps(stream, x), y)
    assert_same_bits(stream.state, final)


@every_cell
def test_the_reference_agrees(cell):
    layer = make(cell, 3, 9, 2, batch_first=False, dtype="float64", seed=0)
    twin = make(cell, 3, 9, 2, batch_first=False, dtype="float64", seed=0, module=reference)
    x, resets, ids = normal("x", 6, 4, 3), np.array([True, False, False, True]), np.array([0, 2, 1, 2])
    streams = layer.stream(4), twin.stream(4)
    for t in range(6):
        y, expected = (stream.step(ids if t == 4 else x[t], resets=resets if t == 3 else None) for stream in streams)
        assert_close(y, expected, 1e-12)
    assert_close(np.array(streams[0].state), np.array(streams[1].state), 1e-12)


@every_cell
def test_ids(cell):
    layer = make(cell, 11, 9, 2, seed=0)
    ids = np.random.default_rng(0).integers(0, 11, (4, 7))
    assert_same_bits(steps(layer.stream(4), ids), layer(ids)[0])


@every_cell
def test_state_is_read_and_written_as_copies(cell):
    layer = make(cell, 3, 9, 2, seed=0)
    x, state = normal("x", 4, 5, 3), state_like(layer, 4, "state")
    stream = layer.stream(4)
    stream.state = state
    assert_same_bits(stream.state, state)
    y, final = layer(x, state)
    assert_same_bits(steps(stream, x), y)
    for part in stream.state if is_lstm(layer) else (stream.state,):
        part.fill(7)
    assert_same_bits(stream.state, final)
    stream.state = None
    assert_same_bits(stream.state, layer(x[:, :0])[1])


@every_cell
def test_resets(cell):
    layer = make(cell, 3, 9, 2, seed=0)
    x, resets = normal("x", 4, 8, 3), np.random.default_rng(0).random((4, 8)) < 0.4
    stream = layer.stream(4)
    got = np.stack([stream.step(x[:, t], resets=resets[:, t]) for t in range(8)], axis=1)
    assert_same_bits(got, layer(x, resets=resets)[0])
    stream.reset()
    assert_same_bits(steps(stream, x), layer(x)[0])
    stream.reset([True, False, False, True])
    h = stream.state[0] if is_lstm(layer) else stream.state
    assert not h[:, [0, 3]].any() and h[:, 1].any() and h[:, 2].any()


@every_cell
def test_follows_the_parameters(cell):
    layer = make(cell, 3, 9, 2, seed=0)
    x = normal("x", 4, 6, 3)
    stream = layer.stream(4)
    _, state = layer(x[:, :3])
    steps(stream, x[:, :3])
    layer.load_state_dict(make(cell, 3, 9, 2, seed=1).state_dict())
    assert_same_bits(steps(stream, x[:, 3:]), layer(x[:, 3:], state)[0])
    tape = layer.forward(x)[2]
    fastrnn.optim.SGD(layer, lr=0.1).step(layer.backward(tape, np.ones((4, 6, 9)))[2])
    stream.reset()
    assert_same_bits(steps(stream, x), layer(x)[0])


@every_cell
def test_a_single_row(cell):
    layer = make(cell, 3, 9, seed=0)
    x, stream = normal("x", 3), layer.stream()
    y = stream.step(x)
    assert y.shape == (9,)
    assert_same_bits(y, layer(x[None])[0][0])
    stream.reset()
    assert_same_bits(stream.step(x[None]), y[None])
    stream.reset()
    assert_same_bits(stream.step(2), layer([2])[0][0])


def test_out():
    layer = fastrnn.GRU(3, 9, seed=0)
    x, stream, out = normal("x", 2, 4, 3), layer.stream(2), np.full((2, 9), 7, "float32")
    for t in range(4):
        assert stream.step(x[:, t], out=out) is out
    assert_same_bits(out, layer(x)[0][:, -1].copy())
    square = fastrnn.LSTM(9, 9, 2, seed=0)
    x, stream = normal("x", 2, 4, 9), square.stream(2)
    step = x[:, 0].copy()
    assert_same_bits(stream.step(step, out=step), square(x[:, :1])[0][:, 0].copy())


def test_any_array_is_taken():
    layer = fastrnn.LSTM(3, 9, seed=0)
    x = normal("x", 2, 3)
    y = layer.stream(2).step(x)
    for other in (x.tolist(), np.asfortranarray(x), x.astype("float64"), np.repeat(x, 2, axis=1)[:, ::2]):
        assert_same_bits(layer.stream(2).step(other), y)


def test_copies_go_their_own_ways():
    layer = fastrnn.LSTM(3, 9, seed=0)
    x, stream = normal("x", 2, 4, 3), layer.stream(2)
    steps(stream, x[:, :2])
    expected = layer(x)[0][:, 2:].copy()
    for other in (copy.deepcopy(stream), copy.copy(stream), pickle.loads(pickle.dumps(stream))):
        assert_same_bits(steps(other, x[:, 2:]), expected)
    assert_same_bits(steps(stream, x[:, 2:]), expected)


def test_an_abandoned_stream_is_forgotten():
    layer = fastrnn.LSTM(3, 9, seed=0)
    stream = layer.stream()
    parameter = layer._parameters["weight_hh_l0"]
    assert len(parameter._watchers) == 1
    del stream
    gc.collect()
    assert not parameter._watchers


def test_bad_calls_move_nothing():
    layer = fastrnn.LSTM(3, 9, seed=0)
    x, stream = normal("x", 2, 3), layer.stream(2)
    stream.step(x)
    before = stream.state
    wrong_out = np.empty((2, 8), "float32")
    calls = [
        (ValueError, r"x must have the shape \(2, 3\)", lambda: stream.step(normal("x", 3))),
        (ValueError, "x must have the shape", lambda: stream.step(normal("x", 2, 4))),
        (ValueError, r"x must have the shape \(2,\)", lambda: stream.step([1, 2, 0])),
        (ValueError, "ids from 0 to 2", lambda: stream.step([1, 3])),
        (ValueError, "ids from 0 to 2", lambda: stream.step([-1, 1])),
        (TypeError, "x must be floating numbers or integer ids", lambda: stream.step(x > 0)),
        (ValueError, "out must have the shape", lambda: stream.step(x, out=wrong_out)),
        (TypeError, "out must have dtype", lambda: stream.step(x, out=np.empty((2, 9)))),
        (ValueError, "out must be contiguous", lambda: stream.step(x, out=np.empty((2, 18), "float32")[:, ::2])),
        (TypeError, "resets must be booleans", lambda: stream.step(x, resets=[1, 0])),
        (ValueError, "resets must have the shape", lambda: stream.step(x, resets=[True])),
        (TypeError, "rows must be booleans", lambda: stream.reset([0, 1])),
        (ValueError, "pair", lambda: setattr(stream, "state", before[0])),
        (ValueError, "batch_size must be at least 1", lambda: layer.stream(0)),
        (ValueError, "bidirectional", lambda: fastrnn.LSTM(3, 9, bidirectional=True).stream()),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
        assert_same_bits(stream.state, before)


@pytest.mark.parametrize("pool", [False, True])
def test_nothing_of_former_parameters_is_read(pool):
    """After an update the old pack is gone; others take its memory, with other activations."""
    layer, x = fastrnn.LSTM(4, 8, seed=0), np.ones((1, 4), "float32")
    stepped = layer.stream_pool() if pool else layer.stream()
    ids = [[stepped.open()]] if pool else []
    stepped.step(*ids, x)
    layer.load_state_dict(layer.state_dict())
    stepped.step(*ids, x)
    others = [fastrnn.LSTM(4, 8, activations=("relu", "relu", "relu"), seed=k) for k in range(50)]
    kept = [(other(x[None]), other._packed) for other in others]
    stepped.reset(*ids)
    assert_same_bits(stepped.step(*ids, x), layer(x[None])[0][:, 0])
    assert len(kept) == 50
