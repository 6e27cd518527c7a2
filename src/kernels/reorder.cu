/* The same elements in another layout and type: planes (batch, channels, area) or channels last (batch, area, pitch),
 * f32 or bf16.
 *
 * Bytes: every element read and written once, and the padding of dst written. 4.3 M weights of 3 x 3, f32 to bf16: 26 MB,
 * 5.4 us at 4.8 TB/s (H200), less where they still lie in L2.
 * Geometry, 256 threads:
 *     the same order                   8 elements a thread
 *     turned, channels and area long   tiles of 32 channels x 32 positions through shared memory, 4 elements a thread, so
 *                                      that reads and writes are both consecutive
 *     turned, an area of up to 15      slabs of 256 channels with all their positions (packed filters of 3 x 3) through
 *                                      shared memory, 16 bytes at once on both sides where they lie so
 *     else                             a thread per element of dst, in dst's order
 * Indices are of 32 bits where the tensors are small enough: a division of 64 bits takes some 70 instructions. */
#include "device.cuh"

enum { THREADS = 256, TILE = 32, SLAB = 256, SLAB_AREA = 15, SLAB_ROW = SLAB + 8, COPIED = 8 };

/* COPIED elements, V at a time. */
template <int V, typename S> DEVICE void load_many(const S *from, float (&to)[COPIED])
{
#pragma unroll
    for (int j = 0; j < COPIED; j += V) {
        float v[V];
        load(from + j, v);
#pragma unroll
        for (int i = 0; i < V; i++) to[j + i] = v[i];
    }
}

template <int V, typename T> DEVICE void store_many(T *to, const float (&from)[COPIED])
{
#pragma unroll
    for (int j = 0; j < COPIED; j += V) {
        float v[V];
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = from[j + i];
        store(to + j, v);
    }
}

/* Where element (b, c, i) lies: b whole + c channel + i position. */
struct strides {
    int64_t whole, channel, position;
};

static struct strides strides_of(const struct kernel_reorder_args *a, int64_t pitch)
{
    if (pitch == 0) return {a->channels * a->area, a->area, 1};
    return {a->area * pitch, 1, pitch};
}

template <typename S, typename T, typename INDEX>
KERNEL(THREADS)
elements_kernel(const S *src, T *dst, struct strides from, INDEX count, INDEX channels, INDEX area, INDEX pitch)
{
    INDEX at = (INDEX)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    INDEX c, i, b;
    if (pitch == 0) {
        i = at % area;
        c = at / area % channels;
        b = at / area / channels;
    } else {
        c = at % pitch;
        i = at / pitch % area;
        b = at / pitch / area;
    }
    INDEX of = b * (INDEX)from.whole + c * (INDEX)from.channel + i * (INDEX)from.position;
    dst[at] = narrow<T>(c < channels ? widen(src[of]) : 0.0f);
}

/* COPIED elements a thread, V at a time; the last block also does those that fill no COPIED. */
template <typename S, typename T, int VS, int VT> KERNEL(THREADS) copy_kernel(const S *src, T *dst, int64_t count)
{
    int64_t whole = count / COPIED, number = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (number < whole) {
        float v[COPIED];
        load_many<VS>(src + number * COPIED, v);
        store_many<VT>(dst + number * COPIED, v);
    } else if (number < whole + count % COPIED) {
        int64_t at = whole * COPIED + number - whole;
        dst[at] = narrow<T>(widen(src[at]));
    }
}

/* Where element e of a slab's planes (channels, area) lies in its tile (area, SLAB_ROW). Its channel is e / area:
 * reciprocal = 2^16 / area + 1 gives it exactly while e (area - 1) < 2^16, and e < SLAB SLAB_AREA. */
DEVICE unsigned slab_place(unsigned e, unsigned area, unsigned reciprocal)
{
    unsigned c = e * reciprocal >> 16;
    return (e - c * area) * SLAB_ROW + c;
}

/* A block moves SLAB channels, all their positions, of one sample from planes to channels last (PACK) or back. VS, VT:
 * elements at once on either side. */
