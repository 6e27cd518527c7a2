/* The prototype head, forward and backward, in all its variants, against the reference in double. */
#include "kernels/head.cuh"
#include "support.hpp"

struct Case {
    int batch, width, classes, per_class;
    enum hff_loss loss;
    double margin, smoothing, scale;
    bool mixup, dead, dp, wins;
    double discount;
};

static const Case cases[] = {
    {5, 7, 3, 1, HFF_LOSS_SOFTMAX, 0, 0, 16, false, false, true, false, 0},
    {19, 40, 10, 4, HFF_LOSS_SOFTMAX, 0.1, 0.1, 16, true, true, true, true, 0.25},
    {33, 72, 4, 3, HFF_LOSS_PAIRWISE, 0.2, 0, 10, true, true, true, true, 0.4},
    {16, 32, 35, 1, HFF_LOSS_SOFTMAX, 0, 0.2, 64, true, false, true, true, 0},
    {50, 130, 7, 2, HFF_LOSS_PAIRWISE, 0, 0, 16, false, true, true, false, 0},
    {3, 8, 1, 2, HFF_LOSS_SOFTMAX, 0, 0, 16, false, false, true, true, 0},
    {9, 20, 2, 5, HFF_LOSS_SOFTMAX, 0.3, 0, 30, true, true, false, false, 1},
    {21, 40, 150, 1, HFF_LOSS_SOFTMAX, 0.1, 0, 16, true, true, true, true, 0.99},
    {70, 530, 6, 3, HFF_LOSS_SOFTMAX, 0, 0, 16, true, true, true, false, 0},
    {34, 37, 67, 3, HFF_LOSS_PAIRWISE, 0.1, 0, 8, true, true, true, true, 0},
};
/* Enough for 64 x 64 tiles of de. */
static const Case wide_case = {600, 641, 5, 2, HFF_LOSS_SOFTMAX, 0.1, 0, 16, true, true, true, true, 0};
/* Prototypes for 64 x 64 tiles over one chunk of samples. */
static const Case deep_case = {70, 600, 700, 1, HFF_LOSS_SOFTMAX, 0, 0, 16, false, false, true, false, 0};

/* Rows that are longer than what the projection of dP keeps in registers. */
static const Case long_case = {5, 2072, 3, 4, HFF_LOSS_SOFTMAX, 0.1, 0, 16, true, true, true, true, 0};

/* Inputs, the reference's results and how exact the products are. */
struct Setup {
    Case c;
    bool eval;
    size_t batch, width, classes, rows;
    std::vector<double> e, p, scores, de, dp, log_scale, dlog_scale, metrics;
    std::vector<int32_t> y1, y2;
    std::vector<float> weight;
    std::vector<int64_t> wins;

    Setup(const Case &c_, bool eval_) : c(c_), eval(eval_)
    {
        batch = (size_t)c.batch;
        width = (size_t)c.width;
        classes = (size_t)c.classes;
        rows = classes * (size_t)c.per_class;
        e = random_values(batch * width, 1);
        p = random_values(rows * width, 2);
        log_scale = {(float)std::log(c.scale)};
        struct rng rng;
        rng_open(&rng, 9, RNG_TEST, 0, 0);
        for (size_t b = 0; b < batch; b++) {
            y1.push_back((int32_t)rng_below(&rng, (uint32_t)classes));
            y2.push_back(c.mixup && !eval ? (int32_t)rng_below(&rng, (uint32_t)classes) : y1[b]);
            weight.push_back(c.mixup && !eval && b % 5 ? rng_uniform(&rng) : eval && b % 4 == 1 ? 0.0f : 1.0f);
            if (eval && weight[b] == 0) y1[b] = y2[b] = -99; /* padding has no label */
            for (size_t d = 0; c.dead && b % 4 == 2 && d < width; d++) e[b * width + d] *= b % 8 == 2 ? 0 : 1e-9;
            for (size_t d = 0; d < width; d++) e[b * width + d] = (float)e[b * width + d];
        }
        for (size_t r = 0; r < rows; r++) {
            double squares = 0;
            for (size_t d = 0; d < width; d++) squares += p[r * width + d] * p[r * width + d];
            for (size_t d = 0; d < width; d++) p[r * width + d] = (float)(p[r * width + d] / std::sqrt(squares));
        }
        scores.resize(batch * classes);
        de.resize(batch * width);
        dp.resize(rows * width);
        dlog_scale.resize(1);
        metrics.resize(METRICS, 3.5); /* added to */
        wins.resize(rows, 2);
        compute();
    }
    void compute()
    {
        struct op_desc desc = describe(eval ? OP_HFF_EVAL : OP_HFF);
        desc.attr.hff.global_batch = c.batch;
        desc.attr.hff.loss = c.loss;
        desc.attr.hff.margin = c.margin;
        desc.attr.hff.smoothing = c.smoothing;
        desc.attr.hff.discount = eval ? 0.5 : c.discount; /* not of hff_eval */
        desc.arg[0] = tensor_make2(DTYPE_F64, c.batch, c.width);
        desc.arg[1] = tensor_plain(DTYPE_F64, 3, std::vector<int64_t>{c.classes, c.per_class, c.width}.data());
        if (eval)
            reference(desc,
                      {e.data(), p.data(), log_scale.data(), y1.data(), weight.data(), scores.data(), metrics.data()});
        else
            reference(desc, {e.data(), p.data(), log_scale.data(), y1.data(), y2.data(), weight.data(), scores.data(),
                             de.data(), dp.data(), dlog_scale.data(), metrics.data(), wins.data()});
    }
};

