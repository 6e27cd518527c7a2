/* The backward ops of the reference in double, against central differences of the forward ops.
 *
 * With y = f(x) and random r, L = sum r y has dL/dx = f_back(dy = r). (L(x + h) - L(x - h)) / 2 h errs by h^2 f''' / 6
 * and by rounding, 1e-16 |L| / h: with h = 1e-5 and sums of a few hundred terms some 1e-9. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double step = 1e-5, room = 2e-7;

static struct op_values run(struct harness *h, const struct op_case *c, const struct op_values *in)
{
    struct op_values out;
    char why[HARNESS_WHY] = "";
    if (!harness_run(h->ref, c, DTYPE_F64, in, &out, why)) fail_msg("%s", why);
    return out;
}

/* sum of r times output arg of the forward op. */
static double weighed(struct harness *h, const struct op_case *c, const struct op_values *in, int arg, const double *r)
{
    struct op_values out = run(h, c, in);
    double sum = 0;
    for (int64_t i = 0; i < tensor_count(&c->desc.arg[arg]); i++) sum += r[i] * out.arg[arg][i];
    values_free(&out);
    return sum;
}

/* Compares gradient (of input arg) with differences of the forward op's output y. */
static void compare(struct harness *h, const struct op_case *c, struct op_values *in, int arg, int y, const double *r,
                    const double *gradient)
{
    int64_t n = tensor_count(&c->desc.arg[arg]), stride = 1 + n / 60, nonzero = 0;
    char text[1024];
    for (int64_t i = 0; i < n; i += stride) {
        double at = in->arg[arg][i];
        in->arg[arg][i] = at + step;
        double up = weighed(h, c, in, y, r);
        in->arg[arg][i] = at - step;
        double down = weighed(h, c, in, y, r), slope = (up - down) / (2 * step);
        in->arg[arg][i] = at;
        nonzero += gradient[i] != 0;
        if (!(fabs(slope - gradient[i]) <= room * (1 + fabs(slope))))
            fail_msg("%s: d%s[%lld] is %.12g, differences say %.12g", op_text(&c->desc, text, sizeof text),
                     op_table[c->desc.kind].arg[arg].name, (long long)i, gradient[i], slope);
    }
    if (nonzero == 0)
        fail_msg("%s: all gradients are zero, which proves nothing", op_text(&c->desc, text, sizeof text));
}

/* A backward op whose inputs are the forward op's inputs or outputs of the same name, and dy = r; its outputs are
 * compared for each forward input X it has a dX of. */
static void check_back(struct harness *h, struct op_desc forward, struct op_desc backward, const char *of)
{
    struct op_case f = {.desc = forward}, b = {.desc = backward};
    const struct op_info *fi = &op_table[forward.kind], *bi = &op_table[backward.kind];
    struct op_values in, back;
    values_make(&f, &in);
    values_make(&b, &back);
    struct op_values out = run(h, &f, &in);
    int y = -1, dy = -1;
    for (int a = 0; a < fi->args; a++)
        if (strcmp(fi->arg[a].name, of) == 0) y = a;
    for (int a = 0; a < bi->args; a++) {
        if (strcmp(bi->arg[a].name, "dy") == 0) dy = a;
        for (int i = 0; i < fi->args; i++)
            if (back.arg[a] && bi->arg[a].access & ARG_IN && strcmp(bi->arg[a].name, fi->arg[i].name) == 0)
                memcpy(back.arg[a], fi->arg[i].access & ARG_OUT ? out.arg[i] : in.arg[i],
                       sizeof(double) * (size_t)tensor_count(&forward.arg[i]));
    }
    struct op_values gradient = run(h, &b, &back);
    for (int a = 0; a < bi->args; a++)
        for (int i = 0; i < fi->args; i++)
            if (gradient.arg[a] && bi->arg[a].name[0] == 'd' && strcmp(bi->arg[a].name + 1, fi->arg[i].name) == 0)
                compare(h, &f, &in, i, y, back.arg[dy], gradient.arg[a]);
    values_free(&in);
    values_free(&out);
    values_free(&back);
    values_free(&gradient);
}

static void linear(void **state)
{
    struct op_desc forward = desc_linear(OP_LINEAR, 2, 6, 5, 7, 1);
    check_back(*state, forward, desc_linear(OP_LINEAR_DATA, 2, 6, 5, 7, 1), "y");
    check_back(*state, forward, desc_linear(OP_LINEAR_WEIGHT, 2, 6, 5, 7, 1), "y");
}

