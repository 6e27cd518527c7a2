/* The rows as the users' reference: text for a terminal, and a Markdown page. Keys are indented as they are in a
 * config. */
#include "tree.h"

#include "base/nearest.h"

#include <string.h>

enum { KEY_COLUMN_MAX = 30, WIDTH_MIN = 40, SPEC = 512 };

/* Text that flows in a column. */
struct flow {
    FILE *out;
    int column, indent, width;
};

/* Characters on a terminal: bytes that begin one in UTF-8. */
static int letters(const char *text, size_t length)
{
    int count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static void flow_line(struct flow *flow)
{
    fprintf(flow->out, "\n%*s", flow->indent, "");
    flow->column = flow->indent;
}

static void flow_words(struct flow *flow, const char *text)
{
    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        int size = letters(text, length), gap = flow->column > flow->indent;
        if (gap && flow->column + gap + size > flow->width) {
            flow_line(flow);
            gap = 0;
        }
        fprintf(flow->out, "%s%.*s", gap ? " " : "", (int)length, text);
        flow->column += gap + size;
        text += length;
    }
}

/* Words that are kept in one line where a line has room for them. */
static void flow_together(struct flow *flow, const char *text)
{
    int size = letters(text, strlen(text));
    if (flow->column > flow->indent && flow->column + 1 + size > flow->width && flow->indent + size <= flow->width)
        flow_line(flow);
    flow_words(flow, text);
}

/* "a | b | c" */
static void put_words(char *out, size_t size, const char *choices)
{
    size_t used = 0;
    for (const char *at = choices; *at && used + 4 < size; at++)
        used += (size_t)snprintf(out + used, size - used, *at == '|' ? " | " : "%c", *at);
}

/* What a value may be, short: "whole number from 1 to 64 pixels", "adamw | sgd". "" for a map. */
static void value_text(char *out, const struct config_row *row)
{
    char must[SPEC], words[SPEC / 2] = "";
    struct config_row bare = *row;
    out[0] = 0;
    if (row->type == CONFIG_MAP) return;
    if (row->type == CONFIG_CHOICE) {
        put_words(out, SPEC, row->choices ? row->choices : "");
        return;
    }
    if (row->type == CONFIG_BOOL) {
        put_words(out, SPEC, "true|false");
        return;
    }
    int is_number = row->type == CONFIG_INT || row->type == CONFIG_REAL || row->type == CONFIG_REALS;
    if (is_number && row->choices) put_words(words, sizeof words, row->choices);
    if (is_number) bare.choices = NULL;
    config_row_text(must, sizeof must, &bare);
    const char *no_article = must + 2 * (strncmp(must, "a ", 2) == 0);
    snprintf(out, SPEC, "%.*s%s%.*s", SPEC / 2 - 1, words, *words ? " | " : "", SPEC / 2 - 8, no_article);
}

static const char *default_text(const struct schema *schema, int is_kind)
{
    const struct config_row *row = schema->row;
    if (is_kind) return "";
    if (!row->fallback) return "required";
    if (!*row->fallback) return "optional";
    return row->type == CONFIG_MAP && strcmp(row->fallback, "{}") == 0 ? "" : row->fallback;
}

/* "[number from 0 to 1, default 0.5]", "" for a map that is always there. */
static void put_spec(struct flow *flow, const struct schema *schema, int is_kind)
{
    char value[SPEC], spec[2 * SPEC];
    value_text(value, schema->row);
    const char *fallback = default_text(schema, is_kind);
    int is_value = schema->row->fallback && *schema->row->fallback;
    if (!*value && !*fallback) return;
    snprintf(spec, sizeof spec, "[%s%s%s%.400s]", value, *value && *fallback ? ", " : "",
             is_value && *fallback ? "default " : "", fallback);
    flow_together(flow, spec);
}

static int is_kind(const struct schema *parent, const struct schema *child)
{
    return parent->one && !child->beside;
}

/* "  conv:", "- conv:" for a kind of an item. */
static int put_label(FILE *out, const struct schema *schema, int indent, int kind)
{
    enum config_type type = schema->row->type;
    int holds = type == CONFIG_MAP || type == CONFIG_LIST || type == CONFIG_LIKE;
    const char *dash = kind ? "- " : "", *colon = holds ? ":" : "";
    if (!out) return snprintf(NULL, 0, "%*s%s%s%s", indent, "", dash, schema->name, colon);
    return fprintf(out, "%*s%s%s%s", indent, "", dash, schema->name, colon);
}

/* Indent of what is below a key: behind the dash of a kind. */
static int indent_below(int indent, int kind)
{
    return indent + (kind ? 4 : 2);
}

/* The widest label below schema. */
static int label_width(const struct schema *schema, int indent)
{
    int widest = 0;
    for (const struct schema *s = schema->first; s; s = s->next) {
        int kind = is_kind(schema, s), size = put_label(NULL, s, indent, kind);
        int below = label_width(s->item ? s->item : s, indent_below(indent, kind));
        if (size > widest) widest = size;
        if (below > widest) widest = below;
    }
    return widest;
}

static void put_below(FILE *out, const struct schema *schema, int indent, int column, int width);

static void put_key(FILE *out, const struct schema *schema, int indent, int kind, int column, int width)
{
    struct flow flow = {out, 0, column, width};
    flow.column = put_label(out, schema, indent, kind);
    if (flow.column + 2 > column)
        flow_line(&flow);
    else
        fprintf(out, "%*s", column - flow.column, "");
    flow.column = column;
    flow_words(&flow, config_row_help(schema->row));
    put_spec(&flow, schema, kind);
    fputc('\n', out);
    put_below(out, schema->item ? schema->item : schema, indent_below(indent, kind), column, width);
}

