/* From files, texts and sets to a checked config: include, merge, check. */
#include "tree.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The file that is being read, and those that included it. */
struct source {
    const struct source *parent;
    const char *path;
    char real[PATH_MAX];
    int depth;
};

static hff_status read_file(struct arena *arena, struct source *source, struct config_node **out);

static hff_status fail_include(const struct config_node *node)
{
    char reason[TRAIL_TEXT];
    snprintf(reason, sizeof reason, "%s", hff_error_message());
    return config_fail_at(&node->mark, "include: %s", reason);
}

/* The file that node names, read; its errors carry its own place, and the trail this one's. */
static hff_status include(struct arena *arena, const struct source *from, const struct config_node *node,
                          struct config_node **out)
{
    if (node->kind != NODE_SCALAR || config_node_is_null(node))
        return config_fail_at(&node->mark, "include must name one file");
    if (from->depth + 1 >= CONFIG_INCLUDE_MAX)
        return config_fail_at(&node->mark, "more than %d files include one another", CONFIG_INCLUDE_MAX);
    const char *slash = strrchr(from->path, '/');
    const char *folder = slash ? arena_printf(arena, "%.*s", (int)(slash - from->path + 1), from->path) : NULL;
    struct source source = {.parent = from, .depth = from->depth + 1};
    source.path = folder && node->text[0] != '/' ? arena_printf(arena, "%s%s", folder, node->text) : node->text;
    if (!realpath(source.path, source.real)) {
        fail_errno(HFF_E_CONFIG, errno, "%s", source.path);
        return fail_include(node);
    }
    for (const struct source *s = from; s; s = s->parent)
        if (strcmp(s->real, source.real) == 0)
            return config_fail_at(&node->mark, "include: %s includes itself, through this file", source.path);
    hff_status status = read_file(arena, &source, out);
    return status == HFF_OK
               ? HFF_OK
               : trail_add(status, "included from %s:%d:%d", node->mark.file, node->mark.line, node->mark.column);
}

/* Takes include out of the map, which must be its first key, and lays the rest over what it names. */
static hff_status resolve_include(struct arena *arena, const struct source *source, struct config_node **root)
{
    struct config_node *map = *root, *base;
    for (int i = 1; i < map->count; i++)
        if (strcmp(map->members[i].name, "include") == 0)
            return config_fail_at(&map->members[i].mark, "include must be the first key of the file");
    if (map->count == 0 || strcmp(map->members[0].name, "include") != 0) return HFF_OK;
    if (!source) return config_fail_at(&map->members[0].mark, "include works in files only");
    TRY(include(arena, source, map->members[0].value, &base));
    map->count--;
    memmove(map->members, map->members + 1, sizeof *map->members * (size_t)map->count);
    config_node_merge(arena, base, map);
    base->mark = map->mark; /* what is missing is missing in the file that was asked for */
    *root = base;
    return HFF_OK;
}

static hff_status read_text(struct arena *arena, const struct source *source, const char *name, const char *text,
                            size_t size, struct config_node **out)
{
    if (size > CONFIG_FILE_MAX)
        return fail(HFF_E_CONFIG, "%s: %zu bytes; a config has at most %d", name, size, CONFIG_FILE_MAX);
    TRY(config_yaml_read(arena, name, text, size, out));
    if (config_node_is_null(*out)) (*out)->kind = NODE_MAP;
    if ((*out)->kind != NODE_MAP)
        return config_fail_at(&(*out)->mark, "a config is a map of keys, such as run: and net:");
    return resolve_include(arena, source, out);
}

/* A config that cannot be read was asked for wrongly, whatever the system's reason. */
static hff_status read_file(struct arena *arena, struct source *source, struct config_node **out)
{
    unsigned char *data;
    size_t size;
    if (file_read(source->path, CONFIG_FILE_MAX, &data, &size) != HFF_OK) {
        char reason[TRAIL_TEXT];
        snprintf(reason, sizeof reason, "%s", hff_error_message());
        return fail(HFF_E_CONFIG, "%s", reason);
    }
    hff_status status = read_text(arena, source, source->path, (const char *)data, size, out);
    free(data);
    return status;
}

static hff_status finish(struct config *config, const char *const *sets, int set_count)
{
    for (int i = 0; i < set_count; i++) TRY(config_set_apply(&config->arena, config->root, sets[i]));
    TRY(config_check_defaults(config));
    return config_check_tree(config);
}

static hff_status start(struct config **out, const struct config_row *const *tables)
{
    *out = NULL;
    struct config *config = calloc(1, sizeof *config);
    if (!config) return fail(HFF_E_MEMORY, "out of memory for a config");
    struct schema *schema = NULL;
    hff_status status = config_schema_build(&config->arena, tables, &schema);
    config->schema = schema;
    if (status == HFF_OK)
        *out = config;
    else
        config_free(config);
    return status;
}

/* Hands a finished config out, or frees a failed one. */
static hff_status hand_out(struct config **out, hff_status status)
{
    if (status != HFF_OK) {
        config_free(*out);
        *out = NULL;
    }
    return status;
}

hff_status config_load(struct config **out, const struct config_row *const *tables, const char *path,
                       const char *const *sets, int set_count)
{
    TRY(start(out, tables));
    struct config *config = *out;
    struct source source = {.path = arena_text(&config->arena, path)};
    if (!realpath(path, source.real)) source.real[0] = 0; /* read_file says why */
    hff_status status = read_file(&config->arena, &source, &config->root);
    if (status == HFF_OK) status = finish(config, sets, set_count);
    return hand_out(out, status);
}

hff_status config_parse(struct config **out, const struct config_row *const *tables, const char *name, const char *text,
                        const char *const *sets, int set_count)
{
    TRY(start(out, tables));
    struct config *config = *out;
    name = arena_text(&config->arena, name);
    hff_status status = read_text(&config->arena, NULL, name, text, strlen(text), &config->root);
    if (status == HFF_OK) status = finish(config, sets, set_count);
    return hand_out(out, status);
}

void config_free(struct config *config)
{
    if (!config) return;
    arena_free(&config->arena);
    free(config);
}