/* What a product of the tiled variant means, element by element. */
static double operand(const struct kernel_product_args *p, const void *at, int64_t i)
{
    if (p->math == MATH_BF16) return bf16_wide(static_cast<const uint16_t *>(at)[i]);
    return static_cast<const float *>(at)[i];
}

static int plain_product(void *context, const struct kernel_product_args *p, kernel_stream)
{
    bool a_turned = p->kind == PRODUCT_DP, b_turned = p->kind != PRODUCT_COS;
    ++*static_cast<int *>(context);
    for (int64_t m = 0; m < p->m; m++)
        for (int64_t n = 0; n < p->n; n++) {
            double sum = p->add ? p->c[m * p->c_pitch + n] : 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += operand(p, p->a, a_turned ? k * p->a_pitch + m : m * p->a_pitch + k) *
                       operand(p, p->b, b_turned ? k * p->b_pitch + n : n * p->b_pitch + k);
            p->c[m * p->c_pitch + n] = (float)sum;
        }
    return KERNEL_OK;
}

/* The head's buffers and arguments. */
struct Run {
    Setup &s;
    Buffer<float> e, p, log_scale, weight, scores, de, dp, dlog_scale;
    Buffer<uint16_t> p_half;
    Buffer<int32_t> y1, y2;
    Buffer<double> metrics;
    Buffer<int64_t> wins;
    struct kernel_hff_args a;

    Run(Setup &s_, enum kernel_math math, bool with_half)
        : s(s_), e(floats(s.e)), p(floats(s.p)), log_scale(floats(s.log_scale)), weight(s.weight),
          scores(s.scores.size()), de(s.de.size()), dp(s.dp.size()), dlog_scale(1), p_half(s.p.size()), y1(s.y1),
          y2(s.y2), metrics(std::vector<double>(METRICS, 3.5)), wins(std::vector<int64_t>(s.rows, 2)), a()
    {
        for (size_t i = 0; i < s.p.size(); i++) p_half[i] = bf16_near((float)s.p[i]);
        a.batch = s.c.batch;
        a.width = s.c.width;
        a.classes = s.c.classes;
        a.per_class = s.c.per_class;
        a.math = math;
        a.eval = s.eval;
        a.loss = s.c.loss;
        a.margin = s.c.margin;
        a.smoothing = s.c.smoothing;
        a.discount = s.eval ? 0.5 : s.c.discount;
        a.global_batch = s.c.batch;
        a.e = e.data();
        a.p = p.data();
        a.p_half = with_half ? p_half.data() : nullptr;
        a.log_scale = log_scale.data();
        a.y1 = y1.data();
        a.y2 = s.eval ? nullptr : y2.data();
        a.weight = weight.data();
        a.scores = scores.data();
        a.de = s.eval ? nullptr : de.data();
        a.dp = s.eval || !s.c.dp ? nullptr : dp.data();
        a.dlog_scale = s.eval ? nullptr : dlog_scale.data();
        a.metrics = metrics.data();
        a.wins = s.eval || !s.c.wins ? nullptr : wins.data();
    }
    static double largest(const std::vector<double> &values, size_t from, size_t to)
    {
        double most = 0;
        for (size_t i = from; i < to; i++) most = std::fmax(most, std::fabs(values[i]));
        return most;
    }
    /* near: how exact a product is; cosines err by some of that, scores by scale times that, gradients by as much of
     * the greatest in their row. */
    void check()
    {
        double near = a.math == MATH_F32 ? 3e-7 : a.math == MATH_TF32 ? 5e-4 : 4e-3, score = near * s.c.scale;
        bool exact = a.math == MATH_F32;
        expect_all_near("scores", scores, s.scores, 2 * score, 1e-6);
        metrics.check();
        for (size_t i = 0; i < METRICS; i++) {
            if (i == METRIC_CORRECT && !exact) continue;
            bool counted = i == METRIC_SAMPLES || i == METRIC_CORRECT || i == METRIC_DEAD;
            double room =
                counted ? 1e-9
                        : (double)s.batch * 4 * (score + 1e-6) * (s.c.loss == HFF_LOSS_PAIRWISE ? s.c.classes : 1);
            if (i == METRIC_NORM) room = 1e-9;
            expect_near("metrics", metrics[i], s.metrics[i], room, i == METRIC_NORM ? 1e-9 : 1e-6, i);
        }
        if (s.eval) return;
        double share = 6 * score + 4e-6;
        for (size_t b = 0; b < s.batch; b++) {
            double most = largest(s.de, b * s.width, (b + 1) * s.width);
            for (size_t i = b * s.width; i < (b + 1) * s.width; i++)
                expect_near("de", de[i], s.de[i], share * most, 0, i);
        }
        double most = largest(s.dp, 0, s.dp.size());
        for (size_t i = 0; a.dp && i < s.dp.size(); i++) expect_near("dp", dp[i], s.dp[i], share * most, 0, i);
        expect_near("dlog_scale", dlog_scale[0], s.dlog_scale[0], share * s.c.scale, 1e-5);
        for (size_t r = 0; exact && a.wins && r < s.rows; r++) assert_int_equal(wins[r], s.wins[r]);
        de.check();
        dp.check();
        dlog_scale.check();
        wins.check();
    }
    std::vector<unsigned char> bytes()
    {
        std::vector<unsigned char> out;
        append(out, scores);
        append(out, de);
        append(out, dp);
        append(out, dlog_scale);
        append(out, metrics);
        append(out, wins);
        return out;
    }
};

