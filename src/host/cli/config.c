/* hff config */
#include "cli.h"

#include <string.h>

static const struct option_row options[] = {
    {"--set", "KEY=VALUE", "change a key (show)"},
    {"--markdown", NULL, "help as a Markdown page"},
    {0},
};

static hff_status show(const struct arguments *arguments)
{
    struct config *config;
    if (arguments->words != 2) return fail(HFF_E_USAGE, "usage: hff config show CONFIG [--set KEY=VALUE]...");
    TRY(config_load(&config, config_tables, arguments->word[1], arguments->sets, arguments->set_count));
    hff_status status = config_write_yaml(config, stdout);
    config_free(config);
    return status;
}

static hff_status run(const struct arguments *arguments)
{
    if (strcmp(arguments->word[0], "show") == 0) return show(arguments);
    if (strcmp(arguments->word[0], "help") != 0)
        return fail(HFF_E_USAGE, "hff config has help and show, not '%s'", arguments->word[0]);
    if (argument_of(arguments, "--markdown")) return config_help_markdown(config_tables, stdout);
    return config_help(config_tables, arguments->words > 1 ? arguments->word[1] : NULL, terminal_width(stdout), stdout);
}

const struct command command_config = {
    "config",
    "help [KEY] | show CONFIG [--set KEY=VALUE]...",
    "every key of a config; or a config with all its defaults",
    "",
    options,
    1,
    2,
    run,
};
