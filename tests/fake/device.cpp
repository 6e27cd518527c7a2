/* The device of device.h: queues, events, capture, the log. */
#include "device.h"

#include "math.hpp"

extern "C" {
#include "base/clock.h"
}
#include "kernels/shim/shim.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <vector>

/* What hangs on a kernel_stream. */
struct CUstream_st {
};

namespace
{

typedef std::map<int, long> clock_of; /* how much of each stream is behind one */

struct event {
    int number;
    long asked = 0, done = 0; /* records given to a stream; those reached */
    clock_of captured;        /* what a record inside a capture stands for */
    bool in_capture = false;
    double seconds = 0; /* when it was reached */
};

/* One piece of work; ready says whether it can begin. */
struct work {
    std::function<bool()> ready;
    std::function<int()> run;
};

struct queue : CUstream_st {
    int number = 0;
    std::deque<work> waiting;
    bool captured = false;
    clock_of clock;
};

struct graph {
    std::vector<std::function<int()>> run;
};

struct {
    std::vector<queue *> streams;
    std::map<char *, size_t> device, pinned;
    std::vector<fake_call> log;
    int stream_numbers, event_numbers;
    uint64_t random = 1;
    queue *capturing; /* where a capture began */
    graph *graph_made;
    double plan_seconds[FAKE_PLANS], seconds; /* that convolutions seem to take beyond their own; of all so far */
    int plan_runs[FAKE_PLANS], plan_fails[FAKE_PLANS];
    hff_status failed = HFF_OK; /* by work that was done later */
    char error[512];
} fake;

unsigned random_below(size_t n)
{
    fake.random ^= fake.random << 13;
    fake.random ^= fake.random >> 7;
    fake.random ^= fake.random << 17;
    return static_cast<unsigned>((fake.random >> 33) % n);
}

queue *queue_of(kernel_stream stream)
{
    return static_cast<queue *>(stream);
}

void note(fake_kind kind, const queue *stream = nullptr, const event *e = nullptr)
{
    fake.log.push_back({kind, stream ? stream->number : 0, e ? e->number : 0});
}

void failed(const char *what)
{
    if (fake.failed == HFF_OK) snprintf(fake.error, sizeof fake.error, "%s", what);
    fake.failed = HFF_E_DEVICE;
}

/* Gives work to a stream, or notes it down where that stream is being captured. */
void enqueue(queue *stream, std::function<int()> run)
{
    auto checked = [run] {
        int status = run();
        if (status != 0) failed(status == SHIM_FAILED ? shim_error() : "work on the device failed");
        return status;
    };
    if (stream->captured) {
        stream->clock[stream->number]++;
        fake.graph_made->run.push_back(checked);
        return;
    }
    stream->waiting.push_back({[] { return true; }, checked});
}

/* Works until stream (or every stream) is done. */
hff_status drain(queue *stream)
{
    for (;;) {
        std::vector<queue *> ready;
        bool left = false;
        for (queue *q : fake.streams)
            if (!q->waiting.empty()) {
                left |= !stream || q == stream;
                if (q->waiting.front().ready()) ready.push_back(q);
            }
        if (!left) break;
        if (ready.empty()) return fail(HFF_E_DEVICE, "the streams wait for each other");
        queue *next = ready[random_below(ready.size())];
        work now = next->waiting.front();
        next->waiting.pop_front();
        now.run();
    }
    if (fake.failed == HFF_OK) return HFF_OK;
    fake.failed = HFF_OK;
    return fail(HFF_E_DEVICE, "%s", fake.error);
}

bool inside(const std::map<char *, size_t> &memory, const void *at, size_t bytes)
{
    char *p = static_cast<char *>(const_cast<void *>(at));
    auto next = memory.upper_bound(p);
    if (next == memory.begin()) return false;
    --next;
    return p + bytes <= next->first + next->second;
}

hff_status find(cuda_device *out)
{
    *out = {};
    snprintf(out->name, sizeof out->name, "a device played on the CPU");
    snprintf(out->versions, sizeof out->versions, "shim");
    out->capability = 90;
    out->multiprocessors = 132;
    out->memory = static_cast<size_t>(1) << 33;
    return HFF_OK;
}

hff_status use(int)
{
    return HFF_OK;
}

hff_status memory_left(size_t *bytes)
{
    *bytes = static_cast<size_t>(1) << 33;
    return HFF_OK;
}

hff_status take(std::map<char *, size_t> &memory, size_t bytes, void **out)
{
    if (fake.capturing) return fail(HFF_E_DEVICE, "memory is asked for while a stream is being captured");
    note(FAKE_ALLOC);
    *out = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for %zu bytes", bytes);
    memset(*out, 0, bytes);
    memory[static_cast<char *>(*out)] = bytes;
    return HFF_OK;
}

hff_status alloc(size_t bytes, void **out)
{
    return take(fake.device, bytes, out);
}

void free_device(void *memory)
{
    note(FAKE_FREE);
    drain(nullptr);
    fake.device.erase(static_cast<char *>(memory));
    free(memory);
}

hff_status pinned_alloc(size_t bytes, void **out)
{
    return take(fake.pinned, bytes, out);
}

void pinned_free(void *memory)
{
    note(FAKE_FREE);
    drain(nullptr);
    fake.pinned.erase(static_cast<char *>(memory));
    free(memory);
}

hff_status stream_create(kernel_stream *out)
{
    note(FAKE_ALLOC);
    queue *q = new queue;
    q->number = ++fake.stream_numbers;
    fake.streams.push_back(q);
    *out = q;
    return HFF_OK;
}

void stream_destroy(kernel_stream stream)
{
    drain(queue_of(stream));
    fake.streams.erase(std::find(fake.streams.begin(), fake.streams.end(), queue_of(stream)));
    delete queue_of(stream);
}

hff_status stream_wait(kernel_stream stream)
{
    note(FAKE_SYNC, queue_of(stream));
    if (queue_of(stream)->captured) return fail(HFF_E_DEVICE, "the host waits for a stream that is being captured");
    return drain(queue_of(stream));
}

hff_status event_create(void **out)
{
    note(FAKE_ALLOC);
    event *e = new event;
    e->number = ++fake.event_numbers;
    *out = e;
    return HFF_OK;
}

void event_destroy(void *e)
{
    drain(nullptr);
    delete static_cast<event *>(e);
}

hff_status event_record(void *at, kernel_stream stream)
{
    event *e = static_cast<event *>(at);
    queue *q = queue_of(stream);
    note(FAKE_RECORD, q, e);
    e->in_capture = q->captured;
    if (q->captured) {
        e->captured = q->clock;
        return HFF_OK;
    }
    long number = ++e->asked;
    enqueue(q, [e, number] {
        e->done = number;
        e->seconds = clock_seconds() + fake.seconds;
        return 0;
    });
    return HFF_OK;
}

hff_status event_wait(void *at)
{
    event *e = static_cast<event *>(at);
    note(FAKE_SYNC, nullptr, e);
    return e->done < e->asked ? drain(nullptr) : HFF_OK;
}

hff_status stream_wait_event(kernel_stream stream, void *at)
{
    event *e = static_cast<event *>(at);
    queue *q = queue_of(stream);
    note(FAKE_WAIT_EVENT, q, e);
    if (e->in_capture) { /* the stream joins the capture; the order of giving is an order of dependencies */
        q->captured = true;
        for (auto &seen : e->captured) q->clock[seen.first] = std::max(q->clock[seen.first], seen.second);
        return HFF_OK;
    }
    if (q->captured) return fail(HFF_E_DEVICE, "a captured stream waits for an event from outside");
    long number = e->asked;
    q->waiting.push_back({[e, number] { return e->done >= number; }, [] { return 0; }});
    return HFF_OK;
}

hff_status event_seconds(void *from, void *to, double *seconds)
{
    event *a = static_cast<event *>(from), *b = static_cast<event *>(to);
    if (a->done == 0 || b->done == 0 || a->done < a->asked || b->done < b->asked || a->in_capture || b->in_capture)
        return fail(HFF_E_DEVICE, "the time of an event that was not reached");
    *seconds = static_cast<float>(1e3 * (b->seconds - a->seconds)) * 1e-3;
    return HFF_OK;
}

hff_status copy(void *to, const void *from, size_t bytes, kernel_stream stream)
{
    queue *q = queue_of(stream);
    bool into = inside(fake.device, to, bytes), from_device = inside(fake.device, from, bytes);
    bool pinned = inside(fake.pinned, from, bytes);
    note(into && from_device ? FAKE_COPY : !into ? FAKE_COPY_OUT : pinned ? FAKE_COPY_IN : FAKE_COPY_PAGED, q);
    if (!into && !from_device) return fail(HFF_E_DEVICE, "a copy of memory that is not the device's");
    if (q->captured && !(into && from_device)) return fail(HFF_E_DEVICE, "a captured copy of the host's memory");
    enqueue(q, [=] {
        memcpy(to, from, bytes);
        return 0;
    });
    return HFF_OK;
}

hff_status zero(void *at, size_t bytes, kernel_stream stream)
{
    note(FAKE_ZERO, queue_of(stream));
    if (!inside(fake.device, at, bytes)) return fail(HFF_E_DEVICE, "zeros for memory that is not the device's");
    enqueue(queue_of(stream), [=] {
        memset(at, 0, bytes);
        return 0;
    });
    return HFF_OK;
}

hff_status capture_begin(kernel_stream stream)
{
    note(FAKE_CAPTURE, queue_of(stream));
    if (fake.capturing) return fail(HFF_E_DEVICE, "a capture inside a capture");
    fake.capturing = queue_of(stream);
    fake.capturing->captured = true;
    fake.graph_made = new graph;
    return HFF_OK;
}

hff_status capture_end(kernel_stream stream, void **out)
{
    queue *origin = queue_of(stream);
    graph *made = fake.graph_made;
    bool joined = fake.capturing == origin;
    for (queue *q : fake.streams) {
        if (q->captured && q->clock[q->number] > origin->clock[q->number]) joined = false;
        q->captured = false;
    }
    for (queue *q : fake.streams) q->clock.clear();
    fake.capturing = nullptr;
    fake.graph_made = nullptr;
    *out = joined ? made : nullptr;
    if (joined) return HFF_OK;
    delete made;
    return fail(HFF_E_DEVICE, "a capture ends with work that has not been joined to its first stream");
}

hff_status replay(void *at, kernel_stream stream)
{
    note(FAKE_REPLAY, queue_of(stream));
    for (auto &run : static_cast<graph *>(at)->run) enqueue(queue_of(stream), run);
    return HFF_OK;
}

void graph_destroy(void *at)
{
    drain(nullptr);
    delete static_cast<graph *>(at);
}

hff_status kernel_failed(int returned, const char *kernel)
{
    if (returned == KERNEL_REFUSED) return fail(HFF_E_INTERNAL, "kernel %s refuses", kernel);
    return fail(HFF_E_DEVICE, "kernel %s: %s", kernel, shim_error());
}

int launch_later(kernel_stream stream, const std::function<int()> &launch)
{
    if (!stream) return launch();
    note(FAKE_LAUNCH, queue_of(stream));
    enqueue(queue_of(stream), launch);
    return KERNEL_OK;
}

hff_status library_open(const cuda_device *, cuda_library **out)
{
    shim_later = launch_later;
    *out = nullptr;
    return HFF_OK;
}

void library_close(cuda_library *)
{
}

hff_status lane_open(cuda_library *, kernel_stream stream, cuda_lane **out)
{
    *out = reinterpret_cast<cuda_lane *>(stream);
    return HFF_OK;
}

void lane_close(cuda_lane *)
{
}

bool aligned(const void *p)
{
    return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

/* A plan and its number: there are FAKE_PLANS of them, which differ in what they seem to take. */
struct conv_plan_made {
    cuda_conv_desc desc;
    int number;
};

hff_status conv_plan(cuda_library *, const cuda_conv_desc *desc, int from, cuda_conv **out)
{
    note(FAKE_ALLOC);
    *out = nullptr;
    if (desc->result != desc->dtype) return fail(HFF_E_CONFIG, "no plan with a result of another type");
    if (desc->in % 8 || desc->out % 8) return fail(HFF_E_CONFIG, "channels that are no multiple of 8");
    if (from >= FAKE_PLANS) return fail(HFF_E_CONFIG, "no plan from number %d on", from);
    *out = reinterpret_cast<cuda_conv *>(new conv_plan_made{*desc, from});
    return HFF_OK;
}

int conv_number(const cuda_conv *conv)
{
    return reinterpret_cast<const conv_plan_made *>(conv)->number;
}

size_t conv_workspace(const cuda_conv *)
{
    return 100;
}

hff_status conv_run(cuda_conv *conv, cuda_lane *lane, void *const args[3], const void *bias, void *workspace)
{
    queue *q = queue_of(reinterpret_cast<kernel_stream>(lane));
    conv_plan_made plan = *reinterpret_cast<conv_plan_made *>(conv);
    void *a = args[0], *b = args[1], *c = args[2];
    note(FAKE_CONV, q);
    fake.plan_runs[plan.number]++;
    if (fake.plan_fails[plan.number]) return fail(HFF_E_DEVICE, "plan %d does not run", plan.number);
    if (!aligned(a) || !aligned(b) || !aligned(c) || !aligned(workspace))
        return fail(HFF_E_DEVICE, "a convolution of memory that is not on 16 bytes");
    enqueue(q, [=] {
        memset(workspace, 0xff, 100);
        fake.seconds += fake.plan_seconds[plan.number];
        return fake_conv(plan.desc, a, b, c, static_cast<const float *>(bias));
    });
    return HFF_OK;
}

void conv_destroy(cuda_conv *conv)
{
    drain(nullptr);
    delete reinterpret_cast<conv_plan_made *>(conv);
}

hff_status product_plan(cuda_library *, const cuda_product_desc *desc, cuda_product **out)
{
    note(FAKE_ALLOC);
    *out = nullptr;
    if (desc->bias && desc->dtype == DTYPE_BF16) return fail(HFF_E_CONFIG, "no product with bias in bf16");
    *out = reinterpret_cast<cuda_product *>(new cuda_product_desc(*desc));
    return HFF_OK;
}

size_t product_workspace(const cuda_product *)
{
    return 300;
}

hff_status product_run(cuda_product *product, kernel_stream stream, const void *a, const void *b, void *c,
                       const void *bias, void *workspace)
{
    cuda_product_desc desc = *reinterpret_cast<cuda_product_desc *>(product);
    note(FAKE_PRODUCT, queue_of(stream));
    if (!aligned(a) || !aligned(b) || !aligned(c) || !aligned(bias) || !aligned(workspace))
        return fail(HFF_E_DEVICE, "a product of memory that is not on 16 bytes");
    enqueue(queue_of(stream), [=] {
        memset(workspace, 0xff, 300);
        return fake_product(desc, a, b, c, static_cast<const float *>(bias));
    });
    return HFF_OK;
}

void product_destroy(cuda_product *product)
{
    drain(nullptr);
    delete reinterpret_cast<cuda_product_desc *>(product);
}

} // namespace

extern "C" const struct cuda_calls cuda_calls = {find,
                                                 use,
                                                 memory_left,
                                                 alloc,
                                                 free_device,
                                                 pinned_alloc,
                                                 pinned_free,
                                                 stream_create,
                                                 stream_destroy,
                                                 stream_wait,
                                                 event_create,
                                                 event_destroy,
                                                 event_record,
                                                 event_wait,
                                                 stream_wait_event,
                                                 event_seconds,
                                                 copy,
                                                 zero,
                                                 capture_begin,
                                                 capture_end,
                                                 replay,
                                                 graph_destroy,
                                                 kernel_failed,
                                                 library_open,
                                                 library_close,
                                                 lane_open,
                                                 lane_close,
                                                 conv_plan,
                                                 conv_number,
                                                 conv_workspace,
                                                 conv_run,
                                                 conv_destroy,
                                                 product_plan,
                                                 product_workspace,
                                                 product_run,
                                                 product_destroy};

int fake_log(const fake_call **out)
{
    *out = fake.log.data();
    return static_cast<int>(fake.log.size());
}

void fake_log_clear(void)
{
    fake.log.clear();
}

int fake_count(fake_kind kind)
{
    int count = 0;
    for (const fake_call &call : fake.log) count += call.kind == kind;
    return count;
}

void fake_order(uint64_t seed)
{
    fake.random = seed * 0x9E3779B97F4A7C15u | 1;
}

void fake_plan_fails(int number, int fails)
{
    fake.plan_fails[number] = fails;
}

void fake_plan_takes(int number, double seconds)
{
    fake.plan_seconds[number] = seconds;
}

int fake_plan_runs(int number)
{
    return fake.plan_runs[number];
}
