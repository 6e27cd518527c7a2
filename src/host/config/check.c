/* A raw tree against the rows: names, types, ranges, kinds of items, defaults. */
#include "check.h"

#include "base/nearest.h"

#include <string.h>

/* How a CONFIG_LIKE map is checked. It has no defaults, because the map that it is laid over has them; only a map
 * that is absent there must be complete here. */
struct like {
    int covered;                    /* the other map is there */
    const struct config_node *base; /* as far as it was given, NULL: not at all */
};

static hff_status check_value(struct checker *c, struct config_node *node, const struct schema *schema,
                              const struct like *like);

size_t config_path_push(struct checker *c, const char *name)
{
    size_t length = strlen(c->path);
    snprintf(c->path + length, sizeof c->path - length, "%s%s", length ? "." : "", name);
    return length;
}

size_t config_path_push_index(struct checker *c, int index)
{
    size_t length = strlen(c->path);
    snprintf(c->path + length, sizeof c->path - length, "[%d]", index);
    return length;
}

void config_path_pop(struct checker *c, size_t length)
{
    c->path[length] = 0;
}

/* Names below schema: the kinds of an item, and unless kinds_only what may stand beside them, or all of a map. */
static const char **names_of(struct checker *c, const struct schema *schema, int kinds_only, int *count)
{
    int size = 0;
    *count = 0;
    for (const struct schema *s = schema->first; s; s = s->next) size++;
    const char **names = ARENA_NEW(c->arena, const char *, size + 1);
    for (int beside = 0; beside < 2 - kinds_only; beside++)
        for (const struct schema *s = schema->first; s; s = s->next)
            if (s->beside == beside) names[(*count)++] = s->name;
    return names;
}

/* "a, b, c" */
static const char *names_text(char *out, size_t size, const char *const *names, int count)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", names[i]);
    return out;
}

/* Another place where a key of this name belongs: "epochs" at the top belongs to run. */
static const struct schema *find_elsewhere(const struct schema *schema, const char *name)
{
    for (const struct schema *s = schema->first; s; s = s->next) {
        if (strcmp(s->name, name) == 0) return s;
        const struct schema *below = find_elsewhere(s->item ? s->item : s, name);
        if (below) return below;
    }
    return NULL;
}

static hff_status fail_unknown(struct checker *c, const struct config_member *member, const struct schema *schema)
{
    int count;
    char shown[CONFIG_QUOTE], list[512], of[sizeof c->path + 8] = "";
    const char *const *names = names_of(c, schema, 0, &count);
    if (c->path[0]) snprintf(of, sizeof of, " of %s", c->path);
    config_quote(shown, member->name);
    const char *near = nearest(member->name, names, count);
    if (near) return config_fail_at(&member->mark, "\"%s\" is not a key%s; did you mean \"%s\"?", shown, of, near);
    if (schema == c->config->schema && strcmp(member->name, "include") == 0)
        return config_fail_at(&member->mark, "include must be the first key of a file");
    const struct schema *elsewhere = find_elsewhere(c->config->schema, member->name);
    if (elsewhere)
        return config_fail_at(&member->mark, "\"%s\" is not a key%s; there is %s", shown, of, elsewhere->path);
    if (count == 0) return config_fail_at(&member->mark, "\"%s\" is not a key%s, which has none", shown, of);
    return config_fail_at(&member->mark, "\"%s\" is not a key%s; there are %s", shown, of,
                          names_text(list, sizeof list, names, count));
}

static hff_status fail_missing(struct checker *c, const struct config_node *map, const struct schema *schema)
{
    char must[512];
    config_path_push(c, schema->name);
    return config_fail_at(&map->mark, "%s is missing; it must be %s: %s", c->path,
                          config_row_text(must, sizeof must, schema->row), config_row_help(schema->row));
}

