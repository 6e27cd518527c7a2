/* The activations' words, from the table in activation.h. */
#include "activation.h"

#include <string.h>

/* A bar before every word but the first: FIRST_NONE expands to two arguments, so that PICK meets "" before the bar. */
#define FIRST_NONE unused, ""
#define SECOND(a, b, ...) b
#define PICK(...) SECOND(__VA_ARGS__)
#define BAR_WORD(name, word, y, dy) PICK(FIRST_##name, "|", ) word
#define WORD(name, word, y, dy) word,

static const char *const words[ACT_COUNT] = {ACTIVATIONS(WORD)};
const char act_words[] = ACTIVATIONS(BAR_WORD);

const char *act_word(enum act act)
{
    return words[act];
}

int act_parse(const char *word)
{
    for (int i = 0; i < ACT_COUNT; i++)
        if (strcmp(word, words[i]) == 0) return i;
    return -1;
}
