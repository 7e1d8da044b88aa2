"""The worker team: each task once and in order, whoever calls, forks or sleeps; and how many threads it is given."""

import ctypes
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from contextlib import contextmanager
from math import inf

import numpy as np
import pytest
from helpers import python

import fastrnn
from fastrnn import _threads
from fastrnn._engine import _team

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says")
x86 = platform.machine().lower() in ("x86_64", "amd64")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="without POSIX threads there is no team"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # of a process with threads: on purpose
]


@pytest.fixture(autouse=True)
def six_threads():
    """More than most machines that run this have cores."""
    before = fastrnn.get_num_threads()
    fastrnn.set_num_threads(6)
    yield
    fastrnn.set_num_threads(before)


def assert_exercised(size: int, *arguments: int, **options) -> dict:
    done = _team.exercise(*arguments, **options)
    assert (done["size"], done["faults"]) == (size, 0)
    return done


def until(condition, seconds: float = 60):
    """The first true result of a condition, which on a busy machine may need many trials."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
    raise AssertionError(f"did not come about within {seconds} s")


def exercise_until_all_join(threads: int) -> dict:
    """An exercise in which every rank ran tasks."""

    def trial():
        done = assert_exercised(threads, threads, 20, 3 * threads, work=20000)
        return done if all(done["counts"]) else None

    return until(trial)


@contextmanager
def team_taken():
    """While another Python thread is inside a region."""
    end = threading.Event()

    def others_call():
        while not end.is_set():
            assert _team.exercise(3, 100_000, 5)["faults"] == 0

    thread = threading.Thread(target=others_call)
    thread.start()
    try:
        until(lambda: _team.exercise(2, 1, 2)["size"] == 1)
        yield
    finally:
        end.set()
        thread.join()


def in_child(work) -> None:
    """Call `work` in a forked process, which must end well."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)

    def ended():
        pid, status = os.waitpid(child, os.WNOHANG)
        return [status] if pid else time.sleep(0.001)

    try:
        statuses = until(ended)
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    assert statuses == [0]


# Phases


@pytest.mark.parametrize("tasks", [1, 2, 3, 5, 8, 50])
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 6])
def test_each_task_runs_once_and_after_the_phase_before(threads, tasks):
    assert_exercised(threads, threads, 20_000, tasks)
    assert_exercised(threads, threads, 2_000, tasks, work=50)


@pytest.mark.parametrize("threads", [2, 4])
def test_workers_take_part(threads):
    for _ in range(30):
        exercise_until_all_join(threads)


def test_regions_of_all_sizes_follow_each_other():
    for k in range(2000):
        threads = 1 + k * 7 % 6
        assert_exercised(threads, threads, 1 + k % 5, 1 + k % 11)


def test_most_tasks():
    assert_exercised(3, 3, 2, 65535)
    with pytest.raises(ValueError, match="tasks must be from 1 to 65535, got 65536"):
        _team.exercise(3, 1, 65536)


def test_a_region_within_a_task_is_refused():
    assert_exercised(3, 3, 2_000, 5, nested=True)


def test_a_call_that_finds_the_team_taken_runs_alone():
    with team_taken():
        sizes = []
        for _ in range(20):
            done = _team.exercise(3, 200, 5)
            assert done["faults"] == 0
            sizes.append(done["size"])
    assert 1 in sizes
    assert_exercised(3, 3, 200, 5)


def test_many_python_threads_at_once():
    results = []

    def calls():
        for k in range(40):
            results.append(_team.exercise(2 + k % 5, 500, 1 + k % 7))

    threads = [threading.Thread(target=calls) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 200
    assert sum(done["faults"] for done in results) == 0


# Sleep


def test_idle_workers_use_no_processor():
    exercise_until_all_join(4)
    wall, used = time.perf_counter(), time.process_time()
    time.sleep(1)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    assert used < 0.1 * wall


def test_parked_workers_are_woken_on_demand_alone():
    exercise_until_all_join(3)
    time.sleep(0.5)
    done = assert_exercised(3, 3, 2_000, 6, wake=False, work=500)
    assert done["counts"] == [12_000, 0, 0]
    exercise_until_all_join(3)


def test_parked_workers_are_woken_where_calls_follow_closely():
    """A short call alone is over before a worker comes; the next one finds it awake."""
    exercise_until_all_join(2)
    time.sleep(0.5)

    def calls():
        return any(assert_exercised(2, 2, 200, 6, wake=False, work=500)["counts"][1] for _ in range(100))

    until(calls, 20)


# Modes of the processor and the process


def test_floating_point_modes():
    """Workers flush denormals, and no caller's mode is changed."""
    done = exercise_until_all_join(3)
    caller, *workers = done["products"]
    assert caller > 0
    assert all(product == 0 for product in workers) or not x86
    assert np.float32(1e-20) * np.float32(1e-20) > 0


@linux
def test_workers_leave_signals_to_the_program():
    """All but those that report a thread's own faults."""
    code = """
import os, signal
from fastrnn._engine import _team
_team.set_num_threads(3)
while not all(_team.exercise(3, 10, 9, work=20000)["counts"]):
    pass  # a thread that is being started blocks all signals for a moment
for task in os.listdir("/proc/self/task"):
    with open(f"/proc/self/task/{task}/status") as status:
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk"))
    if mask:
        print(*(name.name for name in (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV) if mask >> (name - 1) & 1))
"""
    done = python(code)
    assert done.stdout == "SIGINT SIGTERM\n" * 2, done.stderr


# Processes


@forks
def test_after_fork():
    exercise_until_all_join(3)
    in_child(lambda: exercise_until_all_join(3))
    in_child(lambda: in_child(lambda: exercise_until_all_join(4)))
    exercise_until_all_join(3)


@forks
def test_fork_while_another_thread_is_in_a_region():
    with team_taken():
        for _ in range(20):
            in_child(lambda: assert_exercised(3, 3, 300, 5))
        in_child(lambda: exercise_until_all_join(3))
    exercise_until_all_join(3)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method, monkeypatch):
    exercise_until_all_join(2)
    monkeypatch.setenv("FASTRNN_NUM_THREADS", "6")
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.starmap(_team.exercise, [(3, 2_000, 5)] * 6)
        pool.close()
        pool.join()
    assert [(done["size"], done["faults"]) for done in results] == [(3, 0)] * 6
    exercise_until_all_join(2)


