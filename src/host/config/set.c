/* --set KEY=VALUE: the path walked through the raw tree, maps made where they are missing, the value read as YAML. */
#include "tree.h"

#include <string.h>

struct setter {
    struct arena *arena;
    struct config_mark mark;
    const char *path; /* the part before = */
};

static hff_status fail_index(const struct setter *setter, const char *name, const struct config_node *list, int index)
{
    if (list->kind != NODE_LIST)
        return config_fail_at(&setter->mark, "%s is not a list, so it has no [%d]", name, index);
    if (list->count == 0) return config_fail_at(&setter->mark, "%s is an empty list, so it has no [%d]", name, index);
    return config_fail_at(&setter->mark, "%s has %d items, [0] to [%d]", name, list->count, list->count - 1);
}

/* A value that a name is to be looked up in must be a map; nothing becomes an empty one, an item "flip" {flip: {}}. */
static hff_status become_map(const struct setter *setter, struct config_node *node, const char *name, int is_item)
{
    if (node->kind == NODE_MAP) return HFF_OK;
    int is_null = config_node_is_null(node), is_word = is_item && node->kind == NODE_SCALAR;
    if (node->kind == NODE_LIST)
        return config_fail_at(&setter->mark, "%s is a list; write %s[0] for its first item", name, name);
    if (!is_null && !is_word) return config_fail_at(&setter->mark, "%s is a value, not a map; it has no keys", name);
    struct config_node *map = config_node_new(setter->arena, NODE_MAP, node->mark);
    if (!is_null)
        config_node_add_member(setter->arena, map, node->text, node->mark,
                               config_node_new(setter->arena, NODE_MAP, node->mark));
    *node = *map;
    return HFF_OK;
}

/* Where the value goes; *slot is NULL in a fresh member. */
static hff_status walk(const struct setter *setter, struct config_node *root, struct config_node ***slot, int *is_item)
{
    const char *at = setter->path;
    struct config_node **here = NULL, *node = root;
    char so_far[CONFIG_QUOTE] = "";
    *is_item = 0;
    for (int depth = 0;; depth++) {
        const char *from = at;
        struct step step = config_path_step(setter->path, &at);
        if (step.kind == STEP_END) break;
        if (step.kind == STEP_BAD || depth >= CONFIG_DEPTH_MAX)
            return config_fail_at(&setter->mark,
                                  "\"%s\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list",
                                  config_quote(so_far, from));
        if (!node) node = *here = config_node_new(setter->arena, NODE_MAP, setter->mark);
        if (step.kind == STEP_INDEX) {
            if (node->kind != NODE_LIST || step.index >= node->count)
                return fail_index(setter, so_far, node, step.index);
            here = &node->items[step.index];
        } else {
            TRY(become_map(setter, node, so_far, *is_item));
            if (!config_node_member(node, step.name)) {
                if (node->count >= CONFIG_MEMBERS_MAX) return config_fail_at(&setter->mark, "too many keys");
                config_node_add_member(setter->arena, node, arena_text(setter->arena, step.name), setter->mark, NULL);
            }
            here = &config_node_member(node, step.name)->value;
        }
        node = *here;
        *is_item = step.kind == STEP_INDEX;
        config_quote(so_far, arena_printf(setter->arena, "%.*s", (int)(at - setter->path), setter->path));
    }
    *slot = here;
    return HFF_OK;
}

/* The assignment as messages show it. */
static const char *origin(struct arena *arena, const char *assignment)
{
    char shown[CONFIG_QUOTE];
    config_quote(shown, assignment);
    for (char *at = shown; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = '?';
    return arena_printf(arena, "--set %s", shown);
}

hff_status config_set_apply(struct arena *arena, struct config_node *root, const char *assignment)
{
    struct setter setter = {.arena = arena, .mark = {origin(arena, assignment), 0, 0}};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) return config_fail_at(&setter.mark, "not of the form KEY=VALUE");
    if (strlen(assignment) > CONFIG_FILE_MAX) return config_fail_at(&setter.mark, "too long");
    setter.path = arena_printf(arena, "%.*s", (int)(equals - assignment), assignment);
    struct config_node *value, **slot = NULL;
    int is_item;
    TRY(config_yaml_read_at(arena, setter.mark, equals + 1, &value));
    TRY(walk(&setter, root, &slot, &is_item));
    /* a map is laid over the one that is there, as in an include; an item is replaced, since its kind may change */
    if (*slot && !is_item && (*slot)->kind == NODE_MAP && value->kind == NODE_MAP)
        config_node_merge(arena, *slot, value);
    else
        *slot = value;
    return HFF_OK;
}
