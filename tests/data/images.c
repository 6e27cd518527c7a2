/* Images from PNG and IDX files, and their damages. */
#include "fixture.h"

#include <cairo.h>

enum { WIDTH = 5, HEIGHT = 3, PLANE = WIDTH * HEIGHT };

/* A PNG of these colours (0xAARRGGBB, not premultiplied where alpha is 255 or 0). */
static void put_png(struct fixture *fixture, const char *name, cairo_format_t format, const uint32_t *colours)
{
    char path[256];
    cairo_surface_t *surface = cairo_image_surface_create(format, WIDTH, HEIGHT);
    unsigned char *rows = cairo_image_surface_get_data(surface);
    cairo_surface_flush(surface);
    for (int y = 0; y < HEIGHT; y++)
        memcpy(rows + y * cairo_image_surface_get_stride(surface), colours + y * WIDTH, WIDTH * sizeof *colours);
    cairo_surface_mark_dirty(surface);
    assert_int_equal(cairo_surface_write_to_png(surface, fixture_path(fixture, name, path)), CAIRO_STATUS_SUCCESS);
    cairo_surface_destroy(surface);
}

static void expect_bad(struct fixture *fixture, const char *name, const char *text)
{
    struct images images;
    char path[256];
    assert_int_equal(images_read(&images, fixture_path(fixture, name, path)), HFF_E_DATA);
    assert_null(images.pixels);
    if (!strstr(hff_error_message(), path) || !strstr(hff_error_message(), text))
        fail_msg("not \"%s\" and \"%s\" in \"%s\"", path, text, hff_error_message());
}

static void colours_come_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    struct images images;
    char path[256];
    uint32_t colours[PLANE], greys[PLANE];
    for (uint32_t i = 0; i < PLANE; i++) {
        colours[i] = 0xFF000000u | (i * 17) << 16 | (255 - i) << 8 | (i * i % 256);
        greys[i] = 0xFF000000u | (i * 16) * 0x010101u;
    }
    put_png(fixture, "rgb.png", CAIRO_FORMAT_RGB24, colours);
    assert_int_equal(images_read(&images, fixture_path(fixture, "rgb.png", path)), HFF_OK);
    assert_int_equal(images.count, 1);
    assert_int_equal(images.channels, 3);
    assert_int_equal(images.height, HEIGHT);
    assert_int_equal(images.width, WIDTH);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < PLANE; i++)
            assert_int_equal(images.pixels[c * PLANE + i], colours[i] >> (16 - 8 * c) & 255);
    images_free(&images);

    put_png(fixture, "grey.png", CAIRO_FORMAT_RGB24, greys);
    assert_int_equal(images_read(&images, fixture_path(fixture, "grey.png", path)), HFF_OK);
    assert_int_equal(images.channels, 1);
    for (int i = 0; i < PLANE; i++) assert_int_equal(images.pixels[i], 16 * i);
    images_free(&images);

    for (int i = 0; i < PLANE; i += 2) greys[i] = 0; /* transparent: black */
    put_png(fixture, "clear.png", CAIRO_FORMAT_ARGB32, greys);
    assert_int_equal(images_read(&images, fixture_path(fixture, "clear.png", path)), HFF_OK);
    for (int i = 0; i < PLANE; i++) assert_int_equal(images.pixels[i], i % 2 ? 16 * i : 0);
    images_free(&images);
}

/* Cut off at every byte, a flipped byte in every chunk, sizes that nobody should allocate for. */
static void damaged_png_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    uint32_t colours[PLANE];
    for (uint32_t i = 0; i < PLANE; i++) colours[i] = 0xFF000000u | i * 0x070B0Du;
    put_png(fixture, "a.png", CAIRO_FORMAT_RGB24, colours);
    unsigned char *bytes;
    size_t size;
    assert_int_equal(file_read(fixture_path(fixture, "a.png", path), 1 << 20, &bytes, &size), HFF_OK);
    for (size_t cut = 8; cut < size - 12; cut++) { /* without the empty last chunk it is whole */
        fixture_write(fixture, "cut.png", bytes, cut);
        expect_bad(fixture, "cut.png", "");
    }
    static const struct {
        size_t at;
        unsigned char value;
    } rows[] = {{16, 0x7f}, {20, 0x7f}, {18, 0x40}, {19, 0}, {24, 3}, {25, 9}, {28, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char before = bytes[rows[i].at];
        bytes[rows[i].at] = rows[i].value;
        fixture_write(fixture, "bad.png", bytes, size);
        expect_bad(fixture, "bad.png", "");
        bytes[rows[i].at] = before;
    }
    free(bytes);
}

static void idx_files_give_all_their_images(void **state)
{
    struct fixture *fixture = *state;
    struct images images;
    char path[256];
    unsigned char bytes[20 + 2 * 3 * PLANE] = {0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, HEIGHT, 0, 0, 0, WIDTH};
    for (int i = 0; i < 2 * 3 * PLANE; i++) bytes[20 + i] = (unsigned char)(i + 1);
    fixture_write(fixture, "colour-idx4", bytes, sizeof bytes);
    assert_int_equal(images_read(&images, fixture_path(fixture, "colour-idx4", path)), HFF_OK);
    assert_int_equal(images.count, 2);
    assert_int_equal(images.channels, 3);
    assert_int_equal(images.height, HEIGHT);
    assert_int_equal(images.width, WIDTH);
    assert_memory_equal(images.pixels, bytes + 20, 2 * 3 * PLANE);
    images_free(&images);
    fixture_write(fixture, "cut-idx4", bytes, sizeof bytes - 1);
    expect_bad(fixture, "cut-idx4", "truncated");
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 3};
    fixture_write(fixture, "labels-idx1", labels, sizeof labels);
    expect_bad(fixture, "labels-idx1", "1 dimensions");
}

static void other_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_write(fixture, "a.txt", "hello, world", 12);
    expect_bad(fixture, "a.txt", "neither");
    fixture_write(fixture, "empty.png", "", 0);
    expect_bad(fixture, "empty.png", "neither");
    struct images images;
    char path[256];
    assert_int_equal(images_read(&images, fixture_path(fixture, "nothing.png", path)), HFF_E_IO);
    assert_true(images_named("a.png") && images_named("A.PNG") && images_named("t10k-images-idx3-ubyte.gz"));
    assert_false(images_named("png") || images_named("a.jpg") || images_named(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(colours_come_as_they_are, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(damaged_png_files_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(idx_files_give_all_their_images, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(other_files_are_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
