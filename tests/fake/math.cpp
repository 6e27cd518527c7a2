/* Convolutions and products as plain loops. */
#include "math.hpp"

namespace
{

float get(enum dtype dtype, const void *p, int64_t i)
{
    return dtype == DTYPE_BF16 ? bf16_wide(static_cast<const bf16 *>(p)[i]) : static_cast<const float *>(p)[i];
}

void put(enum dtype dtype, void *p, int64_t i, double v)
{
    if (dtype == DTYPE_BF16)
        static_cast<bf16 *>(p)[i] = bf16_near(static_cast<float>(v));
    else
        static_cast<float *>(p)[i] = static_cast<float>(v);
}

/* Calls pair(x, w, y) with the elements' places for every multiplication. */
template <typename F> void every_pair(const cuda_conv_desc &d, F pair)
{
    for (int64_t b = 0; b < d.batch; b++)
        for (int64_t i = 0; i < d.out_height; i++)
            for (int64_t j = 0; j < d.out_width; j++)
                for (int64_t u = 0; u < d.kernel; u++)
                    for (int64_t v = 0; v < d.kernel; v++) {
                        int64_t row = i * d.stride + u - d.pad, column = j * d.stride + v - d.pad;
                        if (row < 0 || row >= d.height || column < 0 || column >= d.width) continue;
                        int64_t x = ((b * d.height + row) * d.width + column) * d.in;
                        int64_t y = ((b * d.out_height + i) * d.out_width + j) * d.out;
                        for (int64_t o = 0; o < d.out; o++) {
                            int64_t w = ((o * d.kernel + u) * d.kernel + v) * d.in;
                            for (int64_t c = 0; c < d.in; c++) pair(x + c, w + c, y + o);
                        }
                    }
}

} // namespace

int fake_conv(const cuda_conv_desc &d, void *a, void *b, void *c, const float *bias)
{
    int64_t ys = d.batch * d.out_height * d.out_width * d.out, xs = d.batch * d.height * d.width * d.in,
            ws = d.out * d.kernel * d.kernel * d.in,
            count = d.kind == CUDA_CONV        ? ys
                    : d.kind == CUDA_CONV_DATA ? xs
                                               : ws;
    double *sum = new double[static_cast<size_t>(count)]();
    switch (d.kind) {
    case CUDA_CONV:
        every_pair(d, [&](int64_t x, int64_t w, int64_t y) {
            sum[y] += static_cast<double>(get(d.dtype, a, x)) * get(d.dtype, b, w);
        });
        break;
    case CUDA_CONV_DATA:
        every_pair(d, [&](int64_t x, int64_t w, int64_t y) {
            sum[x] += static_cast<double>(get(d.dtype, a, y)) * get(d.dtype, b, w);
        });
        break;
    case CUDA_CONV_WEIGHT:
        every_pair(d, [&](int64_t x, int64_t w, int64_t y) {
            sum[w] += static_cast<double>(get(d.dtype, a, x)) * get(d.dtype, b, y);
        });
        break;
    }
    enum dtype result = d.kind == CUDA_CONV_WEIGHT ? d.result : d.dtype;
    for (int64_t i = 0; i < count; i++) put(result, c, i, sum[i] + (bias ? static_cast<double>(bias[i % d.out]) : 0.0));
    delete[] sum;
    return 0;
}

int fake_product(const cuda_product_desc &d, const void *a, const void *b, void *c, const float *bias)
{
    for (int64_t i = 0; i < d.m; i++)
        for (int64_t j = 0; j < d.n; j++) {
            double sum = d.add ? get(d.result, c, i * d.ldc + j) : 0;
            for (int64_t k = 0; k < d.k; k++)
                sum += static_cast<double>(get(d.dtype, a, d.transpose_a ? k * d.lda + i : i * d.lda + k)) *
                       get(d.dtype, b, d.transpose_b ? j * d.ldb + k : k * d.ldb + j);
            put(d.result, c, i * d.ldc + j, sum + (bias ? bias[j] : 0));
        }
    return 0;
}
