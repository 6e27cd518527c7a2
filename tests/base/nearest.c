/* Which words are typos of which. */
#include "base/nearest.h"

#include "fixture.h"

static const char *const words[] = {"epochs", "batch",           "backend", "dtype", "threads",
                                    "lr",     "objective.scale", "none",    "layer"};
enum { WORDS = sizeof words / sizeof *words };

static void typos_are_found(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"epoch", "epochs"}, {"eopchs", "epochs"},
        {"batc", "batch"},   {"bacth", "batch"},
        {"batchh", "batch"}, {"backedn", "backend"},
        {"dtpye", "dtype"},  {"thraeds", "threads"},
        {"BATCH", "batch"},  {"objective.sclae", "objective.scale"},
        {"rl", "lr"},        {"l", NULL},
        {"lr", "lr"},        {"nnoe", "none"},
        {"layers", "layer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *found = nearest(rows[i][0], words, WORDS);
        if (!rows[i][1])
            assert_null(found);
        else if (!found)
            fail_msg("nothing near %s", rows[i][0]);
        else
            assert_string_equal(found, rows[i][1]);
    }
}

static void other_words_are_not(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "x", "zebra", "momentum", "completely.different", "batchbatchbatch"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_null(nearest(rows[i], words, WORDS));
    assert_null(nearest("batch", words, 0));
}

static void the_closest_wins_and_the_first_of_equals(void **state)
{
    (void)state;
    static const char *const near[] = {"scales", "scale", "stale", "scala"};
    assert_string_equal(nearest("scale", near, 4), "scale");
    assert_string_equal(nearest("scalx", near, 4), "scale");
    static const char *const equal[] = {"conv1", "conv2", "conv3"};
    assert_string_equal(nearest("conv4", equal, 3), "conv1");
}

static void long_words_are_safe(void **state)
{
    (void)state;
    char long_word[1000], edge[129], off[129];
    memset(long_word, 'a', 999);
    memset(edge, 'a', 128);
    memset(off, 'a', 128);
    long_word[999] = edge[128] = off[128] = 0;
    off[64] = 'b';
    const char *const list[] = {long_word, off};
    assert_null(nearest(long_word, list, 2));
    assert_ptr_equal(nearest(edge, list, 2), off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typos_are_found),
        cmocka_unit_test(other_words_are_not),
        cmocka_unit_test(the_closest_wins_and_the_first_of_equals),
        cmocka_unit_test(long_words_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
