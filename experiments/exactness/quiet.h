/* Whether other processes disturbed a measurement: the time that this process's threads were ready to run and had no
 * processor, which Linux counts for every thread. */
#ifndef EXACTNESS_QUIET_H
#define EXACTNESS_QUIET_H

/* Seconds since the process began, all threads together; 0 where the system does not tell. */
double waited_seconds(void);

/* A measurement is calm when its threads waited for at most this share of its time. One that is not is taken again, a
 * few times. */
#define CALM 0.02

#endif
