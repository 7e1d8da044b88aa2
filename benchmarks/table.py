"""Print the figures of `grid.py` as Markdown: what was aimed at, what came of it, and every row; losses in bold.

With `--into FILE` the tables go into a Markdown file, between its two marks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

Row = dict[str, Any]

PEERS = ("torch", "onnxruntime", "jax")
LOSS = 0.97  # below it fastrnn is slower, beyond what the noise of a measurement explains
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
TITLES = {
    "forward": "Inference",
    "train": "Training step: forward, backward, all gradients",
    "update": "Training step with Adam and repacking",
    "step": "One time step, called from Python",
}


class Target(NamedTuple):
    """A figure that the engine is to reach at every row of a part of the grid."""

    name: str
    applies: Callable[[Row], bool]
    value: Callable[[Row], float | None]
    least: float


def share(row: Row) -> float:
    return row["share"]


def against_torch(row: Row) -> float | None:
    return row["ratios"].get("torch")


def against_fastest(row: Row) -> float | None:
    """The ratio to the faster of the peers, where there was one."""
    return min((row["ratios"][name] for name in PEERS if name in row["ratios"]), default=None)


def forward(row: Row, H: Iterable[int]) -> bool:
    return row["kind"] == "forward" and row["T"] >= 32 and row["N"] >= 16 and row["H"] in H


def simple_training(row: Row) -> bool:
    return row["kind"] == "train" and row["cell"] in ("rnn", "gru")


TARGETS = (
    Target("inference, N ≥ 16, T ≥ 32, H = 32: share of peak", lambda r: forward(r, [32]), share, 0.60),
    Target("inference, N ≥ 16, T ≥ 32, H = 128, 1024: share of peak", lambda r: forward(r, [128, 1024]), share, 0.82),
    Target("inference, N ≥ 16, T ≥ 32, H = 256, 512: share of peak", lambda r: forward(r, [256, 512]), share, 0.87),
    Target(
        "training, N ≥ 32, T ≥ 32, H ≥ 128: share of peak",
        lambda r: r["kind"] == "train" and r["T"] >= 32 and r["N"] >= 32 and r["H"] >= 128,
        share,
        0.75,
    ),
    Target(
        "inference and training, all sizes: × the faster peer",
        lambda r: r["kind"] in ("forward", "train"),
        against_fastest,
        LOSS,
    ),
    Target(
        "RNN and GRU training, N = 1, H ≤ 128: × torch",
        lambda r: simple_training(r) and r["N"] == 1 and r["H"] <= 128,
        against_torch,
        3.0,
    ),
    Target(
        "RNN and GRU training, N = 32, H = 32: × torch",
        lambda r: simple_training(r) and r["N"] == 32 and r["H"] == 32,
        against_torch,
        3.0,
    ),
    Target(
        "RNN and GRU training, N = 32, H = 128: × torch",
        lambda r: simple_training(r) and r["N"] == 32 and r["H"] == 128,
        against_torch,
        1.8,
    ),
)


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def place(row: Row) -> str:
    return f"{row['cell'].upper()} {row['H']}, {row['N']}, {row['T']}"


def targets_table(rows: list[Row]) -> list[str]:
    """Each target: at how many rows it was reached, and the worst row."""
    lines = []
    for target in TARGETS:
        found = [(value, row) for row in rows if target.applies(row) and (value := target.value(row)) is not None]
        if not found:
            lines.append([target.name, f"{target.least:.2f}", "not measured", "", ""])
            continue
        worst, row = min(found, key=lambda pair: pair[0])
        reached = f"{sum(value >= target.least for value, _ in found)} of {len(found)}"
        middle = median(value for value, _ in found)
        lines.append([target.name, f"{target.least:.2f}", mark(reached, worst < target.least), f"{middle:.2f}",
                      f"{worst:.2f} ({place(row)})"])  # fmt: skip
    return table(["target", "at least", "reached", "median", "worst (cell H, N, T)"], lines)


def mark(text: str, bad: bool) -> str:
    return f"**{text}**" if bad else text


def rows_table(rows: list[Row], kind: str) -> list[str]:
    """Every row of one kind, with a column for each library that was timed."""
    rivals = [name for name in (*PEERS, "reference") if any(name in row["ratios"] for row in rows)]
    head = ["cell", "H", "N", *([] if kind == "step" else ["T"]), "µs", "GFLOP/s", "of peak"]
    lines = []
    for row in rows:
        ratios = [
            mark(f"{row['ratios'][name]:.2f}", row["ratios"][name] < LOSS) if name in row["ratios"] else ""
            for name in rivals
        ]
        sizes = [str(row[name]) for name in head[1 : head.index("µs")]]
        figures = [f"{row['seconds']['fastrnn'] * 1e6:,.1f}", f"{row['rate']:.1f}", f"{row['share']:.2f}"]
        lines.append([row["cell"].upper(), *sizes, *figures, *ratios])
    return table([*head, *(f"× {name}" for name in rivals)], lines)


def bandwidths(machine: Row) -> str:
    sizes = machine["cache_bytes"]
    parts = []
    for name, rate in machine["read_bandwidth"].items():
        size = f" ({sizes[name] >> 10:,} KB)" if name in sizes else ""
        parts.append(f"{name}{size} {rate:.0f}")
    return ", ".join(parts)


def machine_lines(reports: list[Row]) -> list[str]:
    """What was measured on, and how quiet it was."""
    machine, rows = reports[0]["machine"], [row for report in reports for row in report["rows"]]
    peaks, shares = [row["peak"] for row in rows], [row["share_of_core"] for row in rows]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version != "absent")
    absent = sorted({name for report in reports for name in report["absent"]})
    lines = [
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['system']}; fastrnn uses {machine['isa']}; "
        "one thread, float32",
        f"- {libraries}" + (f"; absent: {', '.join(absent)}" if absent else ""),
        f"- multiply-add peak {machine['fma_peak']:.0f} GFLOP/s; at the rows {min(peaks):.0f} to {max(peaks):.0f}, "
        f"median {median(peaks):.0f}",
        f"- reading, GB/s: {bandwidths(machine)}",
        f"- {', '.join(report['started'] for report in reports)}; "
        f"{sum(report['minutes'] for report in reports):.1f} minutes; "
        f"the process had {min(shares):.0%} to 100 % of its core at a row, median {median(shares):.0%}",
    ]
    return lines


def markdown(reports: list[Row]) -> str:
    rows = [row for report in reports for row in report["rows"]]
    lines = ["### Machine", "", *machine_lines(reports), "", "### Targets", "", *targets_table(rows)]
    for kind, title in TITLES.items():
        chosen = [row for row in rows if row["kind"] == kind]
        if chosen:
            lines += ["", f"### {title}", "", *rows_table(chosen, kind)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="JSON files of grid.py")
    parser.add_argument("--into", type=Path, help="a Markdown file that has the two marks")
    options = parser.parse_args()
    text = markdown([json.loads(path.read_text()) for path in options.results])
    if options.into is None:
        print(text, end="")
        return
    before, _, rest = options.into.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        parser.error(f"{options.into} has no {BEGIN} and {END}")
    options.into.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
