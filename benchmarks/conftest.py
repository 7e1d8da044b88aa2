"""The grid of the benchmarks, and the libraries side by side in a group for each of its points."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import pytest

from fastrnn.bench import use_threads

use_threads(1)  # before NumPy is loaded

from fastrnn.bench import machine, peers  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--grid", choices=list(peers.GRIDS), default="small", help="how many sizes to run")


def pytest_report_header(config: pytest.Config) -> list[str]:
    missing = ", ".join(peers.absent()) or "none"
    return [f"machine: {machine.cpu_name()}", f"libraries absent: {missing}"]


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["measured"] = machine.describe()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "library" not in metafunc.fixturenames:
        return
    kind = metafunc.module.KIND
    axes = {**peers.GRIDS[metafunc.config.getoption("--grid")], **({"T": (1,)} if kind == "step" else {})}
    pairs = [
        pytest.param(library, point, id=f"{library}-{point}".replace(" ", "-"))
        for point in peers.points(peers.GATES, **axes)
        for library in peers.RUNNERS
        if peers.takes_part(library, kind, point)
    ]
    metafunc.parametrize(("library", "point"), pairs)


@pytest.fixture(scope="session")
def peak() -> float:
    """The machine's multiply-add peak, GFLOP/s."""
    return machine.fma_peak(0.5)


@lru_cache(maxsize=1)
def prepared(point: peers.Point, kind: str) -> tuple[peers.Problem, peers.Arrays]:
    """The problem of a point and fastrnn's answer."""
    problem = peers.Problem(point)
    return problem, peers.Engine(problem).results(kind)


@pytest.fixture
def time_call(benchmark: Any, peak: float) -> Any:
    """Time one library at one point, its results checked first."""

    def run(library: str, point: peers.Point, kind: str) -> None:
        if library in peers.absent():
            assert os.environ.get("FASTRNN_REQUIRE_ORACLES") != "1", f"{library} is not installed"
            pytest.skip(f"{library} is not installed")
        problem, expected = prepared(point, kind)
        runner = peers.RUNNERS[library](problem)
        peers.check_equal(library, runner.results(kind), expected)
        benchmark.group = f"{kind} {point}"
        benchmark(getattr(runner, kind))
        if benchmark.stats:  # not under --benchmark-disable
            rate = point.flops(kind) / benchmark.stats.stats.median * 1e-9
            benchmark.extra_info.update({"GFLOP/s": round(rate, 2), "share of peak": round(rate / peak, 3)})

    return run
