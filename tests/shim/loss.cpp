/* cross_entropy, cross_entropy_eval and similarity. */
#include "support.hpp"

/* Labels, the second one's too, and weights: some 1, some 0, some a half, the rest anything. */
struct Labels {
    std::vector<int32_t> y1, y2;
    std::vector<float> weight;

    Labels(size_t batch, int classes, bool mixup)
    {
        struct rng rng;
        rng_open(&rng, 9, RNG_TEST, 0, 0);
        for (size_t b = 0; b < batch; b++) {
            y1.push_back((int32_t)rng_below(&rng, (uint32_t)classes));
            y2.push_back(mixup ? (int32_t)rng_below(&rng, (uint32_t)classes) : y1[b]);
            weight.push_back(!mixup || b % 5 == 0 ? 1 : b % 5 == 1 ? 0 : b % 5 == 2 ? 0.5f : rng_uniform(&rng));
        }
    }
};

static void check_metrics(Buffer<double> &got, const std::vector<double> &want, double absolute, double relative)
{
    got.check();
    for (size_t i = 0; i < METRICS; i++) {
        bool counted = i == METRIC_SAMPLES || i == METRIC_CORRECT;
        expect_near("metrics", got[i], want[i], counted ? 1e-9 : absolute, counted ? 0 : relative, i);
    }
}

static void check_tickets(Buffer<unsigned> &tickets)
{
    tickets.check();
    for (size_t i = 0; i < tickets.size(); i++) assert_int_equal(tickets[i], 0);
}

struct Entropy {
    int batch, classes;
    bool mixup;
    double smoothing, discount, size; /* size: of the scores */
};

static const Entropy entropies[] = {
    {1, 2, false, 0, 0, 1},      {5, 3, false, 0, 0.25, 1}, {19, 10, true, 0.1, 0, 5},     {33, 100, true, 0, 0.5, 1},
    {70, 1000, true, 0.2, 0, 1}, {4, 1, false, 0.1, 0, 1},  {9, 1, true, 0, 0, 1},         {17, 37, true, 0.1, 1, 1},
    {40, 10, false, 0, 0, 40},   {21, 10, true, 0, 0, 0},   {2100, 3, true, 0.1, 0.99, 3},
};

/* The kernel on one batch, and what it wrote. y2 and ds are empty in an evaluation. */
struct EntropyRun {
    Buffer<float> s, ds, weight;
    Buffer<int32_t> y1, y2;
    Buffer<double> m;
    Buffer<unsigned> tickets;
    struct kernel_cross_entropy_args a;

    EntropyRun(const Entropy &c, const Labels &l, const std::vector<double> &scores, bool eval)
        : s(floats(scores)), ds(eval ? 0 : scores.size()), weight(l.weight), y1(l.y1),
          y2(eval ? std::vector<int32_t>() : l.y2), m(std::vector<double>(METRICS, 3.5)),
          tickets(std::vector<unsigned>(KERNEL_TICKETS, 0)), a()
    {
        a.batch = c.batch;
        a.classes = c.classes;
        a.eval = eval;
        a.smoothing = eval ? 0.3 : c.smoothing; /* an evaluation takes neither */
        a.discount = eval ? 0.3 : c.discount;
        a.global_batch = eval ? 0 : c.batch + 3;
        Buffer<unsigned char> workspace(kernel_cross_entropy_workspace(&a));
        a.scores = s.data();
        a.y1 = y1.data();
        a.y2 = eval ? nullptr : y2.data();
        a.weight = weight.data();
        a.dscores = eval ? nullptr : ds.data();
        a.metrics = m.data();
        a.workspace = workspace.data();
        a.tickets = tickets.data();
        run_ok(kernel_cross_entropy(&a, nullptr));
        workspace.check();
        check_tickets(tickets);
    }
};

