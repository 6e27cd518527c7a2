/* The figures of a finished run that show the net itself: confusion, prototypes, first filters, samples with
 * predictions. */
#include "folder.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* The last stage's prototypes: cosines between all of them (the first 200). */
static hff_status prototypes(struct engine *engine, const char *path)
{
    double *p, *cosine;
    int64_t rows, width;
    int last = engine->evaluated - 1;
    TRY(engine_prototypes(engine, last, &p, &rows, &width));
    if (!p) return HFF_OK;
    int n = rows > 200 ? 200 : (int)rows;
    cosine = calloc((size_t)n * (size_t)n, sizeof *cosine);
    hff_status status = cosine ? HFF_OK : fail(HFF_E_MEMORY, "no memory for a figure");
    for (int i = 0; cosine && i < n; i++)
        for (int k = 0; k < n; k++)
            for (int64_t d = 0; d < width; d++) cosine[i * n + k] += p[i * width + d] * p[k * width + d];
    char title[64];
    snprintf(title, sizeof title, "Cosines between the prototypes of stage %d", last + 1);
    if (status == HFF_OK) status = figure_matrix(path, title, cosine, n);
    free(cosine);
    free(p);
    return status;
}

/* The first layer's weights as small images: convolution kernels, or a linear layer's rows in the input's shape. */
static hff_status filters(const struct setup *setup, const char *path)
{
    struct arena arena = {0};
    int count = engine_kept(setup->engine, 0, NULL);
    struct kept *kept = ARENA_NEW(&arena, struct kept, count);
    engine_kept(setup->engine, 0, kept);
    const struct tensor *t = &kept[0].tensor;
    const struct data *data = setup->data;
    int linear = t->rank == 2 && t->dim[1] == (int64_t)data->channels * data->height * data->width;
    int conv = t->rank == 4 && (t->dim[1] == 1 || t->dim[1] == 3);
    hff_status status = HFF_OK;
    if (count > 0 && (linear || conv) && (data->channels == 1 || data->channels == 3)) {
        int shown = t->dim[0] > 64 ? 64 : (int)t->dim[0];
        float *weights = malloc(tensor_bytes(t));
        if (!weights) status = fail(HFF_E_MEMORY, "no memory for a figure");
        if (status == HFF_OK) status = engine_read(setup->engine, &kept[0], weights);
        if (status == HFF_OK)
            status =
                figure_images(path, "First filters of stage 1", weights, shown, data->channels,
                              linear ? data->height : (int)t->dim[2], linear ? data->width : (int)t->dim[3], NULL, 1);
        free(weights);
    }
    arena_free(&arena);
    return status;
}

/* The first test images with their true classes. */
static hff_status samples(const struct data *data, const char *path)
{
    enum { SHOWN = 40 };
    const struct dataset *test = &data->split[SPLIT_TEST];
    int count = test->count < SHOWN ? (int)test->count : SHOWN;
    if (count == 0 || (data->channels != 1 && data->channels != 3)) return HFF_OK;
    size_t size = (size_t)data->channels * (size_t)data->height * (size_t)data->width;
    const char *captions[SHOWN];
    float *images = malloc((size_t)count * size * sizeof *images);
    if (!images) return fail(HFF_E_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < (size_t)count * size; i++) images[i] = (float)test->images[i] / 255.0f;
    for (int i = 0; i < count; i++) captions[i] = data->class_names[test->labels[i]];
    hff_status status =
        figure_images(path, "First test images", images, count, data->channels, data->height, data->width, captions, 0);
    free(images);
    return status;
}

hff_status folder_figures(const struct folder *folder, const struct setup *setup, const struct evaluation *evaluation)
{
    struct arena arena = {0};
    char *figures = file_join(&arena, folder->path, "figures");
    hff_status status = figure_confusion(file_join(&arena, figures, "confusion.png"), "Confusion on the test set",
                                         evaluation->confusion, evaluation->classes, setup->data->class_names);
    if (status == HFF_OK) status = prototypes(setup->engine, file_join(&arena, figures, "prototypes.png"));
    if (status == HFF_OK) status = filters(setup, file_join(&arena, figures, "filters.png"));
    if (status == HFF_OK) status = samples(setup->data, file_join(&arena, figures, "samples.png"));
    arena_free(&arena);
    return status;
}
