/* Moving elements between layouts. */
#include "convert.h"

#include <stdatomic.h>
#include <string.h>

enum { PART_ROWS = 64 /* a multiple of every block */, WHOLE_BYTES = 128 << 10 };

/* Channels first, element by element: plain to blocks. Lanes beyond the channels become 0. */
CPU_SIMD static void to_blocks(float *out, const float *in, int64_t channels, int64_t area, int64_t block)
{
    for (int64_t c0 = 0; c0 < channels; c0 += block, out += area * block) {
        int64_t lanes = channels - c0 < block ? channels - c0 : block;
        for (int64_t p = 0; p < area; p++) {
            for (int64_t lane = 0; lane < lanes; lane++) out[p * block + lane] = in[(c0 + lane) * area + p];
            for (int64_t lane = lanes; lane < block; lane++) out[p * block + lane] = 0;
        }
    }
}

CPU_SIMD static void from_blocks(float *out, const float *in, int64_t channels, int64_t area, int64_t block)
{
    for (int64_t c = 0; c < channels; c++) {
        const float *from = in + c / block * area * block + c % block;
        for (int64_t p = 0; p < area; p++) out[c * area + p] = from[p * block];
    }
}

CPU_SIMD static void between_blocks(float *out, int64_t out_block, const float *in, int64_t in_block, int64_t channels,
                                    int64_t area)
{
    for (int64_t c0 = 0; c0 < channels; c0 += out_block, out += area * out_block)
        for (int64_t p = 0; p < area; p++)
            for (int64_t lane = 0; lane < out_block; lane++) {
                int64_t c = c0 + lane;
                out[p * out_block + lane] = c < channels ? in[(c / in_block * area + p) * in_block + c % in_block] : 0;
            }
}

void convert_samples(const struct tensor *to, float *out, const struct tensor *from, const float *in, int64_t samples)
{
    size_t out_row = tensor_row_bytes(to) / sizeof(float), in_row = tensor_row_bytes(from) / sizeof(float);
    int out_blocked = to->layout == LAYOUT_BLOCKED, in_blocked = from->layout == LAYOUT_BLOCKED;
    if (!out_blocked && !in_blocked) {
        memcpy(out, in, (size_t)samples * in_row * sizeof(float));
        return;
    }
    const struct tensor *shape = out_blocked ? to : from;
    int64_t channels = shape->dim[1], area = tensor_area(shape);
    for (int64_t n = 0; n < samples; n++, out += out_row, in += in_row) {
        if (!in_blocked)
            to_blocks(out, in, channels, area, to->block);
        else if (!out_blocked)
            from_blocks(out, in, channels, area, from->block);
        else
            between_blocks(out, to->block, in, from->block, channels, area);
    }
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
