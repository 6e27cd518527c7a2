/* The same elements in another layout and type: planes (batch, channels, area) or channels last (batch, area, pitch),
 * f32 or bf16; several such moves in one launch, where each is small (a stage's packed weights).
 *
 * Bytes: every element read and written once, and the padding of dst written. 4.3 M weights of 3 x 3, f32 to bf16: 26 MB,
 * 5.4 us at 4.8 TB/s (H200), less where they still lie in L2.
 * Ways, 256 threads to a block:
 *     SAME       the same order: 8 elements a thread
 *     TILES      turned, channels and area long: tiles of 32 channels x 32 positions through shared memory, 4 elements a
 *                thread, so that reads and writes are both consecutive
 *     SLABS      turned, an area of up to 15: slabs of 256 channels with all their positions (packed filters of 3 x 3)
 *                through shared memory, 16 bytes at once on both sides where they lie so (wide)
 *     POSITIONS  planes of few channels (the host's images) to channels last: a thread per position, which reads a number of
 *                each plane and writes 16 bytes at once
 *     ELEMENTS   else: a thread per element of dst, in dst's order; LONG the same with indices of 64 bits, whose divisions
 *                take some 70 instructions
 * Moves in one launch: each has blocks of its own, which look for it in a table of at most MOVES; not LONG. */
#include "device.cuh"

enum { THREADS = 256, TILE = 32, SLAB = 256, SLAB_AREA = 15, SLAB_ROW = SLAB + 8, COPIED = 8, MOVES = 8 };

enum way { SAME, TILES, SLABS, POSITIONS, ELEMENTS, LONG };

struct move {
    const void *src;
    void *dst;
    enum way way;
    bool wide, packs; /* SAME, SLABS; SLABS: from planes to channels last */
    int64_t channels, area, src_pitch, dst_pitch;
    int64_t stored; /* of dst at a position, padding included */
    int64_t count;  /* elements of dst */
    int64_t blocks;
};

/* Where element (b, c, i) lies: b whole + c channel + i position. */
struct strides {
    int64_t whole, channel, position;
};

DEVICE strides strides_of(const struct move &m, int64_t pitch)
{
    if (pitch == 0) return {m.channels * m.area, m.area, 1};
    return {m.area * pitch, 1, pitch};
}

template <typename S, typename T, typename INDEX> DEVICE void move_elements(const struct move &m, unsigned block)
{
    INDEX at = (INDEX)block * THREADS + threadIdx.x, c, i, b;
    INDEX channels = (INDEX)m.channels, area = (INDEX)m.area, pitch = (INDEX)m.dst_pitch;
    if (at >= (INDEX)m.count) return;
    if (pitch == 0) {
        i = at % area;
        c = at / area % channels;
        b = at / area / channels;
    } else {
        c = at % pitch;
        i = at / pitch % area;
        b = at / pitch / area;
    }
    struct strides from = strides_of(m, m.src_pitch);
    INDEX of = b * (INDEX)from.whole + c * (INDEX)from.channel + i * (INDEX)from.position;
    const S *src = static_cast<const S *>(m.src);
    static_cast<T *>(m.dst)[at] = narrow<T>(c < channels ? widen(src[of]) : 0.0f);
}

/* COPIED elements a thread, V at a time; the last block also does those that fill no COPIED. */
template <typename S, typename T, int VS, int VT> DEVICE void move_same(const struct move &m, unsigned block)
{
    const S *src = static_cast<const S *>(m.src);
    T *dst = static_cast<T *>(m.dst);
    int64_t whole = m.count / COPIED, number = (int64_t)block * THREADS + threadIdx.x;
    if (number < whole) {
        float v[COPIED];
        load_many<VS>(src + number * COPIED, v);
        store_many<VT>(dst + number * COPIED, v);
    } else if (number < whole + m.count % COPIED) {
        int64_t at = whole * COPIED + number - whole;
        dst[at] = narrow<T>(widen(src[at]));
    }
}

