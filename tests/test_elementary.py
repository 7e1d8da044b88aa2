"""exp, tanh and the sigmoid of the engine, swept over the float32 numbers and drawn at random from the float64 ones."""

import numpy as np
import pytest
from helpers import DTYPES, assert_same_bits

from fastrnn._engine import elementary

FUNCTIONS = ("exp", "tanh", "sigmoid")  # exp promises x <= 0 only
STRIDE = 4_099  # about a million of the 2^32 bit patterns; prime, so that every exponent and low bit occurs
# Where one piece of a function meets the next: the power of two taken out of e^x changes at odd multiples of ln(2) / 2,
# small results end, tanh becomes 1.
HALVES = [(k + 0.5) * np.log(2) for k in (*range(40), 64, 100, 125, 126, 500, 1021)]
JOINS = {
    "exp": [*(-x for x in HALVES), -88.0, -87.336, -709.2, -708.396],
    "tanh": [0.0, *(sign * x for x in (*(y / 2 for y in HALVES), 9.02, 19.1) for sign in (1, -1))],
    "sigmoid": [0.0, *(sign * x for x in (*HALVES, 88.0, 709.2) for sign in (1, -1))],
}


def exact(name, x):
    """The function in a wider precision than that of `x`; results below 1e-300 may have lost digits."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # a signalling nan warns when it is cast
        x = x.astype("float64" if x.dtype == "float32" else "longdouble")
        return {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}[name](x)


def assert_accurate(name, x, bound):
    """≤ `bound` units in the last place where x and the exact result are normal; else within the smallest normal."""
    got, wanted, info = elementary(name, x), exact(name, x), np.finfo(x.dtype)
    assert got.dtype == x.dtype and got.shape == x.shape
    with np.errstate(invalid="ignore"):
        error = np.abs(got - wanted)
        normal = (np.abs(x) >= info.tiny) & (np.abs(wanted) >= info.tiny) & np.isfinite(x)
        ulp = np.ldexp(np.ones((), wanted.dtype), np.frexp(wanted)[1] - 1 - info.nmant)
        wrong = ~np.where(normal, error <= bound * ulp, error <= info.tiny) & ~np.isnan(x)
    assert not wrong.any(), (name, x[wrong][:5], got[wrong][:5], wanted[wrong][:5])
    assert np.array_equal(np.isnan(got), np.isnan(x)), f"{name}: nan in, nan out"
    low = -1 if name == "tanh" else 0
    assert not (got < low).any() and not (got > 1).any(), f"{name} leaves [{low}, 1]"


def argument(name, x):
    return x[~(x > 0)] if name == "exp" else x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_strided_sweep_of_float32(name):
    patterns = np.arange(0, 2**32, STRIDE, dtype="uint64").astype("uint32")
    assert_accurate(name, argument(name, patterns.view("float32")), 2.5)


@pytest.mark.full_sweep
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_float32(name):
    block = 2**20  # of larger ones every temporary array would be fresh memory
    for first in range(0, 2**32, block):
        patterns = np.arange(first, first + block, dtype="uint64").astype("uint32")
        x = argument(name, patterns.view("float32"))
        if x.size:
            assert_accurate(name, x, 2.5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_random_float64(name):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.normal(0, scale, 40_000) for scale in (1e-300, 1e-8, 0.1, 0.6, 1, 3, 20, 300, 1e6)]
        + [rng.uniform(-1, 1, 1000) * 1e-3 + join for join in JOINS[name]]
    )
    assert_accurate(name, argument(name, x), 2.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_limits(dtype):
    inf, nan = np.inf, np.nan
    big = np.finfo(dtype).max
    for name, x, y in [
        ("tanh", [-inf, -big, -0.0, 0.0, big, inf, nan, -nan], [-1, -1, -0.0, 0.0, 1, 1, nan, nan]),
        ("sigmoid", [-inf, -big, -0.0, 0.0, big, inf, nan], [0, 0, 0.5, 0.5, 1, 1, nan]),
        ("exp", [-inf, -big, -0.0, 0.0, nan], [0, 0, 1, 1, nan]),
    ]:
        got, wanted = elementary(name, np.array(x, dtype)), np.array(y, dtype)
        np.testing.assert_array_equal(got, wanted)
        known = ~np.isnan(wanted)
        assert np.array_equal(np.signbit(got[known]), np.signbit(wanted[known]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_monotone_at_the_joins(name, dtype):
    """What stands below a join is nowhere larger than what stands above it."""
    for join in np.array(JOINS[name], dtype):
        integer = "int32" if dtype == "float32" else "int64"
        if join == 0:
            above = np.arange(1, 65).astype(integer).view(dtype)
            below = -above
        else:
            steps = np.arange(1, 65)
            at = join.view(integer)
            away, towards = (at + steps).astype(integer).view(dtype), (at - steps).astype(integer).view(dtype)
            above, below = (away, towards) if join > 0 else (towards, away)
        values = elementary(name, np.array([join]))
        assert elementary(name, below).max() <= values[0] <= elementary(name, above).min(), join


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_lane_alike(name, dtype):
    """The bits of a result do not depend on where its argument stands; the argument is left alone."""
    x = -np.abs(np.random.default_rng(0).normal(0, 2, 300)).astype(dtype)
    if name != "exp":
        x[::2] *= -1
    whole, before = elementary(name, x), x.copy()
    for count in (1, 2, 7, 15, 16, 17, 31, 33, 65, 200):
        first = count % 12
        assert_same_bits(elementary(name, x[first : first + count].copy()), whole[first : first + count])
    assert_same_bits(x, before)
    assert elementary(name, x[:0]).shape == (0,)
