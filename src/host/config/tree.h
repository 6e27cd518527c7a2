/* Inside the config room: the tree of values as it was read, and the tree of rows that it is checked against.
 *
 * Both live in the config's arena. Reading makes a raw tree (texts, lists, maps, each with its place); check.c turns
 * it in place into a checked one: every node knows its schema, scalars have their value, defaults stand where nothing
 * was given. */
#ifndef HFF_CONFIG_TREE_H
#define HFF_CONFIG_TREE_H

#include "config.h"

enum {
    CONFIG_DEPTH_MAX = 64,      /* nesting of YAML, and names in a path */
    CONFIG_NODES_MAX = 1 << 17, /* values in a file */
    CONFIG_MEMBERS_MAX = 1024,  /* members of a map: looked through one by one, so few enough for that */
    CONFIG_SCALAR_MAX = 4096,   /* bytes of a text */
    CONFIG_FILE_MAX = 1 << 20,  /* bytes of a file */
    CONFIG_INCLUDE_MAX = 16,    /* files that include one another */
    CONFIG_QUOTE = 64,          /* bytes that a message repeats of what was given */
};

/* Where a value was written. line 0: file is no file but the text of a --set. */
struct config_mark {
    const char *file;
    int line, column;
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
enum node_value { VALUE_TEXT, VALUE_INT, VALUE_REAL, VALUE_BOOL };

struct config_member {
    const char *name;
    struct config_mark mark; /* of the name */
    struct config_node *value;
};

struct config_node {
    enum node_kind kind;
    enum node_value value; /* of a checked scalar */
    int plain;             /* the scalar was written without quotes */
    int count, capacity;   /* of items or members */
    struct config_mark mark;
    const struct schema *schema; /* NULL before the check, and for the numbers in a list of them */
    const char *text;            /* the scalar as it was written, quotes and escapes resolved */
    int64_t integer;             /* VALUE_INT, VALUE_BOOL */
    double real;                 /* VALUE_REAL, VALUE_INT */
    union {
        struct config_node **items;
        struct config_member *members;
    };
};

/* A key with its row and the keys below it. */
struct schema {
    const char *name;             /* "conv" */
    const char *path;             /* "net.stages[].conv" */
    const struct config_row *row; /* NULL for the root and for items */
    struct schema *first, *last;  /* keys below it, in the order of the rows */
    struct schema *next;          /* at its level */
    struct schema *item;          /* of a list: has the keys of an item below it */
    const struct schema *target;  /* of a CONFIG_LIKE: whose keys it has */
    int one;                      /* an item with exactly one member that is not beside */
    int beside;                   /* may stand beside the one kind in such an item */
};

struct config {
    struct arena arena;
    struct config_node *root;
    const struct schema *schema;
};

/* tree.c */
struct config_node *config_node_new(struct arena *arena, enum node_kind kind, struct config_mark mark);
void config_node_add_item(struct arena *arena, struct config_node *list, struct config_node *item);
void config_node_add_member(struct arena *arena, struct config_node *map, const char *name, struct config_mark mark,
                            struct config_node *value);
struct config_member *config_node_member(const struct config_node *map, const char *name);
/* Nothing was written: an empty plain scalar, null or ~. */
int config_node_is_null(const struct config_node *node);
/* Lays over on base, in place: maps are merged, everything else is replaced. */
void config_node_merge(struct arena *arena, struct config_node *base, const struct config_node *over);
/* text, cut to what a message should repeat; out has CONFIG_QUOTE bytes. */
const char *config_quote(char *out, const char *text);
hff_status config_fail_at(const struct config_mark *mark, const char *format, ...) PRINTF_LIKE(2, 3);

/* One step of a path "a.b[2].c" or "a.b.2.c". */
struct step {
    enum { STEP_END, STEP_NAME, STEP_INDEX, STEP_BAD } kind;
    char name[128];
    int index;
};
/* The step at *path, which moves behind it. start: the beginning of the whole path, where no dot stands before a
 * name. */
struct step config_path_step(const char *start, const char **path);

/* schema.c. A mistake in the tables is HFF_E_INTERNAL. */
hff_status config_schema_build(struct arena *arena, const struct config_row *const *tables, struct schema **out);
struct schema *config_schema_member(const struct schema *schema, const char *name);
/* The schema at a path with or without indices ("net.stages[].conv", "net.stages.conv"), NULL when there is none. */
const struct schema *config_schema_find(const struct schema *root, const char *path);
/* "one" or "a, b or c" from "a|b|c". */
const char *config_words_text(char *out, size_t size, const char *choices);
/* "auto or a whole number from 1 to 64 pixels", what a value of this row may be. */
const char *config_row_text(char *out, size_t size, const struct config_row *row);
/* help without the mark for keys that may stand beside an item's kind. */
const char *config_row_help(const struct config_row *row);
int config_row_has_range(const struct config_row *row);
/* The words in "a|b|c" as an array, memory from arena. */
const char *const *config_words_split(struct arena *arena, const char *choices, int *count);

/* number.c. NULL, or what is wrong with text. */
const char *config_number_real(const char *text, double *out);
const char *config_number_int(const char *text, int64_t *out);
/* The shortest text that reads back as value, with a dot; out has NUMBER_TEXT bytes. _short leaves out ".0". */
enum { NUMBER_TEXT = 64 };
const char *config_number_text(char *out, double value);
const char *config_number_short(char *out, double value);

/* yaml_read.c: a document as a raw tree; name stands for the file. With _at, every node gets mark as its place. */
hff_status config_yaml_read(struct arena *arena, const char *name, const char *text, size_t size,
                            struct config_node **out);
hff_status config_yaml_read_at(struct arena *arena, struct config_mark mark, const char *text,
                               struct config_node **out);

/* set.c: "a.b.c=v" put into the raw tree. */
hff_status config_set_apply(struct arena *arena, struct config_node *root, const char *assignment);

/* check.c */
hff_status config_check_tree(struct config *config);
/* Every row's default against the row itself. */
hff_status config_check_defaults(struct config *config);
/* Defaults for what map lacks. */
hff_status config_check_fill(struct config *config, struct config_node *map);

#endif
