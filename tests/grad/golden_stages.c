/* Whole stages (body, head, loss, what is passed on) against golden vectors that automatic differentiation made in
 * double (tests/golden/make_stages.py): the reference in double, the CPU in single precision, and the CPU with
 * activations in bf16. */
#include "support/small_net.h"

#include "base/json.h"
#include "tensor/bf16.h"
#include "train/safetensors.h"

#include <math.h>
#include <stdio.h>

enum { CASES = 16 };

struct golden {
    const struct safetensors *file;
    const char *name; /* of the case */
    double room;      /* of a difference, relative to the tensor's largest element; bf16: of its norm, to the norm */
    int bf16;
    struct setup setup;
};

static const struct safetensor *find(const struct golden *g, const char *part, const char *name)
{
    char key[160];
    snprintf(key, sizeof key, "%s.%s.%s", g->name, part, name);
    const struct safetensor *t = safetensors_find(g->file, key);
    if (!t) fail_msg("the golden file has no tensor %s", key);
    return t;
}

/* How many tensors of the case belong to a part ("grad"). */
static int count_of(const struct golden *g, const char *part)
{
    char prefix[80];
    int count = 0;
    snprintf(prefix, sizeof prefix, "%s.%s.", g->name, part);
    for (int i = 0; i < g->file->count; i++) count += strncmp(g->file->tensor[i].name, prefix, strlen(prefix)) == 0;
    return count;
}

static int64_t elements(const struct safetensor *t)
{
    int64_t count = 1;
    for (int d = 0; d < t->rank; d++) count *= t->dim[d];
    return count;
}

static double element(const struct safetensor *t, int64_t i)
{
    double real;
    int64_t whole;
    memcpy(t->dtype == DTYPE_I64 ? (void *)&whole : (void *)&real, (const char *)t->data + 8 * i, 8);
    return t->dtype == DTYPE_I64 ? (double)whole : real;
}

/* Where logical element i of a tensor lies. */
static int64_t place(const struct tensor *t, int64_t i)
{
    if (t->layout != LAYOUT_BLOCKED) return i;
    int64_t area = tensor_area(t), pixel = i % area, c = i / area % t->dim[1], n = i / area / t->dim[1];
    int64_t blocks = (t->dim[1] + t->block - 1) / t->block;
    return ((n * blocks + c / t->block) * area + pixel) * t->block + c % t->block;
}

static double number(const struct tensor *tensor, const void *have, int64_t i)
{
    int64_t at = place(tensor, i);
    if (tensor->dtype == DTYPE_F64) return ((const double *)have)[at];
    return tensor->dtype == DTYPE_BF16 ? bf16_wide(((const bf16 *)have)[at]) : ((const float *)have)[at];
}

/* Where rounding makes another pixel a window's maximum, or moves a number over relu's kink, a gradient goes another
 * way. That happens to about one in 2^7, so gradients differ by some square root of that for each kink on the way, and
 * in nets as small as these by up to thrice that; single elements by more. What is wrong is off by its own size. */
static void check_norm(const struct golden *g, const char *part, const char *name, const struct tensor *tensor,
                       const void *have)
{
    const struct safetensor *want = find(g, part, name);
    double squares = 1e-12, off = 0, room = strcmp(part, "grad") == 0 ? 12 * g->room : g->room;
    assert_int_equal(elements(want), tensor_count(tensor));
    for (int64_t i = 0; i < elements(want); i++) {
        off += pow(number(tensor, have, i) - element(want, i), 2);
        squares += pow(element(want, i), 2);
    }
    if (!(sqrt(off / squares) <= room)) fail_msg("%s: %s %s is off by %.3g", g->name, part, name, sqrt(off / squares));
}

static void check_tensor(const struct golden *g, const char *part, const char *name, const struct tensor *tensor,
                         const void *have)
{
    const struct safetensor *want = find(g, part, name);
    double largest = 1e-6;
    if (g->bf16) {
        check_norm(g, part, name, tensor, have);
        return;
    }
    assert_int_equal(elements(want), tensor_count(tensor));
    for (int64_t i = 0; i < elements(want); i++) largest = fmax(largest, fabs(element(want, i)));
    for (int64_t i = 0; i < elements(want); i++) {
        double value = number(tensor, have, i);
        if (!(fabs(value - element(want, i)) <= g->room * largest))
            fail_msg("%s: %s %s[%lld] is %.12g, should be %.12g", g->name, part, name, (long long)i, value,
                     element(want, i));
    }
}

