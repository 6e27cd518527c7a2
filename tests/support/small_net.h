/* Small nets for tests: an engine made from config text, with random batches. */
#ifndef TESTS_SUPPORT_SMALL_NET_H
#define TESTS_SUPPORT_SMALL_NET_H

#include "backend/augment.h"
#include "base/philox.h"
#include "train/setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka's macro; ours is a function of base/status.h */
#undef fail_msg
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        print_error("ERROR: " __VA_ARGS__);                                                                            \
        print_error("\n");                                                                                             \
        _fail(__FILE__, __LINE__);                                                                                     \
    } while (0)

enum { SMALL_IMAGES = 60, SMALL_PIXELS = 12 * 12, SMALL_BATCH_MOST = 64 };

struct small_net {
    struct setup setup;
    struct batch batch;
    float *images; /* the batch's */
    struct recipe recipe;
    struct dataset set;
    uint8_t pixels[SMALL_IMAGES * SMALL_PIXELS];
    uint32_t samples[SMALL_BATCH_MOST], partners[SMALL_BATCH_MOST];
    int64_t sample;
};

#define SMALL_OK(expr)                                                                                                 \
    do {                                                                                                               \
        if ((expr) != HFF_OK) fail_msg("%s: %s", #expr, hff_error_message());                                          \
    } while (0)

/* Config text for (1, 12, 12) images of 5 classes. */
#define SMALL_MLP                                                                                                      \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{linear: {units: 40}}, {linear: {units: 33}}, {linear: {units: 20, norm: batch}}]}\n"
#define SMALL_CNN                                                                                                      \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{conv: {channels: 16, pool: {max: 2}}}, {conv: {channels: 20, norm: none, stride: 2}}, {conv: "    \
    "{channels: 18}}]}\n"                                                                                              \
    "objective: {prototypes: {per_class: 2}, learn_scale: true, head: {aux: 24, aux_act: relu, grid: 2}}\n"

#define SMALL_FF                                                                                                       \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{linear: {units: 40}}, {linear: {units: 33}}, {linear: {units: 20}}]}\n"                           \
    "objective: {kind: ff}\n"
#define SMALL_FF_HARD                                                                                                  \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{linear: {units: 40}}, {linear: {units: 33}}, {linear: {units: 20}}]}\n"                           \
    "objective: {kind: ff, ff: {negatives: hard, hard_after: 0}}\n"                                                    \
    "optimizer: {lr: 0.05}\n"
#define SMALL_FF_CNN                                                                                                   \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{conv: {channels: 16, norm: none, pool: {max: 2}}}, {conv: {channels: 20, norm: none, stride: "    \
    "2}}, {conv: {channels: 18, norm: none}}]}\n"                                                                      \
    "objective: {kind: ff, ff: {overlay: planes, goodness: mean}, head: {grid: 2}}\n"
/* Channels and units that 5 classes divide, for the objectives that want that. */
#define SMALL_FIVES                                                                                                    \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{conv: {channels: 15, pool: {max: 2}}}, {conv: {channels: 20, norm: none, stride: 2}}, {linear: "  \
    "{units: 25}}]}\n"                                                                                                 \
    "objective: {head: {aux: 24, aux_act: relu, grid: 2}}\n"
#define SMALL_RESIDUAL                                                                                                 \
    "run: {batch: 24, slices: 4, backend: cpu}\n"                                                                      \
    "net: {stages: [{basic_block: {channels: 6, stride: 2}}, {basic_block: {channels: 6, act: leaky_relu}}, "          \
    "{bottleneck: {channels: 4, expansion: 2}}]}\n"                                                                    \
    "objective: {head: {aux: 12, grid: 2}}\n"

/* Skips the test where a backend does not compute in a type. */
static inline void small_net_needs(const char *name, enum dtype dtype)
{
    struct backend *backend;
    SMALL_OK(backend_open(name, 1, &backend));
    int computes = backend->api->computes(backend, dtype);
    if (!computes) print_message("no %s on %s (%s)\n", dtype_name(dtype), name, backend->api->describe(backend));
    backend_close(backend);
    if (!computes) skip();
}

/* A training set, of which engine.images device makes batches. */
static inline void small_net_images(struct small_net *net)
{
    struct rng rng;
    rng_open(&rng, 7, RNG_TEST, 1000, 0);
    for (int i = 0; i < SMALL_IMAGES * SMALL_PIXELS; i++) net->pixels[i] = (uint8_t)rng_u32(&rng);
    for (int v = 0; v < 256; v++) net->recipe.table[0][v] = (float)((v - 100) / 50.0);
    net->set = (struct dataset){.count = SMALL_IMAGES, .channels = 1, .height = 12, .width = 12, .images = net->pixels};
    net->recipe.set = &net->set;
    net->recipe.mixes = 1;
    net->recipe.rule = (struct augment_rule){
        .seed = 5, .changes = 3, .change = {{AUGMENT_CROP, 3, 1}, {AUGMENT_FLIP, 0, 0}, {AUGMENT_CUTOUT, 4, 0}}};
}

/* backend: what computes, closed with the net; NULL: run.backend with that many threads. */
static inline struct small_net *small_net_open_on(struct backend *backend, const char *text, const char *const *sets,
                                                  int set_count, int threads, enum dtype real, uint64_t seed)
{
    struct small_net *net = calloc(1, sizeof *net);
    small_net_images(net);
    struct shape input = {3, {1, 12, 12}};
    assert_non_null(net);
    SMALL_OK(config_parse(&net->setup.config, config_tables, "test", text, sets, set_count));
    SMALL_OK(setup_options(&net->setup));
    struct shape first = input;
    SMALL_OK(objective_input(net->setup.config, 5, &first));
    SMALL_OK(net_build(&net->setup.net, config_at(config_root(net->setup.config), "net"), &first));
    net->setup.backend = backend;
    if (!backend) SMALL_OK(backend_open(net->setup.run.backend, threads, &net->setup.backend));
    const struct backend_api *api = net->setup.backend->api;
    if (api->set_precision) SMALL_OK(api->set_precision(net->setup.backend, net->setup.run.precision));
    struct engine_options options = {.config = net->setup.config,
                                     .net = net->setup.net,
                                     .backend = net->setup.backend,
                                     .real = real,
                                     .act = real == DTYPE_F32 ? net->setup.run.act : real,
                                     .classes = 5,
                                     .batch = net->setup.run.batch,
                                     .slices = net->setup.run.slices,
                                     .micro = net->setup.run.micro,
                                     .total_steps = 20,
                                     .epoch_steps = 4,
                                     .samples = 60,
                                     .image = input,
                                     .white = 2.5,
                                     .recipe = &net->recipe};
    SMALL_OK(engine_open(&net->setup.engine, &options));
    SMALL_OK(engine_bind(net->setup.engine));
    SMALL_OK(engine_init(net->setup.engine, seed));
    int b = net->setup.run.batch;
    net->sample = shape_count(&input);
    net->batch = (struct batch){.size = b, .real = b};
    net->batch.images = net->images = calloc((size_t)b * (size_t)net->sample, sizeof(float));
    net->batch.y1 = calloc((size_t)b, sizeof(int32_t));
    net->batch.y2 = calloc((size_t)b, sizeof(int32_t));
    net->batch.weight = calloc((size_t)b, sizeof(float));
    return net;
}

static inline struct small_net *small_net_open(const char *text, const char *const *sets, int set_count, int threads,
                                               enum dtype real, uint64_t seed)
{
    return small_net_open_on(NULL, text, sets, set_count, threads, real, seed);
}

static inline void small_net_close(struct small_net *net)
{
    free(net->images);
    free(net->batch.y1);
    free(net->batch.y2);
    free(net->batch.weight);
    setup_close(&net->setup);
    free(net);
}

/* Fills the batch with random images and labels of step number. */
static inline void small_net_draw(struct small_net *net, int number)
{
    struct rng rng;
    rng_open(&rng, 7, RNG_TEST, (uint64_t)number, 0);
    for (int i = 0; i < net->batch.size; i++) {
        net->batch.y1[i] = (int32_t)rng_below(&rng, 5);
        net->batch.y2[i] = (int32_t)rng_below(&rng, 5);
        net->batch.weight[i] = 0.5f + 0.5f * rng_uniform(&rng);
        for (int64_t k = 0; k < net->sample; k++) net->images[i * net->sample + k] = (float)rng_normal(&rng);
    }
}

/* The batch of step number is of images of the training set, blended: named where they are on the device, else made. */
static inline void small_net_draw_known(struct small_net *net, int number)
{
    struct op_desc desc = {.kind = OP_AUGMENT, .attr.augment = net->recipe.rule};
    struct rng rng;
    small_net_draw(net, number);
    rng_open(&rng, 7, RNG_TEST, (uint64_t)number, 1);
    for (int i = 0; i < net->batch.size; i++) {
        net->samples[i] = rng_below(&rng, SMALL_IMAGES);
        net->partners[i] = rng_below(&rng, SMALL_IMAGES);
    }
    net->batch.samples = net->samples;
    net->batch.partners = net->partners;
    net->batch.epoch = number / 2;
    net->batch.images = net->setup.engine->resident.op ? NULL : net->images;
    desc.arg[0] = tensor_make4(DTYPE_U8, SMALL_IMAGES, 1, 12, 12);
    desc.arg[3] = tensor_make1(DTYPE_I32, net->batch.size);
    void *scratch = calloc(1, augment_scratch(&desc));
    void *const args[] = {net->pixels,   net->recipe.table, net->samples,
                          net->partners, net->batch.weight, &net->batch.epoch};
    for (int i = 0; net->batch.images && i < net->batch.size; i++)
        augment_row(&desc, args, i, scratch, net->images + i * SMALL_PIXELS);
    free(scratch);
}

static inline void small_net_train(struct small_net *net, int steps)
{
    for (int s = 0; s < steps; s++) {
        small_net_draw(net, s);
        SMALL_OK(engine_step(net->setup.engine, &net->batch));
    }
}

/* All kept tensors (moments: the optimizer's) in one block of malloc'ed memory; *kept their descriptions, *count how
 * many. */
static inline unsigned char *small_net_tensors(struct small_net *net, int moments, struct kept **kept, int *count,
                                               size_t *bytes)
{
    *count = engine_kept(net->setup.engine, moments, NULL);
    *kept = calloc((size_t)*count + 1, sizeof **kept);
    engine_kept(net->setup.engine, moments, *kept);
    *bytes = 0;
    for (int i = 0; i < *count; i++) *bytes += tensor_bytes(&(*kept)[i].tensor);
    unsigned char *all = malloc(*bytes + 1), *at = all;
    for (int i = 0; i < *count; i++) {
        SMALL_OK(engine_read(net->setup.engine, &(*kept)[i], at));
        at += tensor_bytes(&(*kept)[i].tensor);
    }
    return all;
}

#endif
