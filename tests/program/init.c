/* How parameters start: their distribution, unit and orthonormal prototypes, and what the numbers depend on. */
#include "support/small_net.h"

#include <math.h>

/* cmocka's assert_float_equal compares as float. */
#define assert_near(a, b, tolerance)                                                                                   \
    do {                                                                                                               \
        double a_ = (a), b_ = (b);                                                                                     \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s is %.17g, not %.17g", #a, a_, b_);                           \
    } while (0)

static struct small_net *open_net(const char *text, const char *set, uint64_t seed)
{
    return small_net_open(text, &set, set ? 1 : 0, 1, DTYPE_F32, seed);
}

/* A kept tensor by name as malloc'ed floats. */
static float *tensor_of(struct small_net *net, const char *name, struct tensor *about)
{
    int count = engine_kept(net->setup.engine, 0, NULL);
    struct kept *kept = calloc((size_t)count, sizeof *kept);
    float *out = NULL;
    engine_kept(net->setup.engine, 0, kept);
    for (int i = 0; i < count && !out; i++) {
        if (strcmp(kept[i].name, name) != 0) continue;
        *about = kept[i].tensor;
        out = malloc(tensor_bytes(about));
        SMALL_OK(engine_read(net->setup.engine, &kept[i], out));
    }
    if (!out) fail_msg("no tensor %s", name);
    free(kept);
    return out;
}

/* Mean 0 and deviation sqrt(2 / fan-in), within five standard errors of each; a normal's fourth moment. */
static void check_normal(const float *x, int64_t n, double fan_in)
{
    double sum = 0, square = 0, fourth = 0, deviation = sqrt(2 / fan_in), count = (double)n;
    for (int64_t i = 0; i < n; i++) {
        double z = x[i] / deviation;
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
    }
    assert_true(fabs(sum / count) < 5 / sqrt(count));
    assert_true(fabs(square / count - 1) < 5 * sqrt(2 / count));
    assert_true(fabs(fourth / count - 3) < 5 * sqrt(96 / count));
}

static void weights_are_he_normal(void **state)
{
    (void)state;
    static const char text[] =
        "run: {batch: 4, slices: 1, backend: cpu}\n"
        "net: {stages: [{conv: {channels: 64}}, {conv: {channels: 40, norm: none}}, {linear: {units: 30}}]}\n";
    static const struct {
        const char *name;
        double fan_in; /* inputs of one output */
    } rows[] = {{"stage.1.conv.weight", 1 * 9},
                {"stage.2.conv.weight", 64 * 9},
                {"stage.3.linear.weight", 40 * 12 * 12},
                {"stage.1.head.aux.weight", 64},
                {"stage.2.head.aux.weight", 40}};
    struct small_net *net = open_net(text, NULL, 11);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensor t;
        float *x = tensor_of(net, rows[i].name, &t);
        check_normal(x, tensor_count(&t), rows[i].fan_in);
        free(x);
    }
    small_net_close(net);
}

static void the_rest_has_plain_values(void **state)
{
    (void)state;
    static const char text[] = "run: {batch: 4, slices: 1, backend: cpu}\n"
                               "net: {stages: [{conv: {channels: 6}}, {linear: {units: 7}}]}\n"
                               "objective: {scale: 20, learn_scale: true}\n";
    static const struct {
        const char *name;
        float value;
    } rows[] = {{"stage.1.norm.weight", 1}, {"stage.1.norm.bias", 0},   {"stage.1.norm.mean", 0},
                {"stage.1.norm.var", 1},    {"stage.2.linear.bias", 0}, {"stage.2.head.log_scale", 2.9957323f}};
    struct small_net *net = open_net(text, NULL, 11);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensor t;
        float *x = tensor_of(net, rows[i].name, &t);
        for (int64_t k = 0; k < tensor_count(&t); k++) assert_near(x[k], rows[i].value, 1e-6);
        free(x);
    }
    small_net_close(net);
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* Rows of norm 1; with blocks of width rows (0: none) orthogonal within a block, and not all alike across blocks. */
static void check_prototypes(const char *text, int64_t rows, int64_t width, int blocks)
{
    struct small_net *net = open_net(text, NULL, 5);
    struct tensor t;
    float *p = tensor_of(net, "stage.1.head.prototypes", &t);
    assert_int_equal(t.rank, 3);
    assert_int_equal(t.dim[0] * t.dim[1], rows);
    assert_int_equal(t.dim[2], width);
    double across = 0, pairs = 0;
    for (int64_t r = 0; r < rows; r++) {
        assert_near(dot(p + r * width, p + r * width, width), 1, 1e-5);
        for (int64_t q = 0; q < r; q++) {
            double cosine = dot(p + r * width, p + q * width, width);
            if (blocks && q / width == r / width) {
                assert_near(cosine, 0, 1e-5);
            } else {
                across += cosine * cosine;
                pairs++;
                assert_true(fabs(cosine) < 0.999); /* no two rows alike */
            }
        }
    }
    if (pairs > 50) /* random directions: mean squared cosine 1 / D */
        assert_true(across / pairs * (double)width > 0.5 && across / pairs * (double)width < 2);
    free(p);
    small_net_close(net);
}

