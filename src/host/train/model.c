/* Model and optimizer files: writing, reading into an engine, opening a model for use. */
#include "model.h"

#include "base/file.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys that never change a result: left out of the model's metadata, so that runs that should be equal give equal
 * files. */
static const char *const free_keys[][2] = {
    {"run", "name"},      {"run", "out"},        {"run", "threads"},  {"run", "log_every"}, {"run", "checkpoint_every"},
    {"run", "keep"},      {"run", "time_limit"}, {"data", "workers"}, {"engine", "cache"},  {"engine", "pipeline"},
    {"engine", "images"}, {"engine", "capture"}};

static json_t *config_that_matters(const struct config *config)
{
    json_t *all = config_to_json(config);
    for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
        json_object_del(json_object_get(all, free_keys[i][0]), free_keys[i][1]);
    return all;
}

static json_t *numbers(const double *x, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_real(x[i]));
    return list;
}

static json_t *weights_json(const struct rules *rules)
{
    json_t *weights = json_object();
    for (int r = 0; r < RULES; r++)
        if (rules->known[r])
            json_object_set_new(weights, rule_name((enum rule)r), numbers(rules->weight[r], rules->stages));
    return weights;
}

/* Tensors from the engine to a file, piece by piece. */
struct fetch {
    struct engine *engine;
    const struct kept *kept;
    void *host;
};

static hff_status fetch_piece(void *context, int index, size_t at, size_t bytes, const void **data)
{
    struct fetch *fetch = context;
    *data = fetch->host;
    return engine_read_part(fetch->engine, &fetch->kept[index], at, bytes, fetch->host);
}

static hff_status write_tensors(struct engine *engine, int moments, const char *path, const char *const *keys,
                                const char *const *values, int count)
{
    struct arena arena = {0};
    int tensors = engine_kept(engine, moments, NULL);
    struct kept *kept = ARENA_NEW(&arena, struct kept, tensors + 1);
    struct safetensor *out = ARENA_NEW(&arena, struct safetensor, tensors + 1);
    engine_kept(engine, moments, kept);
    for (int i = 0; i < tensors; i++) {
        const struct tensor *t = &kept[i].tensor;
        out[i] =
            (struct safetensor){.name = kept[i].name, .dtype = t->dtype, .rank = t->rank, .bytes = tensor_bytes(t)};
        for (int d = 0; d < t->rank; d++) out[i].dim[d] = t->dim[d];
    }
    struct fetch fetch = {.engine = engine, .kept = kept, .host = malloc(SAFETENSORS_PIECE)};
    hff_status status = fetch.host
                            ? safetensors_write_fetched(path, out, tensors, fetch_piece, &fetch, keys, values, count)
                            : fail(HFF_E_MEMORY, "no memory to save %s", path);
    free(fetch.host);
    arena_free(&arena);
    return status;
}

hff_status model_write(const struct setup *setup, const struct rules *rules, const char *path)
{
    enum { KEYS = 7 };
    const struct engine *engine = setup->engine;
    int count = engine->evaluated < engine->stages ? KEYS : KEYS - 1; /* trained: where not all have learnt */
    const struct data *data = setup->data;
    json_t *names = json_array(), *input = json_object();
    for (int c = 0; c < data->classes; c++) json_array_append_new(names, json_string(data->class_names[c]));
    json_object_set_new(input, "channels", json_integer(data->channels));
    json_object_set_new(input, "height", json_integer(data->height));
    json_object_set_new(input, "width", json_integer(data->width));
    json_object_set_new(input, "mean", numbers(data->mean, data->channels));
    json_object_set_new(input, "std", numbers(data->std, data->channels));
    json_t *values[KEYS] = {NULL,
                            config_that_matters(setup->config),
                            names,
                            input,
                            weights_json(rules),
                            identity_json(data),
                            json_integer(engine->evaluated)};
    const char *keys[KEYS] = {"format", "config", "classes", "input", "predict", "data", "trained"};
    char *texts[KEYS] = {strdup("hff-model-1")};
    for (int i = 1; i < KEYS; i++) {
        texts[i] = json_text_sorted(values[i]); /* a config's order and a --set must not show */
        json_decref(values[i]);
    }
    hff_status status = write_tensors(setup->engine, 0, path, keys, (const char *const *)texts, count);
    for (int i = 0; i < KEYS; i++) free(texts[i]);
    return status;
}

hff_status optimizer_write(const struct setup *setup, const char *path)
{
    return write_tensors(setup->engine, 1, path, (const char *const[]){"format"},
                         (const char *const[]){"hff-optimizer-1"}, 1);
}

static int same_shape(const struct safetensor *file, const struct tensor *own)
{
    if (file->dtype != own->dtype || file->rank != own->rank) return 0;
    for (int d = 0; d < own->rank; d++)
        if (file->dim[d] != own->dim[d]) return 0;
    return 1;
}

