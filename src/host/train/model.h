/* Model, optimizer and checkpoint files (CONTRACT.md section 5). */
#ifndef HFF_TRAIN_MODEL_H
#define HFF_TRAIN_MODEL_H

#include "evaluate.h"
#include "safetensors.h"
#include "setup.h"

/* Writes the model (parameters, running statistics; metadata: the config keys that matter to results, classes,
 * normalisation, fitted weights) or the optimizer's moments. */
hff_status model_write(const struct setup *setup, const struct rules *rules, const char *path);
hff_status optimizer_write(const struct setup *setup, const char *path);

/* Reads all tensors of the engine from a file. HFF_E_FORMAT names the first that is missing, extra, or of another
 * shape. */
hff_status tensors_read(struct engine *engine, int moments, const struct safetensors *file, const char *path);
/* Takes those that have an equal name and shape; *taken of *total. */
hff_status tensors_read_matching(struct engine *engine, const struct safetensors *file, const char *path, int *taken,
                                 int *total);

/* A model file opened to be used: its config (with sets and, when not NULL, another data root), its normalisation
 * and weights. */
struct model {
    struct safetensors file;
    char *path; /* of the file */
    int channels, height, width, classes;
    double mean[4], std[4];
    json_t *weights;         /* {"weighted": [...], "best": [...]} */
    json_t *identity;        /* of its data; NULL: not said */
    const char *class_names; /* JSON array */
};
/* The model file of a run folder or a model file, in malloc'ed memory: itself, a run's final one, or that of its newest
 * checkpoint. HFF_E_IO when there is none. */
hff_status model_find(const char *what, char **path);

/* what: a run folder (its model.safetensors, or that of its newest checkpoint), or a model file. Fills setup->config
 * and setup->run. */
hff_status model_open(struct model *model, struct setup *setup, const char *what, const char *data_root,
                      const char *const *sets, int set_count);
void model_close(struct model *model);
/* The data must be what the model was trained for; its normalisation becomes the model's. */
hff_status model_fit_data(const struct model *model, struct data *data);
void model_rules(const struct model *model, struct rules *rules);

/* The rules of predict.rule and predict.from, and which was chosen. */
hff_status rules_from_config(struct rules *rules, enum rule *rule, const struct config *config,
                             const struct engine *engine);

/* What data something was made with, as it stands in a checkpoint's state and in a model's metadata ("data"). The caller
 * owns the result. */
json_t *identity_json(const struct data *data);
/* HFF_E_DATA when data is not what it was when what (a path) was made. identity NULL: only a warning. */
hff_status identity_check(const json_t *identity, const char *what, const struct data *data);
/* HFF_E_USAGE when data's hold-out is not the one that the model had. */
hff_status identity_check_holdout(const json_t *identity, const char *what, const struct data *data);

/* What the next step needs besides tensors. */
struct progress_marks {
    int64_t step;         /* steps done */
    double seconds;       /* of training so far, over all sessions */
    int64_t log_bytes;    /* of log.jsonl that belong to these steps */
    double reached;       /* accuracy of the last epoch's evaluation, for run.until; 0: none yet */
    double best_accuracy; /* on the hold-out; -1: none yet */
    int64_t best_step;
};

/* Writes checkpoints/step-N in run_folder, complete or not at all, then removes those beyond the newest keep (and
 * the best). */
hff_status checkpoint_write(const struct setup *setup, const struct rules *rules, const char *run_folder,
                            const struct progress_marks *marks);
/* The newest complete checkpoint: its folder in *folder (arena), NULL when there is none. */
hff_status checkpoint_newest(struct arena *arena, const char *run_folder, char **folder, int64_t *step);
/* Removes complete checkpoints beyond the newest keep and the best, and what killed runs left of others. */
hff_status checkpoint_prune(const struct setup *setup, const char *run_folder, const struct progress_marks *marks);
/* Loads tensors, marks and fitted weights from a checkpoint's folder. */
hff_status checkpoint_read(struct setup *setup, struct rules *rules, const char *folder, struct progress_marks *marks);

#endif
