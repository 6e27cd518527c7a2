/* The rows of all tables as a tree, and rows in words. */
#include "tree.h"

#include <math.h>
#include <string.h>

struct schema *config_schema_member(const struct schema *schema, const char *name)
{
    if (schema && schema->target) schema = schema->target;
    for (struct schema *s = schema ? schema->first : NULL; s; s = s->next)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}

static struct schema *add_child(struct arena *arena, struct schema *parent, const char *name, const char *path)
{
    struct schema *child = ARENA_NEW(arena, struct schema, 1);
    child->name = name;
    child->path = path;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    return child;
}

static int holds_members(const struct schema *schema)
{
    return !schema->row || schema->row->type == CONFIG_MAP;
}

static hff_status add_row(struct arena *arena, struct schema *root, const struct config_row *row)
{
    struct schema *parent = root;
    const char *at = row->key;
    for (const char *dot; (dot = strchr(at, '.')); at = dot + 1) {
        size_t length = (size_t)(dot - at);
        int item = length > 2 && strncmp(dot - 2, "[]", 2) == 0;
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)length - 2 * item, at);
        parent = config_schema_member(parent, name);
        if (parent && item) parent = parent->item;
        if (!parent) return fail(HFF_E_INTERNAL, "config row %s comes before the row of its map", row->key);
    }
    if (!holds_members(parent)) return fail(HFF_E_INTERNAL, "config row %s is not below a map", row->key);
    if (config_schema_member(parent, at)) return fail(HFF_E_INTERNAL, "config row %s is there twice", row->key);
    struct schema *schema = add_child(arena, parent, arena_text(arena, at), row->key);
    schema->row = row;
    schema->beside = row->help && row->help[0] == '+';
    if (row->type != CONFIG_LIST) return HFF_OK;
    schema->item = ARENA_NEW(arena, struct schema, 1);
    schema->item->name = schema->name;
    schema->item->path = arena_printf(arena, "%s[]", row->key);
    schema->item->one = row->choices && strcmp(row->choices, "one") == 0;
    return HFF_OK;
}

static hff_status resolve_likes(struct schema *root, struct schema *schema)
{
    for (struct schema *s = schema->first; s; s = s->next) {
        TRY(resolve_likes(root, s));
        if (s->item) TRY(resolve_likes(root, s->item));
        if (s->row->type != CONFIG_LIKE) continue;
        const struct schema *target = s->row->choices ? config_schema_find(root, s->row->choices) : NULL;
        if (!target || !target->row || target->row->type != CONFIG_MAP)
            return fail(HFF_E_INTERNAL, "config row %s is like \"%s\", which is no map", s->path,
                        s->row->choices ? s->row->choices : "");
        s->target = target;
    }
    return HFF_OK;
}

hff_status config_schema_build(struct arena *arena, const struct config_row *const *tables, struct schema **out)
{
    struct schema *root = ARENA_NEW(arena, struct schema, 1);
    root->name = root->path = "";
    for (; *tables; tables++)
        for (const struct config_row *row = *tables; row->key; row++) TRY(add_row(arena, root, row));
    *out = root;
    return resolve_likes(root, root);
}

const struct schema *config_schema_find(const struct schema *root, const char *path)
{
    const struct schema *schema = root;
    const char *at = path;
    for (;;) {
        if (strncmp(at, "[]", 2) == 0 && at != path) { /* as in the rows; config_path_step knows only [0] */
            at += 2;
            schema = schema->item;
            if (!schema) return NULL;
            if (*at == 0) return schema;
        }
        struct step step = config_path_step(path, &at);
        if (step.kind == STEP_END) return schema;
        if (step.kind == STEP_BAD) return NULL;
        if (step.kind == STEP_NAME && schema->item) schema = schema->item; /* "net.stages.conv" */
        schema = step.kind == STEP_INDEX ? schema->item : config_schema_member(schema, step.name);
        if (!schema) return NULL;
    }
}

const char *const *config_words_split(struct arena *arena, const char *choices, int *count)
{
    int words = 1;
    for (const char *at = choices; *at; at++) words += *at == '|';
    char **list = ARENA_NEW(arena, char *, words);
    *count = 0;
    for (char *at = arena_text(arena, choices), *bar; at; at = bar ? bar + 1 : NULL) {
        bar = strchr(at, '|');
        if (bar) *bar = 0;
        list[(*count)++] = at;
    }
    return (const char *const *)list;
}

const char *config_words_text(char *out, size_t size, const char *choices)
{
    size_t used = 0;
    out[0] = 0;
    for (const char *at = choices; *at && used + 1 < size;) {
        size_t length = strcspn(at, "|");
        const char *rest = at + length + (at[length] == '|');
        const char *glue = *rest == 0 ? "" : strchr(rest, '|') ? ", " : " or ";
        int written = snprintf(out + used, size - used, "%.*s%s", (int)length, at, glue);
        if (written < 0) break;
        used += (size_t)written;
        at = rest;
    }
    return out;
}

int config_row_has_range(const struct config_row *row)
{
    return row->min != 0 || row->max != 0;
}

/* " from 1 to 64", " of at least 1", "": bounds that no whole number in a double reaches are as good as none. */
static void range_text(char *out, size_t size, const struct config_row *row)
{
    const double huge = 9007199254740992.0;
    char low[NUMBER_TEXT], high[NUMBER_TEXT];
    out[0] = 0;
    if (!config_row_has_range(row)) return;
    config_number_short(low, row->min);
    config_number_short(high, row->max);
    if (row->max < huge && row->min > -huge)
        snprintf(out, size, " from %s to %s", low, high);
    else if (row->min > -huge)
        snprintf(out, size, " of at least %s", low);
    else if (row->max < huge)
        snprintf(out, size, " of at most %s", high);
}

const char *config_row_text(char *out, size_t size, const struct config_row *row)
{
    static const char *const nouns[] = {
        [CONFIG_INT] = "a whole number", [CONFIG_REAL] = "a number", [CONFIG_BOOL] = "true or false",
        [CONFIG_TEXT] = "a text",        [CONFIG_CHOICE] = "",       [CONFIG_REALS] = "a list of numbers",
        [CONFIG_MAP] = "a map",          [CONFIG_LIST] = "a list",   [CONFIG_LIKE] = "a map with keys of ",
    };
    char range[160] = "", unit[64] = "", words[512];
    int is_number = row->type == CONFIG_INT || row->type == CONFIG_REAL || row->type == CONFIG_REALS;
    const char *choices = row->choices ? row->choices : "", *bar = is_number && *choices ? "|" : "";
    if (row->type == CONFIG_LIKE) {
        snprintf(out, size, "%s%s", nouns[row->type], choices);
        return out;
    }
    if (row->type == CONFIG_LIST) choices = "";
    if (is_number) range_text(range, sizeof range, row);
    if (is_number && row->unit && *row->unit) snprintf(unit, sizeof unit, *range ? " %s" : " (%s)", row->unit);
    snprintf(words, sizeof words, "%s%s%s%s%s", choices, bar, nouns[row->type], range, unit);
    return config_words_text(out, size, words);
}

const char *config_row_help(const struct config_row *row)
{
    const char *help = row->help ? row->help : "";
    return help + (*help == '+');
}
