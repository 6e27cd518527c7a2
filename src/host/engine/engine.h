/* The engine runs a net's stage programs: a batch in, every stage trained or evaluated. It knows stages, programs
 * and steps; nothing of files, epochs or objectives' names.
 *
 * Serial: stage after stage, so that one stage's activations, gradients and workspace are in memory at a
 * time; what a stage passes on lies in two buffers used in turn.
 *
 * engine.schedule says which stages a step trains. joint: all of them. sequential: one; stage 1 for its total_steps, then
 * stage 2, and so on. The stages before it are frozen: they only run their section frozen. What they pass on can be kept
 * for each sample (engine.cache), so that it is computed once. Stages behind it do not run.
 *
 * Micro-batches: a batch may be taken in parts, each through all stages, whose gradients add up before one update of
 * all stages. So between stages lies one part only, and a preview is that of the part; in return the gradients of all
 * stages stay in memory until the last part. (All parts through one stage before the next would keep one stage's
 * gradients, but the activations of the whole batch between stages, which is more for all but the widest of layers.)
 * Parts are added in order, so neither threads nor slices change a bit. An evaluation takes a batch in parts too.
 *
 * Pipelined (engine.pipeline): since nothing flows back, a stage may train on a batch while those in front of it train on
 * later ones. Stages that follow each other share a lane, with a stream and memory of its own, and lanes hand on through
 * rings of slots. engine_step then returns while its step is in flight; whatever reads or evaluates waits until all
 * lanes have done all steps (engine_drain). The bits are those of the serial engine. */
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
    int64_t total_steps; /* of each stage, for schedules; 0 when it will only evaluate */
    int64_t epoch_steps; /* of one epoch, likewise */
    int64_t samples;     /* in the training data, for the cache */
    int trained;         /* stages, from the first, that have learnt; 0: all. Only these are evaluated */
    struct shape image;  /* of the host's images, (channels, height, width); rank 0: stage 1's input */
    double white;        /* what a white pixel is after normalisation */
    const struct recipe *recipe; /* of training batches, should their images stay on the device; NULL: they can't */
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
    int drawn;                       /* what it passes on in a step follows from the step, not from the sample alone */
    int sum_from;                    /* first stage of rule sum where predict.from is auto; 0: the rule's own */
    const char *own, *other;         /* what these metrics are called */
    int input, y1, y2, weight, tick, hyper, norm, scores_eval, features_eval, metrics, metrics_eval, wins,
        prototypes;      /* values */
    int segments;        /* of recomputation; 1: none */
    struct track *track; /* of the timeline; NULL: none */
    double seconds[SECTIONS];
    double flops[SECTIONS];
};

/* What the frozen stages pass on, by sample, in the host's memory and laid out as the next stage wants it. */
struct cache {
    int64_t samples;
    size_t bytes;        /* planned; 0: none */
    int stage;           /* that receives it; 0: nothing is kept yet */
    unsigned char *row;  /* (samples, bytes of that stage's sample) */
    unsigned char *have; /* (samples) 1: kept */
};

enum { RING_SLOTS = 2 }; /* activations between two lanes */

/* Training images on the device, and the op that makes batches of them. */
struct resident {
    struct op *op; /* NULL: the host makes batches */
    struct recipe recipe;
    size_t table, work; /* where they lie behind the images: what pixels become; scratch */
    size_t bytes;       /* of all */
    unsigned char *memory;
    void *(*args)[OP_ARGS]; /* of the op, for each step in memory */
};

/* Stages that run one after the other, beside other lanes. */
struct lane {
    int first, stages;    /* the first one's index; how many */
    double flops;         /* of a training step */
    size_t bytes[ARENAS]; /* of its own: GRAD, ACT, WORK; INPUT: the ring in front of it; OUTPUT: between its stages */
};

struct pipeline; /* lanes at work, pipeline.c */

struct engine {
    struct net *net;
    struct backend *backend;
    struct stream *stream; /* of everything but steps in lanes */
    enum dtype real;
    int classes, batch, slices, stages;
    int micro, parts; /* samples of a part of a batch, and how many there are of them: batch, 1 where it is not cut */
    int64_t sample;   /* elements of one input image */
    struct stage_run *stage;
    int sequential;      /* stages learn in turn */
    int64_t stage_steps; /* that each learns for, then */
    int unpacked;        /* parameters were set from outside since section pack ran */
    int evaluated;       /* stages, from the first, that an evaluation runs: those that have learnt so far */
    struct cache cache;
    struct resident resident;
    int lanes; /* 1: serial */
    struct lane *lane;
    struct pipeline *pipeline;     /* NULL: one lane, whose steps end before engine_step returns */
    struct trace *trace;           /* NULL: none */
    unsigned char *memory[ARENAS]; /* NULL before engine_bind; INPUT and OUTPUT: the two buffers between stages */
    size_t bytes[ARENAS];
    void *host; /* staging: one batch, one result */
    size_t host_bytes;
};

/* Builds the stages' programs. Nothing is allocated on the device. HFF_E_CONFIG with the place where engine.pipeline asks
 * for what this net cannot do. */
hff_status engine_open(struct engine **out, const struct engine_options *options);
void engine_close(struct engine *engine);

/* Allocates and binds all memory; parameters are zero. */
hff_status engine_bind(struct engine *engine);
/* Parameters as a run with that seed starts. */
hff_status engine_init(struct engine *engine, uint64_t seed);

/* From now on every stage's sections and ops go to a track of its own in this timeline, which outlives the engine. */
void engine_trace(struct engine *engine, struct trace *trace);

/* Bytes that engine_bind will allocate: the device's, its images among them, and the cache. */
size_t engine_planned_bytes(const struct engine *engine);

/* Steps of training that are done: of every stage, or where they learn in turn, of all together. */
int64_t engine_steps(const struct engine *engine);
/* Where a run stands after so many steps: the stages' own steps, and which of them are evaluated. Parameters are the
 * caller's to set. */
void engine_stand_at(struct engine *engine, int64_t steps);

/* One training step of every stage, or of the one whose turn it is. HFF_E_NUMBERS names stage, op and step when a
 * gradient is not finite; that stage's parameters are then as before the step. With lanes the step may still be in
 * flight, and engine_drain or whatever calls it returns that error; batch is free again in any case. */
hff_status engine_step(struct engine *engine, const struct batch *batch);

/* After so many steps every program has run, and everything that is done once for all is done. */
int engine_warm_up(const struct engine *engine);

/* Only brings a batch, that many times, to where stage 1 receives it: what the data path takes of a device. */
hff_status engine_feed(struct engine *engine, const struct batch *batch, int times);

/* Waits until no step is in flight. All functions below do so first. */
hff_status engine_drain(struct engine *engine);

/* Evaluates a batch with the first engine->evaluated stages; adds to their evaluation metrics. scores, where given:
 * (evaluated, batch, classes) floats. */
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
/* The multiply-adds, by one thread of the host, that this takes. */
double engine_prototype_angle_work(const struct engine *engine, int stage);

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

/* Parameters that are trained or frozen, and FLOPs per image of prediction and of a training step (where stages learn in
 * turn: the mean of all steps; what a cache spares is not counted). */
int64_t engine_parameters(const struct engine *engine);
double engine_flops(const struct engine *engine, int training);

#endif
