/* CIFAR-10 and CIFAR-100 files, and their damages. */
#include "fixture.h"

enum { PIXELS = 3072, EACH = 2 };

static int pixel(int file, int record, int p)
{
    return (file * 83 + record * 17 + p * 7 + p / 256) & 255;
}

/* Records with the label (file + record) % classes behind extra bytes. */
static void put(struct fixture *fixture, const char *name, int file, int extra, int classes)
{
    static unsigned char bytes[EACH * (2 + PIXELS)];
    size_t size = 0;
    for (int r = 0; r < EACH; r++) {
        for (int e = 0; e < extra; e++) bytes[size++] = 19;
        bytes[size++] = (unsigned char)((file + r) % classes);
        for (int p = 0; p < PIXELS; p++) bytes[size++] = (unsigned char)pixel(file, r, p);
    }
    fixture_write(fixture, name, bytes, size);
}

static void put_ten(struct fixture *fixture)
{
    char name[32];
    for (int i = 0; i < 5; i++) {
        sprintf(name, "data_batch_%d.bin", i + 1);
        put(fixture, name, i, 0, 10);
    }
    put(fixture, "test_batch.bin", 9, 0, 10);
    const char *names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    fixture_write(fixture, "batches.meta.txt", names, strlen(names));
}

static void check_records(const struct dataset *set, int at, int file, int classes)
{
    for (int r = 0; r < EACH; r++) {
        assert_int_equal(set->labels[at + r], (file + r) % classes);
        for (int p = 0; p < PIXELS; p++) assert_int_equal(set->images[(at + r) * PIXELS + p], pixel(file, r, p));
    }
}

static void ten_classes_open(void **state)
{
    put_ten(*state);
    struct data *data = expect_open(*state, "source: cifar10, root: FOLDER", 1);
    assert_int_equal(data->classes, 10);
    assert_string_equal(data->class_names[0], "airplane");
    assert_string_equal(data->class_names[9], "truck");
    assert_int_equal(data->split[SPLIT_TRAIN].count, 5 * EACH);
    assert_int_equal(data->split[SPLIT_TEST].count, EACH);
    for (int i = 0; i < 5; i++) check_records(&data->split[SPLIT_TRAIN], i * EACH, i, 10);
    check_records(&data->split[SPLIT_TEST], 0, 9, 10);
    data_close(data);
}

static void hundred_classes_open_by_fine_label(void **state)
{
    put(*state, "train.bin", 98, 1, 100);
    put(*state, "test.bin", 50, 1, 100);
    struct data *data = expect_open(*state, "source: cifar100, root: FOLDER", 1);
    assert_int_equal(data->classes, 100);
    assert_string_equal(data->class_names[99], "99"); /* no names file */
    check_records(&data->split[SPLIT_TRAIN], 0, 98, 100);
    check_records(&data->split[SPLIT_TEST], 0, 50, 100);
    data_close(data);
    fixture_write(*state, "fine_label_names.txt", "apple\nbaby\n", 11);
    expect_failure(*state, "source: cifar100, root: FOLDER", HFF_E_DATA, "fine_label_names.txt", "2 class names", NULL);
}

#define LINE "source: cifar10, root: FOLDER"

static void damages_are_told(void **state)
{
    char path[256];
    static unsigned char bytes[2 * (1 + PIXELS)];
    expect_failure(*state, LINE, HFF_E_DATA, "data_batch_1.bin", "no such file", NULL);
    put_ten(*state);
    remove(fixture_path(*state, "data_batch_4.bin", path));
    expect_failure(*state, LINE, HFF_E_DATA, "data_batch_4.bin", "no such file", NULL);
    fixture_write(*state, "data_batch_4.bin", bytes, 0);
    expect_failure(*state, LINE, HFF_E_DATA, "data_batch_4.bin", "0 bytes", NULL);
    fixture_write(*state, "data_batch_4.bin", bytes, sizeof bytes - 1);
    expect_failure(*state, LINE, HFF_E_DATA, "data_batch_4.bin", "record 1 (offset 3073)", "cut short", NULL);
    bytes[1 + PIXELS] = 10;
    fixture_write(*state, "data_batch_4.bin", bytes, sizeof bytes);
    expect_failure(*state, LINE, HFF_E_DATA, "data_batch_4.bin", "record 1 (offset 3073)", "label 10", NULL);
    put_ten(*state);
    fixture_write(*state, "batches.meta.txt", "a\nb\n\x1b[31mc\n", 11);
    expect_failure(*state, LINE, HFF_E_DATA, "batches.meta.txt", "offset 4", "0x1b", NULL);
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(ten_classes_open),
        TEST_HERE(hundred_classes_open_by_fine_label),
        TEST_HERE(damages_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
