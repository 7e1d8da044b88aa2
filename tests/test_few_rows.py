"""A step of a few rows whose weights lie afar takes input and state panel by panel: the same bits as a sequence."""

import numpy as np
import pytest
from helpers import CELLS, DTYPES, RECURRENT, assert_same_bits, make, normal, state_like

import fastrnn

FAR = (330, 333)  # input and hidden size: both matrices of every cell outgrow the second cache
FAR_AND_SHARED = (505, 510)  # and a step is long enough for two threads, of a GRU from three rows on
FAR_IN_INT8 = (645, 650)
every_cell = pytest.mark.parametrize("cell", CELLS)
few_rows = pytest.mark.parametrize("N", [1, 3, 6])


@pytest.fixture(params=[1, 2])
def threads(request):
    before = fastrnn.get_num_threads()
    fastrnn.set_num_threads(request.param)
    yield
    fastrnn.set_num_threads(before)


def assert_steps_equal_a_sequence(layer, N: int, state) -> None:
    x = normal("x", N, 5, layer.input_size, dtype=layer.dtype.name)
    y, final = layer(x, state)
    stream = layer.stream(N)
    stream.state = state
    for t in range(5):
        assert_same_bits(stream.step(x[:, t]), y[:, t])
        output, state = layer(x[:, t : t + 1], state)
        assert_same_bits(output[:, 0], y[:, t])
    assert_same_bits(stream.state, final)
    assert_same_bits(state, final)


@every_cell
@few_rows
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_equal_a_sequence(cell, N, dtype, threads):
    layer = make(cell, *FAR, dtype=dtype, seed=0, init=0.05)
    assert_steps_equal_a_sequence(layer, N, state_like(layer, N, "state"))


@few_rows
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_long_steps_equal_a_sequence(cell, N, threads):
    layer = make(cell, *FAR_AND_SHARED, seed=0, init=0.05)
    assert_steps_equal_a_sequence(layer, N, state_like(layer, N, "state"))


@few_rows
@pytest.mark.parametrize("cell", RECURRENT)
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_steps_of_low_precision_equal_a_sequence(cell, N, precision, threads):
    layer = make(cell, *FAR_IN_INT8, seed=0, init=0.05)
    assert_steps_equal_a_sequence(layer.quantize(precision), N, state_like(layer, N, "state"))


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"proj_size": 40}, {"peephole": True}, {"layer_norm": True}])
def test_steps_with_options_equal_a_sequence(options):
    layer = fastrnn.LSTM(*FAR, seed=0, init=0.05, **options)
    assert_steps_equal_a_sequence(layer, 3, state_like(layer, 3, "state"))


@pytest.mark.parametrize("precision", [None, "int8"])
def test_rows_and_ids_in_turn(precision):
    """Nothing of the rows of a step before is added to those that ids choose."""
    layer = fastrnn.GRU(*FAR_IN_INT8, seed=0, init=0.05)
    ids, state = np.array([3, 0, 644]), state_like(layer, 3, "state")
    if precision:
        layer = layer.quantize(precision)
    stream = layer.stream(3)
    stream.state = state
    for given in (normal("x", 3, layer.input_size), ids, ids[::-1], normal("x2", 3, layer.input_size)):
        expected, state = layer(given[:, None], state)
        assert_same_bits(stream.step(given), expected[:, 0])


@every_cell
def test_sessions_of_a_pool(cell):
    """As many as step together, and more."""
    layer = make(cell, *FAR, seed=0, init=0.05)
    pool = layer.stream_pool()
    ids = [pool.open() for _ in range(8)]
    streams = [layer.stream() for _ in ids]
    for count in (3, 8, 1, 6):
        x = normal(count, count, layer.input_size)
        expected = [stream.step(row[None]) for stream, row in zip(streams, x, strict=False)]
        assert_same_bits(pool.step(ids[:count], x), np.concatenate(expected))
