/* Matrix products: panel.c where it fits, else one oneDNN matmul each. On a Zen 4 that is as quick as dnnl_sgemm for
 * the large shapes of a multilayer perceptron (100 to 115 GFLOP/s a core) and up to three times as quick for skinny ones
 * (n = 10, 64, 100). Its code for a transposed B wants a C without gaps, else it is up to a third slower: then
 * C is made in scratch memory and copied out.
 * Two shapes are kept from oneDNN, whose 3.7 takes what lies a row apart for neighbours: a C of one column with gaps
 * (copied out too), and a transposed A of one column with gaps (gathered first). */
#include "dnnl.h"
#include "panel.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The threads that run a product do not tell who they are: each takes a free place. There is one for every
 * processor. */
struct place {
    _Alignas(64) atomic_flag taken;
};

struct product {
    struct product_desc desc;
    int own; /* panel.c's; then there is no primitive */
    struct primitive primitive;
    int stages_c;  /* C is made behind the primitive's scratch memory */
    int gathers_a; /* A's only row is put together behind that */
    int places;
    struct place *place;
};

/* The layout of a matrix (rows, columns) that lies as it is or transposed. */
static hff_status matrix(struct mem_layout *out, enum dtype dtype, int64_t rows, int64_t columns, int64_t step,
                         int transposed)
{
    const int64_t dim[] = {rows, columns}, stride[] = {transposed ? 1 : step, transposed ? step : 1};
    return layout_strided(out, dtype, 2, dim, stride);
}

static hff_status plan(struct product *product)
{
    const struct product_desc *d = &product->desc;
    struct mem_layout a = {0}, b = {0}, c = {0};
    int64_t step_a = product->gathers_a ? d->k : d->lda;
    hff_status status = matrix(&a, d->dtype, d->m, d->k, step_a, d->transpose_a && !product->gathers_a);
    if (status == HFF_OK) status = matrix(&b, d->dtype, d->k, d->n, d->ldb, d->transpose_b);
    if (status == HFF_OK) status = matrix(&c, DTYPE_F32, d->m, d->n, product->stages_c ? d->n : d->ldc, 0);
    int accumulate = d->accumulate && !product->stages_c;
    if (status == HFF_OK) status = primitive_matmul(&product->primitive, &a, &b, &c, accumulate, product->places);
    layout_free(&a);
    layout_free(&b);
    layout_free(&c);
    return status;
}

hff_status product_create(struct product **out, const struct product_desc *desc)
{
    *out = NULL;
    dnnl_single_thread();
    struct product *product = calloc(1, sizeof *product);
    if (product && panel_fits(desc)) {
        product->desc = *desc;
        product->own = 1;
        *out = product;
        return HFF_OK;
    }
    int places = team_processors();
    if (product) product->place = aligned_alloc(_Alignof(struct place), (size_t)places * sizeof *product->place);
    if (!product || !product->place) {
        free(product);
        return fail(HFF_E_MEMORY, "no memory for a product");
    }
    for (int i = 0; i < places; i++) atomic_flag_clear(&product->place[i].taken);
    product->desc = *desc;
    product->stages_c = (desc->transpose_b || desc->n == 1) && desc->ldc != desc->n;
    product->gathers_a = desc->transpose_a && desc->m == 1 && desc->lda > 1;
    product->places = places;
    hff_status status = plan(product);
    if (status != HFF_OK) {
        product_destroy(product);
        return trail_add(status, "product %lld x %lld x %lld", (long long)desc->m, (long long)desc->n,
                         (long long)desc->k);
    }
    *out = product;
    return HFF_OK;
}

static size_t staged_bytes(const struct product *product)
{
    return product->stages_c ? (size_t)(product->desc.m * product->desc.n) * sizeof(float) : 0;
}

size_t product_scratch(const struct product *product)
{
    const struct product_desc *d = &product->desc;
    if (product->own) return panel_scratch(d);
    size_t gathered = product->gathers_a ? (size_t)d->k * dtype_bytes(d->dtype) : 0;
    return (product->primitive.scratch + staged_bytes(product) + gathered + 63) / 64 * 64;
}

/* With more threads than processors there may be none free: another thread will soon leave its own. */
static int take_place(const struct product *product)
{
    for (;;) {
        for (int i = 0; i < product->places; i++)
            if (!atomic_flag_test_and_set_explicit(&product->place[i].taken, memory_order_acquire)) return i;
        sched_yield();
    }
}

CPU_SIMD static void copy_out(const struct product_desc *d, float *c, const float *staged)
{
    for (int64_t i = 0; i < d->m; i++, c += d->ldc, staged += d->n) {
        if (d->accumulate)
            for (int64_t j = 0; j < d->n; j++) c[j] += staged[j];
        else
            for (int64_t j = 0; j < d->n; j++) c[j] = staged[j];
    }
}

static void *gather(const struct product_desc *d, const char *a, char *into)
{
    size_t size = dtype_bytes(d->dtype);
    for (int64_t k = 0; k < d->k; k++) memcpy(into + (size_t)k * size, a + (size_t)(k * d->lda) * size, size);
    return into;
}

void product_run(const struct product *product, const void *a, const void *b, float *c, void *scratch)
{
    const struct product_desc *d = &product->desc;
    if (product->own) {
        panel_run(d, a, b, c, scratch);
        return;
    }
    char *behind = (char *)scratch + product->primitive.scratch;
    float *into = product->stages_c ? (float *)behind : c;
    void *left = product->gathers_a ? gather(d, a, behind + staged_bytes(product)) : (void *)a;
    int place = take_place(product);
    int done = primitive_run(&product->primitive, place, (void *const[]){left, (void *)b, into}, scratch);
    atomic_flag_clear_explicit(&product->place[place].taken, memory_order_release);
    if (product->stages_c) copy_out(d, c, into);
    if (done) return;
    /* Only for want of memory inside oneDNN. Numbers that are not finite stop a training where it looks for them. */
    for (int64_t i = 0; i < d->m; i++)
        for (int64_t j = 0; j < d->n; j++) c[i * d->ldc + j] = NAN;
}

hff_status product_warm_up(enum dtype dtype)
{
    enum { ROWS = 10, SIDE = 64, STEP = 2 * SIDE };
    struct product *product;
    const struct product_desc desc = {
        .m = ROWS, .n = SIDE, .k = SIDE, .lda = STEP, .ldb = STEP, .ldc = SIDE, .transpose_a = 1, .dtype = dtype};
    TRY(product_create(&product, &desc));
    float *numbers = calloc((2 * STEP + ROWS) * SIDE, sizeof *numbers);
    void *scratch = aligned_alloc(64, product_scratch(product) + 64);
    if (numbers && scratch) product_run(product, numbers, numbers + STEP * SIDE, numbers + 2 * STEP * SIDE, scratch);
    free(numbers);
    free(scratch);
    product_destroy(product);
    return HFF_OK;
}

void product_destroy(struct product *product)
{
    if (!product) return;
    primitive_free(&product->primitive);
    free(product->place);
    free(product);
}
