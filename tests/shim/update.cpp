/* adamw, sgd, their packed copies, retract, clamp and grad_norm against the reference. */
#include "support.hpp"

/* One tensor of shape (outer, channels, area), its reference and its buffers. */
struct Tensor {
    size_t outer, channels, area, pitch, count;
    bool packed; /* the gradient lies as the copy does */
    enum dtype copy_dtype;
    float lr_factor, decay;
    std::vector<double> p, g, m, v;
    Buffer<float> p_buffer, m_buffer, v_buffer, g_buffer;
    Buffer<unsigned char> copy;

    Tensor(size_t outer_, size_t channels_, size_t area_, size_t pitch_, bool packed_, enum dtype copy_dtype_,
           float lr_factor_, float decay_, uint32_t seed)
        : outer(outer_), channels(channels_), area(area_), pitch(pitch_),
          count(outer_ * channels_ * (area_ ? area_ : 1)), packed(packed_), copy_dtype(copy_dtype_),
          lr_factor(lr_factor_), decay(decay_), p(random_values(count, seed)), g(random_values(count, seed + 1)),
          m(random_values(count, seed + 2)), v(random_values(count, seed + 3)), p_buffer(floats(p)),
          m_buffer(floats(m)), v_buffer(squares()), g_buffer(gradient()), copy(copied() * dtype_bytes(copy_dtype_))
    {
    }
    std::vector<float> squares()
    {
        for (double &x : v) x = (float)(x * x + 0.05); /* steps of size 1 */
        return floats(v);
    }
    size_t copied() const
    {
        return area ? outer * area * pitch : count;
    }
    size_t place(size_t i) const
    {
        return area ? (i / area / channels * area + i % area) * pitch + i / area % channels : i;
    }
    std::vector<float> gradient() const
    {
        if (!packed) return floats(g);
        std::vector<float> out(copied(), NAN); /* padding is not read */
        for (size_t i = 0; i < count; i++) out[place(i)] = (float)g[i];
        return out;
    }
    struct kernel_param param()
    {
        if (copy.size()) memset(copy.data(), 0, copy.size());
        struct kernel_param out = {};
        out.p = p_buffer.data();
        out.g = g_buffer.data();
        out.m = m_buffer.data();
        out.v = v_buffer.data();
        out.copy = pitch ? copy.data() : nullptr;
        out.copy_dtype = copy_dtype;
        out.g_packed = packed;
        out.count = (int64_t)count;
        out.channels = (int)channels;
        out.area = (int)area;
        out.pitch = (int)pitch;
        out.lr_factor = lr_factor;
        out.decay = decay;
        return out;
    }
    double copy_at(size_t i)
    {
        if (copy_dtype == DTYPE_BF16) return bf16_wide(reinterpret_cast<uint16_t *>(copy.data())[place(i)]);
        return reinterpret_cast<float *>(copy.data())[place(i)];
    }
    void check_copy()
    {
        copy.check();
        for (size_t i = 0; pitch && i < count; i++)
            if (copy_at(i) != as_dtype(copy_dtype, p_buffer[i]))
                fail_msg("the copy of element %zu is not rounded p", i);
    }
};

static void reference_step(Tensor &t, bool adamw, bool momentum, bool nesterov, std::vector<double> hyper,
                           std::vector<double> norm)
{
    struct op_desc desc = describe(adamw ? OP_ADAMW : OP_SGD);
    desc.arg[0] = vector_of((int64_t)t.count);
    if (adamw) {
        desc.attr.adamw.lr_factor = t.lr_factor;
        desc.attr.adamw.decay = t.decay;
        desc.attr.adamw.beta1 = 0.9;
        desc.attr.adamw.beta2 = 0.999;
        desc.attr.adamw.eps = 1e-8;
        reference(desc, {t.p.data(), t.g.data(), t.m.data(), t.v.data(), hyper.data(), norm.data()});
    } else {
        desc.attr.sgd.lr_factor = t.lr_factor;
        desc.attr.sgd.decay = t.decay;
        desc.attr.sgd.momentum = momentum ? 0.9 : 0;
        desc.attr.sgd.nesterov = nesterov;
        reference(desc, {t.p.data(), t.g.data(), momentum ? t.m.data() : nullptr, hyper.data(), norm.data()});
    }
}

