/* OP_CROSS_ENTROPY, OP_CROSS_ENTROPY_EVAL and OP_SIMILARITY on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int slices;
    int64_t batch, width;
} sizes[] = {{1, 1, 2}, {4, 12, 5}, {3, 99, 10}, {4, 20, 100}, {2, 134, 17}, {6, 18, 33}, {1, 7, 1000}, {4, 260, 129}};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void entropy(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int bits = 0; bits < 8; bits++) {
            struct op_case c = {.desc = desc_cross_entropy(sizes[i].slices, sizes[i].batch, sizes[i].width,
                                                           bits & 1 ? 0.1 : 0, bits & 2 ? 0.75 : 0),
                                .data = bits & 4 ? DATA_MIXUP : 0};
            harness_check(*state, &c);
            c.desc.attr.cross_entropy.global_batch *= 4;
            harness_check(*state, &c);
        }
    harness_finish(*state);
}

static void entropy_eval(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int padding = 0; padding < 2; padding++)
            harness_check(*state, &(struct op_case){
                                      .desc = desc_cross_entropy_eval(sizes[i].slices, sizes[i].batch, sizes[i].width),
                                      .data = padding * DATA_PADDING});
    harness_finish(*state);
}

static void similarity(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int bits = 0; bits < 4; bits++) {
            struct op_case c = {
                .desc = desc_similarity(sizes[i].slices, sizes[i].batch, sizes[i].width, bits & 1 ? 10 : 2, 0.99),
                .data = bits & 2 ? DATA_MIXUP : 0};
            int alone = sizes[i].batch == sizes[i].slices; /* no pair in a slice */
            if (alone || sizes[i].width < 3) c.data |= DATA_MAY_BE_ZERO;
            harness_check(*state, &c);
            c.data |= DATA_DEAD;
            harness_check(*state, &c);
            c.desc.attr.similarity.global_batch *= 4;
            harness_check(*state, &c);
        }
    harness_finish(*state);
}

/* One class: every sample is like every other, and targets have no direction. */
static void one_class(void **state)
{
    harness_check(*state, &(struct op_case){.desc = desc_similarity(2, 8, 5, 1, 1)});
    harness_check(*state, &(struct op_case){.desc = desc_cross_entropy(2, 8, 1, 0, 0), .data = DATA_MAY_BE_ZERO});
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(entropy), cmocka_unit_test(entropy_eval),
                                       cmocka_unit_test(similarity), cmocka_unit_test(one_class)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
