/* The ops of FF on every backend, against the reference, and what negatives must never do. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct tensor labels_of(int64_t n)
{
    return tensor_make1(DTYPE_I32, n);
}

static struct tensor ticks(void)
{
    return tensor_make1(DTYPE_I64, TICKS);
}

/* ---- negatives ---- */

static struct op_desc desc_negatives(int64_t batch, int classes, int scores, int64_t from)
{
    struct op_desc d = desc_make(OP_NEGATIVES, 1);
    d.arg[0] = labels_of(batch);
    d.arg[1] = ticks();
    if (scores) d.arg[2] = f32_2(batch, classes);
    d.arg[3] = labels_of(2 * batch);
    d.attr.negatives.seed = 5;
    d.attr.negatives.from = from;
    d.attr.negatives.classes = classes;
    return d;
}

static void negatives(void **state)
{
    static const int sizes[][2] = {{1, 2}, {7, 3}, {33, 10}, {1000, 10}, {300, 1000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int scores = 0; scores < 3; scores++) /* none, used, not yet used (the step is 17) */
            harness_check(*state, &(struct op_case){.desc = desc_negatives(sizes[i][0], sizes[i][1], scores > 0,
                                                                           scores == 1 ? 17 : 18),
                                                    .data = DATA_MAY_BE_ZERO});
    harness_finish(*state);
}

/* Runs desc in f32 with 2 threads on every backend for the given inputs and calls look. */
static void look_at(struct harness *h, const struct op_case *c, struct op_values *in,
                    void (*look)(const struct op_desc *d, const struct op_values *in, const struct op_values *out))
{
    for (int b = 0; b < h->backends; b++) {
        struct op_values out;
        char why[HARNESS_WHY] = "";
        if (!harness_run(h->tested[b][1], c, DTYPE_F32, in, &out, why)) fail_msg("%s", why);
        look(&c->desc, in, &out);
        values_free(&out);
    }
}

enum { DRAWS = 20000 };

/* Never the true class; every other one about as often as it should be drawn. */
static void expect_wrong(const struct op_desc *d, const struct op_values *in, const struct op_values *out)
{
    int classes = d->attr.negatives.classes, label = (int)in->arg[0][0];
    int64_t count[16] = {0};
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        assert_int_equal((int)out->arg[3][2 * b], label);
        assert_in_range((int)out->arg[3][2 * b + 1], 0, classes - 1);
        count[(int)out->arg[3][2 * b + 1]]++;
    }
    assert_int_equal(count[label], 0);
    double sum = 0;
    for (int c = 0; c < classes; c++) sum += c == label ? 0 : d->arg[2].rank ? c + 1 : 1;
    for (int c = 0; c < classes; c++) {
        double want = c == label ? 0 : DRAWS * (d->arg[2].rank ? c + 1 : 1) / sum;
        if ((double)count[c] < want - 6 * 71 || (double)count[c] > want + 6 * 71) /* deviation below sqrt(DRAWS) / 2 */
            fail_msg("class %d drawn %lld times, not %g", c, (long long)count[c], want);
    }
}

static double log_of(int n) /* natural logarithms of 1 .. 10 */
{
    static const double log[] = {0,           0,           0.693147181, 1.098612289, 1.386294361, 1.609437912,
                                 1.791759469, 1.945910149, 2.079441542, 2.197224577, 2.302585093};
    return log[n];
}

/* All true classes, also where the scores are all for the true one. */
static void never_the_true_label(void **state)
{
    for (int classes = 2; classes <= 10; classes += 4)
        for (int label = 0; label < classes; label++)
            for (int scores = 0; scores < 2; scores++) {
                struct op_case c = {.desc = desc_negatives(DRAWS, classes, scores, 0)};
                struct op_values in;
                values_make(&c, &in);
                for (int64_t b = 0; b < DRAWS; b++) in.arg[0][b] = label;
                for (int64_t i = 0; scores && i < DRAWS * classes; i++)
                    in.arg[2][i] = i % classes == label ? 1000 : (double)(float)log_of((int)(i % classes) + 1);
                look_at(*state, &c, &in, expect_wrong);
                values_free(&in);
            }
}

