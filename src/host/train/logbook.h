/* The run's log: log.jsonl, TensorBoard, and the history that figures are drawn from. */
#ifndef HFF_TRAIN_LOGBOOK_H
#define HFF_TRAIN_LOGBOOK_H

#include "evaluate.h"
#include "setup.h"

struct logbook;

/* Opens (creates) FOLDER/log.jsonl, cut to its first keep_bytes, and a new TensorBoard file. */
hff_status logbook_open(struct logbook **out, const char *folder, int64_t keep_bytes);
void logbook_close(struct logbook *book);

/* A log interval of training: what all stages' metrics say since the last one. */
struct interval {
    int64_t step;
    double epoch, seconds, images_per_s, data_wait;
    int first, stages;             /* stages first .. stages - 1 (from 0) learnt in it, those before are frozen */
    struct stage_metrics *metrics; /* (stages) */
    double *lr;                    /* (stages) of the last step */
    double *angle;                 /* (stages) degrees, -1: none */
    double (*phase)[SECTIONS];     /* (stages) seconds a step */
    const struct stage_run *run;   /* (stages) what their figures are called */
};
hff_status logbook_train(struct logbook *book, const struct interval *interval);

/* An evaluation at the end of an epoch (kind "epoch") or of the run ("eval"). split: "val" or "test". */
hff_status logbook_evaluation(struct logbook *book, const char *kind, const char *split, int64_t step, double epoch,
                              double seconds, const struct evaluation *evaluation, const struct rules *rules,
                              enum rule rule);

/* Bytes of log.jsonl so far, on disk. */
hff_status logbook_bytes(struct logbook *book, int64_t *bytes);

/* figures/accuracy.png and figures/loss.png from the log (also of earlier sessions). */
hff_status logbook_figures(struct logbook *book, const char *folder);

#endif
