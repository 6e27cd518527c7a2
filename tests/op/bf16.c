/* bf16 and back: every one of its numbers, and what lies between two neighbours. */
#include "tensor/bf16.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

enum { NUMBERS = 1 << 16, LARGEST_BITS = 0x7f7f, SIGN = 0x8000 };

static float from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void every_number(void **state)
{
    (void)state;
    assert_true(bf16_wide(0x3f80) == 1 && bf16_wide(0xc040) == -3 && isinf(bf16_wide(0x7f80)));
    for (uint32_t h = 0; h < NUMBERS; h++) {
        float v = bf16_wide((bf16)h);
        if (isnan(v))
            assert_true(isnan(bf16_wide(bf16_near(v))));
        else
            assert_int_equal(bf16_near(v), h);
    }
    /* not a number only in the lower half: must not become an infinity */
    assert_true(isnan(bf16_wide(bf16_near(from_bits(0x7f800001)))) &&
                isnan(bf16_wide(bf16_near(from_bits(0xffffffff)))));
}

static void between(void **state)
{
    (void)state;
    for (uint32_t h = 0; h <= LARGEST_BITS; h++) /* the neighbour of the largest is infinity */
        for (uint32_t sign = 0; sign <= SIGN; sign += SIGN) {
            uint32_t low = (h | sign) << 16;
            assert_int_equal(bf16_near(from_bits(low + 0x7fff)), h | sign);
            assert_int_equal(bf16_near(from_bits(low + 0x8000)), (h + (h & 1)) | sign);
            assert_int_equal(bf16_near(from_bits(low + 0x8001)), (h + 1) | sign);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_number), cmocka_unit_test(between)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
