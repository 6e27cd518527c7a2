/* Augmentations against copies that are as simple as they can be, drawing from the same stream. */
#include "fixture.h"

#include "data/augment.h"

enum { C = 2, H = 7, W = 6, SIZE = C * H * W, ROOM = 64 };

static struct data tiny(void)
{
    return (struct data){
        .name = "tiny", .classes = 10, .channels = C, .height = H, .width = W, .mean = {0.3, 0.7}, .std = {0.2, 0.4}};
}

static float value(int c, int raw)
{
    const struct data data = tiny();
    return (float)((raw / 255.0 - data.mean[c]) / data.std[c]);
}

/* Pads an image in a large buffer and cuts a window out of it. */
static void simple_crop(float *image, struct rng *rng, int pad, int reflect)
{
    int dy = (int)rng_below(rng, 2 * (uint32_t)pad + 1), dx = (int)rng_below(rng, 2 * (uint32_t)pad + 1);
    float padded[ROOM][ROOM];
    for (int c = 0; c < C; c++, image += H * W) {
        for (int y = 0; y < H + 2 * pad; y++) {
            for (int x = 0; x < W + 2 * pad; x++) {
                int sy = y - pad, sx = x - pad, inside = sy >= 0 && sy < H && sx >= 0 && sx < W;
                if (sy < 0) sy = -sy;
                if (sy >= H) sy = H - 1 - (sy - (H - 1));
                if (sx < 0) sx = -sx;
                if (sx >= W) sx = W - 1 - (sx - (W - 1));
                padded[y][x] = inside || reflect ? image[sy * W + sx] : value(c, 0);
            }
        }
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) image[y * W + x] = padded[y + dy][x + dx];
    }
}

static void simple_flip(float *image, struct rng *rng)
{
    if (rng_below(rng, 2) == 0) return;
    for (int r = 0; r < C * H; r++) {
        float row[W];
        memcpy(row, image + r * W, sizeof row);
        for (int x = 0; x < W; x++) image[r * W + x] = row[W - 1 - x];
    }
}

static void simple_cutout(float *image, struct rng *rng, int size)
{
    int cy = (int)rng_below(rng, H), cx = (int)rng_below(rng, W);
    const int mean[C] = {77, 179}; /* 0.3 and 0.7 of 255, rounded */
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if (y >= cy - size / 2 && y < cy - size / 2 + size && x >= cx - size / 2 && x < cx - size / 2 + size)
                    image[(c * H + y) * W + x] = value(c, mean[c]);
}

static const struct {
    const char *line, *steps; /* r/z crop, s shift, f flip, c cutout; each with its amount */
} cases[] = {
    {"[flip]", "f0"},
    {"[crop: {pad: 3}]", "r3"},
    {"[crop: {pad: 5, mode: reflect}]", "r5"},
    {"[crop: {pad: 2, mode: zero}]", "z2"},
    {"[crop: {pad: 9, mode: zero}]", "z9"},
    {"[crop: {pad: 0}]", "r0"},
    {"[shift: {max: 2}]", "s2"},
    {"[shift]", "s2"},
    {"[cutout: {size: 3}]", "c3"},
    {"[cutout: {size: 4}, cutout: {size: 2}]", "c4c2"},
    {"[crop: {pad: 4, mode: reflect}, flip, shift: {max: 2}, cutout: {size: 3}]", "r4f0s2c3"},
    {"[cutout: {size: 3}, shift: {max: 3}, crop: {pad: 2}, flip, cutout: {size: 1}]", "c3s3r2f0c1"},
};

static void augmentations_equal_their_simple_form(void **state)
{
    struct data data = tiny();
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char line[256];
        snprintf(line, sizeof line, "augment: %s", cases[k].line);
        struct augment augment;
        struct augment_scratch scratch;
        assert_int_equal(augment_open(&augment, &data, fixture_config(*state, line), 1), HFF_OK);
        assert_int_equal(augment_scratch_open(&scratch, &augment), HFF_OK);
        assert_int_equal(augment.rule.changes, strlen(cases[k].steps) / 2);
        for (uint32_t i = 0; i < 200; i++) {
            uint8_t raw[SIZE];
            float got[SIZE], want[SIZE];
            struct rng rng, same;
            rng_open(&rng, 5, RNG_TEST, k, i);
            for (int p = 0; p < SIZE; p++) raw[p] = (uint8_t)rng_u32(&rng);
            for (int p = 0; p < SIZE; p++) want[p] = value(p / (H * W), raw[p]);
            same = rng;
            augment_sample(&augment, &scratch, &rng, raw, got);
            for (const char *step = cases[k].steps; *step; step += 2) {
                int amount = step[1] - '0';
                if (*step == 'f')
                    simple_flip(want, &same);
                else if (*step == 'c')
                    simple_cutout(want, &same, amount);
                else
                    simple_crop(want, &same, amount, *step == 'r');
            }
            assert_memory_equal(got, want, sizeof got);
        }
        augment_scratch_close(&scratch);
    }
}

static void evaluation_is_plain(void **state)
{
    struct data data = tiny();
    struct augment augment;
    assert_int_equal(augment_open(&augment, &data, fixture_config(*state, "augment: [flip, mixup]"), 0), HFF_OK);
    assert_int_equal(augment.rule.changes, 0);
    assert_true(augment.mixup == 0);
    uint8_t raw[SIZE];
    float got[SIZE];
    for (int p = 0; p < SIZE; p++) raw[p] = (uint8_t)(p * 3);
    augment_sample(&augment, NULL, NULL, raw, got);
    for (int p = 0; p < SIZE; p++) assert_true(got[p] == value(p / (H * W), raw[p]));
}

static void impossible_lists_are_refused(void **state)
{
    struct data data = tiny();
    struct augment augment;
    static const char *const lines[][2] = {
        {"augment: [crop: {pad: 6}]", "mirrored"},
        {"augment: [mixup, flip]", "mixup"},
        {"augment: [mixup, mixup: {alpha: 1}]", "mixup"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(augment_open(&augment, &data, fixture_config(*state, lines[i][0]), 1), HFF_E_CONFIG);
        assert_non_null(strstr(hff_error_message(), lines[i][1]));
        assert_non_null(strstr(hff_error_message(), "test.yaml:1:"));
    }
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(augmentations_equal_their_simple_form),
        TEST_HERE(evaluation_is_plain),
        TEST_HERE(impossible_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
