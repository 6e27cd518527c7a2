/* Queues in front of a backend: order in a stream and between streams, full rings, errors, times. */
#include "backend/queue.h"
#include "base/clock.h"
#include "support/flight.h"
#include "support/small_net.h"

static struct flight flight;

static struct stream *stream(void)
{
    struct stream *out;
    SMALL_OK(flight.backend->api->stream_create(flight.backend, &out));
    return out;
}

static struct event *event(void)
{
    struct event *out;
    SMALL_OK(flight.backend->api->event_create(flight.backend, &out));
    return out;
}

/* y += one, in place. */
static struct op *adder(void)
{
    struct op_desc desc = {.kind = OP_ADD, .slices = 1};
    for (int i = 0; i < 3; i++) desc.arg[i] = tensor_make1(DTYPE_F32, 16);
    struct op *op;
    SMALL_OK(flight.backend->api->op_create(flight.backend, &desc, &op));
    return op;
}

static int open_late(void **state)
{
    (void)state;
    flight = flight_open(FLIGHT_ORDERED, 1, 200);
    return flight.backend ? 0 : -1;
}

static int close_late(void **state)
{
    (void)state;
    backend_close(flight.backend);
    backend_close(flight.inner);
    return 0;
}

static void clearing_is_in_order(void **state)
{
    (void)state;
    const struct backend_api *api = flight.backend->api;
    struct stream *s = stream();
    struct op *op = adder();
    float y[16] = {5}, one[16] = {1, 1}, before[2], after[2];
    void *const args[OP_ARGS] = {y, one, y};
    SMALL_OK(api->op_run(op, s, args, NULL));
    SMALL_OK(api->copy_out(s, before, y, sizeof before));
    SMALL_OK(api->clear(s, y, sizeof *y));
    SMALL_OK(api->op_run(op, s, args, NULL));
    SMALL_OK(api->copy_out(s, after, y, sizeof after));
    SMALL_OK(api->stream_wait(s));
    assert_true(before[0] == 6 && before[1] == 1 && after[0] == 1 && after[1] == 2);
    api->op_destroy(op);
    api->stream_destroy(s);
}

/* More items than a ring holds, each of which needs the one before. */
static void a_stream_keeps_its_order(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    const struct backend_api *api = flight.backend->api;
    struct stream *s = stream();
    int *chain = calloc(COUNT + 1, sizeof *chain);
    chain[0] = 7;
    for (int i = 0; i < COUNT; i++) SMALL_OK(api->copy_out(s, &chain[i + 1], &chain[i], sizeof *chain));
    SMALL_OK(api->stream_wait(s));
    for (int i = 0; i <= COUNT; i++) assert_int_equal(chain[i], 7);
    api->stream_destroy(s);
    free(chain);
}

/* Two streams take turns on one number, each waiting for the other's last turn. */
static void events_order_streams(void **state)
{
    (void)state;
    enum { TURNS = 60 };
    const struct backend_api *api = flight.backend->api;
    struct stream *s[2] = {stream(), stream()};
    struct event *done[2] = {event(), event()};
    struct op *op = adder();
    float y[16] = {0}, one[16], seen[TURNS][16];
    for (int i = 0; i < 16; i++) one[i] = 1;
    void *const args[OP_ARGS] = {y, one, y};
    SMALL_OK(api->stream_wait_event(s[0], done[1])); /* never recorded: at once */
    for (int t = 0; t < TURNS; t++) {
        int me = t % 2;
        if (t) SMALL_OK(api->stream_wait_event(s[me], done[!me]));
        SMALL_OK(api->op_run(op, s[me], args, NULL));
        SMALL_OK(api->copy_out(s[me], seen[t], y, sizeof y));
        SMALL_OK(api->event_record(done[me], s[me]));
    }
    SMALL_OK(api->stream_wait(s[0]));
    SMALL_OK(api->stream_wait(s[1]));
    for (int t = 0; t < TURNS; t++) assert_true(seen[t][0] == (float)(t + 1));
    double a, b;
    SMALL_OK(api->event_seconds(done[0], &a));
    SMALL_OK(api->event_seconds(done[1], &b));
    assert_true(a < b && b <= clock_seconds());
    api->op_destroy(op);
    for (int i = 0; i < 2; i++) {
        api->event_destroy(done[i]);
        api->stream_destroy(s[i]);
    }
}

/* The host may change what it gave to copy_in at once. */
static void copy_in_takes_the_bytes(void **state)
{
    (void)state;
    const struct backend_api *api = flight.backend->api;
    struct stream *s = stream();
    int host, device[20] = {0};
    for (int i = 0; i < 20; i++) {
        host = i;
        SMALL_OK(api->copy_in(s, &device[i], &host, sizeof host));
    }
    for (int i = 0; i < 20; i++) assert_int_equal(device[i], i);
    api->stream_destroy(s);
}

static hff_status refusing_op_run(struct op *op, struct stream *below, void *const *args, void *workspace)
{
    float *y = args[0];
    if (y[0] >= 3) return fail(HFF_E_DEVICE, "refused at %g", (double)y[0]);
    return backend_cpu.op_run(op, below, args, workspace);
}

/* An op that fails says so at the next wait, in the host's thread; nothing after it is done, but nobody waits for ever. */
static void an_error_stays(void **state)
{
    (void)state;
    const struct backend_api *api = flight.backend->api, *late = flight.inner->api;
    struct backend_api refusing = *late;
    refusing.op_run = refusing_op_run;
    flight.inner->api = &refusing;
    struct stream *s = stream(), *other = stream();
    struct event *done = event();
    struct op *op = adder();
    float y[16] = {0}, one[16] = {1}, copy = -1;
    void *const args[OP_ARGS] = {y, one, y};
    for (int i = 0; i < 10; i++) SMALL_OK(api->op_run(op, s, args, NULL));
    SMALL_OK(api->copy_out(s, &copy, y, sizeof copy));
    SMALL_OK(api->event_record(done, s));
    SMALL_OK(api->stream_wait_event(other, done));
    SMALL_OK(api->stream_wait(other));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(api->stream_wait(s), HFF_E_DEVICE);
        assert_string_equal(hff_error_message(), "refused at 3");
    }
    assert_true(y[0] == 3 && copy == -1);
    flight.inner->api = late;
    api->op_destroy(op);
    api->event_destroy(done);
    api->stream_destroy(s);
    api->stream_destroy(other);
}

/* Parts of a backend's threads, also more parts than threads, compute alike. */
static void parts_compute(void **state)
{
    (void)state;
    const struct backend_api *api = flight.backend->api;
    for (int part = 0; part < 3; part++) {
        struct stream *s;
        SMALL_OK(api->stream_create_part(flight.backend, part, 3, &s));
        struct op *op = adder();
        float y[16] = {0}, one[16] = {1};
        void *const args[OP_ARGS] = {y, one, y};
        for (int i = 0; i < 4; i++) SMALL_OK(api->op_run(op, s, args, NULL));
        SMALL_OK(api->stream_wait(s));
        assert_true(y[0] == 4);
        api->op_destroy(op);
        api->stream_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_its_order),
        cmocka_unit_test(events_order_streams),
        cmocka_unit_test(copy_in_takes_the_bytes),
        cmocka_unit_test(an_error_stays),
        cmocka_unit_test(parts_compute),
        cmocka_unit_test(clearing_is_in_order),
    };
    return cmocka_run_group_tests(tests, open_late, close_late);
}
