/* Recomputation changes no bit: parameters, running statistics, moments and scores after some steps, for every kind of
 * layer that a joined stage may have, with and without micro-batches; and the memory that it saves. */
#include "support/small_net.h"

/* Pools, activations alone, strides, a flatten: eight layers with saved values of every kind. */
#define DEEP                                                                                                           \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {partition: whole, stages: [{conv: {channels: 9, pool: {max: 2}}}, {conv: {channels: 12, norm: none, act: "  \
    "leaky_relu}}, {conv: {channels: 10, act: none}, repeat: 3}, {conv: {channels: 8, norm: none, pool: {average: "    \
    "2}}}, {linear: {units: 30}}, {linear: {units: 20, norm: batch}}, {linear: {units: 20}}]}\n"                       \
    "objective: {head: {aux: 0}}\n"
#define FLAT                                                                                                           \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {partition: whole, stages: [{linear: {units: 31}, repeat: 4}, {linear: {units: 17, norm: batch}, repeat: "   \
    "3}]}\n"

struct result {
    unsigned char *kept[2];
    size_t bytes[2];
    float *scores;
    size_t scores_bytes;
    int segments; /* the most of a stage */
};

static struct result train(const char *text, const char *const *sets, int count)
{
    struct result r = {0};
    struct small_net *net = small_net_open(text, sets, count, 2, DTYPE_F32, 3);
    const struct engine *engine = net->setup.engine;
    small_net_train(net, 4);
    for (int moments = 0; moments < 2; moments++) {
        struct kept *kept;
        int tensors;
        r.kept[moments] = small_net_tensors(net, moments, &kept, &tensors, &r.bytes[moments]);
        free(kept);
    }
    r.scores_bytes = (size_t)engine->stages * (size_t)engine->batch * 5 * sizeof(float);
    r.scores = calloc(1, r.scores_bytes);
    SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, r.scores));
    for (int i = 0; i < engine->stages; i++)
        if (engine->stage[i].segments > r.segments) r.segments = engine->stage[i].segments;
    small_net_close(net);
    return r;
}

static void release(struct result *r)
{
    free(r->kept[0]);
    free(r->kept[1]);
    free(r->scores);
}

/* set: what both have; some segments of either choice. */
static void compare(const char *text, const char *set, const char *more, int recomputes)
{
    static const char *const choices[] = {"engine.recompute=auto", "engine.recompute=2", "engine.recompute=3",
                                          "engine.recompute=100"};
    const char *sets[] = {set, more, "engine.recompute=none"};
    struct result plain = train(text, sets, 3);
    assert_int_equal(plain.segments, 1);
    for (int i = 0; i < 4; i++) {
        sets[2] = choices[i];
        struct result again = train(text, sets, 3);
        if (recomputes && i < 3 && again.segments < 2) fail_msg("%s, %s: nothing is recomputed", set, choices[i]);
        if (i == 1) assert_in_range(again.segments, 1, 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(plain.bytes[k], again.bytes[k]);
            if (memcmp(plain.kept[k], again.kept[k], plain.bytes[k]) != 0)
                fail_msg("%s, %s, %s: other %s", set, more, choices[i], k ? "moments" : "parameters");
        }
        assert_memory_equal(plain.scores, again.scores, plain.scores_bytes);
        release(&again);
    }
    release(&plain);
}

static void whole_in(const char *dtype)
{
    static const char *const betweens[] = {"net.between=auto", "net.between=l2", "net.between=none"};
    for (int b = 0; b < 3; b++) {
        compare(DEEP, betweens[b], dtype, 1);
        compare(FLAT, betweens[b], dtype, 1);
    }
    compare(DEEP, "objective={kind: softmax, sim: {beta: 0.5}}", dtype, 1);
    compare(SMALL_RESIDUAL, "net.partition=whole", dtype, 1);
    compare(SMALL_RESIDUAL, "net={partition: whole, between: l2}", dtype, 1);
}

static void whole(void **state)
{
    (void)state;
    whole_in("run.dtype=f32");
}

static void whole_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    whole_in("run.dtype=bf16");
}

/* Stages of any size; where there is nothing to gain nothing is done. */
static void partitions(void **state)
{
    (void)state;
    compare(DEEP, "net.partition=block", "run.seed=1", 1);
    compare(DEEP, "net.partition=layer", "run.seed=1", 0);
    compare(SMALL_RESIDUAL, "net.partition=layer", "run.seed=1", 0);
    compare(SMALL_FF_HARD, "run.slices=2", "run.seed=1", 0);
}

static void with_micro_batches(void **state)
{
    (void)state;
    compare(DEEP, "run.micro_batch=8", "run.slices=2", 1);
    compare(SMALL_RESIDUAL, "run={micro_batch: 12}", "net.partition=whole", 1);
    compare(FLAT, "run.micro_batch=4", "net.between=l2", 1);
}

/* Batch norm is repeated, its running statistics are not: what is recomputed has neither. */
static void statistics_run_once(void **state)
{
    (void)state;
    const char *sets[] = {"engine.recompute=3"};
    struct small_net *net = small_net_open(DEEP, sets, 1, 1, DTYPE_F32, 3);
    const struct program *program = net->setup.engine->stage[0].program;
    int repeated = 0;
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < program->count[s]; i++) {
            const struct instr *instr = &program->section[s][i];
            if (instr->op->desc.kind != OP_NORM) continue;
            assert_true(s == SECTION_FORWARD || s == SECTION_BACKWARD);
            assert_int_equal(instr->arg[5] >= 0, s == SECTION_FORWARD);
            assert_int_equal(instr->arg[6] >= 0, s == SECTION_FORWARD);
            repeated += s == SECTION_BACKWARD;
        }
    assert_true(repeated > 0);
    small_net_close(net);
}

/* Planned activations of a stage of `layers` equal convolutions. */
static size_t planned(int layers, const char *set)
{
    char stages[96];
    snprintf(stages, sizeof stages, "net.stages=[{conv: {channels: 16}, repeat: %d}]", layers);
    const char *sets[] = {stages, set};
    struct small_net *net = small_net_open("run: {batch: 24, slices: 4, backend: cpu}\nobjective: {head: {aux: 0}}\n"
                                           "net: {partition: whole, between: none, stages: []}\n",
                                           sets, 2, 1, DTYPE_F32, 1);
    size_t bytes = net->setup.engine->bytes[ARENA_ACT];
    small_net_close(net);
    return bytes;
}

/* 2 n activations without, about the root of 4 n with: 32 layers in less than a quarter, four times as many layers in
 * little more than twice the memory. */
static void grows_as_the_root(void **state)
{
    (void)state;
    size_t plain = planned(32, "engine.recompute=none"), best = planned(32, "engine.recompute=auto");
    size_t deeper = planned(128, "engine.recompute=auto");
    if (best * 4 > plain) fail_msg("32 layers: %zu bytes, %zu without recomputation", best, plain);
    if (deeper * 10 > best * 24) fail_msg("128 layers: %zu bytes, 32: %zu", deeper, best);
    for (int segments = 2; segments < 20; segments++) {
        char set[32];
        snprintf(set, sizeof set, "engine.recompute=%d", segments);
        size_t bytes = planned(32, set);
        if (bytes < best) fail_msg("auto takes %zu bytes, %d segments %zu", best, segments, bytes);
        assert_true(bytes < plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole),
                                       cmocka_unit_test(whole_bf16),
                                       cmocka_unit_test(partitions),
                                       cmocka_unit_test(with_micro_batches),
                                       cmocka_unit_test(statistics_run_once),
                                       cmocka_unit_test(grows_as_the_root)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
