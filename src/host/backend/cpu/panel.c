/* Products of up to 12 rows times 32 columns at a time (vec.h). The columns' operand is brought into a panel (k, 32) in
 * scratch memory first where it lies otherwise, or so far apart that it would not stay in the cache.
 *
 * C = A B, A either way: columns are those of B. C = A B' : B's rows lie along k, so that they serve as the broadcast
 * side as they are; the columns are the rows of A, and tiles of C' are turned round when they are stored. */
#include "panel.h"

#include "cut.h"
#include "dnnl.h"
#include "vec.h"

enum { SHALLOW = 64 /* a B of no more rows is read where it lies */ };

int panel_fits(const struct product_desc *d)
{
    if (d->dtype != DTYPE_F32 || d->k < BLOCK || dnnl_block() != BLOCK) return 0;
    return d->transpose_b ? !d->transpose_a && d->m >= BLOCK && d->n >= 4 * ROWS_MOST
                          : d->m >= ROWS_MOST && d->n >= PAIR;
}

size_t panel_scratch(const struct product_desc *d)
{
    return sizeof(float) * (size_t)(d->k + ROWS_MOST) * PAIR;
}

/* Lanes whose number has bit s change places between x and y: after all four bits, 16 vectors are transposed. */
#define SWAP(x, y, low, high)                                                                                          \
    do {                                                                                                               \
        vec t_ = low(x, y), u_ = high(x, y);                                                                           \
        x = t_;                                                                                                        \
        y = u_;                                                                                                        \
    } while (0)
