/* linear, linear_data, linear_weight on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int slices;
    int64_t batch, in, out;
} sizes[] = {
    {1, 1, 1, 1},      {1, 5, 3, 2},    {2, 2, 7, 13},    {4, 4, 17, 33},    {4, 12, 129, 5},
    {3, 33, 13, 129},  {6, 18, 33, 7},  {4, 100, 64, 10}, {4, 52, 129, 129}, {1, 7, 784, 100},
    {4, 20, 300, 257}, {1, 129, 17, 1}, {2, 34, 1, 17},
};

static void check(struct harness *h, enum op_kind kind)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int bias = 0; bias < (kind == OP_LINEAR_DATA ? 1 : 2); bias++)
            harness_check(h, &(struct op_case){.desc = desc_linear(kind, sizes[i].slices, sizes[i].batch, sizes[i].in,
                                                                   sizes[i].out, bias)});
    harness_finish(h);
}

static void forward(void **state)
{
    check(*state, OP_LINEAR);
}

static void data(void **state)
{
    check(*state, OP_LINEAR_DATA);
}

static void weight(void **state)
{
    check(*state, OP_LINEAR_WEIGHT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(data), cmocka_unit_test(weight)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
