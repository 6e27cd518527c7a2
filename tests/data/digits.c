/* The generated digits: the same bytes everywhere, two separate sets, and neither trivial nor hopeless. */
#include "fixture.h"

#include "base/philox.h"
#include "data/source.h"

#include <math.h>
#include <zlib.h>

enum { IMAGE = DIGITS_SIDE * DIGITS_SIDE, CLASSES = DIGITS_CLASSES };

static unsigned long checksum(uint64_t seed, int test, int count)
{
    unsigned long sum = crc32(0, NULL, 0);
    for (int i = 0; i < count; i++) {
        uint8_t record[1 + IMAGE];
        record[0] = (uint8_t)digits_draw(seed, test, (uint32_t)i, record + 1);
        sum = crc32(sum, record, sizeof record);
    }
    return sum;
}

/* Whoever changes the drawing changes every result that was ever measured on it. */
static void bytes_are_the_same_everywhere(void **state)
{
    (void)state;
    assert_int_equal(checksum(1, 0, 200), 0x36ffd3f4);
    assert_int_equal(checksum(1, 1, 200), 0x3d30e9ae);
    assert_int_equal(checksum(42, 0, 200), 0x197bfeed);
}

static void samples_differ(void **state)
{
    struct data *data = expect_open(*state, "digits: {train: 500, test: 500}", 1);
    struct data *same = expect_open(*state, "digits: {train: 20, test: 10}", 9); /* run.seed is not digits.seed */
    struct data *other = expect_open(*state, "digits: {train: 20, test: 10, seed: 2}", 1);
    const struct dataset *train = &data->split[SPLIT_TRAIN], *test = &data->split[SPLIT_TEST];
    int seen[CLASSES] = {0};
    for (int i = 0; i < 500; i++) {
        seen[train->labels[i]]++;
        for (int j = 0; j < 500; j++) {
            assert_memory_not_equal(train->images + i * IMAGE, test->images + j * IMAGE, IMAGE);
            if (i != j) assert_memory_not_equal(train->images + i * IMAGE, train->images + j * IMAGE, IMAGE);
        }
    }
    for (int c = 0; c < CLASSES; c++) assert_in_range(seen[c], 25, 80);
    assert_memory_equal(same->split[SPLIT_TRAIN].images, train->images, 20 * IMAGE);
    assert_memory_not_equal(other->split[SPLIT_TRAIN].images, train->images, IMAGE);
    data_close(data);
    data_close(same);
    data_close(other);
}

/* weight (CLASSES, IMAGE + 1): the last is the bias. */
static void scores(const float *weight, const uint8_t *image, float *out)
{
    for (int c = 0; c < CLASSES; c++) {
        const float *row = weight + c * (IMAGE + 1);
        float sum = row[IMAGE];
        for (int p = 0; p < IMAGE; p++) sum += row[p] * (float)image[p];
        out[c] = sum;
    }
}

static void learn(float *weight, const uint8_t *image, int label, float rate)
{
    float out[CLASSES], sum = 0, top = -1e30f;
    scores(weight, image, out);
    for (int c = 0; c < CLASSES; c++) top = out[c] > top ? out[c] : top;
    for (int c = 0; c < CLASSES; c++) sum += out[c] = expf(out[c] - top);
    for (int c = 0; c < CLASSES; c++) {
        float *row = weight + c * (IMAGE + 1), step = rate * (out[c] / sum - (c == label));
        for (int p = 0; p < IMAGE; p++) row[p] -= step * (float)image[p];
        row[IMAGE] -= step * 255;
    }
}

/* Linear softmax by gradient descent sample by sample, the rate falling to 0: it must not suffice, nor fail. */
static void linear_softmax_does_not_suffice(void **state)
{
    enum { EPOCHS = 4 };
    struct data *data = expect_open(*state, "digits: {train: 10000, test: 2000}", 1);
    const struct dataset *train = &data->split[SPLIT_TRAIN], *test = &data->split[SPLIT_TEST];
    float *weight = calloc(CLASSES * (IMAGE + 1), sizeof *weight);
    uint32_t *order = malloc((size_t)train->count * sizeof *order);
    for (int i = 0; i < EPOCHS * train->count; i++) {
        struct rng rng;
        rng_open(&rng, 1, RNG_TEST, (uint64_t)(i / train->count), 0);
        if (i % train->count == 0) rng_permutation(&rng, order, (uint32_t)train->count);
        uint32_t n = order[i % train->count];
        learn(weight, train->images + n * IMAGE, train->labels[n],
              3e-7f * (1.0f - (float)i / (float)(EPOCHS * train->count)));
    }
    int right = 0;
    for (int i = 0; i < test->count; i++) {
        float out[CLASSES];
        scores(weight, test->images + i * IMAGE, out);
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (out[c] > out[best]) best = c;
        right += best == test->labels[i];
    }
    print_message("linear softmax: %d of 2000 right\n", right);
    assert_true(right <= 1800);
    assert_true(right > 1000);
    free(weight);
    free(order);
    data_close(data);
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(bytes_are_the_same_everywhere),
        TEST_HERE(samples_differ),
        TEST_HERE(linear_softmax_does_not_suffice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
