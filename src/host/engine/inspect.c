/* What people and files want to know of an engine: metrics, kept tensors, the plan. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static hff_status get(struct engine *engine, int stage, int value, void *out, size_t bytes)
{
    TRY(engine->backend->api->copy_out(engine->stream, out, program_address(engine->stage[stage].program, value),
                                       bytes));
    return engine->backend->api->stream_wait(engine->stream);
}

static hff_status clear_value(struct engine *engine, int stage, int value, size_t bytes)
{
    TRY(engine->backend->api->clear(engine->stream, program_address(engine->stage[stage].program, value), bytes));
    return engine->backend->api->stream_wait(engine->stream);
}

/* Which share of a stage's prototypes won a sample since the last clearing. */
static hff_status winning(struct engine *engine, int stage, int clear, double *out)
{
    const struct stage_run *run = &engine->stage[stage];
    *out = -1;
    if (run->wins < 0) return HFF_OK;
    size_t count = (size_t)engine->classes * (size_t)run->per_class, winners = 0;
    int64_t *wins = engine->host;
    TRY(get(engine, stage, run->wins, wins, count * sizeof *wins));
    for (size_t i = 0; i < count; i++) winners += wins[i] > 0;
    *out = (double)winners / (double)count;
    return clear ? clear_value(engine, stage, run->wins, count * sizeof *wins) : HFF_OK;
}

hff_status engine_metrics(struct engine *engine, int stage, int evaluation, int clear, struct stage_metrics *out)
{
    TRY(engine_drain(engine));
    const struct stage_run *run = &engine->stage[stage];
    int value = evaluation ? run->metrics_eval : run->metrics;
    double sum[METRICS], norm[NORMS];
    TRY(get(engine, stage, value, sum, sizeof sum));
    TRY(get(engine, stage, run->norm, norm, sizeof norm));
    double n = sum[METRIC_SAMPLES] > 0 ? sum[METRIC_SAMPLES] : 1;
    *out = (struct stage_metrics){.samples = sum[METRIC_SAMPLES],
                                  .loss = sum[METRIC_LOSS] / n,
                                  .accuracy = sum[METRIC_CORRECT] / n,
                                  .own = sum[METRIC_OWN] / n,
                                  .other = sum[METRIC_OTHER] / n,
                                  .norm = sum[METRIC_NORM] / n,
                                  .dead = sum[METRIC_DEAD],
                                  .grad_body = norm[NORM_BODY],
                                  .grad_head = norm[NORM_HEAD],
                                  .winning = -1,
                                  .similarity = run->similarity ? sum[METRIC_SIMILARITY] / n : -1,
                                  .slice = engine->micro / engine->slices};
    if (!evaluation) TRY(winning(engine, stage, clear, &out->winning));
    return clear ? clear_value(engine, stage, value, sizeof sum) : HFF_OK;
}

hff_status engine_prototypes(struct engine *engine, int stage, double **out, int64_t *rows, int64_t *width)
{
    const struct stage_run *run = &engine->stage[stage];
    *out = NULL;
    *rows = *width = 0;
    if (run->prototypes < 0) return HFF_OK;
    TRY(engine_drain(engine));
    const struct tensor *tensor = &run->program->slot[run->prototypes].tensor;
    *width = tensor->dim[2];
    *rows = tensor->dim[0] * tensor->dim[1];
    size_t count = (size_t)*rows * (size_t)*width;
    double *p = malloc(count * sizeof *p);
    if (!p) return fail(HFF_E_MEMORY, "no memory for %lld prototypes", (long long)*rows);
    hff_status status = get(engine, stage, run->prototypes, engine->host, tensor_bytes(tensor));
    for (size_t i = 0; i < count; i++)
        p[i] = engine->real == DTYPE_F64 ? ((double *)engine->host)[i] : ((float *)engine->host)[i];
    *out = p;
    return status;
}

