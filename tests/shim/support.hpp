/* What the tests of the kernels share: buffers with guards, activations in the kernels' layout, the reference backend in
 * double as the truth, and running every kernel under several orders of threads, which must give the same bytes.
 *
 * A buffer ends at a page that cannot be touched and has guard bytes before it (and, up to 15, behind it); outputs start
 * as not-a-number. */
#ifndef TESTS_SHIM_SUPPORT_H
#define TESTS_SHIM_SUPPORT_H

#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/shim/shim.h"

extern "C" {
#include "backend/ref/ref.h"
#include "base/philox.h"
#include <cmocka.h>
}

enum { GUARD = 256 };

/* Device memory of one argument: elements of T. */
template <typename T> class Buffer
{
  public:
    explicit Buffer(size_t count) : count_(count), bytes_((count * sizeof(T) + 15) / 16 * 16)
    {
        size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        size_ = (bytes_ + GUARD + page - 1) / page * page + page;
        void *at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(at != MAP_FAILED);
        base_ = static_cast<unsigned char *>(at);
        assert_int_equal(mprotect(base_ + size_ - page, page, PROT_NONE), 0);
        start_ = base_ + size_ - page - bytes_;
        memset(base_, 0xa5, static_cast<size_t>(start_ - base_));
        memset(start_, 0xa5, bytes_);
        memset(start_, 0xff, count * sizeof(T));
    }
    explicit Buffer(const std::vector<T> &from) : Buffer(from.size())
    {
        if (!from.empty()) memcpy(start_, from.data(), from.size() * sizeof(T));
    }
    Buffer(const Buffer &) = delete;
    ~Buffer()
    {
        munmap(base_, size_);
    }
    T *data()
    {
        return reinterpret_cast<T *>(start_);
    }
    T &operator[](size_t i)
    {
        return data()[i];
    }
    size_t size() const
    {
        return count_;
    }
    std::vector<T> values()
    {
        return std::vector<T>(data(), data() + count_);
    }
    void check()
    {
        for (unsigned char *g = base_; g < start_ + bytes_; g = g + 1 == start_ ? start_ + count_ * sizeof(T) : g + 1)
            if (*g != 0xa5) fail_msg("a kernel wrote outside of a buffer of %zu elements, at byte %td", count_, g - start_);
    }

  private:
    size_t count_, bytes_, size_;
    unsigned char *base_, *start_;
};

/* ---- numbers ---- */

static inline double as_dtype(enum dtype dtype, double v)
{
    return dtype == DTYPE_BF16 ? bf16_wide(bf16_near((float)v)) : (float)v;
}

/* Numbers that dtype holds, in [-2, 2); with ties: small whole numbers. */
static inline std::vector<double> random_values(size_t count, uint32_t seed, enum dtype dtype = DTYPE_F32, bool ties = false)
{
    struct rng rng;
    std::vector<double> out(count);
    rng_open(&rng, 77, RNG_TEST, seed, 0);
    for (double &v : out) v = ties ? (double)rng_below(&rng, 5) - 2 : as_dtype(dtype, 4 * rng_uniform(&rng) - 2);
    return out;
}

static inline std::vector<float> floats(const std::vector<double> &from)
{
    return std::vector<float>(from.begin(), from.end());
}

static inline void expect_near(const char *what, double got, double want, double absolute, double relative, size_t at = 0)
{
    if (std::isnan(want) && std::isnan(got)) return;
    if (!(std::fabs(got - want) <= absolute + relative * std::fabs(want)))
        fail_msg("%s, element %zu: %.9g, should be %.9g (+- %.3g)", what, at, got, want,
                 absolute + relative * std::fabs(want));
}

template <typename T>
static inline void expect_all_near(const char *what, Buffer<T> &got, const std::vector<double> &want, double absolute,
                                   double relative)
{
    assert_int_equal(got.size(), want.size());
    got.check();
    for (size_t i = 0; i < want.size(); i++) expect_near(what, (double)got[i], want[i], absolute, relative, i);
}

/* ---- activations ---- */

/* (batch, channels, height, width) in double, in the order of the reference backend, and as the kernels want it. */
struct Activation {
    enum dtype dtype;
    int batch, channels, height, width, pitch;
    Buffer<unsigned char> memory;

