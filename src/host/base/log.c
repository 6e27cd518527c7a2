/* The log sink: one lock, one level, one hook, standard error. */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
    pthread_mutex_t mutex;
    enum log_level level;
    void (*before)(void *context);
    void *context;
} sink = {.mutex = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO};

void log_set_level(enum log_level level)
{
    pthread_mutex_lock(&sink.mutex);
    sink.level = level;
    pthread_mutex_unlock(&sink.mutex);
}

enum log_level log_get_level(void)
{
    pthread_mutex_lock(&sink.mutex);
    enum log_level level = sink.level;
    pthread_mutex_unlock(&sink.mutex);
    return level;
}

void log_set_hook(void (*before)(void *context), void *context)
{
    pthread_mutex_lock(&sink.mutex);
    sink.before = before;
    sink.context = context;
    pthread_mutex_unlock(&sink.mutex);
}

void log_message(enum log_level level, const char *format, ...)
{
    static const char *const prefixes[] = {
        [LOG_QUIET] = "", [LOG_ERROR] = "error: ", [LOG_WARN] = "warning: ", [LOG_INFO] = "", [LOG_DEBUG] = "debug: "};
    int saved = errno; /* a message must not change what its caller is about to report */
    pthread_mutex_lock(&sink.mutex);
    if (level <= sink.level && level != LOG_QUIET) {
        if (sink.before) sink.before(sink.context);
        va_list args;
        va_start(args, format);
        flockfile(stderr);
        fputs(prefixes[level], stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        funlockfile(stderr);
        va_end(args);
    }
    pthread_mutex_unlock(&sink.mutex);
    errno = saved;
}
