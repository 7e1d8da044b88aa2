"""Draw the rows of `grid.py` under the machine's roofs: the multiply-add peak, and reading from each cache.

    python benchmarks/roofline.py benchmarks/results/one-thread.json --output docs/roofline.png

Across is what a call does with a byte: its multiply-adds and additions, over the bytes that it must at least read or
write. These are the input's weights once and the state's in every step (in training four times all weights at once, and
the state's twice in every step), the input and the output. One thread, T ≥ 32; the larger H, the larger the dot.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from table import read

from fastrnn.bench.limit import PRODUCTS
from fastrnn.bench.peers import GATES, Point
from fastrnn.plot import figure_class

Row = dict[str, Any]

TITLES = {"forward": "inference", "train": "training"}


def intensity(row: Row) -> float:
    """Return the floating-point operations for each byte of a row."""
    point = Point(*(row[name] for name in Point._fields))
    merged, in_every_step = PRODUCTS[row["kind"]]
    weights = GATES[point.cell] * point.H**2 * (merged + in_every_step * point.T)
    passes = 1 if row["kind"] == "forward" else 2  # backward has gradients of both
    return point.flops(row["kind"]) / (4 * (weights + passes * 2 * point.N * point.T * point.H))


def draw(reports: list[Row]) -> Any:
    """Return the figure: a panel for inference and one for training."""
    machine = reports[0]["machine"]
    rows = [row for report in reports for row in report["rows"] if row["threads"] == 1 and row["T"] >= 32]
    figure = figure_class()(figsize=(8, 4.2), layout="constrained")
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), TITLES.items(), strict=True):
        chosen = [row for row in rows if row["kind"] == kind]
        roofs(axes, machine)
        for cell in GATES:
            points = [(intensity(row), row["rate"], 4 + row["H"] / 16) for row in chosen if row["cell"] == cell]
            if points:
                x, y, sizes = zip(*points, strict=True)
                axes.scatter(x, y, sizes, alpha=0.5, linewidths=0, label=cell.upper())
        axes.set(title=title, xscale="log", yscale="log", xlabel="operations for each byte")
    first = figure.axes[0]
    first.set_ylabel("GFLOP/s")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(f"{machine['cpu']}, {machine['isa']}, one thread, float32", fontsize="medium")
    return figure


def roofs(axes: Any, machine: Row) -> None:
    """Draw the peak, and each bandwidth up to it."""
    peak, least, most = machine["fma_peak"], 0.5, 256
    for style, (name, rate) in zip(("-", "--", "-.", ":"), machine["read_bandwidth"].items(), strict=False):
        label = f"{name} {rate:.0f} GB/s"
        axes.plot([least, peak / rate], [least * rate, peak], style, color="grey", linewidth=1, label=label)
    axes.plot([least, most], [peak, peak], color="black", linewidth=1, label=f"peak {peak:.0f} GFLOP/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="JSON files of grid.py")
    parser.add_argument("--output", type=Path, required=True, help="PNG, SVG or PDF to write")
    options = parser.parse_args()
    draw(read(options.results)).savefig(options.output)


if __name__ == "__main__":
    main()
