"""What ragged batches cost beside padded ones, for each real step: lengths drawn evenly from 1 … T, one thread, I = H.

    python benchmarks/ragged.py [--into docs/performance.md]

The same input runs with and without its lengths, in turn. A figure is the median over the rounds of ragged / padded,
divided by the share of steps that are real: 1 would be time that follows the real steps, above 1.1 it is bold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastrnn.bench import use_threads

use_threads(1)  # before NumPy is loaded

import numpy as np  # noqa: E402
from document import mark, measured_on, publish, table  # noqa: E402

from fastrnn.bench.measure import median_ratio, take_turns  # noqa: E402
from fastrnn.bench.peers import GATES, Engine, Problem, points  # noqa: E402

MOST = 1.1


def inference(engine: Engine, lengths: Any) -> Callable[[], Any]:
    return lambda: engine.layer(engine.x, lengths=lengths)


def training(engine: Engine, lengths: Any) -> Callable[[], Any]:
    def step() -> Any:
        y, _, tape = engine.layer.forward(engine.x, lengths=lengths)
        engine.layer.backward(tape, engine.dy)
        return y, None

    return step


def cost(make: Callable[[Engine, Any], Callable[[], Any]], engine: Engine, lengths: Any, seconds: float) -> float:
    """Return what a real step of a ragged batch takes, in steps of the padded one; their outputs are the same."""
    calls = {"padded": make(engine, None), "ragged": make(engine, lengths)}
    real = np.arange(engine.x.shape[1]) < lengths[:, None]
    assert np.array_equal(calls["ragged"]()[0][real], calls["padded"]()[0][real])
    return median_ratio(take_turns(calls, seconds), "ragged", "padded") / real.mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--H", nargs="+", type=int, default=[32, 128, 256, 512])
    parser.add_argument("--N", nargs="+", type=int, default=[16, 32, 128])
    parser.add_argument("--T", type=int, default=128)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="spent on a figure, if seven rounds are done by then"
    )
    parser.add_argument("--into", type=Path, help='a Markdown file with the marks "ragged"')
    options = parser.parse_args()
    lines = []
    for point in points(GATES, options.H, options.N, [options.T]):
        engine = Engine(Problem(point))
        lengths = np.random.default_rng(1).integers(1, point.T + 1, point.N)
        costs = [cost(make, engine, lengths, options.seconds) for make in (inference, training)]
        sizes = [point.cell.upper(), str(point.H), str(point.N), f"{lengths.mean() / point.T:.2f}"]
        lines.append([*sizes, *(mark(f"{value:.2f}", value > MOST) for value in costs)])
    head = ["cell", "H", "N", "real steps / steps", "inference", "training"]
    publish([measured_on(), "", *table(head, lines)], "ragged", options.into)


if __name__ == "__main__":
    main()
