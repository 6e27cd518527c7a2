/* The building blocks of every kernel: launching, loads and stores of f32 and bf16, warp and block sums, and
 * tickets (tensor.cuh: tensor cores). Shuffles, atomics and instructions of one processor appear in these two and nowhere
 * else.
 *
 * The same kernel files compile with nvcc and, for tests on the CPU, as C++17 with shim/shim.h in the compiler's place:
 * what both need to say differently has one name here.
 *
 *     SHARED(type, name, count)       a static array of shared memory
 *     DYNAMIC_SHARED(type, name)      the dynamic part
 *     BLOCK_SYNC(), WARP_SYNC()       barriers; every thread of the block, every lane of the warp
 *
 * Blocks are one-dimensional and whole warps; all lanes take part in every warp function. */
#ifndef HFF_KERNELS_DEVICE_CUH
#define HFF_KERNELS_DEVICE_CUH

#include "kernels.h"

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char dynamic_shared_[];                                                   \
    type *const name = reinterpret_cast<type *>(dynamic_shared_)
#define BLOCK_SYNC() __syncthreads()
#define WARP_SYNC() __syncwarp()
#else
#include "shim/shim.h"
#endif

#define DEVICE static __device__ __forceinline__
/* One block per multiprocessor is enough: registers are not rationed for more. */
#define KERNEL(threads) static __global__ void __launch_bounds__(threads, 1)

enum { WARP = 32 };
/* Shared memory that one block may have on every processor the kernels are compiled for (sm_80: 163 KiB, with up to 3 of
 * static arrays), and how much of it without asking (48 KiB, with up to 8 of static arrays). */
enum { SHARED_MOST = 160 * 1024, SHARED_UNASKED = 40 * 1024 };

/* ---- launching ---- */

static inline int64_t blocks_for(int64_t count, int64_t per_block)
{
    return (count + per_block - 1) / per_block;
}

/* Enqueues kernel<<<grid, threads, shared, stream>>>(args...). */
template <typename... P, typename... A>
static inline int launch(void (*kernel)(P...), int64_t grid, int threads, size_t shared, kernel_stream stream,
                         A... args)
{
    if (grid == 0) return KERNEL_OK;
    if (grid < 0 || grid > INT32_MAX || shared > SHARED_MOST) return KERNEL_REFUSED;
#ifdef __CUDACC__
    /* Above 48 KiB together with what is static, a kernel has to ask. It asks for the most: a lower limit, set for a later
     * launch, must not meet one that is captured. */
    if (shared > SHARED_UNASKED) {
        cudaError_t status = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                                  cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED_MOST);
        if (status != cudaSuccess) return (int)status;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)grid);
    config.blockDim = dim3((unsigned)threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    return (int)cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
#else
    return shim_enqueue(stream, (int)grid, threads, shared, [=] { kernel(static_cast<P>(args)...); });
#endif
}

/* run<type, elements per load>(...) for the activations' type; is_wide: 16 bytes at once, else one element. */
#define DISPATCH(dtype, is_wide, run, ...)                                                                             \
    ((dtype) == DTYPE_F32    ? ((is_wide) ? run<float, 4>(__VA_ARGS__) : run<float, 1>(__VA_ARGS__))                   \
     : (dtype) == DTYPE_BF16 ? ((is_wide) ? run<half_word, 8>(__VA_ARGS__) : run<half_word, 1>(__VA_ARGS__))           \
                             : (int)KERNEL_REFUSED)

/* Whether rows of pitch elements can be read 16 bytes at a time. */
static inline bool pitch_is_wide(enum dtype dtype, int64_t pitch)
{
    return pitch % (dtype == DTYPE_BF16 ? 8 : 4) == 0;
}

