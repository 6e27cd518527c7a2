/* Randomness that depends on what is drawn, never on who draws it or when: Philox 4x32-10 (Salmon et al., SC 2011).
 *
 * A stream is named by (seed, purpose) and by (major, minor): an epoch or step number and a sample or element number.
 * Opening a stream costs nothing, so open one for every sample. */
#ifndef HFF_BASE_PHILOX_H
#define HFF_BASE_PHILOX_H

#include <stdint.h>

enum rng_purpose {
    RNG_WEIGHTS = 1,
    RNG_PROTOTYPES,
    RNG_SHUFFLE,
    RNG_AUGMENT,
    RNG_MIXUP,
    RNG_DIGITS,
    RNG_HOLDOUT,
    RNG_NEGATIVES,
    RNG_TEST,
};

struct rng {
    uint32_t key[2], counter[4], ready[4];
    int left; /* words of ready not yet used */
    int have_normal;
    double normal;
};

void rng_open(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint64_t major, uint32_t minor);
uint32_t rng_u32(struct rng *rng);
/* 0 .. n-1 without bias; n > 0. */
uint32_t rng_below(struct rng *rng, uint32_t n);
/* [0, 1), 24 bits. */
float rng_uniform(struct rng *rng);
/* Standard normal (Box-Muller in double). */
double rng_normal(struct rng *rng);
/* Beta(alpha, alpha), alpha > 0, by two gamma draws (Marsaglia and Tsang 2000). */
double rng_beta(struct rng *rng, double alpha);
/* items 0 .. n-1 in random order (Fisher-Yates). */
void rng_permutation(struct rng *rng, uint32_t *items, uint32_t n);

#endif
