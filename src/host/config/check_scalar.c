/* Single values against their rows: numbers, words, texts, truth. */
#include "check.h"

#include "base/nearest.h"

#include <string.h>

static const char quoted[] = "a text because of its quotes";

hff_status config_fail_value(struct checker *c, const struct config_node *node, const struct config_row *row,
                             const char *wrong)
{
    static const char *const kinds[] = {[NODE_LIST] = "a list", [NODE_MAP] = "a map"};
    char must[512], value[CONFIG_QUOTE], is[CONFIG_QUOTE + 16];
    config_row_text(must, sizeof must, row);
    if (config_node_is_null(node))
        return config_fail_at(&node->mark, "%s has no value; it must be %s%s", c->path, must,
                              row->type == CONFIG_TEXT ? " (\"\" for an empty one)" : "");
    if (node->kind == NODE_SCALAR)
        snprintf(is, sizeof is, "\"%s\"", config_quote(value, node->text));
    else
        snprintf(is, sizeof is, "%s", kinds[node->kind]);
    const char *near = NULL;
    if (row->choices && node->kind == NODE_SCALAR && row->type != CONFIG_LIKE && row->type != CONFIG_LIST) {
        int count;
        const char *const *words = config_words_split(c->arena, row->choices, &count);
        near = nearest(node->text, words, count);
    }
    return config_fail_at(&node->mark, "%s is %s%s%s; it must be %s%s%s%s", c->path, is, wrong ? ", " : "",
                          wrong ? wrong : "", must, near ? "; did you mean \"" : "", near ? near : "",
                          near ? "\"?" : "");
}

/* Is the scalar one of the row's words? Then it is checked. */
static int is_word(struct checker *c, struct config_node *node, const struct config_row *row)
{
    int count = 0;
    if (!row->choices || node->kind != NODE_SCALAR) return 0;
    const char *const *words = config_words_split(c->arena, row->choices, &count);
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], node->text) == 0) {
            node->value = VALUE_TEXT;
            return 1;
        }
    return 0;
}

static hff_status check_plain_number(struct checker *c, struct config_node *node, const struct config_row *row)
{
    if (node->kind != NODE_SCALAR || config_node_is_null(node)) return config_fail_value(c, node, row, NULL);
    const char *wrong;
    if (row->type == CONFIG_INT) {
        wrong = config_number_int(node->text, &node->integer);
        node->value = VALUE_INT;
        node->real = (double)node->integer;
    } else {
        wrong = config_number_real(node->text, &node->real);
        node->value = VALUE_REAL;
    }
    if (!wrong && !node->plain) wrong = quoted;
    if (wrong) return config_fail_value(c, node, row, wrong);
    if (config_row_has_range(row) && !(node->real >= row->min && node->real <= row->max)) {
        char must[512], value[CONFIG_QUOTE];
        return config_fail_at(&node->mark, "%s is %s; it must be %s", c->path, config_quote(value, node->text),
                              config_row_text(must, sizeof must, row));
    }
    return HFF_OK;
}

hff_status config_check_number(struct checker *c, struct config_node *node, const struct config_row *row)
{
    return is_word(c, node, row) ? HFF_OK : check_plain_number(c, node, row);
}

hff_status config_check_reals(struct checker *c, struct config_node *node, const struct config_row *row)
{
    if (is_word(c, node, row)) return HFF_OK;
    if (node->kind != NODE_LIST) return config_fail_value(c, node, row, NULL);
    if (node->count == 0) return config_fail_value(c, node, row, "an empty one");
    struct config_row one = *row; /* an item is a number, not one of the words */
    one.type = CONFIG_REAL;
    one.choices = NULL;
    for (int i = 0; i < node->count; i++) {
        size_t length = config_path_push_index(c, i);
        TRY(check_plain_number(c, node->items[i], &one));
        config_path_pop(c, length);
    }
    return HFF_OK;
}

hff_status config_check_bool(struct checker *c, struct config_node *node, const struct config_row *row)
{
    /* YAML 1.1's, in its three spellings, but for y and n, on which readers disagree */
    static const char *const spellings[][2] = {{"false", "true"}, {"False", "True"}, {"FALSE", "TRUE"},
                                               {"no", "yes"},     {"No", "Yes"},     {"NO", "YES"},
                                               {"off", "on"},     {"Off", "On"},     {"OFF", "ON"}};
    node->value = VALUE_BOOL;
    if (node->kind != NODE_SCALAR) return config_fail_value(c, node, row, NULL);
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        for (int truth = 0; truth < 2; truth++) {
            if (strcmp(node->text, spellings[i][truth]) != 0) continue;
            node->integer = truth;
            return node->plain ? HFF_OK : config_fail_value(c, node, row, quoted);
        }
    return config_fail_value(c, node, row, NULL);
}

hff_status config_check_text(struct checker *c, struct config_node *node, const struct config_row *row)
{
    node->value = VALUE_TEXT;
    int is_home = node->kind == NODE_SCALAR && strcmp(node->text, "~") == 0; /* YAML's null, but a folder to us */
    if (node->kind != NODE_SCALAR || (config_node_is_null(node) && !is_home))
        return config_fail_value(c, node, row, NULL);
    return HFF_OK;
}

hff_status config_check_choice(struct checker *c, struct config_node *node, const struct config_row *row)
{
    return is_word(c, node, row) ? HFF_OK : config_fail_value(c, node, row, NULL);
}
