/* For the tests of base and of files: a folder that goes away, paths in it, and checking errors. */
#ifndef TESTS_BASE_FIXTURE_H
#define TESTS_BASE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
/* base/status.h has a function named fail; cmocka's fail_msg goes without its macro of that name. */
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"

struct fixture {
    struct arena arena;
    char folder[64];
};

static inline int fixture_open(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->folder, "base-");
    memset(fixture->folder + 5, 'X', 6); /* what mkdtemp replaces */
    *state = fixture;
    return mkdtemp(fixture->folder) ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    int removed = file_remove_tree(fixture->folder) == HFF_OK;
    arena_free(&fixture->arena);
    free(fixture);
    return removed ? 0 : -1;
}

/* The path of name in the test's folder. */
static inline char *in_folder(struct fixture *fixture, const char *name)
{
    return file_join(&fixture->arena, fixture->folder, name);
}

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != HFF_OK) fail_msg("%s: %s", #expr, hff_error_message());                                          \
    } while (0)

/* expr fails with this status and a message that holds text. */
#define assert_fails(expr, expected, text)                                                                             \
    do {                                                                                                               \
        hff_status got_ = (expr);                                                                                      \
        if (got_ != (expected)) fail_msg("%s: status %d, not %d: %s", #expr, got_, (expected), hff_error_message());   \
        if (!strstr(hff_error_message(), (text)))                                                                      \
            fail_msg("%s: no \"%s\" in \"%s\"", #expr, (text), hff_error_message());                                   \
    } while (0)

#endif
