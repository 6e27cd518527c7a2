/* Between the files of this room only. */
#ifndef HFF_ENGINE_PRIVATE_H
#define HFF_ENGINE_PRIVATE_H

#include "engine.h"

/* The last thing done to a stage's graph: joined ops, recomputation and sums over micro-batches, as asked for. */
void engine_rewrite(const struct engine *engine, const struct config_node *root, struct stage_run *run,
                    struct graph *graph);

/* After a latched step (bad_op.c): runs step `repeated` of a stage op by op with a program whose input is in memory, and
 * returns the error that names the op; HFF_OK when all numbers are finite, and what to say then. */
hff_status bad_op_find(struct engine *engine, int stage, struct program *program, int64_t step, int64_t repeated);
hff_status bad_op_none(const struct engine *engine, int stage, int64_t step, int64_t repeated);

/* Where stages learn in turn: whose turn the next step is (sequence.c). */
int sequence_turn(const struct engine *engine);

/* The cache (cache.c). Plans it where the config asks for it; the stages' programs are built. HFF_E_CONFIG with the place
 * where what frozen stages pass on is another thing in each epoch. */
hff_status cache_plan(struct engine *engine, const struct engine_options *options);
hff_status cache_bind(struct engine *engine);
void cache_free(struct engine *engine);
/* To a stage's input: a part of the batch as the stages before it passed it on, where all of its samples are kept
 * (*known). */
hff_status cache_get(struct engine *engine, int stage, const struct batch *batch, int part, int *known);
/* Keeps what now is a stage's input. */
hff_status cache_keep(struct engine *engine, int stage, const struct batch *batch, int part);

/* ---- resident.c: training images on the device ---- */

/* Where they are to stay there: plans their memory and how batches are made. */
hff_status resident_plan(struct engine *engine, const struct engine_options *options);
hff_status resident_bind(struct engine *engine);
void resident_free(struct engine *engine);
/* Bytes of the numbers of a part of a batch, which lie in front of it in ARENA_BATCH; 0: the host makes batches. */
size_t resident_numbers(const struct engine *engine);
/* Writes them to host. HFF_E_INTERNAL where the batch does not say which samples it is of. */
hff_status resident_write(const struct engine *engine, const struct batch *batch, int part, unsigned char *host);
/* Makes it of the numbers that are on the device, where stage 1 receives a step of that slot (serial: 0). All batches are
 * made on one stream. */
hff_status resident_make(struct engine *engine, int slot, struct stream *stream);
/* All of that, for an engine without lanes. */
hff_status resident_put(struct engine *engine, const struct batch *batch, int part);

/* ---- lanes.c: which stages share a lane, and the memory that lanes take ---- */

/* Fills engine->lane as engine.pipeline says; pipelined: whether steps are to be in flight. The stages are built. */
hff_status lanes_choose(struct engine *engine, const struct engine_options *options, int *pipelined);
/* Steps whose labels and hyper values are in memory: even, so that a step's slot says which slot of every ring is its
 * own, and more than lanes, so that the first lane need not wait for the last. */
int lanes_steps(int lanes);
/* Fills engine->bytes for steps in lanes. */
void lanes_size(struct engine *engine);
/* Where on the device a slot's step lies that the host sends in one piece: all stages' hyper values, their size, then the
 * numbers of resident.c, then the batch's labels, weights and tick. */
unsigned char *lanes_mail(const struct engine *engine, int slot);
size_t lanes_hyper_bytes(const struct engine *engine);
/* The parts of the arenas that a stage has in a step whose slot is that; engine->memory is allocated. */
void lanes_base(const struct engine *engine, int stage, int slot, unsigned char *base[ARENAS]);

/* ---- pipeline.c: lanes at work ---- */

/* Streams, events and twins; before this the engine's backend becomes one whose streams can have work in flight. */
hff_status pipeline_open(struct engine *engine, const struct config_node *root);
/* Ends streams and what is in flight, before programs and memory are freed; engine->pipeline itself and its backend end
 * after them. */
void pipeline_close(struct engine *engine);
hff_status pipeline_bind(struct engine *engine);
hff_status pipeline_step(struct engine *engine, const struct batch *batch);
hff_status pipeline_drain(struct engine *engine);
/* Lanes' tracks; spans are recorded when their step is known to be done. */
void pipeline_trace(struct engine *engine);

/* A lane's training on one batch: what is enqueued, or captured once and replayed. */
struct runner {
    struct stream *stream;
    struct event **begun, **done; /* (slots): its step of that slot */
    struct capture **capture;     /* (slots); NULL before */
    struct track *track;          /* NULL: none */
};

struct pipeline {
    struct backend *queue; /* to close; NULL: the engine's backend is asynchronous itself */
    int slots;             /* lanes_steps */
    struct stream *feed;   /* the host's batches */
    struct event **fed;    /* (slots): the batch has arrived */
    struct runner *runner; /* (lanes) */
    struct program **twin; /* (slots, stages); of slot 0 the stage's program itself */
    struct event **mark;   /* (slots, stages, SECTIONS, 2): where a section begins and ends; NULL: not timed */
    int64_t *step;         /* (slots): in flight there, and not yet in the stages' seconds and the timeline; 0: none */
    int captures;          /* steps are to be replayed */
    int warm, captured;    /* a step has been enqueued op by op; steps are replayed now */
    unsigned char *mail;   /* a step as it is sent: feed.c */
    size_t labels_at, mail_bytes;
    double (*norm)[NORMS]; /* (stages) */
};

static inline struct program *pipeline_twin(const struct engine *engine, int slot, int stage)
{
    return engine->pipeline->twin[slot * engine->stages + stage];
}

/* Waits for all streams; the first error of any. */
hff_status pipeline_wait(struct engine *engine);

/* ---- feed.c: what the host gives to a step in flight ---- */

/* The stream for it, and room for what is sent. */
hff_status feed_open(struct engine *engine);
/* Enqueues that a batch comes to where a step of that slot finds it. */
hff_status feed_step(struct engine *engine, const struct batch *batch, int64_t step, int slot);
/* The same again and again, and waits; nothing is in flight. */
hff_status feed_alone(struct engine *engine, const struct batch *batch, int times);

/* ---- marks.c: times of what streams did ---- */

/* Adds the times of a slot's step, which is done, to the stages' seconds and the timeline. */
hff_status marks_collect(struct engine *engine, int slot);
/* Enqueues a mark. */
hff_status marks_put(struct engine *engine, int slot, int stage, enum section section, int end, struct stream *stream);

#endif
