/* A batch from images that stay on the device: gather, crop, shift, flip, cutout, normalise and mixup in one kernel. The
 * numbers drawn, and so the bytes made, are backend/augment.c's.
 *
 * Every change treats rows and columns apart (backend/augment.c): where a pixel comes from is its row's and its column's
 * source, found by following the changes backwards from the last to the first.
 * Bytes: an image's bytes in, its elements out; B = 512, 32 x 32 x 3 to bf16 with pitch 8: 1.5 MB + 8.4 MB, 2.1 us at
 * 4.8 TB/s; beside a launch, some 3 us of latency (sample number, draws, rows, pixels one after the other).
 * Geometry: a block of 256 threads per sample. Thread 0 draws; a thread per row or column follows it back; then a thread
 * per pixel looks its channels up in the table of normalised values and writes them in one piece. */
#include "philox.cuh"

enum { THREADS = 256 };

/* ---- where pixels come from ---- */

/* What one change drew: crop: the offset of rows and columns; flip: column 1 when it happens; cutout: the first row and
 * column that are cut. */
struct drawn {
    int row, column;
};

/* A row's or column's source, -1 for black, and the changes that cut it, a bit each. */
struct line {
    int source;
    uint32_t cut;
};

DEVICE void draw(const struct kernel_augment_args &a, uint64_t epoch, uint32_t sample, struct drawn *drawn)
{
    struct draws d;
    draws_open(d, a.rule.seed, RNG_AUGMENT, epoch, sample);
    for (int k = 0; k < a.rule.changes; k++) {
        int amount = a.rule.change[k].amount;
        struct drawn now = {0, 0};
        switch (a.rule.change[k].kind) {
        case AUGMENT_CROP:
            now.row = (int)draw_below(d, 2 * (uint32_t)amount + 1) - amount;
            now.column = (int)draw_below(d, 2 * (uint32_t)amount + 1) - amount;
            break;
        case AUGMENT_FLIP: now.column = (int)draw_below(d, 2); break;
        case AUGMENT_CUTOUT:
            now.row = (int)draw_below(d, (uint32_t)a.height) - amount / 2;
            now.column = (int)draw_below(d, (uint32_t)a.width) - amount / 2;
            break;
        }
        drawn[k] = now;
    }
}

/* Line i of n of the finished image. A line that is black through change k was not there for the changes before it. */
DEVICE struct line follow(const struct kernel_augment_args &a, const struct drawn *drawn, bool is_row, int n, int i)
{
    struct line line = {i, 0};
    for (int k = a.rule.changes - 1; k >= 0 && line.source >= 0; k--) {
        int by = is_row ? drawn[k].row : drawn[k].column;
        switch (a.rule.change[k].kind) {
        case AUGMENT_CROP:
            line.source += by;
            if (a.rule.change[k].reflect) {
                if (line.source < 0) line.source = -line.source;
                if (line.source >= n) line.source = 2 * n - 2 - line.source;
            }
            if (line.source >= n) line.source = -1;
            break;
        case AUGMENT_FLIP:
            if (!is_row && by) line.source = n - 1 - line.source;
            break;
        case AUGMENT_CUTOUT:
            if (line.source >= by && line.source < by + a.rule.change[k].amount) line.cut |= 1u << k;
            break;
        }
    }
    if (line.source < 0) line.source = -1;
    return line;
}

/* One sample that a block works on: its image, and its lines in shared memory (height of them, then width). */
struct sample {
    const uint8_t *image; /* NULL: padding */
    struct line *lines;
};

/* Channel c at (y, x), normalised. */
DEVICE float pixel(const struct kernel_augment_args &a, const struct sample &s, int c, int y, int x)
{
    struct line row = s.lines[y], column = s.lines[a.height + x];
    if (row.cut & column.cut) return a.rule.mean_colour[c];
    int value = 0;
    if (row.source >= 0 && column.source >= 0)
        value = s.image[((int64_t)c * a.height + row.source) * a.width + column.source];
    return a.table[c * 256 + value];
}

