/* bf16: the upper half of an f32. Arithmetic on it is done in f32; these two functions go there and back. */
#ifndef HFF_TENSOR_BF16_H
#define HFF_TENSOR_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

static inline float bf16_wide(bf16 h)
{
    uint32_t bits = (uint32_t)h << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The nearest one, of two the even one; what is not a number stays so. No branches and 32 bits up to the last step, for
 * loops that become vectors. */
static inline bf16 bf16_near(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t near = bits + 0x7fff + (bits >> 16 & 1);
    return (bf16)((v != v ? bits | 0x400000 : near) >> 16);
}

#endif
