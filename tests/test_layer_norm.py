"""What is particular to layer normalization; test_traits.py holds the cells that have it beside the reference."""

import numpy as np
import pytest
from helpers import DTYPES, assert_close, assert_same_bits, normal, run, state_like

import fastrnn
from fastrnn import reference

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_kind = pytest.mark.parametrize("kind", ["LSTM", "GRU"])


def drawn(kind, *sizes, **options):
    """A layer whose gains and biases are not those that it starts from."""
    layer = getattr(fastrnn, kind)(*sizes, layer_norm=True, seed=0, **options)
    norms = {name: value for name, value in layer.parameters.items() if "_norm_" in name}
    layer.set_parameters(**{name: value + 0.2 * normal(name, *value.shape) for name, value in norms.items()})
    return layer


def test_parameters():
    """Names and shapes; gain 1 and bias 0 whatever the others start from, which are those of a plain layer."""
    for init in ("default", "torch", 0.5):
        layer = fastrnn.LSTM(3, 5, 2, bidirectional=True, layer_norm=True, init=init, seed=0)
        plain = fastrnn.LSTM(3, 5, 2, bidirectional=True, init=init, seed=0)
        own = {name: value for name, value in layer.parameters.items() if name not in plain.parameters}
        assert {name: value.shape for name, value in own.items() if name.endswith("l1_reverse")} == {
            "weight_norm_ih_l1_reverse": (20,), "weight_norm_hh_l1_reverse": (20,),
            "weight_norm_c_l1_reverse": (5,), "bias_norm_c_l1_reverse": (5,),
        }  # fmt: skip
        assert len(own) == 16
        assert all((value == name.startswith("weight")).all() for name, value in own.items())
        assert_same_bits({name: layer.parameters[name] for name in plain.parameters}, dict(plain.parameters))
    assert [name for name in fastrnn.GRU(3, 5, layer_norm=True).parameters if "norm" in name] == [
        "weight_norm_ih_l0", "weight_norm_hh_l0",
    ]  # fmt: skip
    assert "bias_norm_c_l0" not in fastrnn.LSTM(3, 5, layer_norm=True, bias=False).parameters


@every_dtype
@every_kind
def test_scale_and_shift_of_products_do_not_matter(kind, dtype):
    """What normalization is for; up to the 1e-5 that is added to the variance."""
    layer = drawn(kind, 40, 33, dtype=dtype, init=0.5)
    x = normal("x", 4, 9, 40, dtype=dtype)
    y = layer(x)[0]
    weights = layer.state_dict()
    groups = [slice(0, 132)] if kind == "LSTM" else [slice(0, 66), slice(66, 99)]
    for group, factor in zip(groups, (8.0, 0.5), strict=False):
        for name in ("weight_ih_l0", "weight_hh_l0"):
            weights[name][group] *= factor
            weights[name][group] += normal(name, 1, weights[name].shape[1], dtype=dtype)
    layer.load_state_dict(weights)
    assert_close(layer(x)[0], y, 1e-3)
    weights["weight_hh_l0"][:5] *= 2
    layer.load_state_dict(weights)
    assert np.abs(layer(x)[0] - y).max() > 1e-2


@every_dtype
@every_kind
@pytest.mark.parametrize("H", [1, 2, 31])
def test_small_and_uneven_sizes(H, kind, dtype):
    """A vector filled in part, and norms of a single number, which is its own mean; no rows and no steps."""
    layer = drawn(kind, 2, H, 2, dtype=dtype)
    twin = getattr(reference, kind)(2, H, 2, layer_norm=True, dtype="float64")
    twin.load_state_dict(layer.state_dict())
    for N, T in ((3, 5), (0, 4), (2, 0)):
        x, dy = normal("x", N, T, 2, dtype=dtype), normal("dy", N, T, H, dtype=dtype)
        got, expected = run(layer, x, None, dy), run(twin, x, None, dy)
        for name in expected:
            assert_close(got[name], expected[name], 1e-4 if dtype == "float32" else 1e-11, name)


@every_kind
def test_bits_do_not_depend_on_the_batch(kind):
    """Rows alone, in groups whose gates follow one another, in more than one of these; gradients of the input too."""
    layer = drawn(kind, 20, 70)
    x, dy = normal("x", 61, 7, 20), normal("dy", 61, 7, 70)
    state, dstate = state_like(layer, 61, "s"), state_like(layer, 61, "d")
    whole = run(layer, x, state, dy, dstate)
    for rows in (slice(5, 6), slice(17, 20), slice(30, 61)):
        parts = [tuple(part[:, rows] for part in pair) if kind == "LSTM" else pair[:, rows] for pair in (state, dstate)]
        part = run(layer, x[rows], parts[0], dy[rows], parts[1])
        expected = [whole["y"][rows], whole["dx"][rows], whole["dh"][:, rows]]
        assert_same_bits([part["y"], part["dx"], part["dh"]], expected)


@every_kind
def test_tape(kind):
    """Its size, the centred products included; in bfloat16 as the reference rounds them; and dropped weights."""
    layer = drawn(kind, 3, 17, 2, weight_dropout=0.3, dtype="float64")
    x, dy = normal("x", 4, 9, 3, dtype="float64"), normal("dy", 4, 9, 17, dtype="float64")
    assert layer.forward(x)[2].nbytes == 2 * 4 * 9 * 17 * (14 if kind == "LSTM" else 11) * 8
    twin = getattr(reference, kind)(3, 17, 2, weight_dropout=0.3, layer_norm=True, dtype="float64", seed=0)
    twin.load_state_dict(layer.state_dict())
    twin.forward_count = layer.forward_count
    got, expected = (run(which, x, None, dy, tape_dtype="bfloat16") for which in (layer, twin))
    for name in expected:
        assert_close(got[name], expected[name], 1e-12, name)


@pytest.mark.parametrize("module", [fastrnn, reference], ids=["engine", "reference"])
@pytest.mark.parametrize(("kind", "option", "value"), [
    ("LSTM", "peephole", True), ("LSTM", "proj_size", 2), ("GRU", "reset_after", False),
])  # fmt: skip
def test_refused_together(kind, option, value, module):
    with pytest.raises(ValueError, match=f"layer_norm must be False with {option}={value}"):
        getattr(module, kind)(3, 5, layer_norm=True, **{option: value})


def test_refused_elsewhere():
    with pytest.raises(AttributeError, match="layer_norm is fixed"):
        fastrnn.LSTM(3, 5).layer_norm = True
    with pytest.raises(ValueError, match=r"only products with x and h can be quantized.*weight_norm_ih_l0"):
        fastrnn.GRU(3, 5, layer_norm=True).quantize("int8")
