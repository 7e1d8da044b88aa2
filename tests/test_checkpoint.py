"""Tapes that keep less: with `checkpoint` the bits of the plain run, in bfloat16 gradients within its rounding."""

import gc
import sys
import threading

import numpy as np
import pytest
from helpers import (
    CELLS,
    DTYPES,
    FORWARD,
    GRADIENT,
    assert_close,
    assert_same_bits,
    batch_of,
    bits,
    layer_of,
    make,
    normal,
    peak_growths,
    run,
    state_like,
)
from shapes import CASES

import fastrnn
from fastrnn import _engine, reference
from fastrnn.layers import recurrent

I, H = 3, 17
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
pytestmark = pytest.mark.filterwarnings("ignore:dropout=.* has no effect")  # where the stack is a single layer
every_stack = pytest.mark.parametrize(("layers", "directions"), [(1, 1), (3, 1), (2, 2)])
OPTIONS = {  # the class, and what is varied besides dropout of outputs and weights
    "projected": ("LSTM", {"proj_size": 5}),
    "peephole": ("LSTM", {"peephole": True}),
    "projected-all": (
        "LSTM",
        {"proj_size": 11, "peephole": True, "clip": 0.5, "activations": ("sigmoid", "elu", "tanh")},
    ),
    "coupled": ("LSTM", {"coupled": True, "peephole": True}),
    "gru": ("GRU", {"activations": ("hard_sigmoid", "softsign")}),
    "rnn": ("RNN", {"clip": 0.4}),
    "lstm-norm": ("LSTM", {"layer_norm": True}),
    "gru-norm": ("GRU", {"layer_norm": True}),
}
every_option = pytest.mark.parametrize("option", OPTIONS)
MANY_SEGMENTS = [(150, 21), (33, 97), (400, 9), (3, 1300)]  # N, T: blocks of 10, 22, 7 and 128 steps


