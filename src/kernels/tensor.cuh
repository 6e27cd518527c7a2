/* Tensor-core products by one warp, and copies from global to shared memory without a register between: each behind one
 * function with a plain twin for the shim. */
#ifndef HFF_KERNELS_TENSOR_CUH
#define HFF_KERNELS_TENSOR_CUH

#include "device.cuh"

/* ---- tensor cores: d (16 x 8) += a (16 x k) b (8 x k)^T by one warp ----
 * With g = lane / 4 and t = lane % 4 a lane holds: d: rows g and g + 8, columns 2t and 2t + 1, in the order (g, 2t),
 * (g, 2t+1), (g+8, 2t), (g+8, 2t+1). bf16, k 16: a: words of columns 2t, 2t+1 in rows g, g+8, then columns 2t+8, 2t+9 in
 * rows g, g+8; b: row g, columns 2t, 2t+1, then 2t+8, 2t+9. tf32, k 8: a: (g, t), (g+8, t), (g, t+4), (g+8, t+4);
 * b: row g, columns t, t+4. */

DEVICE void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    int g = lane_index() / 4, t = lane_index() % 4;
    for (int k = 0; k < 16; k++) { /* column k lies in word k / 8, of lane k % 8 / 2 of a row's four */
        int from = k % 8 / 2, word = k / 8;
        uint32_t top = lane_from(a[2 * word], 4 * g + from), bottom = lane_from(a[2 * word + 1], 4 * g + from);
        uint32_t left = lane_from(b[word], 4 * (2 * t) + from), right = lane_from(b[word], 4 * (2 * t + 1) + from);
        float (*half)(uint32_t) = k % 2 ? widen_high : widen_low;
        d[0] += half(top) * half(left), d[1] += half(top) * half(right);
        d[2] += half(bottom) * half(left), d[3] += half(bottom) * half(right);
    }
#endif
}

/* a and b as f32; the instruction reads their upper 19 bits, so they are rounded to tf32 before (tf32_near). */
DEVICE void mma_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2])
{
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#else
    int g = lane_index() / 4, t = lane_index() % 4;
    for (int k = 0; k < 8; k++) {
        int from = k % 4, word = k / 4;
        float top = lane_from(a[2 * word], 4 * g + from), bottom = lane_from(a[2 * word + 1], 4 * g + from);
        float left = lane_from(b[word], 4 * (2 * t) + from), right = lane_from(b[word], 4 * (2 * t + 1) + from);
        d[0] += top * left, d[1] += top * right, d[2] += bottom * left, d[3] += bottom * right;
    }
#endif
}

/* The nearest number with 10 bits of mantissa, away from zero when two are as near (cvt.rna). */
DEVICE float tf32_near(float v)
{
#ifdef __CUDACC__
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return __uint_as_float(bits);
#else
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7f800000) != 0x7f800000) bits += 0x1000; /* infinity and not-a-number stay */
    bits &= 0xffffe000;
    memcpy(&v, &bits, sizeof v);
    return v;
#endif
}

/* Four 8 x 8 tiles of bf16 from shared memory, one word of each to every lane: lane l gives the address of row l % 8 of
 * tile l / 8 (16 bytes, on 16 bytes); it gets columns 2t, 2t+1 of row g, or, TURNED, rows 2t, 2t+1 of column g. */
template <bool TURNED> DEVICE void load_tiles(uint32_t (&to)[4], const half_word *row)
{
#ifdef __CUDACC__
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    if constexpr (TURNED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at));
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at));
#else
    int g = lane_index() / 4, t = lane_index() % 4;
    for (int tile = 0; tile < 4; tile++) {
        uintptr_t here = reinterpret_cast<uintptr_t>(row);
        shim_expect(here % 16 == 0, "a row of a tile that does not lie on 16 bytes");
        const half_word *one = reinterpret_cast<const half_word *>(lane_from(here, 8 * tile + (TURNED ? 2 * t : g)));
        const half_word *two =
            reinterpret_cast<const half_word *>(lane_from(here, 8 * tile + (TURNED ? 2 * t + 1 : g)));
        to[tile] =
            TURNED ? one[g].bits | (uint32_t)two[g].bits << 16 : one[2 * t].bits | (uint32_t)two[2 * t + 1].bits << 16;
    }
#endif
}

/* Four bf16. */
struct alignas(8) words2 {
    uint32_t v[2];
};

/* One element, or four on as many bytes as they take: 8 of bf16, 16 of f32. */
DEVICE void store_few(float *to, const float (&from)[4])
{
    store(to, from);
}

DEVICE void store_few(half_word *to, const float (&from)[4])
{
    *reinterpret_cast<words2 *>(to) = words2{{narrow_two(from[0], from[1]), narrow_two(from[2], from[3])}};
}

template <typename T> DEVICE void store_few(T *to, const float (&from)[1])
{
    to[0] = narrow<T>(from[0]);
}

/* The smallest s with 1 << s >= n, n > 0. */
DEVICE int log2_over(int n)
{
#ifdef __CUDACC__
    return 32 - __clz(n - 1);
#else
    int s = 0;
    while (1 << s < n) s++;
    return s;
#endif
}

/* 16 bytes from global to shared memory, both on 16 bytes, without a register between; copies_wait waits for all of this
 * thread's, a barrier after it for everyone's. */
DEVICE void copy_16_bytes(void *shared, const void *global)
{
#ifdef __CUDACC__
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"((uint32_t)__cvta_generic_to_shared(shared)), "l"(__cvta_generic_to_global(global))
                 : "memory");
#else
    *static_cast<words4 *>(shared) = *static_cast<const words4 *>(global);
#endif
}

DEVICE void copies_wait()
{
#ifdef __CUDACC__
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

#endif
