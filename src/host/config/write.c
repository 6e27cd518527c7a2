/* A checked config as YAML, which config_load and Python's YAML read back as the same values, and as JSON. */
#include "tree.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* May text stand without quotes and stay a text for every YAML reader? Only what starts like a word and is none of the
 * words that YAML 1.1 takes for something else. */
static int is_safe(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char *const reserved[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    if (!*text || (!strchr(letters, *text) && *text != '/')) return 0;
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.-")]) return 0;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcasecmp(text, reserved[i]) == 0) return 0;
    return 1;
}

static void put_text(FILE *out, const char *text)
{
    if (is_safe(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *at = text; *at; at++) { /* no control characters: the reader refuses them */
        if (*at == '"' || *at == '\\') fputc('\\', out);
        fputc(*at, out);
    }
    fputc('"', out);
}

static void put_scalar(FILE *out, const struct config_node *node)
{
    char number[NUMBER_TEXT];
    switch (node->value) {
    case VALUE_TEXT: put_text(out, node->text); break;
    case VALUE_INT: fprintf(out, "%" PRId64, node->integer); break;
    case VALUE_REAL: fputs(config_number_text(number, node->real), out); break;
    case VALUE_BOOL: fputs(node->integer ? "true" : "false", out); break;
    }
}

static void put_map(FILE *out, const struct config_node *map, int indent, int in_line);

/* A list of numbers in one line, a list of maps an item a paragraph. */
static void put_list(FILE *out, const struct config_node *list, int indent)
{
    if (list->count == 0 || list->items[0]->kind == NODE_SCALAR) {
        fputs(" [", out);
        for (int i = 0; i < list->count; i++) {
            if (i) fputs(", ", out);
            put_scalar(out, list->items[i]);
        }
        fputs("]\n", out);
        return;
    }
    fputc('\n', out);
    for (int i = 0; i < list->count; i++) {
        fprintf(out, "%*s- ", indent, "");
        put_map(out, list->items[i], indent + 2, 1);
    }
}

/* in_line: the first member goes where the cursor stands, behind the dash of an item. */
static void put_map(FILE *out, const struct config_node *map, int indent, int in_line)
{
    for (int i = 0; i < map->count; i++) {
        const struct config_node *value = map->members[i].value;
        fprintf(out, "%*s", in_line && i == 0 ? 0 : indent, "");
        put_text(out, map->members[i].name);
        fputc(':', out);
        if (value->kind == NODE_LIST) {
            put_list(out, value, indent + 2);
        } else if (value->kind == NODE_MAP && value->count > 0) {
            fputc('\n', out);
            put_map(out, value, indent + 2, 0);
        } else {
            fputc(' ', out);
            if (value->kind == NODE_MAP)
                fputs("{}", out);
            else
                put_scalar(out, value);
            fputc('\n', out);
        }
    }
    if (map->count == 0) fputs("{}\n", out); /* the root, or an item */
}

hff_status config_write_yaml(const struct config *config, FILE *out)
{
    put_map(out, config->root, 0, 0);
    return ferror(out) ? fail(HFF_E_IO, "could not write the config") : HFF_OK;
}

static json_t *to_json(const struct config_node *node)
{
    json_t *json = NULL;
    if (node->kind == NODE_MAP) {
        json = json_object();
        for (int i = 0; i < node->count; i++)
            json_object_set_new(json, node->members[i].name, to_json(node->members[i].value));
        return json;
    }
    if (node->kind == NODE_LIST) {
        json = json_array();
        for (int i = 0; i < node->count; i++) json_array_append_new(json, to_json(node->items[i]));
        return json;
    }
    switch (node->value) {
    case VALUE_TEXT: json = json_string(node->text); break;
    case VALUE_INT: json = json_integer(node->integer); break;
    case VALUE_REAL: json = json_real(node->real); break;
    case VALUE_BOOL: json = json_boolean(node->integer); break;
    }
    return json;
}

json_t *config_to_json(const struct config *config)
{
    return to_json(config->root);
}
