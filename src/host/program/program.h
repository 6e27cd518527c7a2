/* Programs: a stage's graph lowered onto a backend. Three steps, each printable:
 *
 *     program_build   ops created, layouts chosen, weights' packing inserted, every byte planned; nothing allocated
 *     program_bind    arenas given; every argument becomes a pointer
 *     program_run     a flat array of (op, pointers), run in order; nothing is allocated or looked up
 */
#ifndef HFF_PROGRAM_H
#define HFF_PROGRAM_H

#include "backend/backend.h"
#include "base/trace.h"
#include "net/graph.h"

#include <stdio.h>

/* Where a slot's memory lies. Of a serial engine's arenas, PARAM, MOMENT, STAT and STEP are sums over stages, the others
 * the largest stage's. */
enum arena_kind {
    ARENA_PARAM,  /* parameters by group, then frozen ones and running statistics, and kept packed weights */
    ARENA_MOMENT, /* the optimizer's */
    ARENA_STAT,   /* metrics, norms, scores of an evaluation, what is held from section to section */
    ARENA_GRAD,   /* gradients by group, in the order of ARENA_PARAM */
    ARENA_ACT,    /* activations, by lifetime */
    ARENA_WORK,   /* scratch of one op at a time */
    ARENA_INPUT,  /* what the stage receives */
    ARENA_OUTPUT, /* what it passes on */
    ARENA_BATCH,  /* labels, weights and tick: the same for all stages */
    ARENA_STEP,   /* hyper values: set by the host for a step, but a stage's own */
    ARENAS,
};
const char *arena_name(enum arena_kind arena);

struct slot {
    const char *name;
    struct tensor tensor; /* with its layout */
    enum role role;
    enum arena_kind arena;
    size_t offset, bytes;
    int first, last; /* instructions that touch it first and last, counted over all sections in order; -1: none */
};

struct instr {
    struct op *op;
    int arg[OP_ARGS];       /* slots; -1: absent */
    void *address[OP_ARGS]; /* after program_bind */
};

struct program {
    struct graph graph; /* its value i is slot i; slots behind those are packed weights */
    struct backend *backend;
    int slices;
    struct slot *slot;
    int slots, slot_room;
    struct instr *section[SECTIONS];
    int count[SECTIONS], room[SECTIONS];
    size_t bytes[ARENAS];
    unsigned char *base[ARENAS];
    struct track *track; /* where its ops' spans go; NULL: nowhere */
    int twin;            /* made by program_twin: all but the sections is the other's */
    struct arena arena;
};

/* Takes graph over (also on failure). HFF_E_CONFIG with the node when the backend cannot do an op. */
hff_status program_build(struct program **out, struct graph *graph, struct backend *backend, int slices);
void program_free(struct program *program);

/* The same ops with arguments that can be bound elsewhere, for a stage that works on several batches in turn: of a stage's
 * twins only one runs at a time. Must be freed before of. */
hff_status program_twin(struct program **out, const struct program *of);

/* base: the start of this program's part of each arena, 64-byte aligned. */
void program_bind(struct program *program, unsigned char *const base[ARENAS]);
/* An update is followed by section pack. So must be everything else that changes parameters: program_run(SECTION_PACK). */
hff_status program_run(struct program *program, enum section section, struct stream *stream);

/* A value's memory (after program_bind). */
void *program_address(const struct program *program, int value);

/* One tensor that is kept in files. */
struct kept {
    char name[80];        /* "conv.weight"; a moment: "conv.weight.moment1" */
    struct tensor tensor; /* plain */
    enum role role;       /* PARAM, STATE, MOMENT */
    int constant;         /* the config says it and no training changes it (a fixed log_scale) */
    void *address;
};
/* Fills out with the program's kept tensors of the model (PARAM, STATE) or the optimizer (MOMENT); returns how many
 * there are (out may be NULL). */
int program_kept(const struct program *program, int moments, struct kept *out);

/* Sets every parameter and running statistic to its start; the numbers depend on (seed, stage, name) alone. */
hff_status program_init(struct program *program, struct stream *stream, uint64_t seed, int stage);

/* "forward  3 conv  x=..., ..." for people. */
void program_print(const struct program *program, FILE *out);

/* "conv.y" of the first slot with a number that is not finite among an instruction's outputs; NULL when there is
 * none. changed: also among what it changes, which may be so from before (metrics, running statistics). The stream must be
 * idle. scratch: at least the largest slot's bytes. */
const char *program_bad_output(const struct program *program, const struct instr *instr, int changed,
                               struct stream *stream, void *scratch);
size_t program_largest_slot(const struct program *program);

#endif
