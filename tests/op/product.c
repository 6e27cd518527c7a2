/* The cpu backend's matrix products against plain loops: every way that A, B and C can lie, single rows and columns
 * with gaps among them. */
#include "backend/backend.h"
#include "backend/cpu/cpu.h"
#include "tensor/bf16.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GAP = 5, MOST = 40 * 40, UNTOUCHED = 777 };

/* A and B in both types, the same numbers, and what C holds before. */
static struct {
    float f32[2][MOST], before[MOST];
    bf16 narrow[2][MOST];
} all;

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < MOST; i++) {
        for (int side = 0; side < 2; side++) {
            float value = (float)((i * 7919 + side * 13) % 101) / 50 - 1;
            all.narrow[side][i] = bf16_near(value);
            all.f32[side][i] = bf16_wide(all.narrow[side][i]);
        }
        all.before[i] = UNTOUCHED;
    }
    return 0;
}

static double element(int side, int64_t step, int is_transposed, int64_t row, int64_t column)
{
    return all.f32[side][is_transposed ? column * step + row : row * step + column];
}

static void compare(const struct product_desc *d, const float *c)
{
    for (int64_t at = 0; at < d->m * d->ldc; at++) {
        int64_t row = at / d->ldc, column = at % d->ldc;
        double want = UNTOUCHED;
        if (column < d->n) {
            want = d->accumulate ? UNTOUCHED : 0;
            for (int64_t k = 0; k < d->k; k++)
                want += element(0, d->lda, d->transpose_a, row, k) * element(1, d->ldb, d->transpose_b, k, column);
        }
        if (!(fabs(want - c[at]) <= (column < d->n ? 1e-3 : 0)))
            fail_msg("%s m %d n %d k %d, steps %d %d %d, transposed %d %d, accumulate %d: C[%d, %d] is %g, not %g",
                     dtype_name(d->dtype), (int)d->m, (int)d->n, (int)d->k, (int)d->lda, (int)d->ldb, (int)d->ldc,
                     d->transpose_a, d->transpose_b, d->accumulate, (int)row, (int)column, (double)c[at], want);
    }
}

static void check(const struct product_desc *d)
{
    struct product *product;
    assert_int_equal(product_create(&product, d), HFF_OK);
    void *scratch = aligned_alloc(64, product_scratch(product) + 64);
    float *c = malloc(sizeof all.before);
    assert_true(scratch && c);
    memcpy(c, all.before, sizeof all.before);
    int is_narrow = d->dtype == DTYPE_BF16;
    product_run(product, is_narrow ? (void *)all.narrow[0] : all.f32[0], is_narrow ? (void *)all.narrow[1] : all.f32[1],
                c, scratch);
    compare(d, c);
    product_destroy(product);
    free(scratch);
    free(c);
}

/* ways: a bit each for transposed A and B, gaps in A, B and C. */
static void every_way(enum dtype dtype)
{
    static const int64_t sizes[] = {1, 2, 17}, depths[] = {5, 33};
    for (int i = 0; i < 18; i++)
        for (int ways = 0; ways < 32; ways++) {
            struct product_desc d = {.m = sizes[i % 3], .n = sizes[i / 3 % 3], .k = depths[i / 9], .dtype = dtype};
            d.transpose_a = ways & 1;
            d.transpose_b = ways >> 1 & 1;
            d.lda = (d.transpose_a ? d.m : d.k) + (ways & 4 ? GAP : 0);
            d.ldb = (d.transpose_b ? d.k : d.n) + (ways & 8 ? GAP : 0);
            d.ldc = d.n + (ways & 16 ? GAP : 0);
            d.accumulate = (ways + i) % 3 == 0;
            check(&d);
        }
}

static void f32(void **state)
{
    (void)state;
    every_way(DTYPE_F32);
}

static void narrow(void **state)
{
    (void)state;
    struct backend *cpu;
    assert_int_equal(backend_open("cpu", 1, &cpu), HFF_OK);
    int computes = cpu->api->computes(cpu, DTYPE_BF16);
    backend_close(cpu);
    if (!computes) skip();
    every_way(DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(narrow)};
    return cmocka_run_group_tests(tests, fill, NULL);
}
