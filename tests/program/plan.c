/* The memory plan: slots that live at the same time never share a byte, and nothing is read that the step did not
 * write. */
#include "support/small_net.h"

#include <math.h>

static const char heads[] =
    "run: {batch: 24, slices: 4, backend: cpu}\n"
    "net: {stages: [{conv: {channels: 7, pool: {max: 2}}}, {conv: {channels: 5, norm: none, pool: {average: 2}}},\n"
    "  {linear: {units: 9, norm: batch}}, {linear: {units: 3, act: none}}]}\n"
    "objective: {head: {pool: 3, aux: 6, aux_kernel: 3, aux_act: relu, grid: 2}, prototypes: {per_class: 3}}\n"
    "optimizer: {kind: sgd, clip: 0.5}\n";
static const char frozen[] =
    "run: {batch: 6, slices: 1, backend: cpu}\n"
    "net: {stages: [{conv: {channels: 16, stride: 2}}, {linear: {units: 1}}]}\n"
    "objective: {prototypes: {train: false}, head: {aux: 0, grid: 12}, loss: pairwise, margin: 0.2}\n"
    "optimizer: {kind: sgd, momentum: 0}\n";
static const char again[] =
    "run: {batch: 24, slices: 4, backend: cpu}\n"
    "net: {partition: whole, stages: [{conv: {channels: 7, pool: {max: 2}}}, {basic_block: {channels: 6}, repeat: 3},\n"
    "  {conv: {channels: 5, norm: none}}, {linear: {units: 9, norm: batch}}, {linear: {units: 9}}]}\n"
    "engine: {recompute: auto}\n";
static const char parts[] =
    "run: {batch: 24, micro_batch: 6, slices: 3, backend: cpu}\n"
    "net: {partition: block, stages: [{conv: {channels: 7, pool: {max: 2}}}, {basic_block: {channels: 6}},\n"
    "  {linear: {units: 9, norm: batch}}, {linear: {units: 9}}]}\n"
    "engine: {recompute: 2}\n"
    "objective: {prototypes: {per_class: 2}, learn_scale: true}\n";
static const char *const texts[] = {SMALL_MLP, SMALL_CNN, heads, frozen, again, parts};
enum { TEXTS = sizeof texts / sizeof *texts };

static int same_time(const struct slot *a, const struct slot *b)
{
    return a->first >= 0 && b->first >= 0 && a->first <= b->last && b->first <= a->last;
}

