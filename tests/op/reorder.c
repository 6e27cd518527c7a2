/* reorder and reorders on every backend: between plain and the backend's activation layout, flattening, and between f32 and bf16. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t shapes[][4] = {{1, 1, 1, 1},   {5, 3, 7, 5},    {2, 16, 3, 3},  {3, 17, 5, 2},
                                    {33, 48, 2, 2}, {2, 33, 13, 13}, {12, 129, 1, 1}};

static void both_ways(struct harness *h, struct tensor plain, struct tensor any)
{
    static const enum dtype types[][2] = {
        {DTYPE_F32, DTYPE_F32}, {DTYPE_F32, DTYPE_BF16}, {DTYPE_BF16, DTYPE_F32}, {DTYPE_BF16, DTYPE_BF16}};
    any.layout = LAYOUT_ANY; /* here: the layout in which the backend wants activations */
    const struct tensor ways[][2] = {{plain, any}, {any, plain}, {plain, plain}};
    for (int t = 0; t < 4; t++)
        for (int w = 0; w < 3; w++) {
            struct op_case c = {.desc = {.kind = OP_REORDER, .slices = 1, .arg = {ways[w][0], ways[w][1]}}};
            for (int a = 0; a < 2; a++) c.desc.arg[a].dtype = types[t][a];
            harness_check(h, &c);
        }
}

static void reorder(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int64_t *s = shapes[i];
        struct tensor t = f32_4(s[0], s[1], s[2], s[3]);
        both_ways(*state, t, t);
        both_ways(*state, f32_2(s[0], s[1] * s[2] * s[3]), t);
    }
    harness_finish(*state);
}

/* Two to six of them: to, from and within layouts and types, those of different sizes side by side. */
static void reorders(void **state)
{
    enum { SHAPES = sizeof shapes / sizeof shapes[0] };
    for (int pairs = 2; pairs <= REORDERS; pairs++)
        for (int first = 0; first < SHAPES; first++) {
            struct op_case c = {.desc = {.kind = OP_REORDERS, .slices = 1}};
            for (int i = 0; i < pairs; i++) {
                const int64_t *s = shapes[(first + i) % SHAPES];
                struct tensor *src = &c.desc.arg[2 * i], *dst = src + 1;
                *src = *dst = f32_4(s[0], s[1], s[2], s[3]);
                if (i % 3 == 0) dst->layout = LAYOUT_ANY;
                if (i % 3 == 1) src->layout = LAYOUT_ANY;
                if ((i + first) % 2) dst->dtype = DTYPE_BF16;
                if ((i + first) % 4 > 1) src->dtype = DTYPE_BF16;
            }
            harness_check(*state, &c);
        }
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reorder), cmocka_unit_test(reorders)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
