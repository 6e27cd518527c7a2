/* OP_HFF and OP_HFF_EVAL on every backend, against the reference. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    int slices;
    struct hff_sizes size;
} sizes[] = {
    {1, {1, 2, 1, 2}},    {4, {12, 5, 1, 13}},   {3, {33, 10, 3, 17}},  {4, {20, 100, 2, 129}},
    {2, {34, 17, 4, 33}}, {6, {18, 3, 5, 7}},    {1, {7, 13, 1, 1000}}, {4, {52, 10, 1, 512}},
    {1, {9, 300, 2, 33}}, {1, {12, 10, 1, 128}}, /* f32: dynamic shared memory just below 48 KiB, above with the static */
    {2, {16, 10, 4, 32}},
};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Everything that shapes the loss, at a size. */
static void losses(struct harness *h, int slices, struct hff_sizes size)
{
    for (int bits = 0; bits < 16; bits++) {
        enum hff_loss loss = bits & 1 ? HFF_LOSS_PAIRWISE : HFF_LOSS_SOFTMAX;
        double margin = bits & 2 ? 0.2 : 0, smoothing = bits & 4 ? 0.1 : 0;
        if (loss == HFF_LOSS_PAIRWISE && smoothing > 0) continue;
        struct op_case c = {.desc = desc_hff(slices, size, loss, margin, smoothing, 1, 1, size.per_class > 1),
                            .data = bits & 8 ? DATA_MIXUP : 0};
        harness_check(h, &c);
    }
}

static void loss(void **state)
{
    for (int i = 0; i < SIZES; i++) losses(*state, sizes[i].slices, sizes[i].size);
    harness_finish(*state);
}

/* The optional outputs, each there or not. */
static void outputs(void **state)
{
    for (int bits = 0; bits < 8; bits++) {
        struct hff_sizes size = {12, 10, 3, 33};
        harness_check(*state, &(struct op_case){
                                  .desc = desc_hff(4, size, HFF_LOSS_SOFTMAX, 0.1, 0.05, bits & 1, bits & 2, bits & 4),
                                  .data = DATA_MIXUP});
    }
    harness_finish(*state);
}

static void scales(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int s = 0; s < 3; s++)
            harness_check(*state, &(struct op_case){.desc = desc_hff(sizes[i].slices, sizes[i].size, HFF_LOSS_SOFTMAX,
                                                                     0.1, 0, 1, 1, 1),
                                                    .scale = (double[]){1, 30, 100}[s],
                                                    .data = DATA_MAY_BE_ZERO});
    harness_finish(*state);
}

static void dead(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int loss = 0; loss < 2; loss++) {
            struct op_case c = {.desc = desc_hff(sizes[i].slices, sizes[i].size, (enum hff_loss)loss, 0.2, 0, 1, 1, 1),
                                .data = DATA_DEAD};
            harness_check(*state, &c);
            c.data |= DATA_MIXUP;
            harness_check(*state, &c);
            harness_check(*state,
                          &(struct op_case){.desc = desc_hff_eval(sizes[i].slices, sizes[i].size, (enum hff_loss)loss),
                                            .data = DATA_DEAD});
        }
    harness_finish(*state);
}

/* A part of a larger batch: gradients are those of its share of the mean. */
static void global_batch(void **state)
{
    for (int i = 0; i < SIZES; i++) {
        struct op_case c = {.desc = desc_hff(sizes[i].slices, sizes[i].size, HFF_LOSS_SOFTMAX, 0, 0.1, 1, 1, 0)};
        c.desc.attr.hff.global_batch = 4 * sizes[i].size.batch;
        c.desc.attr.hff.discount = i % 2 ? 0.75 : 0; /* and of a loss of two terms */
        harness_check(*state, &c);
    }
    harness_finish(*state);
}

/* One dimension: every embedding is +1 or -1 times a prototype's direction, and all gradients vanish. */
static void one_dimension(void **state)
{
    struct op_case c = {.desc = desc_hff(1, (struct hff_sizes){5, 2, 1, 1}, HFF_LOSS_SOFTMAX, 0, 0, 1, 1, 0),
                        .data = DATA_MAY_BE_ZERO};
    harness_check(*state, &c);
    harness_finish(*state);
}

static void eval(void **state)
{
    for (int i = 0; i < SIZES; i++)
        for (int loss = 0; loss < 2; loss++)
            for (int padding = 0; padding < 2; padding++)
                harness_check(*state, &(struct op_case){
                                          .desc = desc_hff_eval(sizes[i].slices, sizes[i].size, (enum hff_loss)loss),
                                          .data = padding * DATA_PADDING});
    harness_finish(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loss),         cmocka_unit_test(outputs),
                                       cmocka_unit_test(scales),       cmocka_unit_test(dead),
                                       cmocka_unit_test(global_batch), cmocka_unit_test(one_dimension),
                                       cmocka_unit_test(eval)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