static inline bool on_16_bytes(const void *p)
{
    return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

/* ---- numbers ---- */

/* bf16 in memory. */
struct half_word {
    uint16_t bits;
};

DEVICE float widen(float v)
{
    return v;
}

DEVICE float widen(half_word h)
{
#ifdef __CUDACC__
    return __uint_as_float((uint32_t)h.bits << 16);
#else
    return bf16_wide(h.bits);
#endif
}

/* The lower and the upper half of a word. */
DEVICE float widen_low(uint32_t two)
{
    return widen(half_word{(uint16_t)two});
}

DEVICE float widen_high(uint32_t two)
{
    return widen(half_word{(uint16_t)(two >> 16)});
}

/* To the nearest, of two the even one. */
template <typename T> DEVICE T narrow(float v);

template <> __device__ __forceinline__ float narrow<float>(float v)
{
    return v;
}

template <> __device__ __forceinline__ half_word narrow<half_word>(float v)
{
#ifdef __CUDACC__
    return half_word{__bfloat16_as_ushort(__float2bfloat16_rn(v))};
#else
    return half_word{bf16_near(v)};
#endif
}

/* Two at once, low in the lower half. */
DEVICE uint32_t narrow_two(float low, float high)
{
#ifdef __CUDACC__
    __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    return (uint32_t)__bfloat16_as_ushort(two.x) | (uint32_t)__bfloat16_as_ushort(two.y) << 16;
#else
    return bf16_near(low) | (uint32_t)bf16_near(high) << 16;
#endif
}

/* What v becomes when it is written as T. */
template <typename T> DEVICE float rounded(float v)
{
    return widen(narrow<T>(v));
}

/* v and its derivative, as activation.h has them. The switch is uniform over the grid. */
DEVICE float act_value(int act, float v)
{
    typedef float REAL;
    switch (act) {
#define ACT_ROW(name, word, y, dy)                                                                                     \
    case ACT_##name: return (y);
        ACTIVATIONS(ACT_ROW)
#undef ACT_ROW
    }
    return v;
}

DEVICE float act_slope(int act, float v)
{
    typedef float REAL;
    switch (act) {
#define ACT_ROW(name, word, y, dy)                                                                                     \
    case ACT_##name: return (dy);
        ACTIVATIONS(ACT_ROW)
#undef ACT_ROW
    }
    return 1;
}

/* ---- wide loads and stores ---- */

struct alignas(16) words4 {
    uint32_t v[4];
};
struct alignas(16) floats4 {
    float v[4];
};

/* N consecutive elements; N is 1 or what fills 16 bytes, and then `from` lies on 16 bytes. */
template <int N> DEVICE void load(const float *from, float (&to)[N])
{
    static_assert(N == 1 || N == 4, "one or 16 bytes");
    if constexpr (N == 1) {
        to[0] = *from;
    } else {
#ifdef __CUDACC__
        float4 four = *reinterpret_cast<const float4 *>(from);
        to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
#else
        floats4 four = *reinterpret_cast<const floats4 *>(from);
        for (int i = 0; i < 4; i++) to[i] = four.v[i];
#endif
    }
}

template <int N> DEVICE void load(const half_word *from, float (&to)[N])
{
    static_assert(N == 1 || N == 8, "one or 16 bytes");
    if constexpr (N == 1) {
        to[0] = widen(*from);
    } else {
#ifdef __CUDACC__
        uint4 raw = *reinterpret_cast<const uint4 *>(from);
        const uint32_t four[4] = {raw.x, raw.y, raw.z, raw.w};
#else
        words4 raw = *reinterpret_cast<const words4 *>(from);
        const uint32_t(&four)[4] = raw.v;
#endif
#pragma unroll
        for (int i = 0; i < 4; i++) {
            to[2 * i] = widen_low(four[i]);
            to[2 * i + 1] = widen_high(four[i]);
        }
    }
}

template <int N> DEVICE void store(float *to, const float (&from)[N])
{
    static_assert(N == 1 || N == 4, "one or 16 bytes");
    if constexpr (N == 1) {
        *to = from[0];
    } else {
#ifdef __CUDACC__
        *reinterpret_cast<float4 *>(to) = make_float4(from[0], from[1], from[2], from[3]);
#else
        *reinterpret_cast<floats4 *>(to) = floats4{{from[0], from[1], from[2], from[3]}};
#endif
    }
}

template <int N> DEVICE void store(half_word *to, const float (&from)[N])
{
    static_assert(N == 1 || N == 8, "one or 16 bytes");
    if constexpr (N == 1) {
        *to = narrow<half_word>(from[0]);
    } else {
        uint32_t four[4];
#pragma unroll
        for (int i = 0; i < 4; i++) four[i] = narrow_two(from[2 * i], from[2 * i + 1]);
#ifdef __CUDACC__
        *reinterpret_cast<uint4 *>(to) = make_uint4(four[0], four[1], four[2], four[3]);
#else
        *reinterpret_cast<words4 *>(to) = words4{{four[0], four[1], four[2], four[3]}};
#endif
    }
}

/* N consecutive elements, V at a time. */
template <int V, int N, typename S> DEVICE void load_many(const S *from, float (&to)[N])
{
#pragma unroll
    for (int j = 0; j < N; j += V) {
        float v[V];
        load(from + j, v);
#pragma unroll
        for (int i = 0; i < V; i++) to[j + i] = v[i];
    }
}

template <int V, int N, typename T> DEVICE void store_many(T *to, const float (&from)[N])
{
#pragma unroll
    for (int j = 0; j < N; j += V) {
        float v[V];
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = from[j + i];
        store(to + j, v);
    }
}

/* N bytes at once (an index beside N activations): N is 1, 4 or 8. */
template <int N> DEVICE void load_bytes(const uint8_t *from, uint8_t (&to)[N])
{
    static_assert(N == 1 || N == 4 || N == 8, "a byte, a word or two");
    if constexpr (N == 1) {
        to[0] = *from;
    } else {
#pragma unroll
        for (int w = 0; w < N / 4; w++) {
            uint32_t word = reinterpret_cast<const uint32_t *>(from)[w];
#pragma unroll
            for (int i = 0; i < 4; i++) to[4 * w + i] = (uint8_t)(word >> (8 * i));
        }
    }
}

template <int N> DEVICE void store_bytes(uint8_t *to, const uint8_t (&from)[N])
{
    static_assert(N == 1 || N == 4 || N == 8, "a byte, a word or two");
    if constexpr (N == 1) {
        *to = from[0];
    } else {
#pragma unroll
        for (int w = 0; w < N / 4; w++) {
            uint32_t word = 0;
#pragma unroll
            for (int i = 0; i < 4; i++) word |= (uint32_t)from[4 * w + i] << (8 * i);
            reinterpret_cast<uint32_t *>(to)[w] = word;
        }
    }
}

/* ---- a warp together ---- */

DEVICE int lane_index()
{
    return (int)(threadIdx.x % WARP);
}

DEVICE int warp_index()
{
    return (int)(threadIdx.x / WARP);
}

/* The value of the lane whose number differs by mask. */
template <typename T> DEVICE T lane_xor(T value, int mask)
{
#ifdef __CUDACC__
    return __shfl_xor_sync(0xffffffffu, value, mask);
#else
    return shim_exchange(value, lane_index() ^ mask);
#endif
}

template <typename T> DEVICE T lane_from(T value, int lane)
{
#ifdef __CUDACC__
    return __shfl_sync(0xffffffffu, value, lane);
#else
    return shim_exchange(value, lane);
#endif
}

/* Every lane gets the same bits: both partners of an exchange add the same two numbers. */
template <typename T, int LANES = WARP> DEVICE T warp_sum(T value)
{
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2) value += lane_xor(value, mask);
    return value;
}

