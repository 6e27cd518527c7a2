/* A sample's length, and the sample at length 1 as products read it, by one warp. */
#ifndef HFF_KERNELS_HEAD_ROW_CUH
#define HFF_KERNELS_HEAD_ROW_CUH

#include "tile.cuh"

/* ||e||, squares added in f64. */
DEVICE double length_of(const float *e, int width)
{
    double squares = 0;
    if (width % 4 == 0 && reinterpret_cast<uintptr_t>(e) % 16 == 0) {
#pragma unroll 4
        for (int i = lane_index() * 4; i < width; i += WARP * 4) {
            float v[4];
            load(e + i, v);
#pragma unroll
            for (int j = 0; j < 4; j++) squares += (double)v[j] * v[j];
        }
    } else {
        for (int i = lane_index(); i < width; i += WARP) squares += (double)e[i] * e[i];
    }
    return sqrt(warp_sum(squares));
}

/* z = e / ||e||; what lies behind the width becomes 0. z and its pitch allow eight elements at once. */
template <int MATH>
DEVICE void write_z(const float *e, int width, float inverse, typename math_of<MATH>::element *z, int64_t pitch)
{
    if (width % 8 == 0 && reinterpret_cast<uintptr_t>(e) % 16 == 0) {
#pragma unroll 1
        for (int i = lane_index() * 8; i < width; i += WARP * 8) {
            float v[8];
            load_eight(e + i, v);
#pragma unroll
            for (int j = 0; j < 8; j++) v[j] = for_product<MATH>(v[j] * inverse);
            store_eight(z + i, v);
        }
    } else {
#pragma unroll 1
        for (int i = lane_index(); i < (int)pitch; i += WARP)
            z[i] = narrow<typename math_of<MATH>::element>(i < width ? for_product<MATH>(e[i] * inverse) : 0.0f);
    }
}

#endif
