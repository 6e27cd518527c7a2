/* hff predict: what a model says to images of files. */
#include "train.h"

#include "base/file.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One image's best classes, the likeliest first. */
struct guess {
    const char *file;
    int64_t index; /* in its file; -1: the only one */
    int *class;
    double *probability;
};

struct predictor {
    const struct predict_request *request;
    hff_model *model;
    int channels, height, width, classes, top;
    const char **path; /* every file, folders opened */
    int paths;
    struct guess *guess;
    int64_t guesses, room;
    struct arena arena;
};

static hff_status grow(void *list, int64_t count, int64_t *room, size_t size)
{
    if (count < *room) return HFF_OK;
    int64_t wanted = *room ? 2 * *room : 64;
    void *larger = realloc(*(void **)list, (size_t)wanted * size);
    if (!larger) return fail(HFF_E_MEMORY, "no memory for %lld predictions", (long long)wanted);
    *(void **)list = larger;
    *room = wanted;
    return HFF_OK;
}

/* ---- which files ---- */

static hff_status open_folder(struct predictor *p, const char *folder, int64_t *room)
{
    char **names;
    int count, before = p->paths;
    TRY(file_list(&p->arena, folder, &names, &count));
    for (int i = 0; i < count; i++) {
        if (!images_named(names[i])) continue;
        TRY(grow(&p->path, p->paths, room, sizeof *p->path));
        p->path[p->paths++] = file_join(&p->arena, folder, names[i]);
    }
    if (p->paths == before) return fail(HFF_E_DATA, "%s: no PNG or IDX file in this folder", folder);
    if (p->paths - before < count)
        log_info("%s: %d of its %d files are PNG or IDX, the others are left out", folder, p->paths - before, count);
    return HFF_OK;
}

static hff_status find_files(struct predictor *p)
{
    int64_t room = 0;
    for (int i = 0; i < p->request->count; i++) {
        const char *what = p->request->files[i];
        if (file_is_folder(what)) {
            TRY(open_folder(p, what, &room));
            continue;
        }
        TRY(grow(&p->path, p->paths, &room, sizeof *p->path));
        p->path[p->paths++] = what;
    }
    return HFF_OK;
}

/* ---- images as the model takes them ---- */

/* Grey of RGB as ITU-R BT.601 weighs it. */
static void to_grey(const uint8_t *from, size_t plane, uint8_t *to)
{
    for (size_t i = 0; i < plane; i++)
        to[i] = (uint8_t)((299 * from[i] + 587 * from[plane + i] + 114 * from[2 * plane + i] + 500) / 1000);
}

static void to_rgb(const uint8_t *from, size_t plane, uint8_t *to)
{
    for (int c = 0; c < 3; c++) memcpy(to + (size_t)c * plane, from, plane);
}

/* Grey and RGB become one another; no image is scaled, since that would be another image. */
static hff_status fit_images(const struct predictor *p, struct images *images, const char *path)
{
    if (images->height != p->height || images->width != p->width)
        return fail(HFF_E_DATA, "%s: %d x %d pixels (height, width), but %s was trained on %d x %d; scale it first",
                    path, images->height, images->width, p->request->model, p->height, p->width);
    if (images->channels == p->channels) return HFF_OK;
    int grey = images->channels == 3 && p->channels == 1;
    if (!grey && !(images->channels == 1 && p->channels == 3))
        return fail(HFF_E_DATA, "%s: images of %d channels, but %s was trained on %d", path, images->channels,
                    p->request->model, p->channels);
    size_t plane = (size_t)p->height * (size_t)p->width, from = (size_t)images->channels * plane,
           to = (size_t)p->channels * plane;
    uint8_t *pixels = malloc((size_t)images->count * to);
    if (!pixels) return fail(HFF_E_MEMORY, "%s: no memory for %lld images", path, (long long)images->count);
    for (size_t n = 0; n < (size_t)images->count; n++)
        (grey ? to_grey : to_rgb)(images->pixels + n * from, plane, pixels + n * to);
    free(images->pixels);
    images->pixels = pixels;
    images->channels = p->channels;
    return HFF_OK;
}

/* Whether class a comes before b: likelier, or as likely and lower. */
static int before(const float *log_probability, int a, int b)
{
    return log_probability[a] > log_probability[b] || (log_probability[a] == log_probability[b] && a < b);
}

static void choose(struct predictor *p, const float *log_probability, struct guess *guess)
{
    guess->class = ARENA_NEW(&p->arena, int, p->top);
    guess->probability = ARENA_NEW(&p->arena, double, p->top);
    for (int t = 0; t < p->top; t++) {
        int best = -1;
        for (int c = 0; c < p->classes; c++)
            if ((t == 0 || before(log_probability, guess->class[t - 1], c)) &&
                (best < 0 || before(log_probability, c, best)))
                best = c;
        guess->class[t] = best;
        guess->probability[t] = exp(log_probability[best]);
    }
}

static int stopped(const struct predictor *p)
{
    return p->request->console.signal ? *p->request->console.signal : 0;
}