/* The keys below schema; of an item first its kinds, then what may stand beside them. */
static void put_below(FILE *out, const struct schema *schema, int indent, int column, int width)
{
    int beside = 0;
    for (const struct schema *s = schema->first; s; s = s->next) {
        if (schema->one && s->beside)
            beside++;
        else
            put_key(out, s, indent, is_kind(schema, s), column, width);
    }
    if (!beside) return;
    fprintf(out, "%*sbeside each of them:\n", indent + 2, "");
    for (const struct schema *s = schema->first; s; s = s->next)
        if (s->beside) put_key(out, s, indent + 2, 0, column, width);
}

/* A heading with the whole path, then all below it. */
static void put_group(FILE *out, const struct schema *schema, int width)
{
    struct flow flow = {out, 0, 2, width};
    flow.column = fprintf(out, "%s:", schema->path);
    if (schema->row) {
        flow_words(&flow, config_row_help(schema->row));
        put_spec(&flow, schema, 0);
    }
    fputc('\n', out);
    if (schema->item) schema = schema->item;
    int column = label_width(schema, 2) + 2 + 2 * schema->one;
    if (column > KEY_COLUMN_MAX) column = KEY_COLUMN_MAX;
    if (column > width / 2) column = width / 2;
    put_below(out, schema, 2, column, width);
}

/* All full keys, without the [] of items. */
static void collect(struct arena *arena, const struct schema *schema, const char **keys, int *count)
{
    for (const struct schema *s = schema->first; s; s = s->next) {
        char *key = arena_text(arena, s->path), *to = key;
        for (const char *from = key; *from; from++)
            if (*from != '[' && *from != ']') *to++ = *from;
        *to = 0;
        if (keys) keys[*count] = key;
        ++*count;
        collect(arena, s->item ? s->item : s, keys, count);
    }
}

/* The nearest whole key, else one whose last name is the word or near it. */
static const char *nearest_key(struct arena *arena, const struct schema *root, const char *word)
{
    int count = 0;
    collect(arena, root, NULL, &count);
    const char **keys = ARENA_NEW(arena, const char *, count + 1), **names = ARENA_NEW(arena, const char *, count + 1);
    count = 0;
    collect(arena, root, keys, &count);
    const char *dot = strrchr(word, '.'), *last = dot ? dot + 1 : word;
    for (int i = 0; i < count; i++) {
        const char *end = strrchr(keys[i], '.');
        names[i] = end ? end + 1 : keys[i];
        if (strcmp(names[i], last) == 0) return keys[i];
    }
    const char *near = nearest(word, keys, count);
    if (near) return near;
    near = nearest(last, names, count);
    for (int i = 0; near && i < count; i++)
        if (names[i] == near) return keys[i];
    return NULL;
}

static hff_status help_key(struct arena *arena, const struct schema *root, const char *key, int width, FILE *out)
{
    const struct schema *schema = config_schema_find(root, key);
    if (schema) {
        put_group(out, schema, width);
        return HFF_OK;
    }
    char shown[CONFIG_QUOTE];
    const char *near = nearest_key(arena, root, key);
    if (near)
        return fail(HFF_E_USAGE, "there is no config key \"%s\"; did you mean \"%s\"?", config_quote(shown, key), near);
    return fail(HFF_E_USAGE, "there is no config key \"%s\"; without a key, all are listed", config_quote(shown, key));
}

hff_status config_help(const struct config_row *const *tables, const char *key, int width, FILE *out)
{
    struct arena arena = {0};
    struct schema *root;
    if (width < WIDTH_MIN) width = WIDTH_MIN;
    hff_status status = config_schema_build(&arena, tables, &root);
    if (status == HFF_OK && key && *key) {
        status = help_key(&arena, root, key, width, out);
    } else if (status == HFF_OK) {
        for (const struct schema *s = root->first; s; s = s->next) {
            put_group(out, s, width);
            if (s->next) fputc('\n', out);
        }
    }
    arena_free(&arena);
    return status;
}

/* A cell of a table, where a bar would end it. */
static void put_cell(FILE *out, const char *text, const char *around)
{
    fputs(" ", out);
    if (*text) fputs(around, out);
    for (const char *at = text; *at; at++) {
        if (*at == '|') fputc('\\', out);
        fputc(*at, out);
    }
    if (*text) fputs(around, out);
    fputs(" |", out);
}

static void put_rows(FILE *out, const struct schema *schema)
{
    for (const struct schema *s = schema->first; s; s = s->next) {
        char value[SPEC];
        value_text(value, s->row);
        int is_value = s->row->fallback && *s->row->fallback;
        fputs("|", out);
        put_cell(out, s->path, "`");
        put_cell(out, *value ? value : "map", "");
        put_cell(out, default_text(s, is_kind(schema, s)), is_value ? "`" : "");
        put_cell(out, config_row_help(s->row), "");
        fputs("\n", out);
        put_rows(out, s->item ? s->item : s);
    }
}

hff_status config_help_markdown(const struct config_row *const *tables, FILE *out)
{
    struct arena arena = {0};
    struct schema *root;
    hff_status status = config_schema_build(&arena, tables, &root);
    for (const struct schema *s = status == HFF_OK ? root->first : NULL; s; s = s->next) {
        fprintf(out, "## %s\n\n%s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", s->path,
                config_row_help(s->row));
        put_rows(out, s->item ? s->item : s);
        fputs(s->next ? "\n" : "", out);
    }
    arena_free(&arena);
    return status;
}
