/* Training images that stay on the device, all of them, as bytes. A batch is then made where it is needed, by op augment:
 * the host only says which samples it is of. One stream makes all batches, so one set of numbers will do. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* What the device reads of a batch, in one piece: its epoch, and behind it, where the rest lies. */
struct places {
    size_t samples, partners, shares, bytes;
};

static struct places places_of(const struct engine *engine)
{
    size_t each = rounded((size_t)engine->micro * sizeof(int32_t));
    return (struct places){ALIGN, ALIGN + each, ALIGN + 2 * each, ALIGN + 3 * each};
}

static size_t image_bytes(const struct recipe *recipe)
{
    const struct dataset *set = recipe->set;
    return (size_t)set->count * (size_t)set->channels * (size_t)set->height * (size_t)set->width;
}

/* Asked for; or by itself on a device with memory of its own, of which the images take no more than half of what is left. */
static hff_status is_wanted(const struct engine_options *options, int *wanted)
{
    const struct config_node *root = config_root(options->config);
    const char *word = config_text(root, "engine.images");
    const struct backend_api *api = options->backend->api;
    int asked = strcmp(word, "device") == 0;
    *wanted = 0;
    if (!options->recipe || strcmp(word, "host") == 0) return HFF_OK;
    if (options->recipe->set->count > INT32_MAX)
        return asked ? config_fail(config_at(root, "engine.images"),
                                   "engine.images: too many images to number them on a device; use host")
                     : HFF_OK;
    if (!asked) {
        size_t left;
        if (!api->memory_left) return HFF_OK;
        TRY(api->memory_left(options->backend, &left));
        if (image_bytes(options->recipe) > left / 2) return HFF_OK;
    }
    *wanted = 1;
    return HFF_OK;
}

hff_status resident_plan(struct engine *engine, const struct engine_options *options)
{
    struct resident *resident = &engine->resident;
    int wanted;
    TRY(is_wanted(options, &wanted));
    if (!wanted) return HFF_OK;
    const struct recipe *recipe = options->recipe;
    const struct dataset *set = recipe->set;
    int64_t channels = set->channels, micro = engine->micro;
    struct op_desc desc = {.kind = OP_AUGMENT, .slices = 1, .attr.augment = recipe->rule};
    resident->recipe = *recipe;
    desc.arg[0] = tensor_make4(DTYPE_U8, set->count, channels, set->height, set->width);
    desc.arg[1] = tensor_make2(DTYPE_F32, channels, 256);
    desc.arg[2] = tensor_make1(DTYPE_I32, micro);
    if (recipe->mixes) {
        desc.arg[3] = desc.arg[2];
        desc.arg[4] = tensor_make1(DTYPE_F32, micro);
    }
    desc.arg[5] = tensor_make1(DTYPE_I64, 1);
    desc.arg[6] = tensor_make4(engine->real, micro, channels, set->height, set->width);
    TRY(options->backend->api->op_create(options->backend, &desc, &resident->op));
    resident->table = rounded(image_bytes(recipe));
    resident->batch = resident->table + rounded(sizeof recipe->table);
    resident->work = resident->batch + places_of(engine).bytes;
    resident->bytes = resident->work + rounded(options->backend->api->op_workspace(resident->op));
    return HFF_OK;
}

/* Where stage 1 receives the steps of a place of the ring in front of it. */
static void *input_at(const struct engine *engine, int place)
{
    const struct pipeline *p = engine->pipeline;
    return program_address(p ? p->twin[place * engine->stages] : engine->stage[0].program, engine->stage[0].input);
}

/* The op's arguments, which must outlive a run that is enqueued. */
static void fill_args(struct engine *engine)
{
    struct resident *resident = &engine->resident;
    struct places at = places_of(engine);
    unsigned char *batch = resident->memory + resident->batch;
    for (int place = 0; place < RING_SLOTS; place++) {
        void **args = resident->args[place];
        args[0] = resident->memory;
        args[1] = resident->memory + resident->table;
        args[2] = batch + at.samples;
        if (resident->recipe.mixes) args[3] = batch + at.partners, args[4] = batch + at.shares;
        args[5] = batch;
        args[6] = input_at(engine, place);
    }
}

hff_status resident_bind(struct engine *engine)
{
    struct resident *resident = &engine->resident;
    const struct backend_api *api = engine->backend->api;
    void *memory;
    if (!resident->op) return HFF_OK;
    resident->host = calloc(1, places_of(engine).bytes);
    if (!resident->host) return fail(HFF_E_MEMORY, "no memory for a batch's numbers");
    hff_status status = api->alloc(engine->backend, resident->bytes, &memory);
    if (status != HFF_OK) return trail_add(status, "training images on the device (engine.images: host does without)");
    resident->memory = memory;
    fill_args(engine);
    TRY(api->copy_in(engine->stream, resident->memory, resident->recipe.set->images, image_bytes(&resident->recipe)));
    TRY(api->copy_in(engine->stream, resident->memory + resident->table, resident->recipe.table,
                     sizeof resident->recipe.table));
    return api->stream_wait(engine->stream);
}

void resident_free(struct engine *engine)
{
    struct resident *resident = &engine->resident;
    if (resident->op) resident->op->backend->api->op_destroy(resident->op);
    if (resident->memory) engine->backend->api->free(engine->backend, resident->memory);
    free(resident->host);
}

hff_status resident_put(struct engine *engine, const struct batch *batch, int part, int place, struct stream *stream)
{
    struct resident *resident = &engine->resident;
    const struct backend_api *api = engine->backend->api;
    if (!resident->op || !batch->samples)
        return fail(HFF_E_INTERNAL, "a batch without images, and none are on the device");
    size_t micro = (size_t)engine->micro, from = (size_t)part * micro, bytes = micro * sizeof(int32_t);
    struct places at = places_of(engine);
    memcpy(resident->host, &batch->epoch, sizeof batch->epoch);
    memcpy(resident->host + at.samples, batch->samples + from, bytes);
    if (resident->recipe.mixes) {
        memcpy(resident->host + at.partners, batch->partners + from, bytes);
        memcpy(resident->host + at.shares, batch->weight + from, bytes);
    }
    TRY(api->copy_in(stream, resident->memory + resident->batch, resident->host,
                     resident->recipe.mixes ? at.bytes : at.partners));
    return api->op_run(resident->op, stream, resident->args[place], resident->memory + resident->work);
}
