/* Philox against Random123's known answers; streams; the distributions, within bounds of about six standard errors. */
#include "base/philox.h"

#include "fixture.h"

#include <math.h>

enum { DRAWS = 200000 };

static void open_test(struct rng *rng, uint64_t major)
{
    rng_open(rng, 12345, RNG_TEST, major, 0);
}

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rng rng = {0};
        memcpy(rng.counter, rows[i].counter, sizeof rng.counter);
        memcpy(rng.key, rows[i].key, sizeof rng.key);
        for (int word = 3; word >= 0; word--) assert_int_equal(rng_u32(&rng), rows[i].expected[word]);
        assert_int_equal(rng.counter[0], rows[i].counter[0] + 1u); /* the next block */
    }
}

static void streams_do_not_depend_on_order(void **state)
{
    (void)state;
    enum { STREAMS = 50, EACH = 11 };
    uint32_t forward[STREAMS][EACH];
    struct rng rng, open[STREAMS];
    for (int s = 0; s < STREAMS; s++) {
        rng_open(&rng, 7, RNG_AUGMENT, (uint64_t)s / 10, (uint32_t)s % 10);
        for (int i = 0; i < EACH; i++) forward[s][i] = rng_u32(&rng);
    }
    for (int s = STREAMS - 1; s >= 0; s--) rng_open(&open[s], 7, RNG_AUGMENT, (uint64_t)s / 10, (uint32_t)s % 10);
    for (int i = 0; i < EACH; i++)
        for (int s = STREAMS - 1; s >= 0; s--) assert_int_equal(rng_u32(&open[s]), forward[s][i]);
}

/* Every part of a stream's name counts, the upper halves of the 64-bit ones too. */
static void names_make_different_streams(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        enum rng_purpose purpose;
        uint64_t major;
        uint32_t minor;
    } names[] = {
        {1, RNG_TEST, 1, 1},    {2, RNG_TEST, 1, 1}, {1 + (1ull << 40), RNG_TEST, 1, 1},
        {1, RNG_WEIGHTS, 1, 1}, {1, RNG_TEST, 2, 1}, {1, RNG_TEST, 1 + (1ull << 40), 1},
        {1, RNG_TEST, 1, 2},    {1, RNG_TEST, 0, 1}, {1, RNG_TEST, 1, 0},
    };
    enum { COUNT = sizeof names / sizeof *names };
    uint32_t drawn[COUNT][8];
    for (int n = 0; n < COUNT; n++) {
        struct rng rng;
        rng_open(&rng, names[n].seed, names[n].purpose, names[n].major, names[n].minor);
        for (int i = 0; i < 8; i++) drawn[n][i] = rng_u32(&rng);
        for (int m = 0; m < n; m++)
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < 8; j++) assert_int_not_equal(drawn[n][i], drawn[m][j]);
    }
}

/* Chi-squared of counts against equal shares. */
static double chi_squared(const int *counts, int cells, double total)
{
    double sum = 0, share = total / cells;
    for (int i = 0; i < cells; i++) sum += (counts[i] - share) * (counts[i] - share) / share;
    return sum;
}

static void assert_uniform_counts(const int *counts, int cells, double total)
{
    double bound = cells - 1 + 6 * sqrt(2.0 * (cells - 1)) + 12, found = chi_squared(counts, cells, total);
    if (found > bound) fail_msg("chi-squared %g of %d cells, above %g", found, cells, bound);
}

static void uniform_is_uniform(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 1);
    int counts[64] = {0};
    double sum = 0, squares = 0, lag = 0, last = 0.5;
    for (int i = 0; i < DRAWS; i++) {
        double u = rng_uniform(&rng);
        assert_true(u >= 0.0 && u < 1.0);
        counts[(int)(u * 64)]++;
        sum += u;
        squares += u * u;
        lag += (u - 0.5) * (last - 0.5);
        last = u;
    }
    assert_uniform_counts(counts, 64, DRAWS);
    assert_true(fabs(sum / DRAWS - 0.5) < 0.004);
    assert_true(fabs(squares / DRAWS - 1.0 / 3.0) < 0.004);
    assert_true(fabs(lag / DRAWS) < 0.0012);
}

/* The first draw of neighbouring streams, as augmentation uses them. */
static void neighbouring_streams_are_uniform_together(void **state)
{
    (void)state;
    int counts[64] = {0};
    for (uint32_t minor = 0; minor < 50000; minor++) {
        struct rng rng;
        rng_open(&rng, 1, RNG_AUGMENT, 3, minor);
        counts[(int)(rng_uniform(&rng) * 64)]++;
    }
    assert_uniform_counts(counts, 64, 50000);
}

