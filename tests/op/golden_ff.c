/* FF's losses against golden vectors that automatic differentiation made in double (tests/golden/make_ff.py): the
 * reference in double within 1e-10, every backend in f32 within 1e-5 of the largest element. */
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

static struct safetensors file;

static void read_values(const char *name, const char *part, double *out, int64_t n)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, part);
    const struct safetensor *t = safetensors_find(&file, key);
    if (!t) fail_msg("no tensor %s", key);
    assert_int_equal(t->bytes, sizeof(double) * (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t whole;
        memcpy(&whole, (const char *)t->data + sizeof whole * (size_t)i, sizeof whole);
        if (t->dtype == DTYPE_I64)
            out[i] = (double)whole;
        else
            memcpy(&out[i], &whole, sizeof whole);
    }
}

static void expect(const char *name, const char *part, const double *have, int64_t n, double room)
{
    double *want = malloc(sizeof(double) * (size_t)n), largest = 0;
    read_values(name, part, want, n);
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(have[i] - want[i]) <= room * largest))
            fail_msg("%s.%s[%lld] is %.15g, should be %.15g", name, part, (long long)i, have[i], want[i]);
    free(want);
}

static double number(const json_t *meta, const char *key)
{
    const json_t *value = json_object_get(meta, key);
    return json_is_true(value) ? 1 : json_number_value(value);
}

static struct op_desc goodness_desc(const json_t *meta)
{
    struct op_desc d = desc_make(OP_GOODNESS, 1);
    d.arg[0] = d.arg[1] = f32_2(2 * (int64_t)number(meta, "B"), (int64_t)number(meta, "D"));
    d.arg[2] = tensor_make1(DTYPE_F64, METRICS);
    d.attr.goodness.mean = number(meta, "mean") > 0;
    d.attr.goodness.theta = number(meta, "theta");
    d.attr.goodness.alpha = number(meta, "alpha");
    d.attr.goodness.global_batch = (int64_t)number(meta, "B");
    return d;
}

static struct op_desc readout_desc(const json_t *meta)
{
    struct op_desc d = desc_make(OP_READOUT, 1);
    int64_t batch = (int64_t)number(meta, "B");
    d.arg[0] = d.arg[3] = d.arg[4] = f32_2(batch, (int64_t)number(meta, "C"));
    d.arg[1] = tensor_make1(DTYPE_I32, batch);
    d.arg[2] = f32_1(batch);
    d.arg[5] = tensor_make1(DTYPE_F64, METRICS);
    d.attr.readout.first = 1;
    d.attr.readout.global_batch = batch;
    return d;
}

static void check(struct backend *backend, enum dtype real, const char *name, const json_t *meta, double room)
{
    int readout = strncmp(name, "readout", 7) == 0, metrics = readout ? 5 : 2;
    struct op_case c = {.desc = readout ? readout_desc(meta) : goodness_desc(meta)};
    const struct tensor *t = c.desc.arg;
    struct op_values in, out;
    char why[HARNESS_WHY] = "";
    values_make(&c, &in);
    read_values(name, readout ? "logits" : "h", in.arg[0], tensor_count(&t[0]));
    if (readout) read_values(name, "y", in.arg[1], tensor_count(&t[1]));
    memset(in.arg[metrics], 0, sizeof(double[METRICS]));
    if (!harness_run(backend, &c, real, &in, &out, why)) fail_msg("%s", why);
    double loss = out.arg[metrics][METRIC_LOSS] / number(meta, "B");
    expect(name, "loss", &loss, 1, room);
    if (readout) {
        expect(name, "log_p", out.arg[3], tensor_count(&t[3]), room);
        expect(name, "dlogits", out.arg[4], tensor_count(&t[4]), room);
    } else {
        expect(name, "dh", out.arg[1], tensor_count(&t[1]), room);
    }
    values_free(&in);
    values_free(&out);
}

static int check_all(struct harness *h, const char *kind)
{
    int cases = 0;
    for (;; cases++) {
        char name[32];
        snprintf(name, sizeof name, "%s%02d", kind, cases);
        const char *text = safetensors_metadata(&file, name);
        json_t *meta = NULL;
        if (!text) return cases;
        assert_int_equal(json_parse(name, text, strlen(text), &meta), HFF_OK);
        check(h->ref, DTYPE_F64, name, meta, 1e-10);
        for (int b = 0; b < h->backends; b++) check(h->tested[b][1], DTYPE_F32, name, meta, 1e-5);
        json_decref(meta);
    }
}

static void golden(void **state)
{
    char path[4096];
    const char *source = getenv("HFF_SOURCE_DIR");
    if (!source) {
        print_message("HFF_SOURCE_DIR is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/tests/golden/ff.safetensors", source);
    if (safetensors_read(&file, path) != HFF_OK) fail_msg("%s", hff_error_message());
    int goodness = check_all(*state, "goodness"), readout = check_all(*state, "readout");
    safetensors_free(&file);
    assert_int_equal(goodness, 12);
    assert_int_equal(readout, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
