/* The raw tree: making it, merging two, saying where in it something is wrong. */
#include "tree.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct config_node *config_node_new(struct arena *arena, enum node_kind kind, struct config_mark mark)
{
    struct config_node *node = ARENA_NEW(arena, struct config_node, 1);
    node->kind = kind;
    node->mark = mark;
    node->text = "";
    return node;
}

/* The array with room for one more; arenas do not shrink, so it doubles. */
static void *grown(struct arena *arena, struct config_node *node, void *array, size_t size)
{
    if (node->count < node->capacity) return array;
    node->capacity = node->capacity ? node->capacity * 2 : 4;
    void *larger = arena_alloc(arena, size * (size_t)node->capacity);
    if (node->count) memcpy(larger, array, size * (size_t)node->count);
    return larger;
}

void config_node_add_item(struct arena *arena, struct config_node *list, struct config_node *item)
{
    list->items = grown(arena, list, list->items, sizeof *list->items);
    list->items[list->count++] = item;
}

void config_node_add_member(struct arena *arena, struct config_node *map, const char *name, struct config_mark mark,
                            struct config_node *value)
{
    map->members = grown(arena, map, map->members, sizeof *map->members);
    map->members[map->count++] = (struct config_member){name, mark, value};
}

struct config_member *config_node_member(const struct config_node *map, const char *name)
{
    if (!map || map->kind != NODE_MAP) return NULL;
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->members[i].name, name) == 0) return &map->members[i];
    return NULL;
}

int config_node_is_null(const struct config_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != NODE_SCALAR || !node->plain) return 0;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(node->text, nulls[i]) == 0) return 1;
    return 0;
}

void config_node_merge(struct arena *arena, struct config_node *base, const struct config_node *over)
{
    for (int i = 0; i < over->count; i++) {
        const struct config_member *from = &over->members[i];
        struct config_member *to = config_node_member(base, from->name);
        if (!to)
            config_node_add_member(arena, base, from->name, from->mark, from->value);
        else if (to->value->kind == NODE_MAP && from->value->kind == NODE_MAP)
            config_node_merge(arena, to->value, from->value);
        else if (to->value->kind != NODE_MAP ||
                 !config_node_is_null(from->value)) /* "optimizer:" alone is an empty map */
            *to = *from;
    }
}

const char *config_quote(char *out, const char *text)
{
    size_t length = strlen(text);
    if (length < CONFIG_QUOTE) return memcpy(out, text, length + 1);
    length = CONFIG_QUOTE - 4;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--; /* not inside a UTF-8 character */
    memcpy(out, text, length);
    memcpy(out + length, "...", 4);
    return out;
}

static hff_status fail_place(const struct config_mark *mark, const char *text)
{
    if (mark->line > 0) return fail(HFF_E_CONFIG, "%s:%d:%d: %s", mark->file, mark->line, mark->column, text);
    return fail(HFF_E_CONFIG, "%s: %s", mark->file, text);
}

hff_status config_fail_at(const struct config_mark *mark, const char *format, ...)
{
    char text[TRAIL_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail_place(mark, text);
}

hff_status config_fail(const struct config_node *node, const char *format, ...)
{
    char text[TRAIL_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return node ? fail_place(&node->mark, text) : fail(HFF_E_CONFIG, "%s", text);
}

/* Digits up to end as an index; -1 when it is none or too large for any list here. */
static int read_index(const char *from, size_t length)
{
    int value = 0;
    if (length == 0 || length > 7) return -1;
    for (size_t i = 0; i < length; i++) {
        if (from[i] < '0' || from[i] > '9') return -1;
        value = value * 10 + (from[i] - '0');
    }
    return value;
}

struct step config_path_step(const char *start, const char **path)
{
    struct step step = {.kind = STEP_BAD};
    const char *at = *path;
    if (*at == 0 && at != start) {
        step.kind = STEP_END;
        return step;
    }
    if (*at == '[') {
        size_t length = strcspn(at + 1, "]");
        step.index = read_index(at + 1, length);
        if (step.index < 0 || at[1 + length] != ']' || at == start) return step;
        *path = at + length + 2;
        step.kind = **path == 0 || **path == '.' || **path == '[' ? STEP_INDEX : STEP_BAD;
        return step;
    }
    if (at != start && *at++ != '.') return step;
    size_t length = strcspn(at, ".[");
    if (length == 0 || length >= sizeof step.name) return step;
    memcpy(step.name, at, length);
    *path = at + length;
    step.index = read_index(at, length);
    step.kind = step.index >= 0 ? STEP_INDEX : STEP_NAME;
    return step;
}