/* The sample's own and, with mixup, its partner's. share is that of its own. */
DEVICE float blended(const struct kernel_augment_args &a, const struct sample (&s)[2], float share, int c, int y, int x)
{
    if (!s[0].image) return 0;
    float own = pixel(a, s[0], c, y, x);
    return a.partner ? plus(times(share, own), times(1.0f - share, pixel(a, s[1], c, y, x))) : own;
}

template <typename T> KERNEL(THREADS) augment_kernel(const __grid_constant__ struct kernel_augment_args a)
{
    DYNAMIC_SHARED(struct line, lines);
    SHARED(struct drawn, drawn, 2 * AUGMENT_CHANGES);
    int b = (int)blockIdx.x, samples = a.partner ? 2 : 1, height = a.height, width = a.width;
    uint64_t epoch = (uint64_t)*a.epoch;
    struct sample s[2] = {};
    int32_t number[2] = {a.sample[b], a.partner ? a.partner[b] : 0};
    float share = a.partner ? a.share[b] : 1.0f;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        s[i].lines = lines + i * (height + width);
        if (number[0] >= 0) s[i].image = a.images + (int64_t)number[i] * a.channels * height * width;
    }
    if (threadIdx.x % WARP == 0 && warp_index() < samples) /* each in a warp of its own */
        draw(a, epoch, (uint32_t)(warp_index() == 0 ? number[0] : number[1]), drawn + warp_index() * AUGMENT_CHANGES);
    BLOCK_SYNC();
    for (int i = (int)threadIdx.x; i < samples * (height + width); i += THREADS) {
        int which = i / (height + width), at = i % (height + width);
        bool is_row = at < height;
        lines[i] =
            follow(a, drawn + which * AUGMENT_CHANGES, is_row, is_row ? height : width, is_row ? at : at - height);
    }
    BLOCK_SYNC();
    T *out = static_cast<T *>(a.x) + (int64_t)b * height * width * (a.pitch ? a.pitch : a.channels);
    for (int at = (int)threadIdx.x; at < height * width; at += THREADS) {
        int y = at / width, x = at % width;
        if (a.pitch == 8) { /* RGB as the convolutions want it */
            float v[8] = {};
#pragma unroll
            for (int c = 0; c < 4; c++)
                if (c < a.channels) v[c] = blended(a, s, share, c, y, x);
            if constexpr (sizeof(T) == 2) {
                store(out + (int64_t)at * 8, v);
            } else {
                const float low[4] = {v[0], v[1], v[2], v[3]}, high[4] = {};
                store(out + (int64_t)at * 8, low);
                store(out + (int64_t)at * 8 + 4, high);
            }
        } else if (a.pitch) {
            for (int c = 0; c < a.pitch; c++)
                out[(int64_t)at * a.pitch + c] = narrow<T>(c < a.channels ? blended(a, s, share, c, y, x) : 0.0f);
        } else {
            for (int c = 0; c < a.channels; c++)
                out[(int64_t)c * height * width + at] = narrow<T>(blended(a, s, share, c, y, x));
        }
    }
}

int kernel_augment(const struct kernel_augment_args *a, kernel_stream stream)
{
    size_t shared = 2 * ((size_t)a->height + (size_t)a->width) * sizeof(struct line);
    if (a->channels < 1 || a->channels > 4 || a->rule.changes < 0 || a->rule.changes > AUGMENT_CHANGES ||
        (a->pitch && a->pitch < a->channels) || (int64_t)a->height * a->width > INT32_MAX - THREADS)
        return KERNEL_REFUSED;
    for (int k = 0; k < a->rule.changes; k++)
        if (a->rule.change[k].reflect &&
            (a->rule.change[k].amount >= a->height || a->rule.change[k].amount >= a->width))
            return KERNEL_REFUSED;
    if (a->dtype == DTYPE_F32) return launch(augment_kernel<float>, a->batch, THREADS, shared, stream, *a);
    if (a->dtype == DTYPE_BF16) return launch(augment_kernel<half_word>, a->batch, THREADS, shared, stream, *a);
    return KERNEL_REFUSED;
}
