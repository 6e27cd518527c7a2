/* Convolutions run by cuDNN: plans kept by description while an op has them, a handle for each stream, pointers packed once. */
#include "graph.h"
#include "library.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct cuda_conv_desc desc;
    int from, users;
    struct cudnn_plan *plan;
    struct entry *next;
};

struct cudnn_plans {
    struct cudnn_device *device;
    struct entry *first;
};

struct cuda_lane {
    cudnnHandle_t handle;
};

/* Pointers as cuDNN wants them. An op has one set of them, or one for each slot of a ring. */
enum { PACKS = 8, POINTERS = 5 /* x, w, y, bias, workspace */ };
struct pack {
    struct bag bag;
    cudnnBackendDescriptor_t pack;
    const void *pointer[POINTERS];
};

struct cuda_conv {
    struct cudnn_plans *plans;
    struct entry *entry;
    const struct cudnn_plan *plan; /* the entry's */
    int bias, next;
    struct pack pack[PACKS];
};

hff_status cudnn_plans_open(struct cudnn_plans **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for the convolutions' plans");
    return cudnn_device_here(&(*out)->device);
}

void cudnn_plans_close(struct cudnn_plans *plans)
{
    if (!plans) return;
    for (struct entry *e = plans->first, *next; e; e = next) {
        next = e->next;
        cudnn_plan_free(e->plan);
        free(e);
    }
    cudnn_device_free(plans->device);
    free(plans);
}

hff_status cudnn_lane_open(struct cuda_library *library, kernel_stream stream, struct cuda_lane **out)
{
    (void)library;
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for a stream");
    CHECK(cudnnCreate(&(*out)->handle));
    CHECK(cudnnSetStream((*out)->handle, stream));
    return HFF_OK;
}

void cudnn_lane_close(struct cuda_lane *lane)
{
    if (lane && lane->handle) cudnnDestroy(lane->handle);
    free(lane);
}

static int same(const struct cuda_conv_desc *a, const struct cuda_conv_desc *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->result == b->result && a->precision == b->precision &&
           a->bias == b->bias && a->batch == b->batch && a->in == b->in && a->height == b->height &&
           a->width == b->width && a->out == b->out && a->out_height == b->out_height && a->out_width == b->out_width &&
           a->kernel == b->kernel && a->stride == b->stride && a->pad == b->pad;
}

/* Whether the entry's plan is the first one from number from on. */
static int is_first(const struct entry *e, int from)
{
    return e->from == from || (from > 0 && cudnn_plan_number(e->plan) == from);
}

static hff_status find_plan(struct cudnn_plans *plans, const struct cuda_conv_desc *desc, int from, struct entry **out)
{
    for (struct entry *e = plans->first; e; e = e->next)
        if (is_first(e, from) && same(&e->desc, desc)) {
            *out = e;
            return HFF_OK;
        }
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry) return fail(HFF_E_MEMORY, "no memory for a convolution's plan");
    hff_status status = cudnn_plan_make(plans->device, desc, from, &entry->plan);
    if (status != HFF_OK) {
        free(entry);
        return status;
    }
    entry->desc = *desc;
    entry->from = from;
    entry->next = plans->first;
    plans->first = entry;
    *out = entry;
    return HFF_OK;
}

hff_status cudnn_conv_plan(struct cuda_library *library, const struct cuda_conv_desc *desc, int from,
                           struct cuda_conv **out)
{
    *out = NULL;
    struct cuda_conv *conv = calloc(1, sizeof *conv);
    if (!conv) return fail(HFF_E_MEMORY, "no memory for a convolution");
    hff_status status = find_plan(library->plans, desc, from, &conv->entry);
    if (status != HFF_OK) {
        free(conv);
        return status;
    }
    conv->plans = library->plans;
    conv->entry->users++;
    conv->plan = conv->entry->plan;
    conv->bias = desc->bias;
    *out = conv;
    return HFF_OK;
}

int cudnn_conv_number(const struct cuda_conv *conv)
{
    return cudnn_plan_number(conv->plan);
}

size_t cudnn_conv_workspace(const struct cuda_conv *conv)
{
    return cudnn_plan_workspace(conv->plan);
}

static hff_status fill_pack(struct pack *pack, int bias, const void *const pointer[POINTERS])
{
    static const int64_t id[] = {ID_X, ID_W, ID_Y, ID_BIAS};
    const void *workspace = pointer[POINTERS - 1];
    bag_free(&pack->bag, 0);
    memset(pack->pointer, 0, sizeof pack->pointer);
    TRY(bag_new(&pack->bag, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack->pack));
    SET(pack->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3 + bias, id);
    SET(pack->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3 + bias, pointer);
    SET(pack->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    CHECK(cudnnBackendFinalize(pack->pack));
    memcpy(pack->pointer, pointer, sizeof pack->pointer);
    return HFF_OK;
}

hff_status cudnn_conv_run(struct cuda_conv *conv, struct cuda_lane *lane, void *const args[3], const void *bias,
                          void *workspace)
{
    static const int place[3][3] = {
        [CUDA_CONV] = {0, 1, 2}, [CUDA_CONV_DATA] = {2, 1, 0}, [CUDA_CONV_WEIGHT] = {0, 2, 1}};
    const int *at = place[conv->plan->kind];
    const void *const pointer[POINTERS] = {args[at[0]], args[at[1]], args[at[2]], bias, workspace};
    struct pack *pack = NULL;
    for (int i = 0; i < PACKS && !pack; i++)
        if (conv->pack[i].pack && memcmp(conv->pack[i].pointer, pointer, sizeof pointer) == 0) pack = &conv->pack[i];
    if (!pack) {
        pack = &conv->pack[conv->next];
        conv->next = (conv->next + 1) % PACKS;
        TRY(fill_pack(pack, conv->bias, pointer));
    }
    CHECK(cudnnBackendExecute(lane->handle, conv->plan->plan, pack->pack));
    return HFF_OK;
}

void cudnn_conv_destroy(struct cuda_conv *conv)
{
    if (!conv) return;
    for (int i = 0; i < PACKS; i++) bag_free(&conv->pack[i].bag, 0);
    struct entry **at = &conv->plans->first, *entry = conv->entry;
    if (--entry->users == 0) {
        while (*at != entry) at = &(*at)->next;
        *at = entry->next;
        cudnn_plan_free(entry->plan);
        free(entry);
    }
    free(conv);
}
