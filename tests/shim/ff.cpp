/* FF's ops: negatives, overlay, columns, spread, goodness, goodness_eval, readout. */
#include "support.hpp"

static struct tensor ticks_tensor()
{
    return tensor_make1(DTYPE_I64, TICKS);
}

static struct tensor labels_tensor(int64_t n)
{
    return tensor_make1(DTYPE_I32, n);
}

static std::vector<int32_t> random_labels(size_t count, int classes)
{
    struct rng rng;
    rng_open(&rng, 5, RNG_TEST, 1, 0);
    std::vector<int32_t> out(count);
    for (int32_t &y : out) y = (int32_t)rng_below(&rng, (uint32_t)classes);
    return out;
}

/* ---- negatives: the reference's own labels, every one of them ---- */

enum { STEP = 17 };

/* scores: 0 none, 1 used, 2 not yet used. spoil: what one score of some samples becomes; 1: the true class alone is likely. */
static std::vector<unsigned char> check_negatives(int batch, int classes, int scores, double spoil, uint64_t seed)
{
    size_t count = (size_t)batch * (size_t)classes;
    std::vector<int32_t> y = random_labels((size_t)batch, classes), want(2 * (size_t)batch);
    std::vector<double> score = random_values(count, 3);
    for (size_t b = 0; b < (size_t)batch; b++) {
        if (b % 3 == 1 && spoil != 1) score[b * (size_t)classes + b % (size_t)classes] = spoil;
        if (b % 3 == 1 && spoil == 1) score[b * (size_t)classes + (size_t)y[b]] = 1000;
        if (b % 7 == 6) /* all the same senseless value */
            for (size_t c = 0; c < (size_t)classes; c++) score[b * (size_t)classes + c] = -INFINITY;
    }
    std::vector<int64_t> tick = {STEP, 0, 24};
    struct op_desc desc = describe(OP_NEGATIVES);
    desc.attr.negatives.seed = seed;
    desc.attr.negatives.from = scores == 2 ? STEP + 1 : STEP;
    desc.attr.negatives.classes = classes;
    desc.arg[0] = labels_tensor(batch);
    desc.arg[1] = ticks_tensor();
    reference(desc, {y.data(), tick.data(), scores ? score.data() : nullptr, want.data()});

    Buffer<int32_t> y_buffer(y), labels(want.size());
    Buffer<int64_t> tick_buffer(tick);
    Buffer<float> score_buffer(floats(score));
    struct kernel_negatives_args a = {};
    a.batch = batch;
    a.classes = classes;
    a.seed = seed;
    a.from = desc.attr.negatives.from;
    a.y = y_buffer.data();
    a.tick = tick_buffer.data();
    a.score = scores ? score_buffer.data() : nullptr;
    a.labels = labels.data();
    run_ok(kernel_negatives(&a, nullptr));
    labels.check();
    for (size_t i = 0; i < want.size(); i++) assert_int_equal(labels[i], want[i]);
    for (size_t b = 0; b < (size_t)batch; b++) {
        assert_int_equal(labels[2 * b], y[b]);
        assert_true(labels[2 * b + 1] != y[b] && labels[2 * b + 1] >= 0 && labels[2 * b + 1] < classes);
    }
    std::vector<unsigned char> bytes;
    append(bytes, labels);
    return bytes;
}

static void negatives(void **)
{
    static const int sizes[][2] = {{1, 2}, {7, 3}, {33, 10}, {200, 10}, {20, 1000}, {3, 5000}};
    for (const int(&s)[2] : sizes)
        for (int scores : {0, 1, 2}) {
            in_any_order([&] { return check_negatives(s[0], s[1], scores, 0.5, 5); });
            check_negatives(s[0], s[1], scores, 0.5, 0x123456789abcdefull);
            for (double spoil : {(double)NAN, (double)INFINITY, (double)-INFINITY, -1e30, 1.0})
                check_negatives(s[0], s[1], scores, spoil, 5);
        }
}

