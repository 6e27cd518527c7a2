/* Configs against rows: what is valid and what it means, and for everything else the exact message. */
#include "rows.h" /* before cmocka.h, which has a macro named fail */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NET "net: {stages: [linear: {units: 5}]}\n"
#define RUN "run: {epochs: 1}\n"

static void test_values_and_defaults(void **state)
{
    (void)state;
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, NULL, 0), HFF_OK);
    const struct config_node *root = config_root(config);
    assert_float_equal(config_real(root, "run.epochs"), 2.5, 0);
    assert_string_equal(config_text(root, "run.name"), "first try");
    assert_int_equal(config_int(root, "run.seed"), 1);
    assert_string_equal(config_text(root, "run.backend"), "auto");
    assert_int_equal(config_bool(root, "data.shuffle"), 1);
    assert_string_equal(config_text(root, "data.root"), "");
    assert_int_equal(config_has(root, "data.root"), 0);
    assert_int_equal(config_has(root, "run.until"), 0);
    assert_int_equal(config_int(root, "run.until.patience"), 0); /* a member of an absent map */
    assert_float_equal(config_real(root, "optimizer.lr"), 0.01, 0);
    assert_float_equal(config_real(root, "optimizer.eps"), 1e-8, 0);
    assert_float_equal(config_real(root, "optimizer.schedule.warmup"), 0.05, 0);
    assert_string_equal(config_text(root, "optimizer.schedule.kind"), "cosine");
    double numbers[2] = {0};
    assert_int_equal(config_reals(root, "data.normalize", numbers, 2), 2);
    assert_true(numbers[0] == 0.5 && numbers[1] == 0.001);
    assert_string_equal(config_text(root, "data.normalize"), "");
    assert_string_equal(config_text(root, "engine.pipeline"), "auto");
    assert_int_equal(config_int(root, "engine.pipeline"), 0);
    config_free(config);
}

static void test_items(void **state)
{
    (void)state;
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, NULL, 0), HFF_OK);
    const struct config_node *root = config_root(config), *augment = config_at(root, "data.augment");
    assert_int_equal(config_count(augment), 3);
    assert_string_equal(config_member_name(config_item(augment, 1), 0), "flip");
    assert_int_equal(config_members(config_member(config_item(augment, 1), 0)), 0);
    assert_int_equal(config_int(config_item(augment, 0), "crop.pad"), 2);
    assert_null(config_item(augment, 3));
    const struct config_node *stages = config_at(root, "net.stages"), *second = config_item(stages, 1);
    assert_int_equal(config_count(stages), 2);
    assert_int_equal(config_int(config_item(stages, 0), "repeat"), 1);
    assert_int_equal(config_int(second, "repeat"), 3);
    assert_int_equal(config_int(second, "conv.kernel"), 3);
    assert_int_equal(config_int(config_at(root, "net.stages[1].conv"), "pool.max"), 2);
    assert_ptr_equal(config_at(root, "net.stages.1"), second);
    assert_null(config_at(second, "linear"));
    assert_null(config_at(root, "net.stages[2]"));
    config_free(config);
}

static void test_overlay(void **state)
{
    (void)state;
    const char *sets[] = {"net.stages[1].objective.ff={threshold: 2}"};
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, sets, 1), HFF_OK);
    const struct config_node *root = config_root(config), *base = config_at(root, "objective");
    const struct config_node *over = config_at(root, "net.stages[1].objective");
    assert_int_equal(config_has(over, "kind"), 0); /* no defaults in a map that is laid over another */
    const struct config_node *both = config_overlay(config, base, over);
    assert_string_equal(config_text(both, "kind"), "hff");
    assert_float_equal(config_real(both, "scale"), 8, 0);
    assert_int_equal(config_bool(both, "prototypes.train"), 0);
    assert_int_equal(config_int(both, "prototypes.per_class"), 1);
    assert_float_equal(config_real(both, "ff.threshold"), 2, 0);
    assert_float_equal(config_real(both, "ff.peer"), 0.03, 0); /* its map is in the override only */
    assert_float_equal(config_real(base, "scale"), 16, 0);
    assert_int_equal(config_bool(base, "prototypes.train"), 1);
    assert_int_equal(config_has(base, "ff"), 0);
    assert_ptr_equal(config_overlay(config, base, config_at(root, "net.stages[0].objective")), base);
    config_free(config);
}

