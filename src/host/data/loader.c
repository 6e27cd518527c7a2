/* The loader: threads fill a ring of batches ahead of their use.
 *
 * Batches are numbered from the one that loader_open asked for. Threads take the next number under the lock, together
 * with the sample numbers of that batch, and fill its slot without it; a slot is taken again only once its batch was
 * given back. What is in a batch follows from its number, so it does not matter which thread fills it, or when. */
#include "augment.h"

#include "base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    struct batch batch;
    int64_t ready;     /* number of the batch that is in it, -1 at first */
    uint32_t *samples; /* (batch) */
    hff_status status;
    struct trail trail;
};

struct worker {
    struct loader *loader;
    pthread_t thread;
    struct track *track;
    struct augment_scratch scratch;
    float *plain;       /* (B, C, H, W) before mixup */
    uint32_t *partners; /* (B) */
};

struct loader {
    struct loader_options options;
    const struct dataset *set;
    struct augment augment;
    int shuffle, slots, workers; /* workers: threads that run */
    size_t image;                /* C H W */
    int64_t per_epoch, start;    /* batches; number of the first one, counted from epoch 0 */
    int64_t end;                 /* batches to give in all */
    struct slot *slot;
    struct worker *worker;
    atomic_int stop;

    pthread_mutex_t lock; /* guards all below, and slot[].ready */
    pthread_cond_t filled, freed;
    int64_t taken, given, returned; /* by threads; by loader_next; of those, no longer in use */
    uint32_t *order;                /* permutation of order_epoch */
    int64_t order_epoch;
};

int64_t loader_batches(const struct data *data, enum split split, int batch, int training)
{
    int64_t count = data->split[split].count;
    return training ? count / batch : (count + batch - 1) / batch;
}

/* The samples of a batch, under the lock: batches are taken in order, so one permutation at a time will do. */
static void choose_samples(struct loader *loader, int64_t number, uint32_t *samples)
{
    int64_t epoch = number / loader->per_epoch, first = number % loader->per_epoch * loader->options.batch;
    if (loader->shuffle && loader->order_epoch != epoch) {
        struct rng rng;
        rng_open(&rng, loader->options.seed, RNG_SHUFFLE, (uint64_t)epoch, 0);
        rng_permutation(&rng, loader->order, (uint32_t)loader->set->count);
        loader->order_epoch = epoch;
    }
    for (int b = 0; b < loader->options.batch && first + b < loader->set->count; b++)
        samples[b] = loader->shuffle ? loader->order[first + b] : (uint32_t)(first + b);
}

static hff_status fill_sample(struct worker *worker, struct slot *slot, int64_t epoch, int b, float *to)
{
    struct loader *loader = worker->loader;
    uint32_t sample = slot->samples[b];
    int32_t label = loader->set->labels[sample];
    if (label < 0 || label >= loader->options.data->classes)
        return fail(HFF_E_DATA, "%s: sample %u: label %d, but classes go from 0 to %d", loader->options.data->name,
                    sample, label, loader->options.data->classes - 1);
    if (to) {
        struct rng rng;
        rng_open(&rng, loader->options.seed, RNG_AUGMENT, (uint64_t)epoch, sample);
        augment_sample(&loader->augment, &worker->scratch, &rng, loader->set->images + (size_t)sample * loader->image,
                       to);
    }
    slot->batch.y1[b] = slot->batch.y2[b] = label;
    slot->batch.weight[b] = 1.0f;
    return HFF_OK;
}

static void pad(struct batch *batch, size_t image)
{
    size_t rest = (size_t)(batch->size - batch->real);
    if (rest == 0) return;
    if (batch->images) memset(batch->images + (size_t)batch->real * image, 0, rest * image * sizeof(float));
    memset(batch->y1 + batch->real, 0, rest * sizeof(int32_t));
    memset(batch->y2 + batch->real, 0, rest * sizeof(int32_t));
    memset(batch->weight + batch->real, 0, rest * sizeof(float));
}

/* Names the samples to blend, and blends what the worker has made of them. */
static void mix(struct worker *worker, struct slot *slot, int64_t number)
{
    struct loader *loader = worker->loader;
    struct batch *batch = &slot->batch;
    struct rng rng;
    size_t image = loader->image;
    rng_open(&rng, loader->options.seed, RNG_MIXUP, (uint64_t)number, 0);
    augment_mixup(&loader->augment, &rng, batch->real, worker->partners, batch);
    for (int b = 0; b < batch->real; b++) {
        size_t partner = worker->partners[b];
        batch->partners[b] = slot->samples[partner];
        if (batch->images)
            augment_blend(worker->plain + (size_t)b * image, worker->plain + partner * image, batch->weight[b],
                          (int64_t)image, batch->images + (size_t)b * image);
    }
}