/* Every true class. */
static void never_the_true_label(void **)
{
    for (int classes : {2, 6})
        for (int label = 0; label < classes; label++) {
            Buffer<int32_t> y(std::vector<int32_t>(500, label)), labels(1000);
            Buffer<int64_t> tick(std::vector<int64_t>{1, 0, 0});
            Buffer<float> score(std::vector<float>(500 * (size_t)classes, 0.0f));
            std::vector<int> seen((size_t)classes, 0);
            for (float *given : {(float *)nullptr, score.data()}) {
                struct kernel_negatives_args a = {500, classes, 5, 0, y.data(), tick.data(), given, labels.data()};
                run_ok(kernel_negatives(&a, nullptr));
                for (size_t b = 0; b < 500; b++) seen[(size_t)labels[2 * b + 1]]++;
            }
            for (int c = 0; c < classes; c++) assert_true(c == label ? seen[(size_t)c] == 0 : seen[(size_t)c] > 100);
        }
}

/* ---- overlay, columns, spread ---- */

struct Image {
    int batch, each, channels, area, classes; /* batch 0: labels alone, `each` rows */
};

enum naming { BY_LABELS, BY_TICK, NO_LABEL };

static std::vector<unsigned char> check_overlay(enum overlay kind, const Image &s, enum naming naming, int64_t pass,
                                                double rest)
{
    int64_t more = kind == OVERLAY_PLANE ? s.area : kind == OVERLAY_PLANES ? (int64_t)s.area * s.classes : 0;
    int64_t image = (int64_t)s.channels * s.area, width = image + more, rows = s.batch ? s.batch * s.each : s.each;
    std::vector<double> x = random_values((size_t)(s.batch * image), 1), on = {2.8f}, y((size_t)(rows * width));
    std::vector<int32_t> labels = random_labels((size_t)rows, s.classes + 1); /* some beyond the last one */
    std::vector<int64_t> tick = {0, pass, 0};
    struct op_desc desc = describe(OP_OVERLAY);
    desc.attr.overlay.kind = kind;
    desc.attr.overlay.classes = s.classes;
    desc.attr.overlay.area = s.area;
    desc.attr.overlay.rest = rest;
    if (s.batch) desc.arg[0] = tensor_make2(DTYPE_F64, s.batch, image);
    desc.arg[4] = tensor_make2(DTYPE_F64, rows, width);
    reference(desc, {s.batch ? x.data() : nullptr, on.data(), naming == BY_LABELS ? labels.data() : nullptr,
                     naming == NO_LABEL ? nullptr : tick.data(), y.data()});

    Buffer<float> x_buffer(floats(x)), on_buffer(floats(on)), y_buffer(y.size());
    Buffer<int32_t> labels_buffer(labels);
    Buffer<int64_t> tick_buffer(tick);
    struct kernel_overlay_args a = {};
    a.kind = kind;
    a.rows = rows;
    a.width = width;
    a.batch = s.batch;
    a.image = image;
    a.area = s.area;
    a.classes = s.classes;
    a.rest = rest;
    a.x = s.batch ? x_buffer.data() : nullptr;
    a.on = on_buffer.data();
    a.labels = naming == BY_LABELS ? labels_buffer.data() : nullptr;
    a.tick = naming == NO_LABEL ? nullptr : tick_buffer.data();
    a.y = y_buffer.data();
    run_ok(kernel_overlay(&a, nullptr));
    for (double &v : y) v = (float)v;
    expect_all_near("y", y_buffer, y, 0, 0);
    std::vector<unsigned char> bytes;
    append(bytes, y_buffer);
    return bytes;
}

