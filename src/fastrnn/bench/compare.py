"""Say where a run of the benchmarks fell behind an earlier one.

Compared are the ratios peer / fastrnn, measured in rounds beside each other, and not seconds: a machine that was
busier, or is another one of its kind, slows both sides of a ratio alike. Every row and peer of the baseline is looked
for in the new run; what is not there is named, and if nothing is, there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from math import exp, log
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

Key = tuple[Any, ...]

LEAST = 0.85  # of the baseline's ratio: 15 % may be the noise of a measurement


class Change(NamedTuple):
    """The ratio of a row and peer, before and now."""

    key: Key
    before: float
    now: float


def ratios(reports: Iterable[dict[str, Any]]) -> dict[Key, float]:
    """Return {(kind, cell, H, N, T, threads, peer): ratio} of the rows of some reports, but for the reference's."""
    return {
        (row["kind"], row["cell"], row["H"], row["N"], row["T"], row.get("threads", 1), peer): ratio
        for report in reports
        for row in report["rows"]
        for peer, ratio in row["ratios"].items()
        if peer != "reference"
    }


def compare(baseline: dict[str, Any], new: dict[str, Any]) -> tuple[list[Change], list[Key]]:
    """Return the ratios that both reports have, the worst change first, and what the new one lacks."""
    before, now = ratios([baseline]), ratios([new])
    changes = [Change(key, before[key], now[key]) for key in before if key in now]
    return sorted(changes, key=lambda change: change.now / change.before), [key for key in before if key not in now]


def name_of(key: Key) -> str:
    kind, cell, H, N, T, threads, peer = key
    several = f"{threads} threads  " if threads > 1 else ""
    return f"{kind:8}{cell:5}H={H:<5}N={N:<4}T={T:<4}{several}x {peer}"


def read(path: Path) -> dict[str, Any]:
    """Return the report in a file, or say what is wrong with it."""
    report = json.loads(path.read_text())
    if not isinstance(report, dict) or not isinstance(report.get("rows"), list):
        raise ValueError(f"{path} has no rows, so no benchmark wrote it")
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two files; return 0, or 1 where a ratio fell by more than 15 % or there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", type=Path, help="JSON of an earlier run")
    parser.add_argument("new", type=Path, help="JSON of this run")
    options = parser.parse_args(arguments)
    try:
        changes, missing = compare(read(options.baseline), read(options.new))
    except (OSError, KeyError, TypeError, ValueError) as error:
        parser.error(f"{type(error).__name__}: {error}")
    for key in missing:
        print(f"not measured again: {name_of(key)}")
    if not changes:
        print("the two runs have no row and peer in common")
        return 1
    fallen = [change for change in changes if change.now < LEAST * change.before]
    for key, before, now in fallen:
        print(f"slower by {1 - now / before:.0%}: {name_of(key)}, {before:.2f} -> {now:.2f}")
    overall = exp(mean(log(change.now / change.before) for change in changes))
    print(f"{len(changes)} ratios compared, {len(fallen)} fell by more than 15 %; all together {overall - 1:+.1%}")
    return 1 if fallen else 0
