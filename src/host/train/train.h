/* Training, evaluation and the files of a run: what the commands call. */
#ifndef HFF_TRAIN_H
#define HFF_TRAIN_H

#include "base/json.h"
#include "engine/engine.h"
#include "report/report.h"

#include <signal.h>

/* Every room's config rows, ended by NULL. */
extern const struct config_row *const config_tables[];

/* How a command talks. */
struct console {
    enum color_mode color;
    int quiet;
    volatile sig_atomic_t *signal; /* number of a signal that asks to stop, 0: none; may be NULL */
};

struct train_request {
    const char *config_path;
    const char *const *sets;
    int set_count;
    const char *out, *name; /* override run.out and run.name; NULL: as configured */
    const char *init_from;  /* a model whose tensors of equal name and shape are the start; NULL */
    const char *trace;      /* file for the timeline of the run (base/trace.h); NULL */
    int resume, force, dry_run;
    const char *command_line;
    struct console console;
};

/* Trains as asked and writes the run folder. The summary (or with dry_run the plan) goes to out. HFF_E_INTERRUPTED
 * and HFF_E_TERMINATED after saving. */
hff_status train_run(const struct train_request *request, FILE *out);

struct eval_request {
    const char *model;     /* a run folder or a model file */
    const char *data_root; /* overrides data.root; NULL */
    const char *rule;      /* NULL: as configured */
    const char *scores;    /* safetensors with all scores; NULL */
    const char *features;  /* safetensors with all embeddings; NULL */
    const char *const *sets;
    int set_count;
    enum split split;
    int probe; /* also fit a linear softmax on the pixels: the floor */
    int json;
    struct console console;
};
hff_status eval_run(const struct eval_request *request, FILE *out);

struct predict_request {
    const char *model;        /* a run folder or a model file */
    const char *const *files; /* PNG or IDX files, or folders of them */
    int count;
    int top; /* classes shown for each image, at least 1 */
    int json;
    struct console console;
};
hff_status predict_run(const struct predict_request *request, FILE *out);

struct data_request {
    const char *what;   /* a source's name, a folder, or a folder in HFF_DATA */
    const char *figure; /* PNG of the first training images; NULL */
    int json;
    struct console console;
};
/* The sources and whether their files are where they are expected. */
hff_status data_list(const struct data_request *request, FILE *out);
/* Opens a data set whole, which checks every size and label, and says what is in it. */
hff_status data_info(const struct data_request *request, FILE *out);

struct info_request {
    const char *what; /* a run folder, a model file or a config; NULL: this build and its backends */
    const char *const *sets;
    int set_count;
    int program, json;
    struct console console;
};
hff_status info_run(const struct info_request *request, FILE *out);

#endif
