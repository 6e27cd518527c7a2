/* The command line: one row for each command, one table of options a command. Only this room knows argv and exit
 * statuses. */
#ifndef HFF_CLI_H
#define HFF_CLI_H

#include "train/train.h"

struct option_row {
    const char *name;     /* "--out" */
    const char *argument; /* "DIR"; NULL: a flag */
    const char *help;
};

enum { CLI_MAX = 64 };

/* A parsed command line: options by row, words in order. */
struct arguments {
    const struct option_row *rows;
    const char *value[CLI_MAX];    /* of the option's last occurrence; "" for a flag that was given; NULL: not given */
    const char *sets[4 * CLI_MAX]; /* every --set, in order */
    int set_count;
    const char **word; /* as many as there may be */
    int words;
    struct console console;
    const char *command_line;
};

struct command {
    const char *name;
    const char *synopsis; /* after "hff NAME " */
    const char *summary;  /* one line in "hff help" */
    const char *text;     /* more, in "hff NAME --help"; may be "" */
    const struct option_row *options;
    int min_words, max_words;
    hff_status (*run)(const struct arguments *arguments);
};

extern const struct command command_train, command_eval, command_predict, command_info, command_config, command_data,
    command_bench;

/* An option's value by name; NULL when it was not given. */
const char *argument_of(const struct arguments *arguments, const char *name);

#endif
