/* Arenas: alignment, zeroing, no overlaps, pieces larger than a block, text. */
#include "fixture.h"

enum { PIECES = 3000 };

static size_t piece_size(int i)
{
    return i % 500 == 499 ? 200000 : (size_t)(i * 37 % 700);
}

static void pieces_are_aligned_zero_and_apart(void **state)
{
    (void)state;
    struct arena arena = {0};
    unsigned char **pieces = malloc(PIECES * sizeof *pieces);
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&arena, piece_size(i));
        assert_int_equal((uintptr_t)pieces[i] % 64, 0);
        for (size_t j = 0; j < piece_size(i); j++) assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], 1 + i % 255, piece_size(i));
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t j = 0; j < piece_size(i); j++)
            if (pieces[i][j] != 1 + i % 255) fail_msg("piece %d was overwritten at %zu", i, j);
    free(pieces);
    arena_free(&arena);
}

static void a_freed_arena_is_fresh(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_free(&arena); /* nothing to free */
    memset(arena_alloc(&arena, 1000), 0xff, 1000);
    arena_free(&arena);
    assert_null(arena.blocks);
    const unsigned char *again = arena_alloc(&arena, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(again[i], 0);
    arena_free(&arena);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct arena arena = {0};
    char from[] = "text";
    char *copy = arena_text(&arena, from);
    from[0] = 'n';
    assert_string_equal(copy, "text");
    assert_string_equal(arena_text(&arena, ""), "");
    assert_string_equal(arena_printf(&arena, "%s-%03d", "step", 7), "step-007");
    char *wide = arena_printf(&arena, "%100000d", 5);
    assert_int_equal(strlen(wide), 100000);
    assert_int_equal(wide[99999], '5');
    assert_string_equal(copy, "text");
    arena_free(&arena);
}

static void arrays_have_the_size_of_their_type(void **state)
{
    (void)state;
    struct arena arena = {0};
    double *first = ARENA_NEW(&arena, double, 100), *second = ARENA_NEW(&arena, double, 100);
    for (int i = 0; i < 100; i++) first[i] = second[i] = i;
    assert_true((first + 100 <= second || second + 100 <= first) && first[99] == 99.0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zero_and_apart),
        cmocka_unit_test(a_freed_arena_is_fresh),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(arrays_have_the_size_of_their_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
