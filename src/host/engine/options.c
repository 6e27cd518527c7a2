/* The engine.* keys. */
#include "engine.h"

const struct config_row engine_rows[] = {
    {"engine", CONFIG_MAP, "{}", 0, 0, NULL, "", "how stages are run; never changes a result"},
    {"engine.pipeline", CONFIG_INT, "auto", 1, 4096, "auto|none", "lanes",
     "groups of stages that train at the same time on batches that follow each other, at most one a stage; auto: each "
     "stage on a device that works while the host goes on, as far as memory allows, none on the CPU"},
    {0},
};
