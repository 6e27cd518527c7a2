/* The loader: what is in a batch, whoever filled it; going on in the middle; the end of an evaluation; errors; closing.
 * */
#include "fixture.h"

#include "backend/augment.h"
#include "base/philox.h"

#include <dirent.h>

#define DIGITS "digits: {train: 103, test: 30}"
#define ALL ", augment: [crop: {pad: 3}, flip, shift: {max: 1}, cutout: {size: 5}, mixup: {alpha: 0.4}]"
enum { BATCH = 10, IMAGE = 28 * 28 };

static struct loader *open_loader(const struct data *data, const struct config_node *node, enum split split,
                                  int workers, int training, int64_t epoch, int64_t batch)
{
    struct loader_options options = {.data = data,
                                     .split = split,
                                     .batch = BATCH,
                                     .workers = workers,
                                     .training = training,
                                     .seed = 77,
                                     .data_node = node};
    struct loader *loader;
    if (loader_open(&loader, &options, epoch, batch) != HFF_OK) fail_msg("%s", hff_error_message());
    return loader;
}

static const struct batch *next(struct loader *loader)
{
    const struct batch *batch;
    if (loader_next(loader, &batch) != HFF_OK) fail_msg("%s", hff_error_message());
    return batch;
}

static void expect_equal(const struct batch *a, const struct batch *b)
{
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->real, b->real);
    assert_memory_equal(a->images, b->images, BATCH * IMAGE * sizeof(float));
    assert_memory_equal(a->y1, b->y1, BATCH * sizeof(int32_t));
    assert_memory_equal(a->y2, b->y2, BATCH * sizeof(int32_t));
    assert_memory_equal(a->weight, b->weight, BATCH * sizeof(float));
}

static void workers_change_nothing(void **state)
{
    struct data *data = expect_open(*state, DIGITS ALL, 1);
    const struct config_node *node = fixture_config(*state, DIGITS ALL);
    struct loader *one = open_loader(data, node, SPLIT_TRAIN, 1, 1, 0, 0);
    struct loader *four = open_loader(data, node, SPLIT_TRAIN, 4, 1, 0, 0);
    assert_int_equal(loader_batches(data, SPLIT_TRAIN, BATCH, 1), 10);
    for (int i = 0; i < 25; i++) expect_equal(next(one), next(four)); /* two epochs and a half */
    loader_close(one);
    loader_close(four);
    data_close(data);
}

/* Batches without images, and the recipe, are the batches with them. */
static void recipes_make_the_same(void **state)
{
    static const char *const lines[] = {DIGITS, DIGITS ALL};
    for (int i = 0; i < 2; i++) {
        struct data *data = expect_open(*state, lines[i], 1);
        const struct config_node *node = fixture_config(*state, lines[i]);
        struct loader_options options = {.data = data,
                                         .split = SPLIT_TRAIN,
                                         .batch = BATCH,
                                         .workers = 3,
                                         .training = 1,
                                         .recipes = 1,
                                         .seed = 77,
                                         .data_node = node};
        struct loader *whole = open_loader(data, node, SPLIT_TRAIN, 1, 1, 0, 0), *bare;
        struct recipe recipe;
        if (loader_open(&bare, &options, 0, 0) != HFF_OK) fail_msg("%s", hff_error_message());
        assert_int_equal(data_recipe(&recipe, data, node, 77), HFF_OK);
        assert_int_equal(recipe.mixes, i);
        struct op_desc desc = {.kind = OP_AUGMENT, .attr.augment = recipe.rule};
        desc.arg[0] = tensor_make4(DTYPE_U8, 103, 1, 28, 28);
        if (recipe.mixes) desc.arg[3] = tensor_make1(DTYPE_I32, BATCH);
        void *scratch = malloc(augment_scratch(&desc));
        for (int k = 0; k < 25; k++) { /* two epochs and a half */
            const struct batch *want = next(whole), *batch = next(bare);
            float images[BATCH * IMAGE];
            struct batch made = *batch;
            assert_null(batch->images);
            int64_t epoch = batch->epoch;
            void *const args[] = {(void *)recipe.set->images,
                                  recipe.table,
                                  (void *)batch->samples,
                                  batch->partners,
                                  batch->weight,
                                  &epoch};
            for (int b = 0; b < BATCH; b++) augment_row(&desc, args, b, scratch, images + b * IMAGE);
            made.images = images;
            expect_equal(want, &made);
        }
        free(scratch);
        loader_close(whole);
        loader_close(bare);
        data_close(data);
    }
}

