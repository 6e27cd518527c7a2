/* What several benches share. */
#ifndef HFF_TRAIN_BENCH_ROWS_H
#define HFF_TRAIN_BENCH_ROWS_H

#include "setup.h"
#include "turns.h"

/* {"median", "min", "max"} in milliseconds under key, and "runs". */
void put_spread(json_t *row, const char *key, struct spread spread);

/* The sections of a training step in the order in which they run, ended by SECTIONS; a preview only where an objective
 * has one. */
enum { PHASES = 5 };
void step_phases(const struct engine *engine, enum section phases[PHASES + 1]);

/* The times of the stages' sections start again. */
void clear_phases(struct engine *engine);

/* HFF_E_CONFIG, with the place, where stages learn in turn: no step then trains the net. */
hff_status bench_joint(const struct setup *setup);
/* Milliseconds of a step's sections since then, over steps of them: each stage's under "stages_ms", all stages' in
 * sum. */
void put_phases(json_t *row, const struct engine *engine, int64_t steps, double sum[SECTIONS]);

/* The share of a training step's FLOPs that lies in heads, and everything else the engine's plan says of a row. */
double head_flops_share(const struct engine *engine);
/* Activations of one stage at a time, with what it receives and passes on. */
size_t activation_bytes(const struct engine *engine);
void put_plan(json_t *row, const struct setup *setup);

#endif