static std::vector<unsigned char> check_entropy(const Entropy &c)
{
    size_t batch = (size_t)c.batch, count = batch * (size_t)c.classes;
    Labels l(batch, c.classes, c.mixup);
    std::vector<double> scores = random_values(count, 1), back(count), metrics(METRICS, 3.5);
    for (double &s : scores) s = (float)(s * c.size);
    struct op_desc desc = describe(OP_CROSS_ENTROPY);
    desc.attr.cross_entropy.global_batch = c.batch + 3;
    desc.attr.cross_entropy.smoothing = c.smoothing;
    desc.attr.cross_entropy.discount = c.discount;
    desc.arg[0] = tensor_make2(DTYPE_F64, c.batch, c.classes);
    reference(desc, {scores.data(), l.y1.data(), l.y2.data(), l.weight.data(), back.data(), metrics.data()});

    EntropyRun run(c, l, scores, false);
    expect_all_near("dscores", run.ds, back, 2e-7 / c.batch, 3e-6);
    check_metrics(run.m, metrics, 2e-6 * c.batch, 2e-6);
    std::vector<unsigned char> bytes;
    append(bytes, run.ds);
    append(bytes, run.m);
    return bytes;
}

static void cross_entropy(void **)
{
    for (const Entropy &c : entropies) in_any_order([&] { return check_entropy(c); });
}

/* Weights 0 with scores and labels that mean nothing, and weights that are no whole numbers. */
static std::vector<unsigned char> check_entropy_eval(const Entropy &c, bool all_padding)
{
    size_t batch = (size_t)c.batch, classes = (size_t)c.classes;
    Labels l(batch, c.classes, false);
    std::vector<double> scores = random_values(batch * classes, 1), metrics(METRICS, 3.5);
    for (double &s : scores) s = (float)(s * c.size);
    for (size_t b = 0; b < batch; b++) {
        l.weight[b] = all_padding || b % 4 == 1 ? 0 : b % 4 == 2 ? 0.5f : 1;
        if (l.weight[b] != 0) continue;
        l.y1[b] = -99;
        scores[b * classes] = NAN;
    }
    struct op_desc desc = describe(OP_CROSS_ENTROPY_EVAL);
    desc.arg[0] = tensor_make2(DTYPE_F64, c.batch, c.classes);
    reference(desc, {scores.data(), l.y1.data(), l.weight.data(), metrics.data()});
    EntropyRun run(c, l, scores, true);
    check_metrics(run.m, metrics, 2e-6 * c.batch, 2e-6);
    std::vector<unsigned char> bytes;
    append(bytes, run.m);
    return bytes;
}

static void cross_entropy_eval(void **)
{
    for (const Entropy &c : entropies) {
        in_any_order([&] { return check_entropy_eval(c, false); });
        check_entropy_eval(c, true);
    }
}

/* ---- similarity ---- */

struct Similar {
    int batch, width, slices, classes;
    bool mixup;
    double share, shift; /* shift: of all of x, away from 0 */
};

static const Similar similars[] = {
    {4, 5, 1, 3, false, 1, 0}, {34, 40, 2, 10, true, 0.99, 0}, {60, 33, 4, 10, true, 0.5, 2},
    {2, 8, 2, 4, false, 1, 0}, {21, 70, 3, 2, true, 1, 0},     {7, 1, 1, 3, false, 1, 0},
    {8, 16, 1, 1, true, 1, 0}, {70, 130, 1, 20, true, 1, 0},   {33, 530, 1, 5, true, 1, 0},
    {48, 9, 4, 2, true, 0, 0},
};
/* Enough for tiles of 64 x 64 in both products, and in the second alone. */
static const Similar large_similars[] = {{1650, 70, 25, 10, true, 1, 0}, {3, 6390, 1, 3, true, 1, 0}};

