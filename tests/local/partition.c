/* net.partition: what is joined computes the same as the stages that it joins, learns as one, and is refused where that
 * has no meaning. */
#include "support/small_net.h"

#include <stdio.h>

static struct small_net *open_with(const char *text, const char *set, const char *dtype)
{
    const char *const sets[] = {set, dtype};
    return small_net_open(text, sets, 2, 2, DTYPE_F32, 3);
}

static const struct kept *find(const struct kept *kept, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(kept[i].name, name) == 0) return &kept[i];
    fail_msg("there is no tensor %s", name);
    return NULL;
}

/* Parameters and statistics of a layered net into the net that joins all of its stages: "stage.2.conv.weight" is
 * "stage.1.2.conv.weight" there, and the last stage's head is the head. */
static void copy_all(struct small_net *layered, struct small_net *whole)
{
    struct engine *from = layered->setup.engine, *to = whole->setup.engine;
    int count = engine_kept(from, 0, NULL), others = engine_kept(to, 0, NULL), copied = 0;
    struct kept *a = calloc((size_t)count, sizeof *a), *b = calloc((size_t)others, sizeof *b);
    engine_kept(from, 0, a);
    engine_kept(to, 0, b);
    for (int i = 0; i < count; i++) {
        int stage, used;
        char name[128];
        assert_int_equal(sscanf(a[i].name, "stage.%d.%n", &stage, &used), 1);
        int head = strncmp(a[i].name + used, "head.", 5) == 0;
        if (head && stage < from->stages) continue;
        snprintf(name, sizeof name, head ? "stage.1.%.0d%s" : "stage.1.%d.%s", head ? 0 : stage, a[i].name + used);
        const struct kept *target = find(b, others, name);
        assert_int_equal(tensor_count(&target->tensor), tensor_count(&a[i].tensor));
        void *host = malloc(tensor_bytes(&a[i].tensor));
        SMALL_OK(engine_read(from, &a[i], host));
        SMALL_OK(engine_write(to, target, host));
        free(host);
        copied++;
    }
    assert_int_equal(copied, others);
    free(a);
    free(b);
}

/* The last stage's scores for the same batch. */
static void compare(const char *text, const char *between, const char *dtype)
{
    char set[64];
    snprintf(set, sizeof set, "net={partition: whole, between: %s}", between);
    struct small_net *whole = open_with(text, set, dtype);
    snprintf(set, sizeof set, "net.between=%s", between);
    struct small_net *layered = open_with(text, set, dtype);
    int stages = layered->setup.engine->stages;
    size_t count = (size_t)layered->batch.size * 5;
    float *a = calloc(count * (size_t)stages, sizeof *a), *b = calloc(count, sizeof *b);
    assert_int_equal(whole->setup.engine->stages, 1);
    small_net_train(layered, 3);
    copy_all(layered, whole);
    small_net_draw(layered, 9);
    small_net_draw(whole, 9);
    SMALL_OK(engine_evaluate(layered->setup.engine, &layered->batch, a));
    SMALL_OK(engine_evaluate(whole->setup.engine, &whole->batch, b));
    assert_memory_equal(a + count * (size_t)(stages - 1), b, count * sizeof *b);
    free(a);
    free(b);
    small_net_close(whole);
    small_net_close(layered);
}

static void same_function(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN, SMALL_RESIDUAL}, *const betweens[] = {"auto", "l2",
                                                                                                    "none"};
    for (int t = 0; t < 3; t++)
        for (int b = 0; b < 3; b++) compare(texts[t], betweens[b], "run.dtype=f32");
}

static void same_function_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    compare(SMALL_CNN, "l2", "run.dtype=bf16");
    compare(SMALL_RESIDUAL, "auto", "run.dtype=bf16");
}

/* All of a joined stage learns from its one loss: its first layer too. */
static void whole_learns_as_one(void **state)
{
    (void)state;
    struct small_net *net = open_with(SMALL_CNN, "net.partition=whole", "run.dtype=f32");
    const struct program *program = net->setup.engine->stage[0].program;
    int weights = 0, data = 0;
    for (int i = 0; i < program->count[SECTION_BACKWARD]; i++) {
        enum op_kind kind = program->section[SECTION_BACKWARD][i].op->desc.kind;
        weights += kind == OP_CONV_WEIGHT;
        data += kind == OP_CONV_DATA;
    }
    assert_int_equal(weights, 3);
    assert_int_equal(data, 2);
    small_net_close(net);
}

static void check_stages(const char *items, const char *want)
{
    char text[512], have[128] = "";
    snprintf(text, sizeof text,
             "run: {batch: 8, slices: 2, backend: cpu}\nobjective: {head: {aux: 0}}\n"
             "net: {partition: block, stages: [%s]}\n",
             items);
    struct small_net *net = small_net_open(text, NULL, 0, 1, DTYPE_F32, 3);
    for (int i = 0; i < net->setup.engine->stages; i++)
        snprintf(have + strlen(have), sizeof have - strlen(have), "%d ", net->setup.net->stage[i].items);
    assert_string_equal(have, want);
    small_net_close(net);
}

static void blocks(void **state)
{
    (void)state;
    check_stages("{conv: {channels: 4}}, {conv: {channels: 4, pool: {max: 2}}}, {conv: {channels: 4}, repeat: 3}",
                 "2 3 ");
    check_stages("{conv: {channels: 4}}, {basic_block: {channels: 4}, repeat: 2}, {conv: {channels: 4}}", "1 1 1 1 ");
    check_stages("{conv: {channels: 4}, repeat: 2}, {linear: {units: 4}}, {linear: {units: 4}}", "2 1 1 ");
}

static void refuse(const char *text, const char *set, const char *word)
{
    struct setup setup = {0};
    struct net *net = NULL;
    SMALL_OK(config_parse(&setup.config, config_tables, "test", text, &set, 1));
    struct shape input = {3, {1, 12, 12}};
    assert_int_equal(net_build(&net, config_at(config_root(setup.config), "net"), &input), HFF_E_CONFIG);
    if (!strstr(hff_error_message(), word)) fail_msg("\"%s\" does not say \"%s\"", hff_error_message(), word);
    assert_null(net);
    config_free(setup.config);
}

static void refusals(void **state)
{
    (void)state;
    static const char mixed[] = "net: {partition: whole, stages: [{linear: {units: 9}, optimizer: {lr: 0.1}}, {linear: "
                                "{units: 9}}]}\n";
    refuse(mixed, "run.seed=1", "one optimizer");
    refuse("net: {stages: [{linear: {units: 9}}, {basic_block: {channels: 4}}]}\n", "run.seed=1", "wants images");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_function), cmocka_unit_test(same_function_bf16),
                                       cmocka_unit_test(whole_learns_as_one), cmocka_unit_test(blocks),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
