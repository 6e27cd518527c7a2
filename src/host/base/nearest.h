/* Did you mean? */
#ifndef HFF_BASE_NEAREST_H
#define HFF_BASE_NEAREST_H

/* The candidate closest to word by edit distance (with transpositions), NULL when none is near enough to be a typo. */
const char *nearest(const char *word, const char *const *candidates, int count);

#endif
