"""Lengths, masks with holes, resets and `pad="hold"`, each shown against rows that were run one by one without them."""

from time import perf_counter

import numpy as np
import pytest
from helpers import (
    CELLS,
    DTYPES,
    FORWARD,
    GRADIENT,
    assert_all_close,
    assert_close,
    assert_same_bits,
    is_lstm,
    make,
    named,
    normal,
    run,
    state_like,
)

I, H, N, T = 3, 17, 5, 7
MASK = np.array(
    [[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0, 0]],
    bool,
)
LENGTHS = np.array([7, 3, 0, 1, 6])

every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
both_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])


def part_of(state, rows):
    return tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]


def arguments(layer, dtype):
    """Input, state, dy, dstate for a batch of N rows of T steps."""
    D = 1 + layer.bidirectional
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, D * H, dtype=dtype)
    return x, state_like(layer, N, "state"), dy, state_like(layer, N, "dstate")


def assert_equals_rows(layer, dtype, active, got, x, state, dy, dstate):
    """`got` is what the active steps of each row give when that row runs alone: forward bit for bit."""
    sums = {name: np.zeros(value.shape) for name, value in layer.parameters.items()}
    for n in range(len(active)):
        steps = np.flatnonzero(active[n])
        alone = run(layer, x[n : n + 1, steps], part_of(state, [n]), dy[n : n + 1, steps], part_of(dstate, [n]))
        assert_same_bits(got["y"][n, steps], alone["y"][0])
        assert_close(got["dx"][n, steps], alone["dx"][0], GRADIENT[dtype], "dx")
        assert not got["y"][n, ~active[n]].any()
        assert not got["dx"][n, ~active[n]].any()
        for name in named(state, ""):
            assert_same_bits(got[name][:, n], alone[name][:, 0])
            assert_close(got["d" + name][:, n], alone["d" + name][:, 0], GRADIENT[dtype], "d" + name)
        for name in sums:
            sums[name] += alone[name]
    for name in sums:
        assert_close(got[name], sums[name], GRADIENT[dtype], name)


@every_dtype
@both_directions
@every_cell
@pytest.mark.parametrize("kind", ["lengths", "mask"])
def test_equals_rows_alone(kind, cell, bidirectional, dtype):
    layer = make(cell, I, H, 2, bidirectional=bidirectional, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, dtype)
    ragged = {"lengths": LENGTHS} if kind == "lengths" else {"mask": MASK}
    active = np.arange(T) < LENGTHS[:, None] if kind == "lengths" else MASK
    got = run(layer, x, state, dy, dstate, **ragged)
    assert_equals_rows(layer, dtype, active, got, x, state, dy, dstate)


@every_dtype
@both_directions
@every_cell
@pytest.mark.parametrize("kind", ["lengths", "mask"])
def test_rows_that_stay_the_same(kind, cell, bidirectional, dtype):
    """Steps in a row with the same active rows, between changes of every sort, in inference and in training."""
    counts, sets = (10, 2, 1, 13, 3, 11), ([0, 1, 2, 4], [1, 2], [0, 3, 4], [0, 1, 2, 3, 4], [], [0, 3])
    active = np.zeros((5, sum(counts)), bool)
    for first, count, rows in zip(np.cumsum((0, *counts)), counts, sets, strict=False):
        active[rows, first : first + count] = True
    if kind == "lengths":
        active = np.arange(active.shape[1]) < np.array([40, 12, 12, 0, 39])[:, None]
    layer = make(cell, I, 33, 2, bidirectional=bidirectional, dtype=dtype, seed=0)
    x, state = normal("x", *active.shape, I, dtype=dtype), state_like(layer, 5, "state")
    dy = normal("dy", *active.shape, layer(x)[0].shape[2], dtype=dtype)
    ragged = {"lengths": active.sum(axis=1)} if kind == "lengths" else {"mask": active}
    y, final = layer(x, state, **ragged)
    assert_equals_rows(layer, dtype, active, run(layer, x, state, dy, state, **ragged), x, state, dy, state)
    kept, kept_final, _ = layer.forward(x, state, **ragged)
    assert_same_bits(y, kept)
    for part, kept_part in zip(named(final, "").values(), named(kept_final, "").values(), strict=True):
        assert_same_bits(part, kept_part)


