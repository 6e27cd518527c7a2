/* Tensor descriptions. */
#include "tensor.h"

#include <stdio.h>
#include <string.h>

size_t dtype_bytes(enum dtype dtype)
{
    static const size_t bytes[] = {
#define ROW(name, size) [DTYPE_##name] = size,
        DTYPES(ROW)
#undef ROW
    };
    return bytes[dtype];
}

const char *dtype_name(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_F32: return "f32";
    case DTYPE_F64: return "f64";
    case DTYPE_BF16: return "bf16";
    case DTYPE_U8: return "u8";
    case DTYPE_I32: return "i32";
    case DTYPE_I64: return "i64";
    }
    return "?";
}

struct tensor tensor_plain(enum dtype dtype, int rank, const int64_t *dim)
{
    struct tensor t = {.dtype = dtype, .layout = LAYOUT_PLAIN, .rank = rank};
    for (int i = 0; i < rank; i++) t.dim[i] = dim[i];
    return t;
}

struct tensor tensor_make1(enum dtype dtype, int64_t n)
{
    return tensor_plain(dtype, 1, &n);
}

struct tensor tensor_make2(enum dtype dtype, int64_t n, int64_t c)
{
    return tensor_plain(dtype, 2, (const int64_t[]){n, c});
}

struct tensor tensor_make4(enum dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return tensor_plain(dtype, 4, (const int64_t[]){n, c, h, w});
}

int64_t tensor_count(const struct tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= t->dim[i];
    return count;
}

int64_t tensor_row(const struct tensor *t)
{
    int64_t count = 1;
    for (int i = 1; i < t->rank; i++) count *= t->dim[i];
    return count;
}

int64_t tensor_area(const struct tensor *t)
{
    return t->rank == 4 ? t->dim[2] * t->dim[3] : 1;
}

size_t tensor_row_bytes(const struct tensor *t)
{
    int64_t count = tensor_row(t);
    if (t->layout == LAYOUT_BLOCKED || t->layout == LAYOUT_CHANNELS_LAST)
        count = (t->dim[1] + t->block - 1) / t->block * t->block * tensor_area(t);
    return (size_t)count * dtype_bytes(t->dtype);
}

size_t tensor_bytes(const struct tensor *t)
{
    if (t->rank == 0) return 0;
    if (t->layout == LAYOUT_OPAQUE) return t->opaque_bytes;
    return tensor_row_bytes(t) * (size_t)t->dim[0];
}

int tensor_same(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype || a->layout != b->layout || a->rank != b->rank || a->block != b->block) return 0;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return 0;
    return a->opaque == b->opaque && a->opaque_bytes == b->opaque_bytes;
}

const char *tensor_text(const struct tensor *t, char *out, size_t size)
{
    int used = snprintf(out, size, "%s ", dtype_name(t->dtype));
    for (int i = 0; i < t->rank && used < (int)size; i++)
        used += snprintf(out + used, size - (size_t)used, "%s%lld", i ? "x" : "", (long long)t->dim[i]);
    if (used < (int)size) {
        if (t->layout == LAYOUT_BLOCKED) snprintf(out + used, size - (size_t)used, " blocked%d", t->block);
        if (t->layout == LAYOUT_CHANNELS_LAST) snprintf(out + used, size - (size_t)used, " last%d", t->block);
        if (t->layout == LAYOUT_OPAQUE) snprintf(out + used, size - (size_t)used, " packed");
    }
    return out;
}
