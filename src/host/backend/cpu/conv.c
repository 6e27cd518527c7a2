/* conv and conv_data: the batch is cut into pieces of samples, a task each. */
#include "conv.h"
#include "winograd.h"

#include <stdlib.h>

/* A piece has SAMPLES samples, or more when that is less work than TASK_FLOPS. */
enum { SAMPLES = 8, SAMPLES_MOST = 64, TASK_FLOPS = 8000000 };

static const struct conv_roles roles[] = {
    [CONV_FORWARD] = {.x = 0, .w = 1, .bias = 2, .y = 3},
    [CONV_DATA] = {.y = 0, .w = 1, .x = 2, .bias = -1},
    [CONV_WEIGHT] = {.x = 0, .y = 1, .w = 2, .bias = 3},
};

static struct tensor piece_as(const struct conv_op *op, const struct tensor *whole, enum layout layout, int block)
{
    struct tensor t = *whole;
    t.dim[0] = op->piece;
    t.layout = layout;
    t.block = layout == LAYOUT_BLOCKED ? block : 0;
    return t;
}

static hff_status plan_with(struct conv_op *op, const struct op_desc *desc)
{
    struct conv_layouts layouts = {
        .kernel = desc->attr.conv.kernel, .stride = desc->attr.conv.stride, .pad = desc->attr.conv.pad};
    struct tensor w = desc->arg[op->role.w], dw = w;
    w.layout = dw.layout = LAYOUT_ANY;
    w.dtype = op->x.dtype;
    hff_status status = layout_of(&layouts.x, &op->x);
    if (status == HFF_OK) status = layout_of(&layouts.y, &op->y);
    if (status == HFF_OK) status = layout_of(&layouts.w, &w);
    if (status == HFF_OK && op->pass == CONV_WEIGHT) status = layout_of(&layouts.dw, &dw);
    if (status == HFF_OK && op->role.bias >= 0 && desc->arg[op->role.bias].rank)
        status = layout_of(&layouts.bias, &desc->arg[op->role.bias]);
    if (status == HFF_OK) status = primitive_plan_conv(&op->primitive, op->pass, &layouts);
    layout_free(&layouts.x);
    layout_free(&layouts.y);
    layout_free(&layouts.w);
    layout_free(&layouts.dw);
    layout_free(&layouts.bias);
    return status;
}

/* oneDNN has quick code for some pairs of layouts only (a plain x of at most 3 channels, say, but blocks of 16 above):
 * where the given pair is slow, pieces are converted on the way. */
static hff_status plan(struct conv_op *op, const struct op_desc *desc, int block)
{
    static const struct {
        enum layout x, y;
    } tries[] = {
        {LAYOUT_ANY, LAYOUT_ANY}, /* as given */
        {LAYOUT_BLOCKED, LAYOUT_BLOCKED}, {LAYOUT_PLAIN, LAYOUT_BLOCKED},
        {LAYOUT_BLOCKED, LAYOUT_PLAIN},   {LAYOUT_PLAIN, LAYOUT_PLAIN},
    };
    const struct tensor *x = &desc->arg[op->role.x], *y = &desc->arg[op->role.y];
    hff_status status = HFF_OK;
    for (int slow_too = 0; slow_too < 2; slow_too++)
        for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
            op->x = i ? piece_as(op, x, tries[i].x, block) : piece_as(op, x, x->layout, x->block);
            op->y = i ? piece_as(op, y, tries[i].y, block) : piece_as(op, y, y->layout, y->block);
            status = plan_with(op, desc);
            if (status == HFF_OK && (slow_too || !primitive_is_slow(&op->primitive))) return HFF_OK;
            if (status == HFF_OK) primitive_free(&op->primitive);
        }
    return status;
}

/* Tells the caller the weights' layout, or prepares to move them from or to the one that the caller has. */
static hff_status settle_weights(struct conv_op *op, struct cpu_backend *backend)
{
    struct tensor *given = &op->base.op.desc.arg[op->role.w];
    op->w = *given;
    if (op->pass != CONV_WEIGHT) op->w.dtype = op->x.dtype;
    TRY(layout_choose(backend, primitive_weights(&op->primitive), &op->w));
    if (given->layout == LAYOUT_ANY) *given = op->w;
    struct mem_layout inner = {0}, outer = {0};
    hff_status status = layout_of(&inner, &op->w);
    if (status == HFF_OK) status = layout_of(&outer, given);
    op->moves_w = status == HFF_OK && !layout_same(&inner, &outer);
    int out = op->pass == CONV_WEIGHT;
    if (op->moves_w) status = weight_move_create(&op->move, out ? &outer : &inner, out ? &inner : &outer);
    layout_free(&inner);
    layout_free(&outer);
    return status;
}

