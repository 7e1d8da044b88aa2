"""What the tests share: the table of cells, a batch for a case, one run of a layer, and two ways to compare arrays."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from types import ModuleType
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from shapes import Case

import fastrnn

CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "gru-before": ("GRU", {"reset_after": False}),
    "rnn-tanh": ("RNN", {}),
    "rnn-relu": ("RNN", {"nonlinearity": "relu"}),
    "rnn-sigmoid": ("RNN", {"nonlinearity": "sigmoid"}),
    "rnn-linear": ("RNN", {"nonlinearity": "linear"}),
    "mingru": ("MinGRU", {}),
    "minlstm": ("MinLSTM", {}),
}
RECURRENT = [cell for cell in CELLS if not cell.startswith("min")]  # those with recurrent weights
DTYPES = ("float32", "float64")
FORWARD = {"float32": 2e-6, "float64": 1e-12}
GRADIENT = {"float32": 1e-5, "float64": 1e-12}


def make(cell: str, *sizes: int, module: ModuleType = fastrnn, **options):
    """A layer of the named cell, from the engine or from another module with the same classes."""
    name, fixed = CELLS[cell]
    return getattr(module, name)(*sizes, **fixed, **options)


def one_direction(sizes: dict) -> dict:
    return {key: value for key, value in sizes.items() if key != "bidirectional"}


def normal(seed: int | str, *shape: int, dtype: str = "float32") -> np.ndarray:
    """Standard normal numbers that float32 holds exactly, whatever `dtype`, so that precisions can be compared."""
    rng = np.random.default_rng(crc32(str(seed).encode()))
    return rng.standard_normal(shape).astype("float32").astype(dtype)


def state_like(layer, N: int | None, seed: int | str, dtype: str | None = None):
    """A random state (or gradient of one) in the form that `layer` takes; `N` = None is unbatched."""
    D = 2 if layer.bidirectional else 1
    shape = (layer.num_layers * D, *([] if N is None else [N]))
    widths = {"h": layer.proj_size or layer.hidden_size, "c": layer.hidden_size}
    parts = [normal(f"{seed} {part}", *shape, widths[part], dtype=dtype or layer.dtype.name) for part in "hc"]
    return tuple(parts) if is_lstm(layer) else parts[0]


def is_lstm(layer) -> bool:
    return type(layer).__name__ == "LSTM"


def run(layer, x, state=None, dy=None, dstate=None, **options) -> dict[str, np.ndarray | None]:
    """Forward and backward; every output, final state and gradient by name."""
    y, final, tape = layer.forward(x, state, **options)
    dx, dinitial, grads = layer.backward(tape, dy, dstate)
    return {"y": y, **named(final, ""), "dx": dx, **named(dinitial, "d"), **grads}


def named(state, prefix: str) -> dict[str, np.ndarray]:
    parts = state if isinstance(state, tuple) else (state,)
    return {prefix + letter: part for letter, part in zip("hc", parts, strict=False)}


def batch_of(case: Case, dtype: str) -> dict[str, Any]:
    """The arguments of `run` for a case: input, state, gradients from above, lengths, mask and resets."""
    seed, N, T = crc32(str(case).encode()), case.N, case.T
    rng = np.random.default_rng(seed)

    def laid(array):
        return array if case.batch_first else np.ascontiguousarray(array.swapaxes(0, 1))

    ids = case.inputs == "ids"
    x = rng.integers(0, case.I, (N, T)) if ids else normal(seed, N, T, case.I, dtype=dtype)
    batch = {"x": laid(x), "dy": laid(normal(seed + 1, N, T, case.directions * case.H, dtype=dtype))}
    states = [normal(seed + 2 + k, case.layers * case.directions, N, case.H, dtype=dtype) for k in range(4)]
    pairs = [tuple(states[:2]), tuple(states[2:])] if case.cell == "lstm" else states[:2]
    batch["dstate"] = pairs[1]
    if case.state:
        batch["state"] = pairs[0]
    if case.rows == "lengths":
        batch["lengths"] = rng.integers(0, T + 1, N)
    if case.rows == "mask":
        batch["mask"] = laid(rng.random((N, T)) < 0.7)
    if case.resets:
        batch["resets"] = laid(rng.random((N, T)) < 0.2)
    return batch | {"pad": case.pad}


def layer_of(case: Case, dtype: str, module: ModuleType = fastrnn):
    """The layer of a case; weights shrink with the longer side, so that no unit saturates."""
    return make(
        case.cell, case.I, case.H, case.layers, bidirectional=case.directions == 2, batch_first=case.batch_first,
        bias=case.bias, dtype=dtype, seed=1, init=1 / max(case.H, case.I) ** 0.5, module=module,
    )  # fmt: skip


def in_float64(state_dict: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, "float64") for name, value in state_dict.items()}


def assert_close(actual, expected, tolerance: float, what: str = "") -> None:
    """max |actual − expected| ≤ tolerance · max(1, max |expected|), and the same shape; None equals None."""
    if expected is None or actual is None:
        assert actual is expected is None, what
        return
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    if expected.size:
        with np.errstate(invalid="ignore"):  # a signalling nan warns when it is cast
            error = np.abs(actual.astype("float64") - expected).max()
        bound = tolerance * max(1.0, np.abs(expected).max())
        assert error <= bound, f"{what}: off by {error:.3g}, allowed {bound:.3g}"  # a nan fails too


def slope(function, array, direction, step=1e-5):
    """The central difference of `function()` while `array` moves along `direction`."""
    kept = array.copy()
    sides = []
    for side in (step, -step):
        array[...] = kept + side * direction
        sides.append(function())
    array[...] = kept
    return (sides[0] - sides[1]) / (2 * step)


def assert_gradient(function, array, gradient, name, step=1e-5):
    """The gradient agrees along three random directions."""
    assert gradient.shape == array.shape, name
    for k in range(3):
        direction = normal(f"{name}{k}", *array.shape, dtype="float64")
        expected = slope(function, array, direction, step)
        assert_close((gradient * direction).sum(), expected, 1e-7, name)


def assert_all_close(actual: dict, expected: dict, dtype: str) -> None:
    """The results of two `run`s agree: outputs and states to the forward tolerance, gradients to theirs."""
    assert list(actual) == list(expected)
    for name in expected:
        tolerance = FORWARD[dtype] if name in ("y", "h", "c") else GRADIENT[dtype]
        assert_close(actual[name], expected[name], tolerance, name)
        assert actual[name] is None or actual[name].dtype == dtype, name


def bits(array) -> tuple:
    array = np.asarray(array)
    return array.shape, array.dtype.str, array.tobytes()


def assert_same_bits(actual, expected, what: str = "") -> None:
    """Equal shape, dtype and bytes, the sign of zero included; states and the results of `run` part by part."""
    if isinstance(expected, (tuple, list)):
        actual, expected = dict(enumerate(actual)), dict(enumerate(expected))
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for name in expected:
            assert_same_bits(actual[name], expected[name], f"{what} {name}")
    else:
        assert bits(actual) == bits(expected), f"{what}: {np.asarray(actual)} is not {np.asarray(expected)}"


def oracle(name: str) -> ModuleType:
    """Import an oracle; skip the calling test module without it, or fail where every oracle is required."""
    if os.environ.get("FASTRNN_REQUIRE_ORACLES") == "1":
        return importlib.import_module(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        pytest.skip(f"oracle {name} is not installed", allow_module_level=True)


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter, away from any checkout."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={**os.environ, **environment}, cwd=os.path.dirname(__file__),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


PEAKS = """
def peak():
    with open("/proc/self/status") as status:  # getrusage would count the program that started this one too
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

{prepare}
results = []
for call in ({calls},):
    before = peak()
    results.append(call())
    print((peak() - before) * 1024)
"""


def peak_growths(prepare: str, *calls: str) -> list[int]:
    """Bytes by which each of some calls (lambdas, as text) raises the most memory that a fresh process ever held.

    What the calls before it returned is still held. Only Linux says.
    """
    done = python(PEAKS.format(prepare=prepare, calls=", ".join(calls)))
    assert done.returncode == 0, done.stderr
    return list(map(int, done.stdout.split()))