template <typename S, typename T, int VS, int VT, bool PACK>
KERNEL(THREADS)
slabs_kernel(const S *src, T *dst, unsigned channels, unsigned pitch, unsigned area, unsigned reciprocal,
             unsigned slabs)
{
    SHARED(T, tile, SLAB_AREA * SLAB_ROW);
    unsigned first = blockIdx.x % slabs * SLAB, stored = min(pitch - first, (unsigned)SLAB);
    unsigned here = channels > first ? min(channels - first, (unsigned)SLAB) : 0;
    int64_t b = blockIdx.x / slabs, planes = (b * channels + first) * area, lines = b * area * pitch + first;
    if (PACK) {
        for (unsigned e = threadIdx.x * VS; e < here * area; e += THREADS * VS) {
            float v[VS];
            load(src + planes + e, v);
#pragma unroll
            for (int j = 0; j < VS; j++) tile[slab_place(e + j, area, reciprocal)] = narrow<T>(v[j]);
        }
        for (unsigned e = here * area + threadIdx.x; e < stored * area; e += THREADS)
            tile[slab_place(e, area, reciprocal)] = narrow<T>(0.0f);
        BLOCK_SYNC();
        unsigned across = stored / VT;
        for (unsigned at = threadIdx.x; at < across * area; at += THREADS) {
            unsigned position = at / across, c = at % across * VT;
            float v[VT];
            load(&tile[position * SLAB_ROW + c], v);
            store(dst + lines + (int64_t)position * pitch + c, v);
        }
    } else {
        unsigned across = (here + VS - 1) / VS; /* padding comes along */
        for (unsigned at = threadIdx.x; at < across * area; at += THREADS) {
            unsigned position = at / across, c = at % across * VS;
            float v[VS];
            load(src + lines + (int64_t)position * pitch + c, v);
            if constexpr (VS == VT) {
                store(&tile[position * SLAB_ROW + c], v);
            } else {
#pragma unroll
                for (int j = 0; j < VS; j++) tile[position * SLAB_ROW + c + j] = narrow<T>(v[j]);
            }
        }
        BLOCK_SYNC();
        for (unsigned e = threadIdx.x * VT; e < here * area; e += THREADS * VT) {
            float v[VT];
#pragma unroll
            for (int j = 0; j < VT; j++) v[j] = widen(tile[slab_place(e + j, area, reciprocal)]);
            store(dst + planes + e, v);
        }
    }
}

/* A block moves one tile; lanes run along the channels where a side has channels last, else along the positions. */
template <typename S, typename T>
KERNEL(THREADS)
tiles_kernel(const S *src, T *dst, struct strides from, struct strides to, int64_t channels, int64_t stored,
             int64_t area, int across, int down)
{
    SHARED(float, tile, TILE *(TILE + 1));
    unsigned tiles = (unsigned)across * (unsigned)down, rest = blockIdx.x % tiles;
    int64_t b = blockIdx.x / tiles, first_c = rest / down * TILE, first_i = rest % down * TILE;
    int fast = lane_index();
#pragma unroll
    for (int slow = warp_index(); slow < TILE; slow += THREADS / WARP) {
        int tile_c = from.channel == 1 ? fast : slow, tile_i = from.channel == 1 ? slow : fast;
        int64_t c = first_c + tile_c, i = first_i + tile_i;
        float v = 0;
        if (c < channels && i < area) v = widen(src[b * from.whole + c * from.channel + i * from.position]);
        tile[tile_c * (TILE + 1) + tile_i] = v;
    }
    BLOCK_SYNC();
#pragma unroll
    for (int slow = warp_index(); slow < TILE; slow += THREADS / WARP) {
        int tile_c = to.channel == 1 ? fast : slow, tile_i = to.channel == 1 ? slow : fast;
        int64_t c = first_c + tile_c, i = first_i + tile_i;
        if (c < stored && i < area)
            dst[b * to.whole + c * to.channel + i * to.position] = narrow<T>(tile[tile_c * (TILE + 1) + tile_i]);
    }
}