static void size_workspace(struct conv_op *op, int threads)
{
    const struct tensor *x = &op->base.op.desc.arg[op->role.x], *y = &op->base.op.desc.arg[op->role.y];
    op->changes_x = op->x.layout != x->layout || op->x.block != x->block;
    op->changes_y = op->y.layout != y->layout || op->y.block != y->block;
    op->x_bytes = op->changes_x ? align64(tensor_bytes(&op->x)) : 0;
    op->y_bytes = op->changes_y ? align64(tensor_bytes(&op->y)) : 0;
    op->w_bytes = align64(tensor_bytes(&op->w));
    op->thread_bytes = op->primitive.scratch + op->x_bytes + op->y_bytes;
    if (op->thread_bytes < op->move.scratch) op->thread_bytes = op->move.scratch;
    op->base.workspace = op->thread_bytes * (size_t)threads + (op->moves_w ? op->w_bytes : 0);
}

hff_status conv_create(struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass, int64_t piece,
                       struct conv_op **out)
{
    struct conv_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->pass = pass;
    op->role = roles[pass];
    op->piece = piece;
    op->pieces = (int)(desc->arg[0].dim[0] / piece);
    op->base.destroy = conv_destroy;
    hff_status status = plan(op, desc, backend->block);
    if (status == HFF_OK) status = settle_weights(op, backend);
    if (status == HFF_OK) status = primitive_finish(&op->primitive, backend->base.threads);
    if (status != HFF_OK) {
        conv_destroy(&op->base);
        free(op);
        return status;
    }
    size_workspace(op, backend->base.threads);
    *out = op;
    return HFF_OK;
}

void conv_destroy(struct cpu_op *base)
{
    struct conv_op *op = (struct conv_op *)base;
    weight_move_free(&op->move);
    primitive_free(&op->primitive);
}

void conv_piece(struct conv_op *op, int piece, int thread, void *w, void *bias)
{
    const struct tensor *given_x = &op->base.op.desc.arg[op->role.x], *given_y = &op->base.op.desc.arg[op->role.y];
    char *room = op->workspace + (size_t)thread * op->thread_bytes, *room_x = room + op->primitive.scratch;
    size_t first = (size_t)piece * (size_t)op->piece;
    char *x = (char *)op->args[op->role.x] + first * tensor_row_bytes(given_x);
    char *y = (char *)op->args[op->role.y] + first * tensor_row_bytes(given_y);
    char *inner_x = op->changes_x ? room_x : x;
    char *inner_y = op->changes_y ? room_x + op->x_bytes : y;
    int writes_x = op->pass == CONV_DATA, writes_y = op->pass == CONV_FORWARD;
    if (op->changes_x && !writes_x) convert_samples(&op->x, inner_x, given_x, x, op->piece);
    if (op->changes_y && !writes_y) convert_samples(&op->y, inner_y, given_y, y, op->piece);
    if (!primitive_run(&op->primitive, thread, (void *const[]){inner_x, w, inner_y, bias}, room)) op->refused = 1;
    if (op->changes_x && writes_x) convert_samples(given_x, x, &op->x, inner_x, op->piece);
    if (op->changes_y && writes_y) convert_samples(given_y, y, &op->y, inner_y, op->piece);
}

hff_status conv_outcome(const struct conv_op *op)
{
    return op->refused ? fail(HFF_E_DEVICE, "oneDNN could not run a convolution") : HFF_OK;
}

static void piece_task(void *context, int task, int thread)
{
    struct conv_op *op = context;
    void *w =
        op->moves_w ? op->workspace + op->thread_bytes * (size_t)op->base.op.backend->threads : op->args[op->role.w];
    conv_piece(op, task, thread, w, op->role.bias >= 0 ? op->args[op->role.bias] : NULL);
}

static hff_status pieces_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct conv_op *op = (struct conv_op *)base;
    op->args = args;
    op->workspace = workspace;
    op->refused = 0;
    if (op->moves_w) {
        char *w = op->workspace + op->thread_bytes * (size_t)base->op.backend->threads;
        TRY(weight_move_run(&op->move, team, w, args[op->role.w], workspace));
    }
    team_run(team, op->pieces, piece_task, op);
    return conv_outcome(op);
}

static hff_status pieces_create(struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass,
                                struct cpu_op **out)
{
    if (winograd_fits(backend, desc, pass)) return winograd_create(backend, desc, pass, out);
    const struct tensor *w = &desc->arg[1], *y = &desc->arg[roles[pass].y];
    int64_t samples, flops = 2 * tensor_count(w) * tensor_area(y), most = TASK_FLOPS / (flops > 0 ? flops : 1);
    TRY(slice_samples(desc, &samples));
    if (most < SAMPLES) most = SAMPLES;
    if (most > SAMPLES_MOST) most = SAMPLES_MOST;
    struct conv_op *op;
    TRY(conv_create(backend, desc, pass, slice_piece(samples, most), &op));
    op->base.run = pieces_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_conv_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return pieces_create(backend, desc, CONV_FORWARD, out);
}

hff_status cpu_conv_data_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return pieces_create(backend, desc, CONV_DATA, out);
}