static hff_status read_one(struct engine *engine, const struct kept *kept, const struct safetensors *file,
                           const char *path, const struct safetensor *tensor)
{
    void *piece = malloc(SAFETENSORS_PIECE);
    hff_status status = piece ? HFF_OK : fail(HFF_E_MEMORY, "no memory to load %s", kept->name);
    for (size_t at = 0; at < tensor->bytes && status == HFF_OK; at += SAFETENSORS_PIECE) {
        size_t left = tensor->bytes - at, bytes = left < SAFETENSORS_PIECE ? left : SAFETENSORS_PIECE;
        status = safetensors_load(file, path, tensor, at, bytes, piece);
        if (status == HFF_OK) status = engine_write_part(engine, kept, at, bytes, piece);
    }
    free(piece);
    return status;
}

hff_status tensors_read(struct engine *engine, int moments, const struct safetensors *file, const char *path)
{
    int count = engine_kept(engine, moments, NULL);
    struct arena arena = {0};
    struct kept *kept = ARENA_NEW(&arena, struct kept, count + 1);
    engine_kept(engine, moments, kept);
    hff_status status = HFF_OK;
    for (int i = 0; i < count && status == HFF_OK; i++) {
        const struct safetensor *tensor = safetensors_find(file, kept[i].name);
        char own[96];
        if (!tensor)
            status =
                fail(HFF_E_FORMAT, "%s: tensor %s is missing; the file belongs to another net", path, kept[i].name);
        else if (!same_shape(tensor, &kept[i].tensor))
            status = fail(HFF_E_FORMAT, "%s: tensor %s is not %s; the file belongs to another net", path, kept[i].name,
                          tensor_text(&kept[i].tensor, own, sizeof own));
        else
            status = read_one(engine, &kept[i], file, path, tensor);
    }
    if (status == HFF_OK && file->count != count)
        status = fail(HFF_E_FORMAT, "%s: has %d tensors, the net has %d; the file belongs to another net", path,
                      file->count, count);
    arena_free(&arena);
    return status;
}

hff_status tensors_read_matching(struct engine *engine, const struct safetensors *file, const char *path, int *taken,
                                 int *total)
{
    int count = engine_kept(engine, 0, NULL);
    *taken = *total = 0;
    struct arena arena = {0};
    struct kept *kept = ARENA_NEW(&arena, struct kept, count + 1);
    engine_kept(engine, 0, kept);
    hff_status status = HFF_OK;
    for (int i = 0; i < count && status == HFF_OK; i++) {
        if (kept[i].constant) continue; /* this run's config says it */
        ++*total;
        const struct safetensor *tensor = safetensors_find(file, kept[i].name);
        if (!tensor || !same_shape(tensor, &kept[i].tensor)) {
            log_warn("%s starts afresh: the model has none of that name and shape", kept[i].name);
            continue;
        }
        status = read_one(engine, &kept[i], file, path, tensor);
        ++*taken;
    }
    arena_free(&arena);
    return status;
}

hff_status model_find(const char *what, char **path)
{
    struct arena arena = {0};
    char *file = arena_text(&arena, what), *checkpoint = NULL;
    int64_t step;
    hff_status status = HFF_OK;
    if (file_is_folder(what)) {
        file = file_join(&arena, what, "model.safetensors");
        if (!file_exists(file)) {
            status = checkpoint_newest(&arena, what, &checkpoint, &step);
            if (status == HFF_OK && !checkpoint)
                status = fail(HFF_E_IO, "%s: no model.safetensors and no checkpoint in this folder", what);
            if (status == HFF_OK) file = file_join(&arena, checkpoint, "model.safetensors");
        }
    } else if (!file_exists(what)) {
        status = fail(HFF_E_IO, "%s: no such run folder or model file", what);
    }
    *path = status == HFF_OK ? strdup(file) : NULL;
    if (status == HFF_OK && !*path) status = fail(HFF_E_MEMORY, "no memory for a path");
    arena_free(&arena);
    return status;
}

/* A finite number of a list; not a number when there is none. */
static double number_at(const json_t *list, size_t index)
{
    const json_t *item = json_array_get(list, index);
    return json_is_number(item) ? json_number_value(item) : NAN;
}

static hff_status read_normalisation(struct model *model, const json_t *input)
{
    const json_t *mean = json_object_get(input, "mean"), *std = json_object_get(input, "std");
    for (int c = 0; c < model->channels; c++) {
        double m = number_at(mean, (size_t)c), s = number_at(std, (size_t)c);
        if (c >= 4 || !isfinite(m) || !isfinite(s) || s <= 0)
            return fail(HFF_E_FORMAT, "%s: no valid normalisation for channel %d in its metadata", model->path, c + 1);
        model->mean[c] = m;
        model->std[c] = s;
    }
    return HFF_OK;
}

