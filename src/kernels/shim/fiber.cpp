/* Switching between fibers: a dozen instructions on x86-64, ucontext elsewhere (there each switch is two system calls).
 * The address sanitizer is told about every switch, or it would take one fiber's stack for another's. */
#include "fiber.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef HFF_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

#if defined __x86_64__ && !defined SHIM_UCONTEXT
extern "C" void hff_shim_switch(void **from, void *to);
/* Saves what the calling convention says a function keeps, changes stacks, and restores it. */
asm(".text\n.globl hff_shim_switch\n.type hff_shim_switch, @function\nhff_shim_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size hff_shim_switch, .-hff_shim_switch\n.section .note.GNU-stack,\"\",@progbits\n.text\n");

void fiber_make(struct fiber *made, char *stack, size_t bytes, void (*entry)())
{
    /* Seven words that the switch pops: six registers and the address to go to; above them a return address that is
     * never used, so that the stack is aligned as after a call. */
    uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~static_cast<uintptr_t>(15);
    void **at = reinterpret_cast<void **>(top) - 8;
    memset(at, 0, 8 * sizeof *at);
    at[6] = reinterpret_cast<void *>(entry);
    *made = {at, stack, bytes, nullptr};
}

static void change(struct fiber *from, struct fiber *to)
{
    hff_shim_switch(&from->state, to->state);
}
#else
#include <ucontext.h>

void fiber_make(struct fiber *made, char *stack, size_t bytes, void (*entry)())
{
    ucontext_t *context = reinterpret_cast<ucontext_t *>(stack); /* the stack's lowest bytes: no allocation */
    size_t own = (sizeof *context + 63) / 64 * 64;
    getcontext(context);
    context->uc_stack.ss_sp = stack + own;
    context->uc_stack.ss_size = bytes - own;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    *made = {context, stack, bytes, nullptr};
}

static void change(struct fiber *from, struct fiber *to)
{
    static ucontext_t first; /* of the system thread's own stack */
    if (!from->state) from->state = &first;
    swapcontext(static_cast<ucontext_t *>(from->state), static_cast<ucontext_t *>(to->state));
}
#endif

/* Who switched away last: the sanitizer tells the fiber that comes after where that one's stack lies, which is how the
 * system thread's own stack gets known. */
static struct fiber *left;

void fiber_switch(struct fiber *from, struct fiber *to)
{
    left = from;
#ifdef HFF_SANITIZE
    __sanitizer_start_switch_fiber(&from->sanitizer, to->stack, to->bytes);
#endif
    change(from, to);
    fiber_entered(from);
}

void fiber_entered(struct fiber *self)
{
#ifdef HFF_SANITIZE
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->sanitizer, &stack, &bytes);
    if (!left->stack) {
        left->stack = const_cast<char *>(static_cast<const char *>(stack));
        left->bytes = bytes;
    }
#else
    (void)self;
#endif
}
