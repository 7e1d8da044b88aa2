"""The engine against the NumPy reference: every output, final state and gradient, over the covering set of shapes.

The oracle of both precisions is the float64 reference with the same weights and the same input.
"""

from functools import lru_cache
from time import perf_counter

import numpy as np
import pytest
from helpers import (
    CELLS,
    DTYPES,
    RECURRENT,
    assert_all_close,
    assert_close,
    assert_same_bits,
    batch_of,
    in_float64,
    layer_of,
    make,
    normal,
    run,
    state_like,
)
from shapes import CASES

from fastrnn import reference


def reference_twin(layer, cell: str, **options):
    """The float64 reference layer with the weights of `layer`."""
    twin = make(
        cell, layer.input_size, layer.hidden_size, layer.num_layers, bidirectional=layer.bidirectional,
        batch_first=layer.batch_first, bias=layer.bias, dtype="float64", module=reference, **options,
    )  # fmt: skip
    twin.load_state_dict(in_float64(layer.state_dict()))
    return twin


@lru_cache(maxsize=1)
def expected(case):
    """What both precisions of a case are compared with: weights drawn in float32, computed in float64."""
    weights = layer_of(case, "float32").state_dict() if "float32" in DTYPES else None
    twin = layer_of(case, "float64", module=reference)
    twin.load_state_dict(in_float64(weights))
    return weights, run(twin, **batch_of(case, "float64"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_reference(case, dtype):
    weights, results = expected(case)
    layer = layer_of(case, dtype)
    layer.load_state_dict(weights)
    assert_all_close(run(layer, **batch_of(case, dtype)), results, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("N", "T"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_do(cell, directions, dtype, N, T):
    """An empty batch or no steps: empty output, the initial state and its gradient passed through, zero gradients."""
    layer = make(cell, 3, 5, 2, bidirectional=directions == 2, dtype=dtype, seed=0)
    state, dstate = state_like(layer, N, "state"), state_like(layer, N, "dstate")
    dy = np.ones((N, T, 5 * directions), dtype)
    y, final, tape = layer.forward(np.ones((N, T, 3), dtype), state)
    dx, dinitial, grads = layer.backward(tape, dy, dstate)
    assert y.shape == (N, T, 5 * directions)
    assert dx.shape == (N, T, 3)
    assert_same_bits(final, state)
    assert_same_bits(dinitial, dstate)
    assert list(grads) == list(layer.parameters)
    assert not any(grad.any() for grad in grads.values())
    final = layer(np.ones((N, T, 3), dtype))[1]
    assert not any(part.any() for part in (final if isinstance(final, tuple) else [final]))

    nothing = np.zeros((N, T), bool)
    for options in ({"lengths": np.zeros(N, int)}, {"lengths": [0] * N}, {"mask": nothing}, {"resets": nothing}):
        for x in (np.ones((N, T, 3), dtype), np.ones((N, T), int)):
            got = run(layer, x, state, dy, dstate, **options)
            assert_same_bits(got["y"], y)
            assert_same_bits(got["h"], state[0] if cell == "lstm" else state)
            assert_same_bits(got["dh"], dstate[0] if cell == "lstm" else dstate)
            assert not any(got[name].any() for name in grads)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", [96, 97])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh", "mingru", "minlstm"])
def test_weights_beyond_the_caches(cell, H, dtype):
    """Packs and gradients of more than 2 MB, which go past the caches where their rows are whole cache lines."""
    layer = make(cell, 6000, H, dtype=dtype, init=0.003, seed=0)
    given = normal("x", 2, 2, 6000, dtype=dtype), state_like(layer, 2, "state"), normal("dy", 2, 2, H, dtype=dtype)
    assert_all_close(run(layer, *given), run(reference_twin(layer, cell), *given), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_no_steps_unbatched(cell, dtype):
    layer = make(cell, 3, 5, 2, bidirectional=True, dtype=dtype, seed=0)
    state, dstate = state_like(layer, None, "state"), state_like(layer, None, "dstate")
    got = run(layer, np.ones((0, 3), dtype), state, np.ones((0, 10), dtype), dstate, lengths=0)
    assert got["y"].shape == (0, 10)
    assert got["dx"].shape == (0, 3)
    assert_same_bits(got["h"], state[0] if cell == "lstm" else state)
    assert_same_bits(got["dh"], dstate[0] if cell == "lstm" else dstate)
    assert_same_bits(layer(np.ones(0, int), state), layer(np.ones((0, 3), dtype), state))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_zero_lengths(cell, dtype):
    """Rows of length 0 put out zeros, keep their initial state and pass its gradient through."""
    layer = make(cell, 3, 5, 2, bidirectional=True, dtype=dtype, seed=0)
    x, dy = normal("x", 4, 6, 3, dtype=dtype), normal("dy", 4, 6, 10, dtype=dtype)
    state, dstate = state_like(layer, 4, "state"), state_like(layer, 4, "dstate")
    lengths = [0, 6, 0, 3]
    empty = [0, 2]
    got = run(layer, x, state, dy, dstate, lengths=lengths)
    twin = reference_twin(layer, cell)
    assert_all_close(got, run(twin, x, state, dy, dstate, lengths=lengths), dtype)
    given = dict(zip("hc", state, strict=True)) if cell == "lstm" else {"h": state}
    above = dict(zip("hc", dstate, strict=True)) if cell == "lstm" else {"h": dstate}
    assert not got["y"][empty].any()
    assert not got["dx"][empty].any()
    for name in given:
        assert_same_bits(got[name][:, empty], given[name][:, empty])
        assert_same_bits(got["d" + name][:, empty], above[name][:, empty])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_unbatched(cell, batch_first, dtype):
    """(T, I) is a batch of one row without its axis; its length is a scalar."""
    layer = make(cell, 3, 5, 2, bidirectional=True, batch_first=batch_first, dtype=dtype, seed=0)
    x, dy = normal("x", 6, 3, dtype=dtype), normal("dy", 6, 10, dtype=dtype)
    state, dstate = state_like(layer, None, "state"), state_like(layer, None, "dstate")

    def row(state):
        return tuple(part[:, None] for part in state) if isinstance(state, tuple) else state[:, None]

    axis = 0 if batch_first else 1
    got = run(layer, x, state, dy, dstate, lengths=4)
    batched = run(
        layer, np.expand_dims(x, axis), row(state), np.expand_dims(dy, axis), row(dstate), lengths=[4]
    )  # fmt: skip
    for name in batched:
        squeeze = axis if name in ("y", "dx") else 1 if name in ("h", "c", "dh", "dc") else None
        assert_same_bits(got[name], batched[name] if squeeze is None else batched[name].squeeze(squeeze), name)

    ids = np.array([0, 2, 1, 1])
    assert_same_bits(layer(ids)[0], np.squeeze(layer(np.expand_dims(ids, axis))[0], axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_half_a_gradient(cell, dtype):
    """dy = None and dstate = None are zeros; an LSTM's pair may hold one None."""
    layer = make(cell, 3, 5, dtype=dtype, seed=0)
    x, dy, dstate = normal("x", 2, 4, 3, dtype=dtype), normal("dy", 2, 4, 5, dtype=dtype), state_like(layer, 2, "d")
    zero = tuple(np.zeros_like(part) for part in dstate) if cell == "lstm" else np.zeros_like(dstate)
    assert_same_bits(run(layer, x, None, None, dstate), run(layer, x, None, np.zeros_like(dy), dstate))
    assert_same_bits(run(layer, x, None, dy, None), run(layer, x, None, dy, zero))
    if cell == "lstm":
        assert_same_bits(
            run(layer, x, None, dy, (None, dstate[1])), run(layer, x, None, dy, (zero[0], dstate[1]))
        )  # fmt: skip
        assert_same_bits(
            run(layer, x, None, dy, (dstate[0], None)), run(layer, x, None, dy, (dstate[0], zero[1]))
        )  # fmt: skip


@pytest.mark.parametrize("cell", RECURRENT)
def test_no_state_costs_no_product(cell):
    """The first step of a wide layer takes far less than with a state, which must be multiplied by the weights."""
    layer = make(cell, 1, 700, seed=0, init=0.1)
    x, state = normal("x", 8, 1, 1), state_like(layer, 8, "s")

    def best(state):
        times = []
        for _ in range(7):
            start = perf_counter()
            layer(x, state)
            times.append(perf_counter() - start)
        return min(times)

    assert best(None) < best(state) / 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout_equals_reference(cell, dtype, p):
    """The masks come from the seed and the count of forward calls, so the reference draws the same ones."""
    options = {"bidirectional": True, "dropout": p, "seed": 7}
    layer = make(cell, 3, 17, 3, dtype=dtype, **options)
    twin = make(cell, 3, 17, 3, dtype="float64", module=reference, **options)
    twin.load_state_dict(in_float64(layer.state_dict()))
    x, dy = normal("x", 5, 6, 3, dtype=dtype), normal("dy", 5, 6, 34, dtype=dtype)
    lengths = [6, 0, 3, 1, 6]
    for _ in range(2):
        assert_all_close(run(layer, x, dy=dy, lengths=lengths), run(twin, x, dy=dy, lengths=lengths), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_symbols(dtype):
    """10,000 symbols: a row gather forward, a scatter backward, the same as the reference."""
    layer = make("lstm", 10_000, 7, dtype=dtype, seed=0, init=0.3)
    ids = np.random.default_rng(0).integers(0, 10_000, (3, 8))
    ids[0] = 9_999  # the last row, several times
    dy = normal("dy", 3, 8, 7, dtype=dtype)
    assert_all_close(run(layer, ids, dy=dy), run(reference_twin(layer, "lstm"), ids, dy=dy), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])
@pytest.mark.parametrize(("I", "H", "N", "T"), [(3500, 5, 33, 2), (3, 5, 33, 150), (5, 700, 8, 2), (3, 130, 1, 4)])
def test_long_sums(cell, I, H, N, T, dtype):
    """Inputs, batch and time, or hidden units beyond the block sizes of the products."""
    layer = make(cell, I, H, dtype=dtype, seed=0, init=0.5 / max(I, H) ** 0.5)
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, H, dtype=dtype)
    assert_all_close(run(layer, x, dy=dy), run(reference_twin(layer, cell), x, dy=dy), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 9, 18, 20, 21, 24, 25, 52, 88, 89])
def test_parts_of_vectors(cell, size, dtype):
    """Units and inputs that fill a quarter or half of their last vector, or a lane more, in tiles of every height."""
    layer = make(cell, size, size, dtype=dtype, seed=0, init=0.3)
    twin = reference_twin(layer, cell)
    for N in (1, 2, 3, 5, 7, 12, 13, 33):
        x, dy = normal("x", N, 3, size, dtype=dtype), normal("dy", N, 3, size, dtype=dtype)
        assert_all_close(run(layer, x, dy=dy), run(twin, x, dy=dy), dtype)
        for steps in (x, x[:, :1]):
            assert_close(layer(steps)[0], twin(steps)[0], 2e-6 if dtype == "float32" else 1e-14, f"{N} rows")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])
@pytest.mark.parametrize(("I", "H"), [(1, 20), (1, 50), (420, 420)])
def test_parts_of_vectors_beside_whole_ones(cell, I, H, dtype):
    """One input, whose weights' gradient is one row; weights of more than 2 MB, which are packed past the caches."""
    layer = make(cell, I, H, dtype=dtype, seed=0)
    x, dy = normal("x", 2, 3, I, dtype=dtype), normal("dy", 2, 3, H, dtype=dtype)
    assert_all_close(run(layer, x, dy=dy), run(reference_twin(layer, cell), x, dy=dy), dtype)


@pytest.mark.parametrize("init", ["default", "torch", 0.1])
@pytest.mark.parametrize("cell", CELLS)
def test_same_seed_same_weights(cell, init):
    """Engine and reference draw the same initial values from the same seed."""
    options = {"bidirectional": True, "init": init, "seed": 3, "dtype": "float32"}
    layer, twin = make(cell, 4, 6, 2, **options), make(cell, 4, 6, 2, module=reference, **options)
    for name, value in layer.state_dict().items():
        assert_close(value, twin.state_dict()[name], 0.0, name)
