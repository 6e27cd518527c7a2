/* Binding and running programs, and looking into them. */
#include "program.h"

#include "tensor/bf16.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void program_bind(struct program *program, unsigned char *const base[ARENAS])
{
    memcpy(program->base, base, sizeof program->base);
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < program->count[s]; i++) {
            struct instr *instr = &program->section[s][i];
            for (int a = 0; a < OP_ARGS; a++) {
                const struct slot *slot = instr->arg[a] < 0 ? NULL : &program->slot[instr->arg[a]];
                instr->address[a] = slot ? base[slot->arena] + slot->offset : NULL;
            }
        }
}

static hff_status run(struct program *program, enum section section, struct stream *stream)
{
    const struct instr *instr = program->section[section];
    void *work = program->base[ARENA_WORK];
    for (int i = 0; i < program->count[section]; i++) {
        double begin = trace_begin(program->track);
        hff_status status = program->backend->api->op_run(instr[i].op, stream, instr[i].address, work);
        trace_end(program->track, op_table[instr[i].op->desc.kind].name, "op", i + 1, begin);
        if (status != HFF_OK) return trail_add(status, "op %d of section %s", i + 1, section_name(section));
    }
    return HFF_OK;
}

hff_status program_run(struct program *program, enum section section, struct stream *stream)
{
    TRY(run(program, section, stream));
    return section == SECTION_UPDATE ? run(program, SECTION_PACK, stream) : HFF_OK;
}

void *program_address(const struct program *program, int value)
{
    const struct slot *slot = &program->slot[value];
    return program->base[slot->arena] + slot->offset;
}

/* The moments of parameter param: the same place among the stage's moments as the parameter has among its parameters,
 * which are the first in their arena. */
static int kept_moments(const struct program *program, int param, struct kept *out)
{
    const struct graph *graph = &program->graph;
    int count = 0;
    for (int i = 0; i < graph->values; i++) {
        const struct value *value = &graph->value[i];
        if (value->role != ROLE_MOMENT) continue;
        count++;
        if (!out) continue;
        *out = (struct kept){.tensor = graph->value[param].tensor, .role = ROLE_MOMENT};
        out->address = program->base[ARENA_MOMENT]
                           ? program->base[ARENA_MOMENT] + program->slot[i].offset + program->slot[param].offset
                           : NULL;
        snprintf(out->name, sizeof out->name, "%s%s", graph->value[param].name, strrchr(value->name, '.'));
        out++;
    }
    return count;
}

int program_kept(const struct program *program, int moments, struct kept *out)
{
    int count = 0;
    for (int i = 0; i < program->graph.values; i++) {
        const struct value *value = &program->graph.value[i];
        if ((value->role != ROLE_PARAM && value->role != ROLE_STATE) || value->whole) continue;
        if (moments) {
            if (value->role == ROLE_PARAM && value->group != GROUP_FROZEN)
                count += kept_moments(program, i, out ? out + count : NULL);
            continue;
        }
        if (out) {
            out[count] = (struct kept){.tensor = value->tensor, .role = value->role};
            out[count].constant =
                value->role == ROLE_PARAM && value->group == GROUP_FROZEN && value->init == INIT_VALUE;
            out[count].address = program->base[ARENA_PARAM] ? program_address(program, i) : NULL;
            snprintf(out[count].name, sizeof out[count].name, "%s", value->name);
        }
        count++;
    }
    return count;
}

void program_print(const struct program *program, FILE *out)
{
    for (int s = 0; s < SECTIONS; s++) {
        for (int i = 0; i < program->count[s]; i++) {
            const struct instr *instr = &program->section[s][i];
            const struct op_info *info = &op_table[instr->op->desc.kind];
            fprintf(out, "  %-8s %2d  %-13s", section_name((enum section)s), i + 1, info->name);
            for (int a = 0; a < OP_ARGS; a++)
                if (instr->arg[a] >= 0) fprintf(out, " %s=%s", info->arg[a].name, program->slot[instr->arg[a]].name);
            fputc('\n', out);
        }
    }
    fprintf(out, "  %-28s %-32s %-12s %12s %12s  %s\n", "slot", "tensor", "arena", "offset", "bytes", "lives");
    for (int i = 0; i < program->slots; i++) {
        const struct slot *slot = &program->slot[i];
        char text[96];
        fprintf(out, "  %-28s %-32s %-12s %12zu %12zu  ", slot->name, tensor_text(&slot->tensor, text, sizeof text),
                arena_name(slot->arena), slot->offset, slot->bytes);
        if (slot->arena == ARENA_ACT)
            fprintf(out, "%d-%d\n", slot->first + 1, slot->last + 1);
        else
            fputs("always\n", out);
    }
}

size_t program_largest_slot(const struct program *program)
{
    size_t largest = 0;
    for (int i = 0; i < program->slots; i++)
        if (program->slot[i].bytes > largest) largest = program->slot[i].bytes;
    return largest;
}

static int all_finite(const void *data, enum dtype dtype, size_t bytes)
{
    if (dtype == DTYPE_F32)
        for (size_t i = 0; i < bytes / 4; i++)
            if (!isfinite(((const float *)data)[i])) return 0;
    if (dtype == DTYPE_F64)
        for (size_t i = 0; i < bytes / 8; i++)
            if (!isfinite(((const double *)data)[i])) return 0;
    if (dtype == DTYPE_BF16)
        for (size_t i = 0; i < bytes / 2; i++)
            if (!isfinite(bf16_wide(((const bf16 *)data)[i]))) return 0;
    return 1;
}

const char *program_bad_output(const struct program *program, const struct instr *instr, int changed,
                               struct stream *stream, void *scratch)
{
    const struct op_info *info = &op_table[instr->op->desc.kind];
    for (int a = 0; a < info->args; a++) {
        if (instr->arg[a] < 0 || !(info->arg[a].access & ARG_OUT)) continue;
        if (!changed && (info->arg[a].access & ARG_IN)) continue;
        const struct slot *slot = &program->slot[instr->arg[a]];
        const struct backend_api *api = program->backend->api;
        if (api->copy_out(stream, scratch, instr->address[a], slot->bytes) != HFF_OK) continue;
        if (api->stream_wait(stream) != HFF_OK) continue;
        if (!all_finite(scratch, slot->tensor.dtype, slot->bytes)) return slot->name;
    }
    return NULL;
}