/* The default of schema's row into map, as if it stood where map stands. */
static hff_status add_default(struct checker *c, struct config_node *map, const struct schema *schema)
{
    const char *text = schema->row->fallback;
    struct config_node *value;
    TRY(config_yaml_read_at(c->arena, map->mark, text, &value));
    size_t length = config_path_push(c, schema->name);
    hff_status status = check_value(c, value, schema, NULL);
    config_path_pop(c, length);
    config_node_add_member(c->arena, map, schema->name, map->mark, value);
    return status;
}

/* Adds the defaults of what map lacks; refuses what may not lack. */
static hff_status fill(struct checker *c, struct config_node *map, const struct schema *schema, const struct like *like)
{
    for (const struct schema *s = schema->first; s; s = s->next) {
        if (config_node_member(map, s->name) || (schema->one && !s->beside)) continue;
        if (!s->row->fallback) {
            if (!like || !like->covered) return fail_missing(c, map, s);
        } else if (*s->row->fallback && !like) {
            TRY(add_default(c, map, s));
        }
    }
    return HFF_OK;
}

/* What a member of a CONFIG_LIKE map is laid over. */
static struct like like_member(const struct like *like, const struct schema *schema)
{
    const struct config_member *base = config_node_member(like->base, schema->name);
    int always = !schema->row->fallback || *schema->row->fallback;
    return (struct like){like->covered && (always || base), base ? base->value : NULL};
}

static hff_status check_members(struct checker *c, struct config_node *map, const struct schema *schema,
                                const struct like *like)
{
    map->schema = schema;
    for (int i = 0; i < map->count; i++) {
        struct config_member *member = &map->members[i];
        const struct schema *below = config_schema_member(schema, member->name);
        if (!below) return fail_unknown(c, member, schema);
        size_t length = config_path_push(c, member->name);
        struct like like_below = {0, NULL};
        if (like) like_below = like_member(like, below);
        TRY(check_value(c, member->value, below, like ? &like_below : NULL));
        config_path_pop(c, length);
    }
    return fill(c, map, schema, like);
}

static hff_status check_map(struct checker *c, struct config_node *node, const struct schema *schema,
                            const struct like *like)
{
    if (config_node_is_null(node)) { /* "optimizer:" and nothing below it */
        node->kind = NODE_MAP;
        node->members = NULL;
    }
    if (node->kind != NODE_MAP) return config_fail_value(c, node, schema->row, NULL);
    return check_members(c, node, schema, like);
}

/* The map in the root that a CONFIG_LIKE is laid over, as far as it was given. */
static const struct config_node *raw_at(const struct config_node *node, const char *path)
{
    const char *at = path;
    for (struct step step; node && (step = config_path_step(path, &at)).kind == STEP_NAME;) {
        const struct config_member *member = config_node_member(node, step.name);
        node = member ? member->value : NULL;
    }
    return node;
}

static hff_status check_like(struct checker *c, struct config_node *node, const struct schema *schema,
                             const struct like *outer)
{
    (void)outer;
    const struct config_node *base = raw_at(c->config->root, schema->target->path);
    struct like like = {base || !schema->target->row->fallback || *schema->target->row->fallback, base};
    return check_map(c, node, schema->target, &like);
}

/* An item of a list whose row says "one": exactly one kind. */
static hff_status check_one(struct checker *c, struct config_node *item, const struct schema *schema)
{
    int count;
    char valid[512];
    const char *const *kinds = names_of(c, schema, 1, &count);
    names_text(valid, sizeof valid, kinds, count);
    const struct config_member *found = NULL;
    for (int i = 0; i < item->count; i++) {
        const struct schema *below = config_schema_member(schema, item->members[i].name);
        if (!below) return fail_unknown(c, &item->members[i], schema);
        if (below->beside) continue;
        if (found)
            return config_fail_at(&item->members[i].mark, "%s has both %s and %s; it must have one of %s", c->path,
                                  found->name, item->members[i].name, valid);
        found = &item->members[i];
    }
    return found ? HFF_OK : config_fail_at(&item->mark, "%s lacks its kind; it must have one of %s", c->path, valid);
}

