/* The HFF head against golden vectors that automatic differentiation made in double (tests/golden/make_head.py): the
 * reference in double within 1e-10, every backend in f32 within 1e-5 of the largest element. PyTorch's softplus(v) is v
 * above 20, which leaves exp(-20) = 2e-9 out: for the pairwise loss the bound is 1e-8. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/json.h"
#include "train/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct safetensor *find(const struct safetensors *file, const char *name, const char *part)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, part);
    const struct safetensor *t = safetensors_find(file, key);
    if (!t) fail_msg("no tensor %s", key);
    return t;
}

/* An f64 or i64 tensor as an op's values. */
static void read_values(const struct safetensors *file, const char *name, const char *part, double *out, int64_t n)
{
    const struct safetensor *t = find(file, name, part);
    assert_int_equal(t->bytes, sizeof(double) * (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t whole;
        memcpy(t->dtype == DTYPE_I64 ? (void *)&whole : (void *)&out[i],
               (const char *)t->data + sizeof(double) * (size_t)i, sizeof whole);
        if (t->dtype == DTYPE_I64) out[i] = (double)whole;
    }
}

static double number(const json_t *meta, const char *key)
{
    const json_t *value = json_object_get(meta, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static struct op_case read_case(const struct safetensors *file, const char *name)
{
    const char *text = safetensors_metadata(file, name);
    json_t *meta = NULL;
    assert_non_null(text);
    assert_int_equal(json_parse(name, text, strlen(text), &meta), HFF_OK);
    struct hff_sizes size = {(int64_t)number(meta, "B"), (int64_t)number(meta, "C"), (int64_t)number(meta, "K"),
                             (int64_t)number(meta, "D")};
    int softmax = strcmp(json_string_value(json_object_get(meta, "loss")), "softmax") == 0;
    struct op_case c = {.desc = desc_hff(1, size, softmax ? HFF_LOSS_SOFTMAX : HFF_LOSS_PAIRWISE,
                                         number(meta, "margin"), number(meta, "smoothing"), 1, 1, 0),
                        .scale = number(meta, "scale")};
    json_decref(meta);
    return c;
}

static void expect(const struct safetensors *file, const char *name, const char *part, const double *have, int64_t n,
                   double room)
{
    double *want = malloc(sizeof(double) * (size_t)n), largest = 0;
    read_values(file, name, part, want, n);
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(have[i] - want[i]) <= room * (largest > 1e-6 ? largest : 1)))
            fail_msg("%s.%s[%lld] is %.15g, should be %.15g", name, part, (long long)i, have[i], want[i]);
    free(want);
}

static struct op_values run(struct backend *backend, const struct op_case *c, enum dtype real,
                            const struct op_values *in)
{
    struct op_values out;
    char why[HARNESS_WHY] = "";
    if (!harness_run(backend, c, real, in, &out, why)) fail_msg("%s", why);
    return out;
}

/* The op's weights are f32, those of the golden vectors are not: results are smooth in the weights, so to first order
 * out(w) = out(low) + sum over samples of theta (out(low, this one high) - out(low)), low and high the f32 beside w.
 * What is left is of second order, 1e-15. */
static struct op_values run_between(struct backend *backend, const struct op_case *c, enum dtype real,
                                    struct op_values *in)
{
    int64_t batch = c->desc.arg[0].dim[0];
    double *weight = in->arg[5], *exact = malloc(sizeof(double) * (size_t)batch);
    memcpy(exact, weight, sizeof(double) * (size_t)batch);
    for (int64_t b = 0; b < batch; b++)
        if ((double)(float)weight[b] > weight[b])
            weight[b] = (double)nextafterf((float)weight[b], 0);
        else
            weight[b] = (double)(float)weight[b];
    struct op_values low = run(backend, c, real, in), sum = run(backend, c, real, in);
    for (int64_t b = 0; b < batch; b++) {
        double before = weight[b], high = (double)nextafterf((float)before, 2),
               theta = (exact[b] - before) / (high - before);
        if (theta == 0) continue;
        weight[b] = high;
        struct op_values out = run(backend, c, real, in);
        weight[b] = before;
        for (int a = 6; a < OP_ARGS; a++)
            for (int64_t i = 0; out.arg[a] && i < tensor_count(&c->desc.arg[a]); i++)
                sum.arg[a][i] += theta * (out.arg[a][i] - low.arg[a][i]);
        values_free(&out);
    }
    values_free(&low);
    free(exact);
    return sum;
}

static void check_case(struct backend *backend, enum dtype real, const struct safetensors *file, const char *name,
                       double room)
{
    static const char *const parts[] = {"e", "p", NULL, "y1", "y2", "w"};
    struct op_case c = read_case(file, name);
    const struct tensor *t = c.desc.arg;
    struct op_values in;
    values_make(&c, &in);
    in.arg[2][0] = log(c.scale);
    for (int a = 0; a < 6; a++)
        if (parts[a]) read_values(file, name, parts[a], in.arg[a], tensor_count(&t[a]));
    memset(in.arg[10], 0, sizeof(double[METRICS]));
    struct op_values out = real == DTYPE_F64 ? run_between(backend, &c, real, &in) : run(backend, &c, real, &in);
    double loss = out.arg[10][METRIC_LOSS] / (double)t[0].dim[0];
    expect(file, name, "scores", out.arg[6], tensor_count(&t[6]), room);
    expect(file, name, "de", out.arg[7], tensor_count(&t[7]), room);
    expect(file, name, "dp", out.arg[8], tensor_count(&t[8]), room);
    expect(file, name, "dlog_scale", out.arg[9], 1, room);
    expect(file, name, "loss", &loss, 1, room);
    values_free(&in);
    values_free(&out);
}

static void golden(void **state)
{
    struct harness *h = *state;
    struct safetensors file;
    char path[4096];
    const char *source = getenv("HFF_SOURCE_DIR");
    if (!source) {
        print_message("HFF_SOURCE_DIR is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/tests/golden/head.safetensors", source);
    if (safetensors_read(&file, path) != HFF_OK) fail_msg("%s", hff_error_message());
    int cases = 0;
    for (; cases < file.metadata_count; cases++) {
        char name[32];
        snprintf(name, sizeof name, "case%02d", cases);
        if (!safetensors_metadata(&file, name)) break;
        check_case(h->ref, DTYPE_F64, &file, name,
                   read_case(&file, name).desc.attr.hff.loss == HFF_LOSS_SOFTMAX ? 1e-10 : 1e-8);
        for (int b = 0; b < h->backends; b++) check_case(h->tested[b][1], DTYPE_F32, &file, name, 1e-5);
    }
    safetensors_free(&file);
    assert_int_equal(cases, 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
