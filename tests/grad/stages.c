/* Gradients of whole stages (body, head, loss) against central differences of the loss, in double on the reference
 * backend. */
#include "support/small_net.h"

#include <math.h>

enum { STEPS_PER_TENSOR = 12 };

/* Loss of one stage for the batch in place, from its metrics. */
static double loss_of(struct engine *engine, int stage)
{
    struct stage_metrics metrics;
    SMALL_OK(engine_metrics(engine, stage, 0, 1, &metrics));
    SMALL_OK(program_run(engine->stage[stage].program, SECTION_FORWARD, engine->stream));
    SMALL_OK(program_run(engine->stage[stage].program, SECTION_HEAD, engine->stream));
    SMALL_OK(engine_metrics(engine, stage, 0, 1, &metrics));
    return metrics.loss;
}

/* Element i of a parameter moved by delta; prototype rows are put back on the sphere. */
static void move(const struct program *program, int value, const double *original, int64_t i, double delta)
{
    const struct value *v = &program->graph.value[value];
    double *p = program_address(program, value);
    int64_t count = tensor_count(&v->tensor), width = v->tensor.dim[v->tensor.rank - 1];
    memcpy(p, original, (size_t)count * sizeof *p);
    p[i] += delta;
    if (v->group != GROUP_PROTOTYPES) return;
    double square = 0, *row = p + i / width * width;
    for (int64_t k = 0; k < width; k++) square += row[k] * row[k];
    for (int64_t k = 0; k < width; k++) row[k] /= sqrt(square);
}

static void check_parameter(struct engine *engine, int stage, int value, double scale)
{
    struct program *program = engine->stage[stage].program;
    const struct value *v = &program->graph.value[value];
    int64_t count = tensor_count(&v->tensor);
    double *original = malloc((size_t)count * sizeof *original), *grad = malloc((size_t)count * sizeof *grad);
    loss_of(engine, stage);
    SMALL_OK(program_run(program, SECTION_BACKWARD, engine->stream));
    memcpy(original, program_address(program, value), (size_t)count * sizeof *original);
    memcpy(grad, program_address(program, v->grad), (size_t)count * sizeof *grad);
    for (int k = 0; k < STEPS_PER_TENSOR; k++) {
        int64_t i = (int64_t)k * 7919 % count;
        double slope = 0, off = 1;
        for (double h = 1e-5; h > 1e-8 && off > 0; h /= 100) { /* a shorter step where one meets the kink of relu */
            move(program, value, original, i, h);
            double up = loss_of(engine, stage);
            move(program, value, original, i, -h);
            slope = (up - loss_of(engine, stage)) / (2 * h);
            off = fabs(slope - grad[i]) - 1e-6 * scale - 1e-5 * fabs(slope);
        }
        if (!(off <= 0))
            fail_msg("stage %d, %s[%lld]: gradient %.10g, difference quotient %.10g", stage + 1, v->name, (long long)i,
                     grad[i], slope);
    }
    move(program, value, original, 0, 0);
    memcpy(program_address(program, value), original, (size_t)count * sizeof *original);
    free(original);
    free(grad);
}

static void check_net(const char *text, const char *set)
{
    const char *sets[] = {"run.backend=ref", "run.batch=6", "run.slices=2", set};
    struct small_net *net = small_net_open(text, sets, set ? 4 : 3, 1, DTYPE_F64, 5);
    struct engine *engine = net->setup.engine;
    small_net_train(net, 1); /* puts labels in place and moves parameters off their special start */
    double *input = program_address(engine->stage[0].program, engine->stage[0].input);
    for (int64_t i = 0; i < engine->batch * net->sample; i++) input[i] = net->batch.images[i];
    for (int stage = 0; stage < engine->stages; stage++) {
        const struct graph *graph = &engine->stage[stage].program->graph;
        int checked = 0;
        for (int i = 0; i < graph->values; i++)
            if (graph->value[i].role == ROLE_PARAM && !graph->value[i].whole && graph->value[i].grad >= 0) {
                check_parameter(engine, stage, i, 1);
                checked++;
            }
        assert_true(checked >= 2);
        /* the next stage reads what this one passes on for the same batch */
        SMALL_OK(program_run(engine->stage[stage].program, SECTION_FORWARD, engine->stream));
    }
    small_net_close(net);
}

static void mlp(void **state)
{
    (void)state;
    check_net(SMALL_MLP, NULL);
    check_net(SMALL_MLP, "objective={margin: 0.2, smoothing: 0.1, learn_scale: true}");
    check_net(SMALL_MLP, "objective={loss: pairwise, margin: 0.1, prototypes: {per_class: 3}}");
}

static void cnn(void **state)
{
    (void)state;
    check_net(SMALL_CNN, NULL);
    check_net(SMALL_CNN, "objective={head: {pool: 5, aux: 7, aux_kernel: 3, grid: 3}, learn_scale: true, margin: 0.1}");
    check_net(SMALL_CNN, "objective={head: {aux: 0, grid: 2}, loss: pairwise, learn_scale: true}");
}

