/* The run folder: taking it, and the files that describe a run. */
#ifndef HFF_TRAIN_FOLDER_H
#define HFF_TRAIN_FOLDER_H

#include "evaluate.h"
#include "setup.h"

struct folder {
    char *path;
    int lock; /* -1: not held */
};

/* OUT/NAME, created and locked. Already used: HFF_E_USAGE unless resume, or force (the old one is moved aside). */
hff_status folder_take(struct folder *folder, const struct setup *setup, const struct train_request *request);
void folder_release(struct folder *folder);

/* On resume, before anything is opened: what the run wrote of its plans (setup->plans), if it did. */
hff_status folder_read_plans(struct setup *setup, const struct train_request *request);

/* On resume: the config may differ from the folder's only in keys that do not change what was done so far. */
hff_status folder_check_config(const struct folder *folder, const struct setup *setup);

/* environment.json, plans.json where plans were chosen, and config.yaml, which says that the run has begun. */
hff_status folder_describe(const struct folder *folder, const struct setup *setup, const struct train_request *request);

/* result.json. */
struct outcome {
    const struct evaluation *val, *test; /* NULL: not made */
    const struct rules *rules;
    enum rule rule;
    int64_t step, model_step; /* training's end; where the kept model comes from */
    double epochs, seconds;
    int64_t resident_before; /* bytes, when the plan was bound */
};
hff_status folder_result(const struct folder *folder, const struct setup *setup, const struct outcome *outcome);

/* The same for people (summary.c); outcome->test was made. */
void folder_summary(const struct folder *folder, const struct setup *setup, const struct outcome *outcome, FILE *out,
                    const struct console *console);

/* figures/: confusion, prototypes, filters and samples (curves come from the logbook). */
hff_status folder_figures(const struct folder *folder, const struct setup *setup, const struct evaluation *evaluation);

#endif
