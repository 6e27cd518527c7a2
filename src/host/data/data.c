/* Opening a data set: source, limits, hold-out, normalisation. */
#include "source.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define ROW(bar, name, function, home, sign, help) {name, help, home, sign, function},
const struct data_source data_sources[] = {DATA_SOURCES(ROW){0}};

const struct data_source *data_guess(const char *folder)
{
    struct arena arena = {0};
    char **names;
    int count = 0;
    const struct data_source *found = NULL;
    if (file_list(&arena, folder, &names, &count) != HFF_OK) count = 0;
    for (const struct data_source *s = data_sources; s->name && !found; s++)
        for (int i = 0; i < count && !found; i++)
            if (*s->sign && strncmp(names[i], s->sign, strlen(s->sign)) == 0) found = s;
    arena_free(&arena);
    return found;
}

static const struct data_source *source_of(const struct config_node *data_node)
{
    const struct data_source *source = data_sources; /* the config's choices are this table's names */
    while (source[1].name && strcmp(source->name, config_text(data_node, "source")) != 0) source++;
    return source;
}

hff_status source_root(struct data *data, const struct config_node *data_node, char **out)
{
    const char *root = config_text(data_node, "root");
    TRY(file_expand(&data->arena, *root ? root : source_of(data_node)->home, out));
    if (!file_is_folder(*out))
        return fail(HFF_E_DATA, "%s: no such folder; put the data set there, or set data.root or HFF_DATA", *out);
    return HFF_OK;
}

hff_status source_split(struct dataset *set, const char *where, int64_t count, int channels, int height, int width,
                        uint8_t **images, int32_t **labels)
{
    size_t image = (size_t)channels * (size_t)height * (size_t)width;
    if (count > INT32_MAX || (size_t)count > SIZE_MAX / 4 / image)
        return fail(HFF_E_DATA, "%s: %lld images are too many for memory", where, (long long)count);
    TRY(memory_fits((uint64_t)count * (image + sizeof(int32_t)), where, "use data.limit or a larger machine"));
    *set = (struct dataset){.count = count,
                            .channels = channels,
                            .height = height,
                            .width = width,
                            .images = malloc((size_t)count * image),
                            .labels = malloc((size_t)count * sizeof(int32_t))};
    if (!set->images || !set->labels)
        return fail(HFF_E_MEMORY, "%s: no memory for %lld images of %d x %d x %d; use data.limit or a larger machine",
                    where, (long long)count, channels, height, width);
    *images = (uint8_t *)set->images;
    *labels = (int32_t *)set->labels;
    return HFF_OK;
}

static size_t image_bytes(const struct data *data)
{
    return (size_t)data->channels * (size_t)data->height * (size_t)data->width;
}

/* Training and test images must be alike. */
static hff_status check_sizes(struct data *data)
{
    const struct dataset *train = &data->split[SPLIT_TRAIN], *test = &data->split[SPLIT_TEST];
    if (train->channels != test->channels || train->height != test->height || train->width != test->width)
        return fail(HFF_E_DATA,
                    "%s: training images are %d x %d x %d (channels, height, width), but test images are %d x %d x %d; "
                    "put files of one data set together",
                    data->name, train->channels, train->height, train->width, test->channels, test->height,
                    test->width);
    data->channels = train->channels;
    data->height = train->height;
    data->width = train->width;
    data->split[SPLIT_VAL] =
        (struct dataset){.channels = train->channels, .height = train->height, .width = train->width};
    return HFF_OK;
}

static void limit(struct dataset *set, int64_t most)
{
    if (most > 0 && set->count > most) set->count = most;
}

/* Moves the samples that are marked in chosen to the hold-out; both keep their order. */
static void move_chosen(struct data *data, const uint8_t *chosen, uint8_t *images, int32_t *labels)
{
    struct dataset *train = &data->split[SPLIT_TRAIN];
    size_t bytes = image_bytes(data);
    uint8_t *kept_images = (uint8_t *)train->images;
    int32_t *kept_labels = (int32_t *)train->labels;
    int64_t kept = 0, moved = 0;
    for (int64_t i = 0; i < train->count; i++) {
        const uint8_t *image = train->images + (size_t)i * bytes;
        if (chosen[i]) {
            memcpy(images + (size_t)moved * bytes, image, bytes);
            labels[moved++] = train->labels[i];
        } else {
            if (kept != i) memcpy(kept_images + (size_t)kept * bytes, image, bytes);
            kept_labels[kept++] = train->labels[i];
        }
    }
    train->count = kept;
}