static void conv(void **state)
{
    static const struct {
        int kernel, stride, pad;
    } windows[] = {{1, 1, 0}, {3, 1, 1}, {3, 2, 0}, {3, 2, 1}, {5, 1, 2}, {5, 3, 1}};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        int k = windows[i].kernel, s = windows[i].stride, p = windows[i].pad;
        struct op_desc forward = desc_conv(OP_CONV, 2, 4, 3, 5, 7, 6, k, s, p, 1);
        check_back(*state, forward, desc_conv(OP_CONV_DATA, 2, 4, 3, 5, 7, 6, k, s, p, 1), "y");
        check_back(*state, forward, desc_conv(OP_CONV_WEIGHT, 2, 4, 3, 5, 7, 6, k, s, p, 1), "y");
    }
}

static void norm(void **state)
{
    for (int act = 0; act < ACT_COUNT; act++) {
        struct tensor two = f32_2(12, 5), four = f32_4(4, 3, 3, 2);
        check_back(*state, desc_norm(OP_NORM, 2, two, (enum act)act), desc_norm(OP_NORM_BACK, 2, two, (enum act)act),
                   "y");
        check_back(*state, desc_norm(OP_NORM, 2, four, (enum act)act), desc_norm(OP_NORM_BACK, 2, four, (enum act)act),
                   "y");
    }
}

static void act(void **state)
{
    for (int act = 0; act < ACT_COUNT; act++) {
        struct op_desc forward = desc_make(OP_ACT, 1), backward = desc_make(OP_ACT_BACK, 1);
        forward.attr.act.act = backward.attr.act.act = (enum act)act;
        for (int i = 0; i < 3; i++) backward.arg[i] = f32_2(7, 13);
        forward.arg[0] = forward.arg[1] = f32_2(7, 13);
        check_back(*state, forward, backward, "y");
    }
}

static void pool(void **state)
{
    static const int windows[][2] = {{2, 2}, {3, 2}, {3, 1}};
    struct tensor x = f32_4(2, 3, 7, 6);
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 2; kind++) {
            int k = windows[i][0], s = windows[i][1], index = kind == POOL_MAX;
            check_back(*state, desc_pool(OP_POOL, x, (enum pool_kind)kind, k, s, index),
                       desc_pool(OP_POOL_BACK, x, (enum pool_kind)kind, k, s, index), "y");
        }
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 2; kind++) {
            struct pool_window window = {(enum pool_kind)kind, windows[i][0], windows[i][1]};
            int index = kind == POOL_MAX;
            check_back(*state, desc_norm_pool(OP_NORM_POOL, 2, x, ACT_RELU, window, index),
                       desc_norm_pool(OP_NORM_POOL_BACK, 2, x, ACT_RELU, window, index), "y");
        }
    for (int a = 1; a <= 8; a++)
        check_back(*state, desc_apool(OP_APOOL, x, a, 9 - a), desc_apool(OP_APOOL_BACK, x, a, 9 - a), "y");
    for (int act = 0; act < ACT_COUNT; act++)
        check_back(*state, desc_act_apool(OP_ACT_APOOL, x, (enum act)act, 2, 3),
                   desc_act_apool(OP_ACT_APOOL_BACK, x, (enum act)act, 2, 3), "y");
}

/* The mean loss at p / ||p||, from the metrics that the op adds up. */
static double hff_loss_at(struct harness *h, const struct op_case *c, const struct op_values *in)
{
    const struct tensor *p = &c->desc.arg[1];
    struct op_values copy = *in;
    int64_t width = p->dim[2], n = tensor_count(p);
    double *rows = malloc(sizeof(double) * (size_t)n);
    for (int64_t r = 0; r < n; r += width) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++) squares += in->arg[1][r + i] * in->arg[1][r + i];
        for (int64_t i = 0; i < width; i++) rows[r + i] = in->arg[1][r + i] / sqrt(squares);
    }
    copy.arg[1] = rows;
    struct op_values out = run(h, c, &copy);
    double loss = (out.arg[10][METRIC_LOSS] - in->arg[10][METRIC_LOSS]) / (double)c->desc.attr.hff.global_batch;
    values_free(&out);
    free(rows);
    return loss;
}

static void compare_hff(struct harness *h, const struct op_case *c, struct op_values *in, int arg,
                        const double *gradient)
{
    int64_t n = tensor_count(&c->desc.arg[arg]);
    char text[1024];
    for (int64_t i = 0; i < n; i += 1 + n / 60) {
        double at = in->arg[arg][i];
        in->arg[arg][i] = at + step;
        double up = hff_loss_at(h, c, in);
        in->arg[arg][i] = at - step;
        double slope = (up - hff_loss_at(h, c, in)) / (2 * step);
        in->arg[arg][i] = at;
        if (!(fabs(slope - gradient[i]) <= room * (1 + fabs(slope))))
            fail_msg("%s: d%s[%lld] is %.12g, differences say %.12g", op_text(&c->desc, text, sizeof text),
                     op_table[OP_HFF].arg[arg].name, (long long)i, gradient[i], slope);
    }
}

