"""How many threads a call may use: what the user says, or what the machine gives this process.

There is one team of threads in a process, whatever layers and precisions are used. A call takes as many of them as its
size is worth; where another call has the team, it runs on its own thread alone.
"""

from __future__ import annotations

import math
import operator
import os
from functools import cache
from pathlib import Path
from typing import Any

from fastrnn._engine import MISSING

try:
    from fastrnn._engine import _team
except ImportError as error:
    raise ImportError(MISSING) from error


def get_num_threads() -> int:
    """Return the number of threads that a call may use.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.get_num_threads() >= 1
    True
    """
    return _team.get_num_threads()


def set_num_threads(num_threads: int) -> None:
    """Let every call from now on use at most so many threads, in the whole process.

    Parameters
    ----------
    num_threads : int
        From 1, which needs no other thread than the caller's, to 64. By default the environment's FASTRNN_NUM_THREADS,
        otherwise the number of cores that this process may use: its affinity, and its control group's share of the
        processor. Where there are no POSIX threads it stays 1.

    Raises
    ------
    TypeError, ValueError
        `num_threads` is no integer, or out of range.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.set_num_threads(1)
    >>> fastrnn.get_num_threads()
    1
    """
    try:
        number = operator.index(num_threads)
    except TypeError:
        number = None
    if number is None or isinstance(num_threads, bool):
        raise TypeError(f"num_threads must be an integer, got {type(num_threads).__name__}")
    _team.set_num_threads(_check_range(number, "num_threads"))


@cache
def register_threadpoolctl() -> None:
    """Let threadpoolctl find fastrnn's threads, so that `threadpool_limits` holds for them too.

    Not needed where threadpoolctl was imported before fastrnn's engine was first used, and the limit is set after that.
    It is the process's, as `set_num_threads` sets it, and is put back as threadpoolctl does for other libraries.

    Raises
    ------
    ImportError
        threadpoolctl is not installed.

    Examples
    --------
    >>> import fastrnn, threadpoolctl
    >>> fastrnn.register_threadpoolctl()
    >>> with threadpoolctl.threadpool_limits(1):
    ...     fastrnn.get_num_threads()
    1
    """
    import threadpoolctl

    class FastrnnController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = internal_api = "fastrnn"
        filename_prefixes = ("_team.",)
        check_symbols = ("fastrnn_get_num_threads", "fastrnn_set_num_threads")

        def get_num_threads(self) -> int:
            return _team.get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _team.set_num_threads(num_threads)

        def get_version(self) -> str:
            from fastrnn import __version__

            return __version__

    threadpoolctl.register(FastrnnController)


def default_num_threads() -> int:
    """Return FASTRNN_NUM_THREADS if it is set, otherwise the cores that this process may use."""
    wanted = os.environ.get("FASTRNN_NUM_THREADS")
    if not wanted:
        return min(usable_cores(), _team.MAX_THREADS)
    try:
        number: Any = int(wanted)
    except ValueError:
        number = wanted
    return _check_range(number, "FASTRNN_NUM_THREADS")


def usable_cores() -> int:
    """Return the cores of this process's affinity, or fewer where its control group has less of the processor."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(affinity, processor_quota()))


def processor_quota(groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> float:
    """Return how many cores' time Linux's control groups grant this process; inf without a limit.

    A group's limit holds for all groups in it, so the least one on the way up counts. In a container the path may be
    one that only its host can see, and the container's own group is what it sees as the root: it is on the way up too.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):  # version 2, which names none; version 1
            group = mount / ("cpu" if controllers else "") / path.lstrip("/")
            quota = min(quota, *map(_quota_of, (group, *group.parents)))
    return quota


def _quota_of(group: Path) -> float:
    """Read a group's limit: "<microseconds> <of how many>" in version 2, a file for each number in version 1."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            granted, period = " ".join((group / name).read_text() for name in names).split()
            if int(granted) > 0:  # -1 is no limit, and "max", which is no number
                return int(granted) / int(period)
        except (OSError, ValueError):
            continue
    return math.inf


def _check_range(number: Any, name: str) -> int:
    if not isinstance(number, int) or not 1 <= number <= _team.MAX_THREADS:
        raise ValueError(f"{name} must be an integer from 1 to {_team.MAX_THREADS}, got {number!r}")
    return number


_team.set_num_threads(default_num_threads())
