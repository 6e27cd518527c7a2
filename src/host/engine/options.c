/* The engine.* keys. */
#include "engine.h"

const struct config_row engine_rows[] = {
    {"engine", CONFIG_MAP, "{}", 0, 0, NULL, "", "in which order stages are run"},
    {"engine.schedule", CONFIG_CHOICE, "joint", 0, 0, "joint|sequential", "",
     "joint: every step trains all stages; sequential: stage by stage, each for run.epochs with the whole "
     "optimizer.schedule, while those before it stay as they are"},
    {"engine.cache", CONFIG_CHOICE, "none", 0, 0, "none|memory", "",
     "sequential: memory keeps what the trained stages pass on of every training image, so that it is computed once "
     "for "
     "each stage; the same result, without data.augment only"},
    {0},
};