def rows(kind, N, T):
    """Which steps are real and where rows restart; some rows begin late, pause for segments or never begin."""
    rng = np.random.default_rng(N)
    mask = rng.random((N, T)) < 0.6
    mask[0], mask[1, : 2 * T // 3], mask[2, T // 4 : 3 * T // 4] = False, False, False
    return {
        "full": {},
        "lengths": {"lengths": rng.integers(0, T + 1, N)},
        "late": {"mask": np.broadcast_to(np.arange(T) >= T // 2, (N, T))},
        "mask": {"mask": mask, "resets": rng.random((N, T)) < 0.05, "pad": "hold"},
    }[kind]


def again(layer, *arguments, **options):
    """`run` with the dropout masks of the call before."""
    layer.forward_count = 0
    return run(layer, *arguments, **options)


def least(layer, *arguments, **options):
    """The smallest budget, as the error for none at all names it."""
    with pytest.raises(ValueError, match="checkpoint must be at least") as error:
        layer.forward(*arguments, checkpoint=0, **options)
    return int(str(error.value).split("at least ")[1].split()[0])


# The same bits


@every_dtype
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_shape(case, dtype, monkeypatch):
    """Every block a segment, where a tape so short would rather be kept whole."""
    monkeypatch.setattr(recurrent, "segments_for", lambda checkpoint, T, groups, sizes: (sizes.block, 0))
    batch, layer = batch_of(case, dtype), layer_of(case, dtype)
    assert_same_bits(run(layer, **batch, checkpoint="sqrt"), run(layer, **batch))


@pytest.mark.parametrize("kind", ["full", "lengths", "late", "mask"])
@every_stack
@every_cell
def test_many_segments(cell, layers, directions, kind):
    """Over several segments: states handed on, rows that begin, pause, restart and end anywhere, dropout, ids."""
    layer = make(cell, I, H, layers, bidirectional=directions == 2, dropout=0.3, seed=0)
    for N, T in MANY_SEGMENTS:
        x, dy = normal("x", N, T, I), normal("dy", N, T, directions * H)
        state, dstate, options = state_like(layer, N, "s"), state_like(layer, N, "d"), rows(kind, N, T)
        ids = np.random.default_rng(0).integers(0, I, (N, T))
        for arguments in ((x, state, dy, dstate), (x, None, dy), (ids, None, dy)):
            expected = again(layer, *arguments, **options)
            assert_same_bits(again(layer, *arguments, **options, checkpoint="sqrt"), expected, f"{N}, {T}")


@every_stack
@every_option
def test_every_option(option, layers, directions):
    """Other traits, projections, dropped weights, sparse gradients; a tape also shows the same of them."""
    layer = varied(option, layers, directions, H)
    P = layer.proj_size or H
    for (N, T), kind in (((400, 9), "full"), ((33, 97), "mask")):
        x, dy, ids = normal("x", N, T, I), normal("dy", N, T, directions * P), two_ids(N, T)
        state, dstate, options = state_like(layer, N, "s"), state_like(layer, N, "d"), rows(kind, N, T)
        for arguments in ((x, state, dy, dstate), (ids, None, dy)):
            expected = dense(again(layer, *arguments, **options))
            assert_same_bits(dense(again(layer, *arguments, **options, checkpoint="sqrt")), expected, f"{N}, {T}")
    shown, sizes = [], []
    for checkpoint in (None, "sqrt"):
        layer.forward_count = 0
        tape = layer.forward(x, state, **options, checkpoint=checkpoint)[2]
        tape.watch()
        gates, masks = tape.gates(), tape.weight_masks()
        sizes.append(tape.nbytes)
        layer.backward(tape, dy)
        shown.append({"gates": gates, "masks": masks, "seen": tape.hidden_gradients()})
    assert_same_bits(shown[1], shown[0])
    assert sizes[1] < sizes[0]


def two_ids(N, T):
    """One that the vocabulary holds between them never occurs: its sparse gradient has no row."""
    return 2 * np.random.default_rng(0).integers(0, 2, (N, T))


def varied(option, layers, directions, H, module=fastrnn, **others):
    name, options = OPTIONS[option]
    return getattr(module, name)(
        I, H, layers, bidirectional=directions == 2, dropout=0.3, weight_dropout=0.4, sparse_grad=True, seed=0,
        **options, **others,
    )  # fmt: skip


def dense(results):
    return {
        name: (value.indices, value.values) if isinstance(value, fastrnn.SparseRows) else value
        for name, value in results.items()
    }


@every_stack
@every_cell
def test_budgets(cell, layers, directions):
    """From the least to more than all: no more is kept than may be, and a budget is made use of."""
    layer, (N, T) = make(cell, I, H, layers, bidirectional=directions == 2, dropout=0.3, seed=0), (33, 97)
    arguments = normal("x", N, T, I), state_like(layer, N, "s"), normal("dy", N, T, directions * H)
    expected = again(layer, *arguments)
    plain, first = layer.forward(arguments[0])[2].nbytes, least(layer, arguments[0])
    held = []
    for budget in np.linspace(first, 3 * plain, 6).astype(int):
        assert_same_bits(again(layer, *arguments, checkpoint=budget), expected)
        held.append(layer.forward(arguments[0], checkpoint=budget)[2].nbytes)
        assert held[-1] <= budget
    assert held[0] < held[1] < held[2]
    assert held[-1] == plain


@pytest.mark.parametrize("batch_first", [True, False])
def test_forms(batch_first):
    """Unbatched, time-major, `out=`, and a tape that is used twice."""
    layer, T = make("lstm", I, H, 2, batch_first=batch_first, dtype="float64", seed=0), 1300
    x, dy = normal("x", T, I, dtype="float64"), normal("dy", T, H, dtype="float64")
    assert_same_bits(run(layer, x, None, dy, checkpoint="sqrt"), run(layer, x, None, dy))
    x, dy = (np.stack([array, -array], axis=not batch_first) for array in (x, dy))
    expected = run(layer, x, None, dy)
    out = np.empty_like(dy)
    y, _, tape = layer.forward(x, checkpoint="sqrt", out=out)
    assert y is out
    assert_same_bits(y, expected["y"])
    for retain in (True, False):
        dx, _, grads = layer.backward(tape, dy, retain=retain)
        assert_same_bits({"dx": dx, **grads}, {name: expected[name] for name in ("dx", *grads)})
    assert tape.nbytes == 0
    with pytest.raises(ValueError, match="spent"):
        layer.backward(tape, dy)


@pytest.mark.parametrize("threads", [2, 3])
@every_stack
def test_threads(layers, directions, threads):
    for cell, width, options in (("gru", 130, {}), ("lstm", 70, {"proj_size": 70})):
        layer = make(cell, 5, 130, layers, bidirectional=directions == 2, seed=0, **options)
        assert_no_bit_depends_on(threads, layer, directions * width)


def assert_no_bit_depends_on(threads, layer, width):
    for N, T in ((1, 400), (40, 20)):
        x, dy = normal("x", N, T, 5), normal("dy", N, T, width)
        expected = run(layer, x, None, dy)
        before = fastrnn.get_num_threads()
        try:
            fastrnn.set_num_threads(threads)
            assert_same_bits(run(layer, x, None, dy, checkpoint="sqrt"), expected)
            half = run(layer, x, None, dy, tape_dtype="bfloat16")
        finally:
            fastrnn.set_num_threads(before)
        assert_same_bits(half, run(layer, x, None, dy, tape_dtype="bfloat16"))


@pytest.mark.parametrize("options", [{"checkpoint": "sqrt"}, {"tape_dtype": "bfloat16"}], ids=["sqrt", "bfloat16"])
@every_stack
def test_nothing_at_all(layers, directions, options):
    """No rows, over any number of blocks, or no steps: the plain results, and gradients of zero."""
    for cell, fixed in (("lstm", {}), ("lstm", {"proj_size": 5, "peephole": True}), ("gru-before", {})):
        layer = make(cell, I, H, layers, bidirectional=directions == 2, seed=0, **fixed)
        run(layer, normal("x", 2, 3, I), None, normal("dy", 2, 3, directions * (layer.proj_size or H)))  # soils memory
        for N, T in ((0, 5), (0, 900), (3, 0)):
            state, dstate = state_like(layer, N, "s"), state_like(layer, N, "d")
            for x in (normal("x", N, T, I), np.zeros((N, T), int)):
                actual = run(layer, x, state, None, dstate, **options)
                assert_same_bits(actual, run(layer, x, state, None, dstate))
                assert not any(actual[name].any() for name in layer.parameters)


# What such a tape shows


@every_stack
@every_cell
def test_gates_and_hidden_gradients(cell, layers, directions):
    """As a plain tape shows them, dropout masks too; gates are run again, and not with other parameters."""
    layer, (N, T) = make(cell, I, H, layers, bidirectional=directions == 2, dropout=0.3, seed=0), (33, 97)
    x, dy, options = normal("x", N, T, I), normal("dy", N, T, directions * H), rows("mask", 33, 97)
    shown = []
    for checkpoint in (None, "sqrt"):
        layer.forward_count = 0
        tape = layer.forward(x, state_like(layer, N, "s"), **options, checkpoint=checkpoint)[2]
        tape.watch()
        gates = tape.gates()
        dx = layer.backward(tape, dy, retain=True)[0]
        shown.append({"dx": dx, "masks": tape.masks(), "gates": gates, "seen": tape.hidden_gradients()})
    assert_same_bits(shown[1], shown[0])
    layer.set_parameters(weight_ih_l0=layer.parameters["weight_ih_l0"] * 2)
    with pytest.raises(ValueError, match="older than the layer's parameters"):
        tape.gates()


# bfloat16


@pytest.mark.parametrize("kind", ["full", "late", "mask"])
@every_stack
@every_cell
def test_bfloat16_is_a_rounding_of_what_is_kept(cell, layers, directions, kind):
    """The gradients are those of the reference, which rounds every kept number; outputs and states are untouched.

    The reference keeps r and h of the reset before, the engine r h: their products differ by one rounding.
    """
    options = {"bidirectional": directions == 2, "dropout": 0.3, "dtype": "float64", "seed": 0, "init": 0.3}
    layer, same = (make(cell, I, 5, layers, module=module, **options) for module in (fastrnn, reference))
    N, T = 33, 40
    for x in (normal("x", N, T, I, dtype="float64"), np.random.default_rng(0).integers(0, I, (N, T))):
        state, dstate, dy = state_like(layer, N, "s"), state_like(layer, N, "d"), normal("dy", N, T, directions * 5)
        plain = again(layer, x, state, dy, dstate, **rows(kind, N, T))
        half = again(layer, x, state, dy, dstate, **rows(kind, N, T), tape_dtype="bfloat16")
        expected = again(same, x, state, dy, dstate, **rows(kind, N, T), tape_dtype="bfloat16")
        for name in expected:
            if name in ("y", "h", "c"):
                assert_same_bits(half[name], plain[name])
            loose = cell == "gru-before" and name.startswith("weight_hh")
            assert_close(half[name], expected[name], 0.02 if loose else GRADIENT["float64"], name)


@every_stack
@every_option
def test_bfloat16_of_every_option(option, layers, directions):
    """The same of other traits, projections, dropped weights, sparse gradients."""
    layer, same = (
        varied(option, layers, directions, 12, module, dtype="float64", init=0.3) for module in (fastrnn, reference)
    )
    N, T, P = 33, 40, layer.proj_size or 12
    for x in (normal("x", N, T, I, dtype="float64"), two_ids(N, T)):
        state, dstate, dy = state_like(layer, N, "s"), state_like(layer, N, "d"), normal("dy", N, T, directions * P)
        actual, expected = (
            again(each, x, state, dy, dstate, **rows("mask", N, T), tape_dtype="bfloat16") for each in (layer, same)
        )
        for name, value in expected.items():
            got = actual[name]
            if isinstance(value, fastrnn.SparseRows):
                assert_same_bits(got.indices, value.indices)
                got, value = got.values, value.values
            assert_close(got, value, GRADIENT["float64"], name)


@every_dtype
@every_cell
def test_bfloat16_error(cell, dtype):
    """The bound that docs/memory.md gives: 2 % of a gradient's largest number, over 100 steps of a stack."""
    layer, (N, T) = make(cell, 20, 64, 2, dtype=dtype, seed=0), (16, 100)
    x, dy = normal("x", N, T, 20, dtype=dtype), normal("dy", N, T, 64, dtype=dtype)
    plain, half = run(layer, x, None, dy), run(layer, x, None, dy, tape_dtype="bfloat16")
    for name in plain:
        error = np.abs(half[name] - plain[name]).max() / np.abs(plain[name]).max()
        assert error <= (0 if name in ("y", "h", "c") else 0.02), f"{name}: {error}"


@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 1), (2, 2)])
@every_cell
def test_bfloat16_halves_the_tape(cell, layers, directions):
    layer, (N, T) = make(cell, I, 64, layers, bidirectional=directions == 2, dropout=0.3, seed=0), (16, 200)
    plain, half = (layer.forward(normal("x", N, T, I), tape_dtype=kind)[2].nbytes for kind in (None, "bfloat16"))
    assert half <= 0.52 * plain


