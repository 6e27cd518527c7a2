/* One block's tile of a product, c (BM x BN) = a b^T, operands staged in shared memory a chunk of k at a time.
 *
 * An operand lies in memory as rows of k (a: m rows, b: n rows) or TURNED, as k rows of m or n. In shared memory it lies
 * the same way; tensor cores read either. Eight warps: BM / 16 down, WN across, and what is left of the 8 shares the
 * chunk's k; their parts are added in the warps' order. Elements are bf16 (MATH_BF16) or f32 (MATH_TF32, rounded when they
 * are staged, and MATH_F32: one multiply-add at a time, in the tensor cores' places). Accumulators are f32.
 * Rows are padded so that the warps' reads meet no bank twice. */
#ifndef HFF_KERNELS_TILE_CUH
#define HFF_KERNELS_TILE_CUH

#include "tensor.cuh"

enum { TILE_THREADS = 256, TILE_WARPS = TILE_THREADS / WARP };

template <int MATH> struct math_of {
    typedef float element;
    static constexpr int CHUNK = 256, STEP = 8, PAD = 4;
};
template <> struct math_of<MATH_BF16> {
    typedef half_word element;
    static constexpr int CHUNK = 512, STEP = 16, PAD = 8;
};

static inline size_t element_bytes(enum kernel_math math)
{
    return math == MATH_BF16 ? 2 : 4;
}

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

enum { TURNED_PAD = 8 };

/* A matrix in global memory: rows x columns of S, pitch elements apart. `wide`: any 8 consecutive elements from a
 * multiple of 8 lie on 16 bytes and may be read together. */
template <typename S> struct matrix {
    const S *at;
    int64_t pitch, rows, columns;
    bool wide;
};

template <typename S>
static inline struct matrix<S> matrix_of(const S *at, int64_t pitch, int64_t rows, int64_t columns) {
    return {at, pitch, rows, columns, pitch % (16 / (int64_t)sizeof(S)) == 0 && on_16_bytes(at)};
}

/* ---- staging ---- */

template <int MATH>
DEVICE float for_product(float v)
{
    return MATH == MATH_TF32 ? tf32_near(v) : v;
}

/* Eight elements; f32 takes two loads. */
DEVICE void load_eight(const float *from, float (&to)[8])
{
    float low[4], high[4];
    load(from, low);
    load(from + 4, high);
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = low[i], to[4 + i] = high[i];
}

DEVICE void load_eight(const half_word *from, float (&to)[8])
{
    load(from, to);
}

DEVICE void store_eight(float *to, const float (&from)[8])
{
    const float low[4] = {from[0], from[1], from[2], from[3]}, high[4] = {from[4], from[5], from[6], from[7]};
    store(to, low);
    store(to + 4, high);
}

DEVICE void store_eight(half_word *to, const float (&from)[8])
{
    store(to, from);
}

template <typename A, typename B> constexpr bool same_type = false;
template <typename A> constexpr bool same_type<A, A> = true;

/* Whether elements of S lie in shared memory as they lie in global memory. */
template <int MATH, typename S>
constexpr bool is_copied = MATH != MATH_TF32 &&same_type<S, typename math_of<MATH>::element>;

/* Eights that a thread has under way: each load waits as long as all of them together. */
enum { STAGED = 8 };

/* Rows row .. row + rows - 1 and columns column .. column + columns - 1 of m to shared memory; what lies outside of m
 * becomes 0. The columns are a multiple of 8, 2048 at most, and the first row is one of m's. Every thread stays with
 * eight columns: those that it may read at once, or, at the edge, one by one. Needs copies_wait and a barrier. */