static hff_status hold_out(struct data *data, const struct config_node *data_node, uint64_t seed)
{
    struct dataset *train = &data->split[SPLIT_TRAIN];
    double share = config_real(data_node, "holdout");
    if (share <= 0) return HFF_OK;
    uint32_t all = (uint32_t)train->count, part = (uint32_t)(share * all + 0.5);
    if (part == 0 || part == all)
        return config_fail(config_at(data_node, "holdout"),
                           "data.holdout: %g of %u training images leaves one side empty", share, all);
    uint8_t *images;
    int32_t *labels;
    TRY(source_split(&data->split[SPLIT_VAL], "data.holdout", part, data->channels, data->height, data->width, &images,
                     &labels));
    uint32_t *order = malloc(all * sizeof *order);
    uint8_t *chosen = calloc(all, 1);
    if (!order || !chosen) {
        free(order);
        free(chosen);
        return fail(HFF_E_MEMORY, "data.holdout: no memory to choose from %u images", all);
    }
    struct rng rng;
    rng_open(&rng, seed, RNG_HOLDOUT, 0, 0);
    rng_permutation(&rng, order, all);
    for (uint32_t i = 0; i < part; i++) chosen[order[i]] = 1;
    move_chosen(data, chosen, images, labels);
    free(order);
    free(chosen);
    return HFF_OK;
}

/* Mean and deviation of one channel of the training images: sums of integers, so that the order of adding cannot
 * matter. */
static void measure(struct data *data, int channel)
{
    const struct dataset *train = &data->split[SPLIT_TRAIN];
    size_t plane = (size_t)data->height * (size_t)data->width, bytes = image_bytes(data);
    uint64_t seen[256] = {0};
    for (int64_t i = 0; i < train->count; i++) {
        const uint8_t *pixels = train->images + (size_t)i * bytes + (size_t)channel * plane;
        for (size_t p = 0; p < plane; p++) seen[pixels[p]]++;
    }
    uint64_t sum = 0, squares = 0, n = (uint64_t)train->count * plane;
    for (uint64_t v = 0; v < 256; v++) {
        sum += v * seen[v];
        squares += v * v * seen[v];
    }
    /* n^2 times the variance; 64 bits are too few for CIFAR-10 already. */
    __extension__ unsigned __int128 spread = (unsigned __int128)n * squares - (unsigned __int128)sum * sum;
    data->mean[channel] = (double)sum / ((double)n * 255.0);
    data->std[channel] = spread > 0 ? sqrt((double)spread) / ((double)n * 255.0) : 1.0; /* one grey: nothing to scale */
}

static hff_status normalize(struct data *data, const struct config_node *data_node)
{
    double given[8];
    int count = config_reals(data_node, "normalize", given, 8), channels = data->channels;
    if (count == 0) {
        for (int c = 0; c < channels; c++) measure(data, c);
        return HFF_OK;
    }
    const struct config_node *node = config_at(data_node, "normalize");
    if (count != 2 && count != 2 * channels)
        return config_fail(node,
                           "data.normalize: %d numbers; write auto, [mean, std], or %d means and then %d deviations",
                           count, channels, channels);
    for (int c = 0; c < channels; c++) {
        data->mean[c] = given[count == 2 ? 0 : c];
        data->std[c] = given[count == 2 ? 1 : channels + c];
        if (!isfinite(data->mean[c]) || !isfinite(data->std[c]) || data->std[c] <= 0)
            return config_fail(node, "data.normalize: deviation %g; it must be above 0", data->std[c]);
    }
    return HFF_OK;
}

static void name_classes(struct data *data)
{
    if (data->class_names) return;
    const char **names = ARENA_NEW(&data->arena, const char *, data->classes);
    for (int i = 0; i < data->classes; i++) names[i] = arena_printf(&data->arena, "%d", i);
    data->class_names = names;
}

/* So that a later run can tell whether it has the same images. */
static void sum_up(struct data *data)
{
    for (int s = SPLIT_TRAIN; s <= SPLIT_TEST; s++) {
        struct dataset *set = &data->split[s];
        uLong sum = crc32_z(0, NULL, 0);
        if (set->count > 0) {
            sum = crc32_z(sum, set->images, (size_t)set->count * image_bytes(data));
            sum = crc32_z(sum, (const unsigned char *)set->labels, (size_t)set->count * sizeof *set->labels);
        }
        set->checksum = (uint32_t)sum;
    }
}

static hff_status open_source(struct data *data, const struct config_node *data_node, uint64_t seed)
{
    TRY(source_of(data_node)->open(data, data_node));
    TRY(check_sizes(data));
    limit(&data->split[SPLIT_TRAIN], config_int(data_node, "limit.train"));
    limit(&data->split[SPLIT_TEST], config_int(data_node, "limit.test"));
    TRY(hold_out(data, data_node, seed));
    TRY(normalize(data, data_node));
    name_classes(data);
    sum_up(data);
    return HFF_OK;
}

hff_status data_open(struct data **out, const struct config_node *data_node, uint64_t seed)
{
    *out = NULL;
    struct data *data = calloc(1, sizeof *data);
    if (!data) return fail(HFF_E_MEMORY, "data: out of memory");
    hff_status status = open_source(data, data_node, seed);
    if (status != HFF_OK) {
        data_close(data);
        return trail_add(status, "opening data.source %s", config_text(data_node, "source"));
    }
    *out = data;
    return HFF_OK;
}

void data_close(struct data *data)
{
    if (!data) return;
    for (int i = 0; i < 3; i++) {
        free((void *)data->split[i].images);
        free((void *)data->split[i].labels);
    }
    arena_free(&data->arena);
    free(data);
}
