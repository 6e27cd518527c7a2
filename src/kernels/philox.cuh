/* base/philox.c's streams on the device, number for number: Philox 4x32-10 (Salmon et al., SC 2011). */
#ifndef HFF_KERNELS_PHILOX_CUH
#define HFF_KERNELS_PHILOX_CUH

#include "device.cuh"

#include "base/philox.h"

struct draws {
    uint32_t key[2], counter[4], ready[4];
    int left;
};

DEVICE uint32_t high_word(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}

DEVICE void philox(const uint32_t (&counter)[4], const uint32_t (&key)[2], uint32_t (&out)[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < 4; i++) out[i] = counter[i];
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = high_word(0xD2511F53u, out[0]), low0 = 0xD2511F53u * out[0];
        uint32_t high1 = high_word(0xCD9E8D57u, out[2]), low1 = 0xCD9E8D57u * out[2];
        out[0] = high1 ^ out[1] ^ k0;
        out[1] = low1;
        out[2] = high0 ^ out[3] ^ k1;
        out[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

DEVICE void draws_open(struct draws &d, uint64_t seed, enum rng_purpose purpose, uint64_t major, uint32_t minor)
{
    d.key[0] = (uint32_t)seed;
    d.key[1] = (uint32_t)(seed >> 32) ^ ((uint32_t)purpose * 0x9E3779B9u);
    d.counter[0] = 0;
    d.counter[1] = minor;
    d.counter[2] = (uint32_t)major;
    d.counter[3] = (uint32_t)(major >> 32);
    d.left = 0;
}

DEVICE uint32_t draw_word(struct draws &d)
{
    if (d.left == 0) {
        philox(d.counter, d.key, d.ready);
        d.counter[0]++;
        d.left = 4;
    }
    d.left--; /* a run-time index would put the words into local memory */
    return d.left == 3 ? d.ready[3] : d.left == 2 ? d.ready[2] : d.left == 1 ? d.ready[1] : d.ready[0];
}

/* 0 .. n-1 without bias. */
DEVICE uint32_t draw_below(struct draws &d, uint32_t n)
{
    uint32_t reject = (0u - n) % n;
    for (;;) {
        uint64_t product = (uint64_t)draw_word(d) * n;
        if ((uint32_t)product >= reject) return (uint32_t)(product >> 32);
    }
}

/* [0, 1), 24 bits. */
DEVICE float draw_uniform(struct draws &d)
{
    return (float)(draw_word(d) >> 8) * (1.0f / 16777216.0f);
}

#endif