@every_dtype
def test_bfloat16_rounds_to_nearest_even(dtype):
    """What a linear RNN keeps of its input: ties, a carry into the exponent, infinities, the smallest numbers."""
    x = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 2 - 2**-9, -1 - 2**-8 - 2**-20, 0, 3e38, 2e-38, np.inf, -np.inf])
    layer = make("rnn-linear", 1, 1, bias=False, dtype=dtype, seed=0)
    layer.set_parameters(weight_ih_l0=np.ones((1, 1)), weight_hh_l0=np.zeros((1, 1)))
    tape = layer.forward(x.astype(dtype).reshape(-1, 1, 1), tape_dtype="bfloat16")[2]
    expected = [1, 1, 1 + 2**-6, 2, -1 - 2**-7, 0, 3e38, 2e-38, np.inf, -np.inf]
    got = tape.gates()[0]["h"].ravel()
    np.testing.assert_allclose(got, expected, rtol=2**-9)
    assert_same_bits(got[:6], np.array(expected, dtype)[:6])
    nan = np.array(0x7FFFFFFF, np.uint32).view(np.float32)  # would carry into the sign
    tape = layer.forward(np.full((1, 1, 1), nan, dtype), tape_dtype="bfloat16")[2]
    assert np.isnan(tape.gates()[0]["h"]).all()


