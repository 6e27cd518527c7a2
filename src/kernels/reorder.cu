/* The same elements in another layout and type: planes (batch, channels, area) or channels last (batch, area, pitch),
 * f32 or bf16.
 *
 * Bytes: every element read and written once, and the padding of dst written.
 * Geometry: where the order changes and both dimensions are long, tiles of 32 channels x 32 positions go through shared
 * memory, so that reads and writes are both consecutive: 256 threads, 4 elements each. Else a thread per element of dst,
 * in dst's order. */
#include "device.cuh"

enum { THREADS = 256, TILE = 32 };

/* Where element (b, c, i) lies: b whole + c channel + i position. */
struct strides {
    int64_t whole, channel, position;
};

static struct strides strides_of(const struct kernel_reorder_args *a, int64_t pitch)
{
    if (pitch == 0) return {a->channels * a->area, a->area, 1};
    return {a->area * pitch, 1, pitch};
}

template <typename S, typename T>
KERNEL(THREADS)
elements_kernel(const S *src, T *dst, struct strides from, int64_t count, int64_t channels, int64_t area, int64_t pitch)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    int64_t c, i, b;
    if (pitch == 0) {
        i = at % area;
        c = at / area % channels;
        b = at / area / channels;
    } else {
        c = at % pitch;
        i = at / pitch % area;
        b = at / pitch / area;
    }
    dst[at] = narrow<T>(c < channels ? widen(src[b * from.whole + c * from.channel + i * from.position]) : 0.0f);
}

/* A block moves one tile; lanes run along the channels where a side has channels last, else along the positions. */
template <typename S, typename T>
KERNEL(THREADS)
tiles_kernel(const S *src, T *dst, struct strides from, struct strides to, int64_t channels, int64_t stored, int64_t area,
             int across, int down)
{
    SHARED(float, tile, TILE * (TILE + 1));
    int64_t b = blockIdx.x / ((int64_t)across * down), rest = blockIdx.x % ((int64_t)across * down);
    int64_t first_c = rest / down * TILE, first_i = rest % down * TILE;
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

template <typename S, typename T> static int run_types(const struct kernel_reorder_args *a, kernel_stream stream)
{
    const S *src = static_cast<const S *>(a->src);
    T *dst = static_cast<T *>(a->dst);
    struct strides from = strides_of(a, a->src_pitch), to = strides_of(a, a->dst_pitch);
    int64_t stored = a->dst_pitch ? a->dst_pitch : a->channels;
    bool turns = (a->src_pitch == 0) != (a->dst_pitch == 0);
    if (turns && a->area >= TILE / 2 && a->channels >= TILE / 2) {
        int64_t across = blocks_for(stored, TILE), down = blocks_for(a->area, TILE);
        return launch(tiles_kernel<S, T>, a->batch * across * down, THREADS, 0, stream, src, dst, from, to, a->channels,
                      stored, a->area, (int)across, (int)down);
    }
    int64_t count = a->batch * stored * a->area;
    return launch(elements_kernel<S, T>, blocks_for(count, THREADS), THREADS, 0, stream, src, dst, from, count,
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