static void below_is_uniform_and_in_range(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 2);
    for (uint32_t n = 1; n <= 24; n++) {
        int counts[24] = {0};
        for (int i = 0; i < 20000; i++) {
            uint32_t drawn = rng_below(&rng, n);
            assert_true(drawn < n);
            counts[drawn]++;
        }
        assert_uniform_counts(counts, (int)n, 20000);
    }
    /* Of 3 * 2^30 values, thirds must be equal; taking a word modulo n would give the first third half of all draws. */
    int thirds[3] = {0};
    for (int i = 0; i < 30000; i++) thirds[rng_below(&rng, 3u << 30) >> 30]++;
    assert_uniform_counts(thirds, 3, 30000);
}

static void normal_has_the_moments_of_the_normal(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 3);
    double moment[5] = {0}, product = 0, last = 0;
    int beyond = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_normal(&rng), power = 1;
        assert_true(isfinite(x));
        for (int k = 0; k < 5; k++, power *= x) moment[k] += power / DRAWS;
        beyond += fabs(x) > 1.959963985;
        product += x * last / DRAWS;
        last = x;
    }
    assert_true(fabs(moment[1]) < 0.015);
    assert_true(fabs(moment[2] - 1) < 0.02);
    assert_true(fabs(moment[3]) < 0.06);
    assert_true(fabs(moment[4] - 3) < 0.15);
    assert_true(fabs(beyond / (double)DRAWS - 0.05) < 0.003);
    assert_true(fabs(product) < 0.015); /* the two of a Box-Muller pair are independent */
}

/* Mean 1/2, variance 1 / (4 (2 alpha + 1)). */
static void beta_has_the_moments_of_the_beta(void **state)
{
    (void)state;
    static const double alphas[] = {0.1, 0.2, 0.5, 1, 2.5, 8};
    for (int a = 0; a < 6; a++) {
        struct rng rng;
        open_test(&rng, 4 + (uint64_t)a);
        double sum = 0, squares = 0;
        for (int i = 0; i < 50000; i++) {
            double x = rng_beta(&rng, alphas[a]);
            assert_true(x >= 0 && x <= 1);
            sum += x / 50000;
            squares += (x - 0.5) * (x - 0.5) / 50000;
        }
        double variance = 1 / (4 * (2 * alphas[a] + 1));
        assert_true(fabs(sum - 0.5) < 6 * sqrt(variance / 50000));
        if (fabs(squares / variance - 1) > 0.04)
            fail_msg("alpha %g: variance %g, not %g", alphas[a], squares, variance);
    }
}

static void tiny_alpha_stays_in_range(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 20);
    for (int i = 0; i < 2000; i++) {
        double x = rng_beta(&rng, 0.0005); /* both gamma draws underflow at times */
        assert_true(x >= 0 && x <= 1);
    }
}

static void permutations_are_permutations(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 30);
    for (uint32_t n = 0; n < 200; n += 1 + n / 5) {
        uint32_t items[256];
        unsigned char seen[256] = {0};
        rng_permutation(&rng, items, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(items[i] < n);
            assert_int_equal(seen[items[i]]++, 0);
        }
    }
}

static void every_permutation_is_as_likely(void **state)
{
    (void)state;
    struct rng rng;
    open_test(&rng, 31);
    int counts[24] = {0};
    for (int i = 0; i < 48000; i++) {
        uint32_t p[4];
        rng_permutation(&rng, p, 4);
        int rank = (int)p[0] * 6 + (int)(p[1] - (p[1] > p[0])) * 2 + (p[2] > p[3]);
        assert_in_range(rank, 0, 23);
        counts[rank]++;
    }
    assert_uniform_counts(counts, 24, 48000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(streams_do_not_depend_on_order),
        cmocka_unit_test(names_make_different_streams),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(neighbouring_streams_are_uniform_together),
        cmocka_unit_test(below_is_uniform_and_in_range),
        cmocka_unit_test(normal_has_the_moments_of_the_normal),
        cmocka_unit_test(beta_has_the_moments_of_the_beta),
        cmocka_unit_test(tiny_alpha_stays_in_range),
        cmocka_unit_test(permutations_are_permutations),
        cmocka_unit_test(every_permutation_is_as_likely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
