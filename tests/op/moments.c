/* energy, energy_back, deviation, deviation_back on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int64_t batch, channels, height, width, groups;
} shapes[] = {{1, 1, 1, 2, 1},  {5, 6, 7, 5, 3},    {2, 16, 13, 13, 16}, {4, 20, 5, 9, 10},  {3, 48, 8, 8, 2},
              {12, 5, 3, 4, 5}, {1, 32, 33, 17, 4}, {2, 33, 3, 3, 11},   {33, 10, 1, 3, 10}, {2, 40, 2, 2, 1}};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void energy(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        struct tensor x = f32_4(shapes[i].batch, shapes[i].channels, shapes[i].height, shapes[i].width),
                      flat = f32_2(shapes[i].batch, tensor_row(&x));
        for (int back = 0; back < 2; back++) {
            enum op_kind kind = back ? OP_ENERGY_BACK : OP_ENERGY;
            harness_check(*state, &(struct op_case){.desc = desc_energy(kind, x, shapes[i].groups)});
            harness_check(*state, &(struct op_case){.desc = desc_energy(kind, flat, shapes[i].groups)});
        }
    }
    harness_finish(*state);
}

static void deviation(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        struct tensor x = f32_4(shapes[i].batch, shapes[i].channels, shapes[i].height, shapes[i].width);
        harness_check(*state, &(struct op_case){.desc = desc_energy(OP_DEVIATION, x, shapes[i].channels)});
        harness_check(*state, &(struct op_case){.desc = desc_energy(OP_DEVIATION_BACK, x, shapes[i].channels)});
    }
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(energy), cmocka_unit_test(deviation)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
