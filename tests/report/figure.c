/* Figures open as PNG with the size they should have and show what they were given; odd input draws something, too. */
#include "report/figure.h"
#include "base/arena.h"
#include "base/file.h"

#include <cairo.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char path[] = "figure.png";

static cairo_surface_t *open_png(void)
{
    cairo_surface_t *image = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    assert_true(cairo_image_surface_get_width(image) >= 300);
    assert_true(cairo_image_surface_get_height(image) >= 100);
    return image;
}

static uint32_t pixel(cairo_surface_t *image, int x, int y)
{
    assert_true(x >= 0 && x < cairo_image_surface_get_width(image));
    assert_true(y >= 0 && y < cairo_image_surface_get_height(image));
    uint32_t value;
    size_t stride = (size_t)cairo_image_surface_get_stride(image);
    memcpy(&value, cairo_image_surface_get_data(image) + (size_t)y * stride + 4 * (size_t)x, 4);
    return value & 0xffffff;
}

static int count_pixels(cairo_surface_t *image, uint32_t color)
{
    int count = 0;
    for (int y = 0; y < cairo_image_surface_get_height(image); y++)
        for (int x = 0; x < cairo_image_surface_get_width(image); x++) count += pixel(image, x, y) == color;
    return count;
}

/* The edge is white all round: nothing is cut off by the page. */
static void check_edge(cairo_surface_t *image)
{
    int width = cairo_image_surface_get_width(image), height = cairo_image_surface_get_height(image);
    for (int x = 0; x < width; x++)
        assert_true(pixel(image, x, 0) == 0xffffff && pixel(image, x, height - 1) == 0xffffff);
    for (int y = 0; y < height; y++)
        assert_true(pixel(image, 0, y) == 0xffffff && pixel(image, width - 1, y) == 0xffffff);
}

static void check_png(int width, int height)
{
    cairo_surface_t *image = open_png();
    if (width) assert_int_equal(cairo_image_surface_get_width(image), width);
    if (height) assert_int_equal(cairo_image_surface_get_height(image), height);
    check_edge(image);
    cairo_surface_destroy(image);
    assert_int_equal(file_remove_tree(path), HFF_OK);
}

static void curves(void **state)
{
    (void)state;
    double x[40], y[40];
    for (int i = 0; i < 40; i++) x[i] = i, y[i] = 1 - 1.0 / (i + 1);
    struct series series[60];
    for (int i = 0; i < 60; i++) series[i] = (struct series){i % 2 ? "stage" : "ünï\xff\x1b code", 40, x, y};
    assert_int_equal(figure_curves(path, "title", "epoch", "accuracy (%)", series, 1, 1), HFF_OK);
    cairo_surface_t *image = open_png();
    assert_int_equal(cairo_image_surface_get_height(image), 774);
    assert_true(count_pixels(image, 0x0072b2) > 1000);
    cairo_surface_destroy(image);
    check_png(0, 774);
    series[0].count = 1; /* a single point is marked */
    assert_int_equal(figure_curves(path, NULL, NULL, NULL, series, 1, 0), HFF_OK);
    image = open_png();
    assert_true(count_pixels(image, 0x0072b2) > 60);
    cairo_surface_destroy(image);
    check_png(0, 774);
    series[0].count = 40; /* and so is one between gaps */
    int blue[2];          /* of the legend alone, and with the point */
    for (int points = 0; points < 2; points++) {
        for (int i = 0; i < 40; i++) y[i] = points && i == 20 ? 1 : NAN;
        assert_int_equal(figure_curves(path, NULL, NULL, NULL, series, 1, 0), HFF_OK);
        image = open_png();
        blue[points] = count_pixels(image, 0x0072b2);
        cairo_surface_destroy(image);
        check_png(0, 774);
    }
    assert_true(blue[0] > 50 && blue[1] > blue[0]);
    assert_int_equal(figure_curves(path, "none", "x", "y", NULL, 0, 0), HFF_OK);
    check_png(0, 774);
    assert_int_equal(figure_curves(path, "many", "x", "y", series, 60, 1), HFF_OK);
    check_png(0, 0);
}

