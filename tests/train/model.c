/* A trained run through the public interface: the model file alone predicts what the evaluation scored, and files that
 * are no models are refused. */
#include "train/model.h"
#include "hff/hff.h"

#include "support/small_net.h"

#include "base/file.h"

#include <math.h>

static const char mlp[] = "run: {epochs: 2, batch: 20, slices: 4, backend: cpu, log_every: 1000}\n"
                          "data: {source: digits, digits: {train: 300, test: 50}, holdout: 0.2}\n"
                          "net: {stages: [{linear: {units: 30}}, {linear: {units: 20, norm: batch}}]}\n";
static const char cnn[] = "run: {epochs: 1, batch: 20, slices: 2, backend: cpu, final: best}\n"
                          "data: {source: digits, digits: {train: 200, test: 50}, holdout: 0.2}\n"
                          "net: {stages: [{conv: {channels: 6, pool: {max: 4}}}, {linear: {units: 10}}]}\n"
                          "objective: {learn_scale: true, prototypes: {per_class: 2}, head: {aux: 12}}\n";

struct scene {
    struct arena arena;
    char folder[32];
};

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->folder, "model-");
    memset(scene->folder + strlen(scene->folder), 'X', 6); /* what mkdtemp replaces */
    *state = scene;
    return mkdtemp(scene->folder) ? 0 : -1;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    int removed = file_remove_tree(scene->folder) == HFF_OK;
    arena_free(&scene->arena);
    free(scene);
    return removed ? 0 : -1;
}

static char *in_scene(struct scene *scene, const char *name)
{
    return file_join(&scene->arena, scene->folder, name);
}

/* Trains text under name; returns the run folder. */
static char *train(struct scene *scene, const char *text, const char *name, const char *set)
{
    char *config = in_scene(scene, "config.yaml");
    SMALL_OK(file_write(config, text, strlen(text)));
    SMALL_OK(hff_train(config, &set, set ? 1 : 0, scene->folder, name, 0, 0));
    return in_scene(scene, name);
}

/* All scores (stages, samples, classes) and labels of the test split, as hff eval --scores writes them. */
static void score(struct scene *scene, const char *run, const char *set, struct safetensors *out)
{
    char *path = in_scene(scene, "scores.safetensors");
    FILE *nowhere = tmpfile();
    assert_non_null(nowhere);
    struct eval_request request = {.model = run, .scores = path, .split = SPLIT_TEST, .sets = &set, .json = 1};
    request.set_count = set != NULL;
    request.console.quiet = 1;
    SMALL_OK(eval_run(&request, nowhere));
    fclose(nowhere);
    SMALL_OK(safetensors_read(out, path));
}

/* The test images as pixels 0 .. 255. */
static void open_data(const char *text, struct config **config, struct data **data)
{
    SMALL_OK(config_parse(config, config_tables, "test", text, NULL, 0));
    SMALL_OK(data_open(data, config_at(config_root(*config), "data"), 1));
}

/* log softmax of the weighted sum of the stages' log softmax, written out anew. */
static void join(const float *scores, const double *weight, int stages, int64_t samples, int64_t n, double *out)
{
    double sum = 0;
    memset(out, 0, 10 * sizeof *out);
    for (int l = 0; l < stages; l++) {
        const float *s = scores + (l * samples + n) * 10;
        double total = 0;
        for (int c = 0; c < 10; c++) total += exp((double)s[c]);
        for (int c = 0; c < 10; c++) out[c] += weight[l] * (s[c] - log(total));
    }
    for (int c = 0; c < 10; c++) sum += exp(out[c]);
    for (int c = 0; c < 10; c++) out[c] -= log(sum);
}

static void check_predictions(hff_model *model, const struct data *data, const struct safetensors *scored,
                              const double *weight)
{
    const struct dataset *test = &data->split[SPLIT_TEST];
    const struct safetensor *scores = safetensors_find(scored, "scores"), *labels = safetensors_find(scored, "labels");
    int stages = hff_model_stages(model);
    int64_t n = test->count;
    assert_int_equal(scores->rank, 3);
    assert_int_equal(scores->dim[0], stages);
    assert_int_equal(scores->dim[1], n);
    assert_int_equal(scores->dim[2], 10);
    float *s = malloc(scores->bytes), *log_p = malloc((size_t)n * 10 * sizeof *log_p);
    int32_t *guess = malloc((size_t)n * sizeof *guess), *alone = malloc((size_t)n * sizeof *alone);
    memcpy(s, scores->data, scores->bytes);
    assert_memory_equal(labels->data, test->labels, (size_t)n * sizeof(int32_t));
    SMALL_OK(hff_model_predict(model, test->images, n, guess, log_p));
    for (int64_t i = 0; i < n; i++) {
        double expected[10];
        int best = 0;
        join(s, weight, stages, n, i, expected);
        for (int c = 0; c < 10; c++) {
            if (!(fabs(expected[c] - log_p[i * 10 + c]) <= 1e-5 * (1 + fabs(expected[c]))))
                fail_msg("sample %d, class %d: %g, not %g", (int)i, c, log_p[i * 10 + c], expected[c]);
            if (expected[c] > expected[best]) best = c;
        }
        assert_int_equal(guess[i], best);
        SMALL_OK(hff_model_predict(model, test->images + i * 28 * 28, 1, alone + i, NULL)); /* one at a time */
    }
    assert_memory_equal(guess, alone, (size_t)n * sizeof *guess);
    SMALL_OK(hff_model_predict(model, test->images, 0, guess, NULL));
    free(s);
    free(log_p);
    free(guess);
    free(alone);
}

