/* A schema for the tests of the config room: every type, in the shape of the program's own tables. */
#ifndef HFF_TESTS_CONFIG_ROWS_H
#define HFF_TESTS_CONFIG_ROWS_H

#include "config/config.h"

static const struct config_row run_rows[] = {
    {"run", CONFIG_MAP, "{}", 0, 0, NULL, "", "the run as a whole"},
    {"run.name", CONFIG_TEXT, "", 0, 0, NULL, "",
     "name of the run's folder; chosen from the config's name when absent"},
    {"run.seed", CONFIG_INT, "1", 0, 9007199254740992.0, NULL, "", "seed of all random numbers"},
    {"run.epochs", CONFIG_REAL, NULL, 0.001, 100000, NULL, "epochs",
     "passes over the training images, may be fractional"},
    {"run.batch", CONFIG_INT, "128", 1, 65536, NULL, "images", "images in a step"},
    {"run.backend", CONFIG_CHOICE, "auto", 0, 0, "auto|cpu|cuda|ref", "", "what computes"},
    {"run.threads", CONFIG_INT, "0", 0, 1024, NULL, "", "threads of the CPU backend; 0: one for each core"},
    {"run.out", CONFIG_TEXT, "runs", 0, 0, NULL, "", "folder of the run folders"},
    {"run.until", CONFIG_MAP, "", 0, 0, NULL, "", "stop early"},
    {"run.until.accuracy", CONFIG_REAL, NULL, 0, 1, NULL, "share", "once the held-out accuracy reaches this"},
    {"run.until.patience", CONFIG_INT, "3", 1, 1000, NULL, "epochs", "for this long"},
    {0},
};

static const struct config_row data_rows[] = {
    {"data", CONFIG_MAP, "{}", 0, 0, NULL, "", "the images to learn from and to be judged on"},
    {"data.source", CONFIG_CHOICE, "digits", 0, 0, "digits|idx|cifar10|cifar100|folder|packed", "", "their format"},
    {"data.root", CONFIG_TEXT, "", 0, 0, NULL, "", "their folder; may use ~ and ${HFF_DATA}"},
    {"data.holdout", CONFIG_REAL, "0.0", 0, 0.5, NULL, "share", "held out from the training images"},
    {"data.shuffle", CONFIG_BOOL, "true", 0, 0, NULL, "", "a new order in every epoch"},
    {"data.normalize", CONFIG_REALS, "auto", 0, 0, "auto", "", "mean and standard deviation"},
    {"data.limit", CONFIG_MAP, "{}", 0, 0, NULL, "", "only the first images of each set"},
    {"data.limit.train", CONFIG_INT, "0", 0, 0, NULL, "images", "0: all"},
    {"data.limit.test", CONFIG_INT, "0", 0, 0, NULL, "images", "0: all"},
    {"data.augment", CONFIG_LIST, "", 0, 0, "one", "", "random changes of training images, in this order"},
    {"data.augment[].crop", CONFIG_MAP, "", 0, 0, NULL, "", "pad, then cut out at random"},
    {"data.augment[].crop.pad", CONFIG_INT, "4", 0, 64, NULL, "pixels", "on each side"},
    {"data.augment[].crop.mode", CONFIG_CHOICE, "reflect", 0, 0, "reflect|zero", "", "what the padding is"},
    {"data.augment[].flip", CONFIG_MAP, "", 0, 0, NULL, "", "mirror left and right, every other time"},
    {"data.augment[].shift", CONFIG_MAP, "", 0, 0, NULL, "", "move by whole pixels"},
    {"data.augment[].shift.max", CONFIG_INT, "2", 0, 64, NULL, "pixels", "at most this far"},
    {"data.augment[].mixup", CONFIG_MAP, "", 0, 0, NULL, "", "blend two images and their labels"},
    {"data.augment[].mixup.alpha", CONFIG_REAL, "0.2", 0.001, 1000, NULL, "", "of the beta distribution of the weight"},
    {0},
};

