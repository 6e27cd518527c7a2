/* norm, norm_eval, norm_back, the three with pooling, act, act_back, add, unit, unit_back on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int slices, rank;
    int64_t dim[4];
} shapes[] = {
    {1, 2, {5, 1}},           {4, 2, {8, 3}},          {3, 2, {33, 17}},      {4, 2, {100, 129}},
    {1, 2, {7, 33}},          {1, 4, {1, 1, 3, 5}},    {2, 4, {2, 3, 7, 7}},  {4, 4, {12, 5, 3, 3}},
    {4, 4, {4, 16, 13, 13}},  {6, 4, {6, 17, 5, 7}},   {3, 4, {9, 32, 2, 2}}, {1, 4, {5, 48, 1, 1}},
    {4, 4, {20, 48, 17, 17}}, {2, 4, {2, 1, 33, 129}},
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_norm(struct harness *h, enum op_kind kind, int data)
{
    for (int i = 0; i < SHAPES; i++)
        for (int act = 0; act < ACT_COUNT; act++)
            harness_check(h, &(struct op_case){.desc = desc_norm(kind, shapes[i].slices,
                                                                 tensor_plain(DTYPE_F32, shapes[i].rank, shapes[i].dim),
                                                                 (enum act)act),
                                               .data = data});
}

/* args tensors of one shape. */
static void check_plain(struct harness *h, enum op_kind kind, int act, int data)
{
    for (int i = 0; i < SHAPES; i++) {
        struct op_case c = {.desc = desc_make(kind, shapes[i].slices), .data = data};
        for (int a = 0; a < op_table[kind].args; a++)
            c.desc.arg[a] = tensor_plain(DTYPE_F32, shapes[i].rank, shapes[i].dim);
        if (act >= 0) c.desc.attr.act.act = (enum act)act;
        harness_check(h, &c);
    }
}

static void norm(void **state)
{
    check_norm(*state, OP_NORM, 0);
    harness_finish(*state);
}

/* The same without running statistics. */
static void norm_alone(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        struct tensor x = tensor_plain(DTYPE_F32, shapes[i].rank, shapes[i].dim);
        struct op_case c = {.desc = desc_norm(OP_NORM, shapes[i].slices, x, ACT_RELU)};
        c.desc.arg[5] = c.desc.arg[6] = (struct tensor){0};
        harness_check(*state, &c);
    }
    harness_finish(*state);
}

static void norm_eval(void **state)
{
    check_norm(*state, OP_NORM_EVAL, 0);
    harness_finish(*state);
}

static void norm_back(void **state)
{
    check_norm(*state, OP_NORM_BACK, 0);
    check_norm(*state, OP_NORM_BACK, DATA_IN_PLACE);
    harness_finish(*state);
}

/* Odd sizes, windows that overlap and that leave edges out. */
static const struct {
    int slices;
    int64_t dim[4];
    int kernel, stride;
} pooled[] = {
    {1, {5, 3, 7, 5}, 2, 2},    {2, {2, 16, 13, 13}, 3, 2}, {4, {4, 17, 5, 9}, 2, 1},
    {3, {3, 48, 8, 8}, 2, 2},   {2, {4, 33, 4, 3}, 3, 1},   {1, {3, 9, 6, 4}, 1, 1},
    {1, {1, 32, 33, 17}, 3, 2}, {2, {6, 5, 8, 9}, 2, 3},    {1, {3, 20, 11, 11}, 5, 3},
};

static void check_norm_pool(struct harness *h, enum op_kind kind, int runs)
{
    for (size_t i = 0; i < sizeof pooled / sizeof pooled[0]; i++)
        for (int k = 0; k < 2 * ACT_COUNT; k++)
            for (int index = 0; index < 2; index++) {
                struct pool_window window = {k % 2 ? POOL_AVERAGE : POOL_MAX, pooled[i].kernel, pooled[i].stride};
                if (window.kind == POOL_AVERAGE ? index : kind == OP_NORM_POOL_BACK && !index) continue;
                struct op_case c = {.desc = desc_norm_pool(kind, pooled[i].slices,
                                                           tensor_plain(DTYPE_F32, 4, pooled[i].dim), (enum act)(k / 2),
                                                           window, index)};
                if (!runs) c.desc.arg[5] = c.desc.arg[6] = (struct tensor){0};
                harness_check(h, &c);
            }
}

static void norm_pool(void **state)
{
    check_norm_pool(*state, OP_NORM_POOL, 1);
    check_norm_pool(*state, OP_NORM_POOL, 0);
    harness_finish(*state);
}

static void norm_pool_eval(void **state)
{
    check_norm_pool(*state, OP_NORM_POOL_EVAL, 1);
    harness_finish(*state);
}

static void norm_pool_back(void **state)
{
    check_norm_pool(*state, OP_NORM_POOL_BACK, 1);
    harness_finish(*state);
}

static void act(void **state)
{
    for (int act = 0; act < ACT_COUNT; act++)
        for (int in_place = 0; in_place < 2; in_place++) {
            check_plain(*state, OP_ACT, act, in_place * DATA_IN_PLACE);
            check_plain(*state, OP_ACT_BACK, act, in_place * DATA_IN_PLACE);
        }
    harness_finish(*state);
}

static void unit(void **state)
{
    check_plain(*state, OP_UNIT, -1, 0);
    harness_finish(*state);
}

static void unit_back(void **state)
{
    check_plain(*state, OP_UNIT_BACK, -1, DATA_MAY_BE_ZERO); /* a single element passes nothing back */
    check_plain(*state, OP_UNIT_BACK, -1, DATA_MAY_BE_ZERO | DATA_IN_PLACE);
    harness_finish(*state);
}

static void add(void **state)
{
    check_plain(*state, OP_ADD, -1, 0);
    check_plain(*state, OP_ADD, -1, DATA_IN_PLACE);
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm),           cmocka_unit_test(norm_alone), cmocka_unit_test(norm_eval),
        cmocka_unit_test(norm_back),      cmocka_unit_test(norm_pool),  cmocka_unit_test(norm_pool_eval),
        cmocka_unit_test(norm_pool_back), cmocka_unit_test(act),        cmocka_unit_test(add),
        cmocka_unit_test(unit),           cmocka_unit_test(unit_back)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
