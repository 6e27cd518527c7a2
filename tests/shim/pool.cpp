/* pool, pool_back, apool and apool_back against the reference. */
#include "support.hpp"

struct Case {
    int batch, channels, height, width, pitch, kernel, stride;
    enum pool_kind kind;
    bool ties;
};

static const Case cases[] = {
    {3, 8, 6, 7, 8, 2, 2, POOL_MAX, false},       {2, 5, 7, 5, 8, 3, 2, POOL_MAX, true},
    {2, 7, 5, 5, 7, 3, 1, POOL_MAX, true},        {1, 16, 9, 4, 16, 2, 3, POOL_MAX, false},
    {2, 12, 6, 6, 12, 2, 2, POOL_AVERAGE, false}, {3, 3, 5, 6, 8, 3, 1, POOL_AVERAGE, false},
    {1, 4, 16, 17, 4, 16, 1, POOL_MAX, false},
};

static struct kernel_pool_args args_of(Activation &x, Activation &y)
{
    struct kernel_pool_args a = {};
    a.dtype = x.dtype;
    a.batch = x.batch;
    a.height = x.height;
    a.width = x.width;
    a.out_height = y.height;
    a.out_width = y.width;
    a.pitch = x.pitch;
    a.x = x.memory.data();
    a.y = y.memory.data();
    a.dy = y.memory.data();
    a.dx = x.memory.data();
    return a;
}

