/* What frozen stages pass on, kept by sample number. It is filled by the steps themselves: a batch of which a sample is
 * missing is computed and kept whole, so that a resumed run needs nothing but time to have it again. A sample's numbers do
 * not depend on the batch that it comes in, so a run with the cache gives the same bytes as one without. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

static const struct tensor *input_of(const struct engine *engine, int stage)
{
    const struct stage_run *run = &engine->stage[stage];
    return &run->program->slot[run->input].tensor;
}

hff_status cache_plan(struct engine *engine, const struct engine_options *options)
{
    const struct config_node *root = config_root(options->config), *node = config_at(root, "engine.cache");
    struct cache *cache = &engine->cache;
    size_t widest = 0;
    if (options->total_steps == 0 || strcmp(config_text(root, "engine.cache"), "none") == 0) return HFF_OK;
    if (!engine->sequential)
        return config_fail(node, "engine.cache keeps what frozen stages pass on, and with engine.schedule joint none "
                                 "is; use engine.cache none, or engine.schedule sequential");
    if (config_count(config_at(root, "data.augment")) > 0)
        return config_fail(node, "engine.cache keeps what an image became in the frozen stages, and data.augment makes "
                                 "it another image in every epoch; use engine.cache none, or data.augment []");
    if (engine->stage[0].drawn)
        return config_fail(node,
                           "engine.cache keeps what an image became in the frozen stages, and with objective %s these "
                           "get another drawing with it at every step; use engine.cache none",
                           engine->stage[0].objective->name);
    for (int i = 1; i < engine->stages; i++) {
        size_t bytes = tensor_row_bytes(input_of(engine, i));
        if (bytes > widest) widest = bytes;
    }
    if (widest == 0) return HFF_OK; /* one stage, or no data */
    if (options->samples > 0 && widest + 1 > SIZE_MAX / (size_t)options->samples)
        return config_fail(node, "engine.cache: %lld samples of %zu bytes are too many; use engine.cache none",
                           (long long)options->samples, widest);
    cache->samples = options->samples;
    cache->bytes = (size_t)cache->samples * (widest + 1);
    return HFF_OK;
}

hff_status cache_bind(struct engine *engine)
{
    struct cache *cache = &engine->cache;
    if (cache->bytes == 0) return HFF_OK;
    cache->row = malloc(cache->bytes - (size_t)cache->samples);
    cache->have = malloc((size_t)cache->samples);
    if (cache->row && cache->have) return HFF_OK;
    return fail(HFF_E_MEMORY, "no memory to keep %zu bytes of what frozen stages pass on; use engine.cache none",
                cache->bytes);
}

void cache_free(struct engine *engine)
{
    free(engine->cache.row);
    free(engine->cache.have);
}

/* The numbers of a part's samples. */
static const uint32_t *samples_of(const struct engine *engine, const struct batch *batch, int part)
{
    return batch->samples + (size_t)part * (size_t)engine->micro;
}

static hff_status check_numbers(const struct cache *cache, const uint32_t *sample, int count)
{
    for (int b = 0; b < count; b++)
        if (sample[b] >= cache->samples)
            return fail(HFF_E_INTERNAL, "sample %u of a batch, but the training data have %lld", sample[b],
                        (long long)cache->samples);
    return HFF_OK;
}

hff_status cache_get(struct engine *engine, int stage, const struct batch *batch, int part, int *known)
{
    struct cache *cache = &engine->cache;
    size_t bytes = tensor_row_bytes(input_of(engine, stage));
    *known = 0;
    if (cache->bytes == 0 || !batch->samples) return HFF_OK;
    const uint32_t *sample = samples_of(engine, batch, part);
    TRY(check_numbers(cache, sample, engine->micro));
    if (cache->stage != stage) memset(cache->have, 0, (size_t)cache->samples);
    cache->stage = stage;
    for (int b = 0; b < engine->micro; b++)
        if (!cache->have[sample[b]]) return HFF_OK;
    unsigned char *to = program_address(engine->stage[stage].program, engine->stage[stage].input);
    for (int b = 0; b < engine->micro; b++) /* one by one: staging a batch would be memory and time for nothing */
        TRY(engine->backend->api->copy_in(engine->stream, to + (size_t)b * bytes,
                                          cache->row + (size_t)sample[b] * bytes, bytes));
    *known = 1;
    return HFF_OK;
}

hff_status cache_keep(struct engine *engine, int stage, const struct batch *batch, int part)
{
    struct cache *cache = &engine->cache;
    size_t bytes = tensor_row_bytes(input_of(engine, stage));
    if (cache->bytes == 0 || !batch->samples) return HFF_OK;
    const uint32_t *sample = samples_of(engine, batch, part);
    const unsigned char *from = program_address(engine->stage[stage].program, engine->stage[stage].input);
    for (int b = 0; b < engine->micro; b++) {
        TRY(engine->backend->api->copy_out(engine->stream, cache->row + (size_t)sample[b] * bytes,
                                           from + (size_t)b * bytes, bytes));
        cache->have[sample[b]] = 1;
    }
    return engine->backend->api->stream_wait(engine->stream);
}
