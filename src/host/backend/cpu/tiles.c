/* Tiles of a product; and what all sliced products and convolutions check. */
#include "tiles.h"

hff_status tiles_create(struct tiles *out, struct cut m, struct cut n, const struct product_desc *desc)
{
    *out = (struct tiles){.m = m, .n = n};
    for (int corner = 0; corner < 4; corner++) {
        int i = corner & 1 ? m.count - 1 : 0, j = corner & 2 ? n.count - 1 : 0;
        struct product **product = &out->product[cut_is_short(&m, i)][cut_is_short(&n, j)];
        if (*product) continue;
        struct product_desc part = *desc;
        part.m = cut_length(&m, i);
        part.n = cut_length(&n, j);
        TRY(product_create(product, &part));
        size_t scratch = align64(product_scratch(*product));
        if (scratch > out->scratch) out->scratch = scratch;
    }
    return HFF_OK;
}

const struct product *tiles_product(const struct tiles *tiles, int i, int j)
{
    return tiles->product[cut_is_short(&tiles->m, i)][cut_is_short(&tiles->n, j)];
}

void tiles_free(struct tiles *tiles)
{
    for (int i = 0; i < 4; i++) product_destroy(tiles->product[i / 2][i % 2]);
}

hff_status cpu_check_types(const struct op_desc *desc)
{
    for (int i = 0; i < op_table[desc->kind].args; i++)
        if (desc->arg[i].rank && op_table[desc->kind].arg[i].dtype < 0 && desc->arg[i].dtype == DTYPE_F64)
            return fail(HFF_E_CONFIG, "the cpu backend computes in f32 and bf16, not f64");
    return HFF_OK;
}

hff_status slice_samples(const struct op_desc *desc, int64_t *samples)
{
    int64_t batch = desc->arg[0].dim[0];
    TRY(cpu_check_types(desc));
    int even = desc->slices >= 1 && batch % desc->slices == 0; /* checked already where sums depend on it */
    *samples = even ? batch / desc->slices : batch;
    return HFF_OK;
}
