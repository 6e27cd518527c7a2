/* norm, norm_eval and norm_back, with and without pooling on the way, against the reference. */
#include "support.hpp"

struct Case {
    int batch, channels, height, width, pitch;
    enum act act;
    int kernel, stride;
    enum pool_kind pool;
    double offset; /* added to x: means far from 0 */
};

static const Case cases[] = {
    {4, 16, 5, 3, 16, ACT_RELU, 0, 0, POOL_MAX, 0},        {3, 5, 4, 4, 8, ACT_NONE, 0, 0, POOL_MAX, 0},
    {7, 3, 1, 1, 3, ACT_LEAKY_RELU, 0, 0, POOL_MAX, 0},    {1, 9, 1, 1, 16, ACT_RELU, 0, 0, POOL_MAX, 0},
    {9, 100, 11, 7, 104, ACT_RELU, 0, 0, POOL_MAX, 0},     {2, 130, 3, 5, 130, ACT_RELU, 0, 0, POOL_MAX, 0},
    {33, 24, 9, 9, 24, ACT_RELU, 0, 0, POOL_MAX, 1000},    {3, 8, 6, 7, 8, ACT_RELU, 2, 2, POOL_MAX, 0},
    {2, 12, 7, 7, 16, ACT_LEAKY_RELU, 3, 2, POOL_MAX, 0},  {2, 5, 5, 6, 5, ACT_RELU, 2, 2, POOL_AVERAGE, 0},
    {2, 8, 6, 6, 8, ACT_NONE, 3, 1, POOL_AVERAGE, 0},      {6, 40, 13, 13, 40, ACT_NONE, 0, 0, POOL_MAX, 0},
    {5, 24, 17, 9, 24, ACT_LEAKY_RELU, 0, 0, POOL_MAX, 0}, {3, 16, 8, 9, 16, ACT_RELU, 2, 3, POOL_MAX, 0},
    {3, 8, 7, 6, 8, ACT_NONE, 2, 2, POOL_AVERAGE, 0},      {2, 16, 7, 7, 16, ACT_RELU, 3, 4, POOL_AVERAGE, 0},
    {16, 33, 32, 32, 33, ACT_RELU, 0, 0, POOL_MAX, 0},
};

static struct op_desc norm_desc(enum op_kind kind, const Case &c)
{
    struct op_desc desc = describe(kind);
    desc.attr.norm.eps = 1e-5;
    desc.attr.norm.momentum = 0.1;
    desc.attr.norm.act = c.act;
    return desc;
}

static struct op_desc pool_desc(enum op_kind kind, const Case &c)
{
    struct op_desc desc = describe(kind);
    desc.attr.pool.kind = c.pool;
    desc.attr.pool.kernel = c.kernel;
    desc.attr.pool.stride = c.stride;
    return desc;
}

/* Everything of one case: inputs, the reference's results, and the kernels' arguments. */
struct Setup {
    Case c;
    enum dtype dtype;
    bool eval;
    size_t channels, count, out_count;
    int out_height, out_width;
    std::vector<double> x, gamma, beta, mean, invstd, run_mean, run_var, y, pooled, dy, g, dx, dgamma, dbeta;
    std::vector<unsigned char> index;

