/* The generated digits: 28 x 28 grey, drawn with a pen along curves that are turned, slanted, stretched, bent and
 * smeared at random.
 *
 * The same bytes on every machine: nothing but integers. Lengths are in 1/256 pixel, ratios in 1/4096, and what may be
 * negative is divided, never shifted. Every sample has a random stream of its own. */
#include "source.h"

#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIDE = DIGITS_SIDE,
    PIXEL = 256,   /* one pixel */
    ONE = 4096,    /* the ratio 1 */
    STEPS = 8,     /* straight pieces from one point of a stroke to the next */
    PEN_MAX = 320, /* places of the pen in one digit */
    GRID = 5       /* of random displacements that bend the plane */
};

/* A glyph: strokes of points (x, y) in a box of 100 x 100, y down, joined by Catmull-Rom curves. A point given twice
 * makes a corner. UP lifts the pen, END ends the glyph. */
#define UP                                                                                                             \
    {                                                                                                                  \
        -1, 0                                                                                                          \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        -2, 0                                                                                                          \
    }
typedef const signed char point[2];

static point zero_round[] = {{58, 3},  {42, 1},  {28, 14}, {22, 44}, {27, 76}, {42, 98}, {60, 97},
                             {74, 76}, {78, 46}, {72, 16}, {58, 2},  {44, 3},  END};
static point zero_narrow[] = {{52, 1},  {38, 10}, {30, 48}, {36, 88}, {50, 99},
                              {64, 88}, {70, 48}, {62, 10}, {50, 1},  END};
static point one_plain[] = {{50, 0}, {50, 34}, {50, 67}, {50, 100}, END};
static point one_flag[] = {{34, 22}, {44, 12}, {53, 0}, {53, 0}, {53, 50}, {53, 100}, END};
static point one_base[] = {{36, 20}, {52, 1}, {52, 1}, {52, 50}, {52, 99}, UP, {32, 99}, {52, 99}, {72, 98}, END};
static point two_corner[] = {{24, 22}, {34, 5},  {54, 0},  {70, 10}, {72, 30}, {60, 52},
                             {40, 76}, {22, 97}, {22, 97}, {50, 96}, {80, 97}, END};
static point two_loop[] = {{24, 22}, {36, 4},  {56, 0},  {71, 14}, {68, 38}, {52, 64}, {33, 88},
                           {20, 95}, {17, 84}, {30, 79}, {48, 90}, {66, 99}, {84, 90}, END};
static point three_round[] = {{24, 12}, {42, 0},  {62, 4},  {69, 20},  {60, 38}, {42, 46}, {42, 46},
                              {62, 50}, {76, 66}, {70, 88}, {48, 100}, {22, 90}, END};
static point three_flat[] = {{24, 3},  {48, 2},  {72, 2},  {72, 2},   {46, 40}, {46, 40},
                             {68, 48}, {76, 66}, {66, 92}, {44, 100}, {22, 90}, END};
static point four_open[] = {{32, 3}, {27, 30}, {20, 60}, {20, 60},  {50, 61}, {82, 57},
                            UP,      {66, 6},  {64, 50}, {61, 100}, END};
static point four_closed[] = {{62, 1}, {40, 34}, {18, 66}, {18, 66},  {50, 67}, {84, 65},
                              UP,      {63, 1},  {63, 50}, {62, 100}, END};
static point five_one[] = {{74, 2},  {54, 2},  {35, 3},  {35, 3},   {30, 44}, {30, 44}, {50, 37},
                           {70, 46}, {77, 68}, {65, 92}, {43, 100}, {22, 90}, END};
static point five_bar[] = {{37, 4},  {34, 26}, {30, 46}, {30, 46}, {54, 38}, {74, 54}, {74, 80},
                           {52, 99}, {24, 93}, UP,       {37, 4},  {56, 3},  {76, 0},  END};
static point six_round[] = {{66, 3},  {44, 16}, {28, 44}, {24, 74}, {36, 96}, {56, 99},
                            {72, 84}, {72, 64}, {56, 53}, {38, 60}, {27, 78}, END};
static point six_straight[] = {{56, 0},  {36, 30}, {26, 62}, {30, 90}, {50, 100}, {68, 90},
                               {70, 70}, {54, 58}, {36, 66}, {28, 82}, END};
