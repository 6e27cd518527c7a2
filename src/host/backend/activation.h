/* The activations: one row each. Every backend, the config's choices, the tests and the benchmarks read this table.
 *
 * name, the config's word, y as an expression of v (REAL), dy/dv as an expression of v. REAL is float or double
 * where the expressions are expanded. Not-a-number in gives not-a-number out, so that it is noticed. */
#ifndef HFF_BACKEND_ACTIVATION_H
#define HFF_BACKEND_ACTIVATION_H

/* clang-format off */
#define ACTIVATIONS(X)                                                                                                 \
    X(NONE, "none", v, 1)                                                                                              \
    X(RELU, "relu", v < 0 ? 0 : v, v > 0 ? 1 : 0)                                                                      \
    X(LEAKY_RELU, "leaky_relu", v < 0 ? (REAL)0.01 * v : v, v > 0 ? 1 : (REAL)0.01)
/* clang-format on */

enum act {
#define ACT_NAME(name, word, y, dy) ACT_##name,
    ACTIVATIONS(ACT_NAME)
#undef ACT_NAME
        ACT_COUNT
};

/* "relu"; the words joined by | ("none|relu") for a config row; -1 for an unknown word. */
const char *act_word(enum act act);
extern const char act_words[];
int act_parse(const char *word);

#endif
