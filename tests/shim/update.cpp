/* adamw, sgd, retract, clamp and grad_norm against the reference. */
#include "support.hpp"

/* A part of a stage's parameters, its reference and its buffers. */
struct Part {
    size_t count;
    float lr_factor, decay;
    std::vector<double> p, g, m, v;
    Buffer<float> p_buffer, m_buffer, v_buffer, g_buffer;

    Part(size_t count_, float lr_factor_, float decay_, uint32_t seed)
        : count(count_), lr_factor(lr_factor_), decay(decay_), p(random_values(count, seed)),
          g(random_values(count, seed + 1)), m(random_values(count, seed + 2)), v(random_values(count, seed + 3)),
          p_buffer(floats(p)), m_buffer(floats(m)), v_buffer(squares()), g_buffer(floats(g))
    {
    }
    std::vector<float> squares()
    {
        for (double &x : v) x = (float)(x * x + 0.05); /* steps of size 1 */
        return floats(v);
    }
    /* off 1: not on 16 bytes, without the first element */
    struct kernel_param param(size_t off)
    {
        return {p_buffer.data() + off,
                g_buffer.data() + off,
                m_buffer.data() + off,
                v_buffer.data() + off,
                (int64_t)(count - off),
                lr_factor,
                decay};
    }
};

static void reference_step(Part &t, size_t off, bool adamw, bool momentum, bool nesterov, std::vector<double> hyper,
                           std::vector<double> norm)
{
    struct op_desc desc = describe(adamw ? OP_ADAMW : OP_SGD);
    desc.arg[0] = vector_of((int64_t)t.count);
    struct update_parts parts = {1, {{(int64_t)off, (int64_t)(t.count - off), t.lr_factor, t.decay}}};
    if (adamw) {
        desc.attr.adamw.parts = parts;
        desc.attr.adamw.beta1 = 0.9;
        desc.attr.adamw.beta2 = 0.999;
        desc.attr.adamw.eps = 1e-8;
        reference(desc, {t.p.data(), t.g.data(), t.m.data(), t.v.data(), hyper.data(), norm.data()});
    } else {
        desc.attr.sgd.parts = parts;
        desc.attr.sgd.momentum = momentum ? 0.9 : 0;
        desc.attr.sgd.nesterov = nesterov;
        reference(desc, {t.p.data(), t.g.data(), momentum ? t.m.data() : nullptr, hyper.data(), norm.data()});
    }
}

static std::vector<unsigned char> check_update(bool adamw, bool momentum, bool nesterov, bool latched)
{
    Part parts[] = {{5000, 1, 0.01f, 10}, {111, 0.5f, 0, 20}, {162, 1, 0.1f, 30},
                    {200, 2, 0, 40},      {1, 1, 0, 50},      {4096, 1, 0.02f, 60}};
    static const size_t off[] = {0, 0, 0, 1, 0, 0};
    std::vector<double> hyper = {0.01, 1 - 0.9 * 0.9, 1 - 0.999 * 0.999, 2}, norm = {1, 1, 0.7, latched ? 3.0 : 0.0};
    Buffer<double> hyper_buffer(hyper), norm_buffer(norm);
    std::vector<struct kernel_param> params;
    for (size_t i = 0; i < GRAD_GROUPS; i++) {
        params.push_back(parts[i].param(off[i]));
        if (!adamw) params.back().v = nullptr;
        if (!momentum) params.back().m = nullptr;
    }
    std::vector<float> before = parts[0].p_buffer.values();
    struct kernel_update_args a = {
        (int)params.size(), params.data(), hyper_buffer.data(), norm_buffer.data(), 0.9, 0.999, 1e-8, 0.9, nesterov};
    run_ok(adamw ? kernel_adamw(&a, nullptr) : kernel_sgd(&a, nullptr));
    std::vector<unsigned char> bytes;
    for (size_t i = 0; i < GRAD_GROUPS; i++) {
        Part &t = parts[i];
        reference_step(t, off[i], adamw, momentum, nesterov, hyper, norm);
        expect_all_near("p", t.p_buffer, t.p, 1e-6, 1e-6);
        expect_all_near("m", t.m_buffer, t.m, 1e-6, 1e-6);
        expect_all_near("v", t.v_buffer, t.v, 1e-6, 1e-6);
        t.g_buffer.check();
        append(bytes, t.p_buffer);
        append(bytes, t.m_buffer);
    }
    assert_true((parts[0].p_buffer.values() == before) == latched);
    return bytes;
}

static void adamw(void **)
{
    for (bool latched : {false, true}) in_any_order([&] { return check_update(true, true, false, latched); });
}

