/* Choosing plans by trying them: the one that seems quickest on the played device is taken, written down, and taken again
 * by who is given what was written; a run that goes on takes those of its folder. */
#include "base/file.h"
#include "device.h"
#include "support/small_net.h"
#include "train/train.h"

#include <jansson.h>
#include <unistd.h>

static struct backend *tuned(const char *choices)
{
    struct backend *backend;
    SMALL_OK(backend_open("cuda", 1, &backend));
    SMALL_OK(backend->api->tune(backend, choices));
    return backend;
}

static void takes(double first, double second, double third)
{
    fake_plan_takes(0, first);
    fake_plan_takes(1, second);
    fake_plan_takes(2, third);
}

static struct op_desc desc_of_conv(struct backend *backend, int64_t channels)
{
    struct op_desc desc = {.kind = OP_CONV, .slices = 1, .attr.conv = {3, 1, 1}};
    const int64_t image[] = {2, channels, 4, 4}, weight[] = {channels, channels, 3, 3};
    desc.arg[0] = desc.arg[3] = backend->api->activation(backend, DTYPE_F32, 4, image);
    desc.arg[1] = tensor_plain(DTYPE_F32, 4, weight);
    desc.arg[1].layout = LAYOUT_ANY;
    return desc;
}

/* A convolution of that many channels is made and dropped; how many runs that took. */
static int make_conv(struct backend *backend, int64_t channels)
{
    struct op_desc desc = desc_of_conv(backend, channels);
    struct op *op;
    fake_log_clear();
    SMALL_OK(backend->api->op_create(backend, &desc, &op));
    backend->api->op_destroy(op);
    return fake_count(FAKE_CONV);
}

/* The only plan in a text of choices. */
static int plan_in(const char *text)
{
    json_t *all = json_loads(text, 0, NULL);
    const char *key;
    json_t *plan;
    assert_non_null(all);
    assert_int_equal(json_object_size(json_object_get(all, "plans")), 1);
    int number = -1;
    json_object_foreach(json_object_get(all, "plans"), key, plan) number =
        (int)json_integer_value(json_object_get(plan, "plan"));
    json_decref(all);
    return number;
}

static void the_quickest_is_taken(void **state)
{
    (void)state;
    static const double times[][3] = {{2, 1, 3}, {1, 2, 3}, {3, 2, 1}, {1, 0.99, 0.985}, {5, 5, 5}};
    static const int best[] = {1, 0, 2, 0, 0}; /* a hundredth less is chance */
    for (int i = 0; i < 5; i++) {
        takes(times[i][0], times[i][1], times[i][2]);
        struct backend *backend = tuned(NULL);
        assert_true(make_conv(backend, 16) > 3);
        assert_int_equal(make_conv(backend, 16), 0); /* known by now */
        char *text = backend->api->chosen(backend);
        assert_int_equal(plan_in(text), best[i]);
        free(text);
        backend_close(backend);
    }
    struct backend *backend;
    SMALL_OK(backend_open("cuda", 1, &backend)); /* not asked for */
    assert_int_equal(make_conv(backend, 16), 0);
    assert_null(backend->api->chosen(backend));
    backend_close(backend);
}

/* A plan that does not run is left out, but for the first one, without which there would be nothing to go by. */
static void some_do_not_run(void **state)
{
    (void)state;
    takes(3, 1, 2);
    fake_plan_fails(1, 1);
    struct backend *backend = tuned(NULL);
    assert_true(make_conv(backend, 16) > 3);
    char *text = backend->api->chosen(backend);
    assert_int_equal(plan_in(text), 2);
    free(text);
    backend_close(backend);
    fake_plan_fails(1, 0);
    fake_plan_fails(0, 1);
    backend = tuned(NULL);
    for (int bias = 0; bias < 2; bias++) { /* with a bias, too, rather than another op without a word */
        struct op_desc desc = desc_of_conv(backend, 16);
        if (bias) desc.arg[2] = tensor_make1(DTYPE_F32, 16);
        struct op *op = NULL;
        assert_int_equal(backend->api->op_create(backend, &desc, &op), HFF_E_DEVICE);
        assert_null(op);
    }
    fake_plan_fails(0, 0);
    backend_close(backend);
}

