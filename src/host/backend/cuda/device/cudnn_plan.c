/* From an operation graph to a plan: what the heuristics propose, filtered, the first that can be made. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

enum { PROPOSALS = 64 };

size_t cudnn_version(void)
{
    return cudnnGetVersion();
}

static hff_status new_device(struct cudnn_device **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? HFF_OK : fail(HFF_E_MEMORY, "no memory for a device's description");
}

static hff_status describe(struct cudnn_device *device, const char *json)
{
    CHECK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device->properties));
    SET(device->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    CHECK(cudnnBackendFinalize(device->properties));
    return HFF_OK;
}

hff_status cudnn_device_described(const char *json, struct cudnn_device **out)
{
    TRY(new_device(out));
    hff_status status = describe(*out, json);
    if (status == HFF_OK) return HFF_OK;
    cudnn_device_free(*out);
    *out = NULL;
    return status;
}

hff_status cudnn_device_here(struct cudnn_device **out)
{
    TRY(new_device(out));
    hff_status status = cudnn_check(cudnnCreate(&(*out)->handle), "cudnnCreate");
    if (status == HFF_OK) return HFF_OK;
    free(*out);
    *out = NULL;
    return status;
}

void cudnn_device_free(struct cudnn_device *device)
{
    if (!device) return;
    if (device->handle) cudnnDestroy(device->handle);
    if (device->properties) cudnnBackendDestroyDescriptor(device->properties);
    free(device);
}

/* Adds what a mode of the heuristics proposes to proposal. A mode that fails proposes nothing. */
static hff_status propose(struct bag *bag, const struct cudnn_device *device, cudnnBackendDescriptor_t graph,
                          cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *proposal, int64_t *count)
{
    cudnnBackendDescriptor_t heuristics;
    int64_t there = 0, given = 0;
    TRY(bag_new(bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics));
    SET(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    SET(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (!device->handle)
        SET(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device->properties);
    if (cudnnBackendFinalize(heuristics) != CUDNN_STATUS_SUCCESS) return HFF_OK;
    CHECK(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &there,
                                   NULL));
    if (there > PROPOSALS - *count) there = PROPOSALS - *count;
    for (int64_t i = 0; i < there; i++) TRY(bag_new(bag, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &proposal[*count + i]));
    CHECK(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, there,
                                   &given, proposal + *count));
    *count += given;
    return HFF_OK;
}

struct engine {
    int64_t number;
    unsigned numbers, behaviour; /* bits: its notes */
};

static hff_status engine_of(cudnnBackendDescriptor_t proposal, cudnnBackendDescriptor_t engine, struct engine *out)
{
    int64_t count;
    cudnnBackendNumericalNote_t numbers[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    *out = (struct engine){0};
    CHECK(cudnnBackendGetAttribute(proposal, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                   &engine));
    CHECK(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &out->number));
    CHECK(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, numbers));
    for (int64_t i = 0; i < count; i++) out->numbers |= 1u << numbers[i];
    CHECK(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                   CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &count, behaviour));
    for (int64_t i = 0; i < count; i++) out->behaviour |= 1u << behaviour[i];
    return HFF_OK;
}

/* Whether an engine may be used: the same bits every time, sums in f32, f32 operands as they are where asked. */
static int is_fit(const struct engine *engine, const struct cuda_conv_desc *desc)
{
    unsigned bad = 1u << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC |
                   1u << CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION | 1u << CUDNN_NUMERICAL_NOTE_FFT |
                   1u << CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
    if (desc->dtype == DTYPE_F32 && desc->precision == PRECISION_F32)
        bad |= 1u << CUDNN_NUMERICAL_NOTE_TENSOR_CORE | 1u << CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    return (engine->numbers & bad) == 0;
}

static int is_compiled_late(const struct engine *engine)
{
    return engine->behaviour >> CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION & 1;
}

/* Engines that are compiled in every process, a second each, are for what has no other: a bias can be added, and a gradient
 * widened, by a kernel of our own. */