template <typename S, typename T, int VT> DEVICE void move_position(const struct move &m, unsigned block)
{
    unsigned at = block * THREADS + threadIdx.x, area = (unsigned)m.area, channels = (unsigned)m.channels;
    unsigned pitch = (unsigned)m.dst_pitch;
    if (at >= (unsigned)m.count / pitch) return;
    const S *src = static_cast<const S *>(m.src) + (int64_t)(at / area) * channels * area + at % area;
    T *dst = static_cast<T *>(m.dst) + (int64_t)at * pitch;
    for (unsigned first = 0; first < pitch; first += VT) {
        float v[VT];
#pragma unroll
        for (int j = 0; j < VT; j++) v[j] = first + j < channels ? widen(src[(int64_t)(first + j) * area]) : 0.0f;
        store(dst + first, v);
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
 * elements at once on either side. tile: (SLAB_AREA, SLAB_ROW). */
template <typename S, typename T, int VS, int VT, bool PACK>
DEVICE void move_slab(const struct move &m, unsigned block, T *tile)
{
    const S *src = static_cast<const S *>(m.src);
    T *dst = static_cast<T *>(m.dst);
    unsigned channels = (unsigned)m.channels, area = (unsigned)m.area, reciprocal = 65536 / area + 1;
    unsigned pitch = (unsigned)(PACK ? m.dst_pitch : m.src_pitch);
    unsigned slabs = ((PACK ? pitch : channels) + SLAB - 1) / SLAB;
    unsigned first = block % slabs * SLAB, stored = min(pitch - first, (unsigned)SLAB);
    unsigned here = channels > first ? min(channels - first, (unsigned)SLAB) : 0;
    int64_t b = block / slabs, planes = (b * channels + first) * area, lines = b * area * pitch + first;
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

/* A block moves one tile; lanes run along the channels where a side has channels last, else along the positions. tile:
 * (TILE, TILE + 1). */
template <typename S, typename T> DEVICE void move_tile(const struct move &m, unsigned block, float *tile)
{
    const S *src = static_cast<const S *>(m.src);
    T *dst = static_cast<T *>(m.dst);
    struct strides from = strides_of(m, m.src_pitch), to = strides_of(m, m.dst_pitch);
    unsigned across = ((unsigned)m.stored + TILE - 1) / TILE, down = ((unsigned)m.area + TILE - 1) / TILE;
    unsigned tiles = across * down, rest = block % tiles;
    int64_t b = block / tiles, first_c = rest / down * TILE, first_i = rest % down * TILE;
    int fast = lane_index();
#pragma unroll
    for (int slow = warp_index(); slow < TILE; slow += THREADS / WARP) {
        int tile_c = from.channel == 1 ? fast : slow, tile_i = from.channel == 1 ? slow : fast;
        int64_t c = first_c + tile_c, i = first_i + tile_i;
        float v = 0;
        if (c < m.channels && i < m.area) v = widen(src[b * from.whole + c * from.channel + i * from.position]);
        tile[tile_c * (TILE + 1) + tile_i] = v;
    }
    BLOCK_SYNC();
#pragma unroll
    for (int slow = warp_index(); slow < TILE; slow += THREADS / WARP) {
        int tile_c = to.channel == 1 ? fast : slow, tile_i = to.channel == 1 ? slow : fast;
        int64_t c = first_c + tile_c, i = first_i + tile_i;
        if (c < m.stored && i < m.area)
            dst[b * to.whole + c * to.channel + i * to.position] = narrow<T>(tile[tile_c * (TILE + 1) + tile_i]);
    }
}

/* Elements at once. */
template <typename E, bool WIDE> constexpr int at_once = WIDE ? 16 / (int)sizeof(E) : 1;

/* Words of shared memory that a way takes for elements of a type. */
template <typename T, enum way WAY>
constexpr int shared_words = WAY == SLABS   ? SLAB_AREA *SLAB_ROW *(int)sizeof(T) / 4
                             : WAY == TILES ? TILE *(TILE + 1)
                                            : 1;

template <typename S, typename T, enum way WAY, bool WIDE, bool PACK>
DEVICE void move_block(const struct move &m, unsigned block, float *shared)
{
    constexpr int VS = at_once<S, WIDE>, VT = at_once<T, WIDE>;
    if constexpr (WAY == SAME) move_same<S, T, VS, VT>(m, block);
    if constexpr (WAY == POSITIONS) move_position<S, T, at_once<T, true>>(m, block);
    if constexpr (WAY == ELEMENTS) move_elements<S, T, unsigned>(m, block);
    if constexpr (WAY == LONG) move_elements<S, T, int64_t>(m, block);
    if constexpr (WAY == TILES) move_tile<S, T>(m, block, shared);
    if constexpr (WAY == SLABS) move_slab<S, T, VS, VT, PACK>(m, block, reinterpret_cast<T *>(shared));
}

template <typename S, typename T, enum way WAY, bool WIDE, bool PACK>
KERNEL(THREADS)
move_kernel(const __grid_constant__ struct move m)
{
    SHARED(float, shared, (shared_words<T, WAY>));
    move_block<S, T, WAY, WIDE, PACK>(m, blockIdx.x, shared);
}

struct move_table {
    struct move move[MOVES];
    int first_block[MOVES + 1];
    int moves;
};

template <typename S, typename T> KERNEL(THREADS) moves_kernel(const __grid_constant__ struct move_table table)
{
    int i = 0;
    while ((int)blockIdx.x >= table.first_block[i + 1]) i++;
    const struct move &m = table.move[i];
    unsigned block = blockIdx.x - (unsigned)table.first_block[i];
    SHARED(float, shared, (shared_words<float, SLABS>)); /* the most that any way takes */
    switch (m.way) {
    case SAME:
        m.wide ? move_block<S, T, SAME, true, false>(m, block, shared)
               : move_block<S, T, SAME, false, false>(m, block, shared);
        return;
    case TILES: move_block<S, T, TILES, false, false>(m, block, shared); return;
    case SLABS:
        if (m.packs)
            m.wide ? move_block<S, T, SLABS, true, true>(m, block, shared)
                   : move_block<S, T, SLABS, false, true>(m, block, shared);
        else
            m.wide ? move_block<S, T, SLABS, true, false>(m, block, shared)
                   : move_block<S, T, SLABS, false, false>(m, block, shared);
        return;
    case POSITIONS: move_block<S, T, POSITIONS, false, false>(m, block, shared); return;
    case ELEMENTS: move_block<S, T, ELEMENTS, false, false>(m, block, shared); return;
    case LONG: return; /* has a launch of its own */
    }
}

static struct move plan(const struct kernel_reorder_args *a)
{
    struct move m = {};
    m.src = a->src, m.dst = a->dst;
    m.channels = a->channels, m.area = a->area;
    m.src_pitch = a->src_pitch, m.dst_pitch = a->dst_pitch;
    m.stored = a->dst_pitch ? a->dst_pitch : a->channels;
    m.count = a->batch * m.stored * a->area;
    int64_t read = a->batch * (a->src_pitch ? a->src_pitch : a->channels) * a->area;
    bool turns = (a->src_pitch == 0) != (a->dst_pitch == 0) && a->area > 1;
    bool aligned = on_16_bytes(a->src) && on_16_bytes(a->dst);
    bool fits = read <= INT32_MAX && m.count <= INT32_MAX - THREADS;
    m.packs = a->src_pitch == 0;
    if (!turns && read == m.count && m.stored == a->channels) {
        m.way = SAME;
        m.wide = aligned;
        m.blocks = blocks_for(m.count / COPIED + m.count % COPIED, THREADS);
    } else if (turns && a->area >= TILE / 2 && a->channels >= TILE / 2) {
        m.way = TILES;
        m.blocks = a->batch * blocks_for(m.stored, TILE) * blocks_for(a->area, TILE);
    } else if (turns && fits && a->area <= SLAB_AREA && a->channels >= TILE / 2) {
        m.way = SLABS;
        m.wide = aligned && a->channels * a->area % 8 == 0 && (a->src_pitch + a->dst_pitch) % 8 == 0;
        m.blocks = a->batch * blocks_for(m.packs ? a->dst_pitch : a->channels, SLAB);
    } else if (turns && fits && m.packs && pitch_is_wide(a->dst_dtype, a->dst_pitch) && on_16_bytes(a->dst)) {
        m.way = POSITIONS;
        m.blocks = blocks_for(a->batch * a->area, THREADS);
    } else {
        m.way = fits ? ELEMENTS : LONG;
        m.blocks = blocks_for(m.count, THREADS);
    }
    return m;
}

template <typename S, typename T> static int run_one(const struct move &m, kernel_stream stream)
{
    void (*kernel)(struct move) = move_kernel<S, T, LONG, false, false>;
    if (m.way == ELEMENTS) kernel = move_kernel<S, T, ELEMENTS, false, false>;
    if (m.way == POSITIONS) kernel = move_kernel<S, T, POSITIONS, false, false>;
    if (m.way == TILES) kernel = move_kernel<S, T, TILES, false, false>;
    if (m.way == SAME) kernel = m.wide ? move_kernel<S, T, SAME, true, false> : move_kernel<S, T, SAME, false, false>;
    if (m.way == SLABS && m.packs)
        kernel = m.wide ? move_kernel<S, T, SLABS, true, true> : move_kernel<S, T, SLABS, false, true>;
    if (m.way == SLABS && !m.packs)
        kernel = m.wide ? move_kernel<S, T, SLABS, true, false> : move_kernel<S, T, SLABS, false, false>;
    return launch(kernel, m.blocks, THREADS, 0, stream, m);
}

/* The moves between these types. */
template <typename S, typename T>
static int run_types(const struct kernel_reorder_args *a, int count, enum dtype from, enum dtype to,
                     kernel_stream stream)
{
    struct move_table table = {};
    int status = KERNEL_OK;
    for (int i = 0; i < count && status == KERNEL_OK; i++) {
        if (a[i].src_dtype != from || a[i].dst_dtype != to) continue;
        struct move m = plan(&a[i]);
        if (m.way == LONG || m.blocks > INT32_MAX / MOVES) {
            status = run_one<S, T>(m, stream);
            continue;
        }
        table.first_block[table.moves + 1] = table.first_block[table.moves] + (int)m.blocks;
        table.move[table.moves++] = m;
    }
    if (status != KERNEL_OK || table.moves == 0) return status;
    if (table.moves == 1) return run_one<S, T>(table.move[0], stream);
    return launch(moves_kernel<S, T>, table.first_block[table.moves], THREADS, 0, stream, table);
}

int kernel_reorders(const struct kernel_reorder_args *a, int count, kernel_stream stream)
{
    if (count > MOVES) return KERNEL_REFUSED;
    for (int i = 0; i < count; i++) {
        if ((a[i].src_pitch && a[i].src_pitch < a[i].channels) || (a[i].dst_pitch && a[i].dst_pitch < a[i].channels))
            return KERNEL_REFUSED;
        if ((a[i].src_dtype != DTYPE_F32 && a[i].src_dtype != DTYPE_BF16) ||
            (a[i].dst_dtype != DTYPE_F32 && a[i].dst_dtype != DTYPE_BF16))
            return KERNEL_REFUSED;
    }
    int status = run_types<float, float>(a, count, DTYPE_F32, DTYPE_F32, stream);
    if (status == KERNEL_OK) status = run_types<float, half_word>(a, count, DTYPE_F32, DTYPE_BF16, stream);
    if (status == KERNEL_OK) status = run_types<half_word, float>(a, count, DTYPE_BF16, DTYPE_F32, stream);
    if (status == KERNEL_OK) status = run_types<half_word, half_word>(a, count, DTYPE_BF16, DTYPE_BF16, stream);
    return status;
}

int kernel_reorder(const struct kernel_reorder_args *a, kernel_stream stream)
{
    return kernel_reorders(a, 1, stream);
}