static int same_bytes(const struct slot *a, const struct slot *b)
{
    return a->bytes && b->bytes && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* A slot that stands for what the other belongs to lies over it on purpose. */
static int whole_and_member(const struct program *program, int i, int k)
{
    if (i >= program->graph.values || k >= program->graph.values) return 0;
    const struct value *a = &program->graph.value[i], *b = &program->graph.value[k];
    if (a->role != b->role || a->whole == b->whole) return 0;
    if (a->whole == WHOLE_STAGE) return b->group != GROUP_FROZEN;
    if (b->whole == WHOLE_STAGE) return a->group != GROUP_FROZEN;
    return a->group == b->group;
}

static void check_pair(const struct program *program, int i, int k)
{
    const struct slot *a = &program->slot[i], *b = &program->slot[k];
    if (a->arena != b->arena || !same_bytes(a, b) || whole_and_member(program, i, k)) return;
    if (a->arena == ARENA_INPUT || a->arena == ARENA_OUTPUT) return; /* one buffer for training and evaluation */
    if (a->arena == ARENA_ACT && !same_time(a, b)) return;
    fail_msg("%s and %s share bytes of %s", a->name, b->name, arena_name(a->arena));
}

static void slots_do_not_overlap(void **state)
{
    (void)state;
    for (int t = 0; t < TEXTS; t++) {
        struct small_net *net = small_net_open(texts[t], NULL, 0, 1, DTYPE_F32, 3);
        for (int s = 0; s < net->setup.engine->stages; s++) {
            const struct program *program = net->setup.engine->stage[s].program;
            for (int i = 0; i < program->slots; i++) {
                const struct slot *slot = &program->slot[i];
                assert_true(slot->bytes >= tensor_bytes(&slot->tensor) || slot->tensor.block != 0);
                if (slot->arena != ARENA_ACT || slot->first >= 0)
                    assert_true(slot->offset + slot->bytes <= program->bytes[slot->arena]);
                for (int k = 0; k < i; k++) check_pair(program, i, k);
            }
        }
        small_net_close(net);
    }
}

/* What an instruction touches lies inside its slot's lifetime: counted here anew, not read from the plan. */
static void lifetimes_cover_every_use(void **state)
{
    (void)state;
    for (int t = 0; t < TEXTS; t++) {
        struct small_net *net = small_net_open(texts[t], NULL, 0, 1, DTYPE_F32, 3);
        for (int s = 0; s < net->setup.engine->stages; s++) {
            const struct program *program = net->setup.engine->stage[s].program;
            int at = 0;
            for (int section = 0; section < SECTIONS; section++)
                for (int i = 0; i < program->count[section]; i++, at++)
                    for (int a = 0; a < OP_ARGS; a++) {
                        int arg = program->section[section][i].arg[a];
                        if (arg >= 0) assert_in_range(at, program->slot[arg].first, program->slot[arg].last);
                    }
            for (int a = 0; a < ARENAS; a++) assert_int_equal(program->bytes[a] % 64, 0);
        }
        small_net_close(net);
    }
}

static void add_arenas(const struct engine *engine, const enum arena_kind *kinds, int count, int summed)
{
    for (int k = 0; k < count; k++) {
        size_t want = 0;
        for (int s = 0; s < engine->stages; s++) {
            size_t bytes = engine->stage[s].program->bytes[kinds[k]];
            want = summed ? want + bytes : bytes > want ? bytes : want;
        }
        assert_int_equal(engine->bytes[kinds[k]], want);
    }
}

/* Parameters, moments and statistics of all stages stay, and gradients that parts of a batch add up in; of the others
 * only the largest stage's are there. */
static void one_stage_at_a_time(void **state)
{
    (void)state;
    static const enum arena_kind sums[] = {ARENA_PARAM, ARENA_MOMENT, ARENA_STAT, ARENA_GRAD};
    static const enum arena_kind largest[] = {ARENA_ACT, ARENA_WORK, ARENA_GRAD};
    for (int t = 0; t < TEXTS; t++) {
        struct small_net *net = small_net_open(texts[t], NULL, 0, 1, DTYPE_F32, 3);
        int adds = texts[t] == parts;
        add_arenas(net->setup.engine, sums, 3 + adds, 1);
        add_arenas(net->setup.engine, largest, 3 - adds, 0);
        size_t total = 0;
        for (int a = 0; a < ARENAS; a++) total += net->setup.engine->bytes[a];
        assert_int_equal(engine_planned_bytes(net->setup.engine), total);
        small_net_close(net);
    }
}

/* Every byte that no step keeps becomes a quiet not-a-number (float 0xffffffff). */
static void poison(struct engine *engine)
{
    static const enum arena_kind kinds[] = {ARENA_ACT, ARENA_GRAD, ARENA_WORK, ARENA_INPUT, ARENA_OUTPUT, ARENA_BATCH};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (engine->bytes[kinds[k]]) memset(engine->memory[kinds[k]], 0xff, engine->bytes[kinds[k]]);
}

/* A step reads nothing that an earlier step or another stage left in memory that is not kept. */
static void nothing_leaks_from_step_to_step(void **state)
{
    (void)state;
    for (int t = 0; t < TEXTS; t++) {
        struct small_net *clean = small_net_open(texts[t], NULL, 0, 2, DTYPE_F32, 3);
        struct small_net *dirty = small_net_open(texts[t], NULL, 0, 2, DTYPE_F32, 3);
        size_t scores = (size_t)clean->setup.engine->stages * (size_t)clean->batch.size * 5, n, m;
        float *a = calloc(scores, sizeof *a), *b = calloc(scores, sizeof *b);
        for (int step = 0; step < 3; step++) {
            small_net_draw(clean, step);
            small_net_draw(dirty, step);
            poison(dirty->setup.engine);
            SMALL_OK(engine_step(clean->setup.engine, &clean->batch));
            SMALL_OK(engine_step(dirty->setup.engine, &dirty->batch));
            poison(dirty->setup.engine);
            SMALL_OK(engine_evaluate(clean->setup.engine, &clean->batch, a));
            SMALL_OK(engine_evaluate(dirty->setup.engine, &dirty->batch, b));
            assert_memory_equal(a, b, scores * sizeof *a);
            for (size_t i = 0; i < scores; i++) assert_true(isfinite(a[i]));
        }
        for (int moments = 0; moments < 2; moments++) {
            struct kept *kept_a, *kept_b;
            int count_a, count_b;
            unsigned char *x = small_net_tensors(clean, moments, &kept_a, &count_a, &n);
            unsigned char *y = small_net_tensors(dirty, moments, &kept_b, &count_b, &m);
            assert_int_equal(n, m);
            assert_memory_equal(x, y, n);
            free(x);
            free(y);
            free(kept_a);
            free(kept_b);
        }
        free(a);
        free(b);
        small_net_close(clean);
        small_net_close(dirty);
    }
}

/* An evaluation between two steps changes nothing of what the steps compute. */
static void evaluation_leaves_training_alone(void **state)
{
    (void)state;
    for (int t = 0; t < TEXTS; t++) {
        unsigned char *bytes[2];
        size_t size[2];
        for (int with = 0; with < 2; with++) {
            struct small_net *net = small_net_open(texts[t], NULL, 0, 1, DTYPE_F32, 3);
            struct kept *kept;
            int count;
            for (int step = 0; step < 3; step++) {
                small_net_draw(net, 50);
                if (with) SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, NULL));
                small_net_draw(net, step);
                SMALL_OK(engine_step(net->setup.engine, &net->batch));
            }
            bytes[with] = small_net_tensors(net, 0, &kept, &count, &size[with]);
            free(kept);
            small_net_close(net);
        }
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(bytes[0], bytes[1], size[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_do_not_overlap),
        cmocka_unit_test(lifetimes_cover_every_use),
        cmocka_unit_test(one_stage_at_a_time),
        cmocka_unit_test(nothing_leaks_from_step_to_step),
        cmocka_unit_test(evaluation_leaves_training_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
