/* add, unit_back, energy, energy_back, deviation and deviation_back. */
#include "support.hpp"

static std::vector<unsigned char> check_add(enum dtype dtype, int count)
{
    Activation a(dtype, 1, count, 1, 1, count), b(dtype, 1, count, 1, 1, count), y(dtype, 1, count, 1, 1, count);
    std::vector<double> left = random_values(a.logical(), 1, dtype), right = random_values(a.logical(), 2, dtype),
                        sum(a.logical());
    struct op_desc desc = describe(OP_ADD);
    desc.arg[0] = a.tensor();
    reference(desc, {left.data(), right.data(), sum.data()});
    a.put(left);
    b.put(right);
    struct kernel_add_args args = {dtype, count, a.memory.data(), b.memory.data(), y.memory.data()};
    run_ok(kernel_add(&args, nullptr));
    expect_activation("y", y, sum, 0, 1e-7);
    args.y = a.memory.data();
    run_ok(kernel_add(&args, nullptr));
    expect_activation("in place", a, sum, 0, 1e-7);
    b.memory.check();
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    return bytes;
}

static void additions(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
        for (int count : {1, 7, 8, 1024, 2059}) in_any_order([&] { return check_add(dtype, count); });
}

/* Sample 3 is zero, so that its factor is constant. */
static std::vector<unsigned char> check_unit_back(enum dtype dtype, int channels, int pitch, int side, double factor)
{
    Activation x(dtype, 5, channels, side, side, pitch), dy(dtype, 5, channels, side, side, pitch);
    Activation dx(dtype, 5, channels, side, side, pitch);
    std::vector<double> values = random_values(x.logical(), 1, dtype), back(x.logical());
    std::vector<double> gradient = random_values(x.logical(), 2, dtype);
    size_t each = values.size() / 5;
    for (size_t i = 0; i < values.size(); i++) values[i] = i / each == 3 ? 0 : as_dtype(dtype, values[i] * factor);
    struct op_desc desc = describe(OP_UNIT_BACK);
    desc.arg[0] = x.tensor();
    reference(desc, {values.data(), gradient.data(), back.data()});
    double most = 0; /* the constant one's gradient is a million times the others' */
    for (size_t i = 0; i < back.size(); i++)
        if (i / each != 3) most = std::fmax(most, std::fabs(back[i]));
    x.put(values);
    dy.put(gradient);
    struct kernel_unit_args a = {
        dtype,           5, (int64_t)side * side * pitch, (int64_t)each, x.memory.data(), nullptr, dy.memory.data(),
        dx.memory.data()};
    run_ok(kernel_unit_back(&a, nullptr));
    expect_activation("dx", dx, back, 1e-6 * most, 1e-6);
    a.dx = dy.memory.data();
    run_ok(kernel_unit_back(&a, nullptr));
    expect_activation("in place", dy, back, 1e-6 * most, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, dx.memory);
    return bytes;
}

static void units_back(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
        for (double factor : {1.0, 1e-9, 1e18}) {
            in_any_order([&] { return check_unit_back(dtype, 13, 16, 3, factor); });
            in_any_order([&] { return check_unit_back(dtype, 7, 7, 1, factor); });
            in_any_order([&] { return check_unit_back(dtype, 40, 40, 9, factor); });
        }
}

struct Case {
    int batch, channels, height, width, pitch, groups;
};

/* one channel of 8, odd sizes, more channels than a block has threads for, one element, many positions */
static const Case cases[] = {{3, 6, 3, 5, 8, 3},   {2, 1, 4, 1, 8, 1},        {3, 35, 7, 3, 40, 5},
                             {2, 7, 5, 5, 7, 7},   {2, 1200, 1, 2, 1200, 10}, {1, 2100, 1, 2, 2104, 2},
                             {2, 4, 40, 33, 8, 2}, {1, 24, 11, 9, 24, 1}};

static struct kernel_moments_args args_of(const Case &c, Activation &x)
{
    struct kernel_moments_args a = {};
    a.dtype = x.dtype;
    a.batch = c.batch;
    a.area = (int64_t)c.height * c.width;
    a.channels = c.channels;
    a.pitch = c.pitch;
    a.groups = c.groups;
    a.x = x.memory.data();
    return a;
}

