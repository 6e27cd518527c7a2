/* hff data: which data sets there are, and what is in one. */
#include "train.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static void print_json(json_t *root, FILE *out)
{
    char *text = json_text(root, 2);
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}

/* ---- list ---- */

static hff_status list_sources(struct arena *arena, json_t *list, FILE *text)
{
    for (const struct data_source *s = data_sources; s->name; s++) {
        char *folder = "";
        if (*s->home) TRY(file_expand(arena, s->home, &folder));
        int here = !*s->home || data_guess(folder) == s;
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(s->name));
        json_object_set_new(one, "available", json_boolean(here));
        json_object_set_new(one, "folder", *folder ? json_string(folder) : json_null());
        json_object_set_new(one, "help", json_string(s->help));
        json_array_append_new(list, one);
        if (!text) continue;
        fprintf(text, "%-9s %s\n", s->name, s->help);
        if (*folder) fprintf(text, "          %s %s\n", here ? "found in" : "not in", folder);
    }
    return HFF_OK;
}

static hff_status list_folders(struct arena *arena, json_t *list, FILE *text)
{
    char *root, **names;
    int count = 0, found = 0;
    TRY(file_expand(arena, "${HFF_DATA}", &root));
    if (file_is_folder(root)) TRY(file_list(arena, root, &names, &count));
    if (text) fprintf(text, "\ndata sets in %s:", root);
    for (int i = 0; i < count; i++) {
        const struct data_source *source = data_guess(file_join(arena, root, names[i]));
        if (!source) continue;
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(names[i]));
        json_object_set_new(one, "source", json_string(source->name));
        json_array_append_new(list, one);
        if (text) fprintf(text, "%s %s (%s)", found++ ? "," : "", names[i], source->name);
    }
    if (text) fputs(found ? "\n" : " none\n", text);
    return HFF_OK;
}

hff_status data_list(const struct data_request *request, FILE *out)
{
    struct arena arena = {0};
    json_t *sources = json_array(), *sets = json_array(), *root = json_object();
    FILE *text = request->json ? NULL : out;
    hff_status status = list_sources(&arena, sources, text);
    if (status == HFF_OK) status = list_folders(&arena, sets, text);
    json_object_set_new(root, "sources", sources);
    json_object_set_new(root, "sets", sets);
    if (status == HFF_OK && request->json)
        print_json(root, out);
    else
        json_decref(root);
    arena_free(&arena);
    return status;
}

/* ---- info ---- */

static hff_status find_source(struct arena *arena, const char *what, const struct data_source **source, char **folder)
{
    *folder = NULL;
    for (*source = data_sources; (*source)->name; ++*source)
        if (strcmp((*source)->name, what) == 0) return HFF_OK;
    char *root;
    TRY(file_expand(arena, "${HFF_DATA}", &root));
    *folder = file_is_folder(what) ? arena_text(arena, what) : file_join(arena, root, what);
    if (!file_is_folder(*folder))
        return fail(HFF_E_DATA, "%s: no source of that name, no such folder, and none in %s; see hff data list", what,
                    root);
    *source = data_guess(*folder);
    if (*source) return HFF_OK;
    return fail(HFF_E_DATA, "%s: no data set that is known (looked for train-images-*, data_batch_1.bin, train.bin)",
                *folder);
}

static hff_status open_data(struct data **data, struct config **config, const struct data_source *source,
                            const char *folder)
{
    static const struct config_row *const tables[] = {data_rows, NULL};
    struct arena arena = {0};
    const char *sets[2] = {arena_printf(&arena, "data.source=%s", source->name)};
    json_t *quoted = folder ? json_string(folder) : NULL; /* a path may look like a number or a list */
    char *text = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL;
    if (text) sets[1] = arena_printf(&arena, "data.root=%s", text);
    hff_status status = folder && !text ? fail(HFF_E_DATA, "%s: not a name in UTF-8", folder) : HFF_OK;
    if (status == HFF_OK) status = config_parse(config, tables, "hff data", "{}", sets, text ? 2 : 1);
    if (status == HFF_OK) status = data_open(data, config_at(config_root(*config), "data"), 1);
    free(text);
    json_decref(quoted);
    arena_free(&arena);
    return status;
}

/* (classes) of each split. */
static int64_t *count_classes(struct arena *arena, const struct data *data, enum split split)
{
    int64_t *count = ARENA_NEW(arena, int64_t, data->classes);
    for (int64_t i = 0; i < data->split[split].count; i++) count[data->split[split].labels[i]]++;
    return count;
}

