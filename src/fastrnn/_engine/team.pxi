# The worker team, which every engine of the process shares: an extension module of its own, reached by its functions.

from time import perf_counter

from cpython.pycapsule cimport PyCapsule_GetPointer

from fastrnn._engine import _team

cdef extern from "team.h" nogil:
    ctypedef struct Team:
        pass
    ctypedef void (*TeamBody)(void* argument, int task, int rank) noexcept nogil
    ctypedef struct TeamApi:
        int (*threads)() noexcept nogil
        Team* (*begin)(int wanted, int wake) noexcept nogil
        void (*run)(Team* team, TeamBody body, void* argument, int tasks) noexcept nogil
        void (*end)(Team* team) noexcept nogil

cdef const TeamApi* TEAM = <const TeamApi*>PyCapsule_GetPointer(_team.api, "fastrnn._engine._team.api")


cdef int shares_for(double seconds) noexcept nogil:
    """Into how many shares to cut what takes one core about so long: none is to be shorter than the way to a worker."""
    cdef double most = seconds / 25e-6
    if most < 2:
        return 1
    return <int>min(<double>TEAM.threads(), most)


cdef inline Team* begin_region(int shares, double seconds) noexcept nogil:
    """The team, until end_region; NULL, a team of one, where it has other work: then one thread takes all the shares.

    A worker that sleeps is woken for what takes longer than its way here, or where calls follow one another closely."""
    return NULL if shares == 1 else TEAM.begin(shares, seconds > 200e-6)


cdef inline void run_phase(Team* team, TeamBody body, void* argument, int tasks) noexcept nogil:
    """Call body(argument, task, rank) for every task; return when all are done."""
    cdef int task
    if team != NULL:
        TEAM.run(team, body, argument, tasks)
        return
    for task in range(tasks):
        body(argument, task, 0)


cdef inline void end_region(Team* team) noexcept nogil:
    if team != NULL:
        TEAM.end(team)


cdef void run_region(TeamBody body, void* argument, int tasks, double seconds) noexcept nogil:
    """A region of one phase, whose tasks take one core about so long."""
    cdef Team* team = begin_region(shares_for(seconds), seconds)
    run_phase(team, body, argument, tasks)
    end_region(team)