static void overlays(void **)
{
    static const Image images[] = {{3, 2, 1, 16, 10}, {5, 1, 3, 20, 4},  {2, 5, 2, 9, 7}, {1, 1, 1, 5, 5},
                                   {0, 6, 1, 12, 10}, {4, 3, 1, 50, 33}, {0, 1, 2, 7, 1}};
    for (const Image &s : images)
        for (enum overlay kind : {OVERLAY_PIXELS, OVERLAY_PLANE, OVERLAY_PLANES}) {
            in_any_order([&] { return check_overlay(kind, s, BY_LABELS, 0, 0); });
            in_any_order([&] { return check_overlay(kind, s, NO_LABEL, 0, 1.0 / s.classes); });
            for (int64_t pass : {0, 1, 4}) check_overlay(kind, s, BY_TICK, pass, 0);
        }
}

static std::vector<unsigned char> check_columns(enum dtype dtype, int rows, int out, int pitch, int first, int span,
                                                int classes, int64_t pass)
{
    int in = first + span * classes + 2;
    Activation t(dtype, rows, out, 1, 1, pitch);
    std::vector<double> w = random_values((size_t)(out * in), 1), on = {1.7f}, want(t.logical());
    std::vector<int64_t> tick = {0, pass, 0};
    struct op_desc desc = describe(OP_COLUMNS);
    desc.attr.columns.classes = classes;
    desc.attr.columns.first = first;
    desc.attr.columns.span = span;
    desc.arg[0] = tensor_make2(DTYPE_F64, out, in);
    desc.arg[3] = tensor_make2(DTYPE_F64, rows, out);
    reference(desc, {w.data(), on.data(), tick.data(), want.data()});
    Buffer<float> w_buffer(floats(w)), on_buffer(floats(on));
    Buffer<int64_t> tick_buffer(tick);
    struct kernel_columns_args a = {};
    a.dtype = dtype;
    a.rows = rows;
    a.classes = classes;
    a.out = out;
    a.pitch = pitch;
    a.in = in;
    a.first = first;
    a.span = span;
    a.w = w_buffer.data();
    a.on = on_buffer.data();
    a.tick = tick_buffer.data();
    a.t = t.memory.data();
    run_ok(kernel_columns(&a, nullptr));
    expect_activation("t", t, want, 1e-6, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, t.memory);
    return bytes;
}

static void label_columns(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
        for (int64_t pass : {0, 1, 3}) {
            in_any_order([&] { return check_columns(dtype, 10, 33, 33, 0, 1, 10, pass); });
            in_any_order([&] { return check_columns(dtype, 4, 70, 72, 5, 1, 10, pass); });
            in_any_order([&] { return check_columns(dtype, 3, 9, 16, 7, 49, 7, pass); });
            in_any_order([&] { return check_columns(dtype, 1, 1, 1, 0, 31, 2, pass); });
        }
}

static std::vector<unsigned char> check_spread(enum dtype dtype, int batch, int rows, int channels, int pitch, int side)
{
    Activation x(dtype, batch, channels, side, side, pitch), t(dtype, rows, channels, side, side, pitch);
    Activation y(dtype, batch * rows, channels, side, side, pitch);
    std::vector<double> left = random_values(x.logical(), 1, dtype), right = random_values(t.logical(), 2, dtype);
    std::vector<double> want(y.logical());
    struct op_desc desc = describe(OP_SPREAD);
    desc.arg[0] = x.tensor();
    desc.arg[1] = t.tensor();
    desc.arg[2] = y.tensor();
    reference(desc, {left.data(), right.data(), want.data()});
    x.put(left);
    t.put(right);
    struct kernel_spread_args a = {dtype,           batch,           rows,           (int64_t)side * side * pitch,
                                   x.memory.data(), t.memory.data(), y.memory.data()};
    run_ok(kernel_spread(&a, nullptr));
    expect_activation("y", y, want, 0, 1e-7);
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    return bytes;
}

static void spreads(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) {
        in_any_order([&] { return check_spread(dtype, 3, 5, 6, 8, 3); });
        in_any_order([&] { return check_spread(dtype, 1, 1, 7, 7, 1); });
        in_any_order([&] { return check_spread(dtype, 7, 10, 200, 200, 1); });
    }
}

