/* Values out of a checked tree. They cannot fail: what is asked for has a row, and what has a row has a valid value
 * or is absent, which is 0, "" or NULL. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

/* Shows a mistake in the program early where programs are made, and goes on where they are used. */
static void mistake(const char *what, const char *path)
{
    fprintf(stderr, "hff: mistake in the program: config value \"%s\" %s\n", path, what);
#ifndef NDEBUG
    abort();
#endif
}

const struct config_node *config_root(const struct config *config)
{
    return config->root;
}

const struct config_node *config_at(const struct config_node *node, const char *path)
{
    const char *at = path;
    while (node) {
        struct step step = config_path_step(path, &at);
        if (step.kind == STEP_END) return node;
        if (step.kind == STEP_BAD) return NULL;
        const struct config_member *member = step.kind == STEP_NAME ? config_node_member(node, step.name) : NULL;
        node = step.kind == STEP_INDEX ? config_item(node, step.index) : member ? member->value : NULL;
    }
    return NULL;
}

int config_has(const struct config_node *node, const char *path)
{
    return config_at(node, path) != NULL;
}

/* The value at path, NULL when absent; its row must be of a type in types (a set of bits). */
static const struct config_node *value_at(const struct config_node *node, const char *path, unsigned types)
{
    if (!node) return NULL;
    const struct schema *schema = node->schema ? config_schema_find(node->schema, path) : NULL;
    if (!schema || !schema->row)
        mistake("has no row", path);
    else if (!(types & 1U << schema->row->type))
        mistake("is asked for as another type than its row has", path);
    else
        return config_at(node, path);
    return NULL;
}

int64_t config_int(const struct config_node *node, const char *path)
{
    const struct config_node *value = value_at(node, path, 1U << CONFIG_INT);
    return value && value->value == VALUE_INT ? value->integer : 0;
}

double config_real(const struct config_node *node, const char *path)
{
    const struct config_node *value = value_at(node, path, 1U << CONFIG_REAL | 1U << CONFIG_INT);
    return value && value->value != VALUE_TEXT ? value->real : 0;
}

int config_bool(const struct config_node *node, const char *path)
{
    const struct config_node *value = value_at(node, path, 1U << CONFIG_BOOL);
    return value ? (int)value->integer : 0;
}

const char *config_text(const struct config_node *node, const char *path)
{
    const unsigned with_words = 1U << CONFIG_INT | 1U << CONFIG_REAL | 1U << CONFIG_REALS;
    const struct config_node *value = value_at(node, path, 1U << CONFIG_TEXT | 1U << CONFIG_CHOICE | with_words);
    return value && value->kind == NODE_SCALAR && value->value == VALUE_TEXT ? value->text : "";
}

int config_reals(const struct config_node *node, const char *path, double *out, int max)
{
    const struct config_node *value = value_at(node, path, 1U << CONFIG_REALS);
    if (!value || value->kind != NODE_LIST) return 0;
    for (int i = 0; i < value->count && i < max; i++) out[i] = value->items[i]->real;
    return value->count;
}

int config_count(const struct config_node *list)
{
    return list && list->kind == NODE_LIST ? list->count : 0;
}

const struct config_node *config_item(const struct config_node *list, int index)
{
    return index >= 0 && index < config_count(list) ? list->items[index] : NULL;
}

int config_members(const struct config_node *map)
{
    return map && map->kind == NODE_MAP ? map->count : 0;
}

const char *config_member_name(const struct config_node *map, int index)
{
    return index >= 0 && index < config_members(map) ? map->members[index].name : "";
}

const struct config_node *config_member(const struct config_node *map, int index)
{
    return index >= 0 && index < config_members(map) ? map->members[index].value : NULL;
}

/* A fresh map with base's members; override's go over them, map by map. Scalars and lists are shared, never changed. */
static struct config_node *overlay(struct config *config, const struct config_node *base,
                                   const struct config_node *override)
{
    struct config_node *map = config_node_new(&config->arena, NODE_MAP, override->mark);
    map->schema = override->schema;
    for (int i = 0; i < config_members(base); i++)
        config_node_add_member(&config->arena, map, base->members[i].name, base->members[i].mark,
                               base->members[i].value);
    for (int i = 0; i < override->count; i++) {
        const struct config_member *from = &override->members[i];
        struct config_member *to = config_node_member(map, from->name);
        struct config_node *value = from->value;
        if (value->kind == NODE_MAP) value = overlay(config, to ? to->value : NULL, value);
        if (to)
            *to = (struct config_member){from->name, from->mark, value};
        else
            config_node_add_member(&config->arena, map, from->name, from->mark, value);
    }
    /* a map that is only in override; the check saw to it that this cannot fail */
    if (!base && config_check_fill(config, map) != HFF_OK) mistake("lacks keys", map->schema->path);
    return map;
}

const struct config_node *config_overlay(struct config *config, const struct config_node *base,
                                         const struct config_node *override)
{
    if (!override || override->kind != NODE_MAP) return base;
    return overlay(config, base, override);
}