static std::vector<unsigned char> check_own(Setup &s, enum kernel_math math, bool with_half)
{
    Run run(s, math, with_half);
    assert_int_equal(kernel_hff_fits(&run.a), 1);
    Buffer<unsigned char> workspace(kernel_hff_workspace(&run.a));
    run.a.workspace = workspace.data();
    run_ok(kernel_hff(&run.a, nullptr));
    workspace.check();
    run.check();
    return run.bytes();
}

static std::vector<unsigned char> check_tiled(Setup &s, enum kernel_math math, bool with_half, size_t limit, int tiles)
{
    Run run(s, math, with_half);
    struct kernel_hff_plan plan;
    assert_int_equal(kernel_hff_plan(&run.a, limit, &plan), KERNEL_OK);
    Buffer<unsigned char> workspace(plan.bytes);
    int products = 0;
    run.a.workspace = workspace.data();
    run_ok(kernel_hff_tiled(&run.a, &plan, plain_product, &products, nullptr));
    assert_int_equal(products, tiles * (s.eval ? 1 : s.c.dp ? 3 : 2));
    workspace.check();
    run.check();
    return run.bytes();
}

static void forward_and_backward(void **)
{
    for (const Case &c : cases) {
        Setup s(c, false);
        for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16})
            in_any_order([&] { return check_own(s, math, false); });
        in_any_order([&] { return check_own(s, MATH_BF16, true); });
    }
}

static void large_tiles(void **)
{
    for (const Case *c : {&wide_case, &deep_case}) {
        Setup s(*c, false);
        for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16}) check_own(s, math, false);
    }
}

/* Scores and de of the batch's first `count` samples, bf16 products. */
static std::vector<unsigned char> first_samples(Setup &s, int count)
{
    Run run(s, MATH_BF16, false);
    run.a.batch = count;
    Buffer<unsigned char> workspace(kernel_hff_workspace(&run.a));
    run.a.workspace = workspace.data();
    run_ok(kernel_hff(&run.a, nullptr));
    workspace.check();
    std::vector<unsigned char> bytes;
    unsigned char *scores = reinterpret_cast<unsigned char *>(run.scores.data());
    unsigned char *de = reinterpret_cast<unsigned char *>(run.de.data());
    bytes.insert(bytes.end(), scores, scores + 500 * s.classes * sizeof(float));
    bytes.insert(bytes.end(), de, de + 500 * s.width * sizeof(float));
    return bytes;
}

/* More samples than 8 for each of 132 multiprocessors: blocks of 16 where the prototypes fit beside them. A sample's own
 * results do not depend on that. (Among so many samples some gradients nearly cancel, and bf16 products leave no digit of
 * those: with them the two sizes are compared.) */
static void many_samples(void **)
{
    Case c = {1061, 9, 3, 4, HFF_LOSS_SOFTMAX, 0.1, 0, 16, true, true, true, true, 0};
    for (bool eval : {false, true}) {
        Setup s(c, eval);
        check_own(s, MATH_F32, false);
    }
    Setup s(c, false);
    assert_int_equal(small_samples_of(c.batch), SMALL_SAMPLES);
    assert_int_equal(small_samples_of(500), TILE_WARPS);
    assert_true(first_samples(s, c.batch) == first_samples(s, 500));
}