static std::vector<unsigned char> check_update(bool adamw, bool momentum, bool nesterov, bool latched)
{
    /* plain, odd, packed 3 x 3 with padded channels, packed gradient, one element, no copy, f32 copy */
    Tensor tensors[] = {
        {1, 5000, 0, 1, false, DTYPE_BF16, 1, 0.01f, 10}, {3, 37, 0, 1, false, DTYPE_F32, 0.5f, 0, 20},
        {6, 3, 9, 8, false, DTYPE_BF16, 1, 0.1f, 30},     {5, 10, 4, 16, true, DTYPE_F32, 2, 0, 40},
        {1, 1, 0, 0, false, DTYPE_F32, 1, 0, 50},         {2, 2048, 0, 0, false, DTYPE_F32, 1, 0.02f, 60}};
    std::vector<double> hyper = {0.01, 1 - 0.9 * 0.9, 1 - 0.999 * 0.999, 2}, norm = {1, 1, 0.7, latched ? 3.0 : 0.0};
    Buffer<double> hyper_buffer(hyper), norm_buffer(norm);
    std::vector<struct kernel_param> params;
    for (int repeat = 0; repeat < 1; repeat++)
        for (Tensor &t : tensors) {
            params.push_back(t.param());
            if (!adamw) params.back().v = nullptr;
            if (!momentum) params.back().m = nullptr;
        }
    std::vector<float> before = tensors[0].p_buffer.values();
    struct kernel_update_args a = {
        (int)params.size(), params.data(), hyper_buffer.data(), norm_buffer.data(), 0.9, 0.999, 1e-8, 0.9, nesterov};
    run_ok(adamw ? kernel_adamw(&a, nullptr) : kernel_sgd(&a, nullptr));
    std::vector<unsigned char> bytes;
    for (Tensor &t : tensors) {
        reference_step(t, adamw, momentum, nesterov, hyper, norm);
        expect_all_near("p", t.p_buffer, t.p, 1e-6, 1e-6);
        expect_all_near("m", t.m_buffer, t.m, 1e-6, 1e-6);
        expect_all_near("v", t.v_buffer, t.v, 1e-6, 1e-6);
        t.g_buffer.check();
        if (!latched) t.check_copy();
        append(bytes, t.p_buffer);
        append(bytes, t.copy);
    }
    assert_true((tensors[0].p_buffer.values() == before) == latched);
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

/* More tensors than one launch takes; copies alone. */
static void many_copies(void **)
{
    std::vector<Tensor *> tensors;
    std::vector<struct kernel_param> params;
    for (uint32_t i = 0; i < 95; i++) {
        tensors.push_back(new Tensor(2, 3 + i % 5, i % 3 * 4, 8, false, i % 2 ? DTYPE_F32 : DTYPE_BF16, 1, 0, i));
        params.push_back(tensors.back()->param());
    }
    struct kernel_update_args a = {95, params.data(), nullptr, nullptr, 0, 0, 0, 0, 0};
    run_ok(kernel_copies(&a, nullptr));
    for (Tensor *t : tensors) {
        t->check_copy();
        expect_all_near("p", t->p_buffer, t->p, 0, 0);
        delete t;
    }
}

static void retracts(void **)
{
    for (int width : {1, 7, 130, 512})
        for (double latch : {0.0, 5.0}) {
            size_t w = (size_t)width;
            std::vector<double> p = random_values(5 * w, 1), norm = {0, 0, 1, latch};
            for (size_t i = 2 * w; i < 3 * w; i++) p[i] = 0; /* a zero row stays */
            Buffer<float> buffer(floats(p));
            Buffer<uint16_t> copy(5 * w);
            Buffer<double> norm_buffer(norm);
            struct kernel_retract_args a = {buffer.data(), copy.data(), DTYPE_BF16, 5, width, norm_buffer.data()};
            run_ok(kernel_retract(&a, nullptr));
            struct op_desc desc = describe(OP_RETRACT);
            desc.arg[0] = tensor_make2(DTYPE_F64, 5, width);
            reference(desc, {p.data(), norm.data()});
            expect_all_near("p", buffer, p, 0, 1e-7);
            copy.check();
            for (size_t i = 0; latch == 0 && i < 5 * w; i++) assert_true(copy[i] == bf16_near(buffer[i]));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(adamw),       cmocka_unit_test(sgd),
                                       cmocka_unit_test(many_copies), cmocka_unit_test(retracts),
                                       cmocka_unit_test(clamps),      cmocka_unit_test(grad_norms)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
