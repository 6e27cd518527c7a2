/* What data_open makes of any source: limits, hold-out, normalisation, defaults. */
#include "fixture.h"

#include <math.h>

#define DIGITS "digits: {train: 100, test: 30}"
enum { IMAGE = 28 * 28 };

static void digits_are_the_default(void **state)
{
    struct data *data = expect_open(*state, "limit: {train: 50, test: 20}, digits: {train: 60, test: 20}", 1);
    assert_int_equal(data->classes, 10);
    assert_int_equal(data->channels, 1);
    assert_int_equal(data->height, 28);
    assert_int_equal(data->split[SPLIT_TRAIN].count, 50);
    assert_int_equal(data->split[SPLIT_VAL].count, 0);
    assert_int_equal(data->split[SPLIT_TEST].count, 20);
    assert_string_equal(data->class_names[7], "7");
    data_close(data);
}

static void limits_keep_the_first(void **state)
{
    struct data *all = expect_open(*state, DIGITS, 1),
                *some = expect_open(*state, DIGITS ", limit: {train: 7, test: 3}", 1);
    assert_int_equal(some->split[SPLIT_TRAIN].count, 7);
    assert_int_equal(some->split[SPLIT_TEST].count, 3);
    assert_memory_equal(some->split[SPLIT_TRAIN].images, all->split[SPLIT_TRAIN].images, 7 * IMAGE);
    assert_memory_equal(some->split[SPLIT_TEST].labels, all->split[SPLIT_TEST].labels, 3 * sizeof(int32_t));
    data_close(all);
    data_close(some);
}

/* Whatever changes a split changes its checksum and nothing else does. */
static void checksums_tell_splits_apart(void **state)
{
    struct fixture *fixture = *state;
    static const char *const lines[] = {DIGITS, DIGITS ", shuffle: false, augment: [flip], normalize: [0.5, 0.5]",
                                        DIGITS ", limit: {train: 99}", DIGITS ", holdout: 0.25"};
    uint32_t train[4], test[4], val[4];
    for (int i = 0; i < 4; i++) {
        struct data *data = expect_open(fixture, lines[i], 1);
        train[i] = data->split[SPLIT_TRAIN].checksum;
        val[i] = data->split[SPLIT_VAL].checksum;
        test[i] = data->split[SPLIT_TEST].checksum;
        data_close(data);
    }
    assert_int_equal(train[1], train[0]);
    assert_int_not_equal(train[2], train[0]);
    assert_int_not_equal(train[3], train[0]);
    assert_int_not_equal(val[3], val[0]);
    for (int i = 1; i < 4; i++) assert_int_equal(test[i], test[0]);
    struct data *other = expect_open(fixture, DIGITS ", holdout: 0.25", 2);
    assert_int_not_equal(other->split[SPLIT_VAL].checksum, val[3]);
    data_close(other);
}

/* One pixel, or one label, is enough; how the file is packed and called is not. */
static void checksums_tell_files_apart(void **state)
{
    struct fixture *fixture = *state;
    unsigned char images[16 + 8 * 4] = {0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 2},
                                  labels[8 + 8] = {0, 0, 8, 1, 0, 0, 0, 8};
    uint32_t sum[3];
    for (int i = 0; i < 8; i++) labels[8 + i] = (unsigned char)(i % 3);
    for (int i = 0; i < 3; i++) {
        if (i == 1) images[40]++;
        if (i == 2) labels[9] = 2;
        fixture_write(fixture, "train-images-idx3-ubyte", images, sizeof images);
        fixture_write(fixture, "train-labels-idx1-ubyte", labels, sizeof labels);
        fixture_write(fixture, "t10k-images-idx3-ubyte", images, sizeof images);
        fixture_write(fixture, "t10k-labels-idx1-ubyte", labels, sizeof labels);
        struct data *data = expect_open(fixture, "source: idx, root: FOLDER", 1);
        sum[i] = data->split[SPLIT_TRAIN].checksum;
        assert_int_equal(data->split[SPLIT_TEST].checksum, sum[i]);
        data_close(data);
    }
    assert_int_not_equal(sum[0], sum[1]);
    assert_int_not_equal(sum[1], sum[2]);
}