/* ---- goodness ---- */

struct Goodness {
    int pairs, channels, side, pitch, mean;
    double theta, alpha, size; /* size: of h */
};

static const Goodness goodnesses[] = {
    {1, 8, 1, 8, 0, 8, 0, 1},        {7, 13, 3, 16, 0, 150, 0, 1}, {5, 7, 1, 7, 1, 1, 0, 1},
    {70, 200, 1, 200, 0, 250, 0, 1}, {9, 24, 4, 24, 1, 1, 4, 1},   {3, 2050, 1, 2056, 0, 2000, 0, 1},
    {6, 6, 2, 8, 0, 30, 4, 1},       {4, 8, 1, 8, 0, 2, 0, 1e-9},  {4, 16, 1, 16, 0, 2, 0, 30},
};

static std::vector<unsigned char> check_goodness(const Goodness &c, enum dtype dtype)
{
    Activation h(dtype, 2 * c.pairs, c.channels, c.side, c.side, c.pitch),
        dh(dtype, 2 * c.pairs, c.channels, c.side, c.side, c.pitch);
    std::vector<double> values = random_values(h.logical(), 1, dtype), back(h.logical()), metrics(METRICS, 3.5);
    size_t each = values.size() / (size_t)(2 * c.pairs);
    for (size_t i = 0; i < values.size(); i++) { /* the second pair's rows are zero */
        values[i] = c.pairs > 1 && i / each / 2 == 1 ? 0 : as_dtype(dtype, values[i] * c.size);
    }
    struct op_desc desc = describe(OP_GOODNESS);
    desc.attr.goodness.mean = c.mean;
    desc.attr.goodness.theta = c.theta;
    desc.attr.goodness.alpha = c.alpha;
    desc.attr.goodness.global_batch = c.pairs + 1;
    desc.arg[0] = h.tensor();
    reference(desc, {values.data(), back.data(), metrics.data()});
    h.put(values);
    Buffer<double> m(std::vector<double>(METRICS, 3.5));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    struct kernel_goodness_args a = {};
    a.dtype = dtype;
    a.batch = 2 * c.pairs;
    a.elements = (int64_t)c.side * c.side * c.pitch;
    a.n = (int64_t)each;
    a.mean = c.mean;
    a.theta = c.theta;
    a.alpha = c.alpha;
    a.global_batch = c.pairs + 1;
    Buffer<unsigned char> workspace(kernel_goodness_workspace(&a));
    a.h = h.memory.data();
    a.dh = dh.memory.data();
    a.metrics = m.data();
    a.workspace = workspace.data();
    a.tickets = tickets.data();
    run_ok(kernel_goodness(&a, nullptr));
    workspace.check();
    m.check();
    for (size_t i = 0; i < tickets.size(); i++) assert_int_equal(tickets[i], 0);
    expect_activation("dh", dh, back, 1e-30, 1e-6);
    for (size_t i = 0; i < METRICS; i++) expect_near("metrics", m[i], metrics[i], 1e-9, 1e-10, i);
    std::vector<unsigned char> bytes;
    append(bytes, dh.memory);
    append(bytes, m);
    return bytes;
}

static void goodness(void **)
{
    for (const Goodness &c : goodnesses)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) in_any_order([&] { return check_goodness(c, dtype); });
}

/* Weights 0 with labels that mean nothing. */
static std::vector<float> padded_weights(std::vector<int32_t> &y)
{
    std::vector<float> weight(y.size());
    for (size_t b = 0; b < y.size(); b++) {
        weight[b] = b % 4 == 1 ? 0 : b % 4 == 2 ? 0.5f : 1;
        if (weight[b] == 0) y[b] = -99;
    }
    return weight;
}

