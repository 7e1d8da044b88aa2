"""Shapes, strides and memory that hypothesis draws: results never depend on how the arguments lie in memory."""

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_all_close, assert_same_bits, in_float64, make, normal, run, state_like
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrnn import reference

FEW = settings(max_examples=30, deadline=None, derandomize=True, database=None)
sizes = st.fixed_dictionaries(
    {"I": st.integers(1, 40), "H": st.integers(1, 40), "N": st.integers(0, 9), "T": st.integers(0, 9)}
)


def garbage(dtype):
    """What stands between the numbers that count."""
    return np.nan if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


def transposed(array):
    return np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)


def fortran(array):
    return np.asfortranarray(array)


def every_second(array):
    wide = np.full([2 * n for n in array.shape], garbage(array.dtype), array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def backwards(array):
    flip = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[flip])[flip]


def inside(array):
    """A block of a larger array: the last axis contiguous, the others with strides of their own."""
    wide = np.full([n + 3 for n in array.shape], garbage(array.dtype), array.dtype)
    view = wide[tuple(slice(1, n + 1) for n in array.shape)]
    view[...] = array
    return view


def unaligned(array):
    """Numbers that do not begin at a multiple of their size."""
    memory = np.empty(array.nbytes + 1, "uint8")
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def broadcast_row(array):
    return np.broadcast_to(array[:1], array.shape)


LAYOUTS = [transposed, fortran, every_second, backwards, inside, unaligned]
layouts = st.sampled_from(LAYOUTS)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def apply(layout, state):
    return tuple(map(layout, state)) if isinstance(state, tuple) else layout(state)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@FEW
