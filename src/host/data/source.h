/* Private to the data room: what the sources share. */
#ifndef HFF_DATA_SOURCE_H
#define HFF_DATA_SOURCE_H

#include "data.h"

#include <stddef.h>

hff_status digits_open(struct data *data, const struct config_node *data_node);
hff_status idx_open(struct data *data, const struct config_node *data_node);
hff_status cifar10_open(struct data *data, const struct config_node *data_node);
hff_status cifar100_open(struct data *data, const struct config_node *data_node);

/* data.root with ~ and ${NAME} replaced, fallback where it is not given; HFF_E_DATA when it is no folder. */
hff_status source_root(struct data *data, const struct config_node *data_node, const char *fallback, char **out);

/* Memory for a split of count images; *images and *labels are the same memory, to fill. where names the file in
 * messages. */
hff_status source_split(struct dataset *set, const char *where, int64_t count, int channels, int height, int width,
                        uint8_t **images, int32_t **labels);

/* Sample number (0 .. count-1) drawn as 28 x 28 grey pixels; returns its class. test: 0 or 1, two separate streams. */
enum { DIGITS_SIDE = 28, DIGITS_CLASSES = 10 };
int digits_draw(uint64_t seed, int test, uint32_t number, uint8_t *pixels);

#endif