@every_dtype
@both_directions
@every_cell
def test_lengths_are_a_mask(cell, bidirectional, dtype):
    layer = make(cell, I, H, 2, bidirectional=bidirectional, dtype=dtype, seed=0)
    batch = arguments(layer, dtype)
    assert_same_bits(
        run(layer, *batch, lengths=LENGTHS), run(layer, *batch, mask=np.arange(T) < LENGTHS[:, None])
    )  # fmt: skip
    assert_same_bits(run(layer, *batch), run(layer, *batch, lengths=np.full(N, T)))
    assert_same_bits(run(layer, *batch), run(layer, *batch, mask=np.ones((N, T), bool)))
    assert_same_bits(run(layer, *batch), run(layer, *batch, resets=np.zeros((N, T), bool)))


@every_dtype
@pytest.mark.parametrize("batch_first", [True, False])
@every_cell
@pytest.mark.parametrize("kind", ["lengths", "mask"])
@pytest.mark.parametrize("pad", ["zero", "hold"])
def test_garbage_at_padded_steps(pad, kind, cell, batch_first, dtype):
    """nan, inf and ids out of range at padded steps reach no result, no gradient and no error."""
    layer = make(cell, I, H, 2, bidirectional=True, batch_first=batch_first, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, dtype)
    ids = np.random.default_rng(0).integers(0, I, (N, T))
    ragged = {"lengths": LENGTHS} if kind == "lengths" else {"mask": MASK}
    active = np.arange(T) < LENGTHS[:, None] if kind == "lengths" else MASK

    def laid(array):
        return array if batch_first else array.swapaxes(0, 1)

    def on(x, dy):
        options = ragged if kind == "lengths" else {"mask": laid(MASK)}
        return run(layer, laid(x), state, laid(dy), dstate, pad=pad, **options)

    for garbage in (np.nan, np.inf, -np.inf, 3e38):
        spoilt, upper = x.copy(), dy.copy()
        spoilt[~active] = garbage
        for half, reverse in ((slice(0, H), False), (slice(H, None), True)):
            shows_no_output = ~active if pad == "zero" else held_from(active, reverse) < 0
            upper[shows_no_output, half] = garbage
        assert_same_bits(on(spoilt, upper), on(x, dy))
    for garbage in (-1, I, 2**62, -(2**62)):
        spoilt = ids.copy()
        spoilt[~active] = garbage
        assert_same_bits(on(spoilt, dy), on(ids, dy))


def held_from(active, reverse):
    """For every step the step whose output it shows: itself if active, else the last before it in processing order."""
    source = np.full(active.shape, -1)
    for n in range(len(active)):
        last = -1
        for t in range(active.shape[1])[:: -1 if reverse else 1]:
            last = t if active[n, t] else last
            source[n, t] = last
    return source


@every_dtype
@every_cell
@pytest.mark.parametrize("kind", ["lengths", "mask"])
def test_hold(kind, cell, dtype):
    """A held step repeats the last output in processing order, and hands its gradient to it."""
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, dtype)
    ragged = {"lengths": LENGTHS} if kind == "lengths" else {"mask": MASK}
    active = np.arange(T) < LENGTHS[:, None] if kind == "lengths" else MASK
    held = run(layer, x, state, dy, dstate, pad="hold", **ragged)

    gathered = np.zeros_like(dy)
    for half, reverse in ((slice(0, H), False), (slice(H, None), True)):
        source = held_from(active, reverse)
        for n, t in np.argwhere(source >= 0):
            gathered[n, source[n, t], half] += dy[n, t, half]
    zero = run(layer, x, state, gathered, dstate, **ragged)
    y = zero.pop("y")
    expected = np.zeros_like(y)
    for half, reverse in ((slice(0, H), False), (slice(H, None), True)):
        source = held_from(active, reverse)
        for n, t in np.argwhere(source >= 0):
            expected[n, t, half] = y[n, source[n, t], half]
    assert_same_bits(held.pop("y"), expected)
    assert_all_close(held, zero, dtype)


RESETS = np.array(
    [[0, 0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1]],
    bool,
)


def segments(n, active, resets):
    """The active steps of row n, cut before each step that has a reset; and whether the first step has one."""
    steps = np.flatnonzero(active[n])
    cuts = np.flatnonzero(resets[n, steps])
    return [piece for piece in np.split(steps, cuts) if len(piece)], 0 in cuts


