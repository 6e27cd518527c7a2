/* The table of objectives, and the keys that they share. */
#include "objective.h"

#include <string.h>

#define WORD(bar, name, build, help) bar name

const struct config_row objective_rows[] = {
    {"objective", CONFIG_MAP, "{}", 0, 0, NULL, "", "what each stage's loss is"},
    {"objective.kind", CONFIG_CHOICE, "hff", 0, 0, OBJECTIVES(WORD), "",
     "hff: class prototypes; ff: goodness of images that bear a true or a wrong label; softmax: a linear layer; cwc: "
     "energy of each class's channels. Keys for other kinds than a stage's own are not read"},
    {"objective.scale", CONFIG_REAL, "16", 1, 100, NULL, "", "hff: factor on the cosines"},
    {"objective.learn_scale", CONFIG_BOOL, "false", 0, 0, NULL, "",
     "hff: let each stage learn its scale (kept in [1, 100])"},
    {"objective.margin", CONFIG_REAL, "0", 0, 2, NULL, "", "hff: by how much the own class must win, as a cosine"},
    {"objective.loss", CONFIG_CHOICE, "softmax", 0, 0, "softmax|pairwise", "",
     "hff: cross-entropy (softmax), or softplus of each difference (pairwise)"},
    {"objective.smoothing", CONFIG_REAL, "0", 0, 0.9, NULL, "", "label smoothing (not with the pairwise loss)"},
    {"objective.ff", CONFIG_MAP, "{}", 0, 0, NULL, "", "what the objective ff asks for"},
    {"objective.ff.overlay", CONFIG_CHOICE, "pixels", 0, 0, "pixels|plane|planes", "",
     "where the label is written: over the first pixels, into those of one more plane, or as a constant plane a class"},
    {"objective.ff.negatives", CONFIG_CHOICE, "uniform", 0, 0, "uniform|hard", "",
     "wrong labels: all alike, or as likely as a one-pass read-out of the net takes them to be"},
    {"objective.ff.hard_after", CONFIG_REAL, "1", 0, 1000000, NULL, "epochs", "of the run; hard negatives are uniform until then"},
    {"objective.ff.goodness", CONFIG_CHOICE, "sum", 0, 0, "sum|mean", "", "of the squared activities"},
    {"objective.ff.loss", CONFIG_CHOICE, "threshold", 0, 0, "threshold|symba", "",
     "softplus of both goodnesses' distance to theta, or of alpha times their difference (arXiv 2303.08418)"},
    {"objective.ff.theta", CONFIG_REAL, "auto", -1e9, 1e9, "auto", "",
     "threshold; auto: the number of units for a sum, 1 for a mean"},
    {"objective.ff.alpha", CONFIG_REAL, "4", 0.000001, 1000000, NULL, "", "of the symba loss"},
    {"objective.ff.predict", CONFIG_CHOICE, "original", 0, 0, "original|batched|readout", "",
     "a pass for each class; the same, many classes a pass, the first layer's work on the image shared; or one pass "
     "with "
     "a neutral label and a linear softmax on all layers but the first"},
    {"objective.prototypes", CONFIG_MAP, "{}", 0, 0, NULL, "", "hff: the class prototypes, rows of norm 1"},
    {"objective.prototypes.per_class", CONFIG_INT, "1", 1, 4096, NULL, "",
     "prototypes for each class (joined by LogSumExp)"},
    {"objective.prototypes.init", CONFIG_CHOICE, "random", 0, 0, "random|orthogonal", "", "how they start"},
    {"objective.prototypes.train", CONFIG_BOOL, "true", 0, 0, NULL, "", "false: they stay as they start"},
    {"objective.head", CONFIG_MAP, "{}", 0, 0, NULL, "",
     "hff, softmax: from a convolutional stage's output to its embedding"},
    {"objective.head.pool", CONFIG_INT, "0", 0, 1024, NULL, "pixels",
     "adaptive average pool to this side first; 0: none"},
    {"objective.head.aux", CONFIG_INT, "128", 0, 65536, NULL, "channels",
     "auxiliary convolution, not passed on; 0: none"},
    {"objective.head.aux_kernel", CONFIG_INT, "1", 1, 15, NULL, "pixels", "its side; odd"},
    {"objective.head.aux_act", CONFIG_CHOICE, "none", 0, 0, act_words, "", "activation after it"},
    {"objective.head.grid", CONFIG_INT, "2", 1, 1024, NULL, "pixels", "adaptive average pool to this side last"},
    {"objective.sim", CONFIG_MAP, "{}", 0, 0, NULL, "",
     "hff, softmax: similarity matching (arXiv 1901.06656) beside them"},
    {"objective.sim.beta", CONFIG_REAL, "0", 0, 0.999, NULL, "",
     "its share in the loss; samples are compared with those of their slice; 0: none"},
    {0},
};

#define ROW(bar, name, build, help) {name, help, build},
const struct objective objectives[] = {OBJECTIVES(ROW){0}};

hff_status objective_input(const struct config *config, int classes, struct shape *input)
{
    static const struct {
        hff_status (*build)(struct head *head);
        hff_status (*input)(const struct config_node *config, int classes, struct shape *input);
    } wider[] = {{ff_build, ff_input}};
    const struct config_node *node = config_at(config_root(config), "objective");
    const struct objective *objective = objective_find(node);
    for (size_t i = 0; i < sizeof wider / sizeof wider[0]; i++)
        if (wider[i].build == objective->build) TRY(wider[i].input(node, classes, input));
    return HFF_OK;
}

const struct objective *objective_find(const struct config_node *node)
{
    const char *kind = config_text(node, "kind");
    for (const struct objective *o = objectives; o->name; o++)
        if (strcmp(o->name, kind) == 0) return o;
    return NULL; /* the config's choices are this table's names */
}
