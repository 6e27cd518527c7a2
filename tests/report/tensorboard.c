/* Event files read back by a parser of their own: frames, checksums, fields. */
#include "base/arena.h"
#include "base/file.h"
#include "report/crc32c.h"
#include "report/report.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

struct reader {
    const unsigned char *at, *end;
};

static uint64_t fixed(struct reader *in, int size)
{
    uint64_t value = 0;
    assert_true(in->end - in->at >= size);
    for (int i = 0; i < size; i++) value |= (uint64_t)*in->at++ << 8 * i;
    return value;
}

static uint64_t varint(struct reader *in)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        unsigned char byte = (unsigned char)fixed(in, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
        assert_true(shift < 63);
    }
}

static struct reader bytes(struct reader *in)
{
    uint64_t size = varint(in);
    assert_true(size <= (uint64_t)(in->end - in->at));
    struct reader out = {in->at, in->at + size};
    in->at += size;
    return out;
}

struct event {
    double wall_time;
    int64_t step;
    float value;
    char tag[600], version[32];
};

static void text(char *out, size_t capacity, struct reader in)
{
    size_t size = (size_t)(in.end - in.at);
    assert_true(size < capacity);
    memcpy(out, in.at, size);
    out[size] = 0;
}

static void read_value(struct reader in, struct event *event)
{
    while (in.at < in.end) {
        uint64_t key = varint(&in);
        if (key == (1 << 3 | 2)) {
            text(event->tag, sizeof event->tag, bytes(&in));
        } else {
            assert_int_equal(key, 2 << 3 | 5);
            uint32_t bits = (uint32_t)fixed(&in, 4);
            memcpy(&event->value, &bits, 4);
        }
    }
}

static struct event read_event(struct reader in)
{
    struct event event = {.step = 0};
    while (in.at < in.end) {
        uint64_t key = varint(&in);
        if (key == (1 << 3 | 1)) {
            uint64_t bits = fixed(&in, 8);
            memcpy(&event.wall_time, &bits, 8);
        } else if (key == (2 << 3 | 0)) {
            event.step = (int64_t)varint(&in);
        } else if (key == (3 << 3 | 2)) {
            text(event.version, sizeof event.version, bytes(&in));
        } else {
            assert_int_equal(key, 5 << 3 | 2);
            struct reader summary = bytes(&in);
            assert_int_equal(varint(&summary), 1 << 3 | 2);
            read_value(bytes(&summary), &event);
            assert_ptr_equal(summary.at, summary.end);
        }
    }
    return event;
}

/* The next frame's event, its checksums compared. */
static struct event read_frame(struct reader *in)
{
    const unsigned char *start = in->at;
    uint64_t size = fixed(in, 8);
    assert_int_equal(fixed(in, 4), crc32c_masked(start, 8));
    assert_true(size <= (uint64_t)(in->end - in->at));
    struct reader message = {in->at, in->at + size};
    in->at += size;
    assert_int_equal(fixed(in, 4), crc32c_masked(message.at, size));
    return read_event(message);
}

static void read_back(void **state)
{
    (void)state;
    static const char folder[] = "events/deeper";
    struct tensorboard *board;
    assert_int_equal(tensorboard_open(&board, folder), HFF_OK);
    assert_int_equal(tensorboard_scalar(board, "stage1/accuracy", 7, 0.25), HFF_OK);
    assert_int_equal(tensorboard_scalar(board, "broken \xff name", INT64_C(1) << 40, -1.5), HFF_OK);
    char longest[2001];
    memset(longest, 'x', 2000);
    longest[2000] = 0;
    assert_int_equal(tensorboard_scalar(board, longest, 0, 0.0 / 0.0), HFF_OK);
    assert_int_equal(tensorboard_flush(board), HFF_OK);

    struct arena arena = {0};
    char **names;
    int count;
    assert_int_equal(file_list(&arena, folder, &names, &count), HFF_OK);
    assert_int_equal(count, 1);
    assert_int_equal(strncmp(names[0], "events.out.tfevents.", 20), 0);
    unsigned char *data;
    size_t size;
    assert_int_equal(file_read(file_join(&arena, folder, names[0]), 1 << 20, &data, &size), HFF_OK);
    struct reader in = {data, data + size};
    struct event event = read_frame(&in);
    assert_string_equal(event.version, "brain.Event:2");
    assert_true(event.wall_time > 1.5e9);
    event = read_frame(&in);
    assert_string_equal(event.tag, "stage1/accuracy");
    assert_int_equal(event.step, 7);
    assert_true(event.value == 0.25f);
    event = read_frame(&in);
    assert_string_equal(event.tag, "broken ? name");
    assert_true(event.step == INT64_C(1) << 40 && event.value == -1.5f);
    event = read_frame(&in);
    assert_true(strlen(event.tag) > 400 && event.value != event.value);
    assert_ptr_equal(in.at, in.end);
    free(data);
    arena_free(&arena);
    tensorboard_close(board);
    assert_int_equal(file_remove_tree("events"), HFF_OK);
}

/* Two writers in one folder within one second get files of their own. */
static void two_writers(void **state)
{
    (void)state;
    struct tensorboard *a, *b;
    assert_int_equal(tensorboard_open(&a, "two"), HFF_OK);
    assert_int_equal(tensorboard_open(&b, "two"), HFF_OK);
    tensorboard_close(a);
    tensorboard_close(b);
    struct arena arena = {0};
    char **names;
    int count;
    assert_int_equal(file_list(&arena, "two", &names, &count), HFF_OK);
    assert_int_equal(count, 2);
    arena_free(&arena);
    assert_int_equal(file_remove_tree("two"), HFF_OK);
}

static void refused(void **state)
{
    (void)state;
    struct tensorboard *board = NULL;
    assert_int_equal(file_write("plain", "x", 1), HFF_OK);
    assert_int_equal(tensorboard_open(&board, "plain"), HFF_E_IO);
    assert_null(board);
    assert_non_null(strstr(trail_current()->message, "plain"));
    tensorboard_close(NULL);
    assert_int_equal(file_remove_tree("plain"), HFF_OK);
}

/* A write that the system refuses is told, at the latest by the flush: here by a limit on the size of files. */
static void disk_full(void **state)
{
    (void)state;
    struct tensorboard *board;
    assert_int_equal(tensorboard_open(&board, "full"), HFF_OK);
    assert_int_equal(tensorboard_flush(board), HFF_OK);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    hff_status status = HFF_OK;
    for (int i = 0; i < 10 && status == HFF_OK; i++) status = tensorboard_scalar(board, "x", i, i);
    if (status == HFF_OK) status = tensorboard_flush(board);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, HFF_E_IO);
    assert_non_null(strstr(trail_current()->message, "full/events.out.tfevents."));
    tensorboard_close(board);
    assert_int_equal(file_remove_tree("full"), HFF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(read_back), cmocka_unit_test(two_writers),
                                       cmocka_unit_test(refused), cmocka_unit_test(disk_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
