/* Fibers: several stacks in one system thread. Used by shim.cpp only. */
#ifndef HFF_KERNELS_FIBER_H
#define HFF_KERNELS_FIBER_H

#include <cstddef>

struct fiber {
    void *state;    /* where it stands: a stack pointer, or a ucontext_t */
    char *stack;    /* its lower end; nullptr for the one that came with the system thread */
    size_t bytes;   /* of the stack */
    void *sanitizer; /* what the address sanitizer remembers of it */
};

/* A fiber on the given stack that will call entry(), which never returns. */
void fiber_make(struct fiber *made, char *stack, size_t bytes, void (*entry)());
/* Goes on with to until someone switches back to from. */
void fiber_switch(struct fiber *from, struct fiber *to);
/* The first thing a fiber calls when it runs again (fiber_switch does it itself; entry has to). */
void fiber_entered(struct fiber *self);

#endif
