/* Blocks of fibers: who runs next, barriers, exchanges between lanes, shared memory with guards. */
#include "shim.h"

#include "fiber.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

#ifdef HFF_SANITIZE
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#endif

int (*shim_later)(CUstream_st *stream, const std::function<int()> &launch);
shim_index threadIdx, blockIdx, blockDim, gridDim;

namespace {

enum { WARP = 32, STACK = 256 * 1024, GUARD = 64, SLOT = 8, THREADS_MOST = 1024 };
const unsigned char GUARD_BYTE = 0xa5, UNSET_BYTE = 0xff; /* floats of unset bytes are not numbers */

/* A barrier under way: how many wait, and where the first of them does. */
struct barrier {
    int waiting;
    const char *file;
    int line;
};

struct array {
    const void *key;
    size_t at, bytes;
};

struct thread {
    struct fiber fiber;
    struct barrier *at; /* what it waits for; nullptr: it can run */
    unsigned exchanges; /* so far: which of its warp's two sets of slots is next */
};

struct warp {
    struct barrier barrier;
    unsigned char slot[2][WARP][SLOT];
};

struct {
    struct fiber outside;
    std::vector<thread> threads;
    std::vector<warp> warps;
    std::vector<int> ready; /* threads that can run */
    struct barrier block;
    int count, left, now; /* threads of the block; those that have not returned; the running one */
    const std::function<void()> *body;
    char *stacks;
    std::vector<unsigned char> shared;
    std::vector<array> arrays;
    size_t shared_used, dynamic_at;
    uint64_t random;
    bool failed;
    char error[512];
} block = {};

unsigned random_below(unsigned n)
{
    block.random ^= block.random << 13;
    block.random ^= block.random >> 7;
    block.random ^= block.random << 17;
    return static_cast<unsigned>((block.random >> 33) % n);
}

/* Back to shim_launch, which gives the block up. A failed block's fibers never run again. */
void give_up()
{
    block.failed = true;
    fiber_switch(&block.threads[static_cast<size_t>(block.now)].fiber, &block.outside);
}

void thread_entry()
{
    fiber_entered(&block.threads[static_cast<size_t>(block.now)].fiber);
    (*block.body)();
    block.left--;
    fiber_switch(&block.threads[static_cast<size_t>(block.now)].fiber, &block.outside);
}

/* The running thread comes to a barrier of `expected` threads, from number `first` on. */
void arrive(struct barrier *barrier, int first, int expected, const char *file, int line)
{
    if (barrier->waiting > 0 && (barrier->file != file || barrier->line != line)) {
        snprintf(block.error, sizeof block.error,
                 "block %u, thread %d is at the barrier of %s:%d while %d others wait at %s:%d", blockIdx.x, block.now,
                 file, line, barrier->waiting, barrier->file, barrier->line);
        give_up();
    }
    barrier->file = file;
    barrier->line = line;
    block.threads[static_cast<size_t>(block.now)].at = barrier;
    if (++barrier->waiting == expected) {
        barrier->waiting = 0;
        for (int t = first; t < first + expected; t++) {
            block.threads[static_cast<size_t>(t)].at = nullptr;
            block.ready.push_back(t);
        }
    }
    fiber_switch(&block.threads[static_cast<size_t>(block.now)].fiber, &block.outside);
}

void stuck()
{
    for (const thread &t : block.threads)
        if (t.at) {
            snprintf(block.error, sizeof block.error,
                     "block %u: %d threads wait at the barrier of %s:%d for others that never come; %d have returned",
                     blockIdx.x, t.at->waiting, t.at->file, t.at->line, block.count - block.left);
            break;
        }
    block.failed = true;
}

void shared_check()
{
    for (const array &a : block.arrays)
        for (size_t i = 0; i < GUARD; i++)
            if (block.shared[a.at + a.bytes + i] != GUARD_BYTE) {
                snprintf(block.error, sizeof block.error, "block %u wrote behind an array of %zu bytes of shared memory",
                         blockIdx.x, a.bytes);
                block.failed = true;
            }
}

/* The arena does not move while a block runs: it is made large enough before. */
size_t shared_take(const void *key, size_t bytes)
{
    size_t at = block.shared_used, room = (bytes + 15) / 16 * 16 + GUARD;
    if (at + room > block.shared.size()) {
        snprintf(block.error, sizeof block.error, "block %u wants more than %zu bytes of shared memory", blockIdx.x,
                 block.shared.size());
        give_up();
    }
    memset(&block.shared[at], UNSET_BYTE, bytes);
    memset(&block.shared[at + bytes], GUARD_BYTE, room - bytes);
    block.shared_used += room;
    block.arrays.push_back({key, at, bytes});
    return at;
}

void block_start(size_t shared)
{
    ASAN_UNPOISON_MEMORY_REGION(block.stacks, static_cast<size_t>(block.count) * STACK); /* frames that never ended */
    block.ready.clear();
    block.arrays.clear();
    block.shared_used = 0;
    block.dynamic_at = shared_take(nullptr, shared);
    block.block = {};
    block.left = block.count;
    for (warp &w : block.warps) {
        w.barrier = {};
        memset(w.slot, UNSET_BYTE, sizeof w.slot);
    }
    for (int t = 0; t < block.count; t++) {
        thread &made = block.threads[static_cast<size_t>(t)];
        fiber_make(&made.fiber, block.stacks + static_cast<size_t>(t) * STACK, STACK, thread_entry);
        made.at = nullptr;
        made.exchanges = 0;
        block.ready.push_back(t);
    }
}

void block_run(size_t shared)
{
    block_start(shared);
    while (block.left > 0 && !block.failed) {
        if (block.ready.empty()) {
            stuck();
            return;
        }
        size_t pick = random_below(static_cast<unsigned>(block.ready.size()));
        block.now = block.ready[pick];
        block.ready[pick] = block.ready.back();
        block.ready.pop_back();
        threadIdx.x = static_cast<unsigned>(block.now);
        fiber_switch(&block.outside, &block.threads[static_cast<size_t>(block.now)].fiber);
    }
    if (!block.failed) shared_check();
}

} // namespace

