/* Batches that are made on the device give the bytes of those that the host makes: for every way to run stages, whole nets
 * and parts of batches. */
#include "support/small_net.h"

enum { STEPS = 7 };

static unsigned char *trained(const char *text, const char *more, const char *where, int threads, enum dtype real,
                              size_t *bytes)
{
    char images[32];
    struct kept *kept;
    int count;
    snprintf(images, sizeof images, "engine.images=%s", where);
    const char *const sets[] = {"run.batch=16", images, real == DTYPE_F64 ? "run.backend=ref" : "run.backend=cpu",
                                more};
    struct small_net *net = small_net_open(text, sets, 4, threads, real, 1);
    assert_int_equal(net->setup.engine->resident.op != NULL, strcmp(where, "device") == 0);
    for (int s = 0; s < STEPS; s++) {
        small_net_draw_known(net, s);
        SMALL_OK(engine_step(net->setup.engine, &net->batch));
        if (s != 3) continue;
        float scores[16 * 5 * 4]; /* an evaluation brings its images */
        small_net_draw(net, 50);
        net->batch.images = net->images;
        SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, scores));
    }
    SMALL_OK(engine_drain(net->setup.engine));
    unsigned char *tensors = small_net_tensors(net, 0, &kept, &count, bytes);
    free(kept);
    small_net_close(net);
    return tensors;
}

static void compare(const char *text, const char *more, enum dtype real)
{
    size_t bytes, same;
    unsigned char *host = trained(text, more, "host", 1, real, &bytes);
    for (int threads = 1; threads <= 3; threads++) {
        unsigned char *device = trained(text, more, "device", threads, real, &same);
        assert_int_equal(bytes, same);
        if (memcmp(host, device, bytes) != 0) fail_msg("%s, %d threads: other bytes", more, threads);
        free(device);
    }
    free(host);
}

static void serial(void **state)
{
    (void)state;
    compare(SMALL_MLP, "run.seed=1", DTYPE_F32);
    compare(SMALL_CNN, "run.seed=1", DTYPE_F32);
    compare(SMALL_CNN, "run.seed=1", DTYPE_F64);
    compare(SMALL_FF_HARD, "run.seed=1", DTYPE_F32);
}

static void lanes(void **state)
{
    (void)state;
    compare(SMALL_MLP, "engine.pipeline=2", DTYPE_F32);
    compare(SMALL_CNN, "engine.pipeline=3", DTYPE_F32);
}

static void parts_and_turns(void **state)
{
    (void)state;
    compare(SMALL_CNN, "run.micro_batch=8", DTYPE_F32);
    compare(SMALL_MLP, "engine.schedule=sequential", DTYPE_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(serial), cmocka_unit_test(lanes),
                                       cmocka_unit_test(parts_and_turns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
