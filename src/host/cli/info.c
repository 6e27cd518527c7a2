/* hff info */
#include "cli.h"

static const struct option_row options[] = {
    {"--program", NULL, "print every op and memory slot of every stage"},
    {"--backends", NULL, "what can compute here (also without an argument)"},
    {"--set", "KEY=VALUE", "change a key of the config"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

static hff_status run(const struct arguments *arguments)
{
    struct info_request request = {
        .what = arguments->words ? arguments->word[0] : NULL,
        .sets = arguments->sets,
        .set_count = arguments->set_count,
        .program = argument_of(arguments, "--program") != NULL,
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
    };
    if (argument_of(arguments, "--backends")) request.what = NULL;
    return info_run(&request, stdout);
}

const struct command command_info = {
    "info",
    "[RUN|MODEL|CONFIG] [options]",
    "a net's stages, FLOPs and memory; or what can compute here",
    "",
    options,
    0,
    1,
    run,
};