static point seven_plain[] = {{22, 4}, {48, 4}, {77, 3}, {77, 3}, {56, 48}, {43, 100}, END};
static point seven_cross[] = {{22, 4}, {48, 4},  {77, 3},  {77, 3},  {56, 48}, {43, 100},
                              UP,      {36, 53}, {54, 51}, {72, 49}, END};
static point seven_hook[] = {{22, 20}, {24, 4}, {24, 4}, {48, 6}, {76, 3}, {76, 3}, {60, 42}, {52, 100}, END};
static point eight_one[] = {{67, 14},  {50, 0},  {33, 8},  {33, 28}, {50, 46}, {70, 64}, {72, 86},
                            {52, 100}, {30, 90}, {29, 68}, {48, 48}, {66, 30}, {68, 12}, END};
static point eight_two[] = {{52, 0},  {34, 8},  {30, 26}, {42, 45}, {58, 45}, {70, 26}, {66, 8},  {50, 0},  UP,
                            {48, 46}, {29, 60}, {24, 80}, {40, 99}, {60, 99}, {76, 80}, {71, 60}, {52, 46}, END};
static point nine_straight[] = {{71, 18}, {57, 1}, {37, 5}, {27, 25}, {35, 46},  {54, 48},
                                {68, 34}, {73, 8}, {73, 8}, {71, 54}, {66, 100}, END};
static point nine_curved[] = {{71, 20}, {54, 1},  {35, 8},  {28, 30},  {42, 49}, {60, 43},
                              {71, 22}, {73, 58}, {62, 90}, {42, 100}, {27, 91}, END};

static point *const glyphs[DIGITS_CLASSES][4] = {
    {zero_round, zero_narrow, zero_round, zero_narrow}, {one_plain, one_flag, one_plain, one_base},
    {two_corner, two_loop, two_corner, two_loop},       {three_round, three_flat, three_round, three_round},
    {four_open, four_closed, four_open, four_closed},   {five_one, five_bar, five_one, five_bar},
    {six_round, six_straight, six_round, six_straight}, {seven_plain, seven_cross, seven_plain, seven_hook},
    {eight_one, eight_two, eight_one, eight_one},       {nine_straight, nine_curved, nine_straight, nine_curved},
};

/* Where the pen was, in 1/256 pixel once it has been placed; joined: a line leads here from the place before. */
struct pen {
    int count;
    struct {
        int32_t x, y, radius;
        int joined;
    } at[PEN_MAX];
};

static int32_t between(struct rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)rng_below(rng, (uint32_t)(high - low) + 1);
}

/* -reach .. reach, the middle being likelier than the ends. */
static int32_t around_zero(struct rng *rng, int32_t reach)
{
    return (between(rng, -reach, reach) + between(rng, -reach, reach) + between(rng, -reach, reach)) / 3;
}

/* Catmull-Rom between b and c at k/STEPS, in 1/64 of the unit of its arguments. */
static int32_t curve(int32_t a, int32_t b, int32_t c, int32_t d, int32_t k)
{
    const int32_t n = STEPS;
    int32_t sum = 2 * b * n * n * n + (c - a) * k * n * n + (2 * a - 5 * b + 4 * c - d) * k * k * n +
                  (3 * b - a - 3 * c + d) * k * k * k;
    return sum * 64 / (2 * n * n * n);
}

/* One stroke of count points as pen places in 1/64 of the glyph's unit; a little is left out at both ends. */
static void trace_stroke(struct pen *pen, struct rng *rng, point *points, int count, int32_t radius)
{
    int last = (count - 1) * STEPS, from = between(rng, 0, last / 14), to = last - between(rng, 0, last / 14);
    int32_t pressure = between(rng, 208, 288), next = between(rng, 208, 288);
    for (int s = from; s <= to && pen->count < PEN_MAX; s++) {
        int i = s / STEPS < count - 1 ? s / STEPS : count - 2, k = s - i * STEPS;
        if (k == 0 && s > from) {
            pressure = next;
            next = between(rng, 208, 288);
        }
        const signed char *a = points[i > 0 ? i - 1 : 0], *b = points[i], *c = points[i + 1];
        const signed char *d = points[i + 2 < count ? i + 2 : count - 1];
        int p = pen->count++;
        pen->at[p].x = curve(a[0], b[0], c[0], d[0], k);
        pen->at[p].y = curve(a[1], b[1], c[1], d[1], k);
        pen->at[p].radius = radius * (pressure * (STEPS - k) + next * k) / (256 * STEPS);
        pen->at[p].joined = s > from;
    }
}