static json_t *split_json(struct arena *arena, const struct data *data, enum split split)
{
    json_t *json = json_object(), *counts = json_array();
    const int64_t *count = count_classes(arena, data, split);
    for (int c = 0; c < data->classes; c++) json_array_append_new(counts, json_integer(count[c]));
    json_object_set_new(json, "images", json_integer(data->split[split].count));
    json_object_set_new(json, "by_class", counts);
    return json;
}

static json_t *info_json(struct arena *arena, const struct data *data, const char *folder)
{
    json_t *root = json_object(), *names = json_array(), *mean = json_array(), *std = json_array();
    json_object_set_new(root, "name", json_string(data->name));
    json_object_set_new(root, "folder", folder ? json_string(folder) : json_null());
    json_object_set_new(root, "channels", json_integer(data->channels));
    json_object_set_new(root, "height", json_integer(data->height));
    json_object_set_new(root, "width", json_integer(data->width));
    for (int c = 0; c < data->channels && c < 4; c++) {
        json_array_append_new(mean, json_number(data->mean[c]));
        json_array_append_new(std, json_number(data->std[c]));
    }
    json_object_set_new(root, "mean", mean);
    json_object_set_new(root, "std", std);
    for (int c = 0; c < data->classes; c++) json_array_append_new(names, json_string(data->class_names[c]));
    json_object_set_new(root, "classes", names);
    json_object_set_new(root, "train", split_json(arena, data, SPLIT_TRAIN));
    json_object_set_new(root, "test", split_json(arena, data, SPLIT_TEST));
    return root;
}

static void print_info(struct arena *arena, const struct data *data, const struct console *console, FILE *out)
{
    const int64_t *train = count_classes(arena, data, SPLIT_TRAIN), *test = count_classes(arena, data, SPLIT_TEST);
    const char **cells = ARENA_NEW(arena, const char *, (data->classes + 1) * 4), **row = cells;
    fprintf(out, "%s: %lld training and %lld test images of %d x %d x %d (channels, height, width), %d classes\n",
            data->name, (long long)data->split[SPLIT_TRAIN].count, (long long)data->split[SPLIT_TEST].count,
            data->channels, data->height, data->width, data->classes);
    for (int c = 0; c < data->channels && c < 4; c++)
        fprintf(out, "channel %d: mean %.4f, deviation %.4f\n", c + 1, data->mean[c], data->std[c]);
    fputc('\n', out);
    memcpy(row, (const char *[]){"class", "name", "training", "test"}, 4 * sizeof *row);
    for (int c = 0; c < data->classes; c++) {
        row += 4;
        row[0] = arena_printf(arena, "%d", c);
        row[1] = data->class_names[c];
        row[2] = arena_printf(arena, "%lld", (long long)train[c]);
        row[3] = arena_printf(arena, "%lld", (long long)test[c]);
    }
    table_print(out, cells, data->classes + 1, 4, terminal_width(out), terminal_color(out, console->color));
}

static hff_status draw(const struct data *data, const char *path)
{
    enum { SHOWN = 60 };
    const struct dataset *set = &data->split[SPLIT_TRAIN];
    int count = set->count < SHOWN ? (int)set->count : SHOWN;
    size_t numbers = (size_t)count * (size_t)data->channels * (size_t)data->height * (size_t)data->width;
    const char *captions[SHOWN];
    if (data->channels != 1 && data->channels != 3)
        return fail(HFF_E_USAGE, "images of %d channels cannot be drawn, only grey and RGB", data->channels);
    float *images = malloc(numbers * sizeof *images + 1);
    if (!images) return fail(HFF_E_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < numbers; i++) images[i] = (float)set->images[i] / 255.0f;
    for (int i = 0; i < count; i++) captions[i] = data->class_names[set->labels[i]];
    hff_status status = figure_images(path, "First training images", images, count, data->channels, data->height,
                                      data->width, captions, 0);
    free(images);
    return status;
}

hff_status data_info(const struct data_request *request, FILE *out)
{
    struct arena arena = {0};
    struct config *config = NULL;
    struct data *data = NULL;
    const struct data_source *source;
    char *folder;
    hff_status status = find_source(&arena, request->what, &source, &folder);
    if (status == HFF_OK) status = open_data(&data, &config, source, folder);
    if (status == HFF_OK && request->figure) status = draw(data, request->figure);
    if (status == HFF_OK && request->json)
        print_json(info_json(&arena, data, folder), out);
    else if (status == HFF_OK)
        print_info(&arena, data, &request->console, out);
    data_close(data);
    config_free(config);
    arena_free(&arena);
    return status;
}