# How many threads


def test_set_num_threads():
    for number in (1, 5, 2, np.int64(6), 1, 3, 64):
        fastrnn.set_num_threads(number)
        assert fastrnn.get_num_threads() == fastrnn.cpu_info()["threads"] == number
        assert_exercised(min(number, 6), 6, 100, 7)


@pytest.mark.parametrize("number", [0, -1, 65, 10**30])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match=f"num_threads must be an integer from 1 to 64, got {number}"):
        fastrnn.set_num_threads(number)
    assert fastrnn.get_num_threads() == 6


@pytest.mark.parametrize("number", [2.0, "2", None, True, np.True_, [2]])
def test_numbers_of_another_type_are_refused(number):
    with pytest.raises(TypeError, match=f"num_threads must be an integer, got {type(number).__name__}"):
        fastrnn.set_num_threads(number)
    assert fastrnn.get_num_threads() == 6


def printed(code: str, **environment: str) -> str:
    done = python(code, **{"FASTRNN_NUM_THREADS": "", **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_number_by_environment():
    code = "import fastrnn; print(fastrnn.get_num_threads(), fastrnn.cpu_info()['threads'])"
    assert printed(code, FASTRNN_NUM_THREADS="5") == "5 5"
    default = _threads.usable_cores()
    assert printed(code) == f"{default} {default}"


@pytest.mark.parametrize("wanted", ["0", "65", "-2", "2.5", "many"])
def test_no_number_by_environment_is_refused(wanted):
    done = python("import fastrnn", FASTRNN_NUM_THREADS=wanted)
    got = wanted if wanted.lstrip("-").isdigit() else repr(wanted)
    last = done.stderr.strip().rpartition("\n")[2]
    assert last == f"ValueError: FASTRNN_NUM_THREADS must be an integer from 1 to 64, got {got}"


@linux
def test_affinity_is_respected():
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import fastrnn
print(fastrnn.get_num_threads())
"""
    assert printed(code) == "1"


def control_group(folder, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("cpu_", "cpu.")).write_text(text + "\n")


def test_quota_of_control_groups(tmp_path):
    groups, mount = tmp_path / "cgroup", tmp_path / "mount"

    def quota(lines: str) -> float:
        groups.write_text(lines)
        return _threads.processor_quota(groups, mount)

    assert _threads.processor_quota(groups, mount) == inf  # no such file, as on other systems
    assert quota("0::/user/job\n") == inf
    control_group(mount / "user/job", cpu_max="max 100000")
    assert quota("0::/user/job\n") == inf
    control_group(mount / "user", cpu_max="350000 100000")
    assert quota("0::/user/job\n") == 3.5
    control_group(mount / "user/job", cpu_max="50000 100000")
    assert quota("0::/user/job\n") == 0.5
    assert quota("0::/user\n") == 3.5
    control_group(mount, cpu_max="200000 100000")
    assert quota("0::/of/the/host/alone\n") == 2

    first = "4:memory:/a\n3:cpu,cpuacct:/docker/1\n0::/\n"
    (mount / "cpu.max").unlink()
    assert quota(first) == inf
    control_group(mount / "cpu", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert quota(first) == inf
    control_group(mount / "cpu/docker/1", cpu_cfs_quota_us="150000", cpu_cfs_period_us="100000")
    assert quota(first) == 1.5
    assert quota("5:cpuset:/docker/1\n") == inf


@pytest.mark.parametrize(("granted", "cores"), [(inf, 4), (8.0, 4), (2.5, 3), (2.0, 2), (0.2, 1)])
def test_usable_cores(granted, cores, monkeypatch):
    """A part of a core counts as one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 4, 6}, raising=False)
    monkeypatch.setattr(_threads, "processor_quota", lambda: granted)
    assert _threads.usable_cores() == cores


@pytest.mark.parametrize("imports", [
    "import threadpoolctl, fastrnn",
    "import fastrnn, threadpoolctl",
    "import fastrnn; fastrnn.get_num_threads(); fastrnn.register_threadpoolctl(); import threadpoolctl",
])  # fmt: skip
def test_threadpoolctl(imports):
    code = f"""
{imports}
fastrnn.LSTM(2, 3, seed=0)([[[1.0, 2.0]]])
from fastrnn._engine import _team
print(*(pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastrnn"))
for limits in (1, {{"fastrnn": 2}}):
    with threadpoolctl.threadpool_limits(limits):
        print(fastrnn.get_num_threads(), _team.exercise(4, 10, 4)["size"])
    print(fastrnn.get_num_threads(), _team.exercise(4, 10, 4)["size"])
"""
    assert printed(code, FASTRNN_NUM_THREADS="3").split("\n") == ["3", "1 1", "3 3", "2 2", "3 3"]


def test_engines_are_given_the_team_by_name():
    valid = ctypes.pythonapi.PyCapsule_IsValid
    valid.argtypes = (ctypes.py_object, ctypes.c_char_p)
    assert valid(_team.api, b"fastrnn._engine._team.api")
