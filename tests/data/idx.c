/* IDX files: every spelling of their names, plain and packed, 3 and 4 dimensions, and every kind of damage. */
#include "fixture.h"

#include "data/idx.h"

#include <zlib.h>

enum { TRAIN = 6, TEST = 3, HEIGHT = 4, WIDTH = 5, IMAGE = HEIGHT * WIDTH };

struct bytes {
    unsigned char data[4096];
    size_t size;
};

static void put32(struct bytes *to, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) to->data[to->size++] = (unsigned char)(value >> shift);
}

static int pixel(int test, int n)
{
    return (n * 37 + test * 11 + 5) & 255;
}

static struct bytes image_file(int test, int count, int channels)
{
    struct bytes file = {.size = 0};
    put32(&file, channels ? 0x804 : 0x803);
    put32(&file, (uint32_t)count);
    if (channels) put32(&file, (uint32_t)channels);
    put32(&file, HEIGHT);
    put32(&file, WIDTH);
    for (int i = 0; i < count * (channels ? channels : 1) * IMAGE; i++)
        file.data[file.size++] = (unsigned char)pixel(test, i);
    return file;
}

static struct bytes label_file(int count)
{
    struct bytes file = {.size = 0};
    put32(&file, 0x801);
    put32(&file, (uint32_t)count);
    for (int i = 0; i < count; i++) file.data[file.size++] = (unsigned char)(i % 3);
    return file;
}

static struct bytes packed(const struct bytes *plain)
{
    struct bytes file = {.size = 0};
    z_stream zip = {0};
    assert_int_equal(deflateInit2(&zip, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    zip.next_in = (unsigned char *)plain->data;
    zip.avail_in = (uInt)plain->size;
    zip.next_out = file.data;
    zip.avail_out = sizeof file.data;
    assert_int_equal(deflate(&zip, Z_FINISH), Z_STREAM_END);
    file.size = zip.total_out;
    deflateEnd(&zip);
    return file;
}

static void put(struct fixture *fixture, const char *name, struct bytes file)
{
    fixture_write(fixture, name, file.data, file.size);
}

static void put_good(struct fixture *fixture)
{
    put(fixture, "train-images-idx3-ubyte", image_file(0, TRAIN, 0));
    put(fixture, "train-labels-idx1-ubyte", label_file(TRAIN));
    put(fixture, "t10k-images-idx3-ubyte", image_file(1, TEST, 0));
    put(fixture, "t10k-labels-idx1-ubyte", label_file(TEST));
}

static void check(struct fixture *fixture, int channels)
{
    struct data *data = expect_open(fixture, "source: idx, root: FOLDER", 1);
    assert_int_equal(data->classes, 3);
    assert_string_equal(data->class_names[2], "2");
    assert_int_equal(data->channels, channels);
    assert_int_equal(data->height, HEIGHT);
    assert_int_equal(data->width, WIDTH);
    const int counts[] = {TRAIN, 0, TEST};
    for (int s = 0; s < 3; s++) {
        const struct dataset *set = &data->split[s];
        assert_int_equal(set->count, counts[s]);
        for (int i = 0; i < counts[s] * channels * IMAGE; i++)
            assert_int_equal(set->images[i], pixel(s == SPLIT_TEST, i));
        for (int i = 0; i < counts[s]; i++) assert_int_equal(set->labels[i], i % 3);
    }
    data_close(data);
}

static void plain_files_open(void **state)
{
    put_good(*state);
    check(*state, 1);
}

static void packed_and_dotted_files_open(void **state)
{
    struct bytes images = image_file(0, TRAIN, 0), labels = label_file(TEST);
    put(*state, "train-images-idx3-ubyte.gz", packed(&images));
    put(*state, "train-labels.idx1-ubyte", label_file(TRAIN));
    put(*state, "t10k-images.idx3-ubyte", image_file(1, TEST, 0));
    put(*state, "t10k-labels.idx1-ubyte.gz", packed(&labels));
    check(*state, 1);
}

static void colour_files_open(void **state)
{
    put_good(*state);
    char path[256];
    remove(fixture_path(*state, "train-images-idx3-ubyte", path));
    remove(fixture_path(*state, "t10k-images-idx3-ubyte", path));
    put(*state, "train-images-idx4-ubyte", image_file(0, TRAIN, 3));
    put(*state, "t10k-images-idx4-ubyte", image_file(1, TEST, 3));
    check(*state, 3);
}

#define LINE "source: idx, root: FOLDER"
#define IMAGES "train-images-idx3-ubyte"
#define LABELS "train-labels-idx1-ubyte"

static void missing_is_told(void **state)
{
    expect_failure(*state, "source: idx, root: FOLDER/none", HFF_E_DATA, "/none", "no such folder", "data.root", NULL);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, NULL);
    put_good(*state);
    char path[256];
    remove(fixture_path(*state, "t10k-labels-idx1-ubyte", path));
    expect_failure(*state, LINE, HFF_E_DATA, "t10k-labels-idx1-ubyte", NULL);
}

static void wrong_headers_are_told(void **state)
{
    static const struct {
        int at, value;
        const char *text;
    } rows[] = {
        {0, 1, "offset 0"},
        {2, 0x0d, "offset 0"},
        {3, 0, "offset 0"},
        {3, 5, "offset 0"},
        {3, 1, "bytes after"},
        {7, 0, "dimension 1 is 0"},
        {7, TRAIN + 1, "truncated"},
        {7, TRAIN - 1, "bytes after the last value, at offset 116"},
        {4, 255, "its header asks for"},
        {15, 0, "offset 12: dimension 3 is 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_good(*state);
        struct bytes file = image_file(0, TRAIN, 0);
        file.data[rows[i].at] = (unsigned char)rows[i].value;
        put(*state, IMAGES, file);
        expect_failure(*state, LINE, HFF_E_DATA, IMAGES, rows[i].text, NULL);
    }
}

static void sizes_that_overflow_are_told(void **state)
{
    put_good(*state);
    struct bytes file = {.size = 0};
    put32(&file, 0x804);
    for (int d = 0; d < 4; d++) put32(&file, 0xffffffff);
    put(*state, IMAGES, file);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "overflows", NULL);
    struct bytes zip = packed(&file);
    put(*state, IMAGES, zip);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "overflows", NULL);
    file.size = 0;
    put32(&file, 0x803);
    for (int d = 0; d < 3; d++) put32(&file, 1 << 14);
    zip = packed(&file);
    put(*state, IMAGES, zip);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "its header asks for", NULL);
}

