"""The command ``fastrnn bench``: a small grid in about two minutes, as a table, as JSON and as a plot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from math import exp, log
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

from fastrnn.bench import peers
from fastrnn.bench.measure import measure, new_report
from fastrnn.plot import figure_class

Row = dict[str, Any]
Task = tuple[str, peers.Point]

SIZES: dict[str, Sequence[int]] = {"H": (64, 256), "N": (1, 32), "T": (32,)}
SECONDS = 1.0  # spent on a row, if seven rounds are done by then
KINDS = {"forward": "inference", "train": "training", "step": "one step"}


def tasks() -> list[Task]:
    """Return the rows of the table: inference and training at every size, and a single step of one row."""
    axes = {"forward": SIZES, "train": SIZES, "step": {**SIZES, "N": (1,), "T": (1,)}}
    return [(kind, point) for kind, sizes in axes.items() for point in peers.points(peers.GATES, **sizes)]


def run(
    say: Callable[[str], None],
    output: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    rows: Sequence[Task] | None = None,
    seconds: float = SECONDS,
) -> Row:
    """Time some rows, one after the other, and return the report.

    Parameters
    ----------
    say : callable
        Takes each line of the table when it is ready.
    output, plot : path, optional
        Where to write the report as JSON, and its picture.
    rows : list of (kind, point), optional
        Those of `tasks` by default.
    seconds : float
        Spent on a row, if seven rounds are done by then.

    Raises
    ------
    ImportError
        A plot is wanted, and matplotlib is missing.
    ValueError
        A library has other results than fastrnn; nothing was timed at this row.
    """
    if plot is not None:
        figure_class()  # before time is spent
    begin, report = perf_counter(), new_report()
    about, here = report["machine"], [name for name in peers.PEERS if name not in report["absent"]]
    say(f"{about['cpu']}, {about['isa']}, one thread, float32; {about['fma_peak']} GFLOP/s at most")
    say(", ".join(f"{name} {version}" for name, version in about["versions"].items() if version != "absent"))
    say(f"not installed: {', '.join(name for name in peers.PEERS if name in report['absent']) or 'none of the peers'}")
    say("\nHow many times as long the peers take, at equal results (below 1 fastrnn is slower):\n")
    say(line("", "cell", "H", "N", "T", "µs", "GFLOP/s", "of peak", "of limit", *(f"x {name}" for name in here)))
    for kind, point in tasks() if rows is None else rows:
        row = measure(point, kind, peers.Problem(point), seconds, reference=False)
        report["rows"].append(row)
        say(table_line(row, here))
        report["minutes"] = round((perf_counter() - begin) / 60, 2)
        if output is not None:  # after every row, so that a run cut short is not lost
            Path(output).write_text(json.dumps(report, indent=None).replace('{"kind"', '\n{"kind"') + "\n")
    say("")
    for name in here:
        if ratios := [row["ratios"][name] for row in report["rows"] if name in row["ratios"]]:
            say(f"geometric mean of the {len(ratios)} rows with {name}: x {exp(mean(map(log, ratios))):.2f}")
    say(f"{report['minutes']} minutes" + (f", written to {output}" if output is not None else ""))
    if plot is not None:
        draw(report, plot)
        say(f"drawn to {plot}")
    return report


def table_line(row: Row, here: Sequence[str]) -> str:
    """Return a row as text, with a column for each peer that is installed."""
    ratios = (f"{row['ratios'][name]:.2f}" if name in row["ratios"] else "-" for name in here)
    shares = f"{row['share']:.0%}", f"{row['of_limit']:.0%}"
    figures = f"{row['seconds']['fastrnn'] * 1e6:,.1f}", f"{row['rate']:.1f}", *shares
    return line(KINDS[row["kind"]], row["cell"].upper(), row["H"], row["N"], row["T"], *figures, *ratios)


def line(kind: str, cell: str, *cells: Any) -> str:
    widths = (6, 5, 5, 12, 9, 8, 9)
    columns = [f"{text!s:>{widths[k] if k < len(widths) else 14}}" for k, text in enumerate(cells)]
    return f"{kind:10}{cell:5}{''.join(columns)}"


def draw(report: Row, path: str | os.PathLike[str]) -> None:
    """Draw each row's ratios as bars that begin at 1, on a logarithmic scale."""
    rows, here = report["rows"], [name for name in peers.PEERS if any(name in row["ratios"] for row in report["rows"])]
    figure = figure_class()(figsize=(8, 1.5 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / max(len(here), 1)
    for k, name in enumerate(here):
        timed = [(m, row["ratios"][name]) for m, row in enumerate(rows) if name in row["ratios"]]
        places, ratios = zip(*timed, strict=True)
        above = [ratio - 1 for ratio in ratios]
        axes.barh([m + (k + 0.5) * height - 0.4 for m in places], above, height, left=1, label=name)
    labels = [f"{KINDS[row['kind']]} {row['cell'].upper()} {row['H']}, {row['N']}, {row['T']}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times as long as fastrnn, which is 1; H, N, T on the left")
    axes.set_title(f"{report['machine']['cpu']}, one thread, float32")
    if here:
        figure.legend(loc="outside lower center", ncols=len(here))
    figure.savefig(path)
