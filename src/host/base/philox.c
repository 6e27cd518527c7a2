/* Philox streams over Random123, and the distributions drawn from them. */
#include "philox.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>

void rng_open(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint64_t major, uint32_t minor)
{
    memset(rng, 0, sizeof *rng);
    rng->key[0] = (uint32_t)seed;
    rng->key[1] = (uint32_t)(seed >> 32) ^ ((uint32_t)purpose * 0x9E3779B9u);
    rng->counter[1] = minor;
    rng->counter[2] = (uint32_t)major;
    rng->counter[3] = (uint32_t)(major >> 32);
}

uint32_t rng_u32(struct rng *rng)
{
    if (rng->left == 0) {
        philox4x32_ctr_t counter;
        philox4x32_key_t key;
        memcpy(counter.v, rng->counter, sizeof rng->counter);
        memcpy(key.v, rng->key, sizeof rng->key);
        philox4x32_ctr_t block = philox4x32(counter, key);
        memcpy(rng->ready, block.v, sizeof rng->ready);
        rng->counter[0]++;
        rng->left = 4;
    }
    return rng->ready[--rng->left];
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
    uint32_t reject = (0u - n) % n; /* 2^32 mod n */
    for (;;) {
        uint64_t product = (uint64_t)rng_u32(rng) * n;
        if ((uint32_t)product >= reject) return (uint32_t)(product >> 32);
    }
}

float rng_uniform(struct rng *rng)
{
    return (float)(rng_u32(rng) >> 8) * (1.0f / 16777216.0f);
}

double rng_normal(struct rng *rng)
{
    if (rng->have_normal) {
        rng->have_normal = 0;
        return rng->normal;
    }
    double u = ((double)rng_u32(rng) + 0.5) / 4294967296.0, v = ((double)rng_u32(rng) + 0.5) / 4294967296.0;
    double radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
    rng->normal = radius * sin(angle);
    rng->have_normal = 1;
    return radius * cos(angle);
}

static double gamma_draw(struct rng *rng, double shape)
{
    double boost = 1.0;
    if (shape < 1.0) {
        boost = pow(((double)rng_u32(rng) + 0.5) / 4294967296.0, 1.0 / shape);
        shape += 1.0;
    }
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = rng_normal(rng), v = 1.0 + c * x;
        if (v <= 0.0) continue;
        v = v * v * v;
        double u = ((double)rng_u32(rng) + 0.5) / 4294967296.0;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
    }
}

double rng_beta(struct rng *rng, double alpha)
{
    double a = gamma_draw(rng, alpha), b = gamma_draw(rng, alpha);
    return a + b > 0.0 ? a / (a + b) : 0.5;
}

void rng_permutation(struct rng *rng, uint32_t *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) items[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = rng_below(rng, i), held = items[i - 1];
        items[i - 1] = items[j];
        items[j] = held;
    }
}
