/* augment makes the bytes that data/augment.c makes. */
#include "support.hpp"

extern "C" {
#include "data/augment.h"
}

enum { C = 3, H = 9, W = 7, IMAGE = C * H * W, IMAGES = 40, BATCH = 12 };

struct Case {
    const char *line;
    std::vector<std::vector<int>> changes; /* kind, amount, reflect */
};

static const Case cases[] = {
    {"[]", {}},
    {"[flip]", {{CHANGE_FLIP, 0, 0}}},
    {"[crop: {pad: 4, mode: reflect}, flip]", {{CHANGE_CROP, 4, 1}, {CHANGE_FLIP, 0, 0}}},
    {"[crop: {pad: 9, mode: zero}]", {{CHANGE_CROP, 9, 0}}},
    {"[crop: {pad: 6, mode: reflect}, crop: {pad: 6, mode: reflect}]", {{CHANGE_CROP, 6, 1}, {CHANGE_CROP, 6, 1}}},
    {"[shift: {max: 2}, cutout: {size: 4}]", {{CHANGE_CROP, 2, 0}, {CHANGE_CUTOUT, 4, 0}}},
    {"[cutout: {size: 3}, shift: {max: 3}, crop: {pad: 2, mode: reflect}, flip, cutout: {size: 1}]",
     {{CHANGE_CUTOUT, 3, 0}, {CHANGE_CROP, 3, 0}, {CHANGE_CROP, 2, 1}, {CHANGE_FLIP, 0, 0}, {CHANGE_CUTOUT, 1, 0}}},
};

/* The data set, the host's augmentation of it, and the same as the kernel wants it. */
struct Setup {
    struct data data;
    struct augment augment;
    struct config *config;
    std::vector<uint8_t> images;
    std::vector<int32_t> labels;
    std::vector<uint32_t> order, partner;
    std::vector<float> table, blend;

    explicit Setup(const Case &c) : config(nullptr)
    {
        const struct config_row *tables[] = {data_rows, nullptr};
        std::string text = std::string("data: {augment: ") + c.line + "}\n";
        memset(&data, 0, sizeof data);
        data.name = "tiny";
        data.classes = 10;
        data.channels = C;
        data.height = H;
        data.width = W;
        for (int i = 0; i < C; i++) data.mean[i] = 0.2 * i + 0.3, data.std[i] = 0.1 * i + 0.2;
        assert_int_equal(config_parse(&config, tables, "test.yaml", text.c_str(), nullptr, 0), HFF_OK);
        assert_int_equal(augment_open(&augment, &data, config_at(config_root(config), "data"), 1), HFF_OK);
        struct rng rng;
        rng_open(&rng, 3, RNG_TEST, 0, 0);
        for (int i = 0; i < IMAGES * IMAGE; i++) images.push_back((uint8_t)rng_u32(&rng));
        for (int i = 0; i < IMAGES; i++) labels.push_back((int32_t)rng_below(&rng, 10));
        order.resize(IMAGES);
        rng_permutation(&rng, order.data(), IMAGES);
        partner.resize(BATCH);
        rng_permutation(&rng, partner.data(), BATCH);
        for (int i = 0; i < BATCH; i++) blend.push_back(rng_uniform(&rng));
        for (int i = 0; i < C; i++) table.insert(table.end(), augment.table[i], augment.table[i] + 256);
    }
    ~Setup()
    {
        config_free(config);
    }
    /* Image `sample` as the loader would make it in this epoch. */
    std::vector<float> host(uint64_t seed, uint64_t epoch, uint32_t sample)
    {
        struct augment_scratch scratch;
        struct rng rng;
        std::vector<float> out(IMAGE);
        assert_int_equal(augment_scratch_open(&scratch, &augment), HFF_OK);
        rng_open(&rng, seed, RNG_AUGMENT, epoch, sample);
        augment_sample(&augment, &scratch, &rng, &images[(size_t)sample * IMAGE], out.data());
        augment_scratch_close(&scratch);
        return out;
    }
};

