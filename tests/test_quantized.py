"""Layers in low precision: their arithmetic against exact integers, and all that a layer for inference must do."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers import RECURRENT, assert_close, assert_same_bits, is_lstm, make, normal, state_like

import fastrnn
from fastrnn import _engine, reference
from fastrnn.reference.quantized import levels
from fastrnn.reference.sequence import bfloat16

PRECISIONS = ("bfloat16", "int8")
every_cell = pytest.mark.parametrize("cell", RECURRENT)
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


def part(state, n: int):
    return tuple(p[:, n : n + 1] for p in state) if isinstance(state, tuple) else state[:, n : n + 1]


@each_precision
@every_cell
@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize(
    ("N", "I", "H"),
    [(1, 1, 1), (1, 3, 5), (1, 67, 150), (5, 18, 33), (7, 530, 16), (29, 5, 9), (2, 64, 600)],
)
def test_against_exact_products(N, I, H, ids, cell, precision):
    """Step by step from the engine's own states, since a state half way between two numbers may go either way."""
    layer = make(cell, I, H, seed=0, init=1 / H**0.5)
    twin = make(cell, I, H, seed=0, init=1 / H**0.5, module=reference).quantize(precision)
    x = np.random.default_rng(0).integers(0, I, (N, 4)) if ids else 3 * normal("x", N, 4, I)
    q = layer.quantize(precision)
    state = state_like(layer, N, "state")
    for t in range(4):
        expected, after = twin(x[:, t : t + 1], state)
        y, state = q(x[:, t : t + 1], state)
        assert_close(y, expected, 2e-6, f"step {t}")
        for actual, wanted in zip(*(s if is_lstm(layer) else (s,) for s in (state, after)), strict=True):
            assert_close(actual, wanted, 2e-6, f"state after step {t}")


SUMS = """
import numpy as np, fastrnn
for N, I, H in ((1, 67, 150), (3, 131, 20), (29, 64, 70)):
    for precision in ("bfloat16", "int8"):
        q = fastrnn.RNN(I, H, nonlinearity="relu", seed=0, init=0.1).quantize(precision)
        y = q(np.random.default_rng(0).standard_normal((N, 9, I), dtype="float32"))[0]
        print(precision, N, y.tobytes().hex())
"""


def test_instruction_sets_give_the_same_bits():
    """Those with fused multiply-adds: what one instruction computes is what the others compute one by one."""
    info = fastrnn.cpu_info()
    sets = [isa for isa in ("avx2", "avx512") if isa in info["compiled"] and isa in info["detected"]]
    printed = {
        subprocess.run(
            [sys.executable, "-c", SUMS], env={**os.environ, "FASTRNN_ISA": isa}, capture_output=True, check=True
        ).stdout
        for isa in sets
    }
    assert len(printed) == min(len(sets), 1)


def test_int8_counts_exactly():
    """Linear units of levels and powers of two: every result is an integer that float32 holds."""
    I, H = 133, 40
    rng = np.random.default_rng(0)
    W, U = rng.integers(-127, 128, (H, I)), rng.integers(-127, 128, (H, H))
    W[:, 0], U[:, 0] = 127, -127  # so that each scale is 1
    x, h = rng.integers(-127, 128, (9, 1, I)), rng.integers(-127, 128, (1, 9, H))
    x[..., 0], h[..., 0] = -127, 127
    layer = fastrnn.RNN(I, H, nonlinearity="linear", bias=False)
    layer.set_parameters(weight_ih_l0=W, weight_hh_l0=U)
    y, _ = layer.quantize("int8")(x.astype("float32"), h.astype("float32"))
    np.testing.assert_array_equal(y[:, 0], x[:, 0] @ W.T + h[0] @ U.T)


def test_levels_of_the_reference():
    rows = np.array([[0.5, -1, 0.25], [0, 0, 0], [1e-31, 0, 0], [127, 2.5, -3.5]], "float32")
    q, scale = levels(rows)
    np.testing.assert_array_equal(q, [[64, -127, 32], [0, 0, 0], [0, 0, 0], [127, 2, -4]])
    np.testing.assert_array_equal(scale[:, 0], np.array([1 / 127, 0, 0, 1], "float32"))


def test_ties_go_to_even():
    """Numbers half way between two of bfloat16, and next to there."""
    values = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F817FFF, 0x80000000], np.uint32)
    layer = fastrnn.RNN(5, 1, bias=False)
    layer.set_parameters(weight_ih_l0=values.view("float32")[None])
    expected = np.array([0x3F80, 0x3F82, 0x3F81, 0x3F81, 0x8000], np.uint16)
    np.testing.assert_array_equal(layer.quantize("bfloat16")._codes()[0][0][:, 0], expected)
    np.testing.assert_array_equal(bfloat16(values.view("float32")).view(np.uint32) >> 16, expected)


