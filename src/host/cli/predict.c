/* hff predict */
#include "cli.h"

#include <limits.h>
#include <stdlib.h>

static const struct option_row options[] = {
    {"--top", "N", "show the N likeliest classes of each image (default 1)"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

static hff_status run(const struct arguments *arguments)
{
    struct predict_request request = {
        .model = arguments->word[0],
        .files = arguments->word + 1,
        .count = arguments->words - 1,
        .top = 1,
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
    };
    const char *top = argument_of(arguments, "--top");
    if (top) {
        char *end;
        long value = strtol(top, &end, 10);
        if (*end || end == top || value < 1 || value > 1000000)
            return fail(HFF_E_USAGE, "--top is a number from 1, not '%s'", top);
        request.top = (int)value;
    }
    return predict_run(&request, stdout);
}

const struct command command_predict = {
    "predict",
    "RUN|MODEL FILE|DIR... [options]",
    "what a model says to images",
    "FILE is a PNG of the size of the images that the model was trained on, or an IDX file (plain or .gz), whose\n"
    "images are all predicted. Of a folder every PNG and IDX file is taken. Grey and RGB are turned into one "
    "another.\n",
    options,
    2,
    INT_MAX,
    run,
};
