/* How tasks are claimed, and why that is safe.
 *
 * Each rank has a queue: one word of tickets, `phase number | participants | tasks left`, beside the body and its
 * argument. To start a phase the caller fills the queues of its participants, ranks 0, 1, ... (plain stores of body and
 * argument, then a release store of the word). A worker joins when it sees a new phase in its own queue, and only that
 * phase. Whoever finds tasks left in a word takes one by compare-and-swap of the word against the word less one.
 *
 *  - Every task is run once: each successful swap takes the word to another value, and gives one task.
 *  - A phase is over when all its tasks are reported as done. So while a thread holds a claimed task that it has not
 *    reported, the phase is open, the caller writes to no queue, and body and argument may be read plainly: the swap
 *    (acquire) read a word that the caller's release store heads, with only other swaps between them.
 *  - A thread that was away for whole phases is harmless. Of its phase no word has tasks left, and a word that it read
 *    before going away can be swapped no more, for the phase number in it is an old one (40 bits: the same word comes
 *    again after 30 hours of nothing but empty phases, and would have to meet one thread's single stalled swap).
 *  - What a task wrote is visible after its phase: a worker reports by a release addition to `finished`, the caller's
 *    acquire load reads the last of these, and the next phase's release store hands everything on.
 *
 * Queues stand in cache lines of their own. A worker waits on its own queue's word, which arrives with body and
 * argument in one transfer; the report is a second one. Nobody is woken within a region: idle workers spin, then yield,
 * then nap, and outside regions they park, without using the processor, until a region opens that has their rank. */
#include "team.h"

#ifndef _WIN32

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "cpu.h"

enum {
    LINE = 128,       /* two cache lines: processors fetch them in pairs */
    SPINS = 2000,     /* about 30 us where a pause takes 40 cycles */
    YIELDS = 1000,    /* some 300 us where no other thread wants the core */
    NAP_NS = 50000,   /* what a sleep lasts at least, with the usual timer slack */
    CLOSE_NS = 20000, /* between two regions: a worker, once awake, spins from one to the next */
};

typedef struct {
    _Alignas(LINE) _Atomic uint64_t tickets;
    TeamBody body;
    void *argument;
    _Alignas(LINE) atomic_int parked;
    pthread_mutex_t mutex; /* held only to park and to wake, never while waiting for work */
    pthread_cond_t woken;
} Member;

struct Team {
    Member members[TEAM_MAX];
    _Alignas(LINE) atomic_uint finished; /* tasks that workers have reported, over all phases */
    _Alignas(LINE) atomic_int open;      /* ranks of the open region, 0 between regions */
    _Alignas(LINE) atomic_int taken;     /* by a caller, who alone may touch what follows */
    int size;                            /* ranks of the region */
    int started;                         /* ranks that have a thread, the caller's included */
    uint64_t phases;                     /* so far */
    unsigned int expected;               /* what `finished` comes to when all is done */
    int64_t ended;                       /* when the last region did, in nanoseconds */
};

static struct Team the_team = {.started = 1};
static atomic_int limit = 1;

/* A phase is named by its number and its participants: 40 and 8 bits of the word, above 16 for the tasks. */
static inline uint64_t phase_in(uint64_t tickets) { return tickets >> 16; }
static inline int tasks_in(uint64_t tickets) { return (int)(tickets & 0xffff); }
static inline int participants_of(uint64_t phase) { return (int)(phase & 0xff); }