    Setup(const Case &c_, enum dtype dtype_, bool eval_) : c(c_), dtype(dtype_), eval(eval_)
    {
        channels = (size_t)c.channels;
        count = (size_t)c.batch * channels * (size_t)c.height * (size_t)c.width;
        out_height = c.kernel ? (c.height - c.kernel) / c.stride + 1 : c.height;
        out_width = c.kernel ? (c.width - c.kernel) / c.stride + 1 : c.width;
        out_count = (size_t)c.batch * channels * (size_t)out_height * (size_t)out_width;
        x = random_values(count, 1, dtype);
        for (double &v : x) v = as_dtype(dtype, v + c.offset);
        gamma = random_values(channels, 2);
        beta = random_values(channels, 3);
        run_mean = random_values(channels, 4);
        run_var = random_values(channels, 5);
        for (double &v : run_var) v = (float)(v * v);
        dy = random_values(out_count, 6, dtype);
        mean.resize(channels);
        invstd.resize(channels);
        dgamma.resize(channels);
        dbeta.resize(channels);
        y.resize(count);
        dx.resize(count);
        pooled.resize(out_count);
        index.resize(out_count);
    }
    struct tensor image() const
    {
        return tensor_make4(DTYPE_F64, c.batch, c.channels, c.height, c.width);
    }
    struct tensor out() const
    {
        return tensor_make4(DTYPE_F64, c.batch, c.channels, out_height, out_width);
    }
    void pool()
    {
        if (c.kernel == 0) {
            pooled = y;
            return;
        }
        for (double &v : y) v = as_dtype(dtype, v);
        struct op_desc desc = pool_desc(OP_POOL, c);
        desc.arg[0] = image();
        desc.arg[1] = out();
        reference(desc, {y.data(), pooled.data(), index.data()});
    }
    void forward()
    {
        struct op_desc desc = norm_desc(eval ? OP_NORM_EVAL : OP_NORM, c);
        desc.arg[0] = image();
        for (int i = 1; i < 7; i++) desc.arg[i] = vector_of(c.channels);
        desc.arg[7] = image();
        if (eval)
            reference(desc, {x.data(), gamma.data(), beta.data(), run_mean.data(), run_var.data(), y.data()});
        else
            reference(desc, {x.data(), gamma.data(), beta.data(), mean.data(), invstd.data(), run_mean.data(),
                             run_var.data(), y.data()});
        pool();
    }
    void backward()
    {
        g = dy;
        if (c.kernel) {
            g.resize(count);
            struct op_desc back = pool_desc(OP_POOL_BACK, c);
            back.arg[1] = out();
            back.arg[2] = image();
            reference(back, {index.data(), dy.data(), g.data()});
            for (double &v : g) v = as_dtype(dtype, v);
        }
        struct op_desc desc = norm_desc(OP_NORM_BACK, c);
        desc.arg[0] = image();
        for (double &v : mean) v = (float)v;
        for (double &v : invstd) v = (float)v;
        reference(desc, {x.data(), gamma.data(), beta.data(), mean.data(), invstd.data(), g.data(), dx.data(),
                         dgamma.data(), dbeta.data()});
    }
    struct kernel_norm_args args() const
    {
        struct kernel_norm_args a = {};
        a.dtype = dtype;
        a.batch = c.batch;
        a.height = c.height;
        a.width = c.width;
        a.channels = c.channels;
        a.pitch = c.pitch;
        a.act = c.act;
        a.eps = 1e-5;
        a.momentum = 0.1;
        a.pool.kind = c.pool;
        a.pool.kernel = c.kernel;
        a.pool.stride = c.stride;
        return a;
    }
};