static int may_be_late(const struct cuda_conv_desc *desc)
{
    return !desc->bias && desc->result == desc->dtype;
}

static hff_status try_plan(struct cudnn_plan *plan, const struct cudnn_device *device,
                           cudnnBackendDescriptor_t proposal)
{
    int64_t count;
    TRY(bag_new(&plan->bag, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan->plan));
    SET(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &proposal);
    if (device->handle) {
        cudnnBackendAttributeName_t handle = (cudnnBackendAttributeName_t)400; /* EXECUTION_PLAN_HANDLE, deprecated */
        SET(plan->plan, handle, CUDNN_TYPE_HANDLE, 1, &device->handle);
    } else {
        SET(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device->properties);
    }
    CHECK(cudnnBackendFinalize(plan->plan));
    CHECK(cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                   &plan->workspace));
    return HFF_OK;
}

static hff_status no_plan(const struct cuda_conv_desc *d, int64_t proposals)
{
    static const char *const kinds[] = {"conv", "conv_data", "conv_weight"};
    return fail(
        HFF_E_CONFIG,
        "cuDNN has no plan for %s %s%s, batch %lld, %lldx%lldx%lld to %lldx%lldx%lld, kernel %d stride %d pad %d "
        "that gives the same bits every time (%lld proposals)",
        dtype_name(d->dtype), kinds[d->kind], d->bias ? " with bias" : "", (long long)d->batch, (long long)d->in,
        (long long)d->height, (long long)d->width, (long long)d->out, (long long)d->out_height, (long long)d->out_width,
        d->kernel, d->stride, d->pad, (long long)proposals);
}

static hff_status make(struct cudnn_plan *plan, const struct cudnn_device *device, const struct cuda_conv_desc *desc,
                       int from)
{
    cudnnBackendDescriptor_t graph, proposal[PROPOSALS], engine;
    int64_t count = 0;
    TRY(cudnn_graph_make(&plan->bag, device, desc, &graph));
    TRY(propose(&plan->bag, device, graph, CUDNN_HEUR_MODE_A, proposal, &count));
    TRY(propose(&plan->bag, device, graph, CUDNN_HEUR_MODE_FALLBACK, proposal, &count));
    int to_late = from == 0 ? may_be_late(desc) : from >= CUDA_LATE;
    for (int late = from >= CUDA_LATE; late <= to_late; late++)
        for (int64_t i = 0; i < count; i++) {
            struct engine own;
            int kept = plan->bag.count, number = (int)i + (late ? CUDA_LATE : 0);
            if (number < from) continue;
            TRY(bag_new(&plan->bag, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
            if (engine_of(proposal[i], engine, &own) == HFF_OK && is_fit(&own, desc) &&
                is_compiled_late(&own) == late && try_plan(plan, device, proposal[i]) == HFF_OK) {
                plan->engine = own.number;
                plan->number = number;
                return HFF_OK;
            }
            bag_free(&plan->bag, kept);
        }
    return no_plan(desc, count);
}

hff_status cudnn_plan_make(const struct cudnn_device *device, const struct cuda_conv_desc *desc, int from,
                           struct cudnn_plan **out)
{
    *out = NULL;
    struct cudnn_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return fail(HFF_E_MEMORY, "no memory for a convolution's plan");
    plan->kind = desc->kind;
    hff_status status = make(plan, device, desc, from);
    if (status == HFF_OK)
        *out = plan;
    else
        cudnn_plan_free(plan);
    return status;
}

void cudnn_plan_free(struct cudnn_plan *plan)
{
    if (!plan) return;
    bag_free(&plan->bag, 0);
    free(plan);
}

size_t cudnn_plan_workspace(const struct cudnn_plan *plan)
{
    return (size_t)plan->workspace;
}

int cudnn_plan_number(const struct cudnn_plan *plan)
{
    return plan->number;
}

int cudnn_plan_engine(const struct cudnn_plan *plan)
{
    return (int)plan->engine;
}
