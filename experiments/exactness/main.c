/* What exactness costs: every product and convolution of a config's training step, as hff runs it (slices,
 * single-thread primitives, sums in a fixed tree) and as the quickest of the arrangements in rival.c. See
 * experiments/exactness.md.
 *
 *     exactness CONFIG CxHxW CLASSES THREADS [KEY=VALUE ...] */
#include "profile.h"
#include "quiet.h"
#include "rival.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS = 9,
    TRIES = 12, /* of a sample that other processes disturb */
    STEPS = 15,
    COLUMNS = 8,
    REST_MS = 20 /* OpenMP's threads spin for some milliseconds after their work, which would slow hff's */
};
static const double sample_seconds = 4e-3, least_seconds = 1e-7;

/* What is timed in turn: hff's op, its moving of weights, and the rivals. */
enum { OWN, MOVE, FIRST_RIVAL, CONTENDERS = FIRST_RIVAL + RIVALS };
struct contender {
    const struct program *program; /* hff's: an instruction of it; */
    const struct instr *instr;
    const struct rival *rival; /* else this */
    int runs, disturbed;       /* runs of a sample; samples that were never calm */
    double seconds[ROUNDS], median;
};

struct sums {
    double own, move, quickest;
    double lost;      /* by those ops whose rival is quicker */
    double lost_sums; /* exact - quickest of weight gradients, the ops that sum over samples */
    int samples, disturbed;
};

static hff_status run(const struct contender *c, struct stream *stream)
{
    if (c->rival) {
        rival_run(c->rival);
        return HFF_OK;
    }
    const struct backend_api *api = c->program->backend->api;
    TRY(api->op_run(c->instr->op, stream, c->instr->address, c->program->base[ARENA_WORK]));
    return api->stream_wait(stream);
}

/* A rest, one run that wakes the threads and warms the caches, then the measured ones. */
static hff_status take(const struct contender *c, struct stream *stream, int runs, double *seconds, double *waited)
{
    nanosleep(&(struct timespec){.tv_nsec = REST_MS * 1000000}, NULL);
    TRY(run(c, stream));
    double before = waited_seconds(), start = clock_seconds();
    for (int i = 0; i < runs; i++) TRY(run(c, stream));
    double whole = clock_seconds() - start;
    *waited = (waited_seconds() - before) / whole;
    *seconds = whole / runs;
    return HFF_OK;
}

/* The calmest of a few tries; the first calm one ends them. */
static hff_status sample(struct contender *c, struct stream *stream, int round)
{
    double seconds, waited, least = 0;
    for (int i = 0; i < TRIES && (i == 0 || least > CALM); i++) {
        TRY(take(c, stream, c->runs, &seconds, &waited));
        if (i > 0 && waited >= least) continue;
        least = waited;
        c->seconds[round] = seconds;
    }
    c->disturbed += least > CALM;
    return HFF_OK;
}

static hff_status time_in_turn(struct contender *contenders, int count, struct stream *stream)
{
    for (int i = 0; i < count; i++) {
        struct contender *c = &contenders[i];
        double once, waited;
        if (!c->rival && !c->instr) continue;
        TRY(take(c, stream, 1, &once, &waited));
        c->runs = 1 + (int)(sample_seconds / (once > least_seconds ? once : least_seconds));
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < count; i++)
            if (contenders[i].runs) TRY(sample(&contenders[i], stream, round));
    for (int i = 0; i < count; i++) contenders[i].median = median(contenders[i].seconds, ROUNDS);
    return HFF_OK;
}

static int is_product(const struct instr *instr)
{
    enum op_kind kind = instr->op->desc.kind;
    return kind >= OP_LINEAR && kind <= OP_CONV_WEIGHT;
}

/* The reorder that packs an op's weights or unpacks their gradient; NULL where they stay as they are. */
static const struct instr *move_of(const struct program *program, int section, const struct instr *instr)
{
    int writes = instr->op->desc.kind == OP_CONV_WEIGHT, weights = instr->arg[writes ? 2 : 1];
    if (weights < program->graph.values) return NULL; /* packed slots stand behind the graph's */
    for (int k = 0; k < program->count[section]; k++) {
        const struct instr *other = &program->section[section][k];
        if (other->op->desc.kind == OP_REORDER && other->arg[writes ? 0 : 1] == weights) return other;
    }
    return NULL;
}