static void ff_mlp(void **state)
{
    (void)state;
    check_net(SMALL_FF, NULL);
    check_net(SMALL_FF, "objective.ff={overlay: plane, loss: symba, alpha: 0.2}");
    check_net(SMALL_FF, "objective.ff={overlay: planes, goodness: mean, theta: 0.5}");
}

static void ff_cnn(void **state)
{
    (void)state;
    check_net(SMALL_FF_CNN, NULL);
    check_net(SMALL_FF_CNN, "objective.ff={overlay: pixels, goodness: sum, theta: 100, loss: symba, alpha: 0.01}");
}

/* The one-pass read-out learns from what the preview held; its loss is what an evaluation by it says of the batch. */
static double readout_loss(struct engine *engine, const struct batch *batch, int stage)
{
    struct stage_metrics metrics;
    SMALL_OK(engine_metrics(engine, stage, 1, 1, &metrics));
    SMALL_OK(engine_evaluate(engine, batch, NULL));
    SMALL_OK(engine_metrics(engine, stage, 1, 1, &metrics));
    return metrics.loss;
}

static void check_readout(struct small_net *net, int stage, const char *name)
{
    struct engine *engine = net->setup.engine;
    struct program *program = engine->stage[stage].program;
    int value = graph_find(&program->graph, name);
    assert_true(value >= 0);
    double *p = program_address(program, value), grad[STEPS_PER_TENSOR], h = 1e-5, nonzero = 0;
    int64_t count = tensor_count(&program->graph.value[value].tensor), at[STEPS_PER_TENSOR];
    for (int s = 0; s <= stage; s++) SMALL_OK(program_run(engine->stage[s].program, SECTION_PREVIEW, engine->stream));
    SMALL_OK(program_run(program, SECTION_HEAD, engine->stream));
    for (int k = 0; k < STEPS_PER_TENSOR; k++) {
        at[k] = (int64_t)k * 7919 % count;
        grad[k] = ((double *)program_address(program, program->graph.value[value].grad))[at[k]];
        nonzero += grad[k] != 0;
    }
    assert_true(nonzero > 0);
    for (int k = 0; k < STEPS_PER_TENSOR; k++) {
        double original = p[at[k]];
        p[at[k]] = original + h;
        double up = readout_loss(engine, &net->batch, stage);
        p[at[k]] = original - h;
        double slope = (up - readout_loss(engine, &net->batch, stage)) / (2 * h);
        p[at[k]] = original;
        if (fabs(slope - grad[k]) > 1e-8 + 1e-5 * fabs(slope))
            fail_msg("stage %d, %s[%lld]: gradient %.10g, difference quotient %.10g", stage + 1, name, (long long)at[k],
                     grad[k], slope);
    }
}

static void ff_readout(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_FF, SMALL_FF_CNN};
    const char *sets[] = {"run.backend=ref", "run.batch=6", "run.slices=2", "objective.ff.predict=readout"};
    for (int t = 0; t < 2; t++) {
        struct small_net *net = small_net_open(texts[t], sets, 4, 1, DTYPE_F64, 5);
        small_net_train(net, 2);
        for (int i = 0; i < net->batch.size; i++) net->batch.weight[i] = 1; /* to be counted once in an evaluation */
        SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, NULL));
        for (int stage = 0; stage < 3; stage++) {
            check_readout(net, stage, "head.readout.weight");
            check_readout(net, stage, "head.readout.bias");
        }
        small_net_close(net);
    }
}

static void rivals(void **state)
{
    (void)state;
    static const char *const heads[] = {"objective.kind=softmax", "objective.kind=cwc",
                                        "objective={kind: cwc, smoothing: 0.1}",
                                        "objective={kind: softmax, smoothing: 0.1, sim: {beta: 0.6}}",
                                        "objective={kind: hff, learn_scale: true, margin: 0.1, sim: {beta: 0.6}}"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) check_net(SMALL_FIVES, heads[i]);
    check_net(SMALL_MLP, heads[0]);
    check_net(SMALL_MLP, heads[3]);
}

static void residual(void **state)
{
    (void)state;
    check_net(SMALL_RESIDUAL, NULL);
    check_net(SMALL_RESIDUAL, "objective.kind=softmax");
}

static void joined(void **state)
{
    (void)state;
    static const char *const partitions[] = {"net.partition=block", "net.partition=whole",
                                             "net={partition: whole, between: l2}"};
    for (int i = 0; i < 3; i++) {
        check_net(SMALL_MLP, partitions[i]);
        check_net(SMALL_CNN, partitions[i]);
        check_net(SMALL_RESIDUAL, partitions[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp),    cmocka_unit_test(cnn),    cmocka_unit_test(rivals), cmocka_unit_test(residual),
        cmocka_unit_test(joined), cmocka_unit_test(ff_mlp), cmocka_unit_test(ff_cnn), cmocka_unit_test(ff_readout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
