"""What cells without recurrent weights gain: MinGRU and MinLSTM beside the GRU, as the table of docs/cells.md.

    python benchmarks/minimal.py [--into docs/cells.md]

The three run in turn on the same input; a figure is the median over the rounds of GRU / minimal cell. One thread,
float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import NamedTuple

from fastrnn.bench import use_threads

use_threads(1)  # before NumPy is loaded

import numpy as np  # noqa: E402
from document import measured_on, publish, table  # noqa: E402
from options import KINDS, Cell, Run  # noqa: E402

from fastrnn.bench.measure import median_ratio, take_turns  # noqa: E402

CELLS = ("GRU", "MinGRU", "MinLSTM")


class Size(NamedTuple):
    """Rows and steps of an input, I numbers or ids below I, and the units that read it."""

    H: int
    N: int
    T: int
    I: int
    ids: bool = False

    def __str__(self) -> str:
        return f"H {self.H}, N {self.N}, T {self.T}, " + ("ids" if self.ids else f"I {self.I}")

    def runs(self) -> dict[str, Run]:
        """Return each cell's calls, which agree with the reference."""
        rng, shape = np.random.default_rng(0), (self.N, self.T)
        x = rng.integers(0, self.I, shape) if self.ids else rng.standard_normal((*shape, self.I), "float32")
        runs = {name: Run(Cell(name), x, self.I, self.H) for name in CELLS}
        for run in runs.values():
            run.check()
        return runs


SIZES = [
    *(Size(H, 1, T, H) for H in (32, 64, 128, 256, 512) for T in (128, 1024)),
    *(Size(H, 1, 128, H // 2) for H in (64, 128)),
    Size(128, 1, 128, 16),
    Size(128, 1, 128, 128, ids=True),
    Size(128, 32, 128, 128),
    Size(128, 32, 128, 128, ids=True),
]


def figures(size: Size, seconds: float) -> list[str]:
    """Return, for each kind of call, the GRU's time in microseconds, and how many times as fast the others are."""
    runs, cells = size.runs(), []
    for kind in KINDS:
        samples = take_turns({name: getattr(run, kind) for name, run in runs.items()}, seconds)
        cells.append(f"{median(samples['GRU']) * 1e6:,.0f}")
        cells += [f"{median_ratio(samples, 'GRU', name):.2f}" for name in CELLS[1:]]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1, help="spent on a figure, if seven rounds are done by then")
    parser.add_argument("--into", type=Path, help='a Markdown file with the marks "minimal"')
    options = parser.parse_args()
    head = ["size", *(name for kind in KINDS.values() for name in (f"GRU {kind}, µs", *CELLS[1:]))]
    rows = [[str(size), *figures(size, options.seconds)] for size in SIZES]
    publish([measured_on(), "", *table(head, rows)], "minimal", options.into)


if __name__ == "__main__":
    main()
