/* For the tests of data: a folder that goes away, files of given bytes, configs from text, and checking errors. */
#ifndef TESTS_DATA_FIXTURE_H
#define TESTS_DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
/* base/status.h has a function named fail; cmocka's fail_msg goes without its macro of that name. */
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#include "base/file.h"
#include "data/data.h"

struct fixture {
    char folder[64];
    struct config *config;
};

static inline int fixture_open(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->folder, "data-X" "X" "X" "X" "X" "X");
    *state = fixture;
    return fixture && mkdtemp(fixture->folder) ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    config_free(fixture->config);
    int removed = file_remove_tree(fixture->folder) == HFF_OK;
    free(fixture);
    return removed ? 0 : -1;
}

/* The "data" map of a config of this one line (flow style, without braces); FOLDER in it stands for the folder. */
static inline const struct config_node *fixture_config(struct fixture *fixture, const char *line)
{
    const struct config_row *tables[] = {data_rows, NULL};
    static const struct config_row *kept[2];
    memcpy(kept, tables, sizeof kept);
    char text[2048];
    const char *at = strstr(line, "FOLDER");
    if (at)
        snprintf(text, sizeof text, "data: {%.*s%s%s}\n", (int)(at - line), line, fixture->folder, at + 6);
    else
        snprintf(text, sizeof text, "data: {%s}\n", line);
    config_free(fixture->config);
    fixture->config = NULL;
    if (config_parse(&fixture->config, kept, "test.yaml", text, NULL, 0) != HFF_OK)
        fail_msg("%s: %s", text, hff_error_message());
    return config_at(config_root(fixture->config), "data");
}

static inline const char *fixture_path(struct fixture *fixture, const char *name, char *path)
{
    sprintf(path, "%s/%s", fixture->folder, name);
    return path;
}

static inline void fixture_write(struct fixture *fixture, const char *name, const void *bytes, size_t size)
{
    char path[256];
    FILE *file = fopen(fixture_path(fixture, name, path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Opening must fail with status and a message that holds all the texts (ended by NULL). */
static inline void expect_failure(struct fixture *fixture, const char *line, hff_status status, ...)
{
    struct data *data = NULL;
    hff_status got = data_open(&data, fixture_config(fixture, line), 1);
    if (got != status) fail_msg("%s: status %s instead of %s", line, hff_status_text(got), hff_status_text(status));
    assert_null(data);
    va_list texts;
    va_start(texts, status);
    for (const char *text; (text = va_arg(texts, const char *));)
        if (!strstr(hff_error_message(), text)) fail_msg("\"%s\" is not in \"%s\"", text, hff_error_message());
    va_end(texts);
}

static inline struct data *expect_open(struct fixture *fixture, const char *line, uint64_t seed)
{
    struct data *data = NULL;
    if (data_open(&data, fixture_config(fixture, line), seed) != HFF_OK) fail_msg("%s: %s", line, hff_error_message());
    return data;
}

#endif