static void trace(struct pen *pen, struct rng *rng, point *glyph)
{
    int32_t radius = between(rng, 150, 400);
    pen->count = 0;
    while (**glyph != -2) {
        int count = 0;
        while (glyph[count][0] >= 0) count++;
        trace_stroke(pen, rng, glyph, count, radius);
        glyph += count + (glyph[count][0] == -1);
    }
}

/* Size, slant, turn and place. The half angle's tangent t gives cosine and sine without a table. */
static void place(struct pen *pen, struct rng *rng)
{
    int64_t width = between(rng, 2500, 4400), height = between(rng, 2900, 4300), slant = around_zero(rng, 2100);
    int64_t t = around_zero(rng, 700), whole = (int64_t)ONE * ONE + t * t;
    int64_t cosine = ((int64_t)ONE * ONE - t * t) * ONE / whole, sine = 2 * t * ONE * ONE / whole;
    int64_t right = SIDE * PIXEL / 2 + around_zero(rng, 1000), down = SIDE * PIXEL / 2 + around_zero(rng, 1000);
    for (int i = 0; i < pen->count; i++) {
        /* 20 pixels for 100 units: 51.2 / 64 of 1/256 pixel for a 1/64 unit */
        int64_t x = (int64_t)(pen->at[i].x - 50 * 64) * 4 / 5 * width / ONE;
        int64_t y = (int64_t)(pen->at[i].y - 50 * 64) * 4 / 5 * height / ONE;
        x -= y * slant / ONE;
        pen->at[i].x = (int32_t)((x * cosine - y * sine) / ONE + right);
        pen->at[i].y = (int32_t)((x * sine + y * cosine) / ONE + down);
    }
}

/* Bends the plane: displacements at the corners of a grid, blended smoothly in between. */
static void bend(struct pen *pen, struct rng *rng)
{
    const int32_t cell = SIDE * PIXEL / (GRID - 1);
    int32_t reach = between(rng, 100, 520), moved[GRID][GRID][2];
    for (int i = 0; i < GRID * GRID * 2; i++) (&moved[0][0][0])[i] = between(rng, -reach, reach);
    for (int i = 0; i < pen->count; i++) {
        int32_t at[2] = {pen->at[i].x, pen->at[i].y}, weight[2], corner[2];
        for (int k = 0; k < 2; k++) {
            int32_t inside = at[k] < 0 ? 0 : at[k] >= SIDE * PIXEL ? SIDE * PIXEL - 1 : at[k];
            int64_t f = (int64_t)(inside % cell) * ONE / cell;
            corner[k] = inside / cell;
            weight[k] = (int32_t)(f * f * (3 * ONE - 2 * f) / ((int64_t)ONE * ONE));
        }
        for (int k = 0; k < 2; k++) {
            int32_t(*top)[2] = &moved[corner[1]][corner[0]], (*low)[2] = &moved[corner[1] + 1][corner[0]];
            int64_t above = (int64_t)top[0][k] * (ONE - weight[0]) + (int64_t)top[1][k] * weight[0];
            int64_t below = (int64_t)low[0][k] * (ONE - weight[0]) + (int64_t)low[1][k] * weight[0];
            at[k] += (int32_t)((above * (ONE - weight[1]) + below * weight[1]) / ((int64_t)ONE * ONE));
        }
        pen->at[i].x = at[0];
        pen->at[i].y = at[1];
    }
}

static int32_t root(int64_t square)
{
    int64_t result = 0;
    for (int64_t bit = 1 << 15; bit; bit >>= 1)
        if ((result + bit) * (result + bit) <= square) result += bit;
    return (int32_t)result;
}

/* Distance from (x, y) to the line between places i - 1 and i of the pen (place i alone where the pen was lifted). */
static int32_t distance(const struct pen *pen, int i, int64_t x, int64_t y)
{
    int64_t bx = pen->at[i].x, by = pen->at[i].y;
    if (pen->at[i].joined) {
        int64_t ax = pen->at[i - 1].x, ay = pen->at[i - 1].y, dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
        int64_t along = (x - ax) * dx + (y - ay) * dy;
        along = along < 0 ? 0 : along > length ? length : along;
        if (length > 0) {
            bx = ax + dx * along / length;
            by = ay + dy * along / length;
        }
    }
    return root((x - bx) * (x - bx) + (y - by) * (y - by));
}