static void test_number_forms(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        double value;
    } rows[] = {{"optimizer.lr=1e-3", 0.001}, {"optimizer.lr=1.0E-3", 0.001}, {"optimizer.lr=.5", 0.5},
                {"optimizer.lr=+5.", 5},      {"optimizer.lr=0", 0},          {"optimizer.lr=100", 100}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *config;
        assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, &rows[i].set, 1), HFF_OK);
        assert_float_equal(config_real(config_root(config), "optimizer.lr"), rows[i].value, 0);
        config_free(config);
    }
    static const char *const whole[] = {"run.batch=32", "run.batch=32.0", "run.batch=3.2e1", "run.batch=+32"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct config *config;
        assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, &whole[i], 1), HFF_OK);
        assert_int_equal(config_int(config_root(config), "run.batch"), 32);
        config_free(config);
    }
}

static void test_truth(void **state)
{
    (void)state;
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "False", "True", "NO", "YES"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[64];
        snprintf(text, sizeof text, "data.shuffle=%s", words[i]);
        const char *set = text;
        struct config *config;
        assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, &set, 1), HFF_OK);
        assert_int_equal(config_bool(config_root(config), "data.shuffle"), i % 2);
        config_free(config);
    }
}

/* Texts that are refused, with all of the message or, where it ends in *, its start. */
static const struct {
    const char *text, *message;
} bad[] = {
    {"run: {epoch: 1}\n" NET, "a.yaml:1:7: \"epoch\" is not a key of run; did you mean \"epochs\"?"},
    {RUN NET "optmizer:\n  lr: 1\n", "a.yaml:3:1: \"optmizer\" is not a key; did you mean \"optimizer\"?"},
    {RUN NET "epochs: 3\n", "a.yaml:3:1: \"epochs\" is not a key; there is run.epochs"},
    {RUN NET "xyzzy: 3\n",
     "a.yaml:3:1: \"xyzzy\" is not a key; there are run, data, net, objective, optimizer, engine"},
    {RUN "net: {stages: [conv: {channels: 1}, conv: {chanels: 1}]}\n",
     "a.yaml:2:44: \"chanels\" is not a key of net.stages[1].conv; did you mean \"channels\"?"},
    {RUN NET "data: {augment: [flip: {pad: 1}]}\n", "a.yaml:3:25: \"pad\" is not a key of data.augment[0].flip*"},
    {RUN NET "data:\n  shuffle: true\n  shuffle: false\n",
     "a.yaml:5:3: \"shuffle\" is given twice in this map; the first is in line 4"},
    {RUN, "a.yaml:1:1: net is missing; it must be a map: the network"},
    {NET, "a.yaml:1:1: run.epochs is missing; it must be a number from 0.001 to 100000 epochs: passes over*"},
    {RUN "\nnet:\n  between: l2\n", "a.yaml:4:3: net.stages is missing; it must be a list: the stages*"},
    {"run: {epochs: 0}\n" NET, "a.yaml:1:15: run.epochs is 0; it must be a number from 0.001 to 100000 epochs"},
    {"run: {epochs: many}\n" NET, "a.yaml:1:15: run.epochs is \"many\", not a number; it must be a number from*"},
    {"run: {epochs: [1]}\n" NET, "a.yaml:1:15: run.epochs is a list; it must be a number from 0.001 to 100000 epochs"},
    {"run: {epochs: {a: 1}}\n" NET, "a.yaml:1:15: run.epochs is a map; it must be*"},
    {"run: {epochs: }\n" NET, "a.yaml:1:15: run.epochs has no value; it must be*"},
    {"run: {epochs: .nan}\n" NET, "a.yaml:1:15: run.epochs is \".nan\", not a number*"},
    {"run: {epochs: .inf}\n" NET, "a.yaml:1:15: run.epochs is \".inf\", not a number*"},
    {"run: {epochs: nan}\n" NET, "a.yaml:1:15: run.epochs is \"nan\", not a number*"},
    {"run: {epochs: 1e999}\n" NET, "a.yaml:1:15: run.epochs is \"1e999\", too large for a number*"},
    {"run: {epochs: 1e-999}\n" NET, "a.yaml:1:15: run.epochs is \"1e-999\", too small for a number*"},
    {"run: {epochs: 0x10}\n" NET, "a.yaml:1:15: run.epochs is \"0x10\", not a number*"},
    {"run: {epochs: 1_000}\n" NET, "a.yaml:1:15: run.epochs is \"1_000\", not a number*"},
    {"run: {epochs: 010}\n" NET, "a.yaml:1:15: run.epochs is \"010\", a number with leading zeros*"},
    {"run: {epochs: '3'}\n" NET, "a.yaml:1:15: run.epochs is \"3\", a text because of its quotes*"},
    {"run: {epochs: 1, batch: 1.5}\n" NET,
     "a.yaml:1:25: run.batch is \"1.5\", not a whole number; it must be a whole*"},
    {"run: {epochs: 1, seed: 99999999999999999999}\n" NET,
     "a.yaml:1:24: run.seed is \"99999999999999999999\", too large for a whole number; it must be a whole number of at "
     "least 0"},
    {"run: {epochs: 1, seed: 1e16}\n" NET, "a.yaml:1:24: run.seed is \"1e16\", too large for a whole number in this*"},
    {"run: {epochs: 1, until: {}}\n" NET, "a.yaml:1:25: run.until.accuracy is missing; it must be a number from 0*"},
    {"run: 5\n" NET, "a.yaml:1:6: run is \"5\"; it must be a map"},
    {RUN NET "data: {shuffle: 1}\n", "a.yaml:3:17: data.shuffle is \"1\"; it must be true or false"},
    {RUN NET "data: {shuffle: 'true'}\n", "a.yaml:3:17: data.shuffle is \"true\", a text because of its quotes*"},
    {RUN NET "data: {normalize: none}\n",
     "a.yaml:3:19: data.normalize is \"none\"; it must be auto or a list of numbers"},
    {RUN NET "data: {normalize: []}\n", "a.yaml:3:19: data.normalize is a list, an empty one; it must be auto or a*"},
    {RUN NET "data: {normalize: [1, auto]}\n",
     "a.yaml:3:23: data.normalize[1] is \"auto\", not a number; it must be a*"},
    {RUN NET "data: {root: }\n", "a.yaml:3:14: data.root has no value; it must be a text (\"\" for an empty one)"},
    {RUN NET "data: {root: [a]}\n", "a.yaml:3:14: data.root is a list; it must be a text"},
    {RUN NET "objective: {kind: ssoftmax}\n",
     "a.yaml:3:19: objective.kind is \"ssoftmax\"; it must be hff, ff, softmax or cwc; did you mean \"softmax\"?"},
    {RUN NET "engine: {pipeline: 65}\n",
     "a.yaml:3:20: engine.pipeline is 65; it must be auto, none or a whole number from 1 to 64"},
    {RUN "net: {stages: 5}\n", "a.yaml:2:15: net.stages is \"5\"; it must be a list"},
    {RUN "net: {stages: [[1]]}\n", "a.yaml:2:16: net.stages[0] is a list; it must be a map"},
    {RUN "net: {stages: [repeat: 2]}\n", "a.yaml:2:16: net.stages[0] lacks its kind; it must have one of linear, conv"},
    {RUN "net:\n  stages:\n  - conv: {channels: 1}\n    linear: {units: 2}\n",
     "a.yaml:5:5: net.stages[0] has both conv and linear; it must have one of linear, conv"},
    {RUN "net: {stages: [lineer]}\n",
     "a.yaml:2:16: \"lineer\" is not a key of net.stages[0]; did you mean \"linear\"?"},
    {RUN "net: {stages: [linear]}\n", "a.yaml:2:16: net.stages[0].linear.units is missing; it must be a whole number*"},
    {RUN "net: {stages: [{linear: {units: 5}, objective: {scale: 0}}]}\n",
     "a.yaml:2:56: net.stages[0].objective.scale is 0; it must be a number from 1 to 100"},
    {RUN "net: {stages: [{linear: {units: 5}, objective: {scal: 8}}]}\n",
     "a.yaml:2:49: \"scal\" is not a key of net.stages[0].objective; did you mean \"scale\"?"},
    {RUN "net: {stages: [{linear: {units: 5}, objective: {ff: {peer: 0.1}}}]}\n",
     "a.yaml:2:53: net.stages[0].objective.ff.threshold is missing; it must be a number from 0 to 100*"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config *config = NULL;
        const char *message = bad[i].message, *star = strchr(message, '*');
        size_t length = star ? (size_t)(star - message) : strlen(message);
        hff_status status = config_parse(&config, all_rows, "a.yaml", bad[i].text, NULL, 0);
        const char *got = hff_error_message();
        if (status != HFF_E_CONFIG || strncmp(got, message, length) != 0 || (!star && strlen(got) != length))
            fail_msg("status %d for\n%s\nexpected: %s\n     got: %s", status, bad[i].text, message, got);
        assert_null(config);
    }
}

