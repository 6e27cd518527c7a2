/* conv, conv_data, conv_weight on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int slices;
    int64_t batch, in, out, height, width;
    int kernel, stride, pad;
} sizes[] = {
    /* one pixel; kernels 1, 3, 5 */
    {1, 1, 1, 1, 1, 1, 1, 1, 0},
    {1, 1, 3, 5, 7, 5, 3, 1, 1},
    {2, 2, 1, 16, 5, 5, 5, 1, 2},
    /* channels below, at and above a block */
    {4, 4, 3, 16, 13, 13, 3, 1, 1},
    {4, 12, 3, 17, 7, 7, 3, 1, 0},
    {3, 3, 16, 16, 7, 7, 3, 1, 1},
    {6, 6, 17, 5, 5, 7, 3, 1, 1},
    {4, 4, 16, 32, 7, 7, 3, 1, 1},
    {2, 6, 32, 48, 5, 5, 3, 1, 1},
    {1, 5, 48, 17, 3, 3, 3, 1, 1},
    {4, 4, 5, 3, 7, 7, 5, 1, 2},
    {2, 2, 32, 16, 7, 7, 5, 1, 1},
    /* strides and paddings that do not fit */
    {4, 4, 3, 16, 13, 17, 3, 2, 1},
    {4, 8, 16, 32, 7, 7, 3, 2, 0},
    {2, 2, 17, 16, 13, 13, 5, 2, 2},
    {1, 3, 16, 17, 5, 5, 3, 2, 2},
    /* 1 x 1 */
    {4, 4, 16, 48, 7, 7, 1, 1, 0},
    {4, 20, 17, 3, 5, 5, 1, 1, 0},
    {3, 9, 32, 32, 7, 7, 1, 2, 0},
    {2, 2, 5, 5, 33, 33, 1, 2, 0},
    {1, 2, 1, 1, 5, 5, 1, 1, 1},
    /* 3 x 3 in blocks of 16 channels: tiles of 4 x 4 that fit and that stand over, more of them than a task or a chunk
     * takes, one channel block and several */
    {4, 4, 32, 32, 4, 4, 3, 1, 1},
    {2, 2, 32, 32, 3, 4, 3, 1, 1},
    {4, 8, 32, 64, 8, 8, 3, 1, 1},
    {1, 3, 64, 32, 9, 14, 3, 1, 1},
    {3, 6, 32, 96, 7, 7, 3, 1, 1},
    {1, 10, 64, 32, 16, 16, 3, 1, 1},
    {2, 2, 16, 32, 33, 31, 3, 1, 1},
    {2, 2, 160, 32, 5, 6, 3, 1, 1},
    /* wide */
    {4, 4, 3, 5, 33, 33, 3, 1, 1},
    {1, 1, 1, 3, 2, 129, 2, 1, 0},
};

static void check(struct harness *h, enum op_kind kind)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int bias = 0; bias < (kind == OP_CONV_DATA ? 1 : 2); bias++)
            harness_check(h,
                          &(struct op_case){.desc = desc_conv(kind, sizes[i].slices, sizes[i].batch, sizes[i].in,
                                                              sizes[i].out, sizes[i].height, sizes[i].width,
                                                              sizes[i].kernel, sizes[i].stride, sizes[i].pad, bias)});
    harness_finish(h);
}

static void forward(void **state)
{
    check(*state, OP_CONV);
}

static void data(void **state)
{
    check(*state, OP_CONV_DATA);
}

static void weight(void **state)
{
    check(*state, OP_CONV_WEIGHT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(data), cmocka_unit_test(weight)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
