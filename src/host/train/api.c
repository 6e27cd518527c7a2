/* The public interface of training and prediction (include/hff/hff.h). */
#include "model.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

hff_status hff_train(const char *config, const char *const *sets, int count, const char *out, const char *name,
                     int resume, int verbose)
{
    struct train_request request = {
        .config_path = config, .sets = sets, .set_count = count, .out = out, .name = name, .resume = resume};
    enum log_level before = log_get_level();
    request.console.quiet = !verbose;
    if (!verbose) log_set_level(LOG_QUIET);
    hff_status status = train_run(&request, stderr);
    log_set_level(before);
    return status;
}

struct hff_model {
    struct model model;
    struct setup setup;
    struct rules rules;
    enum rule rule;
    json_t *names;
    struct batch batch;
    float *scores;  /* (stages, B, classes) */
    double *joined; /* (2, classes): the sum over stages, one stage's log softmax */
};

static hff_status allocate(struct hff_model *m)
{
    const struct model *model = &m->model;
    size_t batch = (size_t)m->setup.run.batch,
           sample = (size_t)model->channels * (size_t)model->height * (size_t)model->width;
    m->batch.size = m->setup.run.batch;
    m->batch.images = calloc(batch * sample, sizeof(float));
    m->batch.y1 = calloc(batch, sizeof(int32_t));
    m->batch.weight = calloc(batch, sizeof(float));
    m->batch.y2 = m->batch.y1;
    m->scores = calloc((size_t)m->setup.engine->stages * batch * (size_t)model->classes, sizeof(float));
    m->joined = calloc(2 * (size_t)model->classes, sizeof(double));
    if (!m->batch.images || !m->batch.y1 || !m->batch.weight || !m->scores || !m->joined)
        return fail(HFF_E_MEMORY, "no memory for a batch of %zu images", batch);
    return HFF_OK;
}

static hff_status open_model(struct hff_model *m, const char *path, int threads)
{
    TRY(model_open(&m->model, &m->setup, path, NULL, NULL, 0));
    struct shape input = {3, {m->model.channels, m->model.height, m->model.width}};
    m->setup.run.threads = threads;
    TRY(setup_open_for(&m->setup, &input, m->model.classes, 0));
    TRY(rules_from_config(&m->rules, &m->rule, m->setup.config, m->setup.engine));
    model_rules(&m->model, &m->rules);
    if (!m->rules.known[m->rule])
        return fail(HFF_E_FORMAT, "%s: its rule %s has no weights", m->model.path, rule_name(m->rule));
    TRY(json_parse(m->model.path, m->model.class_names, strlen(m->model.class_names), &m->names));
    TRY(setup_fits(&m->setup));
    TRY(engine_bind(m->setup.engine));
    TRY(tensors_read(m->setup.engine, 0, &m->model.file, m->model.path));
    return allocate(m);
}

hff_status hff_model_open(const char *path, int threads, hff_model **out)
{
    struct hff_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return fail(HFF_E_MEMORY, "no memory for a model");
    hff_status status = open_model(m, path, threads);
    if (status != HFF_OK) {
        struct trail trail;
        trail_take(&trail);
        hff_model_free(m);
        trail_give(&trail);
        return status;
    }
    *out = m;
    return HFF_OK;
}

void hff_model_free(hff_model *m)
{
    if (!m) return;
    free(m->batch.images);
    free(m->batch.y1);
    free(m->batch.weight);
    free(m->scores);
    free(m->joined);
    json_decref(m->names);
    rules_close(&m->rules);
    setup_close(&m->setup);
    model_close(&m->model);
    free(m);
}

int hff_model_classes(const hff_model *m)
{
    return m->model.classes;
}

const char *hff_model_class_name(const hff_model *m, int index)
{
    return index < 0 ? NULL : json_string_value(json_array_get(m->names, (size_t)index));
}

int hff_model_stages(const hff_model *m)
{
    return m->setup.engine->stages;
}

void hff_model_image(const hff_model *m, int *channels, int *height, int *width)
{
    *channels = m->model.channels;
    *height = m->model.height;
    *width = m->model.width;
}

static void fill_batch(struct hff_model *m, const uint8_t *pixels, int count)
{
    size_t plane = (size_t)m->model.height * (size_t)m->model.width;
    for (int b = 0; b < m->batch.size; b++) {
        m->batch.weight[b] = b < count;
        for (int c = 0; b < count && c < m->model.channels; c++) {
            size_t at = ((size_t)b * (size_t)m->model.channels + (size_t)c) * plane;
            for (size_t i = 0; i < plane; i++)
                m->batch.images[at + i] = (float)((pixels[at + i] / 255.0 - m->model.mean[c]) / m->model.std[c]);
        }
    }
    m->batch.real = count;
}

hff_status hff_model_predict(hff_model *m, const uint8_t *pixels, int64_t count, int32_t *labels,
                             float *log_probabilities)
{
    size_t classes = (size_t)m->model.classes,
           sample = (size_t)m->model.channels * (size_t)m->model.height * (size_t)m->model.width;
    for (int64_t start = 0; start < count; start += m->batch.size) {
        int now = count - start < m->batch.size ? (int)(count - start) : m->batch.size;
        fill_batch(m, pixels + (size_t)start * sample, now);
        TRY(engine_evaluate(m->setup.engine, &m->batch, m->scores));
        for (int b = 0; b < now; b++) {
            labels[start + b] = rules_join(&m->rules, m->rule, m->scores + (size_t)b * classes,
                                           (size_t)m->batch.size * classes, (int)classes, m->joined);
            for (size_t c = 0; log_probabilities && c < classes; c++)
                log_probabilities[(size_t)(start + b) * classes + c] = (float)m->joined[c];
        }
    }
    return HFF_OK;
}