/* Not-a-number is passed over, as by fmaxf. */
template <int LANES = WARP> DEVICE float warp_max(float value)
{
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2) value = fmaxf(value, lane_xor(value, mask));
    return value;
}

/* A value and where it stood; of equal values the first place wins. */
struct best {
    float value;
    int place;
};

DEVICE best better(best a, best b)
{
    return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a;
}

template <int LANES = WARP> DEVICE best warp_best(best mine)
{
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2)
        mine = better(mine, best{lane_xor(mine.value, mask), lane_xor(mine.place, mask)});
    return mine;
}

/* ---- a block together: scratch is one T per warp of shared memory ---- */

/* The sum over the block, in a fixed order, to every thread. */
template <typename T> DEVICE T block_sum(T value, T *scratch)
{
    int warps = (int)(blockDim.x / WARP);
    value = warp_sum(value);
    if (lane_index() == 0) scratch[warp_index()] = value;
    BLOCK_SYNC();
    T sum = scratch[0];
    for (int w = 1; w < warps; w++) sum += scratch[w];
    BLOCK_SYNC();
    return sum;
}

DEVICE float block_max(float value, float *scratch)
{
    int warps = (int)(blockDim.x / WARP);
    value = warp_max(value);
    if (lane_index() == 0) scratch[warp_index()] = value;
    BLOCK_SYNC();
    float most = scratch[0];
    for (int w = 1; w < warps; w++) most = fmaxf(most, scratch[w]);
    BLOCK_SYNC();
    return most;
}