/* All passes of an evaluation, one after the other. */
static std::vector<unsigned char> check_goodness_eval(enum dtype dtype, int batch, int rows, int classes, int channels,
                                                      int side, int pitch, int mean)
{
    Activation h(dtype, batch * rows, channels, side, side, pitch);
    size_t count = (size_t)batch * (size_t)classes;
    std::vector<double> scores(count, NAN), metrics(METRICS, 3.5);
    std::vector<int32_t> y = random_labels((size_t)batch, classes);
    std::vector<float> weight = padded_weights(y);
    Buffer<float> scores_buffer(count), weight_buffer(weight);
    Buffer<int32_t> y_buffer(y);
    Buffer<double> m(std::vector<double>(METRICS, 3.5));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    struct op_desc desc = describe(OP_GOODNESS_EVAL);
    desc.attr.goodness.mean = mean;
    desc.arg[0] = h.tensor();
    desc.arg[1] = labels_tensor(batch);
    desc.arg[4] = tensor_make2(DTYPE_F64, batch, classes);
    for (int pass = 0; pass * rows < classes; pass++) {
        std::vector<double> values = random_values(h.logical(), (uint32_t)pass, dtype);
        std::vector<int64_t> tick = {0, pass, 0};
        reference(desc, {values.data(), y.data(), weight.data(), tick.data(), scores.data(), metrics.data()});
        h.put(values);
        Buffer<int64_t> tick_buffer(tick);
        struct kernel_goodness_eval_args a = {};
        a.dtype = dtype;
        a.batch = batch;
        a.rows = rows;
        a.classes = classes;
        a.mean = mean;
        a.elements = (int64_t)side * side * pitch;
        a.n = (int64_t)side * side * channels;
        Buffer<unsigned char> workspace(kernel_goodness_eval_workspace(&a));
        a.h = h.memory.data();
        a.y = y_buffer.data();
        a.weight = weight_buffer.data();
        a.tick = tick_buffer.data();
        a.scores = scores_buffer.data();
        a.metrics = m.data();
        a.workspace = workspace.data();
        a.tickets = tickets.data();
        run_ok(kernel_goodness_eval(&a, nullptr));
        workspace.check();
        bool last = (pass + 1) * rows >= classes;
        for (size_t i = 0; !last && i < METRICS; i++) assert_true(m[i] == 3.5);
    }
    m.check();
    for (size_t i = 0; i < tickets.size(); i++) assert_int_equal(tickets[i], 0);
    expect_all_near("scores", scores_buffer, scores, 0, 1e-6);
    for (size_t i = 0; i < METRICS; i++) expect_near("metrics", m[i], metrics[i], 1e-5, 2e-6, i);
    std::vector<unsigned char> bytes;
    append(bytes, scores_buffer);
    append(bytes, m);
    return bytes;
}

static void goodness_eval(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) {
        in_any_order([&] { return check_goodness_eval(dtype, 5, 1, 3, 40, 1, 40, 0); });     /* the original form */
        in_any_order([&] { return check_goodness_eval(dtype, 7, 10, 10, 13, 3, 16, 1); });   /* one pass */
        in_any_order([&] { return check_goodness_eval(dtype, 3, 4, 10, 7, 1, 7, 0); });      /* the last one not full */
        in_any_order([&] { return check_goodness_eval(dtype, 2, 20, 33, 24, 2, 24, 1); });   /* more rows than warps */
        in_any_order([&] { return check_goodness_eval(dtype, 4, 3, 7, 200, 2, 200, 0); });   /* several warps a row */
        in_any_order([&] { return check_goodness_eval(dtype, 2, 1, 3, 2100, 1, 2104, 1); }); /* all of them */
        in_any_order([&] { return check_goodness_eval(dtype, 1, 3, 1, 8, 1, 8, 0); });       /* one class */
    }
}

/* ---- readout ---- */

