/* hff eval */
#include "cli.h"

#include "train/evaluate.h"

#include <string.h>

static const struct option_row options[] = {
    {"--data", "ROOT", "the data's folder, if not the one of training (data.root)"},
    {"--split", "test|val|train", "which part of the data (default test)"},
    {"--rule", RULE_WORDS, "how stages are joined (default: as configured)"},
    {"--scores", "FILE", "write every stage's scores and the labels as safetensors"},
    {"--features", "FILE", "write every stage's embeddings and the labels as safetensors"},
    {"--probe", NULL, "also fit a linear softmax on the pixels: the floor that a net must beat"},
    {"--set", "KEY=VALUE", "change a key of the model's config"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

static hff_status run(const struct arguments *arguments)
{
    static const char *const splits[] = {"train", "val", "test"};
    const char *split = argument_of(arguments, "--split");
    struct eval_request request = {
        .model = arguments->word[0],
        .data_root = argument_of(arguments, "--data"),
        .rule = argument_of(arguments, "--rule"),
        .scores = argument_of(arguments, "--scores"),
        .features = argument_of(arguments, "--features"),
        .sets = arguments->sets,
        .set_count = arguments->set_count,
        .split = SPLIT_TEST,
        .probe = argument_of(arguments, "--probe") != NULL,
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
    };
    int known = !split;
    for (int s = SPLIT_TRAIN; split && s <= SPLIT_TEST; s++)
        if (strcmp(split, splits[s]) == 0) {
            request.split = (enum split)s;
            known = 1;
        }
    if (!known) return fail(HFF_E_USAGE, "--split is train, val or test, not %s", split);
    return eval_run(&request, stdout);
}

const struct command command_eval = {
    "eval", "RUN|MODEL [options]", "measure a model on data", "", options, 1, 1, run,
};
