/* No gradient crosses the line between two stages. */
#include "support/small_net.h"

/* Bytes of a stage's kept tensors after some steps. */
static unsigned char *stage_bytes(const char *text, const char *set, const char *set2, int stage, size_t *bytes)
{
    const char *const sets[] = {set, set2};
    struct small_net *net = small_net_open(text, sets, set2 ? 2 : 1, 2, DTYPE_F32, 3);
    struct kept *kept;
    int count;
    size_t all;
    char prefix[32];
    small_net_train(net, 4);
    unsigned char *data = small_net_tensors(net, 0, &kept, &count, &all), *out = malloc(all), *at = data;
    snprintf(prefix, sizeof prefix, "stage.%d.", stage);
    *bytes = 0;
    for (int i = 0; i < count; i++) {
        size_t n = tensor_bytes(&kept[i].tensor);
        if (strncmp(kept[i].name, prefix, strlen(prefix)) == 0) {
            memcpy(out + *bytes, at, n);
            *bytes += n;
        }
        at += n;
    }
    free(data);
    free(kept);
    small_net_close(net);
    return out;
}

/* A change in stage 2's loss changes stages 2 and 3, and not a byte of stage 1: whatever the objective. */
static void later_losses_leave_earlier_stages_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *objective, *changed;
    } cases[] = {
        {SMALL_MLP, "objective.kind=hff", "net.stages[1].objective={margin: 0.3}"},
        {SMALL_CNN, "objective.kind=hff", "net.stages[1].objective={margin: 0.3}"},
        {SMALL_RESIDUAL, "objective.kind=hff", "net.stages[1].objective={margin: 0.3}"},
        {SMALL_FIVES, "objective.kind=softmax", "net.stages[1].objective={smoothing: 0.3}"},
        {SMALL_FIVES, "objective.kind=cwc", "net.stages[1].objective={smoothing: 0.3}"},
        {SMALL_FIVES, "objective={kind: softmax, sim: {beta: 0.5}}", "net.stages[1].objective={sim: {beta: 0}}"},
        {SMALL_FIVES, "objective={kind: hff, sim: {beta: 0.5}}", "net.stages[1].objective={sim: {beta: 0.9}}"},
        {SMALL_FF, "objective.kind=ff", "net.stages[1].objective={ff: {theta: 10}}"},
        {SMALL_FF_CNN, "objective.kind=ff", "net.stages[1].objective={ff: {theta: 0.2}}"}};
    for (size_t t = 0; t < sizeof cases / sizeof cases[0]; t++)
        for (int stage = 1; stage <= 3; stage++) {
            size_t n, m;
            unsigned char *plain = stage_bytes(cases[t].text, cases[t].objective, NULL, stage, &n);
            unsigned char *changed = stage_bytes(cases[t].text, cases[t].objective, cases[t].changed, stage, &m);
            size_t shorter = n < m ? n : m; /* a term may bring parameters of its own, behind the others */
            assert_true(shorter > 0);
            if (stage == 1) {
                assert_int_equal(n, m);
                assert_memory_equal(plain, changed, n);
            } else {
                assert_memory_not_equal(plain, changed, shorter);
            }
            free(plain);
            free(changed);
        }
}

/* Hard negatives come from what the whole net says, and reach a stage through its labels alone. */
static void hard_negatives_look_at_the_whole_net(void **state)
{
    (void)state;
    size_t n, m;
    unsigned char *plain = stage_bytes(SMALL_FF_HARD, "run.seed=1", NULL, 1, &n);
    unsigned char *changed = stage_bytes(SMALL_FF_HARD, "net.stages[1].objective={ff: {theta: 10}}", NULL, 1, &m);
    assert_int_equal(n, m);
    assert_memory_not_equal(plain, changed, n);
    free(plain);
    free(changed);
}

/* A stage's first layer computes no input gradient: one data-gradient op fewer than weight-gradient ops in the body,
 * and none writes the input's shape. */
static void no_input_gradient(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN, SMALL_FIVES, SMALL_FIVES, SMALL_FF, SMALL_FF_CNN};
    static const char *const sets[] = {"objective.kind=hff", "objective.kind=hff",
                                       "objective.kind=cwc", "objective={kind: softmax, sim: {beta: 0.5}}",
                                       "objective.kind=ff",  "objective.kind=ff"};
    for (int t = 0; t < 6; t++) {
        struct small_net *net = small_net_open(texts[t], &sets[t], 1, 1, DTYPE_F32, 3);
        for (int s = 0; s < net->setup.engine->stages; s++) {
            const struct program *program = net->setup.engine->stage[s].program;
            int weights = 0, data = 0;
            for (int i = 0; i < program->count[SECTION_BACKWARD]; i++) {
                enum op_kind kind = program->section[SECTION_BACKWARD][i].op->desc.kind;
                weights += kind == OP_LINEAR_WEIGHT || kind == OP_CONV_WEIGHT;
                data += kind == OP_LINEAR_DATA || kind == OP_CONV_DATA;
            }
            assert_int_equal(weights, 1);
            assert_int_equal(data, 0);
        }
        small_net_close(net);
    }
}

/* Training one stage more in front of nothing: the first two stages of a three-stage net learn exactly as in a
 * two-stage net. */
static void stages_behind_do_not_matter(void **state)
{
    (void)state;
    static const char two[] = "run: {batch: 24, slices: 4, backend: cpu}\n"
                              "net: {stages: [{linear: {units: 40}}, {linear: {units: 33}}]}\n";
    for (int stage = 1; stage <= 2; stage++) {
        size_t n, m;
        unsigned char *three = stage_bytes(SMALL_MLP, "run.seed=1", NULL, stage, &n),
                      *fewer = stage_bytes(two, "run.seed=1", NULL, stage, &m);
        assert_int_equal(n, m);
        assert_memory_equal(three, fewer, n);
        free(three);
        free(fewer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(later_losses_leave_earlier_stages_alone),
                                       cmocka_unit_test(hard_negatives_look_at_the_whole_net),
                                       cmocka_unit_test(no_input_gradient),
                                       cmocka_unit_test(stages_behind_do_not_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
