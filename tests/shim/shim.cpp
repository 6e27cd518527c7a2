/* The shim itself: it must see what a kernel does wrong. */
#include "support.hpp"

#include "kernels/tensor.cuh"

static void reports(int status, const char *part)
{
    assert_int_equal(status, SHIM_FAILED);
    if (!strstr(shim_error(), part)) fail_msg("\"%s\" does not say \"%s\"", shim_error(), part);
}

static void a_barrier_that_not_all_reach(void **)
{
    reports(shim_launch(2, 64, 0,
                        [] {
                            if (threadIdx.x < 40) BLOCK_SYNC();
                        }),
            "24 have returned");
    reports(shim_launch(1, 64, 0,
                        [] {
                            if (threadIdx.x < 32)
                                BLOCK_SYNC();
                            else
                                BLOCK_SYNC();
                        }),
            "others wait at");
    reports(shim_launch(1, 32, 0,
                        [] {
                            if (threadIdx.x < 31) warp_sum(1.0f);
                        }),
            "never come");
}

static void shared_memory_overrun(void **)
{
    reports(shim_launch(1, 32, 0,
                        [] {
                            SHARED(float, small, 5);
                            if (threadIdx.x == 7) small[threadIdx.x - 2] = 1;
                            BLOCK_SYNC();
                        }),
            "wrote behind");
    reports(shim_launch(1, 32, 12,
                        [] {
                            DYNAMIC_SHARED(float, small);
                            small[threadIdx.x % 4] = 1;
                        }),
            "wrote behind");
}

/* Neighbours read what nobody ordered: with a barrier always right, without one not. */
static int exchange(bool with_barrier, Buffer<int> &out)
{
    int *to = out.data();
    return shim_launch(3, 64, 0, [=] {
        SHARED(int, values, 64);
        values[threadIdx.x] = (int)threadIdx.x + 1;
        if (with_barrier) BLOCK_SYNC();
        to[blockIdx.x * 64 + threadIdx.x] = values[63 - threadIdx.x];
    });
}

static void a_missing_barrier_shows(void **)
{
    Buffer<int> out(192);
    for (int with = 0; with < 2; with++) {
        int wrong = 0;
        assert_int_equal(exchange(with, out), KERNEL_OK);
        for (int i = 0; i < 192; i++) wrong += out[(size_t)i] != 64 - i % 64;
        assert_true(with ? wrong == 0 : wrong > 0);
    }
    out.check();
}

static void sums_and_exchanges(void **)
{
    Buffer<double> sums(96);
    Buffer<int> places(96);
    double *sum = sums.data();
    int *place = places.data();
    run_ok(shim_launch(1, 96, 0, [=] {
        SHARED(double, scratch, 3);
        SHARED(best, bests, 3);
        sum[threadIdx.x] = block_sum((double)threadIdx.x, scratch);
        place[threadIdx.x] = block_best(best{threadIdx.x % 32 == 20 ? 5.0f : 1.0f, (int)threadIdx.x}, bests).place;
    }));
    for (size_t i = 0; i < 96; i++) {
        assert_true(sums[i] == 95 * 96 / 2);
        assert_int_equal(places[i], 20);
    }
}

/* d (16 x 8) = a (16 x 16) b (8 x 16)^T from tiles in shared memory, read as they lie and turned. */
static void tensor_core_twins(void **)
{
    std::vector<double> a = random_values(256, 1, DTYPE_BF16), b = random_values(256, 2, DTYPE_BF16);
    for (int turned = 0; turned < 2; turned++) {
        Buffer<float> out(256);
        float *to = out.data();
        run_ok(shim_launch(1, 32, 0, [&, to] {
            SHARED(half_word, left, 256);
            SHARED(half_word, right, 256);
            for (int i = (int)threadIdx.x; i < 256; i += 32) {
                int at = turned ? i % 16 * 16 + i / 16 : i;
                left[at] = narrow<half_word>((float)a[(size_t)i]);
                right[at] = narrow<half_word>((float)b[(size_t)i]);
            }
            WARP_SYNC();
            int lane = lane_index(), tile = lane / 8, r = lane % 8;
            uint32_t x[4], y[4];
            if (turned) {
                load_tiles<true>(x, left + (tile / 2 * 8 + r) * 16 + tile % 2 * 8);
                load_tiles<true>(y, right + (tile % 2 * 8 + r) * 16 + tile / 2 * 8);
            } else {
                load_tiles<false>(x, left + (tile % 2 * 8 + r) * 16 + tile / 2 * 8);
                load_tiles<false>(y, right + (tile / 2 * 8 + r) * 16 + tile % 2 * 8);
            }
            for (int f = 0; f < 2; f++) {
                float d[4] = {};
                const uint32_t half[2] = {y[2 * f], y[2 * f + 1]};
                mma_bf16(d, x, half);
                for (int i = 0; i < 4; i++) to[(lane / 4 + i / 2 * 8) * 16 + 8 * f + lane % 4 * 2 + i % 2] = d[i];
            }
        }));
        for (size_t m = 0; m < 16; m++)
            for (size_t n = 0; n < 16; n++) {
                double want = 0;
                for (size_t k = 0; k < 16; k++) want += a[m * 16 + k] * b[n * 16 + k];
                expect_near("product", out[m * 16 + n], want, 1e-5, 0, m * 16 + n);
            }
    }
}

static void tf32_rounding(void **)
{
    const double pairs[][2] = {{1.0, 1.0}, {1 + 1.0 / 2048, 1 + 1.0 / 1024}, {1 + 1.0 / 4096, 1.0}, {-3.0001, -3.0}};
    for (const double(&pair)[2] : pairs) assert_true(tf32_near((float)pair[0]) == (float)pair[1]);
    assert_true(std::isinf(tf32_near(INFINITY)));
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_barrier_that_not_all_reach),
        cmocka_unit_test(shared_memory_overrun),
        cmocka_unit_test(a_missing_barrier_shows),
        cmocka_unit_test(sums_and_exchanges),
        cmocka_unit_test(tensor_core_twins),
        cmocka_unit_test(tf32_rounding),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
