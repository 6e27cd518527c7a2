/* pool, pool_back, apool, apool_back, act_apool, act_apool_back on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int64_t batch, channels, height, width;
} shapes[] = {{1, 1, 3, 3},  {5, 3, 7, 5},  {2, 16, 13, 13}, {4, 17, 5, 9},
              {3, 48, 8, 8}, {12, 5, 3, 4}, {1, 32, 33, 17}, {2, 33, 3, 3}};

static const struct {
    int kernel, stride;
} windows[] = {{2, 2}, {3, 2}, {3, 1}, {1, 1}, {2, 1}};

enum { SHAPES = sizeof shapes / sizeof shapes[0], WINDOWS = sizeof windows / sizeof windows[0] };

static struct tensor shape(int i)
{
    return f32_4(shapes[i].batch, shapes[i].channels, shapes[i].height, shapes[i].width);
}

static void check_window(struct harness *h, struct tensor x, int kernel, int stride)
{
    for (int data = 0; data < 2; data++) { /* the second time with ties */
        for (int index = 0; index < 2; index++)
            harness_check(h, &(struct op_case){.desc = desc_pool(OP_POOL, x, POOL_MAX, kernel, stride, index),
                                               .data = data * DATA_TIES});
        harness_check(h, &(struct op_case){.desc = desc_pool(OP_POOL, x, POOL_AVERAGE, kernel, stride, 0),
                                           .data = data * DATA_TIES});
    }
    harness_check(h, &(struct op_case){.desc = desc_pool(OP_POOL_BACK, x, POOL_MAX, kernel, stride, 1)});
    harness_check(h, &(struct op_case){.desc = desc_pool(OP_POOL_BACK, x, POOL_AVERAGE, kernel, stride, 0)});
}

static void pool(void **state)
{
    for (int i = 0; i < SHAPES; i++)
        for (int w = 0; w < WINDOWS; w++) check_window(*state, shape(i), windows[w].kernel, windows[w].stride);
    harness_finish(*state);
}

static void apool(void **state)
{
    static const int64_t sizes[][2] = {{1, 1}, {2, 2}, {3, 3}, {8, 8}, {2, 3}};
    for (int i = 0; i < SHAPES; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            harness_check(*state, &(struct op_case){.desc = desc_apool(OP_APOOL, shape(i), sizes[s][0], sizes[s][1])});
            harness_check(*state,
                          &(struct op_case){.desc = desc_apool(OP_APOOL_BACK, shape(i), sizes[s][0], sizes[s][1])});
        }
    harness_finish(*state);
}

static void act_apool(void **state)
{
    static const int sizes[][2] = {{1, 1}, {2, 2}, {3, 4}};
    for (int i = 0; i < SHAPES; i++)
        for (int act = 0; act < ACT_COUNT; act++)
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
                for (int back = 0; back < 2; back++)
                    harness_check(*state, &(struct op_case){
                                              .desc = desc_act_apool(back ? OP_ACT_APOOL_BACK : OP_ACT_APOOL, shape(i),
                                                                     (enum act)act, sizes[s][0], sizes[s][1])});
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pool), cmocka_unit_test(apool), cmocka_unit_test(act_apool)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
