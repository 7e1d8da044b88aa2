"""The promises on bits: one summation order per output, whatever batch, call or tile computes it."""

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_same_bits, make, normal, run, state_like

every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
SIZES = [(1, 1), (3, 7), (17, 16), (33, 65), (64, 31), (130, 200)]
LONG = (3500, 4)  # more inputs than a block of the projection holds


def rows_of(state, rows):
    return tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]


@every_dtype
@every_cell
@pytest.mark.parametrize(("I", "H"), SIZES)
def test_inference_equals_forward(cell, I, H, dtype):
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0)
    for N, T in [(1, 1), (1, 9), (7, 9), (33, 2)]:
        x, state = normal("x", N, T, I, dtype=dtype), state_like(layer, N, "s")
        ids = np.random.default_rng(0).integers(0, I, (N, T))
        resets = np.random.default_rng(1).random((N, T)) < 0.2
        for options in ({}, {"state": state}, {"lengths": np.arange(N) % (T + 1)}, {"resets": resets}):
            for source in (x, ids):
                assert_same_bits(layer(source, **options), layer.forward(source, **options)[:2])


@every_dtype
@every_cell
@pytest.mark.parametrize(("I", "H"), [*SIZES, LONG])
def test_a_row_does_not_depend_on_its_batch(cell, I, H, dtype):
    """Alone, among few or many, and with neighbours of other lengths."""
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0)
    T = 5
    x, state = normal("x", 33, T, I, dtype=dtype), state_like(layer, 33, "s")
    y, final = layer(x, state)
    for N in (*range(1, 14), 23, 24, 25, 32):
        few_y, few_final = layer(x[:N], rows_of(state, slice(0, N)))
        assert_same_bits(few_y, y[:N], f"{N} rows")
        assert_same_bits(few_final, rows_of(final, slice(0, N)), f"{N} rows")
    lengths = np.random.default_rng(0).integers(0, T + 1, 33)
    y, final = layer(x, state, lengths=lengths)
    for n in range(0, 33, 4):
        alone, last = layer(x[[n], : lengths[n]], rows_of(state, [n]))
        assert_same_bits(y[n, : lengths[n]], alone[0])
        assert_same_bits(rows_of(final, [n]), last)


@every_dtype
@every_cell
@pytest.mark.parametrize("H", [50, 100, 200, 300])
def test_a_row_alone_has_its_gradients(cell, H, dtype):
    """Alone, a row takes one, two or four panels at a time, near or far, every other step from the last on."""
    layer = make(cell, 20, H, dtype=dtype, seed=0)
    x, state = normal("x", 3, 4, 20, dtype=dtype), state_like(layer, 3, "s")
    dy, dstate = normal("dy", 3, 4, H, dtype=dtype), state_like(layer, 3, "ds")
    batch = run(layer, x, state, dy, dstate)
    for n in range(3):
        alone = run(layer, x[[n]], rows_of(state, [n]), dy[[n]], rows_of(dstate, [n]))
        for name in ("y", "dx"):
            assert_same_bits(alone[name][0], batch[name][n], name)
        for name in ("h", "c", "dh", "dc") if "c" in batch else ("h", "dh"):
            assert_same_bits(alone[name][:, 0], batch[name][:, n], name)


@every_dtype
@every_cell
@pytest.mark.parametrize(("I", "H"), SIZES)
def test_a_sequence_may_be_cut(cell, I, H, dtype):
    """One direction: pieces that hand on their state give the bits of the whole, single steps included."""
    layer = make(cell, I, H, 2, dtype=dtype, seed=0)
    N, T = 3, 40
    x, state = normal("x", N, T, I, dtype=dtype), state_like(layer, N, "s")
    ids = np.random.default_rng(0).integers(0, I, (N, T))
    for source in (x, ids):
        for start in (state, None):
            y, final = layer(source, start)
            for cuts in ([1], [39], [7, 8, 33], range(1, T)):
                carried, pieces = start, []
                for piece in np.split(source, cuts, axis=1):
                    out, carried = layer(piece, carried)
                    pieces.append(out)
                assert_same_bits(np.concatenate(pieces, axis=1), y)
                assert_same_bits(carried, final)


@every_dtype
@every_cell
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("I", "H"), SIZES)
def test_ids_are_one_hot_rows(cell, I, H, bias, layers, dtype):
    """Outputs and final states bit for bit; gradients to rounding, and no gradient of the ids."""
    layer = make(cell, I, H, layers, bidirectional=True, bias=bias, dtype=dtype, seed=0)
    ids = np.random.default_rng(0).integers(0, I, (7, 5))
    state = state_like(layer, 7, "s")
    for start in (None, state):
        one_hot = np.eye(I, dtype=dtype)[ids]
        assert_same_bits(layer(ids, start), layer(one_hot, start))
        assert_same_bits(layer.forward(ids, start)[:2], layer.forward(one_hot, start)[:2])


@every_dtype
@every_cell
@pytest.mark.parametrize(("I", "H"), SIZES)
def test_no_state_is_zero_state(cell, I, H, dtype):
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0)
    x, dy = normal("x", 7, 3, I, dtype=dtype), normal("dy", 7, 3, 2 * H, dtype=dtype)
    zero = state_like(layer, 7, "s")
    zero = tuple(map(np.zeros_like, zero)) if isinstance(zero, tuple) else np.zeros_like(zero)
    assert_same_bits(layer(x), layer(x, zero))
    assert_same_bits(run(layer, x, None, dy), run(layer, x, zero, dy))


@every_dtype
@every_cell
def test_layout_does_not_matter(cell, dtype):
    rows, columns = (
        make(cell, 17, 33, 2, bidirectional=True, batch_first=b, dtype=dtype, seed=0) for b in (True, False)
    )
    x, dy = normal("x", 7, 9, 17, dtype=dtype), normal("dy", 7, 9, 66, dtype=dtype)
    expected = run(rows, x, None, dy, lengths=[9, 0, 1, 4, 9, 2, 8])
    got = run(
        columns, x.swapaxes(0, 1).copy(), None, dy.swapaxes(0, 1).copy(), lengths=[9, 0, 1, 4, 9, 2, 8]
    )  # fmt: skip
    for name in ("y", "dx"):
        got[name] = got[name].swapaxes(0, 1)
    assert_same_bits(got, expected)


@every_dtype
@every_cell
def test_twice_is_the_same(cell, dtype):
    """No state is left behind by a call: the same call gives the same bits, whatever ran in between."""
    layer = make(cell, 17, 33, 2, bidirectional=True, dtype=dtype, seed=0)
    x, dy = normal("x", 7, 9, 17, dtype=dtype), normal("dy", 7, 9, 66, dtype=dtype)
    first = run(layer, x, None, dy)
    run(layer, np.full((33, 40, 17), np.nan, dtype), None, normal("dy2", 33, 40, 66, dtype=dtype))
    layer(np.full((2, 3, 17), np.inf, dtype))
    assert_same_bits(run(layer, x, None, dy), first)


@every_dtype
@every_cell
def test_nan_stays_in_its_row(cell, dtype):
    """Not-a-numbers propagate, forward in time and to no other row."""
    layer = make(cell, 3, 17, 2, dtype=dtype, seed=0)
    x = normal("x", 7, 9, 3, dtype=dtype)
    y, _ = layer(x)
    spoilt = x.copy()
    spoilt[3, 4] = np.nan
    got, _ = layer(spoilt)
    others = np.arange(7) != 3
    assert_same_bits(got[others], y[others])
    assert_same_bits(got[3, :4], y[3, :4])
    assert np.isnan(got[3, 4:]).all()
