/* norm, norm_eval, norm_back, act, act_back, add, unit, unit_back on every backend, against the reference. */
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
        cmocka_unit_test(norm), cmocka_unit_test(norm_alone), cmocka_unit_test(norm_eval), cmocka_unit_test(norm_back),
        cmocka_unit_test(act),  cmocka_unit_test(add),        cmocka_unit_test(unit),      cmocka_unit_test(unit_back)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