#define LOW1(x, y) __builtin_shufflevector(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH1(x, y) __builtin_shufflevector(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define LOW2(x, y) __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(x, y) __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW4(x, y) __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH4(x, y) __builtin_shufflevector(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW8(x, y) __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH8(x, y) __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define STAGE(v, s)                                                                                                    \
    _Pragma("GCC unroll 16") for (int i_ = 0; i_ < BLOCK; i_++) if (!(i_ & s))                                         \
        SWAP((v)[i_], (v)[i_ + s], LOW##s, HIGH##s)

INLINE void transpose(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    vec v[BLOCK];
#pragma GCC unroll 16
    for (int i = 0; i < BLOCK; i++) v[i] = *(const vec *)(from + i * from_step);
    STAGE(v, 1);
    STAGE(v, 2);
    STAGE(v, 4);
    STAGE(v, 8);
#pragma GCC unroll 16
    for (int i = 0; i < BLOCK; i++) *(vec *)(to + i * to_step) = v[i];
}

/* panel (k, 32) = rows [0, count) of x (rows, k), turned round; 0 beyond count. */
VEC_SIMD static void panel_turn(const float *x, int64_t step, int64_t count, int64_t k, float *panel)
{
    int64_t even = k / BLOCK * BLOCK;
    for (int64_t r = 0; r < PAIR; r += BLOCK) {
        int64_t done = count - r >= BLOCK ? even : 0;
        for (int64_t i = 0; i < done; i += BLOCK) transpose(x + r * step + i, step, panel + i * PAIR + r, PAIR);
        for (int64_t i = done; i < k; i++)
            for (int64_t l = r; l < r + BLOCK; l++) panel[i * PAIR + l] = l < count ? x[l * step + i] : 0;
    }
}

/* panel (k, 32) = columns [0, count) of x (k, columns); 0 beyond count. */
VEC_SIMD static void panel_copy(const float *x, int64_t step, int64_t count, int64_t k, float *panel)
{
    for (int64_t i = 0; i < k; i++, x += step, panel += PAIR) {
        if (count >= PAIR) {
            *(vec *)panel = *(const vec *)x;
            *(vec *)(panel + BLOCK) = *(const vec *)(x + BLOCK);
        } else {
            for (int64_t l = 0; l < PAIR; l++) panel[l] = l < count ? x[l] : 0;
        }
    }
}

/* The operands of a run of rows: a (rows, k) whose elements lie row and step apart, and the panel. */
struct operands {
    const float *a, *panel;
    int64_t row, step, panel_step, depth;
};

INLINE void tile_rows(int rows, const struct operands *o, int64_t first, float *tile)
{
    vec acc[ROWS_MOST][2];
    rows_clear(rows, acc);
    rows_add(rows, o->a + first * o->row, o->row, o->step, o->panel, o->panel_step, o->depth, acc);
    rows_store(rows, acc, tile, PAIR);
}

/* tile (up to 12, 32): rows from first on; returns how many it took. */
VEC_SIMD static int64_t tile_next(const struct operands *o, int64_t first, int64_t rows, float *tile)
{
    if (rows - first >= 12) {
        tile_rows(12, o, first, tile);
        return 12;
    }
    if (rows - first >= 4) {
        tile_rows(4, o, first, tile);
        return 4;
    }
    tile_rows(1, o, first, tile);
    return 1;
}

VEC_SIMD static void store(const float *tile, int64_t rows, int64_t columns, int accumulate, float *c, int64_t step)
{
    for (int64_t r = 0; r < rows; r++, tile += PAIR, c += step)
        if (columns == PAIR && !accumulate) {
            *(vec *)c = *(const vec *)tile;
            *(vec *)(c + BLOCK) = *(const vec *)(tile + BLOCK);
        } else if (accumulate) {
            for (int64_t l = 0; l < columns; l++) c[l] += tile[l];
        } else {
            for (int64_t l = 0; l < columns; l++) c[l] = tile[l];
        }
}

VEC_SIMD static void store_turned(const float *tile, int64_t rows, int64_t columns, int accumulate, float *c,
                                  int64_t step)
{
    for (int64_t l = 0; l < columns; l++, c += step)
        for (int64_t r = 0; r < rows; r++) c[r] = tile[r * PAIR + l] + (accumulate ? c[r] : 0);
}

/* C (m, n) = A B, a panel of B's columns after the other. */
static void run_straight(const struct product_desc *d, const float *a, const float *b, float *c, float *panel)
{
    float *tile = panel + d->k * PAIR;
    for (int64_t j = 0; j < d->n; j += PAIR) {
        int64_t columns = d->n - j < PAIR ? d->n - j : PAIR;
        struct operands o = {a, b + j, d->transpose_a ? 1 : d->lda, d->transpose_a ? d->lda : 1, d->ldb, d->k};
        if (columns < PAIR || d->k > SHALLOW) {
            panel_copy(b + j, d->ldb, columns, d->k, panel);
            o.panel = panel;
            o.panel_step = PAIR;
        }
        for (int64_t i = 0, rows; i < d->m; i += rows) {
            rows = tile_next(&o, i, d->m, tile);
            store(tile, rows, columns, d->accumulate, c + i * d->ldc + j, d->ldc);
        }
    }
}

/* C (m, n) = A B' as C' = B A', a panel of A's rows after the other. */
static void run_turned(const struct product_desc *d, const float *a, const float *b, float *c, float *panel)
{
    float *tile = panel + d->k * PAIR;
    for (int64_t i = 0; i < d->m; i += PAIR) {
        int64_t columns = d->m - i < PAIR ? d->m - i : PAIR;
        panel_turn(a + i * d->lda, d->lda, columns, d->k, panel);
        struct operands o = {b, panel, d->ldb, 1, PAIR, d->k};
        for (int64_t j = 0, rows; j < d->n; j += rows) {
            rows = tile_next(&o, j, d->n, tile);
            store_turned(tile, rows, columns, d->accumulate, c + i * d->ldc + j, d->ldc);
        }
    }
}

void panel_run(const struct product_desc *d, const float *a, const float *b, float *c, void *scratch)
{
    if (d->transpose_b)
        run_turned(d, a, b, c, scratch);
    else
        run_straight(d, a, b, c, scratch);
}

/* A panel (groups, depth, 12) of A's columns, 0 beyond the last. */
VEC_SIMD static void columns_copy(const float *a, int64_t step, int64_t columns, int64_t depth, float *panel)
{
    for (int64_t first = 0; first < columns; first += ROWS_MOST)
        for (int64_t k = 0; k < depth; k++, panel += ROWS_MOST)
            for (int64_t l = 0; l < ROWS_MOST; l++) panel[l] = first + l < columns ? a[k * step + first + l] : 0;
}

VEC_SIMD static void add_tile(float *into, const float *from)
{
    for (int i = 0; i < ROWS_MOST * PAIR; i += BLOCK) *(vec *)(into + i) += *(const vec *)(from + i);
}

/* tile (12, 32): a (slices k, 12), b (slices k, 32). */
VEC_SIMD static void slices_tile(const float *a, const float *b, int64_t k, int slices, float *tile)
{
    for (int s = 0; s < slices; s++) {
        struct operands o = {a + s * k * ROWS_MOST, b + s * k * PAIR, 1, ROWS_MOST, PAIR, k};
        tile_rows(ROWS_MOST, &o, 0, tile + s * ROWS_MOST * PAIR);
    }
    TREE (slices, into, from) add_tile(tile + into * ROWS_MOST * PAIR, tile + from * ROWS_MOST * PAIR);
}

size_t panel_slices_scratch(const struct product_desc *d, int slices)
{
    int64_t groups = (d->m + ROWS_MOST - 1) / ROWS_MOST;
    return align64(sizeof(float) * (size_t)(slices * (d->k * (groups * ROWS_MOST + PAIR) + ROWS_MOST * PAIR)));
}

void panel_slices_run(const struct product_desc *d, int slices, const float *a, const float *b, float *c, void *scratch)
{
    int64_t depth = d->k * slices;
    float *b_panel = scratch, *tile = b_panel + depth * PAIR, *a_panel = tile + slices * ROWS_MOST * PAIR;
    columns_copy(a, d->lda, d->m, depth, a_panel);
    for (int64_t j = 0; j < d->n; j += PAIR) {
        int64_t columns = d->n - j < PAIR ? d->n - j : PAIR;
        panel_copy(b + j, d->ldb, columns, depth, b_panel);
        for (int64_t i = 0; i < d->m; i += ROWS_MOST) {
            slices_tile(a_panel + i * depth, b_panel, d->k, slices, tile);
            store(tile, d->m - i < ROWS_MOST ? d->m - i : ROWS_MOST, columns, 0, c + i * d->ldc + j, d->ldc);
        }
    }
}