static void sgd(void **)
{
    in_any_order([] { return check_update(false, true, true, false); });
    in_any_order([] { return check_update(false, true, false, false); });
    in_any_order([] { return check_update(false, false, false, false); });
    in_any_order([] { return check_update(false, true, true, true); });
}

static void retracts(void **)
{
    for (int width : {1, 7, 130, 512})
        for (double latch : {0.0, 5.0}) {
            size_t w = (size_t)width;
            std::vector<double> p = random_values(5 * w, 1), norm = {0, 0, 1, latch};
            for (size_t i = 2 * w; i < 3 * w; i++) p[i] = 0; /* a zero row stays */
            Buffer<float> buffer(floats(p));
            Buffer<double> norm_buffer(norm);
            struct kernel_retract_args a = {buffer.data(), 5, width, norm_buffer.data()};
            run_ok(kernel_retract(&a, nullptr));
            struct op_desc desc = describe(OP_RETRACT);
            desc.arg[0] = tensor_make2(DTYPE_F64, 5, width);
            reference(desc, {p.data(), norm.data()});
            expect_all_near("p", buffer, p, 0, 1e-7);
        }
}

static void clamps(void **)
{
    std::vector<double> p = random_values(300, 1), norm = {0, 0, 1, 0};
    Buffer<float> buffer(floats(p));
    Buffer<double> norm_buffer(norm);
    struct kernel_clamp_args a = {buffer.data(), 300, -0.5, 1, norm_buffer.data()};
    run_ok(kernel_clamp(&a, nullptr));
    for (double &x : p) x = std::fmin(std::fmax(x, -0.5), 1);
    expect_all_near("p", buffer, p, 0, 0);
    norm_buffer[NORM_LATCH] = 1;
    buffer[0] = 9;
    run_ok(kernel_clamp(&a, nullptr));
    assert_true(buffer[0] == 9);
}

static std::vector<unsigned char> check_norm(double clip, double spoil, double latch)
{
    static const size_t counts[] = {5000, 1, 33, 4097, 260, 20000};
    std::vector<std::vector<double>> values;
    std::vector<Buffer<float> *> buffers;
    std::vector<struct kernel_grad> grads;
    struct op_desc desc = describe(OP_GRAD_NORM);
    desc.attr.grad_norm.clip = clip;
    std::vector<void *> args;
    for (uint32_t i = 0; i < 6; i++) {
        values.push_back(random_values(counts[i], i));
        if (i == 3) values[i][77] = (float)spoil;
        desc.arg[i] = vector_of((int64_t)counts[i]);
        buffers.push_back(new Buffer<float>(floats(values[i])));
        grads.push_back({buffers[i]->data(), (int64_t)counts[i]});
    }
    grads[4].g++, grads[4].count--; /* not on 16 bytes */
    values[4].erase(values[4].begin());
    desc.arg[4] = vector_of((int64_t)counts[4] - 1);
    std::vector<double> hyper = {0, 0, 0, 12}, norm = {0, 0, 0, latch};
    for (std::vector<double> &v : values) args.push_back(v.data());
    Buffer<double> hyper_buffer(hyper), norm_buffer(norm);
    args.push_back(hyper.data());
    args.push_back(norm.data());
    reference(desc, args);
    Buffer<unsigned> tickets(std::vector<unsigned>(KERNEL_TICKETS, 0));
    struct kernel_grad_norm_args a = {
        6, GRAD_GROUPS_BODY, grads.data(), clip, hyper_buffer.data(), norm_buffer.data(), nullptr, tickets.data()};
    Buffer<unsigned char> workspace(kernel_grad_norm_workspace(&a));
    a.workspace = workspace.data();
    run_ok(kernel_grad_norm(&a, nullptr));
    workspace.check();
    for (size_t i = 0; i < NORMS; i++)
        if (!(std::isinf(norm[i]) && norm_buffer[i] == norm[i]))
            expect_near("norm", norm_buffer[i], norm[i], 0, 1e-12, i);
    for (Buffer<float> *b : buffers) delete b;
    std::vector<unsigned char> bytes;
    append(bytes, norm_buffer);
    return bytes;
}

static void grad_norms(void **)
{
    in_any_order([] { return check_norm(0, 1, 0); });
    in_any_order([] { return check_norm(0.5, 1, 0); });
    in_any_order([] { return check_norm(1e9, 1e30, 0); });
    in_any_order([] { return check_norm(0.5, INFINITY, 0); });
    in_any_order([] { return check_norm(0.5, INFINITY, 4); });
    in_any_order([] { return check_norm(0.5, NAN, 0); });
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(adamw), cmocka_unit_test(sgd), cmocka_unit_test(retracts),
                                       cmocka_unit_test(clamps), cmocka_unit_test(grad_norms)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