/* near: how exact a product is. Cosines err by that, gradients by as much of the greatest in the batch. */
static std::vector<unsigned char> check_similarity(const Similar &c, enum kernel_math math)
{
    size_t batch = (size_t)c.batch, width = (size_t)c.width;
    Labels l(batch, c.classes, c.mixup);
    std::vector<double> x = random_values(batch * width, 1), back(x.size()), metrics(METRICS, 3.5);
    for (size_t i = 0; i < x.size(); i++) { /* a sample of equal values and one of zeros have no direction */
        size_t b = i / width;
        x[i] = (float)(batch > 6 && b == 2 ? 0.3 : batch > 6 && b == 5 ? 0 : x[i] + c.shift);
    }
    struct op_desc desc = describe(OP_SIMILARITY);
    desc.slices = c.slices;
    desc.attr.similarity.global_batch = c.batch + 2;
    desc.attr.similarity.classes = c.classes;
    desc.attr.similarity.share = c.share;
    desc.arg[0] = tensor_make2(DTYPE_F64, c.batch, c.width);
    reference(desc, {x.data(), l.y1.data(), l.y2.data(), l.weight.data(), back.data(), metrics.data()});

    Buffer<float> x_buffer(floats(x)), dx(x.size()), weight(l.weight);
    Buffer<int32_t> y1(l.y1), y2(l.y2);
    Buffer<double> m(std::vector<double>(METRICS, 3.5));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    struct kernel_similarity_args a = {};
    a.batch = c.batch;
    a.width = c.width;
    a.slices = c.slices;
    a.math = math;
    a.classes = c.classes;
    a.global_batch = c.batch + 2;
    a.share = c.share;
    Buffer<unsigned char> workspace(kernel_similarity_workspace(&a));
    a.x = x_buffer.data();
    a.y1 = y1.data();
    a.y2 = y2.data();
    a.weight = weight.data();
    a.dx = dx.data();
    a.metrics = m.data();
    a.workspace = workspace.data();
    a.tickets = tickets.data();
    run_ok(kernel_similarity(&a, nullptr));
    workspace.check();
    check_tickets(tickets);
    double near = math == MATH_F32 ? 5e-7 : math == MATH_TF32 ? 1e-3 : 8e-3, most = 0;
    for (double v : back) most = std::fmax(most, std::fabs(v));
    dx.check();
    /* a slice of one sample has gradients of 0 that are differences of rounded numbers */
    double pair = 4 * c.share * c.slices / ((double)c.batch * (c.batch + 2)),
           room = 4 * near * std::fmax(most, pair * near);
    for (size_t i = 0; i < back.size(); i++) expect_near("dx", dx[i], back[i], room, 0, i);
    check_metrics(m, metrics, 4 * near * c.batch, 1e-6);
    for (size_t i = 0; i < METRICS; i++)
        if (i != METRIC_LOSS && i != METRIC_SIMILARITY) assert_true(m[i] == 3.5);
    std::vector<unsigned char> bytes;
    append(bytes, dx);
    append(bytes, m);
    return bytes;
}

static void similarity(void **)
{
    for (const Similar &c : similars)
        for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16})
            in_any_order([&] { return check_similarity(c, math); });
}

static void large_tiles(void **)
{
    for (const Similar &c : large_similars)
        for (enum kernel_math math : {MATH_F32, MATH_TF32, MATH_BF16}) check_similarity(c, math);
}

static void refuses(void **)
{
    struct kernel_similarity_args a = {};
    a.batch = 10;
    a.width = a.slices = 4;
    a.classes = a.global_batch = 10;
    assert_int_equal(kernel_similarity(&a, nullptr), KERNEL_REFUSED); /* slices that do not divide */
    struct kernel_cross_entropy_args c = {};
    c.batch = 4;
    assert_int_equal(kernel_cross_entropy(&c, nullptr), KERNEL_REFUSED);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cross_entropy), cmocka_unit_test(cross_entropy_eval),
                                       cmocka_unit_test(similarity), cmocka_unit_test(large_tiles),
                                       cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
