/* The engine.* keys, and what they and micro-batches do to a stage's graph. */
#include "private.h"

#include "net/rewrite.h"

#include <string.h>

const struct config_row engine_rows[] = {
    {"engine", CONFIG_MAP, "{}", 0, 0, NULL, "", "how stages are run"},
    {"engine.schedule", CONFIG_CHOICE, "joint", 0, 0, "joint|sequential", "",
     "joint: every step trains all stages; sequential: stage by stage, each for run.epochs with the whole "
     "optimizer.schedule, while those before it stay as they are"},
    {"engine.cache", CONFIG_CHOICE, "none", 0, 0, "none|memory", "",
     "sequential: memory keeps what the trained stages pass on of every training image, so that it is computed once "
     "for each stage; the same result, without data.augment only"},
    {"engine.images", CONFIG_CHOICE, "auto", 0, 0, "auto|host|device", "",
     "where training images are kept and batches of them made; never changes a result. host: by data.workers threads, "
     "then copied; device: all images in its memory; auto: device on a GPU, where they take at most half of what is "
     "free"},
    {"engine.pipeline", CONFIG_INT, "auto", 1, 4096, "auto|none", "lanes",
     "groups of stages that train at the same time on batches that follow each other, at most one a stage; never "
     "changes a result; auto: each stage on a device that works while the host goes on, as far as memory allows, none "
     "on the CPU"},
    {"engine.capture", CONFIG_CHOICE, "auto", 0, 0, "auto|none", "",
     "auto: where the device can, a step is captured once and replayed; none: every step is given to it op by op, with "
     "the same result, but slower; --trace then shows the sections of stages"},
    {"engine.autotune", CONFIG_BOOL, "false", 0, 0, NULL, "",
     "on a GPU: of each convolution several of cuDNN's plans are timed before training, and the quickest are used and "
     "written to plans.json in the run folder, from which a resume takes them (plans may round in different ways)"},
    {"engine.recompute", CONFIG_INT, "none", 2, 10000, "none|auto", "segments",
     "less memory for more work, the same result: a stage's layers are cut into this many segments, of which only what "
     "leads from one to the next is kept, the rest is computed again in the backward pass; auto: those that leave "
     "the least in memory. Of use where a stage joins many layers (net.partition)"},
    {0},
};

void engine_rewrite(const struct engine *engine, const struct config_node *root, struct stage_run *run,
                    struct graph *graph)
{
    const char *word = config_text(root, "engine.recompute");
    if (engine->backend->api->joins) graph_join(graph); /* first: what is repeated is what will run */
    run->segments = 1;
    if (strcmp(word, "none") != 0)
        run->segments = graph_recompute(graph, strcmp(word, "auto") == 0 ? RECOMPUTE_AUTO
                                                                         : (int)config_int(root, "engine.recompute"));
    if (engine->parts > 1) graph_accumulate(graph);
}
