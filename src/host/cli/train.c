/* hff train */
#include "cli.h"

static const struct option_row options[] = {
    {"--set", "KEY=VALUE", "change a key of the config; may be repeated, later ones win"},
    {"--out", "DIR", "folder for run folders (run.out)"},
    {"--name", "NAME", "name of the run folder (run.name; default: the config's)"},
    {"--resume", NULL, "go on from the newest checkpoint, bit for bit"},
    {"--force", NULL, "move an existing run folder of that name aside"},
    {"--init-from", "MODEL", "start from a model's tensors of equal name and shape"},
    {"--trace", "FILE", "write the timeline of loader, stages, ops as Chrome trace JSON"},
    {"--dry-run", NULL, "print the plan (shapes, FLOPs, memory) and stop"},
    {0},
};

static hff_status run(const struct arguments *arguments)
{
    struct train_request request = {
        .config_path = arguments->word[0],
        .sets = arguments->sets,
        .set_count = arguments->set_count,
        .out = argument_of(arguments, "--out"),
        .name = argument_of(arguments, "--name"),
        .init_from = argument_of(arguments, "--init-from"),
        .trace = argument_of(arguments, "--trace"),
        .resume = argument_of(arguments, "--resume") != NULL,
        .force = argument_of(arguments, "--force") != NULL,
        .dry_run = argument_of(arguments, "--dry-run") != NULL,
        .command_line = arguments->command_line,
        .console = arguments->console,
    };
    if (request.resume && request.init_from)
        return fail(HFF_E_USAGE, "--resume goes on from a checkpoint, --init-from starts anew: choose one");
    if (request.resume && request.force)
        return fail(HFF_E_USAGE, "--resume goes on in a folder, --force moves it aside: choose one");
    if (request.dry_run && request.trace)
        return fail(HFF_E_USAGE, "--dry-run trains nothing, so there is nothing for --trace: choose one");
    return train_run(&request, stdout);
}

const struct command command_train = {
    "train",
    "CONFIG [--set KEY=VALUE]... [options]",
    "train a net as a config says",
    "Writes a run folder with log, checkpoints, model, result and figures. Interrupted by Ctrl-C or SIGTERM\n"
    "it saves and --resume goes on.\n",
    options,
    1,
    1,
    run,
};
