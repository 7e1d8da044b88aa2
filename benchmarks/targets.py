"""What the engine is to reach, and at how many rows of the grid it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp, log
from statistics import mean, median
from typing import Any, NamedTuple

from document import mark, table

from fastrnn.bench.measure import ALONE
from fastrnn.bench.peers import PEERS

Row = dict[str, Any]

LOSS = 0.97  # below it fastrnn is slower, beyond what the noise of a measurement explains


class Target(NamedTuple):
    """A figure that the engine is to reach at every row of a part of the grid, or in the geometric mean of them."""

    name: str
    applies: Callable[[Row], bool]
    value: Callable[[Row], float | None]
    least: float
    overall: bool = False


def share(row: Row) -> float:
    return row["share"]


def of_limit(row: Row) -> float | None:
    return row.get("of_limit")


def against_torch(row: Row) -> float | None:
    return row["ratios"].get("torch")


def against_fastest(row: Row) -> float | None:
    """The ratio to the fastest of the peers, where there was one."""
    return min((row["ratios"][name] for name in PEERS if name in row["ratios"]), default=None)


def against_one_thread(row: Row) -> float | None:
    return row["ratios"].get(ALONE)


def alone(row: Row, kind: str) -> bool:
    return row["threads"] == 1 and row["kind"] == kind


def forward(row: Row, H: Iterable[int]) -> bool:
    return alone(row, "forward") and row["T"] >= 32 and row["N"] >= 16 and row["H"] in H


def wide(row: Row, kind: str) -> bool:
    return alone(row, kind) and row["T"] >= 32 and row["H"] >= 128


def simple_training(row: Row) -> bool:
    return alone(row, "train") and row["cell"] in ("rnn", "gru")


def worth_sharing(row: Row) -> bool:
    """A call of 1 ms or more on one thread, in steps of 6 µs or more."""
    seconds = row["seconds"].get(ALONE, 0)
    return seconds >= 1e-3 and seconds / row["T"] >= 6e-6


TARGETS = [
    Target("inference, N ≥ 16, T ≥ 32, H = 32: share of peak", lambda r: forward(r, [32]), share, 0.60),
    Target("inference, N ≥ 16, T ≥ 32, H = 128, 1024: share of peak", lambda r: forward(r, [128, 1024]), share, 0.82),
    Target("inference, N ≥ 16, T ≥ 32, H = 256, 512: share of peak", lambda r: forward(r, [256, 512]), share, 0.87),
    Target(
        "training, N ≥ 32, T ≥ 32, H ≥ 128: share of peak",
        lambda r: wide(r, "train") and r["N"] >= 32,
        share,
        0.75,
    ),
    Target(
        "inference, N ≥ 16, T ≥ 32, H ≥ 128: share of limit",
        lambda r: wide(r, "forward") and r["N"] >= 16,
        of_limit,
        0.92,
    ),
    Target(
        "training, N ≥ 16, T ≥ 32, H ≥ 128: share of limit",
        lambda r: wide(r, "train") and r["N"] >= 16,
        of_limit,
        0.87,
    ),
    *(
        Target(
            f"{name}, N = 1, T ≥ 32, H ≥ 128: share of limit",
            lambda r, kind=kind: wide(r, kind) and r["N"] == 1,
            of_limit,
            0.85,
        )
        for kind, name in (("forward", "inference"), ("train", "training"))
    ),
    Target(
        "inference and training, all sizes: × the fastest peer",
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
    *(
        Target(
            f"{name}, {several}, geometric mean: × {peer}",
            lambda r, kind=kind, threads=threads, N=N: r["kind"] == kind and r["threads"] == threads and r["N"] <= N,
            value,
            least,
            overall=True,
        )
        for threads, several in ((1, "one thread"), (2, "two threads"))
        for kind, name, peer, N, value, least in (
            ("forward", "inference", "the fastest peer", 128, against_fastest, 1.5),
            ("train", "training", "the fastest peer", 128, against_fastest, 1.8),
            ("train", "training, N ≤ 32", "torch", 32, against_torch, 3.0),
        )
    ),
    Target(
        "two threads, calls ≥ 1 ms in steps ≥ 6 µs: × one thread",
        lambda r: r["threads"] == 2 and worth_sharing(r),
        against_one_thread,
        1.8,
    ),
    Target("two threads, everywhere: × one thread", lambda r: r["threads"] == 2, against_one_thread, LOSS),
]


def place(row: Row) -> str:
    return f"{row['cell'].upper()} {row['H']}, {row['N']}, {row['T']}"


def line(target: Target, rows: list[Row]) -> list[str]:
    """What was asked, at how many rows it was reached, the middle of them, and the worst."""
    found = [(value, row) for row in rows if target.applies(row) and (value := target.value(row)) is not None]
    if not found:
        return [target.name, f"{target.least:.2f}", "not measured", "", ""]
    values = [value for value, _ in found]
    middle = exp(mean(map(log, values))) if target.overall else median(values)
    judged = [middle] if target.overall else values
    reached = sum(value >= target.least for value in judged)
    worst, row = min(found, key=lambda pair: pair[0])
    count = f"{'yes' if reached else 'no'}, {len(found)} rows" if target.overall else f"{reached} of {len(found)}"
    figures = [mark(count, reached < len(judged)), f"{middle:.2f}", f"{worst:.2f} ({place(row)})"]
    return [target.name, f"{target.least:.2f}", *figures]


def targets_table(rows: list[Row]) -> list[str]:
    head = ["target", "at least", "reached", "median, or mean", "worst (cell H, N, T)"]
    return table(head, [line(target, rows) for target in TARGETS])