void shim_seed(uint64_t seed)
{
    block.random = seed * 0x9E3779B97F4A7C15u | 1;
}

const char *shim_error()
{
    return block.error;
}

void shim_expect(bool so, const char *what)
{
    if (so) return;
    snprintf(block.error, sizeof block.error, "block %u, thread %d: %s", blockIdx.x, block.now, what);
    give_up();
}

void shim_block_sync(const char *file, int line)
{
    arrive(&block.block, 0, block.count, file, line);
}

void shim_warp_sync(const char *file, int line)
{
    int first = block.now / WARP * WARP;
    arrive(&block.warps[static_cast<size_t>(block.now / WARP)].barrier, first, WARP, file, line);
}

/* Two sets of slots in turn: a lane can be one exchange ahead of another, never two. */
void *shim_slot(int lane)
{
    warp &w = block.warps[static_cast<size_t>(block.now / WARP)];
    thread &self = block.threads[static_cast<size_t>(block.now)];
    if (lane < 0) return w.slot[self.exchanges++ % 2][block.now % WARP];
    shim_expect(lane < WARP, "an exchange with a lane that is none");
    return w.slot[(self.exchanges - 1) % 2][lane];
}

void *shim_shared(const void *key, size_t bytes)
{
    for (const array &a : block.arrays)
        if (a.key == key) return &block.shared[a.at];
    return &block.shared[shared_take(key, bytes)];
}

void *shim_dynamic_shared()
{
    return &block.shared[block.dynamic_at];
}

int shim_launch(int grid, int threads, size_t shared, const std::function<void()> &body)
{
    static const size_t all = 256 * 1024; /* of shared memory: more than any processor has, for the guards */
    if (threads <= 0 || threads > THREADS_MOST || threads % WARP) {
        snprintf(block.error, sizeof block.error, "a block of %d threads", threads);
        return SHIM_FAILED;
    }
    if (!block.random) shim_seed(1);
    block.stacks = static_cast<char *>(mmap(nullptr, static_cast<size_t>(threads) * STACK, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (block.stacks == MAP_FAILED) {
        snprintf(block.error, sizeof block.error, "no memory for the stacks of %d threads", threads);
        return SHIM_FAILED;
    }
    block.shared.resize(all);
    block.count = threads;
    block.threads.resize(static_cast<size_t>(threads));
    block.warps.resize(static_cast<size_t>(threads / WARP));
    block.body = &body;
    block.failed = false;
    block.outside = {};
    blockDim.x = static_cast<unsigned>(threads);
    gridDim.x = static_cast<unsigned>(grid);
    std::vector<unsigned> order(static_cast<size_t>(grid));
    for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<unsigned>(i);
    for (size_t i = 0; i < order.size() && !block.failed; i++) {
        size_t other = i + random_below(static_cast<unsigned>(order.size() - i));
        blockIdx.x = order[other];
        order[other] = order[i];
        block_run(shared);
    }
    ASAN_UNPOISON_MEMORY_REGION(block.stacks, static_cast<size_t>(threads) * STACK); /* others may get the addresses */
    munmap(block.stacks, static_cast<size_t>(threads) * STACK);
    return block.failed ? SHIM_FAILED : 0;
}

int shim_enqueue(CUstream_st *stream, int grid, int threads, size_t shared, const std::function<void()> &body)
{
    if (!shim_later) return shim_launch(grid, threads, shared, body);
    return shim_later(stream, [=] { return shim_launch(grid, threads, shared, body); });
}