static void going_on_in_the_middle_is_equal(void **state)
{
    struct data *data = expect_open(*state, DIGITS ALL, 1);
    const struct config_node *node = fixture_config(*state, DIGITS ALL);
    static const int starts[][2] = {{0, 7}, {1, 3}, {0, 10}, {2, 0}};
    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        struct loader *whole = open_loader(data, node, SPLIT_TRAIN, 2, 1, 0, 0);
        struct loader *late = open_loader(data, node, SPLIT_TRAIN, 3, 1, starts[k][0], starts[k][1]);
        for (int i = 0; i < starts[k][0] * 10 + starts[k][1]; i++) next(whole);
        for (int i = 0; i < 12; i++) expect_equal(next(whole), next(late));
        loader_close(whole);
        loader_close(late);
    }
    data_close(data);
}

/* Samples that can be told apart: sample i is of class i. */
enum { COUNT = 43 };
static struct data numbered(uint8_t *images, int32_t *labels)
{
    for (int i = 0; i < COUNT; i++) {
        labels[i] = i;
        images[i] = (uint8_t)(3 * i);
    }
    return (struct data){.name = "numbered",
                         .classes = COUNT,
                         .channels = 1,
                         .height = 1,
                         .width = 1,
                         .std = {1.0 / 255},
                         .split = {[SPLIT_TRAIN] = {COUNT, 1, 1, 1, images, labels}}};
}

static void epochs_follow_their_permutation(void **state)
{
    uint8_t images[COUNT];
    int32_t labels[COUNT];
    struct data data = numbered(images, labels);
    struct loader *loader = open_loader(&data, fixture_config(*state, ""), SPLIT_TRAIN, 3, 1, 0, 0);
    struct loader *in_order = open_loader(&data, fixture_config(*state, "shuffle: false"), SPLIT_TRAIN, 3, 1, 0, 0);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        struct rng rng;
        uint32_t order[COUNT];
        rng_open(&rng, 77, RNG_SHUFFLE, epoch, 0);
        rng_permutation(&rng, order, COUNT);
        for (int i = 0; i < COUNT / BATCH; i++) {
            const struct batch *batch = next(loader), *plain = next(in_order);
            assert_int_equal(batch->real, BATCH);
            for (int b = 0; b < BATCH; b++) {
                assert_int_equal(batch->y1[b], order[i * BATCH + b]);
                assert_int_equal(batch->y2[b], batch->y1[b]);
                assert_true(batch->weight[b] == 1.0f);
                assert_true((int)(batch->images[b] + 0.5f) == 3 * batch->y1[b]);
                assert_int_equal(plain->y1[b], i * BATCH + b);
            }
        }
    }
    loader_close(loader);
    loader_close(in_order);
}

/* Mixup blends the batch that there would be without it. */
static void mixup_blends_two_of_the_batch(void **state)
{
    struct data *data = expect_open(*state, DIGITS, 1);
    struct loader *plain = open_loader(data, fixture_config(*state, "augment: [flip]"), SPLIT_TRAIN, 1, 1, 0, 0);
    struct fixture other = {{0}, NULL};
    const struct config_node *node = fixture_config(&other, "augment: [flip, mixup: {alpha: 0.5}]");
    struct loader *mixed = open_loader(data, node, SPLIT_TRAIN, 2, 1, 0, 0);
    int mixed_labels = 0;
    for (uint64_t step = 0; step < 15; step++) {
        const struct batch *a = next(plain), *m = next(mixed);
        struct rng rng;
        uint32_t partner[BATCH];
        rng_open(&rng, 77, RNG_MIXUP, step, 0);
        rng_permutation(&rng, partner, BATCH);
        for (int b = 0; b < BATCH; b++) {
            float w = (float)rng_beta(&rng, 0.5);
            assert_true(m->weight[b] == w && w >= 0 && w <= 1);
            assert_int_equal(m->y1[b], a->y1[b]);
            assert_int_equal(m->y2[b], a->y1[partner[b]]);
            mixed_labels += m->y1[b] != m->y2[b];
            for (int p = 0; p < IMAGE; p++) {
                float want = w * a->images[b * IMAGE + p] + (1.0f - w) * a->images[(int)partner[b] * IMAGE + p];
                assert_true(m->images[b * IMAGE + p] - want < 1e-5f && want - m->images[b * IMAGE + p] < 1e-5f);
            }
        }
    }
    assert_true(mixed_labels > 75);
    loader_close(plain);
    loader_close(mixed);
    config_free(other.config);
    data_close(data);
}

