"""Time a problem in every library there is, in turn: one sample of each in every round.

At each point the libraries are checked to agree, then timed in rounds: one sample of each in every round, after calls
that are not timed, the order turned around from round to round, so that whatever else the machine does falls on all of
them alike. A ratio is the median over the rounds of peer / fastrnn. The machine's multiply-add peak is measured again
in every round. On more than one thread, fastrnn on one of them takes part like a peer.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time, sleep, strftime
from typing import Any

import fastrnn
from fastrnn.bench import machine, peers
from fastrnn.bench.limit import limit

ROUNDS = 7  # at least
SAMPLE = 2e-3  # seconds; a shorter call is repeated within its sample
LONG = 25 * SAMPLE  # a call that took this long when it was checked is not repeated
PEAK_SECONDS = 5e-4
REST = 0.01  # seconds: threads of other libraries spin on after a call, on cores that the next one needs
WARM = 0.02  # seconds of calls not timed: so long may it take until a woken thread has a core of its own
ALONE = "one thread"  # fastrnn's, among calls on more
REFERENCE_SECONDS = 0.1  # the reference is far from the others: it is timed apart, once where it is slow

Calls = dict[str, Callable[[], Any]]
Clock = Callable[[], float]


def sample(call: Callable[[], Any], repeats: int, clock: Clock = perf_counter) -> float:
    """Return the seconds of one call, the mean of some in a row."""
    begin = clock()
    for _ in range(repeats):
        call()
    return (clock() - begin) / repeats


def repeats_for(call: Callable[[], Any], first: float) -> int:
    """Return how often to repeat a call so that a sample is long enough for the clock; `first` is its first time."""
    repeats = 1
    while first < LONG and (seconds := sample(call, repeats)) * repeats < SAMPLE:
        repeats = max(2 * repeats, min(10 * repeats, int(SAMPLE / seconds)))
    return repeats


def warm_up(call: Callable[[], Any], seconds: float) -> None:
    """Call at least once: threads have to be woken, and the multiply-add units are slow to reach full power."""
    end = perf_counter() + seconds
    call()
    while perf_counter() < end:
        call()


def interleave(
    calls: Calls, repeats: dict[str, int], seconds: float, threads: int = 1, clock: Clock = perf_counter
) -> tuple[dict[str, list[float]], float]:
    """Return the samples of each call, one in every round, and the peak measured between them."""
    gc.collect()
    gc.disable()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    peaks: list[float] = []
    order, end = list(calls), perf_counter() + seconds
    while len(peaks) < ROUNDS or perf_counter() < end:
        for name in order:
            fastrnn.set_num_threads(1 if name == ALONE else threads)
            if threads > 1:
                sleep(REST)
            if not samples[name] or samples[name][-1] < LONG:
                warm_up(calls[name], WARM if threads > 1 else 0)
            samples[name].append(sample(calls[name], repeats[name], clock))
        order.reverse()
        peaks.append(machine.fma_peak(PEAK_SECONDS))
    gc.enable()
    return samples, median(peaks)


def median_ratio(samples: dict[str, list[float]], name: str, base: str) -> float:
    """Return how many times as long as another a call takes, the median over the rounds."""
    return median(a / b for a, b in zip(samples[name], samples[base], strict=True))


def take_turns(calls: Calls, seconds: float) -> dict[str, list[float]]:
    """Return the samples of fastrnn's own calls on one thread, whose results were compared elsewhere.

    They are of the processor's time, which counts nothing that other programs on the machine use.
    """
    repeats = {name: repeats_for(call, sample(call, 1)) for name, call in calls.items()}
    return interleave(calls, repeats, seconds, clock=process_time)[0]


def time_reference(problem: peers.Problem, kind: str, expected: peers.Arrays) -> float:
    """Return the seconds of one call of the reference, its results checked."""
    runner = peers.Reference(problem)
    begin = perf_counter()
    results = runner.results(kind)
    samples = [perf_counter() - begin]
    peers.check_equal("reference", results, expected)
    while sum(samples) < REFERENCE_SECONDS:
        samples.append(sample(getattr(runner, kind), 1))
    return median(samples)


def checked_calls(problem: peers.Problem, kind: str) -> tuple[Calls, dict[str, int], peers.Arrays]:
    """Return each library's call, which gave the same results as fastrnn's, how often to repeat it, and the results."""
    calls: Calls = {}
    repeats: dict[str, int] = {}
    expected: peers.Arrays = {}
    for name, runner_class in peers.RUNNERS.items():
        if name == "reference" or name in peers.absent() or not peers.takes_part(name, kind, problem.point):
            continue
        runner = runner_class(problem)
        begin = perf_counter()
        results = runner.results(kind)
        first = perf_counter() - begin
        expected = expected or results
        peers.check_equal(name, results, expected)
        calls[name] = getattr(runner, kind)
        repeats[name] = repeats_for(calls[name], first)
    if problem.threads > 1:
        calls[ALONE], repeats[ALONE] = calls["fastrnn"], repeats["fastrnn"]
    return calls, repeats, expected


def measure(
    point: peers.Point, kind: str, problem: peers.Problem, seconds: float, reference: bool = True
) -> dict[str, Any]:
    """Return one row of the table: times in seconds, rates in GFLOP/s, ratios over fastrnn's time.

    `share` is of the peak of as many cores as there are threads, `of_limit` of what `limit` says is possible.
    """
    calls, repeats, expected = checked_calls(problem, kind)
    begin, busy = perf_counter(), process_time()
    samples, peak = interleave(calls, repeats, seconds, problem.threads)
    share_of_core = (process_time() - busy) / (perf_counter() - begin)
    times = {name: median(values) for name, values in samples.items()}
    ratios = {name: median_ratio(samples, name, "fastrnn") for name in samples if name != "fastrnn"}
    if reference and problem.threads == 1 and kind in peers.Reference.kinds:
        times["reference"] = time_reference(problem, kind, expected)
        ratios["reference"] = times["reference"] / times["fastrnn"]
    rate = point.flops(kind) / times["fastrnn"] * 1e-9
    least = limit(point, kind, peak, problem.threads)
    return {
        "kind": kind,
        **point._asdict(),
        "threads": problem.threads,
        "seconds": {name: float(f"{value:.4g}") for name, value in times.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "rate": round(rate, 2),
        "peak": round(peak, 1),
        "share": round(rate / (problem.threads * peak), 4),
        "of_limit": None if least is None else round(least / times["fastrnn"], 4),
        "rounds": len(samples["fastrnn"]),
        "share_of_core": round(share_of_core, 3),
        "load": round(os.getloadavg()[0], 2),
    }


def new_report() -> dict[str, Any]:
    """Return what a run's JSON begins with; its rows follow."""
    return {
        "machine": machine.describe(),
        "absent": peers.absent(),
        "started": strftime("%Y-%m-%d %H:%M"),
        "rows": [],
    }
