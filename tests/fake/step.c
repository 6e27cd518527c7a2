/* What the cuda backend gives to a device during a training step, written down by a device that is played on the CPU: the
 * order of launches, no allocation, no wait of the host, no read-back. */
#include "base/clock.h"
#include "device.h"
#include "support/small_net.h"

/* A stage's ops, as they are handed out without an engine around them. */
static void run_step(struct engine *engine)
{
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
            SMALL_OK(program_run(engine->stage[i].program, (enum section)s, engine->stream));
}

static void no_waits(const char *text)
{
    const char *const sets[] = {"run.backend=cuda", "run.batch=8", "run.slices=1"};
    struct small_net *net = small_net_open(text, sets, 3, 1, DTYPE_F32, 1);
    struct engine *engine = net->setup.engine;
    small_net_train(net, 1);
    int ops = 0;
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++) ops += engine->stage[i].program->count[s];
    fake_log_clear();
    run_step(engine);
    static const enum fake_kind never[] = {FAKE_ALLOC,   FAKE_FREE,       FAKE_SYNC,
                                           FAKE_COPY_IN, FAKE_COPY_PAGED, FAKE_COPY_OUT};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) assert_int_equal(fake_count(never[i]), 0);
    int work = fake_count(FAKE_LAUNCH) + fake_count(FAKE_CONV) + fake_count(FAKE_PRODUCT);
    print_message("%d ops: %d kernels, %d convolutions, %d products, %d fills, %d copies\n", ops,
                  fake_count(FAKE_LAUNCH), fake_count(FAKE_CONV), fake_count(FAKE_PRODUCT), fake_count(FAKE_ZERO),
                  fake_count(FAKE_COPY));
    assert_true(work >= ops);
    small_net_close(net);
}

static void mlp(void **state)
{
    (void)state;
    no_waits(SMALL_MLP);
}

static void cnn(void **state)
{
    (void)state;
    no_waits(SMALL_CNN);
}

/* From the third step on, in any number of lanes, the engine only copies the batch in, replays, and joins streams. The host
 * asks only whether a place in pinned memory is free again. */
static void steps_in_flight(void **state)
{
    (void)state;
    static const char *const pipelines[] = {"engine.pipeline=none", "engine.pipeline=2", "engine.pipeline=auto"};
    for (int p = 0; p < 3; p++) {
        const char *const sets[] = {"run.backend=cuda", "run.batch=8", "run.slices=1", pipelines[p]};
        struct small_net *net = small_net_open(SMALL_CNN, sets, 4, 1, DTYPE_F32, 1);
        small_net_train(net, 2);
        fake_log_clear();
        small_net_train(net, 6);
        static const enum fake_kind never[] = {FAKE_ALLOC,    FAKE_FREE,   FAKE_COPY_PAGED,
                                               FAKE_COPY_OUT, FAKE_LAUNCH, FAKE_CAPTURE};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            if (fake_count(never[i])) fail_msg("%s: %d of kind %d", pipelines[p], fake_count(never[i]), (int)never[i]);
        assert_int_equal(fake_count(FAKE_COPY_IN), 6 * 2); /* images; labels and hyper values */
        assert_int_equal(fake_count(FAKE_REPLAY), 6 * net->setup.engine->lanes);
        assert_true(fake_count(FAKE_SYNC) <= fake_count(FAKE_COPY_IN));
        SMALL_OK(engine_drain(net->setup.engine));
        small_net_close(net);
    }
}

/* With the images on the device the host says which samples a batch is of, and one kernel makes it. */
static void images_on_the_device(void **state)
{
    (void)state;
    const char *const sets[] = {"run.backend=cuda", "run.batch=8", "run.slices=1", "engine.images=auto"};
    struct small_net *net = small_net_open(SMALL_CNN, sets, 4, 1, DTYPE_F32, 1);
    assert_non_null(net->setup.engine->resident.op);
    for (int s = 0; s < 8; s++) {
        if (s == 2) fake_log_clear();
        small_net_draw_known(net, s);
        SMALL_OK(engine_step(net->setup.engine, &net->batch));
    }
    static const enum fake_kind never[] = {FAKE_ALLOC, FAKE_FREE, FAKE_COPY_PAGED, FAKE_COPY_OUT, FAKE_CAPTURE};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) assert_int_equal(fake_count(never[i]), 0);
    assert_int_equal(fake_count(FAKE_COPY_IN), 6); /* numbers, labels and hyper values together */
    assert_int_equal(fake_count(FAKE_LAUNCH), 6);
    assert_int_equal(fake_count(FAKE_REPLAY), 6 * net->setup.engine->lanes);
    SMALL_OK(engine_drain(net->setup.engine));
    small_net_close(net);
}

