/* augment makes the bytes that the host makes, in whatever order its threads run. */
#include "support.hpp"

extern "C" {
#include "backend/augment.h"
}

enum { C = 3, H = 9, W = 7, IMAGE = C * H * W, IMAGES = 40, BATCH = 12 };

static const std::vector<std::vector<struct augment_change>> cases = {
    {},
    {{AUGMENT_FLIP, 0, 0}},
    {{AUGMENT_CROP, 4, 1}, {AUGMENT_FLIP, 0, 0}},
    {{AUGMENT_CROP, 9, 0}},
    {{AUGMENT_CROP, 6, 1}, {AUGMENT_CROP, 6, 1}},
    {{AUGMENT_CROP, 2, 0}, {AUGMENT_CUTOUT, 4, 0}},
    {{AUGMENT_CUTOUT, 3, 0}, {AUGMENT_CROP, 3, 0}, {AUGMENT_CROP, 2, 1}, {AUGMENT_FLIP, 0, 0}, {AUGMENT_CUTOUT, 1, 0}},
};

static std::vector<unsigned char> check(const std::vector<struct augment_change> &changes, enum dtype dtype, int pitch,
                                        bool mixes)
{
    struct rng rng;
    struct op_desc desc = {};
    std::vector<uint8_t> pixels;
    std::vector<float> values, shares;
    std::vector<int32_t> samples, partners;
    rng_open(&rng, 3, RNG_TEST, 0, 0);
    for (int i = 0; i < IMAGES * IMAGE; i++) pixels.push_back((uint8_t)rng_u32(&rng));
    for (int i = 0; i < C * 256; i++) values.push_back(rng_uniform(&rng));
    for (int i = 0; i < BATCH; i++) {
        samples.push_back(i == 7 ? -1 : (int32_t)rng_below(&rng, IMAGES));
        partners.push_back((int32_t)rng_below(&rng, IMAGES));
        shares.push_back(rng_uniform(&rng));
    }
    desc.kind = OP_AUGMENT;
    desc.attr.augment.seed = 0x123456789abcdefu;
    for (const struct augment_change &change : changes) desc.attr.augment.change[desc.attr.augment.changes++] = change;
    for (int i = 0; i < 4; i++) desc.attr.augment.mean_colour[i] = 0.125f * (float)i;
    desc.arg[0] = tensor_make4(DTYPE_U8, IMAGES, C, H, W);
    desc.arg[3] = mixes ? tensor_make1(DTYPE_I32, BATCH) : desc.arg[3];
    Buffer<uint8_t> images(pixels);
    Buffer<float> table(values), share(shares);
    Buffer<int32_t> sample(samples), partner(partners);
    Buffer<int64_t> epoch(std::vector<int64_t>{6});
    Buffer<unsigned char> x((size_t)BATCH * H * W * (size_t)(pitch ? pitch : C) * dtype_bytes(dtype));
    struct kernel_augment_args a = {};
    a.rule = desc.attr.augment;
    a.images = images.data();
    a.table = table.data();
    a.sample = sample.data();
    a.partner = mixes ? partner.data() : nullptr;
    a.share = share.data();
    a.epoch = epoch.data();
    a.batch = BATCH;
    a.channels = C;
    a.height = H;
    a.width = W;
    a.pitch = pitch;
    a.dtype = dtype;
    a.x = x.data();
    run_ok(kernel_augment(&a, nullptr));
    x.check();
    void *const args[] = {images.data(), table.data(), sample.data(), partner.data(), share.data(), epoch.data()};
    std::vector<double> scratch(augment_scratch(&desc) / sizeof(double) + 1);
    for (size_t b = 0; b < BATCH; b++) {
        std::vector<float> want(IMAGE);
        augment_row(&desc, args, (int64_t)b, scratch.data(), want.data());
        for (size_t at = 0; at < (size_t)(H * W); at++)
            for (size_t channel = 0; channel < (size_t)(pitch ? pitch : C); channel++) {
                size_t place = pitch ? (b * H * W + at) * (size_t)pitch + channel : (b * C + channel) * H * W + at;
                double got = dtype == DTYPE_BF16 ? bf16_wide(reinterpret_cast<uint16_t *>(x.data())[place])
                                                 : reinterpret_cast<float *>(x.data())[place];
                double value = channel < C ? as_dtype(dtype, want[channel * H * W + at]) : 0;
                if (got != value)
                    fail_msg("%zu changes: sample %zu, channel %zu, pixel %zu", changes.size(), b, channel, at);
            }
    }
    std::vector<unsigned char> bytes;
    append(bytes, x);
    return bytes;
}

static void equals_the_host(void **)
{
    for (const auto &changes : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            for (int pitch : {8, 0, 5})
                for (bool mixes : {false, true}) in_any_order([&] { return check(changes, dtype, pitch, mixes); });
}

static void refuses(void **)
{
    struct kernel_augment_args a = {};
    a.channels = 5;
    assert_int_equal(kernel_augment(&a, nullptr), KERNEL_REFUSED);
    a.channels = a.rule.changes = 1;
    a.height = a.width = 4;
    a.rule.change[0].reflect = 1;
    a.rule.change[0].amount = 4;
    assert_int_equal(kernel_augment(&a, nullptr), KERNEL_REFUSED);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_host), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