static void fill_arguments(const struct instr *instr)
{
    for (int a = 0; a < OP_ARGS; a++)
        if (instr->arg[a] >= 0) fill_random(instr->address[a], tensor_bytes(&instr->op->desc.arg[a]) / sizeof(float));
}

/* "64x32x32 by 128x64x3x3" */
static const char *shape_words(struct arena *arena, const struct op_desc *desc)
{
    static const int roles[][2] = {[OP_LINEAR] = {0, 1}, [OP_LINEAR_DATA] = {0, 1}, [OP_LINEAR_WEIGHT] = {0, 2},
                                   [OP_CONV] = {0, 1},   [OP_CONV_DATA] = {0, 1},   [OP_CONV_WEIGHT] = {0, 2}};
    const struct tensor *x = &desc->arg[roles[desc->kind][0]], *w = &desc->arg[roles[desc->kind][1]];
    const char *text = "";
    for (int i = 1; i < x->rank; i++)
        text = arena_printf(arena, "%s%s%lld", text, i > 1 ? "x" : "", (long long)x->dim[i]);
    text = arena_printf(arena, "%s by ", text);
    for (int i = 0; i < w->rank; i++) text = arena_printf(arena, "%s%s%lld", text, i ? "x" : "", (long long)w->dim[i]);
    return text;
}

static void add_row(struct arena *arena, const char **cell, int stage, const struct contender *c, int count,
                    struct sums *sums)
{
    int best = FIRST_RIVAL;
    for (int i = best; i < count; i++)
        if (c[i].median < c[best].median) best = i;
    for (int i = 0; i < count; i++) {
        sums->samples += c[i].runs ? ROUNDS : 0;
        sums->disturbed += c[i].disturbed;
    }
    const struct op_desc *desc = &c[OWN].instr->op->desc;
    double exact = c[OWN].median + c[MOVE].median, quickest = c[best].median;
    sums->own += c[OWN].median;
    sums->move += c[MOVE].median;
    sums->quickest += quickest;
    if (exact > quickest) sums->lost += exact - quickest;
    if (op_table[desc->kind].sliced) sums->lost_sums += exact - quickest;
    cell[0] = arena_printf(arena, "%d", stage);
    cell[1] = op_table[desc->kind].name;
    cell[2] = shape_words(arena, desc);
    cell[3] = arena_printf(arena, "%.3f", 1e3 * exact);
    cell[4] = c[MOVE].instr ? arena_printf(arena, "%.3f", 1e3 * c[MOVE].median) : "-";
    cell[5] = arena_printf(arena, "%.3f", 1e3 * quickest);
    cell[6] = arena_printf(arena, "%.2f", exact / quickest);
    cell[7] = c[best].rival->way;
}

static hff_status compare(struct arena *arena, const struct engine *engine, int stage, int section, int k,
                          const char **cell, struct sums *sums)
{
    const struct program *program = engine->stage[stage].program;
    const struct instr *instr = &program->section[section][k], *move = move_of(program, section, instr);
    struct rival rivals[RIVALS];
    struct contender contenders[CONTENDERS] = {
        [OWN] = {.program = program, .instr = instr}, [MOVE] = {.program = program, .instr = move}};
    int count;
    TRY(rivals_open(rivals, &count, engine->backend, &instr->op->desc, engine->backend->threads));
    for (int i = 0; i < count; i++) contenders[FIRST_RIVAL + i].rival = &rivals[i];
    if (move) fill_arguments(move);
    fill_arguments(instr);
    hff_status status = time_in_turn(contenders, FIRST_RIVAL + count, engine->stream);
    if (status == HFF_OK) add_row(arena, cell, stage + 1, contenders, FIRST_RIVAL + count, sums);
    rivals_close(rivals, count, engine->backend);
    return status;
}

static hff_status compare_all(const struct engine *engine, struct sums *sums, FILE *out)
{
    struct arena arena = {0};
    int room = 1, rows = 1;
    hff_status status = HFF_OK;
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++) room += engine->stage[i].program->count[s];
    const char **cells = ARENA_NEW(&arena, const char *, room *COLUMNS);
    memcpy(cells,
           (const char *[]){"stage", "op", "shape", "exact ms", "of that weights", "quickest ms", "ratio", "quickest"},
           COLUMNS * sizeof *cells);
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
            for (int k = 0; k < engine->stage[i].program->count[s]; k++)
                if (is_product(&engine->stage[i].program->section[s][k]))
                    TRY_GOTO(status, compare(&arena, engine, i, s, k, cells + rows++ * COLUMNS, sums), end);
    table_print(out, cells, rows, COLUMNS, 0, 0);