/* The weights of a rule in the model file's metadata. */
static void read_weights(const char *run, const char *rule, double *out)
{
    struct arena arena = {0};
    struct safetensors file;
    json_t *weights;
    SMALL_OK(safetensors_read(&file, file_join(&arena, run, "model.safetensors")));
    const char *text = safetensors_metadata(&file, "predict");
    assert_non_null(text);
    SMALL_OK(json_parse("predict", text, strlen(text), &weights));
    for (size_t l = 0; l < 2; l++) out[l] = json_number_value(json_array_get(json_object_get(weights, rule), l));
    json_decref(weights);
    safetensors_free(&file);
    arena_free(&arena);
}

static void predictions_are_the_evaluations(void **state)
{
    struct scene *scene = *state;
    static const char *const texts[] = {mlp, cnn}, *const rules[][2] = {{"sum", "weighted"}, {"last", "best"}};
    for (int t = 0; t < 2; t++) {
        struct config *config;
        struct data *data;
        open_data(texts[t], &config, &data);
        for (int r = 0; r < 2; r++) {
            char *set = arena_printf(&scene->arena, "predict.rule=%s", rules[t][r]);
            char *run = train(scene, texts[t], rules[t][r], set);
            struct safetensors scored;
            double weight[2];
            hff_model *model;
            score(scene, run, NULL, &scored);
            read_weights(run, rules[t][r], weight);
            SMALL_OK(hff_model_open(run, 1 + r, &model));
            assert_int_equal(hff_model_classes(model), 10);
            assert_int_equal(hff_model_stages(model), 2);
            assert_string_equal(hff_model_class_name(model, 7), "7");
            assert_null(hff_model_class_name(model, 10));
            assert_null(hff_model_class_name(model, -1));
            int channels, height, width;
            hff_model_image(model, &channels, &height, &width);
            assert_true(channels == 1 && height == 28 && width == 28);
            check_predictions(model, data, &scored, weight);
            hff_model_free(model);
            safetensors_free(&scored);
        }
        data_close(data);
        config_free(config);
    }
}

/* Scores do not depend on the batch size of the evaluation, nor on the slices. */
static void scores_do_not_depend_on_the_batch(void **state)
{
    struct scene *scene = *state;
    char *run = train(scene, cnn, "run", NULL);
    struct safetensors a, b;
    score(scene, run, NULL, &a);
    static const char *const sets[] = {"run={batch: 64}", "run={batch: 1, slices: 1}", "run={batch: 7, slices: 7}",
                                       "run.threads=3"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        score(scene, run, sets[i], &b);
        const struct safetensor *x = safetensors_find(&a, "scores"), *y = safetensors_find(&b, "scores");
        float *p = malloc(x->bytes), *q = malloc(y->bytes);
        assert_int_equal(x->bytes, y->bytes);
        memcpy(p, x->data, x->bytes);
        memcpy(q, y->data, y->bytes);
        for (size_t k = 0; k < x->bytes / sizeof *p; k++)
            if (!(fabsf(p[k] - q[k]) <= 1e-4f)) fail_msg("%s: score %g, not %g", sets[i], q[k], p[k]);
        free(p);
        free(q);
        safetensors_free(&b);
    }
    safetensors_free(&a);
}

/* The model file moved away from its run still predicts; a run without a final model gives its newest checkpoint's. */
static void a_model_file_is_enough(void **state)
{
    struct scene *scene = *state;
    char *run = train(scene, mlp, "run", NULL), *moved = in_scene(scene, "moved.safetensors");
    uint8_t *pixels = calloc(3, 28 * 28);
    int32_t from_run[3], from_file[3], from_checkpoint[3];
    hff_model *model;
    for (int i = 0; i < 3 * 28 * 28; i++) pixels[i] = (uint8_t)(i * 37);
    SMALL_OK(hff_model_open(run, 1, &model));
    SMALL_OK(hff_model_predict(model, pixels, 3, from_run, NULL));
    hff_model_free(model);
    SMALL_OK(file_rename(file_join(&scene->arena, run, "model.safetensors"), moved));
    SMALL_OK(hff_model_open(moved, 1, &model));
    SMALL_OK(hff_model_predict(model, pixels, 3, from_file, NULL));
    hff_model_free(model);
    SMALL_OK(hff_model_open(run, 1, &model));
    SMALL_OK(hff_model_predict(model, pixels, 3, from_checkpoint, NULL));
    hff_model_free(model);
    assert_memory_equal(from_run, from_file, sizeof from_run);
    assert_memory_equal(from_run, from_checkpoint, sizeof from_run);
    free(pixels);
}