static std::vector<unsigned char> check(const Case &c, enum dtype dtype, int pitch, uint64_t first, bool mixup)
{
    Setup s(c);
    const uint64_t seed = 0x123456789abcdefu, epoch = 6;
    Buffer<uint8_t> images(s.images);
    Buffer<int32_t> labels(s.labels), y1(BATCH), y2(BATCH);
    Buffer<uint32_t> order(s.order), partner(s.partner);
    Buffer<uint64_t> cursor(std::vector<uint64_t>{seed, epoch, first});
    Buffer<float> table(s.table), blend(s.blend), weight(BATCH);
    Buffer<unsigned char> out((size_t)BATCH * H * W * (size_t)(pitch ? pitch : C) * dtype_bytes(dtype));
    struct kernel_augment_args a = {};
    a.images = images.data();
    a.labels = labels.data();
    a.order = order.data();
    a.cursor = cursor.data();
    a.count = IMAGES;
    a.batch = BATCH;
    a.channels = C;
    a.height = H;
    a.width = W;
    for (const std::vector<int> &change : c.changes) {
        a.change[a.changes].kind = (enum kernel_change)change[0];
        a.change[a.changes].amount = change[1];
        a.change[a.changes++].reflect = change[2];
    }
    a.table = table.data();
    memcpy(a.mean_colour, s.augment.mean_colour, sizeof a.mean_colour);
    a.partner = mixup ? partner.data() : nullptr;
    a.blend = blend.data();
    a.out = out.data();
    a.dtype = dtype;
    a.pitch = pitch;
    a.y1 = y1.data();
    a.y2 = y2.data();
    a.weight = weight.data();
    run_ok(kernel_augment(&a, nullptr));
    out.check();
    y1.check();
    weight.check();
    for (size_t b = 0; b < BATCH; b++) {
        bool real = first + b < IMAGES;
        uint32_t own = real ? s.order[first + b] : 0, other = mixup ? s.order[first + s.partner[b]] : own;
        std::vector<float> want = real ? s.host(seed, epoch, own) : std::vector<float>(IMAGE, 0.0f), beside;
        float share = s.blend[b], rest = 1.0f - share;
        if (mixup) {
            beside = s.host(seed, epoch, other);
            for (size_t i = 0; i < IMAGE; i++) want[i] = share * want[i] + rest * beside[i];
        }
        assert_int_equal(y1[b], real ? s.labels[own] : 0);
        assert_int_equal(y2[b], real ? s.labels[other] : 0);
        assert_true(weight[b] == (real ? mixup ? share : 1.0f : 0.0f));
        for (size_t at = 0; at < (size_t)(H * W); at++)
            for (size_t channel = 0; channel < (size_t)(pitch ? pitch : C); channel++) {
                size_t place = pitch ? (b * H * W + at) * (size_t)pitch + channel : (b * C + channel) * H * W + at;
                double got = dtype == DTYPE_BF16 ? bf16_wide(reinterpret_cast<uint16_t *>(out.data())[place])
                                                 : reinterpret_cast<float *>(out.data())[place];
                double value = channel < C ? as_dtype(dtype, want[channel * H * W + at]) : 0;
                if (got != value) fail_msg("%s: sample %zu, channel %zu, pixel %zu", c.line, b, channel, at);
            }
    }
    std::vector<unsigned char> bytes;
    append(bytes, out);
    return bytes;
}

static void equals_the_host(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            for (int pitch : {8, 0, 5}) in_any_order([&] { return check(c, dtype, pitch, 8, false); });
}

static void mixup_blends(void **)
{
    for (const Case &c : cases)
        for (int pitch : {8, 0}) in_any_order([&] { return check(c, DTYPE_F32, pitch, 4, true); });
}

static void padding_is_zero(void **)
{
    in_any_order([] { return check(cases[0], DTYPE_BF16, 8, IMAGES - 5, false); });
}

static void refuses(void **)
{
    struct kernel_augment_args a = {};
    a.channels = 5;
    assert_int_equal(kernel_augment(&a, nullptr), KERNEL_REFUSED);
    a.channels = a.changes = 1;
    a.height = a.width = 4;
    a.change[0].reflect = 1;
    a.change[0].amount = 4;
    assert_int_equal(kernel_augment(&a, nullptr), KERNEL_REFUSED);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_host), cmocka_unit_test(mixup_blends),
                                       cmocka_unit_test(padding_is_zero), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
