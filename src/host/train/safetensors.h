/* Safetensors files (github.com/huggingface/safetensors, format 1): 8 bytes little-endian header length, JSON header,
 * tensor bytes. The reader trusts nothing: every length and offset is checked against the file and against overflow,
 * holes and overlaps are refused, nesting is limited. Fuzz target: tests/fuzz/fuzz_safetensors.c. */
#ifndef HFF_TRAIN_SAFETENSORS_H
#define HFF_TRAIN_SAFETENSORS_H

#include "base/status.h"
#include "tensor/tensor.h"

#include <stdio.h>

enum { SAFETENSORS_RANK = 8 };

struct safetensor {
    const char *name;
    enum dtype dtype; /* F32 F64 BF16 U8 I32 I64 */
    int rank;         /* 0 .. SAFETENSORS_RANK */
    int64_t dim[SAFETENSORS_RANK];
    const void *data;     /* not necessarily aligned; in the file's bytes; NULL after safetensors_open */
    size_t bytes, offset; /* offset: from the first tensor's first byte */
};

struct safetensors {
    int count;
    struct safetensor *tensor; /* in file order */
    int metadata_count;
    const char **metadata_key, **metadata_value;
    unsigned char *bytes; /* the whole file; NULL after safetensors_open */
    FILE *stream;         /* after safetensors_open */
    size_t start;         /* of the first tensor in the stream */
    void *owned;          /* json_t behind the names */
};

/* HFF_E_FORMAT with path (what) and what is wrong; HFF_E_IO when it cannot be read. */
hff_status safetensors_read(struct safetensors *out, const char *path);
hff_status safetensors_parse(struct safetensors *out, const char *what, unsigned char *bytes,
                             size_t size); /* owns bytes on success */
/* Reads the header only; tensors follow by safetensors_load. */
hff_status safetensors_open(struct safetensors *out, const char *path);
/* bytes of a tensor from its byte at on. HFF_E_IO or HFF_E_FORMAT with path (what) when they cannot be read. */
hff_status safetensors_load(const struct safetensors *file, const char *what, const struct safetensor *tensor,
                            size_t at, size_t bytes, void *to);
void safetensors_free(struct safetensors *file);
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name); /* NULL */
const char *safetensors_metadata(const struct safetensors *file, const char *key);           /* NULL */

/* Writes atomically (base/file.h). Header keys in the given order, header padded with spaces to 8 bytes, the same bytes
 * for the same input. A name or text that is not UTF-8 is HFF_E_FORMAT; a tensor whose bytes do not match its shape, or
 * a name given twice, HFF_E_INTERNAL. */
hff_status safetensors_write(const char *path, const struct safetensor *tensor, int count,
                             const char *const *metadata_key, const char *const *metadata_value, int metadata_count);

/* The same with tensors whose data is NULL fetched in pieces of at most SAFETENSORS_PIECE bytes, so that only one is in
 * memory at a time: fetch sets *data to bytes of tensor index from its byte at on, valid until the next call. */
enum { SAFETENSORS_PIECE = 1 << 20 };
typedef hff_status (*safetensors_fetch)(void *context, int index, size_t at, size_t bytes, const void **data);
hff_status safetensors_write_fetched(const char *path, const struct safetensor *tensor, int count,
                                     safetensors_fetch fetch, void *context, const char *const *metadata_key,
                                     const char *const *metadata_value, int metadata_count);

#endif