static void curves_of_odd_numbers(void **state)
{
    (void)state;
    static const double cases[][4] = {{NAN, NAN, NAN, NAN},
                                      {1, NAN, INFINITY, 2},
                                      {5, 5, 5, 5},
                                      {0, 0, 0, 0},
                                      {-1, -2, -3, -4},
                                      {1e-300, 1e300, -1e300, 1e307},
                                      {1e9, 1e9 + 1e-6, 1e9, 1e9},
                                      {1e-12, 2e-12, 0, 0}};
    double x[] = {0, 1, 2, 3}, same[] = {1, 1, 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct series series[] = {{"x", 4, x, cases[i]}, {"same", 4, same, cases[i]}, {"turned", 4, cases[i], x}};
        assert_int_equal(figure_curves(path, "odd", "x", "y", series, 3, 0), HFF_OK);
        check_png(0, 774);
        assert_int_equal(figure_curves(path, "odd", "x", "y", series, 2, 1), HFF_OK);
        check_png(0, 774);
    }
}

static void confusion_of(int classes, int64_t diagonal, const char *const *names)
{
    int64_t *counts = calloc((size_t)classes * (size_t)classes + 1, sizeof *counts);
    assert_non_null(counts);
    for (int i = 1; i < classes; i++) counts[i * classes + i] = diagonal; /* the first class has no samples */
    assert_int_equal(figure_confusion(path, "confusion", counts, classes, names), HFF_OK);
    check_png(0, 0);
    free(counts);
}

static void confusion(void **state)
{
    (void)state;
    struct arena arena = {0};
    const char **names = ARENA_NEW(&arena, const char *, 100);
    for (int i = 0; i < 100; i++)
        names[i] = arena_printf(&arena, i % 9 ? "class %d" : "a very long name of class %d", i);
    names[3] = NULL;
    static const int sizes[] = {0, 1, 2, 10, 20, 21, 41, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        confusion_of(sizes[i], 100, NULL);
        confusion_of(sizes[i], 123456789012, names);
    }
    confusion_of(300, 1, NULL);
    arena_free(&arena);
}

/* Two classes, all of the first right, all of the second taken for the first: dark, white; dark, white. */
static void confusion_colors(void **state)
{
    (void)state;
    static const int64_t counts[] = {7, 0, 7, 0};
    assert_int_equal(figure_confusion(path, "", counts, 2, NULL), HFF_OK);
    cairo_surface_t *image = open_png();
    int dark = count_pixels(image, 0x08306b);
    assert_in_range(dark, 2 * 180 * 170,
                    2 * 180 * 185); /* two cells of 180 x 180 pixels but for digits, plus the bar */
    cairo_surface_destroy(image);
    check_png(0, 0);
}

static void matrix(void **state)
{
    (void)state;
    static double values[200 * 200];
    for (int i = 0; i < 200 * 200; i++) values[i] = sin(i);
    values[5] = NAN;
    values[6] = 7;
    static const int sizes[] = {0, 1, 2, 10, 100, 200};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(figure_matrix(path, "prototypes", values, sizes[i]), HFF_OK);
        check_png(0, 0);
    }
    assert_int_equal(figure_matrix(path, "prototypes", values, 10), HFF_OK);
    check_png(2 * (58 + 360 + 18 + 76), 2 * (40 + 360 + 33 + 14));
}

static void images(void **state)
{
    (void)state;
    static float pixels[3 * 40 * 40 * 9];
    static const char *const captions[9] = {"cat", NULL, "a caption that is wider than any image would ever be"};
    static const int shapes[][3] = {{1, 28, 28}, {3, 32, 32}, {3, 5, 5}, {1, 1, 1}, {3, 3, 40}, {1, 40, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int count = 0; count <= 9; count += 3) {
            const int *s = shapes[i];
            assert_int_equal(figure_images(path, "samples", pixels, count, s[0], s[1], s[2], captions, 1), HFF_OK);
            check_png(0, 0);
            assert_int_equal(figure_images(path, NULL, pixels, count, s[0], s[1], s[2], NULL, 0), HFF_OK);
            check_png(0, 0);
        }
    assert_int_equal(figure_images(path, "two", pixels, 1, 2, 5, 5, NULL, 0), HFF_E_USAGE);
    assert_int_equal(figure_images(path, "none", pixels, 1, 1, 0, 5, NULL, 0), HFF_E_USAGE);
    assert_false(file_exists(path));
}

/* One image of 2 x 2 pixels, 56 x 56 pixels each in the PNG, at (28, 72). */
static void image_pixels(void **state)
{
    (void)state;
    static const float gray[] = {0, 1, -3, NAN}, color[] = {1, 0, 0, 0.5f, 0, 1, 0, 0.5f, 0, 0, 1, 2};
    static const uint32_t grays[] = {0x000000, 0xffffff, 0x000000, 0xe69f00},
                          colors[] = {0xff0000, 0x00ff00, 0x0000ff, 0x8080ff};
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(figure_images(path, "", turn ? color : gray, 1, turn ? 3 : 1, 2, 2, NULL, 0), HFF_OK);
        cairo_surface_t *image = cairo_image_surface_create_from_png(path);
        for (int i = 0; i < 4; i++) {
            int x = 28 + i % 2 * 56, y = 72 + i / 2 * 56;
            assert_int_equal(pixel(image, x, y), (turn ? colors : grays)[i]);
            assert_int_equal(pixel(image, x + 55, y + 55), (turn ? colors : grays)[i]);
        }
        cairo_surface_destroy(image);
        assert_int_equal(file_remove_tree(path), HFF_OK);
    }
}

