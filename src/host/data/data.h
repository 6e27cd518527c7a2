/* Data: sources (one file per format), splits, augmentation, and a loader that fills batches in the background.
 *
 * A dataset holds every image of a split in memory as uint8 (N, C, H, W): files may change or go once data_open has
 * returned. What a batch holds depends on (seed, epoch, sample) alone, never on the number of loader threads or on
 * timing. */
#ifndef HFF_DATA_H
#define HFF_DATA_H

#include "backend/op.h"
#include "base/arena.h"
#include "base/trace.h"
#include "config/config.h"

extern const struct config_row data_rows[];

enum split { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST };

/* One split of a data set, read-only once opened; images and labels are malloc'ed and freed by data_close. */
struct dataset {
    int64_t count;
    int channels, height, width;
    const uint8_t *images; /* (count, C, H, W) */
    const int32_t *labels; /* (count), 0 .. classes-1 */
    uint32_t checksum;     /* CRC-32 of images and labels, after limits and hold-out */
};

struct data {
    const char *name; /* "mnist-like idx", for people */
    int classes;
    const char *const *class_names; /* classes texts; "0", "1", ... where the source has none */
    int channels, height, width;
    double mean[4],
        std[4]; /* per channel, of pixels scaled to [0, 1]: from data.normalize, "auto" computes them from the
                               training split (without the hold-out) in exact integer arithmetic */
    struct dataset split[3]; /* VAL is the hold-out, empty without one */
    struct arena arena;
};

/* Opens what the config's "data" map asks for (its node), shuffling the hold-out with seed. Missing or damaged files,
 * labels out of range and wrong counts are HFF_E_DATA with path and offset. */
hff_status data_open(struct data **out, const struct config_node *data_node, uint64_t seed);
void data_close(struct data *data);

/* "hff data list": the sources, one row each. */
struct data_source {
    const char *name, *help;
    const char *home; /* where its files are unless data.root says otherwise: "${HFF_DATA}/mnist"; "": it has none */
    const char *sign; /* how the name of one of its files begins; "": it has none */
    /* Fills in name, classes, the training and test splits (malloc'ed) and, where the format has them, class_names. */
    hff_status (*open)(struct data *data, const struct config_node *data_node);
};
extern const struct data_source data_sources[]; /* ended by name NULL */

/* The source whose files lie in a folder, by their names; NULL when there is none. */
const struct data_source *data_guess(const char *folder);

/* Images of a file to look at or to predict: one of a PNG file (grey when all its pixels are, else RGB; what is
 * transparent lies on black), all of an IDX file (plain or .gz). */
struct images {
    int64_t count;
    int channels, height, width;
    uint8_t *pixels; /* (count, C, H, W), malloc'ed: images_free */
};
/* HFF_E_DATA with the path when it is neither, or damaged. */
hff_status images_read(struct images *out, const char *path);
void images_free(struct images *images);
/* A file that images_read is meant for, by its name: .png, or idx in it. */
int images_named(const char *name);

/* One batch, as the first stage receives it. */
struct batch {
    int size;                /* B */
    int real;                /* samples that are not padding; padding has weight 0, label 0 and pixels 0 */
    float *images;           /* (B, C, H, W), normalised; NULL: to be made by the split's recipe */
    int32_t *y1, *y2;        /* labels; y2 = y1 without mixup */
    float *weight;           /* training: weight of y1 (1 without mixup); evaluation: 1, or 0 for padding */
    const uint32_t *samples; /* (B) their numbers in the split; NULL: not known */
    uint32_t *partners;      /* (B) the samples that are mixed in, 1 - weight of them; NULL without mixup */
    int64_t epoch;           /* from 0 */
    double waited;           /* seconds that loader_next had to wait for it */
};

/* How images of training batches are made of the split's, for whoever makes them in the loader's place: op augment's
 * attributes and table. The loader then gives the samples' numbers, and the same bytes come out. */
struct recipe {
    const struct dataset *set;
    struct augment_rule rule;
    float table[4][256]; /* normalised value of a pixel, by channel */
    int mixes;           /* batches have partners */
};
hff_status data_recipe(struct recipe *out, const struct data *data, const struct config_node *data_node, uint64_t seed);

struct loader;
struct loader_options {
    const struct data *data;
    enum split split;
    int batch;
    int workers;  /* threads, at least 1 */
    int training; /* shuffled, augmented, tail dropped; else in order, plain, tail padded */
    int recipes;  /* training: no images */
    uint64_t seed;
    const struct config_node *data_node; /* augment and shuffle */
    struct trace *trace;                 /* a track for each thread; NULL: none */
};

/* Batches of epoch first_epoch (from 0) starting at batch first_batch, then of the following epochs for training; one
 * pass for evaluation. */
hff_status loader_open(struct loader **out, const struct loader_options *options, int64_t first_epoch,
                       int64_t first_batch);
/* The next batch, valid until the next call; NULL at the end of an evaluation pass. */
hff_status loader_next(struct loader *loader, const struct batch **out);
void loader_close(struct loader *loader);

/* Bytes that loader_open allocates for batches. */
size_t loader_bytes(const struct loader_options *options);

/* Batches in one epoch (training: whole ones only). */
int64_t loader_batches(const struct data *data, enum split split, int batch, int training);

#endif