/* A sample of zeros and a constant channel, an outlier far from the rest, and, where `shift` says, all of it far from 0. */
static std::vector<double> uneven_values(Activation &x, double shift)
{
    std::vector<double> values = random_values(x.logical(), 1, x.dtype);
    size_t area = (size_t)(x.height * x.width), each = values.size() / (size_t)x.batch;
    for (size_t i = 0; i < values.size(); i++) {
        size_t sample = i / each, channel = i / area % (size_t)x.channels;
        if (x.batch > 1 && sample == 1) values[i] = 0;
        if (sample == 0 && channel == 2) values[i] = 0.3;
        if (channel == 3 && i % area == 0) values[i] = 1e4;
        values[i] = as_dtype(x.dtype, values[i] + shift);
    }
    return values;
}

static std::vector<unsigned char> check_moments(const Case &c, enum dtype dtype, bool energy, double shift)
{
    Activation x(dtype, c.batch, c.channels, c.height, c.width, c.pitch),
        dx(dtype, c.batch, c.channels, c.height, c.width, c.pitch);
    int outs = energy ? c.groups : c.channels;
    size_t count = (size_t)c.batch * (size_t)outs;
    std::vector<double> values = uneven_values(x, shift), y(count), dy = random_values(count, 2), back(x.logical());
    struct op_desc desc = describe(energy ? OP_ENERGY : OP_DEVIATION);
    desc.arg[0] = x.tensor();
    desc.arg[1] = tensor_make2(DTYPE_F64, c.batch, outs);
    reference(desc, {values.data(), y.data()});
    desc.kind = energy ? OP_ENERGY_BACK : OP_DEVIATION_BACK;
    reference(desc, {values.data(), dy.data(), back.data()});
    x.put(values);
    Buffer<float> y_buffer(count), dy_buffer(floats(dy));
    struct kernel_moments_args a = args_of(c, x);
    a.y = y_buffer.data();
    a.dy = dy_buffer.data();
    a.dx = dx.memory.data();
    run_ok(energy ? kernel_energy(&a, nullptr) : kernel_deviation(&a, nullptr));
    expect_all_near("y", y_buffer, y, 0, 2e-7);
    run_ok(energy ? kernel_energy_back(&a, nullptr) : kernel_deviation_back(&a, nullptr));
    expect_activation("dx", dx, back, 1e-12, 1e-6);
    x.memory.check();
    std::vector<unsigned char> bytes;
    append(bytes, y_buffer);
    append(bytes, dx.memory);
    return bytes;
}

static void energies(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16}) in_any_order([&] { return check_moments(c, dtype, true, 0); });
}

static void deviations(void **)
{
    for (const Case &c : cases)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            for (double shift : {0.0, 1000.0}) in_any_order([&] { return check_moments(c, dtype, false, shift); });
}

/* What is not a number is seen. */
static void not_a_number(void **)
{
    Activation x(DTYPE_F32, 1, 8, 3, 3, 8);
    std::vector<double> values = random_values(x.logical(), 1);
    values[3] = NAN; /* channel 0 */
    x.put(values);
    Buffer<float> y(8);
    Case c = {1, 8, 3, 3, 8, 8};
    struct kernel_moments_args a = args_of(c, x);
    a.y = y.data();
    run_ok(kernel_energy(&a, nullptr));
    assert_true(std::isnan(y[0]) && !std::isnan(y[1]));
    run_ok(kernel_deviation(&a, nullptr));
    assert_true(std::isnan(y[0]) && !std::isnan(y[1]));
}

static void refuses(void **)
{
    Activation x(DTYPE_F32, 1, 8, 3, 3, 8);
    Case c = {1, 8, 3, 3, 8, 3};
    struct kernel_moments_args a = args_of(c, x);
    assert_int_equal(kernel_energy(&a, nullptr), KERNEL_REFUSED); /* groups that do not divide */
    a.area = 1;
    assert_int_equal(kernel_deviation(&a, nullptr), KERNEL_REFUSED);
    a.area = 9;
    a.channels = a.pitch = 20000; /* more sums than shared memory holds */
    assert_int_equal(kernel_deviation(&a, nullptr), KERNEL_REFUSED);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(additions),    cmocka_unit_test(units_back),
                                       cmocka_unit_test(energies),     cmocka_unit_test(deviations),
                                       cmocka_unit_test(not_a_number), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
