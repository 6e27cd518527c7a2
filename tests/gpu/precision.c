/* Products in tf32 and bf16 beside those in f32, on the same device and data: the op tests ask for f32 alone, and a head's
 * tensor-core fragments that lie elsewhere than its kernels believe would give other numbers altogether. On a GPU; and
 * (HFF_FAKE_DEVICE) on the device that tests/fake plays on the CPU. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>

/* Half a unit in the last place of an operand: 11 and 8 bits. */
static const double rounding[] = {[PRECISION_TF32] = 1.0 / 4096, [PRECISION_BF16] = 1.0 / 512};

static double length(const double *a, const double *b, int64_t n)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (a[i] - (b ? b[i] : 0)) * (a[i] - (b ? b[i] : 0));
    return sqrt(squares);
}

static void run(struct backend *backend, const struct op_case *c, enum precision precision, const struct op_values *in,
                struct op_values *out)
{
    char why[HARNESS_WHY] = "";
    assert_int_equal(backend->api->set_precision(backend, precision), HFF_OK);
    if (!harness_run(backend, c, DTYPE_F32, in, out, why)) fail_msg("%s", why);
}

/* Each result is as far from its f32 form, in length, as rounded operands say: a product by some 0.8 of a rounding, two or
 * three of them in a row by about 2. rounded: by more than nothing, too. */
static void compare(struct harness *h, struct op_desc desc, int rounded)
{
    struct op_case c = {.desc = desc, .device = 1};
    struct op_values in, exact, out;
    char text[1024];
    op_text(&desc, text, sizeof text);
    for (int b = 0; b < h->backends; b++) {
        struct backend *backend = h->tested[b][0];
        if (!backend->api->set_precision) continue;
        values_make(&c, &in);
        run(backend, &c, PRECISION_F32, &in, &exact);
        for (enum precision p = PRECISION_TF32; p <= PRECISION_BF16; p++) {
            run(backend, &c, p, &in, &out);
            for (int a = 0; a < op_table[desc.kind].args; a++) {
                int64_t n = tensor_count(&desc.arg[a]);
                if (!exact.arg[a] || desc.arg[a].dtype != DTYPE_F32 || n < 16) continue;
                double apart = length(out.arg[a], exact.arg[a], n) / length(exact.arg[a], NULL, n);
                if (!(apart <= 4 * rounding[p]) || (rounded && apart < rounding[p] / 20))
                    fail_msg("%s: %s is %.3g roundings away in %s", text, op_table[desc.kind].arg[a].name,
                             apart / rounding[p], p == PRECISION_TF32 ? "tf32" : "bf16");
            }
            values_free(&out);
        }
        values_free(&in);
        values_free(&exact);
        assert_int_equal(backend->api->set_precision(backend, PRECISION_F32), HFF_OK);
    }
}

/* On chip, in three launches, in tiles; widths and rows that are no multiple of a fragment's. */
static void heads(void **state)
{
    static const struct hff_sizes sizes[] = {{24, 10, 4, 64},   {33, 10, 1, 128},  {40, 10, 4, 256},  {17, 7, 3, 45},
                                             {48, 100, 4, 512}, {24, 100, 1, 200}, {40, 600, 2, 264}, {19, 500, 3, 77}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        compare(*state, desc_hff(1, sizes[i], HFF_LOSS_SOFTMAX, 0, 0.1, 1, 0, 0), 1);
        compare(*state, desc_hff_eval(1, sizes[i], HFF_LOSS_SOFTMAX), 1);
    }
}

static void others(void **state)
{
    compare(*state, desc_similarity(1, 48, 96, 10, 0.5), 0);
    compare(*state, desc_linear(OP_LINEAR, 1, 48, 96, 80, 0), 0);
    compare(*state, desc_linear(OP_LINEAR_DATA, 1, 48, 96, 80, 0), 0);
    compare(*state, desc_linear(OP_LINEAR_WEIGHT, 1, 48, 96, 80, 0), 0);
    compare(*state, desc_conv(OP_CONV, 1, 8, 24, 40, 9, 9, 3, 1, 1, 0), 0);
    compare(*state, desc_conv(OP_CONV_DATA, 1, 8, 24, 40, 9, 9, 3, 1, 1, 0), 0);
    compare(*state, desc_conv(OP_CONV_WEIGHT, 1, 8, 24, 40, 9, 9, 3, 1, 1, 0), 0);
}

int main(void)
{
    if (backend_cuda.available() != HFF_OK) {
        print_message("skipped: %s\n", hff_error_message());
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads), cmocka_unit_test(others)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
