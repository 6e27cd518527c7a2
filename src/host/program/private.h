/* Between the files of this room only. */
#ifndef HFF_PROGRAM_PRIVATE_H
#define HFF_PROGRAM_PRIVATE_H

#include "program.h"

/* Lifetimes of all slots, offsets in every arena, bytes of the arenas. */
void program_plan(struct program *program);

#endif
