"""Planted faults in the worker team, and in what decides on its size and where it pays."""

from __future__ import annotations

from mutant import ENGINE, Mutant

TEAM = "csrc/team.c"
POLICY = "src/fastrnn/_threads.py"


def team(name: str, old: str, new: str, test: str) -> Mutant:
    """A fault in the team, which is built with any engine."""
    return Mutant(name, TEAM, old, new, f"test_threads.py::{test}", "float32")


def pace(name: str, old: str, new: str, test: str) -> Mutant:
    """A fault in the choice between two ways, which is built with the team."""
    return Mutant(f"pace-{name}", ENGINE + "pace.pxi", old, new, f"test_pace.py::{test}", "float32")


THREADS = [
    team(
        "team-caller-does-not-wait",
        "memory_order_acquire) != team->expected; round++)", "memory_order_acquire) > ~0u; round++)",
        "test_workers_take_part[4]",
    ),
    team(
        "team-never-released",
        "    atomic_store_explicit(&team->taken, 0, memory_order_release);\n", "",
        "test_regions_of_all_sizes_follow_each_other",
    ),
    team("team-never-parks", "            park(team, rank);\n", "", "test_idle_workers_use_no_processor"),
    team(
        "team-always-wakes",
        "rank = 1; wake && rank < team->size", "rank = 1; rank < team->size",
        "test_parked_workers_are_woken_on_demand_alone",
    ),
    team(
        "team-close-calls-wake-nobody", "wake = wake || now() - team->ended < CLOSE_NS;", "",
        "test_parked_workers_are_woken_where_calls_follow_closely",
    ),
    team("team-workers-keep-denormals", "    denormals_flush();\n", "", "test_floating_point_modes"),
    team(
        "team-workers-take-signals", "sigfillset(&blocked)", "sigemptyset(&blocked)",
        "test_workers_leave_signals_to_the_program",
    ),
    team(
        "team-limit-ignored",
        "    size = wanted < size ? wanted : size;", "    size = wanted < TEAM_MAX || size < 2 ? wanted : size;",
        "test_set_num_threads",
    ),
    team(
        "team-child-finds-it-taken", "    atomic_store(&team->taken, 0);\n", "",
        "test_fork_while_another_thread_is_in_a_region",
    ),
    Mutant(
        "threads-quota-of-the-group-alone", POLICY,
        "(group, *group.parents)", "(group,)",
        "test_threads.py::test_quota_of_control_groups",
    ),
    Mutant(
        "threads-part-of-a-core-dropped", POLICY,
        "math.ceil(min(", "math.floor(min(",
        "test_threads.py::test_usable_cores[2.5-3]",
    ),
    Mutant(
        "threads-affinity-ignored", POLICY,
        'len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1',
        "os.cpu_count() or 1",
        "test_threads.py::test_affinity_is_respected",
    ),
    Mutant(
        "threads-environment-not-checked", POLICY,
        'return _check_range(number, "FASTRNN_NUM_THREADS")', "return number if isinstance(number, int) else 1",
        "test_threads.py::test_no_number_by_environment_is_refused[0]",
    ),
    Mutant(
        "threads-unlimited-by-threadpoolctl", POLICY,
        "            _team.set_num_threads(num_threads)\n\n        def get_version",
        "            pass\n\n        def get_version",
        "test_threads.py::test_threadpoolctl[import threadpoolctl, fastrnn]",
    ),
    pace("slower-way-goes-on", "way = shared < alone", "way = shared > alone", "test_the_faster_goes_on[seconds0]"),
    pace(
        "slower-way-never-tried-again", "            way = not way\n", "            pass\n",
        "test_the_faster_goes_on[seconds1]",
    ),
    pace(
        "slower-way-tried-again-for-good", "if way == self.way else 1", "",
        "test_the_faster_goes_on[seconds1]",
    ),
    pace(
        "slower-way-tried-however-slow", "* min(alone, shared) >= TRIAL * abs(alone - shared)", ">= 0.5",
        "test_the_faster_goes_on[seconds2]",
    ),
    pace(
        "one-call-decides", "min(self.latest[1], self.before[1])", "self.latest[1]",
        "test_one_slow_call_proves_nothing[True]",
    ),
    pace(
        "alone-at-first", "way = shared == 0", "way = alone > 0",
        "test_a_trial_of_each_way_at_first",
    ),
    pace(
        "call-before-forgotten", "self.before[shared], self.latest[shared] = self.latest[shared], seconds",
        "self.before[shared] = self.latest[shared] = seconds", "test_follows_a_change",
    ),
    pace("trial-without-end", "elif way == self.way and ", "elif ", "test_equal_ways_take_turns"),
    pace("trials-of-one-call", "TRIAL = 3", "TRIAL = 1", "test_a_worker_has_time_to_wake"),
    pace(
        "trials-at-the-cost-of-one-call", ">= TRIAL * abs(", ">= abs(", "test_the_faster_goes_on[seconds0]",
    ),
    pace(
        "shapes-without-end", "if len(paces) >= SHAPES:", "if False:",
        "test_shapes_are_remembered_up_to_a_bound",
    ),
    Mutant(
        "pace-of-all-numbers-of-threads", ENGINE + "stack.pxi",
        "dx, drawn, shares))", "dx, drawn))",
        "test_pace.py::test_what_tells_times_apart", "float32",
    ),
    Mutant(
        "pace-of-all-lengths", ENGINE + "stack.pxi",
        "(<object>T).bit_length(), dx, drawn", "dx, drawn",
        "test_pace.py::test_what_tells_times_apart", "float32",
    ),
    Mutant(
        "pace-of-calls-without-the-team", ENGINE + "stack.pxi",
        "    if pace is not None and (shares == 1 or team != NULL):  # else another call had it\n"
        "        pace.record(shares > 1, (perf_counter() - begun) / T)\n\n\ncdef Buffer",
        "    if pace is not None:\n"
        "        pace.record(shares > 1, (perf_counter() - begun) / T)\n\n\ncdef Buffer",
        "test_pace.py::test_calls_that_another_keeps_from_the_team_prove_nothing", "float32",
    ),
    Mutant(
        "pace-of-varied-rows", ENGINE + "stack.pxi",
        "if not steps.full or step_seconds(", "if step_seconds(",
        "test_pace.py::test_varied_rows_large_batches_long_steps_and_calls_are_not_tried[rows]", "float32",
    ),
    Mutant(
        "pace-of-large-batches", ENGINE + "stack.pxi",
        "    if split == BY_UNITS:\n        pace = layer_pace(kind",
        "    if split != ALONE:\n        pace = layer_pace(kind",
        "test_pace.py::test_varied_rows_large_batches_long_steps_and_calls_are_not_tried[batch]", "float32",
    ),
    Mutant(
        "pace-of-long-calls", ENGINE + "stack.pxi",
        " or seconds > MOST_TRIED:", ":",
        "test_pace.py::test_varied_rows_large_batches_long_steps_and_calls_are_not_tried[call]", "float32",
    ),
    Mutant(
        "pace-of-long-steps", ENGINE + "stack.pxi",
        "step_seconds(w, steps.N) > MOST_WAITED", "False",
        "test_pace.py::test_varied_rows_large_batches_long_steps_and_calls_are_not_tried[step]", "float32",
    ),
    Mutant(
        "forward-pace-not-followed", ENGINE + "stack.pxi",
        "        split = ALONE\n    if split == ALONE:\n", "        pass\n    if split == ALONE:\n",
        "test_pace.py::test_either_way_gives_the_same_bits[lstm-1-20-150]", "float32",
    ),
    Mutant(
        "backward-pace-not-followed", ENGINE + "stack.pxi",
        "        split, shares = ALONE, 1\n", "        split = ALONE\n",
        "test_pace.py::test_either_way_gives_the_same_bits[lstm-1-40-64]", "float32",
    ),
]  # fmt: skip
