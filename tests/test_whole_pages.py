"""States whose rows would lie whole pages apart, and share cache sets, are kept a line further apart."""

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, GRADIENT, assert_close, assert_same_bits, make, normal, run, state_like

from fastrnn import reference

N, T, PAGE = 33, 3, 4096
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])


def layer_of_pages(cell: str, dtype: str, I: int = 5):
    return make(cell, I, PAGE // np.dtype(dtype).itemsize, dtype=dtype, seed=0, init=0.05)


@every_dtype
@every_cell
@pytest.mark.parametrize("tape_dtype", [None, "bfloat16"])
def test_equals_the_reference(cell, dtype, tape_dtype):
    layer = layer_of_pages(cell, dtype)
    H = layer.hidden_size
    twin = make(cell, 5, H, dtype=dtype, seed=0, init=0.05, module=reference)
    x, dy, state = normal("x", N, T, 5, dtype=dtype), normal("dy", N, T, H, dtype=dtype), state_like(layer, N, "state")
    lengths = np.arange(N) % (T + 1)
    expected = run(twin, x, state, dy, lengths=lengths, tape_dtype=tape_dtype)
    loose = tape_dtype and (dtype == "float32" or cell == "gru-before")  # a number may round to either neighbour
    for name, value in run(layer, x, state, dy, lengths=lengths, tape_dtype=tape_dtype).items():
        assert_close(value, expected[name], 0.02 if loose else GRADIENT[dtype], name)


@every_dtype
@every_cell
def test_inference_forward_streams_and_cuts_give_the_same_bits(cell, dtype):
    layer = layer_of_pages(cell, dtype)
    x, state = normal("x", N, T, 5, dtype=dtype), state_like(layer, N, "state")
    y, final = layer(x, state)
    assert_same_bits(layer.forward(x, state)[:2], (y, final))
    first, between = layer(x[:, :2], state)
    last, after = layer(x[:, 2:], between)
    assert_same_bits((np.concatenate([first, last], axis=1), after), (y, final))
    stream = layer.stream(N)
    stream.state = state
    for t in range(T):
        assert_same_bits(stream.step(x[:, t]), y[:, t])
        stream = copy.copy(stream) if t else pickle.loads(pickle.dumps(stream))
    assert_same_bits(stream.state, final)


@every_dtype
def test_gates_are_of_the_units_alone(dtype):
    layer = layer_of_pages("lstm", dtype)
    _, (h, c), tape = layer.forward(normal("x", N, T, 5, dtype=dtype))
    (gates,) = tape.gates()
    assert {array.shape for array in gates.values()} == {(N, T, layer.hidden_size)}
    assert_same_bits((gates["h"][:, -1], gates["c"][:, -1]), (h[0], c[0]))


@every_dtype
@every_cell
def test_checkpoints_change_no_bit(cell, dtype):
    layer = layer_of_pages(cell, dtype)
    x, dy = normal("x", 2, 40, 5, dtype=dtype), normal("dy", 2, 40, layer.hidden_size, dtype=dtype)
    assert_same_bits(run(layer, x, None, dy, checkpoint="sqrt"), run(layer, x, None, dy))
