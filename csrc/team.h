/* The worker team: one per process, for whatever engine is running. A call opens a region, runs phases, and closes it:
 *
 *     Team *team = team_begin(4, 1);
 *     team_run(team, body, argument, tasks);     // a phase: as often as the call has steps
 *     team_end(team);
 *
 * A phase calls body(argument, task, rank) once for each task from 0 to tasks - 1 and returns when all are done, so that
 * each phase sees all effects of the phases before it. The calling thread takes part as rank 0 and starts at once: tasks
 * are claimed, so nobody waits for a worker that sleeps, and one that wakes late joins in the middle. Rank r claims
 * tasks r, r + team_size, r + 2 team_size, ... first, so that what a task reads stays in one core's cache from phase to
 * phase, and then what others left; in no promised order. At any moment each rank is at one thread. */
#ifndef FASTRNN_TEAM_H
#define FASTRNN_TEAM_H

#define TEAM_MAX 64     /* threads */
#define TASKS_MAX 65535 /* of one phase */

typedef struct Team Team;
typedef void (*TeamBody)(void *argument, int task, int rank);

/* Open a region of at most `wanted` threads, this one included. NULL where the call has to run on its own thread alone:
 * another call holds the team (maybe one further up this very thread), or one thread is wanted, allowed or possible.
 * NULL is a team of one for all functions below. Workers that have been idle for some 30 us are parked: `wake` wakes
 * them, which costs this thread 5 to 20 us for each and pays for itself in calls well above 100 us only, or where one
 * region follows another closely, which this finds itself; else they may stay away, and the others do their tasks. */
Team *team_begin(int wanted, int wake);

/* The number of ranks, 1 for NULL. */
int team_size(const Team *team);

void team_run(Team *team, TeamBody body, void *argument, int tasks);

void team_end(Team *team);

/* What the engines, which are modules of their own, are given to reach the one team. */
typedef struct {
    int (*threads)(void); /* those that a region may have */
    Team *(*begin)(int wanted, int wake);
    int (*size)(const Team *team);
    void (*run)(Team *team, TeamBody body, void *argument, int tasks);
    void (*end)(Team *team);
} TeamApi;

extern const TeamApi team_api;

/* Once, before anything else: what a process made by fork() needs. */
void team_setup(void);

#ifdef _WIN32
#define TEAM_EXPORT __declspec(dllexport)
#else
#define TEAM_EXPORT __attribute__((visibility("default")))
#endif

/* The threads that a region may have, from 1 (as at first) to TEAM_MAX: numbers outside are brought inside. By these
 * names threadpoolctl finds them in the shared object. */
TEAM_EXPORT int fastrnn_get_num_threads(void);
TEAM_EXPORT void fastrnn_set_num_threads(int num_threads);

#endif