@given(sizes, st.booleans(), st.booleans(), st.data())
def test_equals_reference(cell, dtype, size, bidirectional, ids, data):
    options = {"bidirectional": bidirectional, "init": 0.3, "seed": 0}
    layer = make(cell, size["I"], size["H"], dtype=dtype, **options)
    twin = make(cell, size["I"], size["H"], dtype="float64", module=reference, **options)
    twin.load_state_dict(in_float64(layer.state_dict()))
    N, T = size["N"], size["T"]
    x = normal("x", N, T, size["I"], dtype=dtype)
    if ids:
        x = np.random.default_rng(0).integers(0, size["I"], (N, T))
    lengths = data.draw(st.lists(st.integers(0, T), min_size=N, max_size=N))
    dy = normal("dy", N, T, size["H"] * (1 + bidirectional), dtype=dtype)
    options = {"dy": dy, "dstate": state_like(layer, N, "d"), "lengths": np.array(lengths, int)}
    assert_all_close(run(layer, x, **options), run(twin, x, **options), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@FEW
@given(sizes, st.booleans(), st.tuples(layouts, layouts, layouts, layouts))
def test_strides_do_not_matter(cell, dtype, size, batch_first, chosen):
    layer = make(cell, size["I"], size["H"], 2, bidirectional=True, batch_first=batch_first, dtype=dtype, seed=0)
    a, b = (size["N"], size["T"]) if batch_first else (size["T"], size["N"])
    x = normal("x", a, b, size["I"], dtype=dtype)
    dy = normal("dy", a, b, 2 * size["H"], dtype=dtype)
    state, dstate = state_like(layer, size["N"], "state"), state_like(layer, size["N"], "dstate")
    expected = run(layer, x, state, dy, dstate)
    strided = [apply(layout, part) for layout, part in zip(chosen, (x, state, dy, dstate), strict=True)]
    assert_same_bits(run(layer, *strided), expected)


@pytest.mark.parametrize("layout", [*LAYOUTS[:-1], broadcast_row])
def test_strides_of_integers_and_booleans(layout):
    """Ids, lengths, mask and resets in any layout and integer type; a broadcast axis has stride 0."""
    layer = make("gru", 5, 4, bidirectional=True, seed=0)
    rng = np.random.default_rng(0)
    ids, resets = rng.integers(0, 5, (6, 7)), rng.random((6, 7)) < 0.3
    lengths, mask = rng.integers(0, 8, 6), rng.random((6, 7)) < 0.6
    if layout is broadcast_row:
        ids, resets, lengths, mask = (np.ascontiguousarray(layout(part)) for part in (ids, resets, lengths, mask))
    expected = run(layer, ids, lengths=lengths, resets=resets)
    length_layout = every_second if layout in (transposed, fortran, inside) else layout
    for dtype in ("int8", "uint8", "int32", "int64", "uint64"):
        got = run(layer, layout(ids.astype(dtype)), lengths=length_layout(lengths.astype(dtype)), resets=layout(resets))
        assert_same_bits(got, expected)
    assert_same_bits(run(layer, layout(ids), mask=layout(mask)), run(layer, ids, mask=mask))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_inputs_are_never_modified(cell, dtype):
    """Every argument may be read-only, and holds the same bits afterwards."""
    layer = make(cell, 3, 5, 2, bidirectional=True, dtype=dtype, dropout=0.5, seed=0)
    arguments = {
        "x": normal("x", 4, 6, 3, dtype=dtype), "state": state_like(layer, 4, "s"), "dy": normal("dy", 4, 6, 10),
        "dstate": state_like(layer, 4, "d"), "mask": np.arange(24).reshape(4, 6) % 3 > 0,
        "resets": np.arange(24).reshape(4, 6) % 4 == 0,
    }  # fmt: skip
    arrays = [part for value in arguments.values() for part in parts(value)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    run(layer, **arguments)
    run(layer, **{**arguments, "x": np.zeros((4, 6), int)})
    for array, copy in zip(arrays, before, strict=True):
        assert_same_bits(array, copy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", [0, 1, 4])
@pytest.mark.parametrize("N", [None, 2])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_results_own_their_memory(cell, layers, N, T, dtype):
    """New writable arrays, no two of them sharing memory, none sharing it with an argument or a parameter."""
    layer = make(cell, 3, 5, layers, bidirectional=True, dtype=dtype, seed=0)
    shape = (T,) if N is None else (N, T)
    x, dy = normal("x", *shape, 3, dtype=dtype), normal("dy", *shape, 10, dtype=dtype)
    state, dstate = state_like(layer, N, "s"), state_like(layer, N, "d")
    results = [*run(layer, x, state, dy, dstate).values(), *layer.state_dict().values()]
    y, final = layer(x, state)
    results += [y, *parts(final)]
    others = [x, dy, *parts(state), *parts(dstate), *layer.parameters.values()]
    for k, array in enumerate(results):
        assert array.flags.writeable and array.dtype == dtype
        assert not any(np.shares_memory(array, other) for other in results[:k] + others)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@FEW
@given(sizes, st.booleans(), st.sampled_from([np.ascontiguousarray, *LAYOUTS]))
def test_out(cell, dtype, size, batch_first, layout):
    """`out=` is filled, returned, and equals the allocating form bit for bit, in any layout."""
    layer = make(cell, size["I"], size["H"], 2, bidirectional=True, batch_first=batch_first, dtype=dtype, seed=0)
    a, b = (size["N"], size["T"]) if batch_first else (size["T"], size["N"])
    x = normal("x", a, b, size["I"], dtype=dtype)
    lengths = [min(n, size["T"]) for n in range(size["N"])]
    expected, final = layer(x, lengths=lengths)
    for call in (layer, layer.forward):
        out = layout(np.full_like(expected, np.nan))
        y, got, *_ = call(x, lengths=lengths, out=out)
        assert y is out
        assert_same_bits(out, expected)
        assert_same_bits(got, final)


@pytest.mark.parametrize("cell", CELLS)
def test_out_beside_the_input(cell):
    """Columns of one array may be read and others written: they interlace, but share no number."""
    layer = make(cell, 3, 5, seed=0)
    x = normal("x", 4, 6, 3)
    both = np.full((4, 6, 8), np.nan, "float32")
    both[:, :, :3] = x
    expected = layer(x)[0]
    layer(both[:, :, :3], out=both[:, :, 3:])
    assert_same_bits(both, np.concatenate([x, expected], axis=2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_first", [True, False])
def test_input_is_not_copied(batch_first, dtype):
    """Rows that are contiguous are read where they lie, in whatever order, and whatever stands between them."""
    layer = make("gru", 3, 5, batch_first=batch_first, dtype=dtype, seed=0)
    for layout in (np.ascontiguousarray, transposed, inside):
        x = layout(normal("x", 4, 6, 3, dtype=dtype))
        kept = layer.forward(x)[2].kept[0].x
        assert kept.ctypes.data == x.ctypes.data
        assert kept.strides == (x.strides if not batch_first else (x.strides[1], x.strides[0], x.strides[2]))


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_tape_keeps_is_its_own(cell):
    """A tape refers to x only: y, state and dy may be overwritten before backward."""
    layer = make(cell, 3, 5, 2, bidirectional=True, seed=0)
    x, dy, dstate = normal("x", 2, 4, 3), normal("dy", 2, 4, 10), state_like(layer, 2, "d")
    expected = run(layer, x, state_like(layer, 2, "s"), dy, dstate)
    state = state_like(layer, 2, "s")
    y, final, tape = layer.forward(x, state)
    for array in (y, *parts(final), *parts(state)):
        array.fill(np.nan)
    dx, _, grads = layer.backward(tape, dy, dstate)
    assert_same_bits({"dx": dx, **grads}, {name: expected[name] for name in ("dx", *grads)})


def test_array_likes():
    """Lists of numbers, other precisions, and anything with `__array__` or DLPack are taken as arrays."""

    class Wrapped:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array if dtype is None else self.array.astype(dtype)

    class Exchanged:
        """An array of another library, by DLPack alone."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    layer = make("rnn-tanh", 2, 3, seed=0)
    x = np.array([[[1.0, 2.0], [3.0, -1.0]]], "float32")
    expected = layer(x)[0]
    for form in (x.tolist(), x.astype("float64"), x.astype("float16"), x.astype(">f4"), Wrapped(x), Exchanged(x)):
        assert_same_bits(layer(form)[0], expected)
    assert layer.forward(Exchanged(x))[2].kept[0].x.ctypes.data == x.ctypes.data