/* text with from changed to, to be freed. */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    char *out = calloc(1, strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

/* What was written is taken without a run; what is not in it, or not of this device or library, is tried. */
static void choices_are_taken(void **state)
{
    (void)state;
    takes(3, 2, 1);
    struct backend *backend = tuned(NULL);
    make_conv(backend, 16);
    char *text = backend->api->chosen(backend);
    backend_close(backend);
    takes(2, 1, 3);
    backend = tuned(text);
    assert_int_equal(make_conv(backend, 16), 0);
    char *again = backend->api->chosen(backend);
    assert_string_equal(text, again);
    assert_true(make_conv(backend, 8) > 3);
    backend_close(backend);
    free(again);
    char *others[] = {changed(text, "\"device\": \"", "\"device\": \"another "),
                      changed(text, "\"plan\": 2", "\"plan\": 7")};
    for (int i = 0; i < 2; i++) {
        backend = tuned(others[i]);
        assert_true(make_conv(backend, 16) > 3);
        again = backend->api->chosen(backend);
        assert_int_equal(plan_in(again), 1);
        free(again);
        free(others[i]);
        backend_close(backend);
    }
    static const char *const wrong[] = {"", "[]", "{\"device\": 3, \"plans\": {}}",
                                        "{\"device\": \"x\", \"plans\": 1}"};
    SMALL_OK(backend_open("cuda", 1, &backend));
    for (int i = 0; i < 4; i++) assert_int_equal(backend->api->tune(backend, wrong[i]), HFF_E_FORMAT);
    backend_close(backend);
    free(text);
}

/* Trains for so many epochs; the number of plan 2's runs. */
static int trained(const char *out, const char *epochs, int resume)
{
    char config[512];
    const char *const sets[] = {epochs,
                                "run.batch=8",
                                "run.slices=1",
                                "run.backend=cuda",
                                "engine.autotune=true",
                                "data={limit: {train: 16, test: 8}, workers: 1}"};
    snprintf(config, sizeof config, "%s/tiny.yaml", out);
    struct train_request request = {.config_path = config,
                                    .sets = sets,
                                    .set_count = 6,
                                    .out = out,
                                    .name = "tuned",
                                    .resume = resume,
                                    .console = {.quiet = 1}};
    int before = fake_plan_runs(2);
    FILE *quiet = fopen("/dev/null", "w");
    SMALL_OK(train_run(&request, quiet));
    fclose(quiet);
    return fake_plan_runs(2) - before;
}

static void a_resume_takes_its_runs_plans(void **state)
{
    (void)state;
    char out[32], path[64];
    static const char text[] = "data: {source: digits}\nnet: {stages: [{conv: {channels: 8, stride: 4}}]}\n"
                               "objective: {head: {aux: 0, grid: 1}}\n";
    unsigned char *before, *after;
    size_t bytes, bytes_after;
    snprintf(out, sizeof out, "tuning.%d", (int)getpid());
    SMALL_OK(file_make_folders(out));
    snprintf(path, sizeof path, "%s/tiny.yaml", out);
    SMALL_OK(file_write(path, text, strlen(text)));
    takes(3, 2, 1);
    assert_true(trained(out, "run.epochs=1", 0) > 0);
    snprintf(path, sizeof path, "%s/tuned/plans.json", out);
    SMALL_OK(file_read(path, 1 << 20, &before, &bytes));
    takes(1, 2, 3); /* would choose others now */
    assert_true(trained(out, "run.epochs=2", 1) > 0);
    SMALL_OK(file_read(path, 1 << 20, &after, &bytes_after));
    assert_int_equal(bytes, bytes_after);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
    SMALL_OK(file_remove_tree(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_quickest_is_taken), cmocka_unit_test(some_do_not_run),
                                       cmocka_unit_test(choices_are_taken),
                                       cmocka_unit_test(a_resume_takes_its_runs_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