@every_dtype
@both_directions
@every_cell
@pytest.mark.parametrize("ragged", ["full", "lengths", "mask"])
def test_resets_are_separate_sequences(ragged, cell, bidirectional, dtype):
    """One layer: a row with resets equals its pieces run alone, each from zero state; no gradient crosses."""
    layer = make(cell, I, H, bidirectional=bidirectional, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, dtype)
    active = {"full": np.ones((N, T), bool), "lengths": np.arange(T) < LENGTHS[:, None], "mask": MASK}[ragged]
    options = {"full": {}, "lengths": {"lengths": LENGTHS}, "mask": {"mask": MASK}}[ragged]
    got = run(layer, x, state, dy, dstate, resets=RESETS, **options)

    names = list(named(state, ""))
    sums = {name: np.zeros(value.shape) for name, value in layer.parameters.items()}
    for n in range(N):
        pieces, discarded = segments(n, active, RESETS)
        last = len(pieces) - 1
        finals = {name: part[:, n].copy() for name, part in named(state, "").items()}
        initials = {name: part[:, n].copy() for name, part in named(dstate, "").items()}
        if discarded:
            for name in names:
                initials[name][0] = 0
        for k, steps in enumerate(pieces):
            # which piece each direction enters with the given state, and which it leaves with the final one
            enters = [k == 0 and not discarded, k == last][: 1 + bidirectional]
            leaves = [k == last, k == 0][: 1 + bidirectional]
            start, above = part_of(state, [n]), part_of(dstate, [n])
            for name in names:
                named(start, "")[name][np.logical_not(enters)] = 0
                named(above, "")[name][np.logical_not(leaves)] = 0
            alone = run(layer, x[[n]][:, steps], start, dy[[n]][:, steps], above)
            assert_same_bits(got["y"][n, steps], alone["y"][0])
            assert_close(got["dx"][n, steps], alone["dx"][0], GRADIENT[dtype], "dx")
            for name in names:
                finals[name][leaves] = alone[name][leaves, 0]
                initials[name][enters] = alone["d" + name][enters, 0]
            for name in sums:
                sums[name] += alone[name]
        for name in names:
            assert_close(got[name][:, n], finals[name], FORWARD[dtype], name)
            assert_close(got["d" + name][:, n], initials[name], GRADIENT[dtype], "d" + name)
    for name in sums:
        assert_close(got[name], sums[name], GRADIENT[dtype], name)


@every_dtype
@every_cell
def test_reset_of_the_first_step_discards_the_state(cell, dtype):
    layer = make(cell, I, H, 2, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, dtype)
    resets = np.zeros((N, T), bool)
    resets[:, 0] = True
    got, bare = run(layer, x, state, dy, dstate, resets=resets), run(layer, x, None, dy, dstate)
    for name in named(state, "d"):
        assert not got[name].any()
    for name in ("y", "dx", *named(state, ""), *layer.parameters):
        assert_close(got[name], bare[name], FORWARD[dtype], name)


@every_dtype
@both_directions
@every_cell
def test_resets_act_only_at_real_steps(cell, bidirectional, dtype):
    layer = make(cell, I, H, 2, bidirectional=bidirectional, dtype=dtype, seed=0)
    batch = arguments(layer, dtype)
    assert_same_bits(run(layer, *batch, mask=MASK, resets=~MASK), run(layer, *batch, mask=MASK))


@every_cell
def test_time_follows_the_real_steps(cell):
    """A batch with 1 % of its steps real takes far less than the full one."""
    layer = make(cell, 32, 64, seed=0)
    x = normal("x", 16, 400, 32)
    dy = normal("dy", 16, 400, 64)

    def best(**ragged):
        times = []
        for _ in range(5):
            start = perf_counter()
            run(layer, x, None, dy, **ragged)
            times.append(perf_counter() - start)
        return min(times)

    full, short = best(), best(lengths=np.full(16, 4))
    assert short < full / 3


@every_cell
def test_time_major_masks(cell):
    """`mask` and `resets` lie as the input does."""
    rows, columns = (make(cell, I, H, 2, bidirectional=True, batch_first=b, seed=0) for b in (True, False))
    x, state, dy, dstate = arguments(rows, "float32")
    expected = run(rows, x, state, dy, dstate, mask=MASK, resets=RESETS)
    got = run(
        columns, x.swapaxes(0, 1), state, dy.swapaxes(0, 1), dstate, mask=MASK.T, resets=RESETS.T
    )  # fmt: skip
    for name in ("y", "dx"):
        got[name] = got[name].swapaxes(0, 1)
    assert_same_bits(got, expected)


def test_pad_names_two_ways():
    layer = make("lstm", I, H, seed=0)
    assert is_lstm(layer)
    with pytest.raises(ValueError, match="pad"):
        layer(normal("x", N, T, I), pad="repeat")
