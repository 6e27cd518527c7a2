/* Time. */
#ifndef HFF_BASE_CLOCK_H
#define HFF_BASE_CLOCK_H

/* Seconds from an arbitrary start, never going back. */
double clock_seconds(void);
/* Processor seconds of this process, all threads. */
double clock_cpu_seconds(void);
/* "2026-11-23T10:00:00Z" into out (at least 21 bytes). */
void clock_utc(char *out);

#endif
