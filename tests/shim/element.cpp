/* act, act_back, bias, bias_grad, unit, reorder and tick. */
#include "support.hpp"

static std::vector<unsigned char> check_act(enum dtype dtype, enum act act, int count)
{
    Activation x(dtype, 1, count, 1, 1, count), y(dtype, 1, count, 1, 1, count), dy(dtype, 1, count, 1, 1, count);
    size_t n = (size_t)count;
    std::vector<double> values = random_values(n, 1, dtype), slopes = random_values(n, 2, dtype), out(n), back(n);
    struct op_desc desc = describe(OP_ACT);
    desc.attr.act.act = act;
    desc.arg[0] = x.tensor();
    reference(desc, {values.data(), out.data()});
    desc.kind = OP_ACT_BACK;
    reference(desc, {values.data(), slopes.data(), back.data()});
    x.put(values);
    dy.put(slopes);
    struct kernel_act_args a = {dtype, act, count, x.memory.data(), y.memory.data(), nullptr};
    run_ok(kernel_act(&a, nullptr));
    expect_activation("y", y, out, 0, 1e-7);
    a.y = dy.memory.data(); /* in place */
    a.dy = dy.memory.data();
    run_ok(kernel_act_back(&a, nullptr));
    expect_activation("dx", dy, back, 0, 1e-7);
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    append(bytes, dy.memory);
    return bytes;
}

static void activations(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
        for (int act = 0; act < ACT_COUNT; act++)
            for (int count : {1, 7, 8, 1024, 2059})
                in_any_order([&] { return check_act(dtype, (enum act)act, count); });
}

static std::vector<unsigned char> check_bias(enum dtype dtype, int rows, int channels, int pitch)
{
    Activation y(dtype, rows, channels, 1, 1, pitch);
    size_t n = (size_t)channels;
    std::vector<double> values = random_values(y.logical(), 1, dtype), bias = random_values(n, 2), sums(n, 0.0), out;
    for (size_t i = 0; i < values.size(); i++) {
        sums[i % n] += values[i];
        out.push_back(std::fmax(0, values[i] + bias[i % n]));
    }
    Buffer<float> b(floats(bias)), db(n);
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    y.put(values);
    struct kernel_bias_args a = {};
    a.dtype = dtype;
    a.act = ACT_RELU;
    a.rows = rows;
    a.channels = channels;
    a.pitch = pitch;
    a.y = y.memory.data();
    a.dy = y.memory.data();
    a.bias = b.data();
    a.dbias = db.data();
    a.tickets = tickets.data();
    Buffer<unsigned char> workspace(kernel_bias_grad_workspace(&a));
    a.workspace = workspace.data();
    run_ok(kernel_bias_grad(&a, nullptr));
    workspace.check();
    expect_all_near("dbias", db, sums, 1e-6 * rows, 1e-6);
    run_ok(kernel_bias(&a, nullptr));
    expect_activation("y", y, out, 1e-6, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, db);
    append(bytes, y.memory);
    return bytes;
}

static void biases(void **)
{
    static const int sizes[][3] = {{5, 8, 8}, {1, 3, 3}, {300, 70, 72}, {1000, 10, 16}, {40, 33, 33}};
    for (const int(&s)[3] : sizes)
        for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
            in_any_order([&] { return check_bias(dtype, s[0], s[1], s[2]); });
}

static std::vector<unsigned char> check_unit(enum dtype dtype, int channels, int pitch, int side, double factor)
{
    Activation x(dtype, 5, channels, side, side, pitch), y(dtype, 5, channels, side, side, pitch);
    std::vector<double> values = random_values(x.logical(), 1, dtype), out(x.logical());
    size_t each = values.size() / 5;
    for (size_t i = 0; i < values.size(); i++) values[i] = i / each == 3 ? 0 : as_dtype(dtype, values[i] * factor);
    struct op_desc desc = describe(OP_UNIT);
    desc.arg[0] = x.tensor();
    reference(desc, {values.data(), out.data()});
    x.put(values);
    struct kernel_unit_args a = {
        dtype, 5, (int64_t)side * side * pitch, (int64_t)each, x.memory.data(), y.memory.data(), nullptr, nullptr};
    run_ok(kernel_unit(&a, nullptr));
    expect_activation("y", y, out, 0, 1e-6);
    a.y = x.memory.data();
    run_ok(kernel_unit(&a, nullptr));
    expect_activation("in place", x, out, 0, 1e-6);
    std::vector<unsigned char> bytes;
    append(bytes, y.memory);
    return bytes;
}

static void units(void **)
{
    for (enum dtype dtype : {DTYPE_F32, DTYPE_BF16})
        for (double factor : {1.0, 1e-9, 1e18}) {
            in_any_order([&] { return check_unit(dtype, 13, 16, 3, factor); });
            in_any_order([&] { return check_unit(dtype, 7, 7, 1, factor); });
            in_any_order([&] { return check_unit(dtype, 40, 40, 9, factor); });
        }
}