end:
    arena_free(&arena);
    return status;
}

/* The share of an inexact step that exactness adds to it. */
static double share(double lost, double step)
{
    return 100 * lost / (step - lost);
}

static void print_sums(const struct sums *sums, double step, FILE *out)
{
    double exact = sums->own + sums->move;
    fprintf(out, "\nexact    %8.2f ms, of that %.2f ms to move weights between layouts\n", 1e3 * exact,
            1e3 * sums->move);
    fprintf(out, "quickest %8.2f ms; ratio %.3f, without moving weights %.3f\n", 1e3 * sums->quickest,
            exact / sums->quickest, sums->own / sums->quickest);
    fprintf(out, "step     %8.2f ms\n", 1e3 * step);
    fprintf(out, "cost of exactness, per cent of a step without it:\n");
    fprintf(out, "  %6.2f  (exact - quickest) / (step - (exact - quickest))\n", share(exact - sums->quickest, step));
    fprintf(out, "  %6.2f  the part of weight gradients, which sum over samples\n", share(sums->lost_sums, step));
    fprintf(out, "  %6.2f  all without moving weights\n", share(sums->own - sums->quickest, step));
    fprintf(out, "  %6.2f  the most it can be: only ops whose rival is quicker, weights moved\n",
            share(sums->lost, step));
}

static void print_calm(const struct profile *profile, const struct sums *sums, FILE *out)
{
    fprintf(out, "disturbed by other processes: %d of %d steps, %d of %d samples\n", profile->disturbed, STEPS,
            sums->disturbed, sums->samples);
}

static void print_load(FILE *out, const char *when)
{
    double load[1] = {0};
    if (getloadavg(load, 1) == 1) fprintf(out, "load %s: %.2f\n", when, load[0]);
}

static hff_status measure(struct setup *setup, const char *const *words, int sets, FILE *out)
{
    struct shape input = {.rank = 3};
    long long c, h, w;
    char rest;
    int classes = atoi(words[2]), threads = atoi(words[3]);
    if (sscanf(words[1], "%lldx%lldx%lld%c", &c, &h, &w, &rest) != 3 || c < 1 || h < 1 || w < 1 || classes < 2)
        return fail(HFF_E_USAGE, "CxHxW is for example 3x32x32 and CLASSES at least 2, not '%s' and '%s'", words[1],
                    words[2]);
    if (threads < 1) return fail(HFF_E_USAGE, "THREADS is at least 1, not '%s'", words[3]);
    input.dim[0] = c;
    input.dim[1] = h;
    input.dim[2] = w;
    TRY(config_load(&setup->config, config_tables, words[0], words + 4, sets));
    TRY(setup_options(setup));
    setup->run.backend = "cpu";
    setup->run.threads = threads;
    TRY(setup_open_for(setup, &input, classes, 1000));
    fprintf(out, "%s: %s, %s, batch %d, %d slices\n", words[0], words[1], setup->backend->api->describe(setup->backend),
            setup->run.batch, setup->run.slices);
    print_load(out, "at the start");
    struct profile profile;
    TRY(profile_take(&profile, setup, &input, classes, STEPS));
    fprintf(out, "\nstep %.2f ms, %.0f images/s; by op, in the step:\n", 1e3 * profile.step,
            setup->run.batch / profile.step);
    profile_print(&profile, out);
    fputc('\n', out);
    struct sums sums = {0};
    TRY(compare_all(setup->engine, &sums, out));
    print_sums(&sums, profile.step, out);
    print_calm(&profile, &sums, out);
    print_load(out, "at the end");
    return HFF_OK;
}

int main(int count, char **words)
{
    if (count < 5) {
        fputs("usage: exactness CONFIG CxHxW CLASSES THREADS [KEY=VALUE ...]\n", stderr);
        return 2;
    }
    struct setup setup = {0};
    hff_status status = measure(&setup, (const char *const *)words + 1, count - 5, stdout);
    if (status != HFF_OK) {
        fprintf(stderr, "exactness: %s\n", trail_current()->message);
        for (int i = 0; i < trail_current()->count; i++) fprintf(stderr, "  %s\n", trail_current()->line[i]);
    }
    setup_close(&setup);
    return status_exit(status);
}
