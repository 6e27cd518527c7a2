/* Between the files of this room only. */
#ifndef HFF_PROGRAM_PRIVATE_H
#define HFF_PROGRAM_PRIVATE_H

#include "program.h"

/* Takes op over (also on failure). */
hff_status program_add_instr(struct program *program, enum section section, struct op *op, const int *arg);
hff_status program_add_slot(struct program *program, const struct slot *slot);

/* ---- pack.c ---- */

/* Slots to be moved, and where to. */
struct pairs {
    int (*slot)[2];
    int count, room;
};

/* While a program is built: what section pack is to have, and what the end of section backward. */
struct packing {
    struct program *program;
    struct pairs kept, late;
};
/* Before op becomes an instruction: its arguments become those in the layouts that it wants, weights with what is in them. */
hff_status packing_before(struct packing *packing, enum section section, const struct op *op, int arg[OP_ARGS]);
/* After it has: what it wrote comes to where it is wanted. */
hff_status packing_after(struct packing *packing, enum section section, const int *wanted, const int *arg);
/* What waits to come to its place comes there. */
hff_status packing_now(struct packing *packing, enum section section);
hff_status packing_end(struct packing *packing);
void packing_free(struct packing *packing);

/* Lifetimes of all slots, offsets in every arena, bytes of the arenas. */
void program_plan(struct program *program);

#endif