/* The host's batch goes through pinned memory: its own is free when copy_in returns. */
static void copies(void **state)
{
    (void)state;
    struct backend *backend;
    struct stream *stream;
    enum { BYTES = (9 << 20) + 12345 };
    unsigned char *host = malloc(BYTES), *back = malloc(BYTES);
    void *device;
    SMALL_OK(backend_open("cuda", 1, &backend));
    const struct backend_api *api = backend->api;
    SMALL_OK(api->stream_create(backend, &stream));
    SMALL_OK(api->alloc(backend, BYTES, &device));
    for (int i = 0; i < BYTES; i++) host[i] = (unsigned char)(i * 7 + i / 251);
    fake_log_clear();
    SMALL_OK(api->copy_in(stream, device, host, BYTES));
    memset(host, 0xee, BYTES);
    assert_int_equal(fake_count(FAKE_SYNC), 0);
    assert_int_equal(fake_count(FAKE_COPY_PAGED), 0);
    SMALL_OK(api->copy_out(stream, back, device, BYTES));
    SMALL_OK(api->stream_wait(stream));
    for (int i = 0; i < BYTES; i++) assert_int_equal(back[i], (unsigned char)(i * 7 + i / 251));
    for (int i = 0; i < 1000; i++) SMALL_OK(api->copy_in(stream, (char *)device + 4 * i, &i, sizeof i));
    SMALL_OK(api->copy_out(stream, back, device, 4000));
    SMALL_OK(api->stream_wait(stream));
    for (int i = 0; i < 1000; i++) {
        int there;
        memcpy(&there, back + 4 * i, sizeof there);
        assert_int_equal(there, i);
    }
    api->free(backend, device);
    api->stream_destroy(stream);
    backend_close(backend);
    free(host);
    free(back);
}

/* A chain of copies over three streams gives its result only where events join them, whatever the order in which the
 * device works. */
static void events(void **state)
{
    (void)state;
    struct backend *backend;
    struct stream *stream[3];
    struct event *event[3];
    void *cell[4];
    struct op *op;
    SMALL_OK(backend_open("cuda", 1, &backend));
    const struct backend_api *api = backend->api;
    struct op_desc desc = {.kind = OP_REORDER, .arg = {tensor_make1(DTYPE_F32, 64), tensor_make1(DTYPE_F32, 64)}};
    SMALL_OK(api->op_create(backend, &desc, &op));
    for (int i = 0; i < 3; i++) SMALL_OK(api->stream_create(backend, &stream[i]));
    for (int i = 0; i < 3; i++) SMALL_OK(api->event_create(backend, &event[i]));
    for (int i = 0; i < 4; i++) SMALL_OK(api->alloc(backend, 256, &cell[i]));
    int wrong = 0;
    for (int joined = 0; joined < 2; joined++)
        for (int run = 0; run < 20; run++) {
            float in[64], out[64];
            for (int i = 0; i < 64; i++) in[i] = (float)(run + 100 * joined + i);
            fake_order((uint64_t)run + 1);
            SMALL_OK(api->copy_in(stream[0], cell[0], in, sizeof in));
            for (int s = 0; s < 3; s++) {
                void *const args[OP_ARGS] = {cell[s], cell[s + 1]};
                if (joined && s > 0) SMALL_OK(api->stream_wait_event(stream[s], event[s - 1]));
                SMALL_OK(api->op_run(op, stream[s], args, NULL));
                SMALL_OK(api->event_record(event[s], stream[s]));
            }
            SMALL_OK(api->copy_out(stream[2], out, cell[3], sizeof out));
            for (int s = 2; s >= 0; s--) SMALL_OK(api->stream_wait(stream[s]));
            double at[3], now = clock_seconds();
            for (int s = 0; s < 3; s++) SMALL_OK(api->event_seconds(event[s], &at[s]));
            for (int s = 0; s < 3; s++) assert_true(at[s] > now - 1 && at[s] <= clock_seconds() + 1e-3);
            for (int s = 1; joined && s < 3; s++) assert_true(at[s - 1] <= at[s] + 1e-6);
            if (joined) assert_memory_equal(in, out, sizeof in);
            wrong += !joined && memcmp(in, out, sizeof in) != 0;
        }
    assert_true(wrong > 0); /* else this device would not show a missing event */
    for (int i = 0; i < 4; i++) api->free(backend, cell[i]);
    for (int i = 0; i < 3; i++) api->event_destroy(event[i]);
    for (int i = 0; i < 3; i++) api->stream_destroy(stream[i]);
    api->op_destroy(op);
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlp),
                                       cmocka_unit_test(cnn),
                                       cmocka_unit_test(steps_in_flight),
                                       cmocka_unit_test(images_on_the_device),
                                       cmocka_unit_test(copies),
                                       cmocka_unit_test(events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
