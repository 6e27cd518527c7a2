/* The engine runs a net's stage programs: a batch in, every stage trained or evaluated. It knows stages, programs
 * and steps; nothing of files, epochs or objectives' names.
 *
 * Serial engine: stage after stage, so that one stage's activations, gradients and workspace are in memory at a
 * time; what a stage passes on lies in two buffers used in turn.
 *
 * Micro-batches: a batch may be taken in parts, each through all stages, whose gradients add up before one update of
 * all stages. So between stages lies one part only, and a preview is that of the part; in return the gradients of all
 * stages stay in memory until the last part. (All parts through one stage before the next would keep one stage's
 * gradients, but the activations of the whole batch between stages, which is more for all but the widest of layers.)
 * Parts are added in order, so neither threads nor slices change a bit. An evaluation takes a batch in parts too. */
#ifndef HFF_ENGINE_H
#define HFF_ENGINE_H

#include "config/config.h"
#include "data/data.h"
#include "net/net.h"
#include "objective/objective.h"
#include "optim/optim.h"
#include "program/program.h"

extern const struct config_row engine_rows[];

struct engine_options {
    struct config *config; /* the whole; "net" has become net already */
    struct net *net;
    struct backend *backend;
    enum dtype real; /* f32; f64 only with the reference backend */
    enum dtype act;  /* of activations: real, or bf16 beside f32 */
    int classes, batch, slices;
    int micro;           /* samples of a part of the batch, which slices cut; divides batch. 0: the whole batch */
    int64_t total_steps; /* of the whole run, for schedules; 0 when it will only evaluate */
    int64_t epoch_steps; /* of one epoch, likewise */
    struct shape image;  /* of the host's images, (channels, height, width); rank 0: stage 1's input */
    double white;        /* what a white pixel is after normalisation */
};

/* One stage as the engine runs it; to read. */
struct stage_run {
    const struct stage *stage;
    const struct objective *objective;
    struct program *program;
    struct schedule schedule;
    int64_t step;                    /* training steps done */
    int64_t embedding;               /* D */
    int per_class;                   /* prototypes of a class, 0: none */
    int similarity;                  /* the loss has a similarity term */
    int64_t rows, rows_eval, passes; /* of a training step; of a pass of an evaluation; its passes */
    int sum_from;                    /* first stage of rule sum where predict.from is auto; 0: the rule's own */
    const char *own, *other;         /* what these metrics are called */
    int input, y1, y2, weight, tick, hyper, norm, scores_eval, features_eval, metrics, metrics_eval, wins,
        prototypes;      /* values */
    int segments;        /* of recomputation; 1: none */
    struct track *track; /* of the timeline; NULL: none */
    double seconds[SECTIONS];
    double flops[SECTIONS];
};

struct engine {
    struct net *net;
    struct backend *backend;
    struct stream *stream;
    enum dtype real;
    int classes, batch, slices, stages;
    int micro, parts; /* samples of a part of a batch, and how many there are of them: batch, 1 where it is not cut */
    int64_t sample;   /* elements of one input image */
    struct stage_run *stage;
    struct trace *trace;           /* NULL: none */
    unsigned char *memory[ARENAS]; /* NULL before engine_bind; INPUT and OUTPUT: the two buffers between stages */
    size_t bytes[ARENAS];
    void *host; /* staging: one batch, one result */
    size_t host_bytes;
};

/* Builds the stages' programs. Nothing is allocated on the device. */
hff_status engine_open(struct engine **out, const struct engine_options *options);
void engine_close(struct engine *engine);

/* Allocates and binds all memory; parameters are zero. */
hff_status engine_bind(struct engine *engine);
/* Parameters as a run with that seed starts. */
hff_status engine_init(struct engine *engine, uint64_t seed);

/* From now on every stage's sections and ops go to a track of its own in this timeline, which outlives the engine. */
void engine_trace(struct engine *engine, struct trace *trace);

/* Device bytes that engine_bind will allocate. */
size_t engine_planned_bytes(const struct engine *engine);

/* One training step of every stage. HFF_E_NUMBERS names stage, op and step when a gradient is not finite; that stage's
 * parameters are then as before the step. */
hff_status engine_step(struct engine *engine, const struct batch *batch);

/* Evaluates a batch; adds to the stages' evaluation metrics. scores, where given: (stages, batch, classes) floats. */
hff_status engine_evaluate(struct engine *engine, const struct batch *batch, float *scores);
/* The same, and every stage's embeddings: features[i] has room for (batch, D of stage i) floats. HFF_E_CONFIG when a
 * stage's objective has none. */
hff_status engine_evaluate_features(struct engine *engine, const struct batch *batch, float *scores,
                                    float *const *features);

/* What a stage's metrics say since they were last cleared. */
struct stage_metrics {
    double samples, loss, accuracy, own, other, norm, dead;
    double grad_body, grad_head; /* of the last step */
    double winning;              /* share of prototypes that won a sample; -1 with one per class */
    double similarity;           /* the similarity term, before its share; -1 without */
    int slice;                   /* samples of a slice: what that term compares */
};
hff_status engine_metrics(struct engine *engine, int stage, int evaluation, int clear, struct stage_metrics *out);

/* The smallest angle in degrees between prototypes of different classes; -1 without prototypes. */
hff_status engine_prototype_angle(struct engine *engine, int stage, double *degrees);

/* A stage's prototypes as (classes * per_class, D) doubles in malloc'ed memory (the caller frees); *out NULL without
 * prototypes. */
hff_status engine_prototypes(struct engine *engine, int stage, double **out, int64_t *rows, int64_t *width);

/* All kept tensors of the net under their names in files ("stage.1.conv.weight"): how many, and with tensors (room
 * for that many) their descriptions. moments: the optimizer's instead of the model's. */
int engine_kept(const struct engine *engine, int moments, struct kept *tensors);
hff_status engine_read(struct engine *engine, const struct kept *tensor, void *host);        /* device -> host */
hff_status engine_write(struct engine *engine, const struct kept *tensor, const void *host); /* host -> device */
/* The same with bytes of a tensor from its byte at on. */
hff_status engine_read_part(struct engine *engine, const struct kept *tensor, size_t at, size_t bytes, void *host);
hff_status engine_write_part(struct engine *engine, const struct kept *tensor, size_t at, size_t bytes,
                             const void *host);

/* Parameters that are trained or frozen, and FLOPs per image of prediction and of a training step. */
int64_t engine_parameters(const struct engine *engine);
double engine_flops(const struct engine *engine, int training);

#endif
