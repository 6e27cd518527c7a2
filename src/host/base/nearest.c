/* Edit distance with transpositions (optimal string alignment), blind to upper and lower case. */
#include "nearest.h"

#include <stddef.h>
#include <string.h>

enum { LONGEST = 128 };

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Both at most LONGEST characters long. Three rows of the table are enough: a transposition looks two rows back. */
static int distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int rows[3][LONGEST + 1];
    for (size_t j = 0; j <= b_length; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int differs = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + differs);
            int swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (swapped) row[j] = least(row[j], higher[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *nearest(const char *word, const char *const *candidates, int count)
{
    size_t length = strlen(word);
    if (length == 0 || length > LONGEST) return NULL;
    /* One slip in three letters is a typo, more is another word; in a word of one letter every slip is another word. */
    int limit = length == 1 ? 0 : (int)(length + 2) / 3;
    const char *best = NULL;
    for (int i = 0; i < count; i++) {
        size_t candidate_length = candidates[i] ? strlen(candidates[i]) : 0;
        if (candidate_length == 0 || candidate_length > LONGEST) continue;
        int d = distance(word, length, candidates[i], candidate_length);
        if (d > limit) continue;
        best = candidates[i];
        limit = d - 1; /* the first of equals stays */
    }
    return best;
}
