"""Dropout of recurrent weights: replayed by the masks that a tape shows, and beside the reference."""

import numpy as np
import pytest
from helpers import (
    DTYPES,
    RECURRENT,
    assert_all_close,
    assert_same_bits,
    in_float64,
    make,
    normal,
    run,
    state_like,
)

import fastrnn
from fastrnn import reference

I, H, N, T = 3, 17, 5, 7
every_cell = pytest.mark.parametrize("cell", [cell for cell in RECURRENT if cell != "rnn-linear"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@every_dtype
@every_cell
def test_replayed_by_its_masks(cell, dtype):
    """A plain layer with the masked weights gives the same bits, its gradients masked the same again."""
    options = {"num_layers": 2, "bidirectional": True, "dtype": dtype, "seed": 3}
    layer, plain = make(cell, I, H, weight_dropout=0.4, **options), make(cell, I, H, **options)
    call = {"x": normal("x", N, T, I, dtype=dtype), "state": state_like(layer, N, "s"), "lengths": [7, 3, 0, 1, 6]}
    dy, dstate = normal("dy", N, T, 2 * H, dtype=dtype), state_like(layer, N, "d")
    for _ in range(2):  # each forward call draws masks of its own
        y, final, tape = layer.forward(**call)
        masks = dict(zip((name for name in layer.parameters if "weight_hh" in name), tape.weight_masks(), strict=True))
        dx, dinitial, grads = layer.backward(tape, dy, dstate)
        plain.set_parameters(**{name: layer.parameters[name] * mask for name, mask in masks.items()})
        expected_y, expected_final, tape = plain.forward(**call)
        expected_dx, expected_dinitial, expected = plain.backward(tape, dy, dstate)
        expected |= {name: expected[name] * mask for name, mask in masks.items()}
        assert_same_bits((y, final, dx, dinitial), (expected_y, expected_final, expected_dx, expected_dinitial))
        assert_same_bits(grads, {name: expected[name] + np.dtype(dtype).type(0) for name in grads})


@every_dtype
@every_cell
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_equals_reference(cell, p, dtype):
    """The same masks from the seed and the count; beside dropout between the layers, which keeps its own."""
    options = {"weight_dropout": p, "dropout": 0.2, "seed": 7}
    layer = make(cell, I, H, 2, dtype=dtype, **options)
    twin = make(cell, I, H, 2, dtype="float64", module=reference, **options)
    twin.load_state_dict(in_float64(layer.state_dict()))
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, H, dtype=dtype)
    for _ in range(2):
        assert_all_close(run(layer, x, None, dy), run(twin, x, None, dy), dtype)
    masks = [which.forward(x)[2].weight_masks() for which in (layer, twin)]
    for got, expected in zip(*masks, strict=True):
        assert np.array_equal(got != 0, expected != 0)
    other, plain = make(cell, I, H, 2, dropout=0.2, dtype=dtype, seed=7), layer.forward(x)[2].masks()
    other.forward_count = layer.forward_count - 1
    assert_same_bits(plain, other.forward(x)[2].masks())


def test_masks():
    """Zero with probability p, else 1 / (1 - p); other ones for every direction and call; projections too."""
    layer = fastrnn.LSTM(3, 60, 2, proj_size=40, bidirectional=True, weight_dropout=0.3, seed=0)
    x = normal("x", 2, 3, 3)
    first, second = (layer.forward(x)[2].weight_masks() for _ in range(2))
    assert [mask.shape for mask in first] == [(240, 40)] * 4
    scale = np.float32(1) / (np.float32(1) - np.float32(0.3))
    for k, mask in enumerate(first):
        assert set(np.unique(mask)) == {0, scale}
        assert abs((mask == 0).mean() - 0.3) < 5 * (0.21 / mask.size) ** 0.5
        assert not any(np.array_equal(mask, other) for other in [*first[:k], *second])


def test_weight_masks_are_not_those_of_outputs():
    """Nor are they correlated: where one drops says nothing about the other."""
    layer = fastrnn.RNN(3, 50, 2, weight_dropout=0.5, dropout=0.5, seed=0)
    tape = layer.forward(np.zeros((50, 1, 3), "float32"))[2]
    outputs, weights = tape.masks()[0][:, 0] > 0, tape.weight_masks()[0].T > 0
    assert 0.4 < (outputs == weights).mean() < 0.6


@every_cell
def test_in_forward_alone(cell):
    """Inference and streams use all weights; without the option there are no masks; a spent tape shows none."""
    layer, plain = make(cell, I, H, weight_dropout=0.5, seed=0), make(cell, I, H, seed=0)
    x = normal("x", N, T, I)
    assert_same_bits(layer(x), plain(x))
    assert_same_bits(layer.stream(N).step(x[:, 0]), plain.stream(N).step(x[:, 0]))
    y, _, tape = layer.forward(x)
    assert not np.array_equal(y, plain(x)[0])
    first = layer.backward(tape, y, retain=True)
    assert_same_bits(layer.backward(tape, y)[2], first[2])
    with pytest.raises(ValueError, match="spent"):
        tape.weight_masks()
    assert plain.forward(x)[2].weight_masks() == []


def test_option(tmp_path):
    """It can be changed, is saved, and is checked."""
    layer = fastrnn.GRU(I, H, weight_dropout=0.25, seed=0)
    x = normal("x", N, T, I)
    layer.forward(x)
    fastrnn.save(layer, tmp_path / "layer")
    twin = fastrnn.load(tmp_path / "layer")
    assert twin.weight_dropout == twin.get_config()["weight_dropout"] == 0.25
    assert_same_bits(twin.forward(x)[:2], layer.forward(x)[:2])
    layer.weight_dropout = 0
    assert layer.forward(x)[2].weight_masks() == []
    for value in (-0.1, 1.1, float("nan"), "half", None, True):
        with pytest.raises(ValueError, match="weight_dropout must be a number from 0 to 1"):
            fastrnn.GRU(I, H, weight_dropout=value)
