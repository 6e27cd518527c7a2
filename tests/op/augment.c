/* augment on every backend, against the reference, which is the loader's own code (tests/data/augment.c): the same bytes. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

static const struct augment_change lists[][4] = {
    {{AUGMENT_FLIP, 0, 0}},
    {{AUGMENT_CROP, 4, 1}, {AUGMENT_FLIP, 0, 0}},
    {{AUGMENT_CROP, 9, 0}}, /* further than the image is wide */
    {{AUGMENT_CROP, 6, 1}, {AUGMENT_CROP, 6, 1}},
    {{AUGMENT_CROP, 2, 0}, {AUGMENT_CUTOUT, 4, 0}, {AUGMENT_CUTOUT, 1, 0}},
    {{AUGMENT_CUTOUT, 3, 0}, {AUGMENT_CROP, 3, 0}, {AUGMENT_CROP, 2, 1}, {AUGMENT_FLIP, 0, 0}},
};
enum { LISTS = sizeof lists / sizeof lists[0] };

static struct op_desc desc_augment(int64_t kept, int64_t batch, int64_t channels, int64_t height, int64_t width,
                                   int changes, const struct augment_change *change, int mixes)
{
    struct op_desc d = desc_make(OP_AUGMENT, 1);
    d.arg[0] = tensor_make4(DTYPE_U8, kept, channels, height, width);
    d.arg[1] = f32_2(channels, 256);
    d.arg[2] = tensor_make1(DTYPE_I32, batch);
    if (mixes) {
        d.arg[3] = d.arg[2];
        d.arg[4] = f32_1(batch);
    }
    d.arg[5] = tensor_make1(DTYPE_I64, 1);
    d.arg[6] = f32_4(batch, channels, height, width);
    d.attr.augment =
        (struct augment_rule){.seed = 0x123456789abcdefu, .changes = changes, .mean_colour = {0.25f, -0.5f, 0.75f, -1}};
    for (int i = 0; i < changes; i++) d.attr.augment.change[i] = change[i];
    return d;
}

static int length(const struct augment_change *list)
{
    int n = 0;
    while (n < 4 && (list[n].amount || list[n].kind)) n++;
    return n;
}

static void batches(void **state)
{
    static const int sizes[][5] = {{40, 12, 3, 9, 7}, {3, 1, 1, 10, 10}, {500, 33, 4, 7, 13}, {9, 5, 2, 32, 32}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int list = -1; list < LISTS; list++)
            for (int mixes = 0; mixes < 2; mixes++) {
                const int *z = sizes[s];
                const struct augment_change *change = list < 0 ? NULL : lists[list];
                harness_check(*state,
                              &(struct op_case){.desc = desc_augment(z[0], z[1], z[2], z[3], z[4],
                                                                     change ? length(change) : 0, change, mixes),
                                                .data = DATA_PADDING | DATA_MAY_BE_ZERO});
            }
    harness_finish(*state);
}

static void refuses(const struct op_desc *d, const char *why)
{
    assert_int_equal(op_check(d), HFF_E_CONFIG);
    if (!strstr(hff_error_message(), why)) fail_msg("%s, not %s", hff_error_message(), why);
}

static void bad_descriptions(void **state)
{
    (void)state;
    struct op_desc good = desc_augment(4, 3, 3, 8, 8, 2, lists[1], 1), d = good;
    assert_int_equal(op_check(&good), HFF_OK);
    d.arg[1] = f32_2(3, 255);
    refuses(&d, "256");
    d = good;
    d.arg[4].rank = 0;
    refuses(&d, "share is missing");
    d = good;
    d.arg[3].rank = 0;
    refuses(&d, "partner is missing");
    d = good;
    d.attr.augment.change[0].amount = 8;
    refuses(&d, "mirrored");
    d = good;
    d.attr.augment.changes = AUGMENT_CHANGES + 1;
    refuses(&d, "changes");
    d = desc_augment(4, 3, 5, 8, 8, 0, NULL, 0);
    refuses(&d, "channels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches), cmocka_unit_test(bad_descriptions)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
