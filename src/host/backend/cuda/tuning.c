/* Plans of convolutions, chosen by trying them: of each the first few that cuDNN proposes are timed once, and the quickest
 * is kept and written down. Plans may round in different ways, so a run that goes on must have the same ones: it is given
 * what the first process wrote.
 *
 *     {"device": "NVIDIA H200, 150.1 GB, CUDA 13.0, cuDNN 9.19",
 *      "plans": {"conv bf16, batch 128, 8 x 32 x 32 to 128 x 32 x 32, kernel 3 stride 1 pad 1":
 *                {"plan": 2, "workspace": 0, "microseconds": 31.2, "first": 40.7}}}
 *
 * plan: its number among the proposals (calls.h), workspace: its bytes, a sign that it is the same one; first: what the first of them takes. Operands are zeros: the time of a
 * convolution does not depend on its numbers, but for the power that they take, which is the same for all plans. */
#include "cuda.h"

#include "base/json.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIED = 10, ROUNDS = 3, RUNS = 10 };

/* Of workspace: a plan that takes more is left out, unless it is the first. */
static const size_t WORKSPACE_MOST = (size_t)256 << 20;

/* A plan must be quicker than one proposed before it by this share: smaller differences are chance. */
static const double GAIN = 0.02;

struct cuda_tuning {
    json_t *known, *chosen; /* objects: description of a convolution to its plan; known may be NULL */
    kernel_stream stream;
    struct cuda_lane *lane;
    void *begin, *end;
};

/* Memory for a convolution's arguments. */
struct operands {
    void *memory[3], *bias; /* in the order of conv_run's arguments */
};

void cuda_tuning_close(struct cuda_tuning *tuning)
{
    if (!tuning) return;
    json_decref(tuning->known);
    json_decref(tuning->chosen);
    if (tuning->begin) cuda_calls.event_destroy(tuning->begin);
    if (tuning->end) cuda_calls.event_destroy(tuning->end);
    if (tuning->lane) cuda_calls.lane_close(tuning->lane);
    if (tuning->stream) cuda_calls.stream_destroy(tuning->stream);
    free(tuning);
}

/* The plans of an earlier process, where they are this device's. */
static hff_status take_known(struct cuda_backend *backend, const char *choices)
{
    const char *what = "the run's plans", *device;
    json_t *all;
    TRY(json_parse(what, choices, strlen(choices), &all));
    hff_status status = json_member_text(all, what, "device", &device);
    json_t *plans = json_object_get(all, "plans");
    if (status == HFF_OK && !json_is_object(plans)) status = fail(HFF_E_FORMAT, "%s: plans is no object", what);
    if (status == HFF_OK && strcmp(device, backend->description) != 0)
        log_warn("the run's plans were chosen on another device (%s); they are chosen anew, so results may differ from "
                 "that run's in their rounding",
                 device);
    else if (status == HFF_OK)
        backend->tuning->known = json_incref(plans);
    json_decref(all);
    return status;
}

hff_status cuda_tune(struct backend *base, const char *choices)
{
    struct cuda_backend *backend = (struct cuda_backend *)base;
    cuda_tuning_close(backend->tuning);
    struct cuda_tuning *tuning = backend->tuning = calloc(1, sizeof *backend->tuning);
    if (!tuning) return fail(HFF_E_MEMORY, "no memory to choose plans");
    tuning->chosen = json_object();
    TRY(cuda_calls.use(backend->device.index));
    TRY(cuda_calls.stream_create(&tuning->stream));
    TRY(cuda_calls.lane_open(backend->library, tuning->stream, &tuning->lane));
    TRY(cuda_calls.event_create(&tuning->begin));
    TRY(cuda_calls.event_create(&tuning->end));
    return choices ? take_known(backend, choices) : HFF_OK;
}

char *cuda_chosen(struct backend *base)
{
    struct cuda_backend *backend = (struct cuda_backend *)base;
    if (!backend->tuning) return NULL;
    json_t *all = json_object();
    json_object_set_new(all, "device", json_string(backend->description));
    json_object_set(all, "plans", backend->tuning->chosen);
    char *text = json_text(all, 2);
    json_decref(all);
    return text;
}