template <int MATH, typename S>
DEVICE void stage(typename math_of<MATH>::element *to, int to_pitch, const struct matrix<S> &m, int64_t row, int rows,
                  int64_t column, int columns)
{
    typedef typename math_of<MATH>::element element;
    int shift = log2_over(columns / 8), step = TILE_THREADS >> shift, first = (int)threadIdx.x >> shift;
    int c = ((int)threadIdx.x - (first << shift)) * 8;
    if (c >= columns) return;
    int there = m.rows - row < rows ? (int)(m.rows - row) : rows;
    int inside = m.columns - column - c < 8 ? (int)(m.columns - column - c) : 8;
    const S *from = m.at + row * m.pitch + column + c;
    to += c;
    if (!m.wide || inside < 8) {
#pragma unroll 1
        for (int r = first; r < rows; r += step) {
            float v[8];
#pragma unroll
            for (int j = 0; j < 8; j++) v[j] = r < there && j < inside ? widen(from[r * m.pitch + j]) : 0.0f;
#pragma unroll
            for (int j = 0; j < 8; j++) v[j] = for_product<MATH>(v[j]);
            store_eight(to + r * to_pitch, v);
        }
    } else if constexpr (is_copied<MATH, S>) {
        const float none[8] = {};
#pragma unroll 4
        for (int r = first; r < rows; r += step) {
            element *place = to + r * to_pitch;
            if (r >= there) {
                store_eight(place, none);
                continue;
            }
#pragma unroll
            for (int part = 0; part < (int)sizeof(element) / 2; part++)
                copy_16_bytes(reinterpret_cast<char *>(place) + 16 * part,
                              reinterpret_cast<const char *>(from + r * m.pitch) + 16 * part);
        }
    } else {
#pragma unroll 1
        for (int start = first; start < rows; start += STAGED * step) {
            float v[STAGED][8];
#pragma unroll
            for (int i = 0; i < STAGED; i++) { /* without a branch, for one would end the loads before it */
                int r = start + i * step;
                load_eight(from + (r < there ? r : 0) * m.pitch, v[i]);
            }
#pragma unroll
            for (int i = 0; i < STAGED; i++) {
                int r = start + i * step;
#pragma unroll
                for (int j = 0; j < 8; j++) v[i][j] = r < there ? for_product<MATH>(v[i][j]) : 0.0f;
                if (r < rows) store_eight(to + r * to_pitch, v[i]);
            }
        }
    }
}

/* ---- one warp's 16 x 8 NF part ----
 * a points to the warp's first row (TURNED: column) in shared memory, b likewise; k runs over the steps first, first +
 * stride, ... below `steps` of STEP each. acc is laid out as the tensor cores do (device.cuh). */

template <bool TURNED> DEVICE void fragment_a(uint32_t (&to)[4], const half_word *a, int pitch, int k)
{
    int lane = lane_index(), tile = lane / 8, r = lane % 8;
    if constexpr (TURNED)
        load_tiles<true>(to, a + (k + tile / 2 * 8 + r) * pitch + tile % 2 * 8);
    else
        load_tiles<false>(to, a + (tile % 2 * 8 + r) * pitch + k + tile / 2 * 8);
}

/* Two fragments of b: rows 0-7 and rows 8-15. */
template <bool TURNED> DEVICE void fragment_b(uint32_t (&to)[4], const half_word *b, int pitch, int k)
{
    int lane = lane_index(), tile = lane / 8, r = lane % 8;
    if constexpr (TURNED)
        load_tiles<true>(to, b + (k + tile % 2 * 8 + r) * pitch + tile / 2 * 8);
    else
        load_tiles<false>(to, b + (tile / 2 * 8 + r) * pitch + k + tile % 2 * 8);
}

template <bool TURNED> DEVICE float element_at(const float *m, int pitch, int row, int k)
{
    return TURNED ? m[k * pitch + row] : m[row * pitch + k];
}

