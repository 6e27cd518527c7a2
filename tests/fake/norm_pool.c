/* norm_pool, norm_pool_eval and norm_pool_back on the played device give the very bits of norm and pool one after the other,
 * indices of equal maxima included: both ways read the same numbers through the same device functions. (A real GPU's
 * compiler may contract products and sums otherwise in one kernel than in the other; there op tests' limits hold.) */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

static const struct {
    int64_t dim[4];
    int kernel, stride;
} shapes[] = {{{5, 3, 7, 5}, 2, 2}, {{2, 16, 13, 13}, 3, 2}, {{3, 48, 8, 8}, 2, 2}, {{2, 33, 6, 5}, 3, 1}};

static void run(struct harness *h, const struct op_desc *desc, int data, const struct op_values *in,
                struct op_values *out)
{
    char why[HARNESS_WHY] = "", text[1024];
    struct op_case c = {.desc = *desc, .data = data, .device = 1};
    if (!harness_run(h->tested[0][0], &c, DTYPE_F32, in, out, why))
        fail_msg("%s: %s", op_text(desc, text, sizeof text), why);
}

static void same(const struct op_desc *desc, const struct op_values *joined, int arg, const struct op_values *apart,
                 int other)
{
    char text[1024];
    if (!joined->arg[arg]) return;
    for (int64_t i = 0; i < tensor_count(&desc->arg[arg]); i++)
        if (joined->arg[arg][i] != apart->arg[other][i])
            fail_msg("%s: %s[%lld] is %.9g, %.9g by two ops", op_text(desc, text, sizeof text),
                     op_table[desc->kind].arg[arg].name, (long long)i, joined->arg[arg][i], apart->arg[other][i]);
}

/* The pool op beside desc. */
static struct op_desc pool_of(const struct op_desc *desc, enum op_kind kind)
{
    const struct pool_window *w = &desc->attr.norm.pool;
    return desc_pool(kind, desc->arg[0], w->kind, w->kernel, w->stride, w->kind == POOL_MAX);
}

/* norm or norm_eval; pooled: the argument that both have their y in. */
static void forward(struct harness *h, const struct op_desc *desc, enum op_kind alone, int pooled, int data)
{
    struct op_values in, joined, norm, pool, map = {0};
    values_make(&(struct op_case){.desc = *desc, .data = data}, &in);
    run(h, desc, data, &in, &joined);
    struct op_desc first = desc_norm(alone, desc->slices, desc->arg[0], desc->attr.norm.act);
    struct op_desc second = pool_of(desc, OP_POOL);
    run(h, &first, data, &in, &norm);
    map.arg[0] = norm.arg[pooled];
    run(h, &second, data, &map, &pool);
    for (int a = 3; a < pooled; a++)
        if (op_table[desc->kind].arg[a].access & ARG_OUT) same(desc, &joined, a, &norm, a);
    same(desc, &joined, pooled, &pool, 1);
    same(desc, &joined, pooled + 1, &pool, 2);
    values_free(&in);
    values_free(&joined);
    values_free(&norm);
    values_free(&pool);
}

static void backward(struct harness *h, const struct op_desc *desc, int data)
{
    struct op_values in, joined, norm, pool, window = {0};
    values_make(&(struct op_case){.desc = *desc, .data = data}, &in);
    run(h, desc, data, &in, &joined);
    struct op_desc first = pool_of(desc, OP_POOL_BACK);
    struct op_desc second = desc_norm(OP_NORM_BACK, desc->slices, desc->arg[0], desc->attr.norm.act);
    window.arg[0] = in.arg[9];
    window.arg[1] = in.arg[5];
    run(h, &first, data, &window, &pool);
    struct op_values through = in;
    through.arg[5] = pool.arg[2];
    run(h, &second, data, &through, &norm);
    for (int a = 6; a < 9; a++) same(desc, &joined, a, &norm, a);
    values_free(&in);
    values_free(&joined);
    values_free(&norm);
    values_free(&pool);
}

/* data: also with inputs of which many are equal. */
static void same_bits(void **state)
{
    struct harness *h = *state;
    static const int datas[] = {0, DATA_TIES, DATA_BF16, DATA_BF16 | DATA_TIES};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int k = 0; k < 2 * ACT_COUNT; k++)
            for (int d = 0; d < 4; d++) {
                struct tensor x = tensor_plain(DTYPE_F32, 4, shapes[i].dim);
                struct pool_window window = {k % 2 ? POOL_AVERAGE : POOL_MAX, shapes[i].kernel, shapes[i].stride};
                int index = window.kind == POOL_MAX;
                struct op_desc desc = desc_norm_pool(OP_NORM_POOL, 1, x, (enum act)(k / 2), window, index);
                forward(h, &desc, OP_NORM, 7, datas[d]);
                desc = desc_norm_pool(OP_NORM_POOL_EVAL, 1, x, (enum act)(k / 2), window, index);
                forward(h, &desc, OP_NORM_EVAL, 5, datas[d]);
                desc = desc_norm_pool(OP_NORM_POOL_BACK, 1, x, (enum act)(k / 2), window, index);
                backward(h, &desc, datas[d]);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
