/* Faults at a chosen moment, to be preloaded (LD_PRELOAD) into the program that is tested. HFF_FAULT says what happens
 * at which of the calls by which the program changes files, counted from 1:
 *
 *     kill N    the process is killed before call N
 *     term N    SIGTERM arrives before call N
 *     full N    from call N on the disk is full
 *     count     nothing; when the process ends, the number of calls is appended to the file that HFF_FAULT_COUNT names
 *     clock N   nothing, but the wall clock goes back by a year at each of the first N times that it is read */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The function of that name that the program would have called. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long calls, readings;
static char what[16];
static long moment;

static void __attribute__((constructor)) begin(void)
{
    const char *fault = getenv("HFF_FAULT");
    if (fault) sscanf(fault, "%15s %ld", what, &moment);
}

static void __attribute__((destructor)) end(void)
{
    const char *path = getenv("HFF_FAULT_COUNT");
    FILE *out = path && strcmp(what, "count") == 0 ? NEXT(fopen)(path, "a") : NULL;
    if (!out) return;
    fprintf(out, "%ld\n", atomic_load(&calls));
    NEXT(fclose)(out);
}

/* Counts a call; 1 when it must fail for want of space (errno set). */
static int fails(void)
{
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (number == moment && strcmp(what, "kill") == 0) raise(SIGKILL);
    if (number == moment && strcmp(what, "term") == 0) raise(SIGTERM);
    if (number < moment || strcmp(what, "full") != 0) return 0;
    errno = ENOSPC;
    return 1;
}

static int is_message(FILE *stream)
{
    return stream == stdout || stream == stderr;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & O_CREAT) && fails()) return -1;
    return NEXT(open)(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    if (strchr(mode, 'w') && strncmp(path, "/proc/", 6) != 0 && fails()) return NULL;
    return NEXT(fopen)(path, mode);
}

ssize_t write(int file, const void *data, size_t size)
{
    if (file > 2 && fails()) return -1;
    return NEXT(write)(file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at)
{
    return fails() ? -1 : NEXT(pwrite)(file, data, size, at);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    if (!is_message(stream) && strcmp(what, "full") == 0 && atomic_load(&calls) >= moment) {
        errno = ENOSPC; /* not counted: mostly it only fills a buffer */
        return 0;
    }
    return NEXT(fwrite)(data, size, count, stream);
}

int fflush(FILE *stream)
{
    if (stream && !is_message(stream) && fails()) return EOF;
    return NEXT(fflush)(stream);
}

int fclose(FILE *stream)
{
    int failed = fails(), error = errno, result = NEXT(fclose)(stream);
    if (!failed) return result;
    errno = error;
    return EOF;
}

int fsync(int file)
{
    return fails() ? -1 : NEXT(fsync)(file);
}

int mkdir(const char *path, mode_t mode)
{
    return fails() ? -1 : NEXT(mkdir)(path, mode);
}

/* A full disk lets these pass. */

int ftruncate(int file, off_t size)
{
    fails();
    return NEXT(ftruncate)(file, size);
}

int rename(const char *from, const char *to)
{
    fails();
    return NEXT(rename)(from, to);
}

int remove(const char *path)
{
    fails();
    return NEXT(remove)(path);
}

int unlink(const char *path)
{
    fails();
    return NEXT(unlink)(path);
}

/* ---- the clock on the wall ---- */

static time_t shift(void)
{
    const time_t year = 365 * 24 * 3600;
    if (strcmp(what, "clock") != 0) return 0;
    long number = atomic_fetch_add(&readings, 1) + 1;
    return -(time_t)(number < moment ? number : moment) * year;
}

time_t time(time_t *out)
{
    time_t now = NEXT(time)(NULL) + shift();
    if (out) *out = now;
    return now;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = NEXT(clock_gettime)(clock, out);
    if (clock == CLOCK_REALTIME) out->tv_sec += shift();
    return result;
}
