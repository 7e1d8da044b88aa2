"""Planted faults in the installed benchmark and in what looks for regressions."""

from __future__ import annotations

from mutant import Mutant

BENCH = "src/fastrnn/bench/"


def fault(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"bench-{name}", BENCH + file, old, new, f"test_bench.py::{test}")


TIMING = [
    fault(
        "nothing-warms-up",
        "measure.py",
        "                warm_up(calls[name], WARM if threads > 1 else 0)\n",
        "                pass\n",
        "test_two_threads_beside_one",
    ),
    fault(
        "regression-forgiven",
        "compare.py",
        "LEAST = 0.85",
        "LEAST = 0.80",
        "test_a_planted_regression_is_found[0]",
    ),
    fault("noise-punished", "compare.py", "LEAST = 0.85", "LEAST = 0.90", "test_noise_is_no_regression"),
    fault(
        "rows-mixed-up",
        "compare.py",
        'row["H"], row["N"], row["T"], row.get',
        'row["H"], row["T"], row["T"], row.get',
        "test_a_planted_regression_is_found[2]",
    ),
    fault(
        "always-passes",
        "compare.py",
        "return 1 if fallen else 0",
        "return 0",
        "test_a_planted_regression_is_found[1]",
    ),
    fault(
        "reference-counts",
        "compare.py",
        'if peer != "reference"',
        "if peer",
        "test_noise_is_no_regression",
    ),
    fault(
        "nothing-in-common-passes",
        "compare.py",
        'no row and peer in common")\n        return 1',
        'no row and peer in common")\n        return 0',
        "test_nothing_in_common_fails",
    ),
    fault("missing-rows-hidden", "compare.py", "if key not in now]", "if key in ()]", "test_what_is_missing_is_named"),
    fault(
        "results-not-checked",
        "measure.py",
        "        peers.check_equal(name, results, expected)\n        calls",
        "        calls",
        "test_nothing_is_timed_before_results_agree",
    ),
    fault(
        "wrong-results-tolerated",
        "peers.py",
        "TOLERANCE = 1e-4",
        "TOLERANCE = 1e-2",
        "test_nothing_is_timed_before_results_agree",
    ),
    fault(
        "plot-missing-after-the-run",
        "quick.py",
        "        figure_class()  # before time is spent\n",
        "        pass\n",
        "test_a_plot_needs_matplotlib",
    ),
    fault(
        "absent-not-named",
        "quick.py",
        "if name in report['absent'])",
        "if name not in report['absent'])",
        "test_absent_libraries_are_named_and_left_out",
    ),
    fault(
        "threads-mixed-up",
        "compare.py",
        'row["T"], row.get("threads", 1), peer)',
        'row["T"], 1, peer)',
        "test_two_threads_are_not_compared_with_one",
    ),
    fault(
        "one-thread-on-two",
        "measure.py",
        "1 if name == ALONE else threads",
        "threads",
        "test_two_threads_beside_one",
    ),
    fault(
        "share-of-one-core",
        "measure.py",
        "rate / (problem.threads * peak)",
        "rate / peak",
        "test_two_threads_beside_one",
    ),
    fault(
        "limit-without-reading",
        "limit.py",
        "4 * weights / machine.read_rate(4 * weights)",
        "0",
        "test_the_limit[forward-1-1-123.92]",
    ),
    fault(
        "limit-without-backward",
        "limit.py",
        '"train": (4, 2)',
        '"train": (1, 1)',
        "test_the_limit[train-32-1-4293.12]",
    ),
]
