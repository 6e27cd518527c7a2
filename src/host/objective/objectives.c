/* The table of objectives, and the keys that they share. */
#include "objective.h"

#include <string.h>

#define WORD(bar, name, build, help) bar name

const struct config_row objective_rows[] = {
    {"objective", CONFIG_MAP, "{}", 0, 0, NULL, "", "what each stage's loss is"},
    {"objective.kind", CONFIG_CHOICE, "hff", 0, 0, OBJECTIVES(WORD), "",
     "hff: cross-entropy over cosines to class prototypes"},
    {"objective.scale", CONFIG_REAL, "16", 1, 100, NULL, "", "factor on the cosines"},
    {"objective.learn_scale", CONFIG_BOOL, "false", 0, 0, NULL, "",
     "let each stage learn its scale (kept in [1, 100])"},
    {"objective.margin", CONFIG_REAL, "0", 0, 2, NULL, "", "by how much the own class must win, as a cosine"},
    {"objective.loss", CONFIG_CHOICE, "softmax", 0, 0, "softmax|pairwise", "",
     "softmax: cross-entropy; pairwise: softplus of each difference"},
    {"objective.smoothing", CONFIG_REAL, "0", 0, 0.9, NULL, "", "label smoothing (softmax loss only)"},
    {"objective.prototypes", CONFIG_MAP, "{}", 0, 0, NULL, "", "the class prototypes, rows of norm 1"},
    {"objective.prototypes.per_class", CONFIG_INT, "1", 1, 4096, NULL, "",
     "prototypes for each class (joined by LogSumExp)"},
    {"objective.prototypes.init", CONFIG_CHOICE, "random", 0, 0, "random|orthogonal", "", "how they start"},
    {"objective.prototypes.train", CONFIG_BOOL, "true", 0, 0, NULL, "", "false: they stay as they start"},
    {"objective.head", CONFIG_MAP, "{}", 0, 0, NULL, "", "from a convolutional stage's output to its embedding"},
    {"objective.head.pool", CONFIG_INT, "0", 0, 1024, NULL, "pixels",
     "adaptive average pool to this side first; 0: none"},
    {"objective.head.aux", CONFIG_INT, "128", 0, 65536, NULL, "channels",
     "auxiliary convolution, not passed on; 0: none"},
    {"objective.head.aux_kernel", CONFIG_INT, "1", 1, 15, NULL, "pixels", "its side; odd"},
    {"objective.head.aux_act", CONFIG_CHOICE, "none", 0, 0, act_words, "", "activation after it"},
    {"objective.head.grid", CONFIG_INT, "2", 1, 1024, NULL, "pixels", "adaptive average pool to this side last"},
    {0},
};

#define ROW(bar, name, build, help) {name, help, build},
const struct objective objectives[] = {OBJECTIVES(ROW){0}};

const struct objective *objective_find(const struct config_node *node)
{
    const char *kind = config_text(node, "kind");
    for (const struct objective *o = objectives; o->name; o++)
        if (strcmp(o->name, kind) == 0) return o;
    return NULL; /* the config's choices are this table's names */
}
