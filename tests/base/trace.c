/* The timeline: what is recorded comes out as JSON that others read, on its track, nested as it was; memory is
 * bounded. */
#include "base/trace.h"

#include "fixture.h"

#include "base/clock.h"
#include "base/json.h"

#include <pthread.h>

static json_t *written(struct trace *trace, const char *path)
{
    json_t *root;
    assert_ok(trace_write(trace));
    assert_ok(json_read(path, &root));
    return root;
}

static json_t *text_of(const json_t *event, const char *key)
{
    return json_object_get(json_object_get(event, "args"), key);
}

/* The only event of that name; NULL when there is none. */
static json_t *find(const json_t *root, const char *name)
{
    json_t *found = NULL, *event;
    size_t i;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "name")), name) != 0) continue;
        assert_null(found);
        found = event;
    }
    return found;
}

static double number(const json_t *event, const char *key)
{
    assert_non_null(event);
    return json_number_value(json_object_get(event, key));
}

static void spans_stand_on_their_tracks(void **state)
{
    char *path = in_folder(*state, "t.json");
    struct trace *trace;
    assert_ok(trace_open(&trace, path, 10));
    assert_false(file_exists(path));
    struct track *a = trace_track(trace, "stages", "stage 1 (\"odd\\name\")"),
                 *b = trace_track(trace, "data", "thread"), *c = trace_track(trace, "stages", "stage 2");
    assert_ptr_equal(trace_track(trace, "data", "thread"), b);
    assert_ptr_not_equal(trace_track(trace, "stages", "thread"), b);
    double now = clock_seconds();
    trace_span(a, "forward", "step", 7, now, now + 0.25);
    trace_span(b, "fill", NULL, 0, now + 0.125, now + 2);
    trace_end(c, "now", NULL, 0, trace_begin(c));
    json_t *root = written(trace, path), *forward = find(root, "forward"), *fill = find(root, "fill");
    assert_string_equal(json_string_value(json_object_get(forward, "ph")), "X");
    assert_int_equal(json_integer_value(text_of(forward, "step")), 7);
    assert_null(json_object_get(fill, "args"));
    assert_float_equal(number(forward, "dur"), 250000, 0.01); /* microseconds */
    assert_float_equal(number(fill, "ts") - number(forward, "ts"), 125000, 0.01);
    assert_true(number(forward, "pid") == number(find(root, "now"), "pid"));
    assert_true(number(forward, "tid") != number(find(root, "now"), "tid"));
    assert_true(number(forward, "pid") != number(fill, "pid"));
    int named = 0;
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        const char *name = json_string_value(text_of(event, "name"));
        named += name && strcmp(name, "stage 1 (\"odd\\name\")") == 0 && number(event, "tid") == number(forward, "tid");
    }
    assert_int_equal(named, 1);
    json_decref(root);
    trace_close(trace);
}

/* Times at which microseconds and doubles round unluckily: a span stays inside the one that holds it. */
static void rounding_keeps_nesting(void **state)
{
    char *path = in_folder(*state, "t.json");
    enum { PAIRS = 200 };
    struct trace *trace;
    assert_ok(trace_open(&trace, path, 2 * PAIRS));
    struct track *track = trace_track(trace, "g", "t");
    double start = clock_seconds();
    for (int i = 0; i < PAIRS; i++) {
        double begin = start + i * 1.23456789e-4, end = begin + (i + 1) * 3.7e-7;
        trace_span(track, "outer", NULL, 0, begin, end);
        trace_span(track, "inner", NULL, 0, begin + 0.4e-9 * (i % 3), end);
    }
    json_t *root = written(trace, path), *event, *outer = NULL;
    size_t i;
    int pairs = 0;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "name")), "outer") == 0) outer = event;
        if (strcmp(json_string_value(json_object_get(event, "name")), "inner") != 0) continue;
        pairs++;
        long long from = (long long)(number(outer, "ts") * 1000 + 0.5),
                  of = (long long)(number(event, "ts") * 1000 + 0.5);
        assert_true(of >= from);
        assert_true(of + (long long)(number(event, "dur") * 1000 + 0.5) <=
                    from + (long long)(number(outer, "dur") * 1000 + 0.5));
    }
    assert_int_equal(pairs, PAIRS);
    json_decref(root);
    trace_close(trace);
}

enum { THREADS = 4, EACH = 5000, ROOM = 12000 };

static void *record(void *track)
{
    for (int i = 0; i < EACH; i++) trace_end(track, "work", "item", i, trace_begin(track));
    return NULL;
}

/* Threads at once, more than there is room for: the first are kept, whole, and the rest is counted. */
static void memory_is_bounded(void **state)
{
    char *path = in_folder(*state, "t.json");
    struct trace *trace;
    pthread_t thread[THREADS];
    size_t kept, dropped, i, spans = 0;
    assert_ok(trace_open(&trace, path, ROOM));
    for (int t = 0; t < THREADS; t++) {
        char name[16];
        sprintf(name, "thread %d", t);
        assert_int_equal(pthread_create(&thread[t], NULL, record, trace_track(trace, "g", name)), 0);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(thread[t], NULL);
    trace_count(trace, &kept, &dropped);
    assert_int_equal(kept, ROOM);
    assert_int_equal(dropped, THREADS * EACH - ROOM);
    json_t *root = written(trace, path), *event;
    json_int_t next[THREADS + 1] = {0};
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0) continue;
        int tid = (int)number(event, "tid");
        assert_int_equal(json_integer_value(text_of(event, "item")), next[tid]++); /* in order, none missing */
        spans++;
    }
    assert_int_equal(spans, ROOM);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "otherData"), "left_out")), dropped);
    json_decref(root);
    trace_close(trace);
}

static void without_a_trace_nothing_happens(void **state)
{
    (void)state;
    struct track *track = trace_track(NULL, "g", "t");
    assert_null(track);
    assert_true(trace_begin(track) == 0);
    trace_end(track, "x", NULL, 0, 0);
    trace_span(track, "x", NULL, 0, 0, 1);
    trace_close(NULL);
}

static void a_file_that_cannot_be_written_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct trace *trace;
    assert_fails(trace_open(&trace, in_folder(fixture, "none/t.json"), 10), HFF_E_IO, "none/t.json");
    assert_null(trace);
    assert_fails(trace_open(&trace, fixture->folder, 10), HFF_E_IO, "is a folder");
    char **names;
    int count;
    assert_ok(trace_open(&trace, in_folder(fixture, "t.json"), 10));
    assert_ok(file_list(&fixture->arena, fixture->folder, &names, &count));
    assert_int_equal(count, 0); /* nothing is left lying about before there is something to write */
    trace_close(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_stand_on_their_tracks, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(rounding_keeps_nesting, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(memory_is_bounded, fixture_open, fixture_close),
        cmocka_unit_test(without_a_trace_nothing_happens),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_written_is_refused_at_once, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