/* src and dst each planes (pitch 0) or channels last. */
static void check_reorder(enum dtype from, enum dtype to, int batch, int channels, int area, int src_pitch,
                          int dst_pitch)
{
    auto stored = [&](int pitch) { return pitch ? pitch : channels; };
    auto place = [&](int pitch, int b, int c, int i) {
        return pitch ? ((size_t)b * (size_t)area + (size_t)i) * (size_t)pitch + (size_t)c
                     : ((size_t)b * (size_t)channels + (size_t)c) * (size_t)area + (size_t)i;
    };
    Activation src(from, batch, stored(src_pitch) * area, 1, 1, stored(src_pitch) * area);
    Activation dst(to, batch, stored(dst_pitch) * area, 1, 1, stored(dst_pitch) * area);
    src.put(random_values(src.logical(), 3, from));
    struct kernel_reorder_args a = {src.memory.data(), dst.memory.data(), from, to, batch, channels, area,
                                    src_pitch,         dst_pitch};
    run_ok(kernel_reorder(&a, nullptr));
    dst.memory.check();
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < area; i++)
            for (int c = 0; c < stored(dst_pitch); c++) {
                double want = c < channels ? as_dtype(to, src.get(place(src_pitch, b, c, i))) : 0;
                if (dst.get(place(dst_pitch, b, c, i)) != want) fail_msg("sample %d, channel %d, position %d", b, c, i);
            }
}

static void reorders(void **)
{
    static const int sizes[][3] = {{2, 3, 35},  {2, 40, 49}, {3, 33, 16}, {5, 9, 1},   {2, 64, 4}, {1, 16, 100},
                                   {4, 300, 9}, {2, 256, 9}, {3, 520, 4}, {3, 31, 15}, {2, 17, 2}, {1, 1, 2051}};
    for (const int(&s)[3] : sizes)
        for (enum dtype from : {DTYPE_F32, DTYPE_BF16})
            for (enum dtype to : {DTYPE_F32, DTYPE_BF16})
                for (int src : {0, (s[1] + 7) / 8 * 8})
                    for (int dst : {0, s[1], (s[1] + 7) / 8 * 8}) check_reorder(from, to, s[0], s[1], s[2], src, dst);
}

/* Moves of all ways and types in one call: the bytes of one call for each. */
static std::vector<unsigned char> check_many(size_t first)
{
    static const struct {
        int batch, channels, area, src_pitch, dst_pitch;
    } moves[] = {{2, 40, 49, 0, 40}, {4, 300, 9, 0, 304}, {3, 33, 1, 0, 40}, {1, 1, 2051, 0, 0}, {2, 64, 4, 64, 0},
                 {5, 9, 4, 16, 0},   {2, 256, 9, 0, 256}, {3, 17, 2, 24, 0}, {2, 16, 20, 16, 0}};
    std::vector<Activation *> src, one, many;
    std::vector<struct kernel_reorder_args> args;
    for (size_t i = 0; i < 8; i++) {
        const auto &m = moves[(first + i) % (sizeof moves / sizeof moves[0])];
        enum dtype from = (first + i) % 2 ? DTYPE_F32 : DTYPE_BF16, to = (first + i) % 3 ? DTYPE_BF16 : DTYPE_F32;
        int read = m.area * (m.src_pitch ? m.src_pitch : m.channels),
            written = m.area * (m.dst_pitch ? m.dst_pitch : m.channels);
        src.push_back(new Activation(from, m.batch, read, 1, 1, read));
        one.push_back(new Activation(to, m.batch, written, 1, 1, written));
        many.push_back(new Activation(to, m.batch, written, 1, 1, written));
        src.back()->put(random_values(src.back()->logical(), (uint32_t)i, from));
        args.push_back({src[i]->memory.data(), one[i]->memory.data(), from, to, m.batch, m.channels, m.area,
                        m.src_pitch, m.dst_pitch});
        run_ok(kernel_reorder(&args[i], nullptr));
        args[i].dst = many[i]->memory.data();
    }
    run_ok(kernel_reorders(args.data(), 8, nullptr));
    assert_int_equal(kernel_reorders(args.data(), 9, nullptr), KERNEL_REFUSED);
    std::vector<unsigned char> bytes;
    for (size_t i = 0; i < 8; i++) {
        many[i]->memory.check();
        assert_memory_equal(many[i]->memory.data(), one[i]->memory.data(), one[i]->memory.size());
        append(bytes, many[i]->memory);
        delete src[i];
        delete one[i];
        delete many[i];
    }
    return bytes;
}

static void many_at_once(void **)
{
    for (size_t first = 0; first < 9; first++) in_any_order([&] { return check_many(first); });
}

/* The same order, where nothing lies on 16 bytes. */
static void copies_anywhere(void **)
{
    for (int64_t count : {1, 8, 999}) {
        Buffer<float> src(floats(random_values((size_t)count + 1, 5)));
        Buffer<uint16_t> dst((size_t)count + 1);
        dst[0] = 7;
        struct kernel_reorder_args a = {src.data() + 1, dst.data() + 1, DTYPE_F32, DTYPE_BF16, 1, 1, count, 0, 0};
        run_ok(kernel_reorder(&a, nullptr));
        dst.check();
        assert_int_equal(dst[0], 7);
        for (size_t i = 1; i <= (size_t)count; i++) assert_int_equal(dst[i], bf16_near(src[i]));
    }
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(activations),  cmocka_unit_test(biases),
                                       cmocka_unit_test(units),        cmocka_unit_test(reorders),
                                       cmocka_unit_test(many_at_once), cmocka_unit_test(copies_anywhere)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