enum { PARTS = 3, PART = 40 };
static double whole_labels[2 * PARTS * PART];

static void keep_labels(const struct op_desc *d, const struct op_values *in, const struct op_values *out)
{
    (void)d;
    (void)in;
    memcpy(whole_labels, out->arg[3], sizeof whole_labels);
}

static void expect_kept(const struct op_desc *d, const struct op_values *in, const struct op_values *out)
{
    assert_memory_equal(out->arg[3], whole_labels + 2 * (int)in->arg[1][TICK_SAMPLE],
                        2 * (size_t)d->arg[0].dim[0] * sizeof(double));
}

/* A part of a batch draws what the whole would, since draws belong to the sample's number in the whole; the parts' draws
 * differ. */
static void parts_draw_as_the_whole(void **state)
{
    struct op_case whole = {.desc = desc_negatives(PARTS * PART, 10, 0, 0)};
    struct op_case part = {.desc = desc_negatives(PART, 10, 0, 0)};
    struct op_values in, some;
    values_make(&whole, &in);
    values_make(&part, &some);
    memset(in.arg[0], 0, PARTS * PART * sizeof(double));
    memset(some.arg[0], 0, PART * sizeof(double));
    in.arg[1][TICK_SAMPLE] = 0;
    look_at(*state, &whole, &in, keep_labels);
    assert_memory_not_equal(whole_labels, whole_labels + 2 * PART, 2 * PART * sizeof(double));
    for (int i = 0; i < PARTS; i++) {
        some.arg[1][TICK_SAMPLE] = i * PART;
        look_at(*state, &part, &some, expect_kept);
    }
    values_free(&in);
    values_free(&some);
}

/* Scores that are no numbers draw evenly: a step that went wrong is caught elsewhere. */
static void expect_any_wrong(const struct op_desc *d, const struct op_values *in, const struct op_values *out)
{
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        assert_true(out->arg[3][2 * b + 1] != in->arg[0][b]);
        assert_in_range((int)out->arg[3][2 * b + 1], 0, d->attr.negatives.classes - 1);
    }
}

static void senseless_scores(void **state)
{
    static const char *const values[] = {"nan", "-inf", "inf", "-1e30"};
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        struct op_case c = {.desc = desc_negatives(500, 5, 1, 0)};
        struct op_values in;
        values_make(&c, &in);
        for (int i = 0; i < 2500; i++) in.arg[2][i] = strtod(values[k], NULL);
        look_at(*state, &c, &in, expect_any_wrong);
        values_free(&in);
    }
}

/* ---- overlay, columns, spread ---- */

struct image {
    int64_t batch, channels, height, width;
    int classes;
};

/* rows: of the result; batch 0: labels alone. labels: explicit, else with tick that of the pass, else none. */
static struct op_desc desc_overlay(enum overlay kind, struct image s, int64_t rows, int flat, int labels, int tick,
                                   double rest)
{
    struct op_desc d = desc_make(OP_OVERLAY, 1);
    int64_t planes = s.channels + (kind == OVERLAY_PLANE ? 1 : kind == OVERLAY_PLANES ? s.classes : 0);
    if (s.batch) d.arg[0] = f32_2(s.batch, s.channels * s.height * s.width);
    d.arg[1] = f32_1(1);
    if (labels) d.arg[2] = labels_of(rows);
    if (tick) d.arg[3] = ticks();
    d.arg[4] = flat ? f32_2(rows, planes * s.height * s.width) : f32_4(rows, planes, s.height, s.width);
    d.attr.overlay.kind = kind;
    d.attr.overlay.classes = s.classes;
    d.attr.overlay.area = s.height * s.width;
    d.attr.overlay.rest = rest;
    return d;
}

