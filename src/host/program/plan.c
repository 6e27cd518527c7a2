/* The memory plan: where every slot lies. Parameters, gradients and moments lie group by group; activations share
 * memory when their lifetimes do not overlap (largest first, lowest free offset). */
#include "private.h"

#include <stdlib.h>

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static void find_lifetimes(struct program *program)
{
    int position = 0;
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < program->count[s]; i++, position++)
            for (int a = 0; a < OP_ARGS; a++) {
                int arg = program->section[s][i].arg[a];
                if (arg < 0) continue;
                struct slot *slot = &program->slot[arg];
                if (slot->first < 0) slot->first = position;
                slot->last = position;
            }
}

/* Members of a group side by side without gaps, groups where graph_places says: in front of everything else in the arena. */
static void place_groups(struct program *program, enum role role)
{
    struct group_place place[GROUPS];
    size_t *bytes = &program->bytes[role == ROLE_PARAM ? ARENA_PARAM : ARENA_GRAD];
    graph_places(&program->graph, place);
    for (int g = 0; g < GROUPS; g++) {
        size_t start = (size_t)place[g].first * dtype_bytes(program->graph.real), end = start;
        for (int i = 0; i < program->graph.values; i++) {
            const struct value *value = &program->graph.value[i];
            if (value->role != role || value->group != (enum group)g) continue;
            struct slot *slot = &program->slot[i];
            slot->offset = value->whole ? start : end;
            if (!value->whole) end += slot->bytes;
        }
        if (place[g].count > 0) *bytes = end;
    }
}

/* A value that stands for all groups begins where the first one does: at 0. */
static int is_whole_stage(const struct program *program, int slot)
{
    return slot < program->graph.values && program->graph.value[slot].whole == WHOLE_STAGE;
}

static void place_rest(struct program *program)
{
    for (int i = 0; i < program->slots; i++) {
        struct slot *slot = &program->slot[i];
        int grouped = slot->role == ROLE_PARAM && program->graph.value[i].group != GROUP_FROZEN;
        if (slot->role == ROLE_GRAD || slot->arena == ARENA_ACT || grouped) continue;
        if (slot->role == ROLE_PARAM && is_whole_stage(program, i)) continue;
        size_t *bytes = &program->bytes[slot->arena];
        if (slot->arena == ARENA_INPUT ||
            slot->arena == ARENA_OUTPUT) { /* the training and the evaluation value are the same place */
            slot->offset = 0;
            if (slot->bytes > *bytes) *bytes = slot->bytes;
            continue;
        }
        slot->offset = aligned(*bytes);
        *bytes = slot->offset + slot->bytes;
    }
}

static int larger_first(const void *a, const void *b)
{
    const struct slot *const *x = a, *const *y = b;
    if ((*x)->bytes != (*y)->bytes) return (*x)->bytes < (*y)->bytes ? 1 : -1;
    return *x < *y ? -1 : 1;
}

static int overlap(const struct slot *a, const struct slot *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which slot meets none of the placed slots that live while it does. */
static size_t lowest_free(const struct slot *slot, struct slot *const *placed, int count)
{
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const struct slot *other = placed[i];
        if (!overlap(slot, other) || other->offset >= offset + slot->bytes || other->offset + other->bytes <= offset)
            continue;
        offset = aligned(other->offset + other->bytes);
        i = -1; /* again from the first */
    }
    return offset;
}

static void place_activations(struct program *program)
{
    struct slot **order = ARENA_NEW(&program->arena, struct slot *, program->slots + 1);
    int count = 0;
    for (int i = 0; i < program->slots; i++)
        if (program->slot[i].arena == ARENA_ACT && program->slot[i].first >= 0) order[count++] = &program->slot[i];
    qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int i = 0; i < count; i++) {
        order[i]->offset = lowest_free(order[i], order, i);
        size_t end = order[i]->offset + order[i]->bytes;
        if (end > program->bytes[ARENA_ACT]) program->bytes[ARENA_ACT] = end;
    }
}

void program_plan(struct program *program)
{
    find_lifetimes(program);
    place_groups(program, ROLE_PARAM);
    place_groups(program, ROLE_GRAD);
    place_rest(program);
    place_activations(program);
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < program->count[s]; i++) {
            size_t work = program->backend->api->op_workspace(program->section[s][i].op);
            if (work > program->bytes[ARENA_WORK]) program->bytes[ARENA_WORK] = work;
        }
    for (int a = 0; a < ARENAS; a++) program->bytes[a] = aligned(program->bytes[a]);
}