static hff_status fill(struct worker *worker, struct slot *slot, int64_t number)
{
    struct loader *loader = worker->loader;
    int64_t epoch = number / loader->per_epoch,
            left = loader->set->count - number % loader->per_epoch * loader->options.batch;
    struct batch *batch = &slot->batch;
    float *images = worker->plain ? worker->plain : batch->images;
    batch->size = loader->options.batch;
    batch->epoch = epoch;
    batch->real = left < batch->size ? (int)left : batch->size;
    for (int b = 0; b < batch->real; b++) {
        if (atomic_load_explicit(&loader->stop, memory_order_relaxed)) return HFF_OK; /* nobody will look */
        hff_status status = fill_sample(worker, slot, epoch, b, images ? images + (size_t)b * loader->image : NULL);
        if (status != HFF_OK)
            return trail_add(status, "loading batch %lld of epoch %lld", (long long)(number % loader->per_epoch) + 1,
                             (long long)epoch + 1);
    }
    if (worker->partners) mix(worker, slot, number);
    pad(batch, loader->image);
    return HFF_OK;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct loader *loader = worker->loader;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->stop && loader->taken < loader->end && loader->taken - loader->returned >= loader->slots)
            pthread_cond_wait(&loader->freed, &loader->lock);
        if (loader->stop || loader->taken == loader->end) break;
        int64_t number = loader->taken++;
        struct slot *slot = &loader->slot[number % loader->slots];
        choose_samples(loader, loader->start + number, slot->samples);
        pthread_mutex_unlock(&loader->lock);
        double begin = trace_begin(worker->track);
        slot->status = fill(worker, slot, loader->start + number);
        trace_end(worker->track, "fill batch", "batch", (loader->start + number) % loader->per_epoch + 1, begin);
        if (slot->status != HFF_OK) trail_take(&slot->trail);
        pthread_mutex_lock(&loader->lock);
        slot->ready = number;
        pthread_cond_broadcast(&loader->filled);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

static void *aligned(size_t count, size_t size)
{
    return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

/* One batch in use, one waiting, one being filled by each thread; no more than there are in a pass. */
static int slots_for(const struct loader_options *options)
{
    int slots = options->workers + 2;
    int64_t pass = loader_batches(options->data, options->split, options->batch, options->training);
    if (options->training || pass >= slots) return slots;
    return pass > 0 ? (int)pass : 1;
}

static int shuffles(const struct loader_options *options)
{
    return options->training && (!options->data_node || config_bool(options->data_node, "shuffle"));
}

size_t loader_bytes(const struct loader_options *options)
{
    const struct data *data = options->data;
    struct augment augment;
    size_t image = (size_t)data->channels * (size_t)data->height * (size_t)data->width * sizeof(float);
    size_t batch = (size_t)options->batch, slots = (size_t)slots_for(options);
    if (options->recipes) image = 0;
    size_t bytes = slots * batch * (image + 2 * sizeof(int32_t) + sizeof(float) + sizeof(uint32_t));
    if (shuffles(options)) bytes += (size_t)data->split[options->split].count * sizeof(uint32_t);
    int mixes = augment_open(&augment, data, options->data_node, options->training) == HFF_OK && augment.mixup > 0;
    if (mixes)
        bytes += (size_t)options->workers * batch * (image + sizeof(uint32_t)) + slots * batch * sizeof(uint32_t);
    return bytes;
}

static int allocate_slot(const struct loader *loader, struct slot *slot, size_t batch)
{
    int images = !loader->options.recipes, partners = loader->augment.mixup > 0;
    slot->ready = -1;
    if (images) slot->batch.images = aligned(batch * loader->image, sizeof(float));
    if (partners) slot->batch.partners = aligned(batch, sizeof(uint32_t));
    slot->batch.y1 = aligned(batch, sizeof(int32_t));
    slot->batch.y2 = aligned(batch, sizeof(int32_t));
    slot->batch.weight = aligned(batch, sizeof(float));
    slot->batch.samples = slot->samples = aligned(batch, sizeof(uint32_t));
    return !images == !slot->batch.images && !partners == !slot->batch.partners && slot->batch.y1 && slot->batch.y2 &&
           slot->batch.weight && slot->samples;
}

static hff_status allocate(struct loader *loader)
{
    size_t batch = (size_t)loader->options.batch;
    if (loader->image > SIZE_MAX / 8 / batch) return fail(HFF_E_MEMORY, "data: batches of %zu images overflow", batch);
    loader->slot = calloc((size_t)loader->slots, sizeof *loader->slot);
    loader->worker = calloc((size_t)loader->options.workers, sizeof *loader->worker);
    int complete = loader->slot && loader->worker;
    for (int i = 0; complete && i < loader->slots; i++) complete = allocate_slot(loader, &loader->slot[i], batch);
    for (int i = 0; complete && i < loader->options.workers; i++) {
        struct worker *worker = &loader->worker[i];
        worker->loader = loader;
        TRY(augment_scratch_open(&worker->scratch, &loader->augment));
        if (loader->augment.mixup <= 0) continue;
        worker->partners = aligned(batch, sizeof(uint32_t));
        if (!loader->options.recipes) worker->plain = aligned(batch * loader->image, sizeof(float));
        complete = worker->partners && (worker->plain || loader->options.recipes);
    }
    if (complete && loader->shuffle)
        complete = (loader->order = aligned((size_t)loader->set->count, sizeof(uint32_t))) != NULL;
    if (complete) return HFF_OK;
    return fail(HFF_E_MEMORY,
                "data: no memory for %d batches of %zu images; use a smaller run.batch or fewer data.workers",
                loader->slots, batch);
}

static void name_tracks(struct loader *loader)
{
    const char *form = loader->options.training ? "loader thread %d" : "loader thread %d of evaluation";
    char name[64];
    for (int i = 0; i < loader->options.workers; i++) {
        snprintf(name, sizeof name, form, i + 1);
        loader->worker[i].track = trace_track(loader->options.trace, "data", name);
    }
}

/* Signals are for the thread that opened the loader, which knows what to do with them. */
static hff_status start(struct loader *loader)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (loader->workers < loader->options.workers) {
        struct worker *worker = &loader->worker[loader->workers];
        error = pthread_create(&worker->thread, NULL, work, worker);
        if (error) break;
        loader->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? fail_errno(HFF_E_MEMORY, error, "data.workers: cannot start thread %d; ask for fewer",
                              loader->workers + 1)
                 : HFF_OK;
}

static hff_status prepare(struct loader *loader, int64_t first_epoch, int64_t first_batch)
{
    const struct loader_options *options = &loader->options;
    const struct data *data = options->data;
    loader->set = &data->split[options->split];
    loader->image = (size_t)data->channels * (size_t)data->height * (size_t)data->width;
    loader->per_epoch = loader_batches(data, options->split, options->batch, options->training);
    if (options->training && loader->per_epoch == 0)
        return fail(HFF_E_CONFIG, "run.batch: %d is more than the %lld training images; choose a smaller batch",
                    options->batch, (long long)loader->set->count);
    loader->start = options->training ? first_epoch * loader->per_epoch + first_batch : first_batch;
    loader->end = options->training ? INT64_MAX : loader->per_epoch - first_batch;
    if (loader->end < 0) loader->end = 0;
    loader->shuffle = shuffles(options);
    loader->slots = slots_for(options);
    TRY(augment_open(&loader->augment, data, options->data_node, options->training));
    TRY(allocate(loader));
    name_tracks(loader);
    return start(loader);
}

hff_status loader_open(struct loader **out, const struct loader_options *options, int64_t first_epoch,
                       int64_t first_batch)
{
    *out = NULL;
    if (options->batch < 1 || options->workers < 1 || first_epoch < 0 || first_batch < 0)
        return fail(HFF_E_INTERNAL, "data: batch %d, %d workers, first epoch %lld, first batch %lld", options->batch,
                    options->workers, (long long)first_epoch, (long long)first_batch);
    struct loader *loader = calloc(1, sizeof *loader);
    if (!loader) return fail(HFF_E_MEMORY, "data: out of memory");
    loader->options = *options;
    loader->order_epoch = -1;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->filled, NULL);
    pthread_cond_init(&loader->freed, NULL);
    hff_status status = prepare(loader, first_epoch, first_batch);
    if (status != HFF_OK) {
        loader_close(loader);
        return status;
    }
    *out = loader;
    return HFF_OK;
}