template <int MATH, int NF, bool A_TURNED, bool B_TURNED>
DEVICE void warp_product(float (&acc)[NF][4], const typename math_of<MATH>::element *a, int a_pitch,
                         const typename math_of<MATH>::element *b, int b_pitch, int first, int stride, int steps)
{
    static_assert(NF % 2 == 0, "fragments of b come in pairs");
    int g = lane_index() / 4, t = lane_index() % 4;
    WARP_SYNC(); /* lanes may come from loops of different lengths, and the tensor cores want all of them at once */
#pragma unroll 2
    for (int s = first; s < steps; s += stride) {
        int k = s * math_of<MATH>::STEP;
        if constexpr (MATH == MATH_BF16) {
            uint32_t left[4], right[4];
            fragment_a<A_TURNED>(left, a, a_pitch, k);
#pragma unroll
            for (int f = 0; f < NF; f += 2) {
                fragment_b<B_TURNED>(right, B_TURNED ? b + 8 * f : b + 8 * f * b_pitch, b_pitch, k);
                const uint32_t low[2] = {right[0], right[1]}, high[2] = {right[2], right[3]};
                mma_bf16(acc[f], left, low);
                mma_bf16(acc[f + 1], left, high);
            }
        } else if constexpr (MATH == MATH_TF32) {
            const float left[4] = {
                element_at<A_TURNED>(a, a_pitch, g, k + t), element_at<A_TURNED>(a, a_pitch, g + 8, k + t),
                element_at<A_TURNED>(a, a_pitch, g, k + t + 4), element_at<A_TURNED>(a, a_pitch, g + 8, k + t + 4)};
#pragma unroll
            for (int f = 0; f < NF; f++) {
                const float right[2] = {element_at<B_TURNED>(b, b_pitch, 8 * f + g, k + t),
                                        element_at<B_TURNED>(b, b_pitch, 8 * f + g, k + t + 4)};
                mma_tf32(acc[f], left, right);
            }
        } else {
#pragma unroll
            for (int j = 0; j < math_of<MATH>::STEP; j++) {
                float top = element_at<A_TURNED>(a, a_pitch, g, k + j),
                      bottom = element_at<A_TURNED>(a, a_pitch, g + 8, k + j);
#pragma unroll
                for (int f = 0; f < NF; f++) {
                    float left = element_at<B_TURNED>(b, b_pitch, 8 * f + 2 * t, k + j);
                    float right = element_at<B_TURNED>(b, b_pitch, 8 * f + 2 * t + 1, k + j);
                    acc[f][0] += top * left;
                    acc[f][1] += top * right;
                    acc[f][2] += bottom * left;
                    acc[f][3] += bottom * right;
                }
            }
        }
    }
}

/* ---- one block's BM x BN tile ---- */

template <int MATH_, int BM_, int BN_, int WN_, bool A_TURNED_, bool B_TURNED_> struct tile_shape {
    typedef typename math_of<MATH_>::element element;
    static constexpr bool A_TURNED = A_TURNED_, B_TURNED = B_TURNED_;
    static constexpr int MATH = MATH_;
    static constexpr int BM = BM_;
    static constexpr int BN = BN_;
    static constexpr int CHUNK = math_of<MATH_>::CHUNK;
    static constexpr int STEP = math_of<MATH_>::STEP;
    static constexpr int WM = BM / 16;
    static constexpr int WN = WN_;
    static constexpr int WK = TILE_WARPS / (WM * WN);
    static constexpr int NF = BN / WN / 8;
    static constexpr int A_PITCH = A_TURNED ? BM + TURNED_PAD : CHUNK + math_of<MATH_>::PAD;
    static constexpr int B_PITCH = B_TURNED ? BN + TURNED_PAD : CHUNK + math_of<MATH_>::PAD;
    static constexpr int A_SIZE = A_PITCH * (A_TURNED ? CHUNK : BM);
    static constexpr int B_SIZE = B_PITCH * (B_TURNED ? CHUNK : BN);
    static constexpr int C_PITCH = BN + 4;
    static constexpr int C_BYTES = WK * BM * C_PITCH * 4;
    static constexpr int AB_BYTES = (A_SIZE + B_SIZE) * (int)sizeof(element);
    static constexpr int BYTES = AB_BYTES > C_BYTES ? AB_BYTES : C_BYTES; /* of shared memory */
    static_assert(WM * WN * WK == TILE_WARPS, "eight warps");
};

/* A place inside of a matrix, for what is read whether or not it is wanted: a branch costs more. */
DEVICE int64_t clamped(int64_t at, int64_t count)
{
    return at < count ? at : count - 1;
}

/* For a result that needs nothing but the product. */
struct nothing {
};

DEVICE nothing read_nothing(int, int)
{
    return nothing();
}

DEVICE void do_nothing()
{
}

/* Rows m .. m + BM - 1 of a times rows n .. n + BN - 1 of b over all of k; result(row, column, value, read(row, column))
 * gets every element of the tile once, row and column counted from the tile's corner, whether or not it lies inside of c.
 * A thread reads for all its elements at the start, when nobody waits for it: the compiler could not move a read of
 * memory over a write. meanwhile() is called while the first chunk is on its way; it may have barriers. */