/* A golden tensor into the memory of a value of any type. */
static void put(const struct golden *g, const struct safetensor *from, const struct tensor *tensor, void *to)
{
    assert_int_equal(tensor->layout, LAYOUT_PLAIN);
    if (elements(from) != tensor_count(tensor)) fail_msg("%s: %s has another shape", g->name, from->name);
    for (int64_t i = 0; i < elements(from); i++) {
        if (tensor->dtype == DTYPE_F64) ((double *)to)[i] = element(from, i);
        if (tensor->dtype == DTYPE_F32) ((float *)to)[i] = (float)element(from, i);
        if (tensor->dtype == DTYPE_I32) ((int32_t *)to)[i] = (int32_t)element(from, i);
    }
}

static void put_inputs(struct golden *g)
{
    const struct stage_run *first = &g->setup.engine->stage[0];
    const int values[] = {first->input, first->y1, first->y2, first->weight};
    static const char *const names[] = {"x", "y1", "y2", "weight"};
    for (int i = 0; i < 4; i++)
        put(g, find(g, "in", names[i]), &first->program->slot[values[i]].tensor,
            program_address(first->program, values[i]));
}

/* All kept tensors: written from the case's parameters (after 0), or running statistics compared (after 1). */
static void kept_tensors(struct golden *g, int after)
{
    struct engine *engine = g->setup.engine;
    int count = engine_kept(engine, 0, NULL), compared = 0;
    struct kept *kept = calloc((size_t)count + 1, sizeof *kept);
    engine_kept(engine, 0, kept);
    for (int i = 0; i < count; i++) {
        void *host = malloc(tensor_bytes(&kept[i].tensor) + 1);
        if (!after) {
            put(g, find(g, "param", kept[i].name), &kept[i].tensor, host);
            SMALL_OK(engine_write(engine, &kept[i], host));
        } else if (kept[i].role == ROLE_STATE) {
            SMALL_OK(engine_read(engine, &kept[i], host));
            check_tensor(g, "after", kept[i].name, &kept[i].tensor, host);
            compared++;
        }
        free(host);
    }
    free(kept);
    assert_int_equal(after ? compared : count, count_of(g, after ? "after" : "param"));
}

static void open_case(struct golden *g, const char *backend, enum dtype real, enum dtype act)
{
    const char *text = safetensors_metadata(g->file, g->name);
    char set[32];
    json_t *meta;
    SMALL_OK(json_parse(g->name, text, strlen(text), &meta));
    const json_t *sides = json_object_get(meta, "shape");
    struct shape input = {.rank = (int)json_array_size(sides)};
    for (int d = 0; d < input.rank; d++) input.dim[d] = json_integer_value(json_array_get(sides, (size_t)d));
    char *config = json_dumps(json_object_get(meta, "config"), 0);
    snprintf(set, sizeof set, "run.backend=%s", backend);
    SMALL_OK(config_parse(&g->setup.config, config_tables, g->name, config, (const char *const[]){set}, 1));
    free(config);
    SMALL_OK(setup_options(&g->setup));
    SMALL_OK(net_build(&g->setup.net, config_at(config_root(g->setup.config), "net"), &input));
    SMALL_OK(backend_open(backend, 2, &g->setup.backend));
    struct engine_options options = {.config = g->setup.config,
                                     .net = g->setup.net,
                                     .backend = g->setup.backend,
                                     .real = real,
                                     .act = act,
                                     .classes = (int)json_integer_value(json_object_get(meta, "classes")),
                                     .batch = g->setup.run.batch,
                                     .slices = g->setup.run.slices,
                                     .total_steps = 1};
    json_decref(meta);
    SMALL_OK(engine_open(&g->setup.engine, &options));
    SMALL_OK(engine_bind(g->setup.engine));
}

static void check_value(const struct golden *g, const char *part, const char *name, const struct program *program,
                        int value)
{
    check_tensor(g, part, name, &program->slot[value].tensor, program_address(program, value));
}

