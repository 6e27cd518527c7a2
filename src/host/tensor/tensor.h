/* What a tensor is: element type, shape, and how its elements lie in memory. Descriptions only, no data, no computing.
 *
 * Logical dimensions are always in the order (N), (N, C) or (N, C, H, W), row-major; N is the batch where there is one.
 * A layout says how the elements lie; in every layout but LAYOUT_OPAQUE samples are contiguous, so that samples
 * [a, b) are one run of bytes. */
#ifndef HFF_TENSOR_H
#define HFF_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum { TENSOR_RANK = 4 };

/* name, bytes */
#define DTYPES(X) X(F32, 4) X(F64, 8) X(BF16, 2) X(U8, 1) X(I32, 4) X(I64, 8)
enum dtype {
#define DTYPE_NAME(name, bytes) DTYPE_##name,
    DTYPES(DTYPE_NAME)
#undef DTYPE_NAME
};

enum layout {
    LAYOUT_PLAIN,         /* row-major in the logical order */
    LAYOUT_BLOCKED,       /* rank 4: (N, ceil(C / block), H, W, block); channels beyond C are 0 */
    LAYOUT_CHANNELS_LAST, /* rank 4: (N, H, W, C rounded up to a multiple of block); channels beyond C are 0 */
    LAYOUT_ANY,           /* the backend may choose (only in descriptions given to op_create) */
    LAYOUT_OPAQUE,        /* the backend chose: opaque_bytes bytes that only its ops read */
};

struct tensor {
    enum dtype dtype;
    enum layout layout;
    int rank; /* 0: absent */
    int block;
    int64_t dim[TENSOR_RANK];
    size_t opaque_bytes;
    const void *opaque; /* the backend's own description; lives as long as the op that gave it */
};

struct tensor tensor_plain(enum dtype dtype, int rank, const int64_t *dim);
struct tensor tensor_make1(enum dtype dtype, int64_t n);
struct tensor tensor_make2(enum dtype dtype, int64_t n, int64_t c);
struct tensor tensor_make4(enum dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w);

size_t dtype_bytes(enum dtype dtype);
const char *dtype_name(enum dtype dtype); /* "f32" */

/* Logical elements (without a layout's padding); 1 for rank 0. */
int64_t tensor_count(const struct tensor *t);
/* Elements of one sample: the product of all dimensions but the first. */
int64_t tensor_row(const struct tensor *t);
/* Bytes in memory, padding included. */
size_t tensor_bytes(const struct tensor *t);
/* Bytes of one sample in memory, padding included (not for LAYOUT_OPAQUE). */
size_t tensor_row_bytes(const struct tensor *t);
/* H * W of rank 4, 1 otherwise. */
int64_t tensor_area(const struct tensor *t);
int tensor_same(const struct tensor *a, const struct tensor *b);
/* "f32 128x64x16x16 blocked16" into out. */
const char *tensor_text(const struct tensor *t, char *out, size_t size);

#endif
