/* Schedule sequential gives the same bytes for any number of threads, and whether or not what frozen stages pass on is
 * kept, whatever batch a sample comes in. */
#include "support/small_net.h"

enum { EACH = 7, SAMPLES = 60 };

/* Batch number step of SAMPLES images, in an order of its own in every epoch; the tail is dropped, as the loader does. */
static void draw(struct small_net *net, int step, uint32_t *samples)
{
    struct rng rng;
    int size = net->batch.size, per_epoch = SAMPLES / size;
    uint32_t order[SAMPLES];
    rng_open(&rng, 9, RNG_TEST, (uint64_t)(step / per_epoch), 1);
    rng_permutation(&rng, order, SAMPLES);
    for (int b = 0; b < size; b++) {
        samples[b] = order[step % per_epoch * size + b];
        rng_open(&rng, 9, RNG_TEST, samples[b], 2);
        net->batch.y1[b] = net->batch.y2[b] = (int32_t)rng_below(&rng, 5);
        net->batch.weight[b] = 1;
        for (int64_t k = 0; k < net->sample; k++) net->batch.images[b * net->sample + k] = (float)rng_normal(&rng);
    }
    net->batch.samples = samples;
}

/* Model and moments after the turns of all stages. */
static unsigned char *trained(const char *text, const char *set, const char *cache, int threads, size_t *bytes)
{
    const char *const sets[] = {"engine.schedule=sequential", cache, set};
    struct small_net *net = small_net_open(text, sets, 3, threads, DTYPE_F32, 1);
    struct engine *engine = net->setup.engine;
    uint32_t samples[64];
    struct kept *kept;
    int count;
    size_t more;
    engine->stage_steps = EACH;
    for (int step = 0; step < EACH * engine->stages; step++) {
        draw(net, step, samples);
        SMALL_OK(engine_step(engine, &net->batch));
    }
    unsigned char *model = small_net_tensors(net, 0, &kept, &count, bytes);
    free(kept);
    unsigned char *moments = small_net_tensors(net, 1, &kept, &count, &more);
    free(kept);
    model = realloc(model, *bytes + more);
    memcpy(model + *bytes, moments, more);
    *bytes += more;
    free(moments);
    small_net_close(net);
    return model;
}

static void same(const char *text, const char *set, int cached)
{
    size_t n, m;
    unsigned char *one = trained(text, set, "engine.cache=none", 1, &n);
    for (int threads = 2; threads <= 4; threads++) {
        unsigned char *other = trained(text, set, "engine.cache=none", threads, &m);
        assert_int_equal(n, m);
        if (memcmp(one, other, n) != 0) fail_msg("%s: %d threads differ from one", set, threads);
        free(other);
    }
    for (int threads = 1; cached && threads <= 3; threads += 2) {
        unsigned char *other = trained(text, set, "engine.cache=memory", threads, &m);
        assert_int_equal(n, m);
        if (memcmp(one, other, n) != 0) fail_msg("%s: with the cache, %d threads: another result", set, threads);
        free(other);
    }
    free(one);
}

static void all_in(const char *dtype)
{
    same(SMALL_MLP, dtype, 1);
    same(SMALL_CNN, dtype, 1);
    same(SMALL_RESIDUAL, dtype, 1);
    same(SMALL_FIVES, dtype, 1);
    same(SMALL_FF, dtype, 0);
    same(SMALL_FF_HARD, dtype, 0);
    same(SMALL_FF_CNN, dtype, 0);
}

static void in_f32(void **state)
{
    (void)state;
    all_in("run.dtype=f32");
}

static void in_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    all_in("run.dtype=bf16");
}

static void odd_batches(void **state)
{
    (void)state;
    same(SMALL_MLP, "run={batch: 15, slices: 5, backend: cpu}", 1);
    same(SMALL_CNN, "run={batch: 21, slices: 3, backend: cpu}", 1);
    same(SMALL_CNN, "run={batch: 14, slices: 2, backend: ref}", 1);
    same(SMALL_MLP, "net.stages=[{linear: {units: 130}}, {linear: {units: 150}}, {linear: {units: 64}}]", 1);
}

static void micro_batches(void **state)
{
    (void)state;
    same(SMALL_MLP, "run={batch: 20, micro_batch: 10, slices: 2, backend: cpu}", 1);
    same(SMALL_CNN, "run={batch: 20, micro_batch: 4, slices: 2, backend: cpu}", 1);
    same(SMALL_FF, "run={batch: 20, micro_batch: 10, slices: 2, backend: cpu}", 0);
}

/* Moments after two epochs each of stages 1 and 2, the first layer's weights overwritten before the last one. */
static unsigned char *damaged(const char *cache, int damage, size_t *bytes)
{
    const char *const sets[] = {"engine.schedule=sequential", cache, "run={batch: 20, slices: 4}"};
    struct small_net *net = small_net_open(SMALL_CNN, sets, 3, 2, DTYPE_F32, 1);
    struct engine *engine = net->setup.engine;
    struct kept kept[64], *all;
    uint32_t samples[64];
    int count;
    engine->stage_steps = 6;
    engine_kept(engine, 0, kept);
    for (int step = 0; step < 12; step++) {
        draw(net, step, samples);
        if (damage && step == 9) SMALL_OK(engine_write(engine, &kept[0], net->batch.images));
        SMALL_OK(engine_step(engine, &net->batch));
    }
    unsigned char *moments = small_net_tensors(net, 1, &all, &count, bytes);
    free(all);
    small_net_close(net);
    return moments;
}

/* Batches whose samples are all kept take nothing from the frozen stages. */
static void the_cache_spares_the_frozen_stages(void **state)
{
    (void)state;
    size_t bytes[4];
    unsigned char *kept = damaged("engine.cache=memory", 0, &bytes[0]),
                  *kept_damaged = damaged("engine.cache=memory", 1, &bytes[1]),
                  *computed = damaged("engine.cache=none", 0, &bytes[2]),
                  *computed_damaged = damaged("engine.cache=none", 1, &bytes[3]);
    for (int i = 1; i < 4; i++) assert_int_equal(bytes[i], bytes[0]);
    assert_memory_equal(kept, kept_damaged, bytes[0]);
    assert_memory_equal(kept, computed, bytes[0]);
    assert_memory_not_equal(computed, computed_damaged, bytes[0]);
    free(kept);
    free(kept_damaged);
    free(computed);
    free(computed_damaged);
}

/* The widest of what stages pass on, and a byte, for each sample. */
static void planned(void **state)
{
    (void)state;
    const char *const sets[] = {"engine.schedule=sequential", "engine.cache=memory"};
    struct small_net *with = small_net_open(SMALL_MLP, sets, 2, 1, DTYPE_F32, 1),
                     *without = small_net_open(SMALL_MLP, sets, 1, 1, DTYPE_F32, 1);
    assert_int_equal(with->setup.engine->cache.bytes, SAMPLES * (40 * sizeof(float) + 1));
    assert_int_equal(engine_planned_bytes(with->setup.engine) - engine_planned_bytes(without->setup.engine),
                     with->setup.engine->cache.bytes);
    small_net_close(with);
    small_net_close(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_f32),
                                       cmocka_unit_test(in_bf16),
                                       cmocka_unit_test(odd_batches),
                                       cmocka_unit_test(micro_batches),
                                       cmocka_unit_test(the_cache_spares_the_frozen_stages),
                                       cmocka_unit_test(planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
