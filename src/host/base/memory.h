/* Memory of this process and of the machine it runs on. */
#ifndef HFF_BASE_MEMORY_H
#define HFF_BASE_MEMORY_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* Resident size of this process in bytes: now, and the highest since it started or since memory_reset_peak. 0 where
 * the system does not tell. */
int64_t memory_resident(void);
int64_t memory_peak(void);
void memory_reset_peak(void);

/* From now on blocks of a megabyte or more go back to the system when they are freed, so that what is resident is what
 * is in use. For a program to call before it allocates: it changes malloc for the whole process. */
void memory_give_back(void);

/* How many more bytes this process may use before the system refuses or kills, free swap included. */
struct memory_room {
    uint64_t bytes; /* UINT64_MAX: nothing says so */
    char by[512];   /* what leaves no more: "the limit of address space (ulimit -v)" */
};
/* The smallest of what the machine has left, the limits of the control groups that the process is in, and its own
 * limits (ulimit). root: "" for the machine's own /proc and /sys, else a folder that holds such files. */
void memory_room(struct memory_room *room, const char *root);

/* HFF_E_MEMORY when bytes more are not there: "WHAT needs 3100 MiB, but only ... MiB are left by ...; ADVICE". */
hff_status memory_fits(uint64_t bytes, const char *what, const char *advice);

#endif
