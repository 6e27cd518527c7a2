/* Weights as ops want them, and gradients as ops give them, which is not how they lie in files and in their groups.
 *
 * In a step: a weight is moved before the op, once for all ops of a step that want it alike, and a gradient behind it, in
 * memory that activations take at other times. A backend for which each move is dear (keeps_packed) has weights moved in
 * section pack, after each update, and gradients when there are as many as one op (reorders) takes, at the end of section
 * backward, or before an op that wants them there. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

static hff_status pairs_add(struct pairs *pairs, int from, int to)
{
    if (pairs->count == pairs->room) {
        int room = pairs->room ? 2 * pairs->room : 16;
        int(*larger)[2] = realloc(pairs->slot, (size_t)room * sizeof *larger);
        if (!larger) return fail(HFF_E_MEMORY, "no memory for a program's packed weights");
        pairs->slot = larger;
        pairs->room = room;
    }
    pairs->slot[pairs->count][0] = from;
    pairs->slot[pairs->count++][1] = to;
    return HFF_OK;
}

/* An op that moves the pairs from first on, as many as it takes; *moved: how many that was. */
static hff_status add_moves(struct program *program, enum section section, const struct pairs *pairs, int first,
                            int *moved)
{
    int left = pairs->count - first, arg[OP_ARGS];
    *moved = left < REORDERS ? left : REORDERS;
    struct op_desc desc = {.kind = *moved > 1 ? OP_REORDERS : OP_REORDER, .slices = program->slices};
    for (int i = 0; i < OP_ARGS; i++) arg[i] = i < 2 * *moved ? pairs->slot[first + i / 2][i % 2] : -1;
    for (int i = 0; i < 2 * *moved; i++) desc.arg[i] = program->slot[arg[i]].tensor;
    struct op *op;
    TRY(program->backend->api->op_create(program->backend, &desc, &op));
    return program_add_instr(program, section, op, arg);
}

static hff_status add_all_moves(struct program *program, enum section section, struct pairs *pairs)
{
    int moved = 0;
    for (int i = 0; i < pairs->count; i += moved) TRY(add_moves(program, section, pairs, i, &moved));
    pairs->count = 0;
    return HFF_OK;
}

static hff_status add_move(struct program *program, enum section section, int from, int to)
{
    int moved, slot[1][2] = {{from, to}};
    return add_moves(program, section, &(struct pairs){slot, 1, 1}, 0, &moved);
}

/* A weight that an op of this step wanted packed so before: parameters change when the step's gradients are there only. -1:
 * none. */
static int find_packed(const struct program *program, enum section section, int weight, const struct tensor *tensor)
{
    if (section != SECTION_HEAD && section != SECTION_BACKWARD) return -1;
    for (int s = SECTION_FORWARD; s <= (int)section; s++)
        for (int i = 0; i < program->count[s]; i++) {
            const struct instr *instr = &program->section[s][i];
            if (instr->op->desc.kind == OP_REORDER && instr->arg[0] == weight &&
                tensor_same(tensor, &program->slot[instr->arg[1]].tensor))
                return instr->arg[1];
        }
    return -1;
}

static int find_kept(const struct packing *packing, int weight, const struct tensor *tensor)
{
    for (int i = 0; i < packing->kept.count; i++) {
        const int *slot = packing->kept.slot[i];
        if (slot[0] == weight && tensor_same(tensor, &packing->program->slot[slot[1]].tensor)) return slot[1];
    }
    return -1;
}

/* A slot for a weight or its gradient as an op wants it. */
static hff_status add_packed(struct program *program, int slot, const struct tensor *tensor, enum arena_kind arena,
                             int *packed)
{
    struct slot copy = {.name = arena_printf(&program->arena, "%s.packed", program->slot[slot].name),
                        .tensor = *tensor,
                        .role = ROLE_ACT,
                        .arena = arena,
                        .bytes = tensor_bytes(tensor)};
    *packed = program->slots;
    return program_add_slot(program, &copy);
}

/* The slot from which an op reads weight slot as tensor. */
static hff_status read_packed(struct packing *packing, enum section section, int slot, const struct tensor *tensor,
                              int *packed)
{
    struct program *program = packing->program;
    int keep = program->backend->api->keeps_packed && program->slot[slot].role == ROLE_PARAM;
    *packed = keep ? find_kept(packing, slot, tensor) : find_packed(program, section, slot, tensor);
    if (*packed >= 0) return HFF_OK;
    TRY(add_packed(program, slot, tensor, keep ? ARENA_PARAM : ARENA_ACT, packed));
    return keep ? pairs_add(&packing->kept, slot, *packed) : add_move(program, section, slot, *packed);
}

/* Whether one of the op's arguments waits to be moved into its place. */
static int waits(const struct packing *packing, const int *arg)
{
    for (int i = 0; i < packing->late.count; i++)
        for (int a = 0; a < OP_ARGS; a++)
            if (arg[a] == packing->late.slot[i][1]) return 1;
    return 0;
}

hff_status packing_before(struct packing *packing, enum section section, const struct op *op, int arg[OP_ARGS])
{
    struct program *program = packing->program;
    const struct op_info *info = &op_table[op->desc.kind];
    int own[OP_ARGS];
    memcpy(own, arg, sizeof own);
    if (waits(packing, arg)) TRY(packing_now(packing, section));
    for (int i = 0; i < OP_ARGS; i++) {
        int slot = own[info->arg[i].access & ARG_COPY ? info->copied : i];
        const struct tensor *tensor = &op->desc.arg[i];
        if (slot < 0 || tensor->rank == 0 || tensor_same(tensor, &program->slot[slot].tensor)) continue;
        if (info->arg[i].access & ARG_IN)
            TRY(read_packed(packing, section, slot, tensor, &arg[i]));
        else
            TRY(add_packed(program, slot, tensor, ARENA_ACT, &arg[i]));
    }
    return HFF_OK;
}

hff_status packing_after(struct packing *packing, enum section section, const int *wanted, const int *arg)
{
    struct program *program = packing->program;
    const struct op_info *info = &op_table[program->section[section][program->count[section] - 1].op->desc.kind];
    for (int i = 0; i < OP_ARGS; i++) {
        if (arg[i] == wanted[i] || !(info->arg[i].access & ARG_OUT)) continue;
        if (program->backend->api->keeps_packed)
            TRY(pairs_add(&packing->late, arg[i], wanted[i]));
        else
            TRY(add_move(program, section, arg[i], wanted[i]));
    }
    return packing->late.count >= REORDERS ? packing_now(packing, section) : HFF_OK; /* one op takes no more */
}

hff_status packing_now(struct packing *packing, enum section section)
{
    return add_all_moves(packing->program, section, &packing->late);
}

hff_status packing_end(struct packing *packing)
{
    if (packing->late.count > 0) return fail(HFF_E_INTERNAL, "a gradient is made behind section backward");
    return add_all_moves(packing->program, SECTION_PACK, &packing->kept);
}

void packing_free(struct packing *packing)
{
    free(packing->kept.slot);
    free(packing->late.slot);
}
