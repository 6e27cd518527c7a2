/* Lanes: the cut's largest lane is as small as can be, and no two lanes or slots share memory that both may write. */
#include "engine/private.h"
#include "support/small_net.h"

#include <math.h>

/* Seven stages of unlike work. */
#define UNLIKE                                                                                                         \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{linear: {units: 90}}, {linear: {units: 10}}, {linear: {units: 300}}, {linear: {units: 20}}, "     \
    "{linear: {units: 200}}, {linear: {units: 200}}, {linear: {units: 12}}]}\n"

static struct small_net *open_lanes(const char *text, int lanes)
{
    char set[32];
    const char *const sets[] = {set};
    snprintf(set, sizeof set, "engine.pipeline=%d", lanes);
    return small_net_open(text, sets, 1, 2, DTYPE_F32, 3);
}

static double work_of(const struct engine *engine, int first, int end)
{
    double total = 0;
    for (int i = first; i < end; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++) total += engine->stage[i].flops[s];
    return total;
}

/* By trying all cuts. */
static double best_cut(const struct engine *engine, int first, int lanes)
{
    double best = lanes == 1 ? work_of(engine, first, engine->stages) : INFINITY;
    for (int end = first + 1; lanes > 1 && end <= engine->stages - (lanes - 1); end++)
        best = fmin(best, fmax(work_of(engine, first, end), best_cut(engine, end, lanes - 1)));
    return best;
}

static void the_largest_lane_is_smallest(void **state)
{
    (void)state;
    for (int lanes = 2; lanes <= 7; lanes++) {
        struct small_net *net = open_lanes(UNLIKE, lanes);
        const struct engine *engine = net->setup.engine;
        double largest = 0;
        int next = 0;
        assert_int_equal(engine->lanes, lanes);
        for (int k = 0; k < lanes; k++) {
            const struct lane *lane = &engine->lane[k];
            assert_int_equal(lane->first, next);
            assert_true(lane->stages > 0);
            next += lane->stages;
            assert_float_equal(lane->flops, work_of(engine, lane->first, next), 1);
            largest = fmax(largest, lane->flops);
        }
        assert_int_equal(next, 7);
        assert_float_equal(largest, best_cut(engine, 0, lanes), 1);
        small_net_close(net);
    }
}

struct range {
    const unsigned char *from, *to;
};

static struct range range_of(const struct engine *engine, int stage, int slot, enum arena_kind arena)
{
    unsigned char *base[ARENAS];
    lanes_base(engine, stage, slot, base);
    size_t bytes = engine->stage[stage].program->bytes[arena];
    struct range range = {base[arena], base[arena] + bytes};
    /* a ring in front of a lane and the buffers inside one may be a stage's input or output; hyper values lie in front of a
     * batch, with which they are sent */
    enum arena_kind home = arena == ARENA_STEP                             ? ARENA_BATCH
                           : arena != ARENA_INPUT && arena != ARENA_OUTPUT ? arena
                           : range.from >= engine->memory[ARENA_INPUT] &&
                                   range.from < engine->memory[ARENA_INPUT] + engine->bytes[ARENA_INPUT]
                               ? ARENA_INPUT
                               : ARENA_OUTPUT;
    if (bytes) {
        assert_true(range.from >= engine->memory[home]);
        assert_true(range.to <= engine->memory[home] + engine->bytes[home]);
    }
    return range;
}

static int meet(struct range a, struct range b)
{
    return a.from < b.to && b.from < a.to;
}

static int lane_of(const struct engine *engine, int stage)
{
    int k = 0;
    while (stage >= engine->lane[k].first + engine->lane[k].stages) k++;
    return k;
}

static int passes_on(const struct engine *engine, int stage)
{
    return engine->stage[stage].program->bytes[ARENA_OUTPUT] > 0;
}

/* Lanes may be RING_SLOTS steps apart, and all slots' labels are in memory at once. */
static void check_pair(const struct engine *engine, int i, int j, int si, int sj)
{
    static const enum arena_kind of_lanes[] = {ARENA_GRAD, ARENA_ACT, ARENA_WORK};
    static const enum arena_kind of_stages[] = {ARENA_PARAM, ARENA_MOMENT, ARENA_STAT};
    for (int a = 0; a < 3 && i != j; a++)
        assert_false(meet(range_of(engine, i, si, of_stages[a]), range_of(engine, j, sj, of_stages[a])));
    for (int a = 0; a < 3 && lane_of(engine, i) != lane_of(engine, j); a++)
        assert_false(meet(range_of(engine, i, si, of_lanes[a]), range_of(engine, j, sj, of_lanes[a])));
    if (i != j || si != sj)
        assert_false(meet(range_of(engine, i, si, ARENA_STEP), range_of(engine, j, sj, ARENA_STEP)));
    assert_false(meet(range_of(engine, i, si, ARENA_STEP), range_of(engine, j, sj, ARENA_BATCH)));
    if (si != sj) assert_false(meet(range_of(engine, i, si, ARENA_BATCH), range_of(engine, j, sj, ARENA_BATCH)));
    if (!passes_on(engine, i)) return;
    struct range out = range_of(engine, i, si, ARENA_OUTPUT), in = range_of(engine, j, sj, ARENA_INPUT);
    int same_slot = si % RING_SLOTS == sj % RING_SLOTS;
    if (j == i + 1 && same_slot)
        assert_ptr_equal(out.from, in.from);
    else if (lane_of(engine, i) != lane_of(engine, j))
        assert_false(meet(out, in));
    if (i == j && same_slot) assert_false(meet(out, in)); /* its own input is read while it is written */
}

static void lanes_share_no_memory(void **state)
{
    (void)state;
    static const char *const texts[] = {UNLIKE, SMALL_CNN, SMALL_FF, SMALL_RESIDUAL};
    for (int t = 0; t < 4; t++)
        for (int lanes = 2; lanes <= (t ? 3 : 7); lanes++) {
            struct small_net *net = open_lanes(texts[t], lanes);
            const struct engine *engine = net->setup.engine;
            int slots = lanes_steps(lanes);
            assert_true(slots > lanes && slots % RING_SLOTS == 0);
            for (int i = 0; i < engine->stages; i++)
                for (int j = 0; j < engine->stages; j++)
                    for (int si = 0; si < slots; si++)
                        for (int sj = 0; sj < slots; sj++) check_pair(engine, i, j, si, sj);
            size_t total = 0;
            for (int a = 0; a < ARENAS; a++) total += engine->bytes[a];
            assert_int_equal(engine_planned_bytes(engine), total);
            small_net_close(net);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_lane_is_smallest),
        cmocka_unit_test(lanes_share_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
