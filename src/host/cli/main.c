/* hff: finds the command, parses its options, turns a status into an exit status. */
#include "cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {&command_train,  &command_eval, &command_predict, &command_info,
                                                 &command_config, &command_data, &command_bench};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct option_row common_options[] = {
    {"--quiet", NULL, "only results and errors"},
    {"-v", NULL, "more messages, and where an error came from"},
    {"--color", "auto|always|never", "colours (also NO_COLOR)"},
    {"--help", NULL, "this text"},
    {0},
};

/* The first signal asks to stop; the second one ends the program at once. */
static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    if (stop_signal) _exit(128 + number);
    stop_signal = number;
}

/* HFF_LOG; --quiet and -v win over it. */
static hff_status set_log_level(void)
{
    static const char *const levels[] = {"quiet", "error", "warn", "info", "debug"};
    const char *word = getenv("HFF_LOG");
    if (!word || !*word) return HFF_OK;
    for (int i = LOG_QUIET; i <= LOG_DEBUG; i++)
        if (strcmp(levels[i], word) == 0) {
            log_set_level((enum log_level)i);
            return HFF_OK;
        }
    return fail(HFF_E_USAGE, "HFF_LOG is quiet, error, warn, info or debug, not '%s'", word);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
}

static void print_options(FILE *out, const struct option_row *rows)
{
    for (; rows && rows->name; rows++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", rows->name, rows->argument ? " " : "",
                 rows->argument ? rows->argument : "");
        fprintf(out, "  %-26s %s\n", left, rows->help);
    }
}

static void print_help(FILE *out)
{
    fputs("hff trains networks without backpropagation: every stage learns alone, by cosines to class prototypes.\n\n",
          out);
    for (int i = 0; i < COMMANDS; i++) fprintf(out, "  hff %-7s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  hff help    this text;  hff COMMAND --help  more about a command;  hff --version\n\n"
          "A first run: tools/quickstart.sh. Options of every command:\n",
          out);
    print_options(out, common_options);
    fputs("Environment: HFF_DATA, the folder of data sets (default ~/.local/share/hff); HFF_LOG, which messages are\n"
          "shown: quiet, error, warn, info or debug (--quiet and -v win).\n",
          out);
}

static void print_command_help(FILE *out, const struct command *command)
{
    fprintf(out, "usage: hff %s %s\n\n%s\n%s%s\noptions:\n", command->name, command->synopsis, command->summary,
            *command->text ? "\n" : "", command->text);
    print_options(out, command->options);
    print_options(out, common_options);
}

static const struct option_row *find_option(const struct option_row *rows, const char *name)
{
    for (; rows && rows->name; rows++)
        if (strcmp(rows->name, name) == 0) return rows;
    return NULL;
}

const char *argument_of(const struct arguments *arguments, const char *name)
{
    const struct option_row *row = find_option(arguments->rows, name);
    return row ? arguments->value[row - arguments->rows] : NULL;
}

static hff_status unknown_option(const struct command *command, const char *word)
{
    const char *names[2 * CLI_MAX];
    int count = 0;
    for (const struct option_row *r = command->options; r && r->name; r++) names[count++] = r->name;
    for (const struct option_row *r = common_options; r->name; r++) names[count++] = r->name;
    const char *close = nearest(word, names, count);
    return fail(HFF_E_USAGE, "hff %s has no option %s%s%s%s; see hff %s --help", command->name, word,
                close ? " (did you mean " : "", close ? close : "", close ? "?)" : "", command->name);
}

static hff_status set_common(struct arguments *arguments, const char *name, const char *value)
{
    if (strcmp(name, "--quiet") == 0) {
        arguments->console.quiet = 1;
        log_set_level(LOG_WARN);
    }
    if (strcmp(name, "-v") == 0) log_set_level(LOG_DEBUG);
    if (strcmp(name, "--color") != 0) return HFF_OK;
    static const char *const modes[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++)
        if (strcmp(modes[i], value) == 0) {
            arguments->console.color = (enum color_mode)i;
            return HFF_OK;
        }
    return fail(HFF_E_USAGE, "--color is auto, always or never, not %s", value);
}