static inline void spin_once(void)
{
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* One round of waiting. Pure spinning is quickest between two running threads and a disaster where threads outnumber
 * cores, for the spinner keeps the one it waits for from running. */
static void wait_a_little(unsigned int round)
{
    if (round < SPINS)
        spin_once();
    else if (round < SPINS + YIELDS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Run tasks of a phase from one queue until none is left there; return how many. */
static int run_queue(Team *team, uint64_t phase, int home, int rank)
{
    Member *queue = &team->members[home];
    int done = 0;
    uint64_t tickets = atomic_load_explicit(&queue->tickets, memory_order_relaxed);
    while (phase_in(tickets) == phase && tasks_in(tickets) > 0)
        if (atomic_compare_exchange_weak_explicit(&queue->tickets, &tickets, tickets - 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            queue->body(queue->argument, home + participants_of(phase) * (tasks_in(tickets) - 1), rank);
            done++;
            tickets = atomic_load_explicit(&queue->tickets, memory_order_relaxed);
        }
    return done;
}

/* The k-th queue that a rank looks into: its own first. */
static inline int kth_queue(int rank, int k, int participants)
{
    return rank + k < participants ? rank + k : rank + k - participants;
}

/* Sleep until a region has this rank. Either the caller sees `parked` after it opened the region, and signals once the
 * mutex is free, which is when this thread waits; or this thread sees the region open (all four accesses are in one
 * order). */
static void park(Team *team, int rank)
{
    Member *me = &team->members[rank];
    pthread_mutex_lock(&me->mutex);
    atomic_store(&me->parked, 1);
    while (atomic_load(&team->open) <= rank)
        pthread_cond_wait(&me->woken, &me->mutex);
    atomic_store(&me->parked, 0);
    pthread_mutex_unlock(&me->mutex);
}

static void wake_up(Member *member)
{
    pthread_mutex_lock(&member->mutex);
    pthread_mutex_unlock(&member->mutex);
    pthread_cond_signal(&member->woken);
}

/* Return the phase that the own queue announces, when it is another one than `seen`. */
static uint64_t await_phase(Team *team, int rank, uint64_t seen)
{
    for (unsigned int round = 0;; round++) {
        uint64_t phase = phase_in(atomic_load_explicit(&team->members[rank].tickets, memory_order_relaxed));
        if (phase != seen)
            return phase;
        if (round >= SPINS && atomic_load_explicit(&team->open, memory_order_relaxed) <= rank) {
            park(team, rank);
            round = 0;
        }
        wait_a_little(round);
    }
}

static void *work(void *argument)
{
    Team *team = &the_team;
    int rank = (int)(intptr_t)argument;
    uint64_t phase = 0;
    denormals_flush();
    for (;;) {
        phase = await_phase(team, rank, phase);
        for (int k = 0; k < participants_of(phase); k++) {
            int done = run_queue(team, phase, kth_queue(rank, k, participants_of(phase)), rank);
            if (done)
                atomic_fetch_add_explicit(&team->finished, (unsigned int)done, memory_order_release);
        }
    }
    return NULL;
}

/* Start the thread of a rank; return whether there is one now. It takes no signals, which are the program's business,
 * but those of its own faults, so that a crash is reported as in any thread. */
static int start_worker(Team *team, int rank)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    Member *member = &team->members[rank];
    pthread_t thread;
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (int k = 0; k < 4; k++)
        sigdelset(&blocked, faults[k]);
    pthread_mutex_init(&member->mutex, NULL);
    pthread_cond_init(&member->woken, NULL);
    atomic_store(&member->parked, 0);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = pthread_create(&thread, NULL, work, (void *)(intptr_t)rank);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return !failed;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

Team *team_begin(int wanted, int wake)
{
    Team *team = &the_team;
    int size = atomic_load_explicit(&limit, memory_order_relaxed);
    size = wanted < size ? wanted : size;
    if (size < 2 || atomic_exchange_explicit(&team->taken, 1, memory_order_acquire))
        return NULL;
    while (team->started < size && start_worker(team, team->started))
        team->started++;
    team->size = size < team->started ? size : team->started;
    atomic_store(&team->open, team->size);
    wake = wake || now() - team->ended < CLOSE_NS;
    for (int rank = 1; wake && rank < team->size; rank++)
        if (atomic_load(&team->members[rank].parked))
            wake_up(&team->members[rank]);
    return team;
}

int team_size(const Team *team) { return team ? team->size : 1; }

void team_run(Team *team, TeamBody body, void *argument, int tasks)
{
    int participants = tasks < team_size(team) ? tasks : team_size(team);
    if (participants < 2) {
        for (int task = 0; task < tasks; task++)
            body(argument, task, 0);
        return;
    }
    uint64_t tickets = ++team->phases << 24 | (uint64_t)participants << 16, phase = phase_in(tickets);
    for (int rank = participants - 1; rank >= 0; rank--) {
        Member *queue = &team->members[rank];
        uint64_t own = (uint64_t)((tasks - rank + participants - 1) / participants);
        queue->body = body;
        queue->argument = argument;
        atomic_store_explicit(&queue->tickets, tickets | own, memory_order_release);
    }
    team->expected += (unsigned int)tasks;
    for (int k = 0; k < participants; k++)
        team->expected -= (unsigned int)run_queue(team, phase, k, 0);
    for (unsigned int round = 0; atomic_load_explicit(&team->finished, memory_order_acquire) != team->expected; round++)
        wait_a_little(round);
}

void team_end(Team *team)
{
    if (team == NULL)
        return;
    team->ended = now();
    atomic_store_explicit(&team->open, 0, memory_order_relaxed);
    atomic_store_explicit(&team->taken, 0, memory_order_release);
}

/* A forked process has none of the workers, and none of the region that another thread may have been in. */
static void forget_workers(void)
{
    Team *team = &the_team;
    for (int rank = 0; rank < TEAM_MAX; rank++)
        atomic_store(&team->members[rank].tickets, 0);
    atomic_store(&team->finished, 0);
    atomic_store(&team->open, 0);
    team->expected = 0;
    team->phases = 0;
    team->started = 1;
    atomic_store(&team->taken, 0);
}

void team_setup(void) { pthread_atfork(NULL, NULL, forget_workers); }

int fastrnn_get_num_threads(void) { return atomic_load(&limit); }

void fastrnn_set_num_threads(int num_threads)
{
    atomic_store(&limit, num_threads < 1 ? 1 : num_threads > TEAM_MAX ? TEAM_MAX : num_threads);
}

#else /* without POSIX threads every call runs on its own thread alone */

#include <stddef.h>

Team *team_begin(int wanted, int wake)
{
    (void)wanted, (void)wake;
    return NULL;
}

int team_size(const Team *team)
{
    (void)team;
    return 1;
}

void team_run(Team *team, TeamBody body, void *argument, int tasks)
{
    (void)team;
    for (int task = 0; task < tasks; task++)
        body(argument, task, 0);
}

void team_end(Team *team) { (void)team; }
void team_setup(void) {}
int fastrnn_get_num_threads(void) { return 1; }
void fastrnn_set_num_threads(int num_threads) { (void)num_threads; }

#endif

const TeamApi team_api = {fastrnn_get_num_threads, team_begin, team_size, team_run, team_end};
