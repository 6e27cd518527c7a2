/* Private to the data room: reading one IDX file. */
#ifndef HFF_DATA_IDX_H
#define HFF_DATA_IDX_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { IDX_DIMS = 4 };
struct idx {
    int dims;
    uint32_t size[IDX_DIMS];
    uint8_t *values; /* product of size[], malloc'ed: the caller frees */
};

/* Reads an IDX file of unsigned bytes with 1 to 4 dimensions, plain or compressed with gzip, from memory. Every damage
 * is HFF_E_DATA with path and offset, and leaves values NULL. */
hff_status idx_parse(struct idx *out, const char *path, const unsigned char *bytes, size_t size);

#endif