/* The same run twice gives the same model file; another seed gives another. */
static void runs_repeat(void **state)
{
    struct scene *scene = *state;
    unsigned char *bytes[3];
    size_t size[3];
    for (int i = 0; i < 3; i++) {
        char *run = train(scene, cnn, arena_printf(&scene->arena, "r%d", i), i == 2 ? "run.seed=2" : "run.threads=2");
        SMALL_OK(file_read(file_join(&scene->arena, run, "model.safetensors"), (size_t)1 << 30, &bytes[i], &size[i]));
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    assert_true(size[0] != size[2] || memcmp(bytes[0], bytes[2], size[0]) != 0);
    for (int i = 0; i < 3; i++) free(bytes[i]);
}

static void assert_not_opened(const char *path, hff_status expected, const char *said)
{
    hff_model *model = (hff_model *)path;
    hff_status status = hff_model_open(path, 1, &model);
    assert_null(model);
    if (status != expected || !strstr(hff_error_message(), said))
        fail_msg("%s: status %d, not %d, or no '%s' in: %s", path, status, expected, said, hff_error_message());
}

/* Copies a model with one metadata entry replaced. */
static char *with_metadata(struct scene *scene, const char *run, const char *key, const char *value)
{
    struct safetensors file;
    char *path = in_scene(scene, "changed.safetensors");
    SMALL_OK(safetensors_read(&file, file_join(&scene->arena, run, "model.safetensors")));
    for (int i = 0; i < file.metadata_count; i++)
        if (strcmp(file.metadata_key[i], key) == 0) file.metadata_value[i] = value;
    SMALL_OK(
        safetensors_write(path, file.tensor, file.count, file.metadata_key, file.metadata_value, file.metadata_count));
    safetensors_free(&file);
    return path;
}

/* What is no model is refused with its path and a reason; nothing crashes on metadata that lies. */
static void what_is_no_model_is_refused(void **state)
{
    struct scene *scene = *state;
    char *run = train(scene, mlp, "run", NULL);
    static const struct {
        const char *key, *value;
        hff_status status;
        const char *said;
    } rows[] = {
        {"format", "hff-model-0", HFF_E_FORMAT, "not an hff model"},
        {"config", "{}", HFF_E_CONFIG, "net"},
        {"config", "]", HFF_E_CONFIG, "changed.safetensors"},
        {"config", "{\"net\": {\"stages\": [{\"linear\": {\"units\": 31}}]}}", HFF_E_FORMAT, "stage.1.linear.weight"},
        {"classes", "[]", HFF_E_FORMAT, "no classes"},
        {"classes", "[\"a\", \"b\"]", HFF_E_FORMAT, "prototypes"},
        {"classes", "7", HFF_E_FORMAT, "classes"},
        {"input", "{}", HFF_E_FORMAT, "channels"},
        {"input", "{\"channels\": 1, \"height\": 0, \"width\": 28}", HFF_E_FORMAT, "height"},
        {"input", "{\"channels\": 9, \"height\": 28, \"width\": 28, \"mean\": [0], \"std\": [1]}", HFF_E_FORMAT,
         "normalisation"},
        {"input", "{\"channels\": 1, \"height\": 28, \"width\": 28, \"mean\": [0], \"std\": [0]}", HFF_E_FORMAT,
         "normalisation"},
        {"input", "{\"channels\": 1, \"height\": 14, \"width\": 28, \"mean\": [0], \"std\": [1]}", HFF_E_FORMAT,
         "stage.1.linear.weight"},
        {"predict", "[", HFF_E_FORMAT, "changed.safetensors"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_not_opened(with_metadata(scene, run, rows[i].key, rows[i].value), rows[i].status, rows[i].said);
    assert_not_opened(in_scene(scene, "nothing"), HFF_E_IO, "nothing");
    assert_not_opened(scene->folder, HFF_E_IO, "no model.safetensors");
    assert_not_opened(in_scene(scene, "config.yaml"), HFF_E_FORMAT, "config.yaml");
    hff_model_free(NULL);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(predictions_are_the_evaluations), SCENE(scores_do_not_depend_on_the_batch),
        SCENE(a_model_file_is_enough),          SCENE(runs_repeat),
        SCENE(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