/* Rows of p of length 1 in double, since dp is projected with the p that is given. */
static void unit_rows(double *p, int64_t n, int64_t width)
{
    for (int64_t r = 0; r < n; r += width) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++) squares += p[r + i] * p[r + i];
        for (int64_t i = 0; i < width; i++) p[r + i] /= sqrt(squares);
    }
}

static void hff(void **state)
{
    for (int bits = 0; bits < 32; bits++) {
        enum hff_loss loss = bits & 1 ? HFF_LOSS_PAIRWISE : HFF_LOSS_SOFTMAX;
        struct hff_sizes size = {6, 5, bits & 16 ? 3 : 1, 7};
        struct op_case c = {.desc =
                                desc_hff(2, size, loss, bits & 2 ? 0.2 : 0, bits & 4 && !(bits & 1) ? 0.1 : 0, 1, 1, 0),
                            .data = bits & 8 ? DATA_MIXUP : 0,
                            .scale = 6};
        struct op_values in;
        c.desc.attr.hff.global_batch = 18;
        c.desc.attr.hff.discount = bits & 4 ? 0.7 : 0;
        values_make(&c, &in);
        unit_rows(in.arg[1], tensor_count(&c.desc.arg[1]), size.width);
        struct op_values out = run(*state, &c, &in);
        compare_hff(*state, &c, &in, 0, out.arg[7]);
        compare_hff(*state, &c, &in, 1, out.arg[8]);
        compare_hff(*state, &c, &in, 2, out.arg[9]);
        values_free(&in);
        values_free(&out);
    }
}

static void moments(void **state)
{
    static const struct tensor none = {0};
    struct tensor x = f32_4(3, 6, 4, 3), flat = f32_2(4, 12);
    struct op_desc forward = desc_make(OP_UNIT, 1), backward = desc_make(OP_UNIT_BACK, 1);
    for (int i = 0; i < 2; i++) {
        for (int a = 0; a < 3; a++) {
            forward.arg[a] = a < 2 ? i ? flat : x : none;
            backward.arg[a] = i ? flat : x;
        }
        check_back(*state, forward, backward, "y");
    }
    check_back(*state, desc_energy(OP_ENERGY, x, 3), desc_energy(OP_ENERGY_BACK, x, 3), "y");
    check_back(*state, desc_energy(OP_ENERGY, flat, 4), desc_energy(OP_ENERGY_BACK, flat, 4), "y");
    check_back(*state, desc_energy(OP_DEVIATION, x, 6), desc_energy(OP_DEVIATION_BACK, x, 6), "y");
}

/* A loss of argument 0, through the metrics that it adds to, against its argument 4. */
static void check_loss(struct harness *h, struct op_desc desc, int data, int64_t global_batch)
{
    struct op_case c = {.desc = desc, .data = data};
    struct op_values in, out[2];
    char text[1024];
    values_make(&c, &in);
    struct op_values gradient = run(h, &c, &in);
    for (int64_t i = 0; i < tensor_count(&desc.arg[0]); i++) {
        double at = in.arg[0][i], loss[2];
        for (int side = 0; side < 2; side++) {
            in.arg[0][i] = at + (side ? step : -step);
            out[side] = run(h, &c, &in);
            loss[side] = out[side].arg[5][METRIC_LOSS] / (double)global_batch;
            values_free(&out[side]);
        }
        in.arg[0][i] = at;
        double slope = (loss[1] - loss[0]) / (2 * step);
        if (!(fabs(slope - gradient.arg[4][i]) <= room * (1 + fabs(slope))))
            fail_msg("%s: gradient [%lld] is %.12g, differences say %.12g", op_text(&desc, text, sizeof text),
                     (long long)i, gradient.arg[4][i], slope);
    }
    values_free(&in);
    values_free(&gradient);
}

static void losses(void **state)
{
    for (int bits = 0; bits < 8; bits++) {
        int data = bits & 1 ? DATA_MIXUP : 0, all = bits & 2 ? 18 : 6;
        struct op_desc entropy = desc_cross_entropy(2, 6, 5, bits & 4 ? 0.1 : 0, bits & 4 ? 0.7 : 0);
        entropy.attr.cross_entropy.global_batch = all;
        check_loss(*state, entropy, data, all);
        struct op_desc similar = desc_similarity(2, 6, 7, bits & 4 ? 3 : 5, 0.6);
        similar.attr.similarity.global_batch = all;
        check_loss(*state, similar, data, all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(linear),  cmocka_unit_test(conv),  cmocka_unit_test(norm),
                                       cmocka_unit_test(act),     cmocka_unit_test(pool),  cmocka_unit_test(hff),
                                       cmocka_unit_test(moments), cmocka_unit_test(losses)};
    return cmocka_run_group_tests(tests, harness_open, harness_close);
}