/* However much is cut off a file, plain or packed, it is an error and names the file. */
static void truncation_is_told(void **state)
{
    put_good(*state);
    struct bytes whole = image_file(0, TRAIN, 0), zip = packed(&whole);
    for (int pack = 0; pack < 2; pack++) {
        struct bytes file = pack ? zip : whole;
        for (size_t size = 0; size < file.size; size++) {
            fixture_write(*state, IMAGES, file.data, size);
            expect_failure(*state, LINE, HFF_E_DATA, IMAGES, NULL);
        }
    }
}

static void damaged_gzip_is_told(void **state)
{
    put_good(*state);
    struct bytes whole = image_file(0, TRAIN, 0), zip = packed(&whole);
    zip.data[zip.size - 6] ^= 1; /* checksum */
    put(*state, IMAGES, zip);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "damaged", "offset", NULL);
    zip.data[zip.size - 6] ^= 1;
    zip.data[zip.size++] = 'x';
    put(*state, IMAGES, zip);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "bytes after the last value", NULL);
    whole.data[whole.size++] = 7;
    zip = packed(&whole);
    put(*state, IMAGES, zip);
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "bytes after the last value", "unpacked", NULL);
}

static void sets_that_do_not_fit_are_told(void **state)
{
    put_good(*state);
    put(*state, LABELS, label_file(TRAIN - 1));
    expect_failure(*state, LINE, HFF_E_DATA, LABELS, "5 labels", "6 images", NULL);
    put(*state, LABELS, image_file(0, TRAIN, 0));
    expect_failure(*state, LINE, HFF_E_DATA, LABELS, "3 dimensions", NULL);
    put(*state, LABELS, label_file(TRAIN));
    put(*state, IMAGES, label_file(TRAIN));
    expect_failure(*state, LINE, HFF_E_DATA, IMAGES, "1 dimensions", NULL);
    put(*state, IMAGES, image_file(0, TRAIN, 0));
    struct bytes labels = label_file(TEST);
    labels.data[9] = 9;
    put(*state, "t10k-labels-idx1-ubyte", labels);
    expect_failure(*state, LINE, HFF_E_DATA, "test label 1", "offset 9", "is 9", NULL);
    put(*state, "t10k-labels-idx1-ubyte", label_file(TEST));
    struct bytes images = image_file(1, TEST, 0);
    images.data[11] = WIDTH;
    images.data[15] = HEIGHT;
    put(*state, "t10k-images-idx3-ubyte", images);
    expect_failure(*state, LINE, HFF_E_DATA, "training images are 1 x 4 x 5", "test images are 1 x 5 x 4", NULL);
    put_good(*state);
    labels = label_file(TRAIN);
    memset(labels.data + 8, 0, TRAIN);
    put(*state, LABELS, labels);
    expect_failure(*state, LINE, HFF_E_DATA, "every training label is 0", NULL);
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(plain_files_open),
        TEST_HERE(packed_and_dotted_files_open),
        TEST_HERE(colour_files_open),
        TEST_HERE(missing_is_told),
        TEST_HERE(wrong_headers_are_told),
        TEST_HERE(sizes_that_overflow_are_told),
        TEST_HERE(truncation_is_told),
        TEST_HERE(damaged_gzip_is_told),
        TEST_HERE(sets_that_do_not_fit_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
