/* grad_norm, adamw, sgd, retract, clamp on every backend, against the reference; the latch. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static const int64_t counts[] = {1, 2, 13, 33, 129, 4097, 100003};

enum { COUNTS = sizeof counts / sizeof counts[0] };

/* A part, or, with 40 elements or more, three: between them and behind the last lie some that stay. */
static struct update_parts parts_of(int64_t n, double lr_factor, double decay)
{
    struct update_parts parts = {1, {{0, n, lr_factor, decay}}};
    if (n < 40) return parts;
    int64_t third = n / 3;
    parts.count = 3;
    parts.part[0] = (struct update_part){0, third - 2, lr_factor, decay};
    parts.part[1] = (struct update_part){third, 1, 1, 0};
    parts.part[2] = (struct update_part){third + 5, n - third - 6, 2 * lr_factor, decay / 2};
    return parts;
}

/* All arguments of size n but hyper and norm. */
static struct op_desc desc_update(enum op_kind kind, int64_t n)
{
    struct op_desc d = desc_make(kind, 1);
    for (int a = 0; a < op_table[kind].args; a++) {
        const char *name = op_table[kind].arg[a].name;
        d.arg[a] = strcmp(name, "hyper") == 0  ? tensor_make1(DTYPE_F64, HYPERS)
                   : strcmp(name, "norm") == 0 ? tensor_make1(DTYPE_F64, NORMS)
                                               : f32_1(n);
    }
    return d;
}

/* Once as it is, once latched. */
static void check_both(struct harness *h, struct op_desc desc)
{
    harness_check(h, &(struct op_case){.desc = desc});
    harness_check(h, &(struct op_case){.desc = desc, .data = DATA_LATCHED});
}

static void adamw(void **state)
{
    for (int i = 0; i < COUNTS; i++)
        for (int decay = 0; decay < 2; decay++) {
            struct op_desc d = desc_update(OP_ADAMW, counts[i]);
            d.attr.adamw.parts = parts_of(counts[i], decay ? 0.5 : 1, decay * 0.1);
            d.attr.adamw.beta1 = 0.9;
            d.attr.adamw.beta2 = 0.999;
            d.attr.adamw.eps = 1e-8;
            check_both(*state, d);
        }
    harness_finish(*state);
}

static void sgd(void **state)
{
    for (int i = 0; i < COUNTS; i++)
        for (int kind = 0; kind < 3; kind++) { /* without momentum, with, Nesterov's */
            struct op_desc d = desc_update(OP_SGD, counts[i]);
            d.attr.sgd.parts = parts_of(counts[i], 1.5, 0.1);
            d.attr.sgd.momentum = kind > 0 ? 0.9 : 0;
            d.attr.sgd.nesterov = kind == 2;
            if (kind == 0) d.arg[2] = (struct tensor){0};
            check_both(*state, d);
        }
    harness_finish(*state);
}

static void retract(void **state)
{
    static const struct hff_sizes sizes[] = {
        {0, 1, 1, 1}, {0, 2, 3, 7}, {0, 10, 1, 129}, {0, 100, 2, 33}, {0, 3, 1, 1000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct op_desc d = desc_update(OP_RETRACT, 1);
        d.arg[0] = f32_3(sizes[i].classes, sizes[i].per_class, sizes[i].width);
        check_both(*state, d);
        d.arg[0] = f32_2(sizes[i].classes * sizes[i].per_class, sizes[i].width);
        check_both(*state, d);
    }
    harness_finish(*state);
}

static void clamp(void **state)
{
    for (int i = 0; i < COUNTS; i++) {
        struct op_desc d = desc_update(OP_CLAMP, counts[i]);
        d.attr.clamp.lo = -0.25;
        d.attr.clamp.hi = 0.5;
        check_both(*state, d);
    }
    harness_finish(*state);
}

/* Groups of different sizes; those whose bit is not set are absent. */
static struct op_desc desc_norms(int groups, double clip)
{
    static const int64_t sizes[GRAD_GROUPS] = {100003, 33, 129, 1, 4097, 1};
    struct op_desc d = desc_update(OP_GRAD_NORM, 1);
    for (int g = 0; g < GRAD_GROUPS; g++) d.arg[g] = groups >> g & 1 ? f32_1(sizes[g]) : (struct tensor){0};
    d.attr.grad_norm.clip = clip;
    return d;
}

static void grad_norm(void **state)
{
    static const int groups[] = {0x3f, 0x01, 0x05, 0x2a, 0x14, 0x3e};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        for (int clip = 0; clip < 3; clip++) /* none, one that bites, one that does not */
            harness_check(*state, &(struct op_case){.desc = desc_norms(groups[i], (double[]){0, 0.5, 1e6}[clip])});
    harness_finish(*state);
}

/* Runs c on every backend, in f32, and calls look with the norm that came out. */
static void for_each_norm(struct harness *h, const struct op_case *c, void (*look)(const double *norm))
{
    for (int b = 0; b < h->backends; b++) {
        struct op_values in, out;
        char why[HARNESS_WHY] = "";
        values_make(c, &in);
        if (!harness_run(h->tested[b][1], c, DTYPE_F32, &in, &out, why)) fail_msg("%s", why);
        look(out.arg[GRAD_GROUPS + 1]);
        values_free(&in);
        values_free(&out);
    }
}

static void expect_step(const double *norm)
{
    assert_false(isfinite(norm[NORM_BODY]));
    assert_true(isfinite(norm[NORM_HEAD]));
    assert_true(norm[NORM_FACTOR] == 1);
    assert_true(norm[NORM_LATCH] == 17); /* HYPER_STEP of the inputs */
}

static void expect_first(const double *norm)
{
    assert_true(norm[NORM_LATCH] == 5); /* the step at which it was latched */
}

static void expect_none(const double *norm)
{
    assert_true(norm[NORM_LATCH] == 0);
    assert_true(norm[NORM_FACTOR] < 1 && norm[NORM_FACTOR] > 0);
}

static void latch(void **state)
{
    struct op_desc d = desc_norms(0x3f, 0.5);
    for_each_norm(*state, &(struct op_case){.desc = d, .data = DATA_NOT_FINITE}, expect_step);
    for_each_norm(*state, &(struct op_case){.desc = d, .data = DATA_NOT_FINITE | DATA_LATCHED}, expect_first);
    for_each_norm(*state, &(struct op_case){.desc = d, .data = DATA_LATCHED}, expect_first);
    for_each_norm(*state, &(struct op_case){.desc = d}, expect_none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(adamw), cmocka_unit_test(sgd),       cmocka_unit_test(retract),
                                       cmocka_unit_test(clamp), cmocka_unit_test(grad_norm), cmocka_unit_test(latch)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