static void overlay(void **state)
{
    static const struct image sizes[] = {{1, 1, 2, 2, 2}, {6, 1, 5, 7, 10}, {33, 3, 4, 5, 17}, {4, 3, 9, 8, 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = OVERLAY_PIXELS; kind <= OVERLAY_PLANES; kind++)
            for (int flat = 0; flat < 2; flat++) {
                struct image s = sizes[i], none = s;
                enum overlay k = (enum overlay)kind;
                none.batch = 0;
                harness_check(*state, &(struct op_case){.desc = desc_overlay(k, s, 2 * s.batch, flat, 1, 0, 0)});
                harness_check(*state, &(struct op_case){.desc = desc_overlay(k, s, s.batch, flat, 0, 0, 0.1)});
                for (int pass = 0; pass < 3; pass++) {
                    harness_check(*state,
                                  &(struct op_case){.desc = desc_overlay(k, s, s.batch, flat, 0, 1, 0), .pass = pass});
                    harness_check(*state, &(struct op_case){.desc = desc_overlay(k, s, 3 * s.batch, flat, 0, 1, 0),
                                                            .pass = pass});
                    harness_check(*state, &(struct op_case){.desc = desc_overlay(k, none, 5, flat, 0, 1, 0),
                                                            .data = DATA_MAY_BE_ZERO, /* beyond the last class */
                                                            .pass = pass});
                }
            }
    harness_finish(*state);
}

static void columns(void **state)
{
    for (int pass = 0; pass < 3; pass++)
        for (int span = 1; span < 40; span += 38)
            for (int rows = 1; rows <= 7; rows += 3) {
                struct op_desc d = desc_make(OP_COLUMNS, 1);
                d.arg[0] = f32_2(33, 17 + 10 * span);
                d.arg[1] = f32_1(1);
                d.arg[2] = ticks();
                d.arg[3] = f32_2(rows, 33);
                d.attr.columns.classes = 10;
                d.attr.columns.first = pass;
                d.attr.columns.span = span;
                harness_check(*state, &(struct op_case){.desc = d, .pass = pass, .data = DATA_MAY_BE_ZERO});
            }
    harness_finish(*state);
}

static void spread(void **state)
{
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {3, 7, 1, 1}, {33, 1, 1, 1}, {5, 17, 3, 4}, {129, 16, 2, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int64_t each = 1; each < 12; each += 5) {
            const int64_t *s = shapes[i];
            struct op_desc d = desc_make(OP_SPREAD, 1);
            const int64_t rows[] = {s[0], each, s[0] * each};
            for (int a = 0; a < 3; a++) d.arg[a] = i % 3 ? f32_2(rows[a], s[1]) : f32_4(rows[a], s[1], s[2], s[3]);
            harness_check(*state, &(struct op_case){.desc = d});
        }
    harness_finish(*state);
}

/* ---- goodness and the read-out ---- */

static const struct {
    int slices;
    int64_t pairs, dim[3];
} activities[] = {{1, 1, {1, 0, 0}},  {4, 12, {13, 0, 0}}, {3, 33, {1000, 0, 0}},
                  {2, 6, {17, 3, 5}}, {4, 20, {16, 8, 8}}, {6, 18, {129, 0, 0}}};

enum { ACTIVITIES = sizeof activities / sizeof activities[0] };

static struct tensor activity(int i, int64_t rows)
{
    const int64_t *dim = activities[i].dim;
    return dim[1] ? f32_4(rows, dim[0], dim[1], dim[2]) : f32_2(rows, dim[0]);
}

static void goodness(void **state)
{
    for (int i = 0; i < ACTIVITIES; i++)
        for (int bits = 0; bits < 8; bits++) {
            struct op_desc d = desc_make(OP_GOODNESS, activities[i].slices);
            d.arg[0] = d.arg[1] = activity(i, 2 * activities[i].pairs);
            d.arg[2] = tensor_make1(DTYPE_F64, METRICS);
            d.attr.goodness.mean = bits & 1;
            d.attr.goodness.theta = bits & 1 ? 1 : (double)tensor_row(&d.arg[0]);
            d.attr.goodness.alpha = bits & 2 ? (bits & 1 ? 4 : 0.05) : 0;
            d.attr.goodness.global_batch = activities[i].pairs * (bits & 4 ? 4 : 1);
            harness_check(*state, &(struct op_case){.desc = d});
        }
    harness_finish(*state);
}

static void goodness_eval(void **state)
{
    for (int i = 0; i < ACTIVITIES; i++)
        for (int each = 1; each <= 4; each += 3)
            for (int pass = 0; pass < 2; pass++)
                for (int bits = 0; bits < 4; bits++) {
                    struct op_desc d = desc_make(OP_GOODNESS_EVAL, activities[i].slices);
                    int64_t batch = activities[i].pairs;
                    d.arg[0] = activity(i, batch * each);
                    d.arg[1] = labels_of(batch);
                    d.arg[2] = f32_1(batch);
                    d.arg[3] = ticks();
                    d.arg[4] = f32_2(batch, each == 1 ? 2 : 7); /* four a pass: the last is beyond the last class */
                    d.arg[5] = tensor_make1(DTYPE_F64, METRICS);
                    d.attr.goodness.mean = bits & 1;
                    harness_check(*state,
                                  &(struct op_case){.desc = d, .pass = pass, .data = bits & 2 ? DATA_PADDING : 0});
                }
    harness_finish(*state);
}

static void readout(void **state)
{
    static const int64_t sizes[][3] = {{1, 1, 2}, {4, 12, 10}, {3, 33, 17}, {2, 8, 1000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int bits = 0; bits < 16; bits++) {
            struct op_desc d = desc_make(OP_READOUT, (int)sizes[i][0]);
            struct tensor scores = f32_2(sizes[i][1], sizes[i][2]);
            d.arg[0] = scores;
            d.arg[1] = labels_of(sizes[i][1]);
            d.arg[2] = f32_1(sizes[i][1]);
            if (bits & 3) d.arg[3] = scores;
            if (bits & 4 || !(bits & 3)) d.arg[4] = scores;
            if (bits & 8) d.arg[5] = tensor_make1(DTYPE_F64, METRICS);
            d.attr.readout.first = bits & 1;
            d.attr.readout.global_batch = 2 * sizes[i][1];
            harness_check(*state, &(struct op_case){.desc = d, .data = !d.arg[4].rank && bits & 8 ? DATA_PADDING : 0});
        }
    harness_finish(*state);
}

/* ---- descriptions that make no sense ---- */

static void refuse(struct op_desc desc, const char *word)
{
    assert_int_equal(op_check(&desc), HFF_E_CONFIG);
    if (!strstr(hff_error_message(), word)) fail_msg("\"%s\" does not say \"%s\"", hff_error_message(), word);
}

static void refused(void **state)
{
    (void)state;
    struct image small = {4, 1, 3, 3, 10};
    refuse(desc_overlay(OVERLAY_PIXELS, small, 8, 0, 1, 0, 0), "no room");
    refuse(desc_overlay(OVERLAY_PLANE, small, 8, 0, 1, 0, 0), "no room");
    struct op_desc d = desc_overlay(OVERLAY_PLANES, small, 8, 0, 1, 0, 0);
    assert_int_equal(op_check(&d), HFF_OK);
    d.arg[0].dim[1]--;
    refuse(d, "the elements of an image");
    refuse(desc_overlay(OVERLAY_PLANES, small, 7, 0, 1, 0, 0), "the same number of rows");
    refuse(desc_negatives(4, 1, 0, 0), "no wrong class");
    d = desc_negatives(4, 5, 1, 0);
    d.arg[2] = f32_2(4, 6);
    refuse(d, "a score for each class");
    (d = desc_negatives(4, 5, 1, 0)).arg[3] = labels_of(9);
    refuse(d, "two rows");
    d = desc_make(OP_GOODNESS, 4);
    d.arg[0] = d.arg[1] = f32_2(12, 3);
    d.arg[2] = tensor_make1(DTYPE_F64, METRICS);
    d.attr.goodness.global_batch = 6;
    refuse(d, "whole pairs");
    d.slices = 3;
    assert_int_equal(op_check(&d), HFF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(negatives),
                                       cmocka_unit_test(never_the_true_label),
                                       cmocka_unit_test(parts_draw_as_the_whole),
                                       cmocka_unit_test(senseless_scores),
                                       cmocka_unit_test(overlay),
                                       cmocka_unit_test(columns),
                                       cmocka_unit_test(spread),
                                       cmocka_unit_test(goodness),
                                       cmocka_unit_test(goodness_eval),
                                       cmocka_unit_test(readout),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
