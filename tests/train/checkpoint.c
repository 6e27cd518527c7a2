/* Checkpoints: what is written comes back byte for byte, which ones stay, and what is refused. */
#include "train/model.h"

#include "support/small_net.h"

#include "base/file.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

/* cmocka's assert_float_equal compares as float. */
#define assert_near(a, b, tolerance)                                                                                   \
    do {                                                                                                               \
        double a_ = (a), b_ = (b);                                                                                     \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s is %.17g, not %.17g", #a, a_, b_);                           \
    } while (0)

static const char text[] = "run: {batch: 20, slices: 4, seed: 5, keep: 2, backend: cpu}\n"
                           "data: {source: digits, digits: {train: 100, test: 20}, holdout: 0.2}\n"
                           "net: {stages: [{conv: {channels: 6, pool: {max: 4}}}, {linear: {units: 10}}]}\n"
                           "objective: {learn_scale: true}\n";

struct run {
    struct setup setup;
    struct rules rules;
    struct arena arena;
    char folder[32];
};

static void open_setup(struct setup *setup, const char *set)
{
    memset(setup, 0, sizeof *setup);
    SMALL_OK(config_parse(&setup->config, config_tables, "test", text, &set, set ? 1 : 0));
    SMALL_OK(setup_options(setup));
    SMALL_OK(setup_open(setup, 1));
    SMALL_OK(engine_bind(setup->engine));
    SMALL_OK(engine_init(setup->engine, setup->run.seed));
}

static int open_run(void **state)
{
    struct run *run = calloc(1, sizeof *run);
    open_setup(&run->setup, NULL);
    rules_open(&run->rules, 2, 0);
    strcpy(run->folder, "checkpoint-");
    memset(run->folder + strlen(run->folder), 'X', 6); /* what mkdtemp replaces */
    *state = run;
    return mkdtemp(run->folder) ? 0 : -1;
}

static int close_run(void **state)
{
    struct run *run = *state;
    int removed = file_remove_tree(run->folder) == HFF_OK;
    rules_close(&run->rules);
    setup_close(&run->setup);
    arena_free(&run->arena);
    free(run);
    return removed ? 0 : -1;
}

static void train(struct setup *setup, int steps)
{
    struct loader *loader;
    struct loader_options options = {.data = setup->data, .split = SPLIT_TRAIN, .batch = 20, .training = 1};
    options.workers = 1;
    options.seed = setup->run.seed;
    options.data_node = config_at(config_root(setup->config), "data");
    SMALL_OK(loader_open(&loader, &options, 0, 0));
    for (int i = 0; i < steps; i++) {
        const struct batch *batch;
        SMALL_OK(loader_next(loader, &batch));
        SMALL_OK(engine_step(setup->engine, batch));
    }
    loader_close(loader);
}

/* Every kept tensor in one block. */
static unsigned char *bytes_of(struct engine *engine, int moments, size_t *size)
{
    int count = engine_kept(engine, moments, NULL);
    struct kept *kept = calloc((size_t)count + 1, sizeof *kept);
    engine_kept(engine, moments, kept);
    *size = 0;
    for (int i = 0; i < count; i++) *size += tensor_bytes(&kept[i].tensor);
    unsigned char *all = malloc(*size + 1), *at = all;
    for (int i = 0; i < count; i++) {
        SMALL_OK(engine_read(engine, &kept[i], at));
        at += tensor_bytes(&kept[i].tensor);
    }
    free(kept);
    return all;
}

static void assert_same_tensors(struct engine *a, struct engine *b, int same)
{
    for (int moments = 0; moments < 2; moments++) {
        size_t n, m;
        unsigned char *x = bytes_of(a, moments, &n), *y = bytes_of(b, moments, &m);
        assert_int_equal(n, m);
        assert_int_equal(memcmp(x, y, n) == 0, same);
        free(x);
        free(y);
    }
}

static hff_status write_step(struct run *run, int64_t step, int64_t best)
{
    struct progress_marks marks = {.step = step, .best_step = best, .best_accuracy = best < 0 ? -1 : 0.5};
    return checkpoint_write(&run->setup, &run->rules, run->folder, &marks);
}

/* "step-1 step-2 ": the names in checkpoints/, by number. */
static const char *names_in(struct run *run)
{
    char **names, *all = arena_text(&run->arena, "");
    int count;
    SMALL_OK(file_list(&run->arena, file_join(&run->arena, run->folder, "checkpoints"), &names, &count));
    for (int i = 0; i < count; i++) all = arena_printf(&run->arena, "%s%s ", all, names[i]);
    return all;
}

static void what_is_written_comes_back(void **state)
{
    struct run *run = *state;
    struct progress_marks marks = {.step = 3,
                                   .seconds = 1.25,
                                   .log_bytes = (int64_t)1 << 40,
                                   .best_accuracy = 0.1 + 0.2,
                                   .best_step = 2},
                          read = {0};
    run->rules.known[RULE_WEIGHTED] = run->rules.known[RULE_BEST] = 1;
    run->rules.weight[RULE_WEIGHTED][0] = 1.0 / 3;
    run->rules.weight[RULE_WEIGHTED][1] = 5e-324;
    run->rules.weight[RULE_BEST][1] = 1;
    train(&run->setup, 3);
    SMALL_OK(checkpoint_write(&run->setup, &run->rules, run->folder, &marks));
    struct setup other;
    struct rules rules;
    char *folder;
    int64_t step;
    open_setup(&other, NULL);
    rules_open(&rules, 2, 0);
    assert_same_tensors(run->setup.engine, other.engine, 0);
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    assert_int_equal(step, 3);
    SMALL_OK(checkpoint_read(&other, &rules, folder, &read));
    assert_same_tensors(run->setup.engine, other.engine, 1);
    assert_int_equal(read.step, marks.step);
    assert_int_equal(read.log_bytes, marks.log_bytes);
    assert_int_equal(read.best_step, marks.best_step);
    assert_near(read.best_accuracy, marks.best_accuracy, 0);
    assert_near(read.seconds, marks.seconds, 0);
    for (int r = 0; r < RULES; r++) {
        assert_int_equal(rules.known[r], 1);
        assert_memory_equal(rules.weight[r], run->rules.weight[r], 2 * sizeof(double));
    }
    for (int i = 0; i < 2; i++) assert_int_equal(other.engine->stage[i].step, 3);
    train(&run->setup, 2); /* and what follows is the same too */
    train(&other, 2);
    assert_same_tensors(run->setup.engine, other.engine, 1);
    rules_close(&rules);
    setup_close(&other);
}

static void the_newest_and_the_best_stay(void **state)
{
    struct run *run = *state;
    static const struct {
        int64_t step, best;
        const char *names;
    } rows[] = {
        {9, -1, "step-9 "},
        {10, 10, "step-10 step-9 "},
        {11, 10, "step-10 step-11 "},
        {12, 10, "step-10 step-11 step-12 "},
        {100, 10, "step-10 step-100 step-12 "},
        {101, 101, "step-100 step-101 "},
        {101, 101, "step-100 step-101 "}, /* written already */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SMALL_OK(write_step(run, rows[i].step, rows[i].best));
        assert_string_equal(names_in(run), rows[i].names);
    }
    int64_t step;
    char *folder;
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    assert_int_equal(step, 101);
}

/* keep 1; what a killed run left goes, what is not ours stays, and neither is ever taken for a checkpoint. */
static void leftovers_go_and_strangers_stay(void **state)
{
    struct run *run = *state;
    run->setup.run.keep = 1;
    static const char *const made[] = {"tmp-7-123", "tmp-old-step-3", "step-", "step-12a", "notes", "step--4"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char *folder = arena_printf(&run->arena, "%s/checkpoints/%s", run->folder, made[i]);
        SMALL_OK(file_make_folders(folder));
        SMALL_OK(file_write(file_join(&run->arena, folder, "model.safetensors"), "x", 1));
    }
    int64_t step;
    char *folder;
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    assert_null(folder);
    assert_int_equal(step, -1);
    SMALL_OK(write_step(run, 1, -1));
    SMALL_OK(write_step(run, 2, -1));
    assert_string_equal(names_in(run), "notes step- step--4 step-12a step-2 ");
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    assert_int_equal(step, 2);
}

static void no_folder_is_no_checkpoint(void **state)
{
    struct run *run = *state;
    int64_t step = 7;
    char *folder = run->folder;
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    assert_null(folder);
    assert_int_equal(step, -1);
}

/* A failed write leaves the last checkpoint as it was and nothing beside it; with room again it succeeds. */
static void a_full_disk_leaves_nothing(void **state)
{
    struct run *run = *state;
    SMALL_OK(write_step(run, 1, -1));
    struct rlimit saved, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    tight = saved;
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < 9000; most += 900) { /* stands for a full disk */
        tight.rlim_cur = most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        hff_status status = write_step(run, 2, -1);
        setrlimit(RLIMIT_FSIZE, &saved);
        assert_int_equal(status, HFF_E_IO);
        assert_string_equal(names_in(run), "step-1 ");
    }
    signal(SIGXFSZ, SIG_DFL);
    SMALL_OK(write_step(run, 2, -1));
    assert_string_equal(names_in(run), "step-1 step-2 ");
}