/* A stage may override a key of an optional map that the base has. */
static void test_like_covered(void **state)
{
    (void)state;
    static const char text[] = RUN "net: {stages: [{linear: {units: 5}, objective: {ff: {peer: 0.1}}}]}\n"
                                   "objective: {ff: {threshold: 3}}\n";
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", text, NULL, 0), HFF_OK);
    const struct config_node *root = config_root(config);
    const struct config_node *both =
        config_overlay(config, config_at(root, "objective"), config_at(root, "net.stages[0].objective"));
    assert_float_equal(config_real(both, "ff.threshold"), 3, 0);
    assert_float_equal(config_real(both, "ff.peer"), 0.1, 0);
    assert_float_equal(config_real(root, "objective.ff.peer"), 0.03, 0);
    config_free(config);
}

static void test_room_errors(void **state)
{
    (void)state;
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, NULL, 0), HFF_OK);
    const struct config_node *conv = config_at(config_root(config), "net.stages[1].conv");
    assert_int_equal(config_fail(config_at(conv, "channels"), "too %s", "wide"), HFF_E_CONFIG);
    assert_string_equal(hff_error_message(), "a.yaml:8:24: too wide");
    config_fail(config_at(conv, "kernel"), "even (%s)", hff_error_message()); /* a default: the place of its map */
    assert_string_equal(hff_error_message(), "a.yaml:8:13: even (a.yaml:8:24: too wide)");
    config_fail(NULL, "nowhere");
    assert_string_equal(hff_error_message(), "nowhere");
    config_free(config);
}

/* Mistakes in tables are found when they are used, whatever the text. */
static void test_bad_tables(void **state)
{
    (void)state;
    static const struct config_row orphan[] = {{"a.b", CONFIG_INT, "1", 0, 0, NULL, "", ""}, {0}};
    static const struct config_row twice[] = {
        {"a", CONFIG_INT, "1", 0, 0, NULL, "", ""}, {"a", CONFIG_INT, "1", 0, 0, NULL, "", ""}, {0}};
    static const struct config_row range[] = {{"a", CONFIG_INT, "1", 2, 3, NULL, "", ""}, {0}};
    static const struct config_row like[] = {{"a", CONFIG_LIKE, "", 0, 0, "b", "", ""}, {0}};
    static const struct config_row *const tables[][2] = {{orphan, NULL}, {twice, NULL}, {range, NULL}, {like, NULL}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct config *config;
        assert_int_equal(config_parse(&config, tables[i], "a.yaml", "{}", NULL, 0), HFF_E_INTERNAL);
        assert_null(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_number_forms),
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_like_covered),
        cmocka_unit_test(test_room_errors),
        cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
