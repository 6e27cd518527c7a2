/* How parameters start: drawn from streams named by (seed, purpose, stage, parameter), so that neither the order nor
 * the number of stages in front changes a number. */
#include "program.h"

#include "base/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, so that a stream belongs to a name. */
static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static void normal(double *x, int64_t n, double deviation, struct rng *rng)
{
    for (int64_t i = 0; i < n; i++) x[i] = deviation * rng_normal(rng);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void unit_rows(double *x, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        double norm = sqrt(dot(x + r * width, x + r * width, width));
        for (int64_t i = 0; i < width; i++) x[r * width + i] = norm > 0 ? x[r * width + i] / norm : i == 0;
    }
}

/* Blocks of at most width rows, orthonormal within a block (Gram-Schmidt, applied twice for accuracy). */
static void orthogonal(double *x, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        double *row = x + r * width;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t q = r - r % width; q < r; q++) {
                double along = dot(row, x + q * width, width);
                for (int64_t i = 0; i < width; i++) row[i] -= along * x[q * width + i];
            }
        unit_rows(row, 1, width);
    }
}

static void fill(const struct value *value, double *x, int64_t count, struct rng *rng)
{
    int64_t width = value->tensor.dim[value->tensor.rank - 1];
    switch (value->init) {
    case INIT_ZERO: return; /* x is zeroed */
    case INIT_VALUE:
        for (int64_t i = 0; i < count; i++) x[i] = value->init_value;
        return;
    case INIT_HE_NORMAL: normal(x, count, sqrt(2.0 / value->init_value), rng); return;
    case INIT_FAN_NORMAL: normal(x, count, sqrt(1.0 / value->init_value), rng); return;
    case INIT_UNIT_ROWS:
        normal(x, count, 1, rng);
        unit_rows(x, count / width, width);
        return;
    case INIT_ORTHOGONAL:
        normal(x, count, 1, rng);
        orthogonal(x, count / width, width);
        return;
    }
}

/* How many numbers are drawn at a time: few, so that starting takes no memory to speak of, but never a part of what is
 * normalised together. */
static int64_t piece_of(const struct value *value, int64_t count)
{
    enum { PIECE = 1 << 16 };
    int64_t width = value->tensor.dim[value->tensor.rank - 1], piece = PIECE;
    if (value->init == INIT_UNIT_ROWS) piece = (PIECE / width + 1) * width;
    if (value->init == INIT_ORTHOGONAL) piece = width * width;
    return piece < count ? piece : count;
}

static hff_status put(struct program *program, struct stream *stream, int value, int64_t first, double *x,
                      int64_t count)
{
    enum dtype dtype = program->graph.value[value].tensor.dtype;
    size_t size = dtype_bytes(dtype);
    if (dtype == DTYPE_F32)
        for (int64_t k = 0; k < count; k++) ((float *)x)[k] = (float)x[k];
    unsigned char *to = (unsigned char *)program_address(program, value) + (size_t)first * size;
    TRY(program->backend->api->copy_in(stream, to, x, (size_t)count * size));
    return program->backend->api->stream_wait(stream);
}

static hff_status draw(struct program *program, struct stream *stream, int index, struct rng *rng)
{
    const struct value *value = &program->graph.value[index];
    int64_t count = tensor_count(&value->tensor), piece = piece_of(value, count);
    double *x = malloc((size_t)piece * sizeof *x);
    if (!x) return fail(HFF_E_MEMORY, "no memory to draw the %lld numbers of %s", (long long)count, value->name);
    hff_status status = HFF_OK;
    for (int64_t first = 0; first < count && status == HFF_OK; first += piece) {
        int64_t now = count - first < piece ? count - first : piece;
        memset(x, 0, (size_t)now * sizeof *x);
        fill(value, x, now, rng);
        status = put(program, stream, index, first, x, now);
    }
    free(x);
    return status;
}

hff_status program_init(struct program *program, struct stream *stream, uint64_t seed, int stage)
{
    for (int i = 0; i < program->graph.values; i++) {
        const struct value *value = &program->graph.value[i];
        if ((value->role != ROLE_PARAM && value->role != ROLE_STATE) || value->whole) continue;
        int prototypes = value->init == INIT_UNIT_ROWS || value->init == INIT_ORTHOGONAL;
        struct rng rng;
        rng_open(&rng, seed, prototypes ? RNG_PROTOTYPES : RNG_WEIGHTS, (uint64_t)stage, hash(value->name));
        TRY(draw(program, stream, i, &rng));
    }
    return HFF_OK;
}
