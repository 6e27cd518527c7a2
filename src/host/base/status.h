/* Errors: said once, at the place that knows; each caller may add one line of context (the trail).
 *
 * The message and its trail belong to the thread, like errno, so that no function needs a parameter for them. A thread
 * that works for another hands its error over with trail_take and trail_give. */
#ifndef HFF_BASE_STATUS_H
#define HFF_BASE_STATUS_H

#include "hff/hff.h"

#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

/* Sets this thread's message (what, where, what to do), empties the trail, and returns status. */
hff_status fail(hff_status status, const char *format, ...) PRINTF_LIKE(2, 3);

/* As fail, with ": " and the text of errno_value at the end. */
hff_status fail_errno(hff_status status, int errno_value, const char *format, ...) PRINTF_LIKE(3, 4);

/* Adds one line of context and returns status unchanged. */
hff_status trail_add(hff_status status, const char *format, ...) PRINTF_LIKE(2, 3);

enum { TRAIL_MAX = 8, TRAIL_TEXT = 1024 };
struct trail {
    char message[TRAIL_TEXT];
    int count;
    char line[TRAIL_MAX][256];
};

/* This thread's error, to read; overwritten by its next fail. */
const struct trail *trail_current(void);
/* Copies this thread's error out, or another thread's error in. */
void trail_take(struct trail *out);
void trail_give(const struct trail *in);

/* The program's exit status for a status. */
int status_exit(hff_status status);

/* Returns from the calling function when expr is not HFF_OK. */
#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        hff_status try_status_ = (expr);                                                                               \
        if (try_status_ != HFF_OK) return try_status_;                                                                 \
    } while (0)

/* Jumps to label with status set when expr is not HFF_OK; for functions that have something to free. */
#define TRY_GOTO(status, expr, label)                                                                                  \
    do {                                                                                                               \
        (status) = (expr);                                                                                             \
        if ((status) != HFF_OK) goto label;                                                                            \
    } while (0)

#endif
