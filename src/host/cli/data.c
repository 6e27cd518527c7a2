/* hff data */
#include "cli.h"

#include <string.h>

static const struct option_row options[] = {
    {"--figure", "FILE", "draw the first training images as a PNG (info)"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

static hff_status run(const struct arguments *arguments)
{
    struct data_request request = {
        .what = arguments->words > 1 ? arguments->word[1] : NULL,
        .figure = argument_of(arguments, "--figure"),
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
    };
    if (strcmp(arguments->word[0], "list") == 0 && !request.what && !request.figure) return data_list(&request, stdout);
    if (strcmp(arguments->word[0], "info") == 0 && request.what) return data_info(&request, stdout);
    return fail(HFF_E_USAGE, "usage: hff data %s", command_data.synopsis);
}

const struct command command_data = {
    "data",
    "list | info NAME|DIR [--figure FILE]",
    "which data sets are here; what is in one, every size and label checked",
    "NAME is a source's name (hff data list), or that of a folder in HFF_DATA.\n",
    options,
    1,
    2,
    run,
};