static void evaluation(void **)
{
    for (const Case &c : cases) {
        Setup s(c, true);
        for (enum kernel_math math : {MATH_F32, MATH_BF16}) in_any_order([&] { return check_own(s, math, false); });
    }
}

static void tiled(void **)
{
    for (const Case &c : cases) {
        int tiles = (c.batch + 15) / 16;
        for (bool eval : {false, true}) {
            Setup s(c, eval);
            for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16})
                in_any_order([&] { return check_tiled(s, math, false, 0, tiles); });
            check_tiled(s, MATH_BF16, true, (size_t)64 << 20, 1);
        }
    }
}

static void long_rows(void **)
{
    Setup s(long_case, false);
    for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16})
        in_any_order([&] { return check_tiled(s, math, false, 0, 1); });
}

/* What products read or write where it lies must lie on 16 bytes; what is copied for them need not. */
static void misaligned(void **)
{
    Setup s(cases[1], false);
    for (enum kernel_math math : {MATH_F32, MATH_BF16}) {
        Run run(s, math, false);
        std::vector<float> p(s.p.size() + 1);
        struct kernel_hff_plan plan;
        assert_int_equal(kernel_hff_plan(&run.a, 0, &plan), KERNEL_OK);
        Buffer<unsigned char> workspace(plan.bytes);
        int products = 0;
        run.a.workspace = workspace.data();
        run.a.p = std::copy(run.p.data(), run.p.data() + s.p.size(), p.data() + 1) - s.p.size();
        if (math == MATH_F32) {
            assert_int_equal(kernel_hff_tiled(&run.a, &plan, plain_product, &products, nullptr), KERNEL_REFUSED);
        } else {
            run_ok(kernel_hff_tiled(&run.a, &plan, plain_product, &products, nullptr));
            run.check();
        }
        run.a.p = run.p.data();
        run.a.dp += 1;
        assert_int_equal(kernel_hff_tiled(&run.a, &plan, plain_product, &products, nullptr), KERNEL_REFUSED);
    }
}

/* The tests above are of the variants they mean to be of. */
static void variants(void **)
{
    struct kernel_hff_args a = {};
    int small = 0;
    for (const Case &c : cases) {
        a.batch = c.batch;
        a.width = c.width;
        a.classes = c.classes;
        a.per_class = c.per_class;
        a.math = MATH_BF16;
        small += head_small_fits(&a);
    }
    assert_int_equal(small, 7);
    a.batch = 512, a.width = 256, a.classes = 10, a.per_class = 4;
    assert_true(head_small_fits(&a));
    a.width = 512, a.classes = 100;
    assert_false(head_small_fits(&a));
    assert_int_equal(kernel_hff_fits(&a), 1);
    a.batch = 1024, a.width = 2048, a.classes = 1000;
    assert_int_equal(kernel_hff_fits(&a), 0);
    struct kernel_hff_plan plan;
    assert_int_equal(kernel_hff_plan(&a, (size_t)64 << 20, &plan), KERNEL_OK);
    assert_true(plan.bytes <= (size_t)64 << 20);
    a.classes = 100000;
    a.batch = 4096;
    a.p_half = &a; /* only its presence counts */
    assert_int_equal(kernel_hff_plan(&a, (size_t)64 << 20, &plan), KERNEL_OK);
    assert_true(plan.bytes <= (size_t)64 << 20 && plan.tile % 16 == 0 && plan.tile < 64);
}

/* An embedding that is not a number must not pass unnoticed. */
static void not_a_number_is_noticed(void **)
{
    Case c = cases[1];
    c.dead = false;
    Setup s(c, false);
    Run run(s, MATH_F32, false);
    run.e[3] = NAN;
    Buffer<unsigned char> workspace(kernel_hff_workspace(&run.a));
    run.a.workspace = workspace.data();
    run_ok(kernel_hff(&run.a, nullptr));
    assert_true(std::isnan(run.metrics[METRIC_LOSS]));
    assert_true(std::isnan(run.dp[0]) && std::isnan(run.de[0]));
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(variants),
                                       cmocka_unit_test(forward_and_backward),
                                       cmocka_unit_test(large_tiles),
                                       cmocka_unit_test(many_samples),
                                       cmocka_unit_test(evaluation),
                                       cmocka_unit_test(tiled),
                                       cmocka_unit_test(long_rows),
                                       cmocka_unit_test(misaligned),
                                       cmocka_unit_test(not_a_number_is_noticed)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