template <typename SHAPE, typename SA, typename SB, typename MEANWHILE, typename READ, typename RESULT>
DEVICE void block_product(void *shared, const struct matrix<SA> &a, int64_t m, const struct matrix<SB> &b, int64_t n,
                          int64_t k, MEANWHILE meanwhile, READ read, RESULT result)
{
    typedef typename SHAPE::element element;
    constexpr int MATH = SHAPE::MATH, BM = SHAPE::BM, BN = SHAPE::BN, CHUNK = SHAPE::CHUNK, STEP = SHAPE::STEP;
    element *a_tile = static_cast<element *>(shared), *b_tile = a_tile + SHAPE::A_SIZE;
    int warp = warp_index(), wm = warp % SHAPE::WM, wn = warp / SHAPE::WM % SHAPE::WN,
        wk = warp / SHAPE::WM / SHAPE::WN;
    auto stage_a = [&](int64_t from, int whole) {
        if constexpr (SHAPE::A_TURNED)
            stage<MATH>(a_tile, SHAPE::A_PITCH, a, from, whole, m, BM);
        else
            stage<MATH>(a_tile, SHAPE::A_PITCH, a, m, BM, from, whole);
    };
    auto stage_b = [&](int64_t from, int whole) {
        if constexpr (SHAPE::B_TURNED)
            stage<MATH>(b_tile, SHAPE::B_PITCH, b, from, whole, n, BN);
        else
            stage<MATH>(b_tile, SHAPE::B_PITCH, b, n, BN, from, whole);
    };
    typedef decltype(read(0, 0)) had_type;
    constexpr int EACH = BM * BN / TILE_THREADS;
    had_type had[EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int at = i * TILE_THREADS + (int)threadIdx.x;
        had[i] = read(at / BN, at % BN);
    }
    float acc[SHAPE::NF][4] = {};
    for (int64_t from = 0; from < k; from += CHUNK) {
        int left = k - from < CHUNK ? (int)(k - from) : CHUNK, whole = (left + STEP - 1) / STEP * STEP;
        if (from > 0) BLOCK_SYNC(); /* the last chunk has been read */
        if constexpr (is_copied<MATH, SB> &&
                      !is_copied<MATH, SA>) { /* copies are under way while others are converted */
            stage_b(from, whole);
            stage_a(from, whole);
        } else {
            stage_a(from, whole);
            stage_b(from, whole);
        }
        if (from == 0) meanwhile();
        copies_wait();
        BLOCK_SYNC();
        constexpr int COLUMNS = SHAPE::NF * 8;
        warp_product<MATH, SHAPE::NF, SHAPE::A_TURNED, SHAPE::B_TURNED>(
            acc, a_tile + wm * 16 * (SHAPE::A_TURNED ? 1 : SHAPE::A_PITCH), SHAPE::A_PITCH,
            b_tile + wn * COLUMNS * (SHAPE::B_TURNED ? 1 : SHAPE::B_PITCH), SHAPE::B_PITCH, wk, SHAPE::WK,
            whole / STEP);
    }
    BLOCK_SYNC();
    float *c_tile = static_cast<float *>(shared);
    int g = lane_index() / 4, t = lane_index() % 4;
    float *own = c_tile + (wk * BM + wm * 16 + g) * SHAPE::C_PITCH + wn * SHAPE::NF * 8 + 2 * t;
#pragma unroll
    for (int f = 0; f < SHAPE::NF; f++) {
        own[8 * f] = acc[f][0];
        own[8 * f + 1] = acc[f][1];
        own[8 * f + 8 * SHAPE::C_PITCH] = acc[f][2];
        own[8 * f + 8 * SHAPE::C_PITCH + 1] = acc[f][3];
    }
    BLOCK_SYNC();
    auto sum_at = [&](int at) {
        float sum = 0;
#pragma unroll
        for (int w = 0; w < SHAPE::WK; w++) sum += c_tile[(w * BM + at / BN) * SHAPE::C_PITCH + at % BN];
        return sum;
    };
    if constexpr (same_type<had_type, nothing>) {
#pragma unroll 4
        for (int at = (int)threadIdx.x; at < BM * BN; at += TILE_THREADS)
            result(at / BN, at % BN, sum_at(at), nothing());
    } else {
        float sum[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) sum[i] = sum_at(i * TILE_THREADS + (int)threadIdx.x);
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int at = i * TILE_THREADS + (int)threadIdx.x;
            result(at / BN, at % BN, sum[i], had[i]);
        }
    }
}

#endif