static void bars(void **state)
{
    (void)state;
    static const char *const names[] = {"one", "two \xff", NULL,
                                        "a name that would take more than half of the whole width, uncut"};
    static const double cases[][4] = {
        {1, 2, 3, 4}, {0, 0, 0, 0}, {-1, 0, NAN, 5}, {-1, -2, -3, -INFINITY}, {1e-9, 1e300, 5, 12345}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int count = 0; count <= 4; count++) {
            assert_int_equal(figure_bars(path, "speed", names, cases[i], count, i % 2 ? "images/s" : NULL), HFF_OK);
            check_png(0, 2 * (38 + 26 * (count ? count : 1) + 14));
        }
}

/* The lengths of bars are as their values. */
static void bar_lengths(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    static const double values[] = {4, 1};
    assert_int_equal(figure_bars(path, "", names, values, 2, ""), HFF_OK);
    cairo_surface_t *image = open_png();
    int length[2] = {0};
    for (int row = 0; row < 2; row++)
        for (int x = 0; x < cairo_image_surface_get_width(image); x++)
            length[row] += pixel(image, x, 2 * (38 + 26 * row + 8)) == 0x0072b2;
    assert_in_range(length[0], 757, 761);
    assert_in_range(length[1], 187, 191);
    cairo_surface_destroy(image);
    check_png(0, 0);
}

/* No file under any name is left where a figure cannot be written. */
static void refused(void **state)
{
    (void)state;
    static const double value[] = {1};
    static const char *const names[] = {"x"};
    assert_int_equal(figure_bars("missing/figure.png", "t", names, value, 1, ""), HFF_E_IO);
    assert_non_null(strstr(trail_current()->message, "missing/figure.png"));
    struct arena arena = {0};
    float *pixels = arena_alloc(&arena, 20000 * sizeof *pixels);
    assert_int_equal(figure_images(path, "wide", pixels, 1, 1, 1, 20000, NULL, 0), HFF_OK);
    check_png(0, 0);
    assert_int_equal(figure_images(path, "high", pixels, 1000, 1, 20, 1, NULL, 0), HFF_OK);
    assert_int_equal(file_remove_tree(path), HFF_OK);
    static const double bars_most[20000];
    static const char *const no_names[20000];
    assert_int_equal(figure_bars(path, "many", no_names, bars_most, 20000, ""), HFF_E_USAGE);
    assert_false(file_exists(path));
    char **left;
    int count;
    assert_int_equal(file_list(&arena, ".", &left, &count), HFF_OK);
    assert_int_equal(count, 0);
    arena_free(&arena);
}

static void ticks(void **state)
{
    (void)state;
    static const struct {
        double low, high, step;
        const char *first;
    } cases[] = {
        {0, 20, 5, "0"},    {-0.02, 1.02, 0.2, "0.0"}, {34, 101, 20, "40"},     {0.001, 0.0035, 0.0005, "0.0010"},
        {0, 5e7, 1e7, "0"}, {-3, 3, 1, "-3"},          {0.9, 1.1, 0.05, "0.90"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct axis axis = axis_make(cases[i].low, cases[i].high, 6);
        char text[32];
        assert_float_equal(axis.step / cases[i].step, 1, 1e-6);
        axis_label(&axis, axis_first(&axis), text, sizeof text);
        assert_string_equal(text, cases[i].first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(curves),       cmocka_unit_test(curves_of_odd_numbers),
                                       cmocka_unit_test(confusion),    cmocka_unit_test(confusion_colors),
                                       cmocka_unit_test(matrix),       cmocka_unit_test(images),
                                       cmocka_unit_test(image_pixels), cmocka_unit_test(bars),
                                       cmocka_unit_test(bar_lengths),  cmocka_unit_test(refused),
                                       cmocka_unit_test(ticks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
