/* Lowering a graph onto a backend: layouts and ops. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

const char *arena_name(enum arena_kind arena)
{
    static const char *const names[ARENAS] = {"parameters", "moments", "statistics", "gradients", "activations",
                                              "workspace",  "input",   "output",     "batch",     "step"};
    return names[arena];
}

static void *grown(void *items, int count, int *room, size_t size)
{
    if (count < *room) return items;
    *room = *room ? 2 * *room : 32;
    return realloc(items, (size_t)*room * size);
}

hff_status program_add_slot(struct program *program, const struct slot *slot)
{
    struct slot *slots = grown(program->slot, program->slots, &program->slot_room, sizeof *slots);
    if (!slots) return fail(HFF_E_MEMORY, "no memory for a program's slots");
    program->slot = slots;
    program->slot[program->slots] = *slot;
    program->slot[program->slots++].first = -1;
    return HFF_OK;
}

static enum arena_kind arena_of(enum role role)
{
    static const enum arena_kind arenas[] = {
        [ROLE_INPUT] = ARENA_INPUT, [ROLE_OUTPUT] = ARENA_OUTPUT, [ROLE_BATCH] = ARENA_BATCH,
        [ROLE_ACT] = ARENA_ACT,     [ROLE_PARAM] = ARENA_PARAM,   [ROLE_STATE] = ARENA_PARAM,
        [ROLE_GRAD] = ARENA_GRAD,   [ROLE_MOMENT] = ARENA_MOMENT, [ROLE_STAT] = ARENA_STAT,
        [ROLE_HYPER] = ARENA_STEP,  [ROLE_HELD] = ARENA_STAT,
    };
    return arenas[role];
}

static int is_activation(const struct value *value)
{
    return value->role == ROLE_ACT || value->role == ROLE_OUTPUT || value->role == ROLE_INPUT;
}

/* Slots for the graph's values, each in the layout that the backend likes. A plain input (LAYOUT_PLAIN with block
 * -1, the host's batch) stays plain. */
static hff_status add_values(struct program *program)
{
    struct graph *graph = &program->graph;
    for (int i = 0; i < graph->values; i++) {
        struct value *value = &graph->value[i];
        struct slot slot = {
            .name = value->name, .tensor = value->tensor, .role = value->role, .arena = arena_of(value->role)};
        struct backend *backend = program->backend;
        if (slot.tensor.block == VALUE_KEEP_PLAIN)
            slot.tensor.block = 0;
        else if (is_activation(value) && slot.tensor.rank == 4)
            slot.tensor = backend->api->activation(backend, slot.tensor.dtype, slot.tensor.rank, slot.tensor.dim);
        slot.bytes = tensor_bytes(&slot.tensor);
        TRY(program_add_slot(program, &slot));
    }
    return HFF_OK;
}

hff_status program_add_instr(struct program *program, enum section section, struct op *op, const int *arg)
{
    struct instr *instrs =
        grown(program->section[section], program->count[section], &program->room[section], sizeof *instrs);
    if (!instrs) {
        program->backend->api->op_destroy(op);
        return fail(HFF_E_MEMORY, "no memory for a program's instructions");
    }
    program->section[section] = instrs;
    struct instr *instr = &instrs[program->count[section]++];
    *instr = (struct instr){.op = op};
    memcpy(instr->arg, arg, sizeof instr->arg);
    return HFF_OK;
}

/* The op of a node; weights and their gradients that it wants packed come from packing. */
static hff_status add_node(struct program *program, struct packing *packing, enum section section,
                           const struct node *node)
{
    const struct op_info *info = &op_table[node->kind];
    struct op_desc desc = node->attr;
    desc.kind = node->kind;
    desc.slices = program->slices;
    for (int i = 0; i < OP_ARGS; i++) {
        if (node->arg[i] < 0) continue;
        desc.arg[i] = program->slot[node->arg[i]].tensor;
        if (info->arg[i].access & ARG_OPEN) desc.arg[i].layout = LAYOUT_ANY;
    }
    struct op *op;
    hff_status status = program->backend->api->op_create(program->backend, &desc, &op);
    if (status != HFF_OK) return trail_add(status, "op %s in section %s", info->name, section_name(section));
    int arg[OP_ARGS];
    memcpy(arg, node->arg, sizeof arg);
    TRY_GOTO(status, packing_before(packing, section, op, arg), destroy);
    TRY(program_add_instr(program, section, op, arg));
    return packing_after(packing, section, node->arg, arg);
destroy:
    program->backend->api->op_destroy(op);
    return status;
}

static hff_status build(struct program *program)
{
    struct packing packing = {.program = program};
    hff_status status = add_values(program);
    for (int s = 0; s < SECTIONS && status == HFF_OK; s++) {
        for (int i = 0; i < program->graph.nodes[s] && status == HFF_OK; i++)
            status = add_node(program, &packing, (enum section)s, &program->graph.node[s][i]);
        if (status == HFF_OK && s == SECTION_BACKWARD) status = packing_now(&packing, SECTION_BACKWARD);
    }
    if (status == HFF_OK) status = packing_end(&packing);
    packing_free(&packing);
    if (status == HFF_OK) program_plan(program);
    return status;
}

hff_status program_build(struct program **out, struct graph *graph, struct backend *backend, int slices)
{
    *out = NULL;
    struct program *program = calloc(1, sizeof *program);
    if (!program) {
        graph_free(graph);
        return fail(HFF_E_MEMORY, "no memory for a program");
    }
    program->graph = *graph;
    memset(graph, 0, sizeof *graph);
    program->backend = backend;
    program->slices = slices;
    hff_status status = build(program);
    if (status != HFF_OK) {
        program_free(program);
        return status;
    }
    *out = program;
    return HFF_OK;
}

void program_free(struct program *program)
{
    if (!program) return;
    for (int s = 0; s < SECTIONS; s++) {
        for (int i = 0; !program->twin && i < program->count[s]; i++)
            program->backend->api->op_destroy(program->section[s][i].op);
        free(program->section[s]);
    }
    if (program->twin) {
        free(program);
        return;
    }
    free(program->slot);
    graph_free(&program->graph);
    arena_free(&program->arena);
    free(program);
}

hff_status program_twin(struct program **out, const struct program *of)
{
    struct program *twin = calloc(1, sizeof *twin);
    *out = NULL;
    if (!twin) return fail(HFF_E_MEMORY, "no memory for a program");
    *twin = *of;
    twin->twin = 1;
    twin->track = NULL;
    memset(twin->section, 0, sizeof twin->section);
    for (int s = 0; s < SECTIONS; s++) {
        if (of->count[s] == 0) continue;
        twin->section[s] = malloc((size_t)of->count[s] * sizeof *twin->section[s]);
        if (!twin->section[s]) {
            program_free(twin);
            return fail(HFF_E_MEMORY, "no memory for a program's instructions");
        }
        memcpy(twin->section[s], of->section[s], (size_t)of->count[s] * sizeof *twin->section[s]);
    }
    *out = twin;
    return HFF_OK;
}
