/* YAML to a raw tree, through libyaml's events. Input is not trusted: depth, sizes and counts are limited, anchors,
 * aliases, tags, duplicate keys and control characters are refused. */
#include "tree.h"

#include <string.h>
#include <yaml.h>

struct reader {
    struct arena *arena;
    struct config_mark mark; /* its file, or with fixed the place of everything */
    int fixed;
    const char *text;
    size_t size;
    yaml_parser_t parser;
    int nodes, depth;
};

static struct config_mark place(const struct reader *reader, const yaml_mark_t *mark)
{
    if (reader->fixed) return reader->mark;
    return (struct config_mark){reader->mark.file, (int)mark->line + 1, (int)mark->column + 1};
}

/* libyaml says "found character that cannot start any token"; if that is a tab, say so. */
static int is_tab(const struct reader *reader, const yaml_mark_t *mark)
{
    const char *at = reader->text, *end = at + reader->size;
    for (size_t line = 0; line < mark->line && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) return 0;
        at = newline + 1;
    }
    return (size_t)(end - at) > mark->column && at[mark->column] == '\t';
}

static hff_status fail_parse(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "unreadable";
    if (parser->error == YAML_MEMORY_ERROR) return fail(HFF_E_MEMORY, "out of memory while reading a config");
    if (parser->error == YAML_READER_ERROR)
        return fail(HFF_E_CONFIG, "%s: not a text in UTF-8: %s at byte %zu", reader->mark.file, problem,
                    parser->problem_offset);
    struct config_mark at = place(reader, &parser->problem_mark);
    if (is_tab(reader, &parser->problem_mark)) return config_fail_at(&at, "a tab; YAML is indented with spaces");
    if (!parser->context || reader->fixed) return config_fail_at(&at, "%s", problem);
    return config_fail_at(&at, "%s (%s from line %zu)", problem, parser->context, parser->context_mark.line + 1);
}

static hff_status next(struct reader *reader, yaml_event_t *event)
{
    if (!yaml_parser_parse(&reader->parser, event)) return fail_parse(reader);
    return HFF_OK;
}

/* What texts may not hold: control characters (they would reach the terminal), line and paragraph separators (YAML
 * folds them), byte order marks and non-characters. text is valid UTF-8: libyaml decoded it. */
static int is_clean(const unsigned char *text)
{
    static const char *const bad[] = {"\xE2\x80\xA8", "\xE2\x80\xA9", "\xEF\xBB\xBF", "\xEF\xBF\xBE", "\xEF\xBF\xBF"};
    for (const unsigned char *at = text; *at; at++)
        if (*at < 0x20 || *at == 0x7F || (*at == 0xC2 && at[1] < 0xA0)) return 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strstr((const char *)text, bad[i])) return 0;
    return 1;
}

static hff_status check_scalar(const struct config_mark *mark, const yaml_event_t *event)
{
    size_t length = event->data.scalar.length;
    const unsigned char *value = event->data.scalar.value;
    if (length > CONFIG_SCALAR_MAX)
        return config_fail_at(mark, "a text of %zu bytes; at most %d are read", length, CONFIG_SCALAR_MAX);
    if (memchr(value, 0, length) || !is_clean(value))
        return config_fail_at(mark, "a text with a line break or another control character; write it in one line");
    return HFF_OK;
}

/* What no value may have or be. */
static hff_status check_event(const struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    struct config_mark mark = place(reader, &event->start_mark);
    if (event->type == YAML_ALIAS_EVENT)
        return config_fail_at(&mark, "aliases (*name) are not supported; write the value out, or use include");
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        TRY(check_scalar(&mark, event));
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor) return config_fail_at(&mark, "anchors (&name) are not supported; write the value out, or use include");
    if (tag) return config_fail_at(&mark, "tags (!name) are not supported");
    if (reader->depth >= CONFIG_DEPTH_MAX)
        return config_fail_at(&mark, "nested deeper than %d levels", CONFIG_DEPTH_MAX);
    if (reader->nodes >= CONFIG_NODES_MAX) return config_fail_at(&mark, "more than %d values", CONFIG_NODES_MAX);
    return HFF_OK;
}

static hff_status read_value(struct reader *reader, const yaml_event_t *event, struct config_node **out);

static hff_status read_items(struct reader *reader, struct config_node *list)
{
    for (;;) {
        yaml_event_t event;
        struct config_node *item = NULL;
        TRY(next(reader, &event));
        int end = event.type == YAML_SEQUENCE_END_EVENT;
        hff_status status = end ? HFF_OK : read_value(reader, &event, &item);
        yaml_event_delete(&event);
        if (status != HFF_OK || end) return status;
        config_node_add_item(reader->arena, list, item);
    }
}

