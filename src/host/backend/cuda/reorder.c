/* reorder, reorders: activations between planes and channels last, weights to and from what convolutions read, f32 <-> bf16. */
#include "cuda.h"

#include <stdlib.h>

hff_status cuda_filter_tensor(struct cuda_backend *backend, const struct tensor *w, enum dtype dtype,
                              struct tensor *out)
{
    struct cuda_filter own = {w->dim[0], w->dim[1], w->dim[2] * w->dim[3], 0, 0, NULL}, *found = backend->filters;
    own.out_pitch = (own.out + CUDA_CHANNELS - 1) / CUDA_CHANNELS * CUDA_CHANNELS;
    own.in_pitch = (own.in + CUDA_CHANNELS - 1) / CUDA_CHANNELS * CUDA_CHANNELS;
    while (found && !(found->out == own.out && found->in == own.in && found->area == own.area)) found = found->next;
    if (!found) {
        found = malloc(sizeof *found);
        if (!found) return fail(HFF_E_MEMORY, "no memory for a weight's layout");
        own.next = backend->filters;
        *found = own;
        backend->filters = found;
    }
    *out = *w;
    out->dtype = dtype;
    out->layout = LAYOUT_OPAQUE;
    out->opaque = found;
    out->opaque_bytes = (size_t)(own.out_pitch * own.area * own.in_pitch) * dtype_bytes(dtype);
    return HFF_OK;
}

void cuda_filters_free(struct cuda_backend *backend)
{
    for (struct cuda_filter *f = backend->filters, *next; f; f = next) {
        next = f->next;
        free(f);
    }
}

/* One side of a move: planes (batch, channels, area) where pitch is 0. */
struct side {
    int64_t batch, channels, area, pitch;
    int flat; /* planes that may be cut into channels and positions as the other side is */
};

static struct side side_of(const struct tensor *t)
{
    if (t->layout == LAYOUT_OPAQUE) {
        const struct cuda_filter *f = t->opaque;
        return (struct side){f->out, f->in, f->area, f->in_pitch, 0};
    }
    int64_t channels = t->rank > 1 ? t->dim[1] : 1;
    struct side side = {t->dim[0], channels, tensor_row(t) / channels, 0, t->rank != 4};
    if (t->layout == LAYOUT_CHANNELS_LAST) side.pitch = (channels + t->block - 1) / t->block * t->block;
    return side;
}

hff_status cuda_move_plan(const struct op_desc *desc, const struct tensor *src, const struct tensor *dst,
                          struct cuda_move *out)
{
    struct side from = side_of(src), to = side_of(dst);
    *out = (struct cuda_move){.reorder = {.src_dtype = src->dtype, .dst_dtype = dst->dtype}};
    if (src->layout == LAYOUT_BLOCKED || dst->layout == LAYOUT_BLOCKED || tensor_count(src) != tensor_count(dst))
        return cuda_refuse(desc, "the cuda backend knows no way between these layouts");
    if (from.pitch == 0 && to.pitch == 0) { /* the same order */
        out->reorder.batch = out->reorder.channels = 1;
        out->reorder.area = tensor_count(src);
        return HFF_OK;
    }
    if (from.flat && from.batch == to.batch) from = (struct side){to.batch, to.channels, to.area, 0, 1};
    if (to.flat && from.batch == to.batch) to = (struct side){from.batch, from.channels, from.area, 0, 1};
    if (from.batch != to.batch || from.channels != to.channels || from.area != to.area)
        return cuda_refuse(desc, "the cuda backend knows no way between these shapes");
    out->reorder.batch = from.batch;
    out->reorder.channels = from.channels;
    out->reorder.area = from.area;
    out->reorder.src_pitch = from.pitch;
    out->reorder.dst_pitch = to.pitch;
    if (dst->layout == LAYOUT_OPAQUE) {
        out->tail_at = (size_t)(to.batch * to.area * to.pitch) * dtype_bytes(dst->dtype);
        out->tail = dst->opaque_bytes - out->tail_at;
    }
    return HFF_OK;
}

static hff_status zero_tail(const struct cuda_move *move, struct stream *stream, void *dst)
{
    return move->tail ? cuda_calls.zero((char *)dst + move->tail_at, move->tail, stream->handle) : HFF_OK;
}

hff_status cuda_move_run(const struct cuda_move *move, struct stream *stream, const void *src, void *dst)
{
    struct kernel_reorder_args args = move->reorder;
    args.src = src;
    args.dst = dst;
    TRY(cuda_launched(kernel_reorder(&args, stream->handle), "reorder"));
    return zero_tail(move, stream, dst);
}

struct reorder_op {
    struct cuda_op base;
    struct cuda_move move;
};

static hff_status reorder_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    return cuda_move_run(&((struct reorder_op *)base)->move, stream, args[0], args[1]);
}

CUDA_CREATE(reorder)
{
    struct reorder_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, reorder_run, &op));
    *out = &op->base;
    return cuda_move_plan(desc, &desc->arg[0], &desc->arg[1], &op->move);
}

struct reorders_op {
    struct cuda_op base;
    struct cuda_move move[REORDERS];
    int moves;
};

static hff_status reorders_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    const struct reorders_op *op = (const struct reorders_op *)base;
    struct kernel_reorder_args moves[REORDERS];
    (void)workspace;
    for (int i = 0; i < op->moves; i++) {
        moves[i] = op->move[i].reorder;
        moves[i].src = args[2 * i];
        moves[i].dst = args[2 * i + 1];
    }
    TRY(cuda_launched(kernel_reorders(moves, op->moves, stream->handle), "reorders"));
    for (int i = 0; i < op->moves; i++) TRY(zero_tail(&op->move[i], stream, args[2 * i + 1]));
    return HFF_OK;
}

CUDA_CREATE(reorders)
{
    struct reorders_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, reorders_run, &op));
    *out = &op->base;
    for (; op->moves < REORDERS && desc->arg[2 * op->moves].rank; op->moves++)
        TRY(cuda_move_plan(desc, &desc->arg[2 * op->moves], &desc->arg[2 * op->moves + 1], &op->move[op->moves]));
    return HFF_OK;
}