/* In eight sums, so that one need not wait for the other; joined in a fixed order. */
static double dot(const double *a, const double *b, int64_t n)
{
    double sum[8] = {0}, rest = 0;
    int64_t whole = n / 8 * 8;
    for (int64_t i = 0; i < whole; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    for (int64_t i = whole; i < n; i++) rest += a[i] * b[i];
    return rest + (((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
}

double engine_prototype_angle_work(const struct engine *engine, int stage)
{
    const struct stage_run *run = &engine->stage[stage];
    if (run->prototypes < 0) return 0;
    const int64_t *dim = run->program->slot[run->prototypes].tensor.dim;
    double rows = (double)(dim[0] * dim[1]);
    return rows * rows / 2 * (double)dim[2];
}

hff_status engine_prototype_angle(struct engine *engine, int stage, double *degrees)
{
    double *p, largest = -1;
    int64_t rows, width;
    *degrees = -1;
    hff_status status = engine_prototypes(engine, stage, &p, &rows, &width);
    if (status != HFF_OK || !p) {
        free(p);
        return status;
    }
    int64_t per_class = engine->stage[stage].per_class;
    for (int64_t a = 0; a < rows; a++)
        for (int64_t b = (a / per_class + 1) * per_class; b < rows; b++) {
            double cosine = dot(p + a * width, p + b * width, width);
            if (cosine > largest) largest = cosine;
        }
    free(p);
    *degrees = acos(largest > 1 ? 1 : largest) * 57.29577951308232;
    return HFF_OK;
}

int engine_kept(const struct engine *engine, int moments, struct kept *tensors)
{
    int count = 0;
    for (int i = 0; i < engine->stages; i++) {
        struct kept *own = tensors ? tensors + count : NULL;
        int of_stage = program_kept(engine->stage[i].program, moments, own);
        for (int k = 0; own && k < of_stage; k++) {
            char name[sizeof own[k].name];
            snprintf(name, sizeof name, "%s", own[k].name);
            snprintf(own[k].name, sizeof own[k].name, "stage.%d.%.60s", i + 1, name);
        }
        count += of_stage;
    }
    return count;
}

hff_status engine_read_part(struct engine *engine, const struct kept *tensor, size_t at, size_t bytes, void *host)
{
    TRY(engine_drain(engine));
    TRY(engine->backend->api->copy_out(engine->stream, host, (unsigned char *)tensor->address + at, bytes));
    return engine->backend->api->stream_wait(engine->stream);
}

hff_status engine_write_part(struct engine *engine, const struct kept *tensor, size_t at, size_t bytes,
                             const void *host)
{
    TRY(engine_drain(engine));
    engine->unpacked = 1;
    TRY(engine->backend->api->copy_in(engine->stream, (unsigned char *)tensor->address + at, host, bytes));
    return engine->backend->api->stream_wait(engine->stream);
}

hff_status engine_read(struct engine *engine, const struct kept *tensor, void *host)
{
    return engine_read_part(engine, tensor, 0, tensor_bytes(&tensor->tensor), host);
}

hff_status engine_write(struct engine *engine, const struct kept *tensor, const void *host)
{
    return engine_write_part(engine, tensor, 0, tensor_bytes(&tensor->tensor), host);
}

int64_t engine_parameters(const struct engine *engine)
{
    int64_t total = 0;
    for (int i = 0; i < engine->stages; i++) {
        const struct graph *graph = &engine->stage[i].program->graph;
        for (int k = 0; k < graph->values; k++)
            if (graph->value[k].role == ROLE_PARAM && !graph->value[k].whole)
                total += tensor_count(&graph->value[k].tensor);
    }
    return total;
}

double engine_flops(const struct engine *engine, int training)
{
    double total = 0;
    for (int i = 0; i < engine->stages; i++) {
        const double *flops = engine->stage[i].flops;
        int later = engine->stages - 1 - i; /* stages for which it is frozen, and previews */
        if (!training) total += flops[SECTION_EVAL];
        for (int s = SECTION_FORWARD; training && s <= SECTION_UPDATE; s++) total += flops[s];
        if (training)
            total += later * flops[SECTION_FROZEN] + (engine->sequential ? later + 1 : 1) * flops[SECTION_PREVIEW];
    }
    if (training && engine->sequential) total /= engine->stages; /* a step trains one */
    return total / engine->micro;
}