hff_status loader_next(struct loader *loader, const struct batch **out)
{
    *out = NULL;
    pthread_mutex_lock(&loader->lock);
    if (loader->returned < loader->given) {
        loader->returned = loader->given;
        pthread_cond_broadcast(&loader->freed);
    }
    if (loader->given == loader->end) {
        pthread_mutex_unlock(&loader->lock);
        return HFF_OK;
    }
    struct slot *slot = &loader->slot[loader->given % loader->slots];
    double waited = 0;
    if (slot->ready != loader->given) {
        double from = clock_seconds();
        while (slot->ready != loader->given) pthread_cond_wait(&loader->filled, &loader->lock);
        waited = clock_seconds() - from;
    }
    if (slot->status == HFF_OK) loader->given++; /* else the next call meets the same error */
    pthread_mutex_unlock(&loader->lock);
    if (slot->status != HFF_OK) {
        trail_give(&slot->trail);
        return slot->status;
    }
    slot->batch.waited = waited;
    *out = &slot->batch;
    return HFF_OK;
}

void loader_close(struct loader *loader)
{
    if (!loader) return;
    pthread_mutex_lock(&loader->lock);
    atomic_store(&loader->stop, 1);
    pthread_cond_broadcast(&loader->freed);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->workers; i++) pthread_join(loader->worker[i].thread, NULL);
    for (int i = 0; loader->slot && i < loader->slots; i++) {
        struct batch *batch = &loader->slot[i].batch;
        free(batch->images);
        free(batch->partners);
        free(batch->y1);
        free(batch->y2);
        free(batch->weight);
        free(loader->slot[i].samples);
    }
    for (int i = 0; loader->worker && i < loader->options.workers; i++) {
        augment_scratch_close(&loader->worker[i].scratch);
        free(loader->worker[i].plain);
        free(loader->worker[i].partners);
    }
    free(loader->slot);
    free(loader->worker);
    free(loader->order);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->filled);
    pthread_cond_destroy(&loader->freed);
    free(loader);
}