    Activation(enum dtype dtype_, int batch_, int channels_, int height_, int width_, int pitch_)
        : dtype(dtype_), batch(batch_), channels(channels_), height(height_), width(width_), pitch(pitch_),
          memory((size_t)batch_ * (size_t)height_ * (size_t)width_ * (size_t)pitch_ * dtype_bytes(dtype_))
    {
    }
    size_t logical() const
    {
        return (size_t)batch * (size_t)channels * (size_t)height * (size_t)width;
    }
    size_t place(size_t b, size_t c, size_t i) const
    {
        return (b * (size_t)height * (size_t)width + i) * (size_t)pitch + c;
    }
    double get(size_t at)
    {
        if (dtype == DTYPE_BF16) return bf16_wide(reinterpret_cast<uint16_t *>(memory.data())[at]);
        return reinterpret_cast<float *>(memory.data())[at];
    }
    void set(size_t at, double v)
    {
        if (dtype == DTYPE_BF16)
            reinterpret_cast<uint16_t *>(memory.data())[at] = bf16_near((float)v);
        else
            reinterpret_cast<float *>(memory.data())[at] = (float)v;
    }
    void put(const std::vector<double> &values)
    {
        size_t area = (size_t)height * (size_t)width, at = 0;
        assert_int_equal(values.size(), logical());
        for (size_t b = 0; b < (size_t)batch; b++) {
            for (size_t c = 0; c < (size_t)channels; c++)
                for (size_t i = 0; i < area; i++) set(place(b, c, i), values[at++]);
            for (size_t c = (size_t)channels; c < (size_t)pitch; c++)
                for (size_t i = 0; i < area; i++) set(place(b, c, i), 0);
        }
    }
    /* Padding must be 0. */
    std::vector<double> take()
    {
        std::vector<double> out;
        size_t area = (size_t)height * (size_t)width;
        memory.check();
        for (size_t b = 0; b < (size_t)batch; b++) {
            for (size_t c = 0; c < (size_t)channels; c++)
                for (size_t i = 0; i < area; i++) out.push_back(get(place(b, c, i)));
            for (size_t c = (size_t)channels; c < (size_t)pitch; c++)
                for (size_t i = 0; i < area; i++)
                    if (get(place(b, c, i)) != 0) fail_msg("padding channel %zu of sample %zu is not 0", c, b);
        }
        return out;
    }
    struct tensor tensor() const
    {
        return tensor_make4(DTYPE_F64, batch, channels, height, width);
    }
};

/* got as dtype rounds it: half a unit of the last place beside absolute. */
static inline void expect_activation(const char *what, Activation &got, const std::vector<double> &want, double absolute,
                                     double relative)
{
    std::vector<double> values = got.take();
    assert_int_equal(values.size(), want.size());
    if (got.dtype == DTYPE_BF16) relative += 1.0 / 256;
    for (size_t i = 0; i < want.size(); i++) expect_near(what, values[i], want[i], absolute, relative, i);
}

/* ---- running ---- */

/* Runs the kernel, whose launcher's status f returns, and fails the test with the shim's message. */
static inline void run_ok(int status)
{
    if (status != KERNEL_OK) fail_msg("status %d: %s", status, shim_error());
}

/* run(seed) sets everything up, runs, checks and returns the outputs' bytes; they must not depend on the order. */
static inline void in_any_order(const std::function<std::vector<unsigned char>()> &run)
{
    std::vector<unsigned char> first;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        shim_seed(seed);
        std::vector<unsigned char> bytes = run();
        if (seed == 1) first = bytes;
        assert_int_equal(bytes.size(), first.size());
        if (bytes != first) fail_msg("another order of threads gives other bytes");
    }
}

template <typename T> static inline void append(std::vector<unsigned char> &to, Buffer<T> &from)
{
    unsigned char *at = reinterpret_cast<unsigned char *>(from.data());
    to.insert(to.end(), at, at + from.size() * sizeof(T));
}

/* The reference in double. */
static inline void reference(const struct op_desc &desc, std::vector<void *> args)
{
    std::vector<double> work(ref_work(&desc) + 1);
    args.resize(OP_ARGS, nullptr);
    ref_f64[desc.kind](&desc, args.data(), work.data());
}

static inline struct op_desc describe(enum op_kind kind)
{
    struct op_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.kind = kind;
    desc.slices = 1;
    return desc;
}

static inline struct tensor vector_of(int64_t n)
{
    return tensor_make1(DTYPE_F64, n);
}

#endif
