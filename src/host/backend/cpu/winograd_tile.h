/* Between the files of Winograd's convolutions (winograd.h): tiles, the transforms, vectors of channels. */
#ifndef HFF_BACKEND_CPU_WINOGRAD_TILE_H
#define HFF_BACKEND_CPU_WINOGRAD_TILE_H

#include "tiles.h"
#include "vec.h"
#include "winograd.h"

enum {
    SIDE = 6,
    OUT = 4,
    PLACES = SIDE * SIDE,
    TAPS = 9,
};

/* Tiles of a batch: number n th tw + i tw + j covers outputs [4i, 4i + 4) x [4j, 4j + 4) of image n. */
struct tiling {
    int height, width, rows, columns; /* of an image; rows, columns: its tiles */
    int64_t image;                    /* tiles of an image */
};
struct tiling tiling_of(const struct tensor *activation);

/* V of tiles [first, first + count), as (36, channels / 16, room, 16); rows count .. room - 1 become 0. */
void winograd_input(const struct tiling *tiling, enum dtype type, const void *x, int64_t channels, int64_t first,
                    int count, int room, float *v);

/* The points +-P and +-Q, and what the matrices are made of. */
#define P (5.f / 8)
#define Q (3.f / 2)
#define PP (P * P)
#define QQ (Q * Q)

/* out = B' d, six vectors. */
INLINE void to_points(const vec *d, vec *out)
{
    vec even_p = d[4] - QQ * d[2], odd_p = P * (d[3] - QQ * d[1]);
    vec even_q = d[4] - PP * d[2], odd_q = Q * (d[3] - PP * d[1]);
    out[0] = PP * QQ * d[0] + (d[4] - (PP + QQ) * d[2]);
    out[1] = even_p + odd_p;
    out[2] = even_p - odd_p;
    out[3] = even_q + odd_q;
    out[4] = even_q - odd_q;
    out[5] = PP * QQ * d[1] + (d[5] - (PP + QQ) * d[3]);
}

/* out = A' m: six vectors to four. */
INLINE void from_points(const vec *m, vec *out)
{
    vec sum_p = m[1] + m[2], sum_q = m[3] + m[4], diff_p = m[1] - m[2], diff_q = m[3] - m[4];
    out[0] = m[0] + (sum_p + sum_q);
    out[1] = P * diff_p + Q * diff_q;
    out[2] = PP * sum_p + QQ * sum_q;
    out[3] = m[5] + (P * PP * diff_p + Q * QQ * diff_q);
}

/* out = A y: four vectors to six. */
INLINE void outputs_to_points(const vec *y, vec *out)
{
    vec even_p = y[0] + PP * y[2], odd_p = P * (y[1] + PP * y[3]);
    vec even_q = y[0] + QQ * y[2], odd_q = Q * (y[1] + QQ * y[3]);
    out[0] = y[0];
    out[1] = even_p + odd_p;
    out[2] = even_p - odd_p;
    out[3] = even_q + odd_q;
    out[4] = even_q - odd_q;
    out[5] = y[3];
}

/* The points' factors in G: 1 / prod (point - other point). */
#define G0 (1 / (PP * QQ))
#define GP (1 / (2 * PP * (PP - QQ)))
#define GQ (1 / (2 * QQ * (QQ - PP)))

/* out = G g: three vectors to six. */
INLINE void filter_to_points(const vec *g, vec *out)
{
    vec even_p = GP * g[0] + GP * PP * g[2], odd_p = GP * P * g[1];
    vec even_q = GQ * g[0] + GQ * QQ * g[2], odd_q = GQ * Q * g[1];
    out[0] = G0 * g[0];
    out[1] = even_p + odd_p;
    out[2] = even_p - odd_p;
    out[3] = even_q + odd_q;
    out[4] = even_q - odd_q;
    out[5] = g[2];
}

/* out = G' u: six vectors to three. */
INLINE void points_to_filter(const vec *u, vec *out)
{
    vec sum_p = u[1] + u[2], sum_q = u[3] + u[4], diff_p = u[1] - u[2], diff_q = u[3] - u[4];
    out[0] = G0 * u[0] + (GP * sum_p + GQ * sum_q);
    out[1] = GP * P * diff_p + GQ * Q * diff_q;
    out[2] = u[5] + (GP * PP * sum_p + GQ * QQ * sum_q);
}

/* A transform of rows and then of columns: in (from x from) -> out (to x to), by one(from vectors, to vectors). */
#define BOTH_WAYS(one, from, to, in, out)                                                                              \
    do {                                                                                                               \
        vec half_[to * from], line_[SIDE];                                                                             \
        for (int j_ = 0; j_ < from; j_++) {                                                                            \
            for (int i_ = 0; i_ < from; i_++) line_[i_] = (in)[i_ * from + j_];                                        \
            vec result_[SIDE];                                                                                         \
            one(line_, result_);                                                                                       \
            for (int i_ = 0; i_ < to; i_++) half_[i_ * from + j_] = result_[i_];                                       \
        }                                                                                                              \
        for (int i_ = 0; i_ < to; i_++) one(half_ + i_ * from, (out) + i_ * to);                                       \
    } while (0)

#endif
