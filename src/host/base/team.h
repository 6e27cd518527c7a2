/* A team of threads that runs one task list at a time: the only owner of compute threads.
 *
 * A phase is a number of tasks, each of which writes the same bytes whichever thread runs it; team_run returns when all
 * are done. Tasks may not call team_run. The calling thread works too, so a team of 1 starts no thread. */
#ifndef HFF_BASE_TEAM_H
#define HFF_BASE_TEAM_H

#include "status.h"

struct team;

/* task: 0 .. tasks-1; thread: 0 .. team_size-1, for scratch memory only, never for what is computed. */
typedef void (*team_task)(void *context, int task, int thread);

/* threads 0: as many as the process may use (its affinity mask). on_start, where given, runs once in every thread of
 * the team including the caller (for a library that wants a per-thread setting). */
hff_status team_open(struct team **out, int threads, void (*on_start)(void));
void team_close(struct team *team);
int team_size(const struct team *team);
void team_run(struct team *team, int tasks, team_task task, void *context);

/* Number of processors that this process may use. */
int team_processors(void);

#endif