static int32_t clamp(int32_t value, int32_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

/* Inks every pixel by its distance from the pen's path; the edge fades over soft. */
static void ink(const struct pen *pen, int32_t soft, uint8_t *pixels)
{
    memset(pixels, 0, SIDE * SIDE);
    for (int i = 0; i < pen->count; i++) {
        int before = pen->at[i].joined ? i - 1 : i;
        int32_t ax = pen->at[before].x, ay = pen->at[before].y, bx = pen->at[i].x, by = pen->at[i].y;
        int32_t reach = pen->at[i].radius + soft / 2, far = SIDE * PIXEL - 1;
        int left = clamp((ax < bx ? ax : bx) - reach, far) / PIXEL,
            right = clamp((ax < bx ? bx : ax) + reach, far) / PIXEL;
        int top = clamp((ay < by ? ay : by) - reach, far) / PIXEL,
            bottom = clamp((ay < by ? by : ay) + reach, far) / PIXEL;
        for (int y = top; y <= bottom; y++) {
            for (int x = left; x <= right; x++) {
                int32_t gap = distance(pen, i, x * PIXEL + PIXEL / 2, y * PIXEL + PIXEL / 2);
                int32_t value = clamp((reach - gap) * 255 / soft, 255);
                if (value > pixels[y * SIDE + x]) pixels[y * SIDE + x] = (uint8_t)value;
            }
        }
    }
}

/* Blends with the image smoothed by 1 2 1 in both directions. */
static void blur(uint8_t *pixels, int32_t share)
{
    int32_t across[SIDE + 2][SIDE];
    memset(across, 0, sizeof across);
    for (int y = 0; y < SIDE; y++) {
        const uint8_t *row = pixels + y * SIDE;
        for (int x = 0; x < SIDE; x++)
            across[y + 1][x] = (x > 0 ? row[x - 1] : 0) + 2 * row[x] + (x + 1 < SIDE ? row[x + 1] : 0);
    }
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            int32_t smooth = (across[y][x] + 2 * across[y + 1][x] + across[y + 2][x]) / 16,
                    sharp = pixels[y * SIDE + x];
            pixels[y * SIDE + x] = (uint8_t)((smooth * share + sharp * (256 - share)) / 256);
        }
    }
}

/* Fades the ink and adds noise: the sum of four bytes is near enough to a normal deviate (deviation 148). */
static void smear(uint8_t *pixels, struct rng *rng)
{
    int32_t level = between(rng, 170, 256), noise = between(rng, 0, 60);
    for (int i = 0; i < SIDE * SIDE; i++) {
        uint32_t bits = rng_u32(rng);
        int32_t sum = (int32_t)((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
        pixels[i] = (uint8_t)clamp(pixels[i] * level / 256 + (sum - 510) * noise / 512, 255);
    }
}

int digits_draw(uint64_t seed, int test, uint32_t number, uint8_t *pixels)
{
    struct rng rng;
    struct pen pen;
    rng_open(&rng, seed, RNG_DIGITS, (uint64_t)test, number);
    int digit = (int)rng_below(&rng, DIGITS_CLASSES);
    trace(&pen, &rng, glyphs[digit][rng_below(&rng, 4)]);
    place(&pen, &rng);
    bend(&pen, &rng);
    ink(&pen, between(&rng, 200, 420), pixels);
    blur(pixels, between(&rng, 0, 200));
    smear(pixels, &rng);
    return digit;
}

static hff_status draw_split(struct dataset *set, uint64_t seed, int test, int64_t count)
{
    uint8_t *images;
    int32_t *labels;
    TRY(source_split(set, "data.digits", count, 1, SIDE, SIDE, &images, &labels));
    for (int64_t i = 0; i < count; i++) labels[i] = digits_draw(seed, test, (uint32_t)i, images + i * SIDE * SIDE);
    return HFF_OK;
}

hff_status digits_open(struct data *data, const struct config_node *data_node)
{
    uint64_t seed = (uint64_t)config_int(data_node, "digits.seed");
    data->name = "generated digits";
    data->classes = DIGITS_CLASSES;
    TRY(draw_split(&data->split[SPLIT_TRAIN], seed, 0, config_int(data_node, "digits.train")));
    return draw_split(&data->split[SPLIT_TEST], seed, 1, config_int(data_node, "digits.test"));
}
