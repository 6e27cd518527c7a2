/* energy, energy_back, deviation, deviation_back: src/kernels/energy.cu, deviation.cu. */
#include "cuda.h"

/* Channels whose sums a block has room for. */
enum { ENERGY_MOST = 16384, DEVIATION_MOST = 6144 };

struct moments_op {
    struct cuda_op base;
    struct kernel_moments_args args;
};

typedef int (*moments_kernel)(const struct kernel_moments_args *a, kernel_stream stream);

static hff_status forward(struct cuda_op *base, struct stream *stream, void *const *args, moments_kernel kernel)
{
    struct kernel_moments_args a = ((struct moments_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    return cuda_launched(kernel(&a, stream->handle), op_table[base->op.desc.kind].name);
}

static hff_status back(struct cuda_op *base, struct stream *stream, void *const *args, moments_kernel kernel)
{
    struct kernel_moments_args a = ((struct moments_op *)base)->args;
    a.x = args[0];
    a.dy = args[1];
    a.dx = args[2];
    return cuda_launched(kernel(&a, stream->handle), op_table[base->op.desc.kind].name);
}

static hff_status energy_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    return forward(base, stream, args, kernel_energy);
}

static hff_status energy_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    return back(base, stream, args, kernel_energy_back);
}

static hff_status deviation_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    return forward(base, stream, args, kernel_deviation);
}

static hff_status deviation_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    return back(base, stream, args, kernel_deviation_back);
}

/* dx: the argument that is one, 0 where there is none. */
static hff_status create(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int dx,
                         hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct moments_op *op;
    struct cuda_view x, same;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(cuda_view(desc, 0, &x));
    TRY(cuda_view(desc, dx, &same));
    if (same.pitch != x.pitch) return cuda_refuse(desc, "its activations lie in different ways");
    op->args = (struct kernel_moments_args){.dtype = x.dtype,
                                            .batch = x.batch,
                                            .area = (int64_t)x.height * x.width,
                                            .channels = x.channels,
                                            .pitch = x.pitch,
                                            .groups = (int)desc->arg[1].dim[1]};
    return HFF_OK;
}

static hff_status check_fits(const struct op_desc *desc, int channels, int most)
{
    if (channels <= most) return HFF_OK;
    return fail(HFF_E_CONFIG, "the cuda backend does not do op %s of more than %d channels yet; use run.backend cpu",
                op_table[desc->kind].name, most);
}

/* The groups of a flat activation lie side by side: where a row is too wide each group passes for a sample. */
static hff_status create_energy(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int dx,
                                hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    TRY(create(backend, desc, out, dx, run));
    struct kernel_moments_args *a = &((struct moments_op *)*out)->args;
    if (a->area == 1 && a->pitch == a->channels && a->channels > ENERGY_MOST) {
        a->batch *= a->groups;
        a->channels = a->pitch = a->channels / a->groups;
        a->groups = 1;
    }
    return check_fits(desc, a->pitch, ENERGY_MOST);
}

static hff_status create_deviation(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out,
                                   int dx, hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    TRY(create(backend, desc, out, dx, run));
    return check_fits(desc, ((struct moments_op *)*out)->args.pitch, DEVIATION_MOST);
}

CUDA_CREATE(energy)
{
    return create_energy(backend, desc, out, 0, energy_run);
}

CUDA_CREATE(energy_back)
{
    return create_energy(backend, desc, out, 2, energy_back_run);
}

CUDA_CREATE(deviation)
{
    return create_deviation(backend, desc, out, 0, deviation_run);
}

CUDA_CREATE(deviation_back)
{
    return create_deviation(backend, desc, out, 2, deviation_back_run);
}