static hff_status read_input(struct model *model)
{
    const char *text = safetensors_metadata(&model->file, "input");
    json_t *input;
    int64_t size[3];
    if (!text) return fail(HFF_E_FORMAT, "%s: not an hff model (metadata without \"input\")", model->path);
    TRY(json_parse(model->path, text, strlen(text), &input));
    static const char *const keys[3] = {"channels", "height", "width"};
    hff_status status = HFF_OK;
    for (int i = 0; i < 3 && status == HFF_OK; i++) {
        status = json_member_int(input, model->path, keys[i], &size[i]);
        if (status == HFF_OK && (size[i] < 1 || size[i] > 65536))
            status = fail(HFF_E_FORMAT, "%s: input %s is %lld", model->path, keys[i], (long long)size[i]);
    }
    if (status == HFF_OK) {
        model->channels = (int)size[0];
        model->height = (int)size[1];
        model->width = (int)size[2];
        status = read_normalisation(model, input);
    }
    json_decref(input);
    return status;
}

/* Of how many stages it is that have learnt, where not of all. */
static hff_status read_trained(const struct model *model, int *trained)
{
    const char *text = safetensors_metadata(&model->file, "trained");
    char *end = NULL;
    *trained = 0;
    if (!text) return HFF_OK;
    long number = strtol(text, &end, 10);
    if (*end || number < 1 || number > 1000000)
        return fail(HFF_E_FORMAT, "%s: its metadata say that '%.20s' stages have learnt", model->path, text);
    *trained = (int)number;
    return HFF_OK;
}

static hff_status read_metadata(struct model *model, struct setup *setup, const char *data_root,
                                const char *const *sets, int set_count)
{
    const char *config = safetensors_metadata(&model->file, "config"),
               *predict = safetensors_metadata(&model->file, "predict");
    const char *format = safetensors_metadata(&model->file, "format");
    json_t *names;
    model->class_names = safetensors_metadata(&model->file, "classes");
    if (!format || strcmp(format, "hff-model-1") != 0 || !config || !predict || !model->class_names)
        return fail(HFF_E_FORMAT, "%s: not an hff model (its metadata is missing or of another version)", model->path);
    TRY(read_input(model));
    TRY(read_trained(model, &setup->trained));
    TRY(json_parse(model->path, model->class_names, strlen(model->class_names), &names));
    model->classes = (int)json_array_size(names);
    json_decref(names);
    if (model->classes < 1) return fail(HFF_E_FORMAT, "%s: no classes in its metadata", model->path);
    TRY(json_parse(model->path, predict, strlen(predict), &model->weights));
    const char *data = safetensors_metadata(&model->file, "data");
    if (data) TRY(json_parse(model->path, data, strlen(data), &model->identity));
    struct arena arena = {0};
    const char **all = ARENA_NEW(&arena, const char *, set_count + 1);
    if (set_count) memcpy(all, sets, sizeof *sets * (size_t)set_count);
    int count = set_count;
    if (data_root) all[count++] = arena_printf(&arena, "data.root=%s", data_root);
    hff_status status = config_parse(&setup->config, config_tables, model->path, config, all, count);
    arena_free(&arena);
    TRY(status);
    return setup_options(setup);
}

hff_status model_open(struct model *model, struct setup *setup, const char *what, const char *data_root,
                      const char *const *sets, int set_count)
{
    memset(model, 0, sizeof *model);
    TRY(model_find(what, &model->path));
    TRY(safetensors_open(&model->file, model->path));
    return read_metadata(model, setup, data_root, sets, set_count);
}

void model_close(struct model *model)
{
    safetensors_free(&model->file);
    json_decref(model->weights);
    json_decref(model->identity);
    free(model->path);
    memset(model, 0, sizeof *model);
}

void model_rules(const struct model *model, struct rules *rules)
{
    for (int r = RULE_WEIGHTED; r <= RULE_BEST; r++) {
        const json_t *list = json_object_get(model->weights, rule_name((enum rule)r));
        int valid = (int)json_array_size(list) == rules->stages;
        for (int l = 0; l < rules->stages; l++) {
            rules->weight[r][l] = number_at(list, (size_t)l);
            valid = valid && isfinite(rules->weight[r][l]) && rules->weight[r][l] >= 0;
        }
        rules->known[r] = valid;
    }
}

hff_status model_fit_data(const struct model *model, struct data *data)
{
    if (data->channels != model->channels || data->height != model->height || data->width != model->width)
        return fail(HFF_E_DATA, "%s was trained on %dx%dx%d images, the data has %dx%dx%d", model->path,
                    model->channels, model->height, model->width, data->channels, data->height, data->width);
    if (data->classes != model->classes)
        return fail(HFF_E_DATA, "%s knows %d classes, the data has %d", model->path, model->classes, data->classes);
    for (int c = 0; c < model->channels; c++) {
        data->mean[c] = model->mean[c];
        data->std[c] = model->std[c];
    }
    return HFF_OK;
}