static void describe(const struct cuda_conv_desc *d, char *out, size_t size)
{
    static const char *const kinds[] = {"conv", "conv_data", "conv_weight"};
    snprintf(
        out, size, "%s %s%s%s%s%s, batch %lld, %lld x %lld x %lld to %lld x %lld x %lld, kernel %d stride %d pad %d",
        kinds[d->kind], dtype_name(d->dtype), d->precision == PRECISION_TF32 ? " as tf32" : "",
        d->result != d->dtype ? " to " : "", d->result != d->dtype ? dtype_name(d->result) : "",
        d->bias ? " with bias" : "", (long long)d->batch, (long long)d->in, (long long)d->height, (long long)d->width,
        (long long)d->out, (long long)d->out_height, (long long)d->out_width, d->kernel, d->stride, d->pad);
}

/* ---- timing ---- */

static void operands_free(struct operands *o)
{
    for (int i = 0; i < 3; i++)
        if (o->memory[i]) cuda_calls.free(o->memory[i]);
    if (o->bias) cuda_calls.free(o->bias);
}

static hff_status operands_make(const struct cuda_conv_desc *d, struct operands *o)
{
    enum { X, W, Y };
    static const int order[][3] = {
        [CUDA_CONV] = {X, W, Y}, [CUDA_CONV_DATA] = {Y, W, X}, [CUDA_CONV_WEIGHT] = {X, Y, W}};
    const int64_t count[] = {[X] = d->batch * d->height * d->width * d->in,
                             [W] = d->out * d->kernel * d->kernel * d->in,
                             [Y] = d->batch * d->out_height * d->out_width * d->out};
    hff_status status = HFF_OK;
    *o = (struct operands){0};
    for (int i = 0; i < 3 && status == HFF_OK; i++) {
        enum dtype dtype = order[d->kind][i] == W ? d->result : d->dtype;
        status = cuda_calls.alloc((size_t)count[order[d->kind][i]] * dtype_bytes(dtype), &o->memory[i]);
    }
    if (status == HFF_OK && d->bias) status = cuda_calls.alloc((size_t)d->out * sizeof(float), &o->bias);
    if (status != HFF_OK) operands_free(o);
    return status;
}

static hff_status run(struct cuda_tuning *t, struct cuda_conv *conv, const struct operands *o, void *workspace,
                      int times)
{
    for (int i = 0; i < times; i++) TRY(cuda_calls.conv_run(conv, t->lane, o->memory, o->bias, workspace));
    return HFF_OK;
}

/* As training has them: captured, so that what the host takes to give them to the device is left out. */
static hff_status capture(struct cuda_tuning *t, struct cuda_conv *conv, const struct operands *o, void *workspace,
                          void **graph)
{
    *graph = NULL;
    TRY(cuda_calls.capture_begin(t->stream));
    hff_status status = run(t, conv, o, workspace, RUNS), ended = cuda_calls.capture_end(t->stream, graph);
    return status == HFF_OK ? ended : status;
}

static hff_status time_graph(struct cuda_tuning *t, void *graph, double *seconds)
{
    TRY(cuda_calls.replay(graph, t->stream)); /* the first is slower */
    *seconds = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double all;
        TRY(cuda_calls.event_record(t->begin, t->stream));
        TRY(cuda_calls.replay(graph, t->stream));
        TRY(cuda_calls.event_record(t->end, t->stream));
        TRY(cuda_calls.stream_wait(t->stream));
        TRY(cuda_calls.event_seconds(t->begin, t->end, &all));
        *seconds = fmin(*seconds, all / RUNS);
    }
    return HFF_OK;
}

static hff_status time_plan(struct cuda_tuning *t, struct cuda_conv *conv, const struct operands *o, double *seconds)
{
    void *workspace;
    TRY(cuda_calls.alloc(cuda_calls.conv_workspace(conv) + 1, &workspace));
    void *graph = NULL;
    hff_status status = run(t, conv, o, workspace, 1); /* what a plan does once it does outside */
    if (status == HFF_OK) status = capture(t, conv, o, workspace, &graph);
    if (status == HFF_OK) status = time_graph(t, graph, seconds);
    if (graph) cuda_calls.graph_destroy(graph);
    cuda_calls.free(workspace);
    return status;
}

