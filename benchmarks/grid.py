"""Time every point of the grid, fastrnn and its peers in turn, and write the figures as JSON.

How that is done stands at `fastrnn.bench.measure`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import Any

from fastrnn.bench import use_threads

THREADS = argparse.ArgumentParser(add_help=False)
THREADS.add_argument("--threads", type=int, default=1, help="of every library; beside fastrnn on one (default: 1)")
use_threads(THREADS.parse_known_args()[0].threads)  # before NumPy is loaded

from fastrnn.bench import peers  # noqa: E402
from fastrnn.bench.measure import measure, new_report  # noqa: E402


def arguments() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form, parents=[THREADS])
    parser.add_argument("--grid", choices=list(peers.GRIDS), default="small", help="the sizes (default: small)")
    for name in ("H", "N", "T"):
        parser.add_argument(f"--{name}", nargs="+", type=int, help=f"these {name} instead of the grid's")
    parser.add_argument("--cell", nargs="+", choices=list(peers.GATES), default=list(peers.GATES))
    parser.add_argument("--kind", nargs="+", choices=peers.KINDS, default=["forward", "train"])
    parser.add_argument("--seconds", type=float, default=0.5, help="spent on a point, if seven rounds are done by then")
    parser.add_argument("--output", type=Path, help="the JSON file; without it the figures are only shown")
    return parser.parse_args()


def show(row: dict[str, Any]) -> None:
    ratios = "  ".join(f"{name} {value:.2f}x" for name, value in row["ratios"].items())
    place = f"{row['kind']:8}{row['cell']:5}H={row['H']:<5}N={row['N']:<4}T={row['T']:<4}"
    shares = f"{row['share']:6.1%} of peak" + (f" {row['of_limit']:6.1%} of limit" if row["of_limit"] else "")
    microseconds = row["seconds"]["fastrnn"] * 1e6
    print(f"{place}{microseconds:12.1f} us {row['rate']:7.1f} GFLOP/s {shares}  {ratios}", flush=True)


def main() -> None:
    options = arguments()
    axes = {name: getattr(options, name) or values for name, values in peers.GRIDS[options.grid].items()}
    begin = perf_counter()
    report = new_report()
    print(f"{report['machine']['cpu']}, peak {report['machine']['fma_peak']} GFLOP/s; absent: {report['absent']}")
    for point in peers.points(options.cell, **axes):
        problem = peers.Problem(point, options.threads)
        for kind in options.kind:
            if kind == "step" and point.T != min(axes["T"]):
                continue  # a step has no T: once is enough
            row = measure(point._replace(T=1) if kind == "step" else point, kind, problem, options.seconds)
            report["rows"].append(row)
            show(row)
        report["minutes"] = round((perf_counter() - begin) / 60, 1)
        if options.output:  # after every point, so that a run cut short is not lost
            options.output.write_text(json.dumps(report, indent=None).replace('{"kind"', '\n{"kind"') + "\n")
    print(f"{report['minutes']} minutes")


if __name__ == "__main__":
    main()
