/* The run.* and predict.* keys, and the list of all rooms' rows. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static const struct config_row run_rows[] = {
    {"run", CONFIG_MAP, "{}", 0, 0, NULL, "", "the run as a whole"},
    {"run.name", CONFIG_TEXT, "", 0, 0, NULL, "",
     "folder of the run inside run.out; by default the config's file name"},
    {"run.seed", CONFIG_INT, "1", 0, 9007199254740992.0, NULL, "", "every random number follows from it"},
    {"run.epochs", CONFIG_REAL, "10", 0, 1000000, NULL, "epochs",
     "length of the run, or with engine.schedule sequential of each stage's training; may be fractional"},
    {"run.batch", CONFIG_INT, "128", 1, 1 << 20, NULL, "samples", "samples of a step, over all slices and ranks"},
    {"run.micro_batch", CONFIG_INT, "0", 0, 1 << 20, NULL, "samples",
     "less memory: a step takes its batch in parts of this many, one after the other, adds up their gradients and "
     "updates once; divides run.batch; 0: the whole batch at once. Batch norm takes its statistics from each part and "
     "moves its running ones once a part"},
    {"run.backend", CONFIG_CHOICE, "auto", 0, 0, "auto|cuda|cpu|ref", "",
     "what computes; auto: a GPU where there is one, else the processor"},
    {"run.dtype", CONFIG_CHOICE, "f32", 0, 0, "f32|tf32|bf16", "",
     "element type of activations; bf16: faster on GPUs and processors with AVX512-BF16 or AMX, parameters and sums "
     "stay f32; tf32 (GPUs only): f32, but products round what they multiply to 10 bits"},
    {"run.threads", CONFIG_INT, "0", 0, 4096, NULL, "threads",
     "compute threads, 0: all processors; never changes a result"},
    {"run.slices", CONFIG_INT, "4", 1, 4096, NULL, "",
     "parts of a batch (of a micro-batch, where there are any) whose sums are combined in a fixed order; divides it"},
    {"run.out", CONFIG_TEXT, "runs", 0, 0, NULL, "", "folder for run folders"},
    {"run.final", CONFIG_CHOICE, "last", 0, 0, "last|best", "",
     "which model is kept: best on the hold-out needs data.holdout"},
    {"run.log_every", CONFIG_INT, "50", 1, 1000000000, NULL, "steps", "log interval"},
    {"run.checkpoint_every", CONFIG_REAL, "1", 0, 1000000, NULL, "epochs",
     "checkpoint interval, may be fractional; 0: only at the end"},
    {"run.keep", CONFIG_INT, "2", 1, 1000000, NULL, "", "newest checkpoints that stay (the best stays too)"},
    {"run.time_limit", CONFIG_REAL, "0", 0, 1e9, NULL, "s",
     "stop after this time, with a checkpoint and exit status 130; 0: none"},
    {"run.until", CONFIG_MAP, "{}", 0, 0, NULL, "", "stop early"},
    {"run.until.accuracy", CONFIG_REAL, "0", 0, 1, NULL, "",
     "at the end of the epoch that reaches it (hold-out, else test); 0: never"},
    {"predict", CONFIG_MAP, "{}", 0, 0, NULL, "", "how stages are joined into one prediction"},
    {"predict.rule", CONFIG_CHOICE, "sum", 0, 0, RULE_WORDS, "",
     "last stage; mean of log-probabilities; weights fitted on the hold-out; best stage on the hold-out"},
    {"predict.from", CONFIG_TEXT, "auto", 0, 0, NULL, "",
     "first stage of the sum; auto: as the objective sums (ff: all but the first), else the last three, the last two "
     "of three, or all"},
    {0},
};

const struct config_row *const config_tables[] = {run_rows,   data_rows,   net_rows, objective_rows,
                                                  optim_rows, engine_rows, NULL};

hff_status setup_options(struct setup *setup)
{
    const struct config_node *root = config_root(setup->config);
    struct run_options *run = &setup->run;
    run->name = config_text(root, "run.name");
    run->out = config_text(root, "run.out");
    run->backend = config_text(root, "run.backend");
    const char *dtype = config_text(root, "run.dtype");
    run->act = strcmp(dtype, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    run->precision = strcmp(dtype, "bf16") == 0   ? PRECISION_BF16
                     : strcmp(dtype, "tf32") == 0 ? PRECISION_TF32
                                                  : PRECISION_F32;
    run->seed = (uint64_t)config_int(root, "run.seed");
    run->epochs = config_real(root, "run.epochs");
    run->checkpoint_every = config_real(root, "run.checkpoint_every");
    run->time_limit = config_real(root, "run.time_limit");
    run->until_accuracy = config_real(root, "run.until.accuracy");
    run->batch = (int)config_int(root, "run.batch");
    run->micro = (int)config_int(root, "run.micro_batch");
    run->threads = (int)config_int(root, "run.threads");
    run->slices = (int)config_int(root, "run.slices");
    run->log_every = (int)config_int(root, "run.log_every");
    run->keep = (int)config_int(root, "run.keep");
    run->final_best = strcmp(config_text(root, "run.final"), "best") == 0;
    if (run->micro > 0 && run->batch % run->micro != 0)
        return config_fail(config_at(root, "run.micro_batch"), "run.micro_batch is %d and does not divide run.batch %d",
                           run->micro, run->batch);
    if (run->micro > 0 && run->micro % run->slices != 0)
        return config_fail(config_at(root, "run.slices"), "run.slices is %d and does not divide run.micro_batch %d",
                           run->slices, run->micro);
    if (run->batch % run->slices != 0)
        return config_fail(config_at(root, "run.slices"), "run.slices is %d and does not divide run.batch %d",
                           run->slices, run->batch);
    const char *rule = config_text(root, "predict.rule");
    int wants_holdout = strcmp(rule, "weighted") == 0 || strcmp(rule, "best") == 0;
    if (wants_holdout && config_real(root, "data.holdout") == 0)
        return config_fail(config_at(root, "predict.rule"),
                           "predict.rule %s needs held-out data; set data.holdout, e.g. 0.1", rule);
    if (run->final_best && config_real(root, "data.holdout") == 0)
        return config_fail(config_at(root, "run.final"),
                           "run.final best needs held-out data; set data.holdout, e.g. 0.1");
    return HFF_OK;
}

static hff_status parse_from(const struct config *config, int stages, int *from)
{
    const struct config_node *root = config_root(config);
    const char *text = config_text(root, "predict.from");
    char *end;
    *from = 0;
    if (strcmp(text, "auto") == 0) return HFF_OK;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < 1 || value > stages)
        return config_fail(config_at(root, "predict.from"), "predict.from is '%s'; it must be auto or a stage, 1 to %d",
                           text, stages);
    *from = (int)value;
    return HFF_OK;
}

hff_status rules_from_config(struct rules *rules, enum rule *rule, const struct config *config,
                             const struct engine *engine)
{
    int from;
    TRY(parse_from(config, engine->stages, &from));
    rules_open(rules, engine->stages, from ? from : engine->stage[0].sum_from);
    rules_use(rules, engine->evaluated);
    *rule = (enum rule)rule_parse(config_text(config_root(config), "predict.rule"));
    return HFF_OK;
}
