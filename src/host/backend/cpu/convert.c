/* Moving elements between layouts and types. */
#include "convert.h"

#include "element.h"

#include <stdatomic.h>
#include <string.h>

enum { PART_ROWS = 64 /* a multiple of every block */, WHOLE_BYTES = 128 << 10 };

/* How a sample's elements lie, from and to; block 0: plain. */
struct way {
    int64_t channels, area, from_block, to_block;
};

/* Channels first, element by element: plain to blocks. Lanes beyond the channels become 0. */
INLINE void to_blocks(enum dtype to, char *out, enum dtype from, const char *in, struct way w)
{
    for (int64_t c0 = 0, base = 0; c0 < w.channels; c0 += w.to_block, base += w.area * w.to_block) {
        int64_t lanes = w.channels - c0 < w.to_block ? w.channels - c0 : w.to_block;
        for (int64_t p = 0; p < w.area; p++) {
            int64_t at = base + p * w.to_block;
            for (int64_t lane = 0; lane < lanes; lane++)
                element_put(to, out, at + lane, element_get(from, in, (c0 + lane) * w.area + p));
            for (int64_t lane = lanes; lane < w.to_block; lane++) element_put(to, out, at + lane, 0);
        }
    }
}

INLINE void from_blocks(enum dtype to, char *out, enum dtype from, const char *in, struct way w)
{
    for (int64_t c = 0; c < w.channels; c++) {
        int64_t first = c / w.from_block * w.area * w.from_block + c % w.from_block;
        for (int64_t p = 0; p < w.area; p++)
            element_put(to, out, c * w.area + p, element_get(from, in, first + p * w.from_block));
    }
}

INLINE void between_blocks(enum dtype to, char *out, enum dtype from, const char *in, struct way w)
{
    for (int64_t c0 = 0, base = 0; c0 < w.channels; c0 += w.to_block, base += w.area * w.to_block)
        for (int64_t p = 0; p < w.area; p++)
            for (int64_t lane = 0; lane < w.to_block; lane++) {
                int64_t c = c0 + lane, at = (c / w.from_block * w.area + p) * w.from_block + c % w.from_block;
                element_put(to, out, base + p * w.to_block + lane, c < w.channels ? element_get(from, in, at) : 0);
            }
}

INLINE void sample(enum dtype to, char *out, enum dtype from, const char *in, struct way w)
{
    if (w.to_block && w.from_block)
        between_blocks(to, out, from, in, w);
    else if (w.to_block)
        to_blocks(to, out, from, in, w);
    else if (w.from_block)
        from_blocks(to, out, from, in, w);
    else
        for (int64_t i = 0; i < w.channels * w.area; i++) element_put(to, out, i, element_get(from, in, i));
}

/* The types as constants. */
CPU_SIMD static void convert_sample(enum dtype to, char *out, enum dtype from, const char *in, struct way w)
{
    if (to == DTYPE_F32 && from == DTYPE_F32)
        sample(DTYPE_F32, out, DTYPE_F32, in, w);
    else if (to == DTYPE_F32)
        sample(DTYPE_F32, out, DTYPE_BF16, in, w);
    else if (from == DTYPE_F32)
        sample(DTYPE_BF16, out, DTYPE_F32, in, w);
    else
        sample(DTYPE_BF16, out, DTYPE_BF16, in, w);
}

void convert_samples(const struct tensor *to, void *out, const struct tensor *from, const void *in, int64_t samples)
{
    size_t out_row = tensor_row_bytes(to), in_row = tensor_row_bytes(from);
    const struct tensor *shape = to->layout == LAYOUT_BLOCKED ? to : from;
    struct way way = {.from_block = from->layout == LAYOUT_BLOCKED ? from->block : 0,
                      .to_block = to->layout == LAYOUT_BLOCKED ? to->block : 0,
                      .area = tensor_area(shape)};
    way.channels = tensor_row(shape) / way.area;
    for (int64_t n = 0; n < samples; n++)
        convert_sample(to->dtype, (char *)out + (size_t)n * out_row, from->dtype, (const char *)in + (size_t)n * in_row,
                       way);
}

static hff_status move_part(struct primitive *out, const struct mem_layout *to, const struct mem_layout *from,
                            int64_t first, int64_t rows)
{
    struct mem_layout from_part = {0}, to_part = {0};
    hff_status status = layout_rows(&from_part, from, first, rows);
    if (status == HFF_OK) status = layout_rows(&to_part, to, first, rows);
    if (status == HFF_OK) status = primitive_reorder(out, &from_part, &to_part, 1);
    layout_free(&from_part);
    layout_free(&to_part);
    return status;
}

static hff_status move_in_parts(struct weight_move *out, const struct mem_layout *to, const struct mem_layout *from,
                                int64_t rows)
{
    int64_t step = ((rows + WEIGHT_PARTS - 1) / WEIGHT_PARTS + PART_ROWS - 1) / PART_ROWS * PART_ROWS;
    for (int64_t first = 0; first < rows; first += step) {
        TRY(move_part(&out->part[out->parts], to, from, first, rows - first < step ? rows - first : step));
        out->parts++;
    }
    return HFF_OK;
}

hff_status weight_move_create(struct weight_move *out, const struct mem_layout *to, const struct mem_layout *from)
{
    *out = (struct weight_move){0};
    dnnl_single_thread();
    int cut = dnnl_memory_desc_get_size(md(to)) > WHOLE_BYTES;
    if (!cut || move_in_parts(out, to, from, layout_first(to)) != HFF_OK) {
        weight_move_free(out);
        TRY(primitive_reorder(&out->part[0], from, to, 1));
        out->parts = 1;
    }
    for (int i = 0; i < out->parts; i++)
        if (out->part[i].scratch > out->scratch) out->scratch = out->part[i].scratch;
    return HFF_OK;
}

struct move_run {
    const struct weight_move *move;
    void *in, *out;
    char *scratch;
    atomic_int refused;
};

/* A part is run by one thread at a time: it has one place. */
static void move_task(void *context, int task, int thread)
{
    struct move_run *run = context;
    void *scratch = run->scratch + (size_t)thread * run->move->scratch;
    if (!primitive_run(&run->move->part[task], 0, (void *const[]){run->in, run->out}, scratch)) run->refused = 1;
}

hff_status weight_move_run(const struct weight_move *move, struct team *team, void *out, void *in, void *scratch)
{
    struct move_run run = {.move = move, .in = in, .out = out, .scratch = scratch};
    team_run(team, move->parts, move_task, &run);
    return run.refused ? fail(HFF_E_DEVICE, "oneDNN could not move weights to another layout") : HFF_OK;
}

void weight_move_free(struct weight_move *move)
{
    for (int i = 0; i < move->parts; i++) primitive_free(&move->part[i]);
    *move = (struct weight_move){0};
}