/* The hold-out and the rest, each in order, are the whole set again; another seed chooses otherwise. */
static void hold_out_parts_the_training_set(void **state)
{
    struct data *all = expect_open(*state, DIGITS, 1), *parted = expect_open(*state, DIGITS ", holdout: 0.25", 1);
    struct data *other = expect_open(*state, DIGITS ", holdout: 0.25", 2);
    const struct dataset *whole = &all->split[SPLIT_TRAIN], *rest = &parted->split[SPLIT_TRAIN];
    const struct dataset *held = &parted->split[SPLIT_VAL];
    assert_int_equal(rest->count, 75);
    assert_int_equal(held->count, 25);
    int r = 0, h = 0;
    for (int i = 0; i < 100; i++) {
        const uint8_t *image = whole->images + i * IMAGE;
        if (r < 75 && memcmp(image, rest->images + r * IMAGE, IMAGE) == 0) {
            assert_int_equal(whole->labels[i], rest->labels[r++]);
        } else {
            assert_true(h < 25);
            assert_memory_equal(image, held->images + h * IMAGE, IMAGE);
            assert_int_equal(whole->labels[i], held->labels[h++]);
        }
    }
    assert_int_equal(h, 25);
    assert_memory_not_equal(held->images, other->split[SPLIT_VAL].images, 25 * IMAGE);
    assert_memory_equal(parted->split[SPLIT_TEST].images, all->split[SPLIT_TEST].images, 30 * IMAGE);
    data_close(all);
    data_close(parted);
    data_close(other);
    expect_failure(*state, DIGITS ", holdout: 0.001", HFF_E_CONFIG, "test.yaml:1:", "data.holdout", NULL);
}

/* Auto: two-pass mean and deviation of what is left for training. */
static void normalisation_is_measured_or_given(void **state)
{
    struct data *data = expect_open(*state, DIGITS ", holdout: 0.5", 3);
    double sum = 0, squares = 0, n = 50 * IMAGE;
    for (int i = 0; i < 50 * IMAGE; i++) sum += data->split[SPLIT_TRAIN].images[i] / 255.0;
    for (int i = 0; i < 50 * IMAGE; i++) squares += pow(data->split[SPLIT_TRAIN].images[i] / 255.0 - sum / n, 2);
    assert_true(fabs(data->mean[0] - sum / n) < 1e-12);
    assert_true(fabs(data->std[0] - sqrt(squares / n)) < 1e-12);
    data_close(data);
    data = expect_open(*state, DIGITS ", normalize: [0.25, 0.5]", 3);
    assert_true(data->mean[0] == 0.25 && data->std[0] == 0.5);
    data_close(data);
    expect_failure(*state, DIGITS ", normalize: [0.5]", HFF_E_CONFIG, "test.yaml:1:", "normalize", NULL);
    expect_failure(*state, DIGITS ", normalize: [0.1, 0.2, 0.3, 0.4]", HFF_E_CONFIG, "normalize", NULL);
    expect_failure(*state, DIGITS ", normalize: [0.5, 0]", HFF_E_CONFIG, "normalize", NULL);
}

/* Colour channels have their own figures, measured or given; a channel of one grey has deviation 1. */
static void channels_are_normalised_apart(void **state)
{
    static unsigned char record[3073];
    memset(record + 1, 100, 1024);
    for (int p = 0; p < 1024; p++) record[1025 + p] = p & 1 ? 255 : 0;
    memset(record + 2049, 51, 1024);
    const char *names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                           "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
    for (int i = 0; i < 6; i++) fixture_write(*state, names[i], record, sizeof record);
    struct data *data = expect_open(*state, "source: cifar10, root: FOLDER", 1);
    assert_true(data->mean[0] == 100 / 255.0 && data->std[0] == 1.0);
    assert_true(data->mean[1] == 0.5 && data->std[1] == 0.5);
    assert_true(data->mean[2] == 0.2 && data->std[2] == 1.0);
    data_close(data);
    data = expect_open(*state, "source: cifar10, root: FOLDER, normalize: [0.1, 0.2, 0.3, 1, 2, 3]", 1);
    assert_true(data->mean[1] == 0.2 && data->mean[2] == 0.3 && data->std[0] == 1 && data->std[2] == 3);
    data_close(data);
    data = expect_open(*state, "source: cifar10, root: FOLDER, normalize: [0.5, 0.25]", 1);
    assert_true(data->mean[2] == 0.5 && data->std[2] == 0.25);
    data_close(data);
    expect_failure(*state, "source: cifar10, root: FOLDER, normalize: [1, 2, 3, 4]", HFF_E_CONFIG, "3 means", NULL);
}

/* The list for people and the choices of the config name the same sources. */
static void every_source_is_a_choice(void **state)
{
    (void)state;
    char choices[256] = "";
    for (const struct data_source *source = data_sources; source->name; source++) {
        if (*choices) strcat(choices, "|");
        strcat(choices, source->name);
    }
    const struct config_row *row = data_rows;
    while (row->key && strcmp(row->key, "data.source") != 0) row++;
    assert_non_null(row->key);
    assert_string_equal(row->choices, choices);
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(digits_are_the_default),          TEST_HERE(limits_keep_the_first),
        TEST_HERE(hold_out_parts_the_training_set), TEST_HERE(normalisation_is_measured_or_given),
        TEST_HERE(channels_are_normalised_apart),   TEST_HERE(every_source_is_a_choice),
        TEST_HERE(checksums_tell_splits_apart),     TEST_HERE(checksums_tell_files_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