static std::vector<unsigned char> check_pool(const Case &c, enum dtype dtype, bool with_index)
{
    int out_height = (c.height - c.kernel) / c.stride + 1, out_width = (c.width - c.kernel) / c.stride + 1;
    Activation x(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    Activation y(dtype, c.batch, c.channels, out_height, out_width, c.pitch);
    Activation dx(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    Buffer<unsigned char> index(y.memory.size() / dtype_bytes(dtype));
    std::vector<double> values = random_values(x.logical(), 1, dtype, c.ties), pooled(y.logical()), back(x.logical());
    std::vector<double> gradient = random_values(y.logical(), 2, dtype);
    std::vector<unsigned char> places(y.logical());
    struct op_desc desc = describe(OP_POOL);
    desc.attr.pool.kind = c.kind;
    desc.attr.pool.kernel = c.kernel;
    desc.attr.pool.stride = c.stride;
    desc.arg[0] = x.tensor();
    desc.arg[1] = y.tensor();
    reference(desc, {values.data(), pooled.data(), places.data()});

    x.put(values);
    struct kernel_pool_args a = args_of(x, y);
    a.kind = c.kind;
    a.kernel = c.kernel;
    a.stride = c.stride;
    a.index = with_index ? index.data() : nullptr;
    run_ok(kernel_pool(&a, nullptr));
    index.check();
    expect_activation("y", y, pooled, c.kind == POOL_MAX ? 0 : 1e-6, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    if (!with_index) return bytes;
    append(bytes, index);
    for (size_t b = 0, at = 0; b < (size_t)c.batch; b++)
        for (size_t channel = 0; channel < (size_t)c.channels; channel++)
            for (size_t i = 0; i < (size_t)(out_height * out_width); i++)
                assert_int_equal(index[y.place(b, channel, i)], places[at++]);

    desc.kind = OP_POOL_BACK;
    desc.arg[1] = y.tensor();
    desc.arg[2] = x.tensor();
    reference(desc, {places.data(), gradient.data(), back.data()});
    y.put(gradient);
    a.dx = dx.memory.data();
    run_ok(kernel_pool_back(&a, nullptr));
    expect_activation("dx", dx, back, 1e-6, 1e-6);
    append(bytes, dx.memory);
    return bytes;
}

static void pools(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) {
            in_any_order([&] { return check_pool(c, dtype, true); });
            if (c.kind == POOL_MAX) in_any_order([&] { return check_pool(c, dtype, false); });
        }
}

static void not_a_number_wins(void **)
{
    Activation x(DTYPE_F32, 1, 8, 2, 2, 8), y(DTYPE_F32, 1, 8, 1, 1, 8);
    std::vector<double> values = random_values(32, 1);
    values[2] = NAN;
    x.put(values);
    struct kernel_pool_args a = args_of(x, y);
    a.kernel = a.stride = 2;
    run_ok(kernel_pool(&a, nullptr));
    assert_true(std::isnan(y.take()[0]));
    assert_false(std::isnan(y.take()[1]));
}

static std::vector<unsigned char> check_adaptive(enum dtype dtype, int channels, int pitch, int height, int width,
                                                 int a_rows, int a_columns)
{
    Activation x(dtype, 3, channels, height, width, pitch), y(dtype, 3, channels, a_rows, a_columns, pitch);
    Activation dx(dtype, 3, channels, height, width, pitch);
    std::vector<double> values = random_values(x.logical(), 1, dtype), pooled(y.logical()), back(x.logical());
    std::vector<double> gradient = random_values(y.logical(), 2, dtype);
    struct op_desc desc = describe(OP_APOOL);
    desc.arg[0] = x.tensor();
    desc.arg[1] = y.tensor();
    reference(desc, {values.data(), pooled.data()});
    x.put(values);
    struct kernel_pool_args a = args_of(x, y);
    run_ok(kernel_apool(&a, nullptr));
    expect_activation("y", y, pooled, 2e-6, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);

    desc.kind = OP_APOOL_BACK;
    desc.arg[0] = y.tensor();
    desc.arg[1] = x.tensor();
    reference(desc, {gradient.data(), back.data()});
    y.put(gradient);
    a.dx = dx.memory.data();
    run_ok(kernel_apool_back(&a, nullptr));
    expect_activation("dx", dx, back, 1e-6, 1e-6);
    append(bytes, dx.memory);
    return bytes;
}

static void adaptive_pools(void **)
{
    static const int sizes[][6] = {{8, 8, 8, 8, 2, 2},   {5, 8, 7, 5, 3, 2},  {3, 3, 4, 6, 3, 4},
                                   {16, 16, 5, 5, 1, 1}, {9, 16, 3, 3, 5, 4}, {4, 4, 1, 9, 1, 2}};
    for (const int(&s)[6] : sizes)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            in_any_order([&] { return check_adaptive(dtype, s[0], s[1], s[2], s[3], s[4], s[5]); });
}

static std::vector<unsigned char> check_act_adaptive(enum dtype dtype, enum act act, int channels, int pitch,
                                                     int height, int width, int rows, int columns)
{
    Activation x(dtype, 3, channels, height, width, pitch), dx(dtype, 3, channels, height, width, pitch);
    size_t flat = (size_t)(3 * channels * rows * columns);
    std::vector<double> values = random_values(x.logical(), 1, dtype), pooled(flat), back(x.logical());
    std::vector<double> gradient = random_values(flat, 2);
    Buffer<float> y(flat), dy(floats(gradient));
    struct op_desc desc = describe(OP_ACT_APOOL);
    desc.attr.act_apool = {act, rows, columns};
    desc.arg[0] = desc.arg[2] = x.tensor();
    desc.arg[1] = tensor_make2(DTYPE_F64, 3, channels * rows * columns);
    reference(desc, {values.data(), pooled.data()});
    x.put(values);
    struct kernel_act_apool_args a = {};
    a.dtype = dtype;
    a.act = act;
    a.batch = 3;
    a.height = height, a.width = width, a.channels = channels, a.pitch = pitch, a.rows = rows, a.columns = columns;
    a.x = x.memory.data();
    a.y = y.data();
    a.dy = dy.data();
    a.dx = dx.memory.data();
    run_ok(kernel_act_apool(&a, nullptr));
    expect_all_near("y", y, pooled, 2e-6, 1e-6);

    desc.kind = OP_ACT_APOOL_BACK;
    reference(desc, {values.data(), gradient.data(), back.data()});
    if (act == ACT_NONE) a.x = nullptr;
    run_ok(kernel_act_apool_back(&a, nullptr));
    expect_activation("dx", dx, back, 1e-6, 1e-6);
    dy.check();
    std::vector<unsigned char> bytes;
    append(bytes, y);
    append(bytes, dx.memory);
    return bytes;
}

static void adaptive_pools_of_activations(void **)
{
    static const int sizes[][6] = {{8, 8, 8, 8, 2, 2},   {5, 8, 7, 5, 3, 2},  {3, 3, 4, 6, 3, 4},
                                   {16, 16, 5, 5, 1, 1}, {9, 16, 3, 3, 5, 4}, {13, 16, 1, 9, 1, 2}};
    for (const int(&s)[6] : sizes)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            for (int act = 0; act < ACT_COUNT; act++)
                in_any_order(
                    [&] { return check_act_adaptive(dtype, (enum act)act, s[0], s[1], s[2], s[3], s[4], s[5]); });
}

static void refuses(void **)
{
    Activation x(DTYPE_F32, 1, 8, 4, 4, 8), y(DTYPE_F32, 1, 8, 2, 2, 8);
    struct kernel_pool_args a = args_of(x, y);
    a.kernel = a.stride = 2;
    assert_int_equal(kernel_pool_back(&a, nullptr), KERNEL_REFUSED); /* max without its index */
    a.out_width = 3;
    assert_int_equal(kernel_pool(&a, nullptr), KERNEL_REFUSED);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pools), cmocka_unit_test(not_a_number_wins),
                                       cmocka_unit_test(adaptive_pools),
                                       cmocka_unit_test(adaptive_pools_of_activations), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