static void assert_refused(struct run *run, const char *set, hff_status expected, const char *said)
{
    struct setup other;
    struct rules rules;
    struct progress_marks marks;
    char *folder;
    int64_t step;
    open_setup(&other, set);
    rules_open(&rules, other.engine->stages, 0);
    SMALL_OK(checkpoint_newest(&run->arena, run->folder, &folder, &step));
    hff_status status = checkpoint_read(&other, &rules, folder, &marks);
    if (status != expected || !strstr(hff_error_message(), said))
        fail_msg("status %d, not %d, or no '%s' in: %s", status, expected, said, hff_error_message());
    rules_close(&rules);
    setup_close(&other);
}

/* A checkpoint of another net, another seed or other data is refused, and the reason names what differs. */
static void others_are_refused(void **state)
{
    struct run *run = *state;
    SMALL_OK(write_step(run, 1, -1));
    assert_refused(run, "net.stages[1].linear.units=11", HFF_E_FORMAT, "stage.2.linear.weight");
    assert_refused(run, "net.stages[1].linear.norm=batch", HFF_E_FORMAT, "stage.2.norm");
    assert_refused(run, "net.stages=[{conv: {channels: 6, pool: {max: 4}}}]", HFF_E_FORMAT, "another net");
    assert_refused(run, "optimizer.kind=sgd", HFF_E_FORMAT, "optimizer.safetensors");
    assert_refused(run, "run.seed=6", HFF_E_DATA, "seed 5");
    assert_refused(run, "data.digits.train=200", HFF_E_DATA, "80 train images");
    assert_refused(run, "data.digits.seed=2", HFF_E_DATA, "80 train images");
    assert_refused(run, "data.digits.test=10", HFF_E_DATA, "20 test images");
    assert_refused(run, "run.batch=40", HFF_E_DATA, "4 steps an epoch");
}

/* A file that is missing or cut off is an error of that file, never a wrong start. */
static void damaged_files_are_named(void **state)
{
    struct run *run = *state;
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors", "state.json"};
    for (int i = 0; i < 3; i++) {
        SMALL_OK(write_step(run, 1 + i, -1));
        char *path = arena_printf(&run->arena, "%s/checkpoints/step-%d/%s", run->folder, 1 + i, files[i]);
        unsigned char *bytes;
        size_t size;
        SMALL_OK(file_read(path, (size_t)1 << 30, &bytes, &size));
        SMALL_OK(file_write(path, bytes, size / 2));
        free(bytes);
        assert_refused(run, NULL, HFF_E_FORMAT, files[i]);
        SMALL_OK(file_remove_tree(path));
        assert_refused(run, NULL, HFF_E_IO, files[i]);
    }
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, open_run, close_run)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(what_is_written_comes_back), RUN(the_newest_and_the_best_stay), RUN(leftovers_go_and_strangers_stay),
        RUN(no_folder_is_no_checkpoint), RUN(a_full_disk_leaves_nothing),   RUN(others_are_refused),
        RUN(damaged_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
