/* JSON through jansson: reading with limits, writing in full precision and stable order. */
#ifndef HFF_BASE_JSON_H
#define HFF_BASE_JSON_H

#include "status.h"

#include <jansson.h>

/* Parses text (not necessarily ended by 0). what names the source in messages. Nesting deeper than 64, duplicate
 * keys and trailing bytes are HFF_E_FORMAT. The caller owns *out (json_decref). */
hff_status json_parse(const char *what, const char *text, size_t size, json_t **out);

/* Reads and parses a file of at most 64 MiB. */
hff_status json_read(const char *path, json_t **out);

/* Text with keys in insertion order and reals in 17 digits; indent 0 for one line. The caller frees it. Not a number
 * and infinity, which JSON lacks, are written by json_number as null. */
char *json_text(const json_t *value, int indent);
/* The same on one line with members ordered by name, so that equal values give equal text. */
char *json_text_sorted(const json_t *value);
json_t *json_number(double value);

/* Writes value and a newline through file_write. */
hff_status json_write(const char *path, const json_t *value);

/* A member with its type checked; HFF_E_FORMAT names what and key when it is missing or of another type. */
hff_status json_member_int(const json_t *object, const char *what, const char *key, int64_t *out);
hff_status json_member_real(const json_t *object, const char *what, const char *key, double *out);
hff_status json_member_text(const json_t *object, const char *what, const char *key, const char **out);

#endif