#define PROTOTYPES(units, per_class, init)                                                                             \
    "run: {batch: 4, slices: 1, backend: cpu}\n"                                                                       \
    "net: {stages: [{linear: {units: " #units "}}]}\n"                                                                 \
    "objective: {prototypes: {per_class: " #per_class ", init: " #init "}}\n"

static void prototypes_are_unit_rows(void **state)
{
    (void)state;
    check_prototypes(PROTOTYPES(16, 4, random), 20, 16, 0);
    check_prototypes(PROTOTYPES(50, 4, orthogonal), 20, 50, 1); /* one block, not full */
    check_prototypes(PROTOTYPES(20, 4, orthogonal), 20, 20, 1); /* one block, full */
    check_prototypes(PROTOTYPES(8, 4, orthogonal), 20, 8, 1);   /* two blocks and a half */
}

/* One unit: every prototype is +1 or -1. */
static void one_dimension_works(void **state)
{
    (void)state;
    static const char *const both[] = {PROTOTYPES(1, 3, random), PROTOTYPES(1, 3, orthogonal)};
    for (int i = 0; i < 2; i++) {
        struct small_net *net = open_net(both[i], NULL, 5);
        struct tensor t;
        float *p = tensor_of(net, "stage.1.head.prototypes", &t);
        int positive = 0;
        for (int k = 0; k < 15; k++) {
            assert_near(fabsf(p[k]), 1, 1e-6);
            positive += p[k] > 0;
        }
        assert_in_range(positive, 1, 14);
        free(p);
        small_net_close(net);
    }
}

static int equal(struct small_net *a, const char *in_a, struct small_net *b, const char *in_b)
{
    struct tensor s, t;
    float *x = tensor_of(a, in_a, &s), *y = tensor_of(b, in_b, &t);
    int same = tensor_bytes(&s) == tensor_bytes(&t) && memcmp(x, y, tensor_bytes(&s)) == 0;
    free(x);
    free(y);
    return same;
}

/* Numbers follow from seed, stage and name: not from what else there is, nor from threads or slices. */
static void numbers_belong_to_seed_stage_and_name(void **state)
{
    (void)state;
    struct small_net *net = open_net(SMALL_MLP, NULL, 3), *again = open_net(SMALL_MLP, "run.slices=2", 3);
    struct small_net *other = open_net(SMALL_MLP, NULL, 4);
    struct small_net *more = open_net(SMALL_MLP, "net.stages=[{linear: {units: 40}}, {linear: {units: 33}}]", 3);
    struct small_net *twins = open_net(SMALL_MLP, "net.stages=[{linear: {units: 144}, repeat: 2}]", 3);
    static const char *const names[] = {"stage.1.linear.weight", "stage.2.linear.weight", "stage.1.head.prototypes"};
    for (int i = 0; i < 3; i++) {
        assert_true(equal(net, names[i], again, names[i]));
        assert_true(equal(net, names[i], more, names[i]));
        assert_false(equal(net, names[i], other, names[i]));
    }
    assert_false(equal(twins, "stage.1.linear.weight", twins, "stage.2.linear.weight"));
    assert_false(equal(twins, "stage.1.head.prototypes", twins, "stage.2.head.prototypes"));
    small_net_close(net);
    small_net_close(again);
    small_net_close(other);
    small_net_close(more);
    small_net_close(twins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_he_normal),
        cmocka_unit_test(the_rest_has_plain_values),
        cmocka_unit_test(prototypes_are_unit_rows),
        cmocka_unit_test(one_dimension_works),
        cmocka_unit_test(numbers_belong_to_seed_stage_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