/* A sum of n terms of size 1 in which few terms are near the activation's corner. */
static std::vector<unsigned char> check_forward(const Case &c, enum dtype dtype, bool eval, bool runs = true)
{
    Setup s(c, dtype, eval);
    struct kernel_norm_args a = s.args();
    Activation x(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    Activation y(dtype, c.batch, c.channels, s.out_height, s.out_width, c.pitch);
    Buffer<unsigned char> index((size_t)c.batch * (size_t)s.out_height * (size_t)s.out_width * (size_t)c.pitch);
    Buffer<float> gamma(floats(s.gamma)), beta(floats(s.beta)), mean(s.channels), invstd(s.channels);
    Buffer<float> run_mean(floats(s.run_mean)), run_var(floats(s.run_var));
    Buffer<unsigned char> workspace(kernel_norm_workspace(&a));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    x.put(s.x);
    a.x = x.memory.data();
    a.gamma = gamma.data();
    a.beta = beta.data();
    a.mean = mean.data();
    a.invstd = invstd.data();
    a.run_mean = runs ? run_mean.data() : nullptr;
    a.run_var = runs ? run_var.data() : nullptr;
    a.y = y.memory.data();
    a.index = index.data();
    a.workspace = workspace.data();
    a.tickets = tickets.data();
    if (c.pool == POOL_AVERAGE) a.index = nullptr;
    run_ok(eval ? kernel_norm_eval(&a, nullptr) : kernel_norm(&a, nullptr));
    s.forward();
    workspace.check();
    index.check();
    for (size_t i = 0; i < KERNEL_TICKETS; i++) assert_int_equal(tickets[i], 0);
    double far = std::fabs(c.offset) * 1e-6;
    expect_activation("y", y, s.pooled, 2e-5 + 4 * far, 1e-5);
    if (!eval) {
        expect_all_near("mean", mean, s.mean, 1e-6 + far, 1e-6);
        expect_all_near("invstd", invstd, s.invstd, 0, 1e-5);
    }
    if (runs) {
        expect_all_near("run_mean", run_mean, s.run_mean, 1e-6 + far, 1e-6);
        expect_all_near("run_var", run_var, s.run_var, 1e-6, 1e-5);
    }
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    append(bytes, mean);
    append(bytes, run_var);
    if (c.kernel && c.pool == POOL_MAX) append(bytes, index);
    return bytes;
}

static std::vector<unsigned char> check_backward(const Case &c, enum dtype dtype, bool in_place)
{
    Setup s(c, dtype, false);
    struct kernel_norm_args a = s.args();
    Activation x(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    Activation dx(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    Activation dy(dtype, c.batch, c.channels, s.out_height, s.out_width, c.pitch);
    Buffer<unsigned char> index((size_t)c.batch * (size_t)s.out_height * (size_t)s.out_width * (size_t)c.pitch);
    Buffer<float> gamma(floats(s.gamma)), beta(floats(s.beta)), dgamma(s.channels), dbeta(s.channels);
    Buffer<unsigned char> workspace(kernel_norm_workspace(&a));
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    s.forward();
    s.backward();
    Buffer<float> mean(floats(s.mean)), invstd(floats(s.invstd));
    x.put(s.x);
    dy.put(s.dy);
    memset(index.data(), 0, index.size());
    for (size_t b = 0, at = 0, area = (size_t)s.out_height * (size_t)s.out_width; b < (size_t)c.batch; b++)
        for (size_t channel = 0; channel < s.channels; channel++)
            for (size_t i = 0; i < area; i++) index[dy.place(b, channel, i)] = s.index[at++];
    a.x = x.memory.data();
    a.gamma = gamma.data();
    a.beta = beta.data();
    a.mean = mean.data();
    a.invstd = invstd.data();
    a.dy = dy.memory.data();
    a.dx = in_place ? dy.memory.data() : dx.memory.data();
    a.index = index.data();
    a.dgamma = dgamma.data();
    a.dbeta = dbeta.data();
    a.workspace = workspace.data();
    a.tickets = tickets.data();
    run_ok(kernel_norm_back(&a, nullptr));
    workspace.check();
    double n = (double)(s.count / s.channels), far = std::fabs(c.offset) * 1e-6;
    expect_all_near("dgamma", dgamma, s.dgamma, 1e-6 * n + n * far, 1e-5);
    expect_all_near("dbeta", dbeta, s.dbeta, 1e-6 * n, 1e-5);
    expect_activation("dx", in_place ? dy : dx, s.dx, (n > 1 ? 5e-5 : 2e-3) + 10 * far, 1e-5);
    std::vector<unsigned char> bytes;
    append(bytes, in_place ? dy.memory : dx.memory);
    append(bytes, dgamma);
    append(bytes, dbeta);
    return bytes;
}

static void forward(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) in_any_order([&] { return check_forward(c, dtype, false); });
}

static void forward_alone(void **)
{
    for (const Case &c : cases) in_any_order([&] { return check_forward(c, DTYPE_F32, false, false); });
}

static void eval(void **)
{
    for (const Case &c : cases)
        if (c.offset == 0)
            for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
                in_any_order([&] { return check_forward(c, dtype, true); });
}

static void backward(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) {
            in_any_order([&] { return check_backward(c, dtype, false); });
            if (!c.kernel) in_any_order([&] { return check_backward(c, dtype, true); });
        }
}

static void refuses(void **)
{
    struct kernel_norm_args a = Setup(cases[0], DTYPE_F32, false).args();
    a.channels = a.pitch + 1;
    assert_int_equal(kernel_norm(&a, nullptr), KERNEL_REFUSED);
    a = Setup(cases[0], DTYPE_I32, false).args();
    assert_int_equal(kernel_norm_eval(&a, nullptr), KERNEL_REFUSED);
    a = Setup(cases[7], DTYPE_F32, false).args();
    assert_int_equal(kernel_norm_back(&a, nullptr), KERNEL_REFUSED); /* max pooling without its index */
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(forward_alone),
                                       cmocka_unit_test(eval), cmocka_unit_test(backward), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
