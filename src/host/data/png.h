/* Private to the data room: reading one PNG file. */
#ifndef HFF_DATA_PNG_H
#define HFF_DATA_PNG_H

#include "data.h"

#include <stddef.h>

/* Whether bytes begin as a PNG file does. */
int png_is(const unsigned char *bytes, size_t size);

/* Reads a PNG file from memory into one image. Every damage is HFF_E_DATA with path, and leaves pixels NULL. */
hff_status png_parse(struct images *out, const char *path, const unsigned char *bytes, size_t size);

#endif
