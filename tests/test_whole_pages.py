"""States whose rows would lie whole pages apart, and share cache sets, are kept a line further apart."""

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, GRADIENT, assert_close, assert_same_bits, make, normal, run, state_like

from fastrnn import reference

PAGE = 4096
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])


def layer_of_pages(cell: str, dtype: str, **options):
    return make(cell, 5, PAGE // np.dtype(dtype).itemsize, dtype=dtype, seed=0, init=0.05, **options)


@every_dtype
@every_cell
@pytest.mark.parametrize("tape_dtype", [None, "bfloat16"])
@pytest.mark.parametrize(("N", "T"), [(3, 4), (65, 12)])
def test_equals_the_reference(cell, dtype, tape_dtype, N, T):
    """Kept in bfloat16, the steps of the larger batch are of three segments; the later two start from what is kept."""
    layer, twin = layer_of_pages(cell, dtype), layer_of_pages(cell, dtype, module=reference)
    x, dy = normal("x", N, T, 5, dtype=dtype), normal("dy", N, T, layer.hidden_size, dtype=dtype)
    arguments, options = (x, state_like(layer, N, "state"), dy), {"lengths": T - np.arange(N) % 4}
    expected = run(twin, *arguments, **options, tape_dtype=tape_dtype)
    loose = tape_dtype and (dtype == "float32" or cell == "gru-before")  # a number may round to either neighbour
    for name, value in run(layer, *arguments, **options, tape_dtype=tape_dtype).items():
        assert_close(value, expected[name], 0.02 if loose else GRADIENT[dtype], name)


@every_dtype
@every_cell
def test_inference_forward_streams_and_cuts_give_the_same_bits(cell, dtype):
    layer, (N, T) = layer_of_pages(cell, dtype), (33, 3)
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
    _, (h, c), tape = layer.forward(normal("x", 3, 4, 5, dtype=dtype))
    (gates,) = tape.gates()
    assert {array.shape for array in gates.values()} == {(3, 4, layer.hidden_size)}
    assert_same_bits((gates["h"][:, -1], gates["c"][:, -1]), (h[0], c[0]))


@every_dtype
@every_cell
def test_budgets_change_no_bit_and_are_kept(cell, dtype):
    layer, (N, T) = layer_of_pages(cell, dtype), (65, 17)
    x, dy = normal("x", N, T, 5, dtype=dtype), normal("dy", N, T, layer.hidden_size, dtype=dtype)
    plain = layer.forward(x)[2].nbytes
    for budget in ("sqrt", plain - 1, plain):
        tape = layer.forward(x, checkpoint=budget)[2]
        assert tape.nbytes == plain if budget == plain else tape.nbytes < plain
        assert_same_bits(run(layer, x, None, dy, checkpoint=budget), run(layer, x, None, dy))


@every_dtype
@pytest.mark.parametrize("options", [{"proj_size": 8}, {"zoneout": (0.2, 0.3)}], ids=["projected", "zoneout"])
def test_other_states_of_whole_pages(options, dtype):
    layer, twin = layer_of_pages("lstm", dtype, **options), layer_of_pages("lstm", dtype, module=reference, **options)
    x = normal("x", 3, 4, 5, dtype=dtype)
    dy = normal("dy", 3, 4, layer.proj_size or layer.hidden_size, dtype=dtype)
    expected = run(twin, x, None, dy)
    for name, value in run(layer, x, None, dy).items():
        assert_close(value, expected[name], GRADIENT[dtype], name)
    for value, wanted in zip(layer(x)[1], twin(x)[1], strict=True):
        assert_close(value, wanted, GRADIENT[dtype])
