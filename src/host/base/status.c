/* Statuses, messages and the trail. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct trail current;

static void put_message(const char *format, va_list args)
{
    char text[TRAIL_TEXT]; /* the arguments may point into the old message */
    vsnprintf(text, sizeof text, format, args);
    memcpy(current.message, text, sizeof text);
    current.count = 0;
}

hff_status fail(hff_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_message(format, args);
    va_end(args);
    return status;
}

hff_status fail_errno(hff_status status, int errno_value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_message(format, args);
    va_end(args);
    size_t length = strlen(current.message);
    char buffer[128]; /* glibc's strerror_r returns the text, which may lie elsewhere */
    snprintf(current.message + length, sizeof current.message - length, ": %s",
             strerror_r(errno_value, buffer, sizeof buffer));
    return status;
}

hff_status trail_add(hff_status status, const char *format, ...)
{
    if (current.count < TRAIL_MAX) {
        va_list args;
        va_start(args, format);
        vsnprintf(current.line[current.count++], sizeof current.line[0], format, args);
        va_end(args);
    }
    return status;
}

const struct trail *trail_current(void)
{
    return &current;
}

void trail_take(struct trail *out)
{
    *out = current;
}

void trail_give(const struct trail *in)
{
    current = *in;
}

int status_exit(hff_status status)
{
    switch (status) {
#define CASE(name, exit_status, text)                                                                                  \
    case name: return exit_status;
        HFF_STATUSES(CASE)
#undef CASE
    }
    return 1;
}

const char *hff_status_text(hff_status status)
{
    switch (status) {
#define CASE(name, exit_status, text)                                                                                  \
    case name: return text;
        HFF_STATUSES(CASE)
#undef CASE
    }
    return "unknown status";
}

const char *hff_error_message(void)
{
    return current.message;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
const char *hff_version(void)
{
    return TEXT(HFF_VERSION_MAJOR) "." TEXT(HFF_VERSION_MINOR) "." TEXT(HFF_VERSION_PATCH);
}
