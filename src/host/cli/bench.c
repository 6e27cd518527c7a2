/* hff bench */
#include "cli.h"

#include "train/bench.h"

#include <stdlib.h>
#include <string.h>

static const struct option_row options[] = {
    {"--set", "KEY=VALUE", "change a key of the config"},
    {"--runs", "N",
     "repetitions (default: 20 steps, 9 rounds of methods, 7 of each op, 200 batches, 5 rounds of infer)"},
    {"--methods", "NAME,...", "train: the net trained by each of them, measured in turns (below)"},
    {"--until", "ACCURACY", "train, of methods: also epochs and time until it is reached, e.g. 0.98"},
    {"--classes", "N,...",
     "infer: numbers of classes (default 100); of another bench: one, which the heads get instead of the data's"},
    {"--batch", "N,...", "infer: images predicted at a time (default 64)"},
    {"--figure", "FILE", "infer, of runs: bars of their speed (PNG)"},
    {"--json", NULL, "one JSON document on standard output"},
    {0},
};

/* infer of runs or models rather than of a config. */
static hff_status infer(const struct bench_request *request, FILE *out)
{
    const char *dot = strrchr(request->config_path, '.');
    int config = dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
    if (config && request->model_count > 1)
        return fail(HFF_E_USAGE, "hff bench infer takes one config, or runs and models");
    return config ? bench_infer(request, out) : bench_models(request, out);
}

static hff_status train(const struct bench_request *request, FILE *out)
{
    if (request->until > 0 && !request->methods)
        return fail(HFF_E_USAGE, "--until goes with --methods (hff train has run.until.accuracy)");
    return request->methods ? bench_methods(request, out) : bench_train(request, out);
}

static const struct {
    const char *name;
    hff_status (*run)(const struct bench_request *request, FILE *out);
} kinds[] = {{"train", train}, {"ops", bench_ops}, {"data", bench_data}, {"infer", infer}};

static hff_status number(const char *option, const char *text, long most, char after, long *value, const char **rest)
{
    char *end;
    *value = strtol(text, &end, 10);
    if (end == text || (*end && *end != after) || *value < 1 || *value > most)
        return fail(HFF_E_USAGE, "%s takes numbers from 1 to %ld, not '%s'", option, most, text);
    *rest = *end ? end + 1 : NULL;
    return HFF_OK;
}

/* "64" into list (room for CLI_MAX). */
static hff_status numbers(const char *option, const char *text, long most, int *list, int *count)
{
    for (*count = 0; text; ++*count) {
        long value;
        if (*count == CLI_MAX) return fail(HFF_E_USAGE, "%s takes at most %d numbers", option, CLI_MAX);
        TRY(number(option, text, most, ',', &value, &text));
        list[*count] = (int)value;
    }
    return HFF_OK;
}

/* "0.98", above 0 and at most 1. */
static hff_status accuracy(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out > 0 && *out <= 1))
        return fail(HFF_E_USAGE, "--until takes an accuracy above 0 and at most 1, not '%s'", text);
    return HFF_OK;
}

static hff_status run(const struct arguments *arguments)
{
    int classes[CLI_MAX], batches[CLI_MAX];
    struct bench_request request = {
        .config_path = arguments->word[1],
        .sets = arguments->sets,
        .set_count = arguments->set_count,
        .json = argument_of(arguments, "--json") != NULL,
        .console = arguments->console,
        .classes = classes,
        .batches = batches,
        .models = arguments->word + 1,
        .model_count = arguments->words - 1,
        .figure = argument_of(arguments, "--figure"),
        .methods = argument_of(arguments, "--methods"),
    };
    const char *runs = argument_of(arguments, "--runs"), *some = argument_of(arguments, "--classes"),
               *sizes = argument_of(arguments, "--batch"), *until = argument_of(arguments, "--until"), *rest;
    long value;
    if (runs) {
        TRY(number("--runs", runs, 1000000, 0, &value, &rest));
        request.runs = (int)value;
    }
    if (until) TRY(accuracy(until, &request.until));
    TRY(numbers("--classes", some ? some : "100", 100000, classes, &request.class_count));
    if (some) request.heads = classes[0];
    TRY(numbers("--batch", sizes ? sizes : "64", 1 << 20, batches, &request.batch_count));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, arguments->word[0]) != 0) continue;
        if (arguments->words > 2 && kinds[i].run != infer)
            return fail(HFF_E_USAGE, "hff bench %s takes one config", kinds[i].name);
        if (request.class_count > 1 && kinds[i].run != infer)
            return fail(HFF_E_USAGE, "hff bench %s takes one number of classes", kinds[i].name);
        return kinds[i].run(&request, stdout);
    }
    return fail(HFF_E_USAGE, "hff bench has train, ops, data and infer, not '%s'", arguments->word[0]);
}

#define METHOD_HELP(name, objective, partition, recompute, parts, help) "  " name ": " help "\n"

const struct command command_bench = {
    "bench",
    "train|ops|data|infer CONFIG [options]",
    "time a config's training steps, its ops, its data path or its predictions",
    "hff bench infer CONFIG compares prediction with the same layers as HFF and as FF; hff bench infer RUN RUN... "
    "trained\n"
    "models, with their accuracy. hff bench train CONFIG --methods compares training of one net by:\n" METHODS(
        METHOD_HELP),
    options,
    2,
    17,
    run,
};