static const struct config_row net_rows[] = {
    {"net", CONFIG_MAP, NULL, 0, 0, NULL, "", "the network"},
    {"net.between", CONFIG_CHOICE, "auto", 0, 0, "auto|l2|none", "",
     "normalisation of what a stage passes on: l2 scales each sample to root mean square 1; auto: none after batch "
     "norm, "
     "else l2"},
    {"net.stages", CONFIG_LIST, NULL, 0, 0, "one", "", "the stages, first to last; each learns alone"},
    {"net.stages[].repeat", CONFIG_INT, "1", 1, 1000, NULL, "", "+this many equal stages in a row"},
    {"net.stages[].objective", CONFIG_LIKE, "", 0, 0, "objective", "", "+objective keys that differ in this stage"},
    {"net.stages[].optimizer", CONFIG_LIKE, "", 0, 0, "optimizer", "", "+optimizer keys that differ in this stage"},
    {"net.stages[].linear", CONFIG_MAP, "", 0, 0, NULL, "", "a fully connected layer"},
    {"net.stages[].linear.units", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "outputs"},
    {"net.stages[].linear.act", CONFIG_CHOICE, "relu", 0, 0, "none|relu|gelu", "", "activation"},
    {"net.stages[].conv", CONFIG_MAP, "", 0, 0, NULL, "", "a convolution, then norm, activation and pool"},
    {"net.stages[].conv.channels", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "output channels"},
    {"net.stages[].conv.kernel", CONFIG_INT, "3", 1, 31, NULL, "pixels", "side of the window"},
    {"net.stages[].conv.pool", CONFIG_MAP, "{}", 0, 0, NULL, "", "pooling after the activation"},
    {"net.stages[].conv.pool.max", CONFIG_INT, "0", 0, 16, NULL, "pixels", "side of the window of a max pool; 0: none"},
    {0},
};

static const struct config_row objective_rows[] = {
    {"objective", CONFIG_MAP, "{}", 0, 0, NULL, "", "what each stage's loss is"},
    {"objective.kind", CONFIG_CHOICE, "hff", 0, 0, "hff|ff|softmax|cwc", "", "the loss"},
    {"objective.scale", CONFIG_REAL, "16", 1, 100, NULL, "", "factor on the cosines"},
    {"objective.prototypes", CONFIG_MAP, "{}", 0, 0, NULL, "", "the class prototypes, rows of norm 1"},
    {"objective.prototypes.per_class", CONFIG_INT, "1", 1, 4096, NULL, "", "prototypes for each class"},
    {"objective.prototypes.train", CONFIG_BOOL, "true", 0, 0, NULL, "", "false: they stay as they start"},
    {"objective.ff", CONFIG_MAP, "", 0, 0, NULL, "", "goodness"},
    {"objective.ff.threshold", CONFIG_REAL, NULL, 0, 100, NULL, "", "between positive and negative"},
    {"objective.ff.peer", CONFIG_REAL, "0.03", 0, 1, NULL, "", "peer normalisation"},
    {0},
};

static const struct config_row optimizer_rows[] = {
    {"optimizer", CONFIG_MAP, "{}", 0, 0, NULL, "", "how parameters are updated"},
    {"optimizer.kind", CONFIG_CHOICE, "adamw", 0, 0, "adamw|sgd", "", "adamw: decoupled decay; sgd: momentum"},
    {"optimizer.lr", CONFIG_REAL, "0.001", 0, 100, NULL, "", "learning rate"},
    {"optimizer.eps", CONFIG_REAL, "0.00000001", 0, 1, NULL, "", "added to the root of the second moment"},
    {"optimizer.schedule", CONFIG_MAP, "{}", 0, 0, NULL, "", "the rate over a stage's own steps"},
    {"optimizer.schedule.kind", CONFIG_CHOICE, "cosine", 0, 0, "cosine|linear|step|constant", "", "its shape"},
    {"optimizer.schedule.warmup", CONFIG_REAL, "0.05", 0, 0, NULL, "", "below 1: share of all steps; else steps"},
    {0},
};

static const struct config_row engine_rows[] = {
    {"engine", CONFIG_MAP, "{}", 0, 0, NULL, "", "how stages are run"},
    {"engine.pipeline", CONFIG_INT, "auto", 1, 64, "auto|none", "", "stages in flight"},
    {0},
};

static const struct config_row *const all_rows[] = {run_rows,       data_rows,   net_rows, objective_rows,
                                                    optimizer_rows, engine_rows, NULL};

/* A whole config, which most tests change by --set. */
static const char good[] = "run: {epochs: 2.5, name: first try}\n"
                           "data:\n"
                           "  augment: [crop: {pad: 2, mode: zero}, flip, shift: {max: 3}]\n"
                           "  normalize: [0.5, 1e-3]\n"
                           "net:\n"
                           "  stages:\n"
                           "    - linear: {units: 1000}\n"
                           "    - conv: {channels: 96, pool: {max: 2}}\n"
                           "      repeat: 3\n"
                           "      objective: {scale: 8, prototypes: {train: no}}\n"
                           "optimizer:\n"
                           "  lr: 0.01\n";

#endif
