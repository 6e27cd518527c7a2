/* Text as people see it: UTF-8 measured in columns, cleaned and cut. Private to the room. */
#ifndef HFF_REPORT_TEXT_H
#define HFF_REPORT_TEXT_H

#include <stddef.h>

/* One character: its bytes, and the columns it takes on a terminal (0 for a combining mark, 2 for a wide one). Names
 * come from files, so that broken UTF-8 and control characters (escape sequences, direction marks) are read as "?". */
struct text_char {
    const char *bytes;
    int size, columns;
};
/* The character at *at, which moves on; 0 at the end. */
int text_next(const char **at, struct text_char *out);

int text_columns(const char *text);
/* text, cleaned, of at most so many columns (and capacity - 1 bytes), ending in "..." where it was cut. */
void text_fit(char *out, size_t capacity, const char *text, int columns);

/* "12,345": a number rounded to an integer; "?" when it is not finite. */
void text_thousands(char *out, size_t capacity, double value);

#endif
