/* A test harness that runs kernel files, compiled as C++17, on the CPU.
 *
 * It is what nvcc's words mean, and no more: a block's threads are fibers of one system thread, run one at a time and in
 * random order from barrier to barrier; blocks run one after the other, in random order. Shared memory starts as
 * not-a-number in every block and has guard bytes behind every array. A barrier that not all threads of the block (or
 * all lanes of the warp) reach, or that they reach at different lines, ends the launch with SHIM_FAILED and a message.
 * What it cannot show: races that only simultaneous threads have, sizes of caches, speed. */
#ifndef HFF_KERNELS_SHIM_H
#define HFF_KERNELS_SHIM_H

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

extern "C" {
#include "tensor/bf16.h"
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict

using std::isfinite;
using std::min;

struct shim_index {
    unsigned x;
};
extern shim_index threadIdx, blockIdx, blockDim, gridDim;

enum { SHIM_FAILED = -2 };

/* Runs body once in every thread of every block. KERNEL_OK (0) or SHIM_FAILED. */
int shim_launch(int grid, int threads, size_t shared, const std::function<void()> &body);
/* What takes launches to make them later, in their stream's turn; NULL: they are made at once. */
struct CUstream_st;
extern int (*shim_later)(CUstream_st *stream, const std::function<int()> &launch);
/* shim_launch, or that. */
int shim_enqueue(CUstream_st *stream, int grid, int threads, size_t shared, const std::function<void()> &body);
/* Seeds the order of threads and blocks. */
void shim_seed(uint64_t seed);
/* What went wrong in the last launch that failed; "" when nothing has. */
const char *shim_error();
/* Fails the launch that is running when what is not so. */
void shim_expect(bool so, const char *what);

void shim_block_sync(const char *file, int line);
void shim_warp_sync(const char *file, int line);
#define BLOCK_SYNC() shim_block_sync(__FILE__, __LINE__)
#define WARP_SYNC() shim_warp_sync(__FILE__, __LINE__)

/* The block's array that belongs to key; the first thread to ask makes it. */
void *shim_shared(const void *key, size_t bytes);
void *shim_dynamic_shared();
#define SHARED(type, name, count)                                                                                      \
    static const char name##_key_ = 0;                                                                                 \
    type *const name = static_cast<type *>(shim_shared(&name##_key_, sizeof(type) * (count)))
#define DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(shim_dynamic_shared())

/* This warp's slot for what lane puts into the exchange that is under way. */
void *shim_slot(int lane);
/* All lanes put a value; each gets lane's. */
template <typename T> T shim_exchange(T value, int lane)
{
    static_assert(sizeof(T) <= 8, "a slot holds 8 bytes");
    memcpy(shim_slot(-1), &value, sizeof value);
    shim_warp_sync("exchange between lanes", 0);
    memcpy(&value, shim_slot(lane), sizeof value);
    return value;
}

#endif