static void evaluation_ends_and_pads(void **state)
{
    struct data *data = expect_open(*state, "digits: {train: 20, test: 24}" ALL ", normalize: [0.5, 0.5]", 1);
    const struct dataset *test = &data->split[SPLIT_TEST];
    for (int first = 0; first < 4; first++) {
        struct loader *loader = open_loader(data, NULL, SPLIT_TEST, 3, 0, 0, first);
        const struct batch *batch;
        int at = first;
        for (; (batch = next(loader)); at++) {
            assert_int_equal(batch->size, BATCH);
            assert_int_equal(batch->real, at < 2 ? BATCH : 4);
            for (int b = 0; b < BATCH; b++) {
                int real = at * BATCH + b < 24, sample = real ? at * BATCH + b : 0;
                assert_true(batch->weight[b] == (real ? 1.0f : 0.0f));
                assert_int_equal(batch->y1[b], real ? test->labels[sample] : 0);
                assert_int_equal(batch->y2[b], batch->y1[b]);
                for (int p = 0; p < IMAGE; p++) {
                    float want = real ? (float)((test->images[sample * IMAGE + p] / 255.0 - 0.5) / 0.5) : 0.0f;
                    assert_true(batch->images[b * IMAGE + p] == want);
                }
            }
        }
        assert_int_equal(at, 3);
        assert_null(next(loader)); /* and stays at its end */
        loader_close(loader);
    }
    assert_int_equal(loader_batches(data, SPLIT_TEST, BATCH, 0), 3);
    struct loader *none = open_loader(data, NULL, SPLIT_VAL, 2, 0, 0, 0);
    assert_null(next(none));
    loader_close(none);
    data_close(data);
}

static void error_of_a_worker_arrives_with_its_trail(void **state)
{
    uint8_t images[COUNT];
    int32_t labels[COUNT];
    struct data data = numbered(images, labels);
    labels[25] = COUNT;
    struct loader *loader = open_loader(&data, fixture_config(*state, "shuffle: false"), SPLIT_TRAIN, 3, 1, 0, 0);
    next(loader);
    next(loader);
    for (int again = 0; again < 2; again++) {
        const struct batch *batch = (const struct batch *)&data;
        assert_int_equal(loader_next(loader, &batch), HFF_E_DATA);
        assert_null(batch);
        assert_non_null(strstr(hff_error_message(), "sample 25: label 43"));
        assert_int_equal(trail_current()->count, 1);
        assert_string_equal(trail_current()->line[0], "loading batch 3 of epoch 1");
        fail(HFF_E_INTERNAL, "another error in between");
    }
    loader_close(loader);
}

static void batch_above_the_set_is_refused(void **state)
{
    uint8_t images[COUNT];
    int32_t labels[COUNT];
    struct data data = numbered(images, labels);
    data.split[SPLIT_TRAIN].count = BATCH - 1;
    struct loader_options options = {.data = &data,
                                     .split = SPLIT_TRAIN,
                                     .batch = BATCH,
                                     .workers = 1,
                                     .training = 1,
                                     .data_node = fixture_config(*state, "")};
    struct loader *loader;
    assert_int_equal(loader_open(&loader, &options, 0, 0), HFF_E_CONFIG);
    assert_null(loader);
    assert_non_null(strstr(hff_error_message(), "run.batch"));
}

static int threads_now(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* A joined thread may still be listed for a moment. */
static void closing_leaves_no_thread(void **state)
{
    int before = threads_now();
    struct data *data = expect_open(*state, DIGITS ALL, 1);
    const struct config_node *node = fixture_config(*state, DIGITS ALL);
    for (int taken = 0; taken < 30; taken++) {
        struct loader *loader = open_loader(data, node, SPLIT_TRAIN, 1 + taken % 5, 1, 0, 0);
        for (int i = 0; i < taken; i++) next(loader);
        loader_close(loader);
    }
    loader_close(NULL);
    data_close(data);
    for (int i = 0; i < 2000 && threads_now() != before; i++) usleep(1000);
    assert_int_equal(threads_now(), before);
}

#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HERE(workers_change_nothing),
        TEST_HERE(recipes_make_the_same),
        TEST_HERE(going_on_in_the_middle_is_equal),
        TEST_HERE(epochs_follow_their_permutation),
        TEST_HERE(mixup_blends_two_of_the_batch),
        TEST_HERE(evaluation_ends_and_pads),
        TEST_HERE(error_of_a_worker_arrives_with_its_trail),
        TEST_HERE(batch_above_the_set_is_refused),
        TEST_HERE(closing_leaves_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