# Memory


LONG = (
    "import numpy as np, fastrnn\n"
    "layer = fastrnn.LSTM(3, 32, 2, bidirectional={}, seed=0)\n"
    "x = np.zeros((2, 20_000, 3), 'float32')\n"
    "dy = np.ones((2, 20_000, 32 * {}), 'float32')\n"
    "layer.backward(layer.forward(x[:, :1])[2])\n"
    "def train(**how):\n"
    "    layer.backward(layer.forward(x, **how)[2], dy)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say how much memory was held")
@pytest.mark.parametrize("directions", [1, 2])
def test_twenty_thousand_steps(directions):
    """As the system counts it, beside the plain run: y, dx and what lies between bidirectional layers are whole."""
    number, outputs = 2 * 20_000 * 32 * 4 * directions, 2 * 20_000 * 3 * 4
    prepare = LONG.format(directions == 2, directions)
    sqrt, half, plain = peak_growths(
        prepare, "lambda: train(checkpoint='sqrt')", "lambda: train(tape_dtype='bfloat16')", "lambda: train()"
    )
    between = 2 * number if directions == 2 else 0  # the lower layer's output, and its gradient
    assert sqrt < number + outputs + between + 4e6
    assert sqrt + half < 8.1 * number + 4e6  # y and two layers' six numbers, half as wide
    assert sqrt + half + plain > 13 * number