static std::vector<unsigned char> check_readout(int batch, int classes, int first, bool total, bool gradient,
                                                bool metered, double size)
{
    size_t count = (size_t)batch * (size_t)classes;
    std::vector<double> logits = random_values(count, 1), sum = random_values(count, 2), back(count),
                        metrics(METRICS, 3.5);
    for (double &v : logits) v = (float)(v * size);
    std::vector<int32_t> y = random_labels((size_t)batch, classes);
    std::vector<float> weight = padded_weights(y);
    Buffer<float> logits_buffer(floats(logits)), sum_buffer(floats(sum)), back_buffer(count), weight_buffer(weight);
    Buffer<int32_t> y_buffer(y);
    Buffer<double> m(std::vector<double>(METRICS, 3.5));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    struct op_desc desc = describe(OP_READOUT);
    desc.attr.readout.first = first;
    desc.attr.readout.global_batch = batch + 2;
    desc.arg[0] = tensor_make2(DTYPE_F64, batch, classes);
    reference(desc, {logits.data(), y.data(), weight.data(), total ? sum.data() : nullptr,
                     gradient ? back.data() : nullptr, metered ? metrics.data() : nullptr});
    struct kernel_readout_args a = {};
    a.batch = batch;
    a.classes = classes;
    a.first = first;
    a.global_batch = batch + 2;
    Buffer<unsigned char> workspace(kernel_readout_workspace(&a));
    a.logits = logits_buffer.data();
    a.y = y_buffer.data();
    a.weight = weight_buffer.data();
    a.total = total ? sum_buffer.data() : nullptr;
    a.dlogits = gradient ? back_buffer.data() : nullptr;
    a.metrics = metered ? m.data() : nullptr;
    a.workspace = metered ? workspace.data() : nullptr;
    a.tickets = metered ? tickets.data() : nullptr;
    run_ok(kernel_readout(&a, nullptr));
    workspace.check();
    m.check();
    for (size_t i = 0; i < tickets.size(); i++) assert_int_equal(tickets[i], 0);
    if (total) expect_all_near("total", sum_buffer, sum, 2e-6, 1e-6);
    if (gradient) expect_all_near("dlogits", back_buffer, back, 1e-9 / batch, 5e-6);
    for (size_t i = 0; i < METRICS; i++) expect_near("metrics", m[i], metrics[i], 2e-6 * batch, 2e-6, i);
    std::vector<unsigned char> bytes;
    if (total) append(bytes, sum_buffer);
    if (gradient) append(bytes, back_buffer);
    append(bytes, m);
    return bytes;
}

static void readouts(void **)
{
    static const int sizes[][2] = {{1, 2}, {5, 3}, {33, 10}, {9, 1000}, {20, 1}};
    for (const int(&s)[2] : sizes)
        for (double size : {1.0, 12.0}) {
            in_any_order([&] { return check_readout(s[0], s[1], 1, true, true, true, size); });
            in_any_order([&] { return check_readout(s[0], s[1], 0, true, true, false, size); });
            in_any_order([&] { return check_readout(s[0], s[1], 0, false, false, true, size); });
            in_any_order([&] { return check_readout(s[0], s[1], 0, false, true, false, size); });
        }
}

static void refuses(void **)
{
    struct kernel_negatives_args n = {};
    n.batch = n.classes = 1;
    assert_int_equal(kernel_negatives(&n, nullptr), KERNEL_REFUSED); /* no wrong class */
    struct kernel_overlay_args o = {};
    o.kind = OVERLAY_PLANE;
    o.rows = 1;
    o.width = o.area = 5;
    o.classes = 6;
    assert_int_equal(kernel_overlay(&o, nullptr), KERNEL_REFUSED); /* no room for them */
    struct kernel_goodness_args g = {};
    g.batch = 3;
    g.n = g.global_batch = 8;
    assert_int_equal(kernel_goodness(&g, nullptr), KERNEL_REFUSED); /* half a pair */
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negatives),     cmocka_unit_test(never_the_true_label),
        cmocka_unit_test(overlays),      cmocka_unit_test(label_columns),
        cmocka_unit_test(spreads),       cmocka_unit_test(goodness),
        cmocka_unit_test(goodness_eval), cmocka_unit_test(readouts),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