/* A part of a file's images at a time, so that a signal is heard and memory stays small. */
static hff_status predict_images(struct predictor *p, const struct images *images, const char *path, int32_t *labels,
                                 float *log_probability, int64_t part)
{
    size_t image = (size_t)p->channels * (size_t)p->height * (size_t)p->width;
    for (int64_t start = 0; start < images->count; start += part) {
        int64_t now = images->count - start < part ? images->count - start : part;
        TRY(hff_model_predict(p->model, images->pixels + (size_t)start * image, now, labels, log_probability));
        for (int64_t n = 0; n < now; n++) {
            TRY(grow(&p->guess, p->guesses, &p->room, sizeof *p->guess));
            struct guess *guess = &p->guess[p->guesses++];
            *guess = (struct guess){.file = path, .index = images->count > 1 ? start + n : -1};
            choose(p, log_probability + n * p->classes, guess);
        }
        if (stopped(p))
            return fail(stopped(p) == SIGTERM ? HFF_E_TERMINATED : HFF_E_INTERRUPTED, "interrupted in %s", path);
    }
    return HFF_OK;
}

static hff_status predict_file(struct predictor *p, const char *path)
{
    enum { PART = 1024 };
    struct images images;
    TRY(images_read(&images, path));
    hff_status status = fit_images(p, &images, path);
    int32_t *labels = malloc(PART * sizeof *labels);
    float *log_probability = malloc((size_t)PART * (size_t)p->classes * sizeof *log_probability);
    if (status == HFF_OK && (!labels || !log_probability))
        status = fail(HFF_E_MEMORY, "no memory for the predictions of %d images", PART);
    if (status == HFF_OK) status = predict_images(p, &images, path, labels, log_probability, PART);
    free(labels);
    free(log_probability);
    images_free(&images);
    return status;
}

/* ---- results ---- */

static void print_json(struct predictor *p, FILE *out)
{
    json_t *root = json_object(), *list = json_array();
    json_object_set_new(root, "model", json_string(p->request->model));
    for (int64_t i = 0; i < p->guesses; i++) {
        const struct guess *guess = &p->guess[i];
        json_t *row = json_object(), *top = json_array();
        json_object_set_new(row, "file", json_string(guess->file));
        if (guess->index >= 0) json_object_set_new(row, "index", json_integer(guess->index));
        for (int t = 0; t < p->top; t++) {
            json_t *one = json_object();
            json_object_set_new(one, "class", json_integer(guess->class[t]));
            json_object_set_new(one, "name", json_string(hff_model_class_name(p->model, guess->class[t])));
            json_object_set_new(one, "probability", json_number(guess->probability[t]));
            if (t == 0) json_object_update(row, one);
            json_array_append_new(top, one);
        }
        if (p->top > 1)
            json_object_set_new(row, "top", top);
        else
            json_decref(top);
        json_array_append_new(list, row);
    }
    json_object_set_new(root, "predictions", list);
    char *text = json_text(root, 2);
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}

static void print_table(struct predictor *p, FILE *out)
{
    int columns = 1 + 2 * p->top, rows = (int)p->guesses + 1;
    const char **cells = ARENA_NEW(&p->arena, const char *, (size_t)rows *(size_t)columns), **row = cells;
    row[0] = "image";
    for (int t = 0; t < p->top; t++) {
        row[1 + 2 * t] = t == 0 ? "class" : arena_printf(&p->arena, "%d.", t + 1);
        row[2 + 2 * t] = "%";
    }
    for (int64_t i = 0; i < p->guesses; i++) {
        const struct guess *guess = &p->guess[i];
        row += columns;
        row[0] =
            guess->index < 0 ? guess->file : arena_printf(&p->arena, "%s[%lld]", guess->file, (long long)guess->index);
        for (int t = 0; t < p->top; t++) {
            row[1 + 2 * t] = hff_model_class_name(p->model, guess->class[t]);
            row[2 + 2 * t] = arena_printf(&p->arena, "%.2f", 100 * guess->probability[t]);
        }
    }
    table_print(out, cells, rows, columns, terminal_width(out), terminal_color(out, p->request->console.color));
}

static hff_status run(struct predictor *p, FILE *out)
{
    TRY(find_files(p));
    TRY(hff_model_open(p->request->model, 0, &p->model));
    hff_model_image(p->model, &p->channels, &p->height, &p->width);
    p->classes = hff_model_classes(p->model);
    p->top = p->request->top < p->classes ? p->request->top : p->classes;
    for (int i = 0; i < p->paths; i++) TRY(predict_file(p, p->path[i]));
    if (p->guesses > INT32_MAX - 1) return fail(HFF_E_DATA, "%lld images are too many", (long long)p->guesses);
    if (p->request->json)
        print_json(p, out);
    else
        print_table(p, out);
    return HFF_OK;
}

hff_status predict_run(const struct predict_request *request, FILE *out)
{
    struct predictor predictor = {.request = request};
    hff_status status = run(&predictor, out);
    struct trail trail;
    trail_take(&trail);
    hff_model_free(predictor.model);
    trail_give(&trail);
    free(predictor.path);
    free(predictor.guess);
    arena_free(&predictor.arena);
    return status;
}
