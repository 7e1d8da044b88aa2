"""The worker team: one per process, whatever engines are loaded."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

cdef extern from "team.h" nogil:
    int TEAM_MAX
    int TASKS_MAX
    ctypedef struct Team:
        pass
    ctypedef void (*TeamBody)(void* argument, int task, int rank) noexcept nogil
    ctypedef struct TeamApi:
        int (*threads)() noexcept nogil
        Team* (*begin)(int wanted, int wake) noexcept nogil
        int (*size)(const Team* team) noexcept nogil
        void (*run)(Team* team, TeamBody body, void* argument, int tasks) noexcept nogil
        void (*end)(Team* team) noexcept nogil
    const TeamApi team_api
    void team_setup()
    int fastrnn_get_num_threads()
    void fastrnn_set_num_threads(int num_threads)

team_setup()
api = PyCapsule_New(<void*>&team_api, "fastrnn._engine._team.api", NULL)  # a const TeamApi *
MAX_THREADS = TEAM_MAX


def get_num_threads() -> int:
    """Return the threads that a call may use."""
    return fastrnn_get_num_threads()


def set_num_threads(int num_threads):
    """Let calls from now on use that many threads."""
    fastrnn_set_num_threads(num_threads)


include "pace.pxi"


# What tests and benchmarks ask of the team.

cdef struct Exercise:
    int64_t phase
    int tasks
    int work               # rounds of a loop in every task
    bint nested            # each task tries to open a region of its own
    int64_t* stamps        # [2, tasks]: the phase before wrote one row, this phase writes the other
    int64_t* faults        # [tasks]
    int64_t* counts        # [TEAM_MAX]: tasks run by each rank
    float* products        # [TEAM_MAX]: of two normal numbers, where denormals are flushed 0


cdef void exercise_task(void* argument, int task, int rank) noexcept nogil:
    """See that two tasks of the phase before are done and this one is not, then do it. Each one is seen to twice."""
    cdef Exercise* e = <Exercise*>argument
    cdef int64_t* before = e.stamps + (e.phase & 1) * e.tasks
    cdef int64_t* now = e.stamps + (~e.phase & 1) * e.tasks
    cdef int k
    cdef volatile float factor = 1e-20
    e.faults[task] += before[(task + 1) % e.tasks] != e.phase
    e.faults[task] += before[e.tasks - 1 - task] != e.phase
    e.faults[task] += now[task] != e.phase - 1
    e.products[rank] = factor * factor
    for k in range(e.work):
        factor = factor * factor
    now[task] = e.phase + 1
    e.counts[rank] += 1
    if e.nested:
        exercise_nested(e, task)


cdef void exercise_nested(Exercise* e, int task) noexcept nogil:
    """A region within a task: refused, its phase run by this thread alone."""
    cdef Team* team = team_api.begin(2, 1)
    cdef int total = 0
    team_api.run(team, add_task, &total, 4)
    e.faults[task] += team != NULL or total != 0 + 1 + 2 + 3
    team_api.end(team)


cdef void add_task(void* total, int task, int rank) noexcept nogil:
    (<int*>total)[0] += task


def exercise(int threads, int64_t phases, int tasks, *, int work=0, bint nested=False, bint wake=True):
    """Run phases of tasks that check each other, in one region; return {"size", "faults", "counts", "products"}.

    The ranks of the region; how often a task was not run once, or ran before the phase before was done; the tasks run by
    each rank; and what a product that is denormal was for each rank, 0 also where it ran none.
    """
    if not 1 <= tasks <= TASKS_MAX:
        raise ValueError(f"tasks must be from 1 to {TASKS_MAX}, got {tasks}")
    cdef Exercise e
    cdef int64_t* space = <int64_t*>calloc(3 * tasks + TEAM_MAX, sizeof(int64_t))
    cdef float* products = <float*>calloc(TEAM_MAX, sizeof(float))
    cdef Team* team
    cdef int k, size
    try:
        if space == NULL or products == NULL:
            raise MemoryError(f"could not allocate for {tasks} tasks")
        e.tasks, e.work, e.nested = tasks, work, nested
        e.stamps, e.faults, e.counts, e.products = space, space + 2 * tasks, space + 3 * tasks, products
        for k in range(tasks):
            e.stamps[tasks + k] = -1
        e.phase = 0
        with nogil:
            team = team_api.begin(threads, wake)
            size = team_api.size(team)
            e.nested = nested and team != NULL
            while e.phase < phases:
                team_api.run(team, exercise_task, &e, tasks)
                e.phase += 1
            team_api.end(team)
        counts = [e.counts[k] for k in range(size)]
        faults = sum(e.faults[k] + (e.stamps[(phases & 1) * tasks + k] != phases) for k in range(tasks))
        return {
            "size": size,
            "faults": faults + (sum(counts) != phases * tasks),
            "counts": counts,
            "products": [e.products[k] for k in range(size)],
        }
    finally:
        free(space)
        free(products)
