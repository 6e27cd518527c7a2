/* hff bench */
#include "cli.h"

#include "train/bench.h"

#include <stdlib.h>
#include <string.h>

static const struct option_row options[] = {
    {"--set", "KEY=VALUE", "change a key of the config"},
    {"--runs", "N", "measured repetitions (default: 20 steps, 7 of each op, 200 batches)"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

static const struct {
    const char *name;
    hff_status (*run)(const struct bench_request *request, FILE *out);
} kinds[] = {{"train", bench_train}, {"ops", bench_ops}, {"data", bench_data}};

static hff_status run(const struct arguments *arguments)
{
    struct bench_request request = {
        .config_path = arguments->word[1],
        .sets = arguments->sets,
        .set_count = arguments->set_count,
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
    };
    const char *runs = argument_of(arguments, "--runs");
    if (runs) {
        char *end;
        long value = strtol(runs, &end, 10);
        if (*end || end == runs || value < 1 || value > 1000000)
            return fail(HFF_E_USAGE, "--runs is a number from 1, not '%s'", runs);
        request.runs = (int)value;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, arguments->word[0]) == 0) return kinds[i].run(&request, stdout);
    return fail(HFF_E_USAGE, "hff bench has train, ops and data, not '%s'", arguments->word[0]);
}

const struct command command_bench = {
    "bench",
    "train|ops|data CONFIG [options]",
    "time a config's training steps, its ops, or its data path",
    "",
    options,
    2,
    2,
    run,
};