template <typename S, typename T, bool WIDE>
static int run_copy(const struct kernel_reorder_args *a, int64_t count, kernel_stream stream)
{
    constexpr int VS = WIDE ? 16 / sizeof(S) : 1, VT = WIDE ? 16 / sizeof(T) : 1;
    return launch(copy_kernel<S, T, VS, VT>, blocks_for(count / COPIED + count % COPIED, THREADS), THREADS, 0, stream,
                  static_cast<const S *>(a->src), static_cast<T *>(a->dst), count);
}

template <typename S, typename T, bool WIDE>
static int run_slabs(const struct kernel_reorder_args *a, kernel_stream stream)
{
    constexpr int VS = WIDE ? 16 / sizeof(S) : 1, VT = WIDE ? 16 / sizeof(T) : 1;
    bool pack = a->src_pitch == 0;
    int64_t pitch = pack ? a->dst_pitch : a->src_pitch, slabs = blocks_for(pack ? pitch : a->channels, SLAB);
    return launch(pack ? slabs_kernel<S, T, VS, VT, true> : slabs_kernel<S, T, VS, VT, false>, a->batch * slabs,
                  THREADS, 0, stream, static_cast<const S *>(a->src), static_cast<T *>(a->dst), a->channels, pitch,
                  a->area, 65536 / a->area + 1, slabs);
}

template <typename S, typename T> static int run_types(const struct kernel_reorder_args *a, kernel_stream stream)
{
    const S *src = static_cast<const S *>(a->src);
    T *dst = static_cast<T *>(a->dst);
    struct strides from = strides_of(a, a->src_pitch), to = strides_of(a, a->dst_pitch);
    int64_t read = a->batch * (a->src_pitch ? a->src_pitch : a->channels) * a->area;
    int64_t stored = a->dst_pitch ? a->dst_pitch : a->channels, count = a->batch * stored * a->area;
    bool turns = (a->src_pitch == 0) != (a->dst_pitch == 0) && a->area > 1,
         aligned = on_16_bytes(src) && on_16_bytes(dst);
    if (!turns && read == count && stored == a->channels)
        return aligned ? run_copy<S, T, true>(a, count, stream) : run_copy<S, T, false>(a, count, stream);
    if (turns && a->area >= TILE / 2 && a->channels >= TILE / 2) {
        int64_t across = blocks_for(stored, TILE), down = blocks_for(a->area, TILE);
        return launch(tiles_kernel<S, T>, a->batch * across * down, THREADS, 0, stream, src, dst, from, to, a->channels,
                      stored, a->area, (int)across, (int)down);
    }
    bool fits = read <= INT32_MAX && count <= INT32_MAX - THREADS;
    if (turns && fits && a->area <= SLAB_AREA && a->channels >= TILE / 2) {
        bool wide = aligned && a->channels * a->area % 8 == 0 && (a->src_pitch + a->dst_pitch) % 8 == 0;
        return wide ? run_slabs<S, T, true>(a, stream) : run_slabs<S, T, false>(a, stream);
    }
    if (fits)
        return launch(elements_kernel<S, T, unsigned>, blocks_for(count, THREADS), THREADS, 0, stream, src, dst, from,
                      count, a->channels, a->area, a->dst_pitch);
    return launch(elements_kernel<S, T, int64_t>, blocks_for(count, THREADS), THREADS, 0, stream, src, dst, from, count,
                  a->channels, a->area, a->dst_pitch);
}

int kernel_reorder(const struct kernel_reorder_args *a, kernel_stream stream)
{
    if ((a->src_pitch && a->src_pitch < a->channels) || (a->dst_pitch && a->dst_pitch < a->channels))
        return KERNEL_REFUSED;
    if (a->src_dtype == DTYPE_F32 && a->dst_dtype == DTYPE_F32) return run_types<float, float>(a, stream);
    if (a->src_dtype == DTYPE_F32 && a->dst_dtype == DTYPE_BF16) return run_types<float, half_word>(a, stream);
    if (a->src_dtype == DTYPE_BF16 && a->dst_dtype == DTYPE_F32) return run_types<half_word, float>(a, stream);
    if (a->src_dtype == DTYPE_BF16 && a->dst_dtype == DTYPE_BF16) return run_types<half_word, half_word>(a, stream);
    return KERNEL_REFUSED;
}