/* One option at argv[*i], as "--name value" or "--name=value". */
static hff_status parse_option(struct arguments *arguments, const struct command *command, char **argv, int argc,
                               int *i)
{
    char name[64];
    const char *word = argv[*i], *equals = strchr(word, '=');
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : (int)strlen(word), word);
    const struct option_row *own = find_option(command->options, name),
                            *row = own ? own : find_option(common_options, name);
    if (!row) return unknown_option(command, name);
    const char *value = "";
    if (row->argument) {
        if (!equals && *i + 1 >= argc) return fail(HFF_E_USAGE, "%s wants a value: %s %s", name, name, row->argument);
        value = equals ? equals + 1 : argv[++*i];
    } else if (equals) {
        return fail(HFF_E_USAGE, "%s takes no value", name);
    }
    if (!own) return set_common(arguments, name, value);
    arguments->value[own - command->options] = value;
    if (strcmp(name, "--set") == 0) {
        if (arguments->set_count == 4 * CLI_MAX)
            return fail(HFF_E_USAGE, "more than %d times --set; write a config with include:", 4 * CLI_MAX);
        arguments->sets[arguments->set_count++] = value;
    }
    return HFF_OK;
}

static hff_status parse(struct arguments *arguments, const struct command *command, char **argv, int argc)
{
    int only_words = 0;
    arguments->rows = command->options;
    for (int i = 2; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = 1;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            TRY(parse_option(arguments, command, argv, argc, &i));
        } else {
            arguments->word[arguments->words++] = argv[i];
        }
    }
    if (arguments->words < command->min_words || arguments->words > command->max_words)
        return fail(HFF_E_USAGE, "usage: hff %s %s", command->name, command->synopsis);
    return HFF_OK;
}

static int wants_help(char **argv, int argc)
{
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return 1;
    return 0;
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int report(hff_status status)
{
    if (status == HFF_OK) return 0;
    const struct trail *trail = trail_current();
    if (status == HFF_E_INTERRUPTED || status == HFF_E_TERMINATED)
        log_info("%s", trail->message);
    else
        log_error("%s", trail->message);
    for (int i = 0; i < trail->count; i++) log_debug("  in %s", trail->line[i]);
    return status_exit(status);
}

static char *join_words(char **argv, int argc)
{
    size_t length = 1;
    for (int i = 0; i < argc; i++) length += strlen(argv[i]) + 1;
    char *text = calloc(length, 1);
    for (int i = 0; text && i < argc; i++) {
        if (i) strcat(text, " ");
        strcat(text, argv[i]);
    }
    return text;
}

static hff_status unknown_command(const char *word)
{
    const char *names[COMMANDS + 1] = {"help"};
    for (int i = 0; i < COMMANDS; i++) names[i + 1] = commands[i]->name;
    const char *close = nearest(word, names, COMMANDS + 1);
    return fail(HFF_E_USAGE, "there is no command '%s'%s%s%s; hff help lists them", word,
                close ? " (did you mean " : "", close ? close : "", close ? "?)" : "");
}

static hff_status run_command(const struct command *command, char **argv, int argc)
{
    struct arguments arguments = {.console.signal = &stop_signal};
    char *line = join_words(argv, argc);
    catch_signals();
    arguments.command_line = line;
    arguments.word = calloc((size_t)argc + 1, sizeof *arguments.word);
    hff_status status = arguments.word ? set_log_level() : fail(HFF_E_MEMORY, "no memory for the command line");
    if (status == HFF_OK) status = parse(&arguments, command, argv, argc);
    if (status == HFF_OK) status = command->run(&arguments);
    free(arguments.word);
    free(line);
    return status;
}

static int is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static hff_status dispatch(char **argv, int argc)
{
    const char *word = argc > 1 ? argv[1] : "help";
    if (strcmp(word, "--version") == 0) {
        printf("hff %s\n", hff_version());
        return HFF_OK;
    }
    if (is_help(word) && argc < 3) {
        print_help(stdout);
        return HFF_OK;
    }
    const char *name = is_help(word) ? argv[2] : word;
    const struct command *command = find_command(name);
    if (!command) return unknown_command(name);
    if (is_help(word) || wants_help(argv, argc)) {
        print_command_help(stdout, command);
        return HFF_OK;
    }
    return run_command(command, argv, argc);
}

int main(int argc, char **argv)
{
    memory_give_back();
    hff_status status = dispatch(argv, argc);
    errno = 0;
    int written = fflush(stdout) == 0 && !ferror(stdout);
    if (status == HFF_OK && !written && errno != EPIPE) /* a reader that has seen enough (| head) is no error */
        status = errno ? fail_errno(HFF_E_IO, errno, "cannot write to standard output")
                       : fail(HFF_E_IO, "cannot write to standard output");
    return report(status);
}
