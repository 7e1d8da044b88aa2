"""Look for cliffs: what the next larger size, H + 1 or N + 1, costs for each multiply-add, beside the size itself.

    python benchmarks/cliff.py [--into docs/performance.md]

The two sizes of a pair take turns; a figure is the median over the rounds, above 1.3 it is bold. One thread, I = H.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from fastrnn.bench import use_threads

use_threads(1)  # before NumPy is loaded

from document import mark, measured_on, publish, table  # noqa: E402

from fastrnn.bench.measure import median_ratio, take_turns  # noqa: E402
from fastrnn.bench.peers import GATES, Engine, Point, Problem  # noqa: E402

MOST = 1.3
KINDS = {"forward": "inference", "train": "training"}


def pairs(cell: str, H: list[int], N: list[int], T: int) -> Iterator[tuple[str, Point, Point]]:
    """Every size, and the next one along each axis."""
    for h in H:
        for n in N:
            yield f"H {h} → {h + 1}, N {n}", Point(cell, h, n, T), Point(cell, h + 1, n, T)
            yield f"N {n} → {n + 1}, H {h}", Point(cell, h, n, T), Point(cell, h, n + 1, T)


def cost(point: Point, following: Point, kind: str, seconds: float) -> float:
    """Return how many times as much a multiply-add of the following point costs."""
    calls = {name: getattr(Engine(Problem(each)), kind) for name, each in (("size", point), ("next", following))}
    return median_ratio(take_turns(calls, seconds), "next", "size") * point.flops(kind) / following.flops(kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--H", nargs="+", type=int, default=[32, 64, 128, 256, 512])
    parser.add_argument("--N", nargs="+", type=int, default=[4, 8, 16, 32])
    parser.add_argument("--T", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=0.2, help="spent on a pair, if seven rounds are done by then")
    parser.add_argument("--into", type=Path, help='a Markdown file with the marks "cliff"')
    options = parser.parse_args()
    lines: dict[str, list[str]] = {}
    costs: list[tuple[float, str]] = []
    for kind, title in KINDS.items():
        for cell in GATES:
            for place, point, following in pairs(cell, options.H, options.N, options.T):
                value = cost(point, following, kind, options.seconds)
                costs.append((value, f"{cell.upper()} {title}, {place}"))
                lines.setdefault(place, [place]).append(mark(f"{value:.2f}", value > MOST))
    head = ["size", *(f"{cell.upper()} {title}" for title in KINDS.values() for cell in GATES)]
    worst, where = max(costs)
    reached = f"{sum(value <= MOST for value, _ in costs)} of {len(costs)} cost at most {MOST} times as much"
    summary = f"{reached}; the worst {worst:.2f}: {where}."
    publish([measured_on(), "", *table(head, lines.values()), "", summary], "cliff", options.into)


if __name__ == "__main__":
    main()