DEVICE best block_best(best mine, best *scratch)
{
    int warps = (int)(blockDim.x / WARP);
    mine = warp_best(mine);
    if (lane_index() == 0) scratch[warp_index()] = mine;
    BLOCK_SYNC();
    best most = scratch[0];
    for (int w = 1; w < warps; w++) most = better(most, scratch[w]);
    BLOCK_SYNC();
    return most;
}

/* ---- blocks together ---- */

/* 1 in every thread of the last of `count` blocks to come here, which then sees what the others wrote (by load_fresh); the
 * ticket is 0 again. The order in which blocks come decides who is last, never what is computed.
 * Thread 0 alone fences. The barrier orders every thread's writes before its fence, and fences are cumulative: what happened
 * before the fence, in whichever thread, is visible to whoever sees the ticket that it drew and has fenced. The last block's
 * thread 0 has seen all tickets and fences, and the second barrier puts that before its block's reads. */
DEVICE int last_block(unsigned *ticket, unsigned count)
{
    SHARED(unsigned, seen, 1);
    BLOCK_SYNC();
    if (threadIdx.x == 0) {
#ifdef __CUDACC__
        __threadfence();
        seen[0] = atomicInc(ticket, count - 1);
        __threadfence();
#else
        seen[0] = *ticket;
        *ticket = *ticket + 1 == count ? 0 : *ticket + 1;
#endif
    }
    BLOCK_SYNC();
    return seen[0] == count - 1;
}

/* Integers only: their sums have no order. */
DEVICE void count_one(int64_t *counter)
{
#ifdef __CUDACC__
    atomicAdd(reinterpret_cast<unsigned long long *>(counter), 1ull);
#else
    (*counter)++;
#endif
}

/* A number that another block has just written: not through a cache that may hold older bytes. */
template <typename T> DEVICE T load_fresh(const T *from)
{
#ifdef __CUDACC__
    return __ldcg(from);
#else
    return *from;
#endif
}

/* Multiplication and addition that the compiler does not join into one rounding. */
DEVICE float times(float a, float b)
{
#ifdef __CUDACC__
    return __fmul_rn(a, b);
#else
    return a * b;
#endif
}

DEVICE double times(double a, double b)
{
#ifdef __CUDACC__
    return __dmul_rn(a, b);
#else
    return a * b;
#endif
}

DEVICE float plus(float a, float b)
{
#ifdef __CUDACC__
    return __fadd_rn(a, b);
#else
    return a + b;
#endif
}

#endif