/* Op by op: the scores' memory may serve another value once nothing in the program reads them any more. */
static void run_head(const struct golden *g, int stage)
{
    struct engine *engine = g->setup.engine;
    const struct program *program = engine->stage[stage].program;
    int compared = 0;
    char name[32];
    snprintf(name, sizeof name, "scores.%d", stage + 1);
    for (int i = 0; i < program->count[SECTION_HEAD]; i++) {
        const struct instr *instr = &program->section[SECTION_HEAD][i];
        SMALL_OK(engine->backend->api->op_run(instr->op, engine->stream, instr->address, program->base[ARENA_WORK]));
        int scores = instr->op->desc.kind == OP_HFF ? 6 : instr->op->desc.kind == OP_CROSS_ENTROPY ? 0 : -1;
        if (scores < 0) continue;
        check_value(g, "out", name, program, instr->arg[scores]);
        compared++;
    }
    assert_int_equal(compared, 1);
}

static int check_gradients(const struct golden *g, int stage)
{
    const struct program *program = g->setup.engine->stage[stage].program;
    const struct graph *graph = &program->graph;
    int compared = 0;
    for (int i = 0; i < graph->values; i++) {
        const struct value *value = &graph->value[i];
        if (value->role != ROLE_PARAM || value->whole || value->grad < 0) continue;
        char name[96];
        snprintf(name, sizeof name, "stage.%d.%s", stage + 1, value->name);
        check_value(g, "grad", name, program, value->grad);
        compared++;
    }
    return compared;
}

static int output_of(const struct graph *graph)
{
    for (int i = 0; i < graph->values; i++)
        if (graph->value[i].role == ROLE_OUTPUT) return i;
    return -1;
}

/* Returns how many gradients were compared. */
static int check_stage(const struct golden *g, int stage)
{
    struct engine *engine = g->setup.engine;
    struct program *program = engine->stage[stage].program;
    struct stage_metrics metrics;
    char name[32];
    SMALL_OK(engine_metrics(engine, stage, 0, 1, &metrics));
    SMALL_OK(program_run(program, SECTION_FORWARD, engine->stream));
    run_head(g, stage);
    SMALL_OK(program_run(program, SECTION_BACKWARD, engine->stream));
    SMALL_OK(engine_metrics(engine, stage, 0, 1, &metrics));
    struct tensor one = tensor_make1(DTYPE_F64, 1);
    snprintf(name, sizeof name, "loss.%d", stage + 1);
    check_tensor(g, "out", name, &one, &metrics.loss);
    int output = output_of(&program->graph);
    assert_int_equal(output >= 0, stage + 1 < engine->stages);
    snprintf(name, sizeof name, "passed.%d", stage + 1);
    if (output >= 0) check_value(g, "out", name, program, output);
    return check_gradients(g, stage);
}

static void check_all(const char *backend, enum dtype real, enum dtype act, double room)
{
    const char *source = getenv("HFF_SOURCE_DIR");
    char path[4096];
    struct safetensors file;
    if (!source) {
        print_message("HFF_SOURCE_DIR is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/tests/golden/stages.safetensors", source);
    SMALL_OK(safetensors_read(&file, path));
    assert_int_equal(file.metadata_count, CASES);
    for (int i = 0; i < CASES; i++) {
        struct golden g = {.file = &file, .name = file.metadata_key[i], .room = room, .bf16 = act == DTYPE_BF16};
        int gradients = 0;
        open_case(&g, backend, real, act);
        kept_tensors(&g, 0);
        put_inputs(&g);
        for (int stage = 0; stage < g.setup.engine->stages; stage++) gradients += check_stage(&g, stage);
        assert_int_equal(gradients, count_of(&g, "grad"));
        kept_tensors(&g, 1);
        setup_close(&g.setup);
    }
    safetensors_free(&file);
}

static void reference(void **state)
{
    (void)state;
    check_all("ref", DTYPE_F64, DTYPE_F64, 1e-9);
}

static void cpu(void **state)
{
    (void)state;
    check_all("cpu", DTYPE_F32, DTYPE_F32, 1e-5);
}

static void cpu_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    check_all("cpu", DTYPE_F32, DTYPE_BF16, 3e-2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference), cmocka_unit_test(cpu), cmocka_unit_test(cpu_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
