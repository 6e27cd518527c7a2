/* The thread team: whoever waits spins for a while, then sleeps. Tasks are handed out by an atomic counter, so that a slow
 * thread does not hold up the others.
 *
 * To be woken costs 50 us and more, above all in a virtual machine, where a processor that sleeps is given away: a tenth of
 * many ops. So a thread spins for about a millisecond, longer than threads wait for each other inside a step, and offers
 * its processor to others meanwhile. Once somebody has taken it, it sleeps after a tenth of that for some time. */
#include "team.h"

#include "clock.h"

#include <float.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SPINS = 4000, SPINS_LONG = 40000, SPINS_OFFER = 64 /* between offers */ };
static const double taken_seconds = 50e-6; /* an offer that nobody takes is over in less than one */
static const double crowded_seconds = 0.1;

/* Of one thread: the time until which it sleeps soon, since others want the processor. */
struct patience {
    double crowded_until;
};

struct worker {
    struct team *team;
    struct patience patience;
    int thread;
    pthread_t handle;
};

struct team {
    int size;
    struct patience patience; /* of thread 0 */
    void (*on_start)(void);
    struct worker *workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    team_task task;
    void *context;
    int tasks;
    atomic_int next;    /* first task not yet taken */
    atomic_int working; /* workers that have not finished this generation */
    atomic_uint generation;
    atomic_bool ending;
};

int team_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* One turn of a thread that waits; 0: it should sleep. */
static int spin_on(struct patience *patience, int spin)
{
    pause_a_little();
    if (spin < SPINS) return 1;
    if (spin > SPINS && spin % SPINS_OFFER) return 1;
    double before = clock_seconds();
    if (before < patience->crowded_until) return 0;
    sched_yield();
    double now = clock_seconds();
    if (now - before < taken_seconds) return spin < SPINS_LONG;
    patience->crowded_until = now + crowded_seconds;
    return 0;
}

static void work(struct team *team, int thread)
{
    for (int task; (task = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) < team->tasks;)
        team->task(team->context, task, thread);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct team *team = worker->team;
    if (team->on_start) team->on_start();
    for (unsigned seen = 0;;) {
        unsigned generation = atomic_load_explicit(&team->generation, memory_order_acquire);
        for (int spin = 0; generation == seen && spin_on(&worker->patience, spin); spin++)
            generation = atomic_load_explicit(&team->generation, memory_order_acquire);
        if (generation == seen) {
            pthread_mutex_lock(&team->mutex);
            while ((generation = atomic_load(&team->generation)) == seen) pthread_cond_wait(&team->wake, &team->mutex);
            pthread_mutex_unlock(&team->mutex);
        }
        seen = generation;
        if (atomic_load(&team->ending)) return NULL;
        work(team, worker->thread);
        if (atomic_fetch_sub_explicit(&team->working, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&team->mutex);
            pthread_cond_signal(&team->done);
            pthread_mutex_unlock(&team->mutex);
        }
    }
}

/* Lets the workers see a new generation (a task list, or the end). */
static void announce(struct team *team)
{
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add_explicit(&team->generation, 1, memory_order_release);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

hff_status team_open(struct team **out, int threads, void (*on_start)(void))
{
    *out = NULL;
    if (threads <= 0) threads = team_processors();
    struct team *team = calloc(1, sizeof *team);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!team || !workers) {
        free(team);
        free(workers);
        return fail(HFF_E_MEMORY, "no memory for a team of %d threads", threads);
    }
    team->workers = workers;
    team->size = 1;
    team->patience.crowded_until = threads > team_processors() ? DBL_MAX : 0;
    team->on_start = on_start;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->done, NULL);
    for (int i = 1; i < threads; i++) {
        workers[i] = (struct worker){.team = team, .patience = team->patience, .thread = i};
        int error = pthread_create(&workers[i].handle, NULL, worker_main, &workers[i]);
        if (error) {
            team_close(team);
            return fail_errno(HFF_E_MEMORY, error, "cannot start thread %d of %d; use a smaller run.threads", i + 1,
                              threads);
        }
        team->size++;
    }
    if (on_start) on_start();
    *out = team;
    return HFF_OK;
}

void team_close(struct team *team)
{
    if (!team) return;
    atomic_store(&team->ending, true);
    announce(team);
    for (int i = 1; i < team->size; i++) pthread_join(team->workers[i].handle, NULL);
    pthread_mutex_destroy(&team->mutex);
    pthread_cond_destroy(&team->wake);
    pthread_cond_destroy(&team->done);
    free(team->workers);
    free(team);
}

int team_size(const struct team *team)
{
    return team->size;
}

void team_run(struct team *team, int tasks, team_task task, void *context)
{
    if (team->size == 1 || tasks <= 1) {
        for (int i = 0; i < tasks; i++) task(context, i, 0);
        return;
    }
    team->task = task;
    team->context = context;
    team->tasks = tasks;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_store_explicit(&team->working, team->size - 1, memory_order_relaxed);
    announce(team);
    work(team, 0);
    int spin = 0;
    do {
        if (atomic_load_explicit(&team->working, memory_order_acquire) == 0) return;
    } while (spin_on(&team->patience, spin++));
    pthread_mutex_lock(&team->mutex);
    while (atomic_load_explicit(&team->working, memory_order_acquire) != 0)
        pthread_cond_wait(&team->done, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}