/* *best: the first plan, and from then on the quickest; its time in seconds. A plan that does not run is left out. */
static void try_others(struct cuda_backend *backend, const struct cuda_conv_desc *desc, const struct operands *o,
                       struct cuda_conv **best, double *seconds)
{
    struct cuda_conv *conv;
    for (int from = cuda_calls.conv_number(*best) + 1, tried = 1; from < CUDA_LATE && tried < TRIED; tried++) {
        if (cuda_calls.conv_plan(backend->library, desc, from, &conv) != HFF_OK) return; /* there are no more */
        from = cuda_calls.conv_number(conv) + 1;
        double own = INFINITY;
        int runs =
            cuda_calls.conv_workspace(conv) <= WORKSPACE_MOST && time_plan(backend->tuning, conv, o, &own) == HFF_OK;
        int quicker = runs && own < *seconds * (1 - GAIN);
        cuda_calls.conv_destroy(quicker ? *best : conv);
        if (!quicker) continue;
        *best = conv;
        *seconds = own;
    }
}

static hff_status choose(struct cuda_backend *backend, const struct cuda_conv_desc *desc, const char *key,
                         struct cuda_conv **out)
{
    struct operands operands;
    double first, seconds;
    TRY(cuda_calls.conv_plan(backend->library, desc, 0, out));
    hff_status status = operands_make(desc, &operands);
    if (status == HFF_OK) {
        status = time_plan(backend->tuning, *out, &operands, &first);
        seconds = first;
        if (status == HFF_OK) try_others(backend, desc, &operands, out, &seconds);
        operands_free(&operands);
    }
    if (status != HFF_OK) {
        cuda_calls.conv_destroy(*out);
        *out = NULL;
        return trail_add(status, "engine.autotune, %s", key);
    }
    json_t *plan = json_object();
    json_object_set_new(plan, "plan", json_integer(cuda_calls.conv_number(*out)));
    json_object_set_new(plan, "workspace", json_integer((json_int_t)cuda_calls.conv_workspace(*out)));
    json_object_set_new(plan, "microseconds", json_number(1e6 * seconds));
    json_object_set_new(plan, "first", json_number(1e6 * first));
    json_object_set_new(backend->tuning->chosen, key, plan);
    log_debug("%s: plan %d, %.1f us; the first %.1f us", key, cuda_calls.conv_number(*out), 1e6 * seconds, 1e6 * first);
    return HFF_OK;
}

/* The plan that is written down; *out stays NULL where there is none of that number and workspace. */
static hff_status take(struct cuda_backend *backend, const struct cuda_conv_desc *desc, const char *key,
                       const json_t *plan, struct cuda_conv **out)
{
    int64_t number, workspace;
    TRY(json_member_int(plan, key, "plan", &number));
    TRY(json_member_int(plan, key, "workspace", &workspace));
    if (number < 0 || number > 2 * CUDA_LATE ||
        cuda_calls.conv_plan(backend->library, desc, (int)number, out) != HFF_OK)
        return HFF_OK;
    if (cuda_calls.conv_number(*out) == number && cuda_calls.conv_workspace(*out) == (size_t)workspace) return HFF_OK;
    cuda_calls.conv_destroy(*out);
    *out = NULL;
    return HFF_OK;
}

hff_status cuda_tuned_conv(struct cuda_backend *backend, const struct cuda_conv_desc *desc, struct cuda_conv **out)
{
    struct cuda_tuning *tuning = backend->tuning;
    if (!tuning) return cuda_calls.conv_plan(backend->library, desc, 0, out);
    char key[256];
    describe(desc, key, sizeof key);
    json_t *plan = json_object_get(tuning->chosen, key);
    *out = NULL;
    if (plan) TRY(take(backend, desc, key, plan, out));
    if (*out) return HFF_OK;
    plan = json_object_get(tuning->known, key);
    if (plan) TRY(take(backend, desc, key, plan, out));
    if (plan && !*out) log_warn("%s: cuDNN has not got the plan that the run had; it is chosen anew", key);
    if (!*out) return choose(backend, desc, key, out);
    json_object_set(tuning->chosen, key, plan);
    return HFF_OK;
}