/* A member's name, which must be new in its map. */
static hff_status read_name(struct reader *reader, struct config_node *map, const yaml_event_t *event,
                            struct config_node **name)
{
    struct config_mark mark = place(reader, &event->start_mark);
    TRY(check_event(reader, event));
    if (event->type != YAML_SCALAR_EVENT) return config_fail_at(&mark, "a key must be a word, not a list or a map");
    TRY(read_value(reader, event, name));
    const struct config_member *known = config_node_member(map, (*name)->text);
    char shown[CONFIG_QUOTE];
    if (known && reader->fixed) return config_fail_at(&mark, "\"%s\" is given twice", config_quote(shown, known->name));
    if (known)
        return config_fail_at(&mark, "\"%s\" is given twice in this map; the first is in line %d",
                              config_quote(shown, known->name), known->mark.line);
    if (map->count >= CONFIG_MEMBERS_MAX)
        return config_fail_at(&mark, "a map of more than %d keys", CONFIG_MEMBERS_MAX);
    return HFF_OK;
}

static hff_status read_members(struct reader *reader, struct config_node *map)
{
    for (;;) {
        yaml_event_t event;
        struct config_node *name = NULL, *value = NULL;
        TRY(next(reader, &event));
        int end = event.type == YAML_MAPPING_END_EVENT;
        hff_status status = end ? HFF_OK : read_name(reader, map, &event, &name);
        yaml_event_delete(&event);
        if (status != HFF_OK || end) return status;
        TRY(next(reader, &event));
        status = read_value(reader, &event, &value);
        yaml_event_delete(&event);
        TRY(status);
        config_node_add_member(reader->arena, map, name->text, name->mark, value);
    }
}

static hff_status read_value(struct reader *reader, const yaml_event_t *event, struct config_node **out)
{
    TRY(check_event(reader, event));
    reader->nodes++;
    struct config_mark mark = place(reader, &event->start_mark);
    if (event->type == YAML_SCALAR_EVENT) {
        *out = config_node_new(reader->arena, NODE_SCALAR, mark);
        (*out)->text = arena_text(reader->arena, (const char *)event->data.scalar.value);
        (*out)->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        return HFF_OK;
    }
    int is_map = event->type == YAML_MAPPING_START_EVENT;
    *out = config_node_new(reader->arena, is_map ? NODE_MAP : NODE_LIST, mark);
    reader->depth++;
    hff_status status = is_map ? read_members(reader, *out) : read_items(reader, *out);
    reader->depth--;
    return status;
}

/* One document. Nothing at all is an empty map in a file, and no value elsewhere. */
static hff_status read_stream(struct reader *reader, struct config_node **out)
{
    *out = NULL;
    for (;;) {
        yaml_event_t event;
        TRY(next(reader, &event));
        hff_status status = HFF_OK;
        yaml_event_type_t type = event.type;
        struct config_mark mark = place(reader, &event.start_mark);
        if (type == YAML_DOCUMENT_START_EVENT && *out)
            status = config_fail_at(&mark, "a second document; a config is one");
        else if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                 type == YAML_MAPPING_START_EVENT)
            status = read_value(reader, &event, out);
        yaml_event_delete(&event);
        TRY(status);
        if (type == YAML_STREAM_END_EVENT) break;
    }
    if (*out) return HFF_OK;
    *out = config_node_new(reader->arena, reader->fixed ? NODE_SCALAR : NODE_MAP, reader->mark);
    (*out)->plain = 1;
    return HFF_OK;
}

static hff_status read_all(struct reader *reader, struct config_node **out)
{
    if (!yaml_parser_initialize(&reader->parser)) return fail(HFF_E_MEMORY, "out of memory while reading a config");
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)reader->text, reader->size);
    hff_status status = read_stream(reader, out);
    yaml_parser_delete(&reader->parser);
    return status;
}

hff_status config_yaml_read(struct arena *arena, const char *name, const char *text, size_t size,
                            struct config_node **out)
{
    struct reader reader = {.arena = arena, .mark = {name, 1, 1}, .text = text, .size = size};
    return read_all(&reader, out);
}

hff_status config_yaml_read_at(struct arena *arena, struct config_mark mark, const char *text, struct config_node **out)
{
    struct reader reader = {.arena = arena, .mark = mark, .fixed = 1, .text = text, .size = strlen(text)};
    return read_all(&reader, out);
}