@each_precision
@every_cell
@pytest.mark.parametrize(("N", "I", "H", "L"), [(1, 33, 65, 2), (9, 16, 17, 3)])
def test_streams_and_pieces_give_the_same_bits(N, I, H, L, cell, precision):
    q = make(cell, I, H, L, seed=0).quantize(precision)
    x = normal("x", N, 6, I)
    y, final = q(x)
    stream = q.stream(N)
    assert_same_bits(np.stack([stream.step(x[:, t]) for t in range(6)], axis=1), y)
    assert_same_bits(stream.state, final)
    first, state = q(x[:, :2])
    second, state = q(x[:, 2:], state)
    assert_same_bits(np.concatenate([first, second], axis=1), y)
    assert_same_bits(state, final)


@each_precision
@every_cell
def test_rows_are_alone_and_ragged(cell, precision):
    q = make(cell, 7, 21, 2, bidirectional=True, seed=0).quantize(precision)
    x, lengths = normal("x", 27, 5, 7), np.arange(27) % 6
    x[lengths[:, None] <= np.arange(5)] = np.nan
    y, final = q(x, lengths=lengths)
    for n in (0, 1, 5, 26):
        T = lengths[n]
        alone, state = q(x[n : n + 1, :T])
        assert_same_bits(np.ascontiguousarray(y[n : n + 1, :T]), alone)
        assert not y[n, T:].any()
        assert_same_bits(part(final, n), state)


@each_precision
@every_cell
def test_rows_that_begin_late(cell, precision):
    """Neither direction has a row in the first chunk of its steps, and an empty batch has none at all."""
    layer = make(cell, 7, 70, bidirectional=True, seed=0)
    q, x = layer.quantize(precision), normal("x", 2, 900, 7)
    mask = np.zeros((2, 900), bool)
    mask[:, 440:460] = True
    y = q(x, mask=mask)[0]
    assert_same_bits(y[:, 440:460], q(np.ascontiguousarray(x[:, 440:460]))[0])
    assert q(x[:0])[0].shape == (0, 900, 140)


@each_precision
@every_cell
def test_ids_resets_and_time_major(cell, precision):
    layer = make(cell, 11, 9, 2, seed=0, batch_first=False)
    q, ids = layer.quantize(precision), np.random.default_rng(0).integers(0, 11, (6, 4))
    y, final = q(ids)
    assert y.shape == (6, 4, 9)
    one_hot = q(np.eye(11, dtype="float32")[ids])[0]
    assert_close(one_hot, y, 1e-6)
    resets = np.zeros((6, 4), bool)
    resets[3] = True
    assert_same_bits(q(ids, resets=resets)[0][3:].copy(), q(ids[3:])[0])
    stream = q.stream(4)
    assert_same_bits(np.stack([stream.step(ids[t]) for t in range(6)]), y)
    assert_same_bits(stream.state, final)


@each_precision
@pytest.mark.parametrize("N", [2, 40])
def test_threads_do_not_show(N, precision):
    layer = fastrnn.GRU(256, 512, seed=0, init=0.05)
    q, x, before = layer.quantize(precision), normal("x", N, 12, 256), fastrnn.get_num_threads()
    try:
        fastrnn.set_num_threads(1)
        expected = q(x)
        fastrnn.set_num_threads(3)
        actual = q(x)
    finally:
        fastrnn.set_num_threads(before)
    assert_same_bits(actual[0], expected[0])
    assert_same_bits(actual[1], expected[1])


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-before", "rnn-tanh"])
def test_weights_take_a_half_and_a_quarter(cell):
    layer = make(cell, 256, 320, 2, seed=0)
    full = sum(p.nbytes for p in layer.parameters.values())
    assert layer.quantize("bfloat16").weight_bytes <= 0.52 * full
    q = layer.quantize("int8")
    assert q.weight_bytes <= 0.28 * full
    assert len(pickle.dumps(q)) <= 0.28 * full
    numbers = sum(p.size for p in layer.parameters.values())
    assert q.weight_bytes >= numbers  # a byte for each weight, and more for the scales


def test_the_path_is_named():
    info = fastrnn.cpu_info()
    wide = {"base": ("sse2 pmaddwd", "plain integers"), "avx2": ("avx2 vpmaddwd",), "avx512": ("avx512 vpmaddwd",)}
    paths = {
        "int8": (*wide[info["isa"]], f"{info['isa']} vpdpbusd"),
        "bfloat16": ("float32 multiply-add", f"{info['isa']} vdpbf16ps"),
    }
    for precision in PRECISIONS:
        assert fastrnn.LSTM(3, 5).quantize(precision).path in paths[precision]


@each_precision
def test_float64_layers_and_close_results(precision):
    layer = fastrnn.LSTM(30, 64, seed=0, dtype="float64")
    q, x = layer.quantize(precision), normal("x", 3, 20, 30, dtype="float64")
    y, (h, c) = q(x)
    assert y.dtype == h.dtype == c.dtype == q.dtype == np.float32
    off = np.abs(y - layer(x)[0]).max()
    assert 0 < off < 0.02


