/* Configs: a YAML file, checked against rows that each room declares, becomes a tree in which every value is present
 * and valid. Rooms read the tree with the getters below, which cannot fail on a checked tree.
 *
 * Errors are HFF_E_CONFIG, "FILE:LINE:COLUMN: ..." (or "--set KEY=VALUE: ..."), with the nearest valid name. A
 * default has the place of the map that lacks it. Anchors, aliases, tags, several documents and control characters
 * are refused; depth, counts and sizes are limited, so that text from strangers (a model's metadata) may be read. */
#ifndef HFF_CONFIG_H
#define HFF_CONFIG_H

#include "base/arena.h"
#include "base/status.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* A row of type INT, REAL or REALS may have choices: words that are valid in place of numbers ("auto"). */
enum config_type {
    CONFIG_INT,    /* 3, also 3.0 and 3e0 */
    CONFIG_REAL,   /* a finite number: 3, 0.5, 1e-3 */
    CONFIG_BOOL,   /* true, yes, on, false, no, off */
    CONFIG_TEXT,   /* one line */
    CONFIG_CHOICE, /* one of choices, "a|b|c" */
    CONFIG_REALS,  /* a list of at least one number */
    CONFIG_MAP,    /* its members have rows of their own, behind its own; "key:" with nothing below it is {} */
    CONFIG_LIST,   /* of maps: rows "KEY[].member" describe an item; see below for choices "one" */
    CONFIG_LIKE,   /* a map with the rows of the map named in choices, but without defaults (stage overrides) */
};
/* An item of a list whose row has choices "one" is a map with exactly one member besides those that are marked with
 * '+' in their row's help ("+" first), e.g. a stage: {conv: {...}, objective: {...}, repeat: 2}; a bare word is short
 * for {word: {}}. */

/* One key. Rooms declare arrays of these; a table ends with key NULL. */
struct config_row {
    const char *key; /* "data.augment[].crop.pad" */
    enum config_type type;
    /* Default as YAML text. NULL: required where its map is there; "": absent by default (config_has is false,
     * members of an absent map have no defaults); "{}": a map that is always there. */
    const char *fallback;
    double min, max; /* CONFIG_INT, CONFIG_REAL, each of CONFIG_REALS; both 0: any; from 2^53 on help says no bound */
    const char *choices;
    const char *unit; /* "", "epochs", "s", "pixels", ... */
    const char *help; /* one sentence */
};

struct config_node; /* a value in the tree */
struct config;      /* the whole: tree, rows, origin of each value */

/* Reads path with its include (first key, a path relative to the file's folder), applies sets, checks everything
 * against tables (ended by NULL) and fills in defaults. Maps are merged, the later over the earlier; lists and values
 * are replaced. sets are "a.b.c=v", later wins, v as YAML; "a[2].b=v" or "a.2.b=v" is the third item of a list,
 * "a[2]=v" replaces it. The tables must outlive the config. A mistake in them (order, twice, a default out of range)
 * is HFF_E_INTERNAL. */
hff_status config_load(struct config **out, const struct config_row *const *tables, const char *path,
                       const char *const *sets, int set_count);
/* The same from text (a model's metadata: JSON is YAML); name stands for the file in messages. It has no include. */
hff_status config_parse(struct config **out, const struct config_row *const *tables, const char *name, const char *text,
                        const char *const *sets, int set_count);
void config_free(struct config *config);

const struct config_node *config_root(const struct config *config);

/* The member at a dotted path below node ("conv.kernel", "stages[0].conv"), NULL when it is absent. */
const struct config_node *config_at(const struct config_node *node, const char *path);
int config_has(const struct config_node *node, const char *path);

/* Values at a dotted path below node; the row's default stands where nothing was given. What is absent (an optional
 * key, a member of an absent map, node NULL) is 0 or "". Asking for a path without a row, or for another type than
 * its row's (config_real reads CONFIG_INT too), is a mistake in the program: message on standard error and abort() in
 * debug builds, 0 otherwise. */
int64_t config_int(const struct config_node *node, const char *path);
double config_real(const struct config_node *node, const char *path);
int config_bool(const struct config_node *node, const char *path);
/* TEXT, CHOICE; of INT, REAL and REALS the word that stands in place of numbers, "" when there are numbers. */
const char *config_text(const struct config_node *node, const char *path);
/* How many there are (0 for a word), of which at most max go to out. */
int config_reals(const struct config_node *node, const char *path, double *out, int max);

/* Lists: number of items (repeat is not expanded), and an item. 0 for an absent list. */
int config_count(const struct config_node *list);
const struct config_node *config_item(const struct config_node *list, int index);
/* A map's members in file order: number, name, value. */
int config_members(const struct config_node *map);
const char *config_member_name(const struct config_node *map, int index);
const struct config_node *config_member(const struct config_node *map, int index);

/* override (a CONFIG_LIKE map, may be NULL) laid over base: a map whose getters look in override first. Lives with
 * config. */
const struct config_node *config_overlay(struct config *config, const struct config_node *base,
                                         const struct config_node *override);

/* fail(HFF_E_CONFIG, "FILE:LINE:COLUMN: ...") at node, for what only a room can check. */
hff_status config_fail(const struct config_node *node, const char *format, ...) PRINTF_LIKE(2, 3);

/* The resolved config: every key with its value, as YAML that config_load reads back to the same tree; or as JSON. */
hff_status config_write_yaml(const struct config *config, FILE *out);
json_t *config_to_json(const struct config *config);

/* "hff config help [KEY]": the rows as text, wrapped to width; KEY may be a prefix ("net.stages"). HFF_E_USAGE with the
 * nearest name when there is none such. */
hff_status config_help(const struct config_row *const *tables, const char *key, int width, FILE *out);
/* The same rows as a Markdown page. */
hff_status config_help_markdown(const struct config_row *const *tables, FILE *out);

#endif