static hff_status check_item(struct checker *c, struct config_node *item, const struct schema *schema)
{
    if (schema->one && item->kind == NODE_SCALAR && !config_node_is_null(item)) { /* flip: short for flip: {} */
        struct config_node *map = config_node_new(c->arena, NODE_MAP, item->mark),
                           *empty = config_node_new(c->arena, NODE_MAP, item->mark);
        config_node_add_member(c->arena, map, item->text, item->mark, empty);
        *item = *map;
    }
    if (item->kind != NODE_MAP) {
        const struct config_row row = {.key = schema->path, .type = CONFIG_MAP};
        return config_fail_value(c, item, &row, NULL);
    }
    if (schema->one) TRY(check_one(c, item, schema));
    return check_members(c, item, schema, NULL);
}

static hff_status check_list(struct checker *c, struct config_node *node, const struct schema *schema,
                             const struct like *like)
{
    (void)like; /* lists are replaced whole, so their items are complete */
    if (node->kind != NODE_LIST) return config_fail_value(c, node, schema->row, NULL);
    for (int i = 0; i < node->count; i++) {
        size_t length = config_path_push_index(c, i);
        TRY(check_item(c, node->items[i], schema->item));
        config_path_pop(c, length);
    }
    return HFF_OK;
}

static hff_status check_value(struct checker *c, struct config_node *node, const struct schema *schema,
                              const struct like *like)
{
    static hff_status (*const scalars[])(struct checker *, struct config_node *, const struct config_row *) = {
        [CONFIG_INT] = config_check_number, [CONFIG_REAL] = config_check_number,   [CONFIG_BOOL] = config_check_bool,
        [CONFIG_TEXT] = config_check_text,  [CONFIG_CHOICE] = config_check_choice, [CONFIG_REALS] = config_check_reals,
    };
    static hff_status (*const maps[])(struct checker *, struct config_node *, const struct schema *,
                                      const struct like *) = {
        [CONFIG_MAP] = check_map, [CONFIG_LIST] = check_list, [CONFIG_LIKE] = check_like};
    node->schema = schema;
    enum config_type type = schema->row->type;
    if (type < CONFIG_MAP) return scalars[type](c, node, schema->row);
    return maps[type](c, node, schema, like);
}

hff_status config_check_tree(struct config *config)
{
    struct checker c = {.arena = &config->arena, .config = config};
    return check_members(&c, config->root, config->schema, NULL);
}

hff_status config_check_fill(struct config *config, struct config_node *map)
{
    struct checker c = {.arena = &config->arena, .config = config};
    snprintf(c.path, sizeof c.path, "%s", map->schema->path);
    return fill(&c, map, map->schema, NULL);
}

/* Each default is read alone. A map's default may lack what has to be given in it; that is judged when it is used. */
static hff_status check_default(struct checker *c, const struct schema *schema)
{
    const struct config_row *row = schema->row;
    struct config_mark mark = {row->key, 0, 0};
    struct config_node *value;
    if (!row->fallback || !*row->fallback) return HFF_OK;
    TRY(config_yaml_read_at(c->arena, mark, row->fallback, &value));
    snprintf(c->path, sizeof c->path, "%s", row->key);
    if (row->type == CONFIG_MAP && value->kind == NODE_MAP) return HFF_OK;
    return check_value(c, value, schema, NULL);
}

static hff_status check_defaults_below(struct checker *c, const struct schema *schema)
{
    for (const struct schema *s = schema->first; s; s = s->next) {
        if (check_default(c, s) != HFF_OK) {
            char reason[TRAIL_TEXT];
            snprintf(reason, sizeof reason, "%s", hff_error_message());
            return fail(HFF_E_INTERNAL, "default of config row %s", reason);
        }
        TRY(check_defaults_below(c, s->item ? s->item : s));
    }
    return HFF_OK;
}

hff_status config_check_defaults(struct config *config)
{
    struct checker c = {.arena = &config->arena, .config = config};
    return check_defaults_below(&c, config->schema);
}
