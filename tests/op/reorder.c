/* reorder on every backend: between plain and the backend's activation layout, and flattening. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t shapes[][4] = {{1, 1, 1, 1},   {5, 3, 7, 5},    {2, 16, 3, 3},  {3, 17, 5, 2},
                                    {33, 48, 2, 2}, {2, 33, 13, 13}, {12, 129, 1, 1}};

static void both_ways(struct harness *h, struct tensor plain, struct tensor any)
{
    any.layout = LAYOUT_ANY; /* here: the layout in which the backend wants activations */
    harness_check(h, &(struct op_case){.desc = {.kind = OP_REORDER, .slices = 1, .arg = {plain, any}}});
    harness_check(h, &(struct op_case){.desc = {.kind = OP_REORDER, .slices = 1, .arg = {any, plain}}});
    harness_check(h, &(struct op_case){.desc = {.kind = OP_REORDER, .slices = 1, .arg = {plain, plain}}});
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reorder)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
