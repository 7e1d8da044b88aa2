"""What the machine can do, measured where the benchmarks run: multiply-adds, reading from each cache, activations."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import fastrnn
from fastrnn import _engine

LIBRARIES = ("numpy", "torch", "onnxruntime", "jax")


def fma_peak(seconds: float = 0.05) -> float:
    """Return what one core reaches in float32 multiply-adds from registers, GFLOP/s."""
    return _engine.fma_peak(seconds)


def read_bandwidth(seconds: float = 0.1) -> dict[str, float]:
    """Return how fast one core reads half of each cache, and much more than the last one, GB/s."""
    sizes = cache_sizes()
    areas = {name: size // 2 for name, size in sizes.items()}
    areas["memory"] = max(256 << 20, 4 * max(sizes.values(), default=0))
    return {name: round(_engine.read_bandwidth(nbytes, seconds), 1) for name, nbytes in areas.items()}


@cache
def read_rate(nbytes: int) -> float:
    """Return how fast one core reads so many bytes again and again, GB/s; measured once in a run."""
    return _engine.read_bandwidth(nbytes, 0.05)


@cache
def activation_cost(name: str) -> float:
    """Return what one "sigmoid" or "tanh" takes within the nearest cache, in nanoseconds; measured once in a run."""
    arrays = [np.linspace(-4, 4, size, dtype="float32") for size in (512, 3584)]  # of two sizes: a call costs, too
    best, end = [inf, inf], perf_counter() + 0.05
    while perf_counter() < end:
        for k, array in enumerate(arrays):
            begin = perf_counter()
            _engine.elementary(name, array)
            best[k] = min(best[k], perf_counter() - begin)
    return 1e9 * (best[1] - best[0]) / (arrays[1].size - arrays[0].size)


def cache_sizes() -> dict[str, int]:
    """Return {"L1": bytes, ...} of the first core's data caches, as far as the system tells."""
    sizes = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((entry / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) << 10
    return sizes


def cpu_name() -> str:
    """Return the processor's name, with family and model where the system gives them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in facts:
        return platform.machine()
    return f"{facts['model name']} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def versions() -> dict[str, str]:
    """Return the versions of the libraries compared, "absent" for those not installed."""
    found = {"python": platform.python_version(), "fastrnn": fastrnn.__version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def describe() -> dict[str, Any]:
    """Return the machine's name, its measured limits, and what runs on it."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "isa": fastrnn.cpu_info()["isa"],
        "fma_peak": round(fma_peak(0.5), 1),
        "cache_bytes": cache_sizes(),
        "read_bandwidth": read_bandwidth(),
        "activations": {name: round(activation_cost(name), 3) for name in ("sigmoid", "tanh")},
        "versions": versions(),
    }
