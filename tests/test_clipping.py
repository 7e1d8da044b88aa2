"""Clipping of gradients, by value and by the norm of all of them."""

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits
from test_optim import every_dtype, gradients_of, two_layers

from fastrnn import optim


def clippable(dtype: str = "float32"):
    """The gradients of layers in every form, and all their arrays."""
    parts = [gradients_of(layer, "clip", dtype) for layer in two_layers(dtype)]
    arrays = [array for part in parts for array in part.values()]
    return [(parts, arrays), (dict(zip("ab", parts, strict=True)), arrays), (parts[0], list(parts[0].values()))]


@every_dtype
@pytest.mark.parametrize("form", range(3))
def test_clip_grad_norm(form, dtype):
    """One norm over everything; nothing happens below the limit; above it all arrays shrink alike, in place."""
    for times in (0.1, 1 - 1e-9, 1 + 1e-3, 10.0, np.inf):
        grads, arrays = clippable(dtype)[form]
        before = [array.copy() for array in arrays]
        expected = np.sqrt(sum((array.astype("float64") ** 2).sum() for array in before))
        norm = optim.clip_grad_norm(grads, times * expected)
        assert type(norm) is float
        assert_close(norm, expected, 1e-14)
        factor = times * expected / (expected + 1e-6)
        for array, was in zip(arrays, before, strict=True):
            if factor > 1:
                assert_same_bits(array, was)
            else:
                assert_close(array, was * factor, 1e-7 if dtype == "float32" else 1e-15)


def test_clip_grad_norm_of_large_and_many_numbers():
    """Squares that float32 cannot hold, and a sum that it would round."""
    grads = {"weight": np.full((7, 9), 1e30, "float32")}
    assert_close(optim.clip_grad_norm(grads, 1.0) / 1e30, np.sqrt(63), 1e-7)
    assert_close(grads["weight"], np.full((7, 9), 1 / np.sqrt(63)), 1e-6)
    assert optim.clip_grad_norm({"weight": np.ones(2**24 + 4, "float32")}, np.inf) == np.sqrt(2**24 + 4)


@every_dtype
def test_clip_grad_norm_of_every_size(dtype):
    for size in range(70):
        numbers = np.arange(1, size + 1, dtype=dtype)
        assert optim.clip_grad_norm({"weight": numbers}, np.inf) == np.sqrt((numbers.astype("float64") ** 2).sum())


def test_clip_grad_norm_without_numbers_or_with_bad_ones():
    assert optim.clip_grad_norm({}, 1.0) == 0.0
    assert optim.clip_grad_norm([{"weight": np.zeros((0, 3))}, {}], 1.0) == 0.0
    for bad in (np.inf, -np.inf, np.nan):
        grads = {"weight": np.array([3.0, bad]), "bias": np.array([5.0])}
        assert not np.isfinite(optim.clip_grad_norm(grads, 1.0))
        assert_same_bits(grads, {"weight": np.array([3.0, bad]), "bias": np.array([5.0])})


@every_dtype
@pytest.mark.parametrize("form", range(3))
def test_clip_grad_value(form, dtype):
    grads, arrays = clippable(dtype)[form]
    before = [array.copy() for array in arrays]
    arrays[0][0, 0], before[0][0, 0] = np.nan, np.nan
    assert optim.clip_grad_value(grads, 0.5) is None
    for array, was in zip(arrays, before, strict=True):
        assert_same_bits(array, np.minimum(np.maximum(was, -0.5), 0.5).astype(dtype))
    for value in (np.inf, 1e300):
        grads, arrays = clippable(dtype)[form]
        before = [array.copy() for array in arrays]
        optim.clip_grad_value(grads, value)
        assert_same_bits(arrays, before)


@pytest.mark.parametrize("clip", [optim.clip_grad_norm, optim.clip_grad_value], ids=["norm", "value"])
def test_bad_clipping(clip):
    """Refused by name before anything is clipped."""
    good = np.full((2, 2), 5.0)
    frozen = np.ones(2)
    frozen.flags.writeable = False
    name = "max_norm" if clip is optim.clip_grad_norm else "value"
    calls = [
        (ValueError, "grads must be writable, but bias is read-only", {"weight": good, "bias": frozen}, 1.0),
        (TypeError, r"NumPy arrays, got list for 0\.bias", [{"weight": good, "bias": [1.0]}], 1.0),
        (TypeError, r"float32 or float64, got int64 for b\.w", {"a": {"w": good}, "b": {"w": np.arange(2)}}, 1.0),
        (TypeError, "float32 or float64, got >f4 for bias", {"weight": good, "bias": np.ones(2, ">f4")}, 1.0),
        (TypeError, "grads must be a dict, a list of dicts or a dict of dicts, got ndarray", good, 1.0),
        (TypeError, "grads must be a dict, a list of dicts or a dict of dicts, got list", [good], 1.0),
        (ValueError, f"^{name} must be a number from 0 upwards, got -1", {"weight": good}, -1),
        (ValueError, f"^{name} must be a number from 0 upwards, got nan", {"weight": good}, float("nan")),
        (TypeError, f"^{name} must be a number, got str", {"weight": good}, "1"),
    ]
    for error, message, grads, limit in calls:
        with pytest.raises(error, match=message):
            clip(grads, limit)
    assert (good == 5).all()