@every_stack
@every_cell
def test_a_repeated_call_allocates_its_outputs_alone(cell, layers, directions):
    """Of what grows with the sequence: y, which `out=` takes away too; a training step finds all its memory again."""
    layer, (N, T) = make(cell, I, H, layers, bidirectional=directions == 2, dropout=0.3, seed=0), (33, 97)
    x, dy, lengths = normal("x", N, T, I), normal("dy", N, T, directions * H), rows("lengths", N, T)["lengths"]
    allocated, out = _engine.load("float32").allocated, np.empty_like(dy)
    gc.collect()  # what others left must not come back between the calls
    fastrnn.release_memory()  # so that sizes which other calls left do not stand in for those of this one
    for options in ({}, {"lengths": lengths}):
        for how in ({}, {"checkpoint": "sqrt"}):
            quiet = 0  # calls in a row that found all their memory: buffers of many sizes take some calls to settle
            for _ in range(30):
                before = allocated()
                layer(x, **options)
                layer.backward(layer.forward(x, **options, **how)[2], dy)
                quiet = quiet + 1 if allocated() == before else 0
                if quiet == 3:
                    break
            assert quiet == 3, how
        held = []
        for _ in range(3):
            before = allocated()
            held.append(layer(x, **options)[0])
        assert allocated() - before <= dy.nbytes
        before = allocated()
        held += [layer(x, **options, out=out)[0] for _ in range(3)]
        assert allocated() == before


def test_other_calls_at_the_same_time():
    """The gradient between two layers lasts through the descent, whatever other threads ask of the engine."""
    layer, other = (fastrnn.LSTM(8, 64, 3, seed=seed) for seed in (0, 1))
    x, done = normal("x", 16, 400, 8), threading.Event()

    def train():
        y, _, tape = layer.forward(x, checkpoint="sqrt")
        return layer.backward(tape, y)

    def disturb():
        while not done.is_set():
            for N in (4, 8, 16, 12):
                y, _, tape = other.forward(x[:N, :24])
                other.backward(tape, y)

    expected = train()
    threads = [threading.Thread(target=disturb) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        results = [train() for _ in range(20)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    for result in results:
        assert_same_bits(result, expected)


# Refusals


@pytest.mark.parametrize("module", [fastrnn, reference], ids=["engine", "reference"])
def test_refusals(module):
    layer = make("lstm", I, H, module=module, seed=0)
    x = normal("x", 2, 300, I)
    for wrong in ("root", 2.5, True, b"sqrt", [1]):
        with pytest.raises(ValueError, match=r'checkpoint must be None, "sqrt" or a number of bytes, got'):
            layer.forward(x, checkpoint=wrong)
    for wrong in ("float16", "float32", np.float32, 16):
        with pytest.raises(ValueError, match=r'tape_dtype must be None or "bfloat16", got'):
            layer.forward(x, tape_dtype=wrong)
    with pytest.raises(ValueError, match="give one of them"):
        layer.forward(x, checkpoint="sqrt", tape_dtype="bfloat16")
    assert layer.forward_count == 0


def test_the_least_budget():
    """The error names it, it suffices, one byte less does not; after the error the layer is as before."""
    layer, x = make("lstm", I, H, 2, dropout=0.3, seed=0), normal("x", 4, 3000, I)
    expected = make("lstm", I, H, 2, dropout=0.3, seed=0).forward(x)[0]
    enough = least(layer, x)
    with pytest.raises(ValueError, match=f"at least {enough} bytes for this call, got {enough - 1}"):
        layer.forward(x, checkpoint=enough - 1)
    assert bits(layer.forward(x, checkpoint=enough)[0]) == bits(expected)


def test_reference_takes_the_same_arguments():
    layer, same = (make("gru", I, H, 2, module=module, dtype="float64", seed=0) for module in (fastrnn, reference))
    x, dy = normal("x", 3, 20, I, dtype="float64"), normal("dy", 3, 20, H, dtype="float64")
    actual, expected = (run(each, x, None, dy, checkpoint="sqrt") for each in (layer, same))
    for name in expected:
        assert_close(actual[name], expected[name], FORWARD["float64"], name)


@pytest.mark.parametrize("options", [{"checkpoint": "sqrt"}, {"tape_dtype": "bfloat16"}])
def test_arrays_are_not_given_away(options):
    layer, x = make("lstm", I, H, seed=0), normal("x", 4, 3000, I)
    y, _, tape = layer.forward(x, **options)
    with pytest.raises(ValueError, match="tape keeps less, by checkpoint or tape_dtype"):
        tape.unload()
    assert np.isfinite(layer.backward(tape, y)[0]).all()