@each_precision
def test_not_numbers_stay_in_their_row(precision):
    q, x = fastrnn.GRU(6, 20, seed=0).quantize(precision), normal("x", 3, 4, 6)
    clean = q(x)[0]
    for bad in (np.nan, np.inf):
        x[1, 2, 3] = bad
        y = q(x)[0]
        assert_same_bits(y[[0, 2]], clean[[0, 2]])
        assert_same_bits(y[1, :2].copy(), clean[1, :2].copy())
        if precision == "int8" or np.isnan(bad):
            assert np.isnan(y[1, 2:]).all()


def test_infinity_reaches_bfloat16():
    layer = fastrnn.RNN(3, 2, nonlinearity="linear", bias=False)
    layer.set_parameters(weight_ih_l0=np.ones((2, 3)))
    x = np.array([[[1, np.inf, 2]], [[1, -np.inf, 2]], [[1, 2, 3e38]]], "float32")
    np.testing.assert_array_equal(layer.quantize("bfloat16")(x)[0][:, 0, 0] > 1e38, [True, False, True])
    assert np.isinf(layer.quantize("bfloat16")(x)[0][:2]).all()


@each_precision
def test_a_copy_of_its_own(precision):
    layer = fastrnn.LSTM(6, 20, 2, bidirectional=True, seed=0)
    q, x = layer.quantize(precision), normal("x", 3, 4, 6)
    expected = q(x)[0]
    layer.load_state_dict(fastrnn.LSTM(6, 20, 2, bidirectional=True, seed=1).state_dict())
    for other in (q, copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert_same_bits(other(x)[0], expected)
        assert other.weight_bytes == q.weight_bytes
    stream = fastrnn.LSTM(6, 20, seed=0).quantize(precision).stream(3)
    stream.step(x[:, 0])
    again = pickle.loads(pickle.dumps(stream))
    assert_same_bits(again.step(x[:, 1]), stream.step(x[:, 1]))


@each_precision
def test_what_it_refuses(precision):
    layer = fastrnn.LSTM(6, 20, seed=0)
    q, x = layer.quantize(precision), normal("x", 3, 4, 6)
    calls = {
        "forward": lambda: q.forward(x),
        "backward": lambda: q.backward(None),
        "quantize": lambda: q.quantize("int8"),
        "state_dict": q.state_dict,
        "load_state_dict": lambda: q.load_state_dict(layer.state_dict()),
        "set_parameters": lambda: q.set_parameters(bias_ih_l0=np.zeros(80)),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^{name} is not for a layer in {precision}"):
            call()
    with pytest.raises(TypeError, match="obj must be one of"):
        fastrnn.save(q, "nowhere")
    with pytest.raises(ValueError, match="bidirectional"):
        fastrnn.GRU(3, 4, bidirectional=True).quantize(precision).stream()
    with pytest.raises(ValueError, match=r"x must have"):
        q(normal("x", 3, 4, 7))
    assert repr(q).startswith("Quantized(cell='LSTM', input_size=6, hidden_size=20")
    assert f"precision='{precision}'" in repr(q)


def test_in_a_language_model():
    model = fastrnn.models.LanguageModel(hidden_size=24, num_layers=2, random_state=0)
    model.fit("hello world, " * 100, epochs=1, batch_size=4, sequence_length=16)
    smaller = copy.copy(model)
    smaller.recurrent_ = model.recurrent_.quantize("int8")
    assert 0 < abs(smaller.score("hello world") - model.score("hello world")) < 0.01
    assert len(smaller.sample(20, random_state=1)) == 20
    with pytest.raises(TypeError, match=r"obj must be made of RNN, .*, got one with a Quantized"):
        fastrnn.save(smaller, "nowhere")
    with pytest.raises(TypeError, match="forward is not for a layer in int8"):
        fastrnn.diagnostics.gradient_flow(smaller, "hello")


def test_bad_precisions_and_weights():
    for layer in (fastrnn.RNN(3, 4), reference.RNN(3, 4)):
        for wrong in ("int4", None, np.int8):
            with pytest.raises(ValueError, match="precision must be one of bfloat16, int8, got"):
                layer.quantize(wrong)
    layer = fastrnn.GRU(3, 4)
    layer.set_parameters(weight_hh_l0=np.full((12, 4), np.inf))
    with pytest.raises(ValueError, match="weight_hh_l0 must hold finite"):
        layer.quantize("int8")
    tiny = fastrnn.GRU(3, 4, bias=False, init=1e-35)
    assert not tiny.quantize("int8")(np.ones((1, 2, 3)))[0].any()


def test_the_weights_are_converted_once():
    """What lies in memory is the reference's levels, by one way of rounding and another."""
    layer = fastrnn.GRU(37, 45, seed=0)
    (ih, hh), = layer.quantize("int8")._codes()  # fmt: skip
    for name, codes in (("weight_ih_l0", ih), ("weight_hh_l0", hh)):
        assert codes.dtype == np.int8
        np.testing.assert_array_equal(codes.T, levels(layer.parameters[name])[0])
    assert not any(isinstance(array, np.ndarray) and array.ndim > 1 for array in vars(layer.quantize("int8")).values())
    assert _engine.load("float32").quantized_path(2) == layer.quantize("int8").path
