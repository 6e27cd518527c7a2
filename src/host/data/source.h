/* Private to the data room: what the sources share. */
#ifndef HFF_DATA_SOURCE_H
#define HFF_DATA_SOURCE_H

#include "data.h"

#include <stddef.h>

/* The sources: word in configs, the function in its file, where its files are by default and how one of them begins
 * ("": it has none), what it is for people. The first row begins without a bar, the others with one: the words side by
 * side are the config's choices. */
#define DATA_SOURCES(X)                                                                                                \
    X("", "digits", digits_open, "", "",                                                                               \
      "handwriting-like digits, 28 x 28 grey, generated; the same on every machine, no files needed")                  \
    X("|", "idx", idx_open, "${HFF_DATA}/mnist", "train-images",                                                       \
      "IDX files, plain or .gz: MNIST, Fashion-MNIST and others named alike, of any image size")                       \
    X("|", "cifar10", cifar10_open, "${HFF_DATA}/cifar-10-batches-bin", "data_batch_1.bin",                            \
      "CIFAR-10, binary version: 32 x 32 colour, 10 classes")                                                          \
    X("|", "cifar100", cifar100_open, "${HFF_DATA}/cifar-100-binary", "train.bin",                                     \
      "CIFAR-100, binary version: 32 x 32 colour, 100 fine classes")

#define DECLARE(bar, name, function, home, sign, help)                                                                 \
    hff_status function(struct data *data, const struct config_node *data_node);
DATA_SOURCES(DECLARE)
#undef DECLARE

/* data.root, or where that is not given the source's home, with ~ and ${NAME} replaced; HFF_E_DATA when it is no
 * folder. */
hff_status source_root(struct data *data, const struct config_node *data_node, char **out);

/* Memory for a split of count images; *images and *labels are the same memory, to fill. where names the file in
 * messages. */
hff_status source_split(struct dataset *set, const char *where, int64_t count, int channels, int height, int width,
                        uint8_t **images, int32_t **labels);

/* Sample number (0 .. count-1) drawn as 28 x 28 grey pixels; returns its class. test: 0 or 1, two separate streams. */
enum { DIGITS_SIDE = 28, DIGITS_CLASSES = 10 };
int digits_draw(uint64_t seed, int test, uint32_t number, uint8_t *pixels);

#endif
