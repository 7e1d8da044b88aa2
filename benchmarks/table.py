"""Print the figures of `grid.py` as Markdown: what was aimed at, what came of it, and every row; losses in bold.

With `--into FILE` the tables go into a Markdown file, between its two marks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from document import mark, publish, table
from targets import LOSS, targets_table

from fastrnn.bench.measure import ALONE
from fastrnn.bench.peers import GATES, PEERS

Row = dict[str, Any]

TITLES = {
    "forward": "Inference",
    "train": "Training step: forward, backward, all gradients",
    "update": "Training step with Adam and repacking",
    "step": "One time step, called from Python",
}


def read(paths: list[Path]) -> list[Row]:
    """Return the reports in some files; rows that say nothing of threads were measured on one."""
    reports = [json.loads(path.read_text()) for path in paths]
    for report in reports:
        report["rows"] = [{"threads": 1, **row} for row in report["rows"]]
    return reports


def in_order(row: Row) -> tuple[int, ...]:
    return list(GATES).index(row["cell"]), row["H"], row["N"], row["T"]


def rows_table(rows: list[Row], kind: str) -> list[str]:
    """Every row of one kind, with a column for each library that was timed."""
    rivals = [name for name in (*PEERS, ALONE, "reference") if any(name in row["ratios"] for row in rows)]
    sizes = ["H", "N"] if kind == "step" else ["H", "N", "T"]
    limited = any(row.get("of_limit") is not None for row in rows)
    lines = []
    for row in sorted(rows, key=in_order):
        ratios = [
            mark(f"{row['ratios'][name]:.2f}", row["ratios"][name] < LOSS) if name in row["ratios"] else ""
            for name in rivals
        ]
        figures = [f"{row['seconds']['fastrnn'] * 1e6:,.1f}", f"{row['rate']:.1f}", f"{row['share']:.2f}"]
        figures += [f"{row['of_limit']:.2f}"] if limited else []
        lines.append([row["cell"].upper(), *(str(row[name]) for name in sizes), *figures, *ratios])
    shares = ["of peak", "of limit"] if limited else ["of peak"]
    return table(["cell", *sizes, "µs", "GFLOP/s", *shares, *(f"× {name}" for name in rivals)], lines)


def bandwidths(machine: Row) -> str:
    sizes = machine["cache_bytes"]
    parts = []
    for name, rate in machine["read_bandwidth"].items():
        size = f" ({sizes[name] >> 10:,} KB)" if name in sizes else ""
        parts.append(f"{name}{size} {rate:.0f}")
    return ", ".join(parts)


def activations(machine: Row) -> list[str]:
    costs = [f"{name} {cost:.2f}" for name, cost in machine.get("activations", {}).items()]
    return [f"- one value, ns: {', '.join(costs)}"] if costs else []


def machine_lines(reports: list[Row]) -> list[str]:
    """What was measured on, and how quiet it was."""
    machine, rows = reports[0]["machine"], [row for report in reports for row in report["rows"]]
    peaks, shares = [row["peak"] for row in rows], [row["share_of_core"] for row in rows]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version != "absent")
    threads = " and ".join(str(count) for count in sorted({row["threads"] for row in rows}))
    absent = sorted({name for report in reports for name in report["absent"]})
    lines = [
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['system']}; fastrnn uses {machine['isa']}; "
        f"threads: {threads}; float32",
        f"- {libraries}" + (f"; absent: {', '.join(absent)}" if absent else ""),
        f"- multiply-add peak {machine['fma_peak']:.0f} GFLOP/s; at the rows {min(peaks):.0f} to {max(peaks):.0f}, "
        f"median {median(peaks):.0f}",
        f"- reading, GB/s: {bandwidths(machine)}",
        *activations(machine),
        f"- {', '.join(report['started'] for report in reports)}; "
        f"{sum(report['minutes'] for report in reports):.1f} minutes; "
        f"the process had {min(shares):.0%} to 100 % of its core at a row, median {median(shares):.0%}",
    ]
    return lines


def markdown(reports: list[Row]) -> list[str]:
    rows = [row for report in reports for row in report["rows"]]
    lines = ["### Machine", "", *machine_lines(reports), "", "### Targets", "", *targets_table(rows)]
    for threads in sorted({row["threads"] for row in rows}):
        for kind, title in TITLES.items():
            chosen = [row for row in rows if row["kind"] == kind and row["threads"] == threads]
            if chosen:
                several = f", {threads} threads" if threads > 1 else ""
                lines += ["", f"### {title}{several}", "", *rows_table(chosen, kind)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="JSON files of grid.py")
    parser.add_argument("--into", type=Path, help="a Markdown file that has the two marks")
    options = parser.parse_args()
    publish(markdown(read(options.results)), "tables", options.into)


if __name__ == "__main__":
    main()
