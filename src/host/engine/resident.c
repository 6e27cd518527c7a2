/* Training images that stay on the device, all of them, as bytes. A batch is then made where it is needed, by op augment:
 * the host only says which samples it is of. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, NUMBER_ALIGN = 64 };

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* What the device reads of a batch: its epoch, and behind it, where the rest lies. */
struct places {
    size_t samples, partners, shares, bytes;
};

static struct places places_of(const struct engine *engine)
{
    size_t each = ((size_t)engine->micro * sizeof(int32_t) + NUMBER_ALIGN - 1) / NUMBER_ALIGN * NUMBER_ALIGN;
    struct places at = {NUMBER_ALIGN, NUMBER_ALIGN + each, NUMBER_ALIGN + 2 * each, 0};
    at.bytes = engine->resident.recipe.mixes ? at.shares + each : at.partners;
    return at;
}

size_t resident_numbers(const struct engine *engine)
{
    return engine->resident.op ? places_of(engine).bytes : 0;
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
    resident->work = resident->table + rounded(sizeof recipe->table);
    resident->bytes = resident->work + rounded(options->backend->api->op_workspace(resident->op));
    return HFF_OK;
}

/* The op's arguments, which must outlive a run that is enqueued. */
static hff_status fill_args(struct engine *engine)
{
    struct resident *resident = &engine->resident;
    const struct pipeline *p = engine->pipeline;
    struct places at = places_of(engine);
    int slots = p ? p->slots : 1;
    resident->args = calloc((size_t)slots, sizeof *resident->args);
    if (!resident->args) return fail(HFF_E_MEMORY, "no memory for a batch's numbers");
    for (int slot = 0; slot < slots; slot++) {
        const struct program *first = p ? pipeline_twin(engine, slot, 0) : engine->stage[0].program;
        unsigned char *numbers = p ? lanes_mail(engine, slot) + lanes_hyper_bytes(engine) : engine->memory[ARENA_BATCH];
        void **args = resident->args[slot];
        args[0] = resident->memory;
        args[1] = resident->memory + resident->table;
        args[2] = numbers + at.samples;
        if (resident->recipe.mixes) args[3] = numbers + at.partners, args[4] = numbers + at.shares;
        args[5] = numbers;
        args[6] = program_address(first, engine->stage[0].input);
    }
    return HFF_OK;
}

hff_status resident_bind(struct engine *engine)
{
    struct resident *resident = &engine->resident;
    const struct backend_api *api = engine->backend->api;
    void *memory;
    if (!resident->op) return HFF_OK;
    hff_status status = api->alloc(engine->backend, resident->bytes, &memory);
    if (status != HFF_OK) return trail_add(status, "training images on the device (engine.images: host does without)");
    resident->memory = memory;
    TRY(fill_args(engine));
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
    free(resident->args);
}

hff_status resident_write(const struct engine *engine, const struct batch *batch, int part, unsigned char *host)
{
    if (!engine->resident.op || !batch->samples)
        return fail(HFF_E_INTERNAL, "a batch without images, and none are on the device");
    size_t micro = (size_t)engine->micro, from = (size_t)part * micro, bytes = micro * sizeof(int32_t);
    struct places at = places_of(engine);
    memcpy(host, &batch->epoch, sizeof batch->epoch);
    memcpy(host + at.samples, batch->samples + from, bytes);
    if (!engine->resident.recipe.mixes) return HFF_OK;
    memcpy(host + at.partners, batch->partners + from, bytes);
    memcpy(host + at.shares, batch->weight + from, bytes);
    return HFF_OK;
}

hff_status resident_make(struct engine *engine, int slot, struct stream *stream)
{
    struct resident *resident = &engine->resident;
    return engine->backend->api->op_run(resident->op, stream, resident->args[slot], resident->memory + resident->work);
}

hff_status resident_put(struct engine *engine, const struct batch *batch, int part)
{
    TRY(resident_write(engine, batch, part, engine->host));
    void *numbers = engine->resident.args[0][5]; /* they begin with the epoch */
    TRY(engine->backend->api->copy_in(engine->stream, numbers, engine->host, resident_numbers(engine)));
    return resident_make(engine, 0, engine->stream);
}
