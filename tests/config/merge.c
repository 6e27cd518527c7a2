/* What goes over what: a file over the one that it includes, --set over both; and how each goes wrong. */
#include "rows.h" /* before cmocka.h, which has a macro named fail */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NET "net: {stages: [linear: {units: 5}]}\n"

static char folder[] = "config-X" "X" "X" "X" "X" "X"; /* mkdtemp's */
static const char *const names[] = {"base.yaml", "mid.yaml", "top.yaml", "loop.yaml", "bad.yaml", "odd.yaml"};

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 && mkdir("sub", 0777) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
    unlink("sub/base.yaml");
    return rmdir("sub") == 0 && chdir("..") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void refused(const char *path, const char *message)
{
    struct config *config;
    assert_int_equal(config_load(&config, all_rows, path, NULL, 0), HFF_E_CONFIG);
    assert_string_equal(hff_error_message(), message);
    assert_null(config);
}

static void test_include(void **state)
{
    (void)state;
    put("sub/base.yaml", "run: {epochs: 1, batch: 16, seed: 5}\ndata: {augment: [flip, shift], normalize: [1, 2]}\n" NET
                         "optimizer: {lr: 0.5, schedule: {kind: linear}}\n");
    put("mid.yaml", "include: sub/base.yaml\nrun: {batch: 32}\ndata: {augment: [crop]}\noptimizer:\n");
    put("top.yaml", "include: mid.yaml\nrun: {epochs: 3}\n");
    static const char *const sets[] = {"run.batch=64", "run.epochs=8", "run.batch=65"};
    struct config *config;
    assert_int_equal(config_load(&config, all_rows, "top.yaml", sets, 2), HFF_OK);
    const struct config_node *root = config_root(config);
    assert_float_equal(config_real(root, "run.epochs"), 8, 0);
    assert_int_equal(config_int(root, "run.batch"), 64);
    assert_int_equal(config_int(root, "run.seed"), 5);
    assert_int_equal(config_count(config_at(root, "data.augment")), 1); /* lists are replaced */
    assert_true(config_has(root, "data.augment[0].crop"));
    assert_string_equal(config_text(root, "optimizer.schedule.kind"),
                        "linear"); /* "optimizer:" alone changes nothing */
    assert_false(config_has(root, "include"));
    config_free(config);
    assert_int_equal(config_load(&config, all_rows, "./top.yaml", sets, 3), HFF_OK); /* the later set wins */
    assert_int_equal(config_int(config_root(config), "run.batch"), 65);
    config_free(config);
}

static void test_include_errors(void **state)
{
    (void)state;
    put("sub/base.yaml", "run: {epochs: 1, batch: zero}\n" NET);
    put("top.yaml", "include: sub/base.yaml\n");
    refused("top.yaml",
            "sub/base.yaml:1:25: run.batch is \"zero\", not a number; it must be a whole number from 1 to 65536 "
            "images");
    put("sub/base.yaml", "run: {epochs: 1\n" NET);
    refused("top.yaml",
            "sub/base.yaml:2:4: did not find expected ',' or '}' (while parsing a flow mapping from line 1)");
    assert_int_equal(trail_current()->count, 1);
    assert_string_equal(trail_current()->line[0], "included from top.yaml:1:10");
    put("loop.yaml", "include: mid.yaml\n");
    put("mid.yaml", "include: ./loop.yaml\n");
    refused("loop.yaml", "mid.yaml:1:10: include: ./loop.yaml includes itself, through this file");
    put("loop.yaml", "include: loop.yaml\n");
    refused("loop.yaml", "loop.yaml:1:10: include: loop.yaml includes itself, through this file");
    put("odd.yaml", NET "include: loop.yaml\n");
    refused("odd.yaml", "odd.yaml:2:1: include must be the first key of the file");
    put("odd.yaml", "include: [a, b]\n");
    refused("odd.yaml", "odd.yaml:1:10: include must name one file");
    struct config *config;
    put("odd.yaml", "include: absent.yaml\n");
    assert_int_equal(config_load(&config, all_rows, "odd.yaml", NULL, 0), HFF_E_CONFIG);
    assert_int_equal(strncmp(hff_error_message(), "odd.yaml:1:10: include: absent.yaml", 35), 0);
    put("odd.yaml", "include: sub\n");
    assert_int_equal(config_load(&config, all_rows, "odd.yaml", NULL, 0), HFF_E_CONFIG);
    assert_int_equal(config_load(&config, all_rows, "absent.yaml", NULL, 0), HFF_E_CONFIG);
    assert_non_null(strstr(hff_error_message(), "absent.yaml"));
}

/* What is missing is missing in the file that was asked for, not in one that it includes. */
static void test_missing_names_the_asked_file(void **state)
{
    (void)state;
    put("base.yaml", "\n\nrun: {epochs: 1}\n");
    put("bad.yaml", "include: base.yaml\n");
    refused("bad.yaml", "bad.yaml:1:1: net is missing; it must be a map: the network");
}

static void test_set(void **state)
{
    (void)state;
    static const char *const sets[] = {"net.stages[1].conv.channels=7",
                                       "net.stages.0.linear.units=9",
                                       "data.augment[1]={shift: {max: 5}}",
                                       "objective={scale: 3}",
                                       "objective.prototypes.train=false",
                                       "objective={prototypes: {per_class: 2}}",
                                       "run.name=a=b: c",
                                       "data.augment[0].crop.pad = 8",
                                       "engine.pipeline=none",
                                       "data.augment[2]=flip"};
    struct config *config;
    hff_status status = config_parse(&config, all_rows, "a.yaml", good, sets, 7);
    assert_int_equal(status, HFF_E_CONFIG); /* a=b: c is a map */
    assert_string_equal(hff_error_message(), "--set run.name=a=b: c: run.name is a map; it must be a text");
    const char *const fine[] = {sets[0], sets[1], sets[2], sets[3], sets[4], sets[5], "run.name=a=b", sets[8], sets[9]};
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, fine, 9), HFF_OK);
    const struct config_node *root = config_root(config);
    assert_int_equal(config_int(root, "net.stages[1].conv.channels"), 7);
    assert_int_equal(config_int(root, "net.stages[1].conv.pool.max"), 2);
    assert_int_equal(config_int(root, "net.stages[0].linear.units"), 9);
    assert_int_equal(config_int(config_at(root, "data.augment[1]"), "shift.max"), 5);
    assert_false(config_has(root, "data.augment[1].flip"));
    assert_true(config_has(root, "data.augment[2].flip"));
    assert_float_equal(config_real(root, "objective.scale"), 3, 0);
    assert_int_equal(config_bool(root, "objective.prototypes.train"), 0);
    assert_int_equal(config_int(root, "objective.prototypes.per_class"), 2);
    assert_string_equal(config_text(root, "run.name"), "a=b");
    assert_string_equal(config_text(root, "engine.pipeline"), "none");
    config_free(config);
}

static void test_set_errors(void **state)
{
    (void)state;
    static const struct {
        const char *set, *reason;
    } rows[] = {
        {"run.epochs", "not of the form KEY=VALUE"},
        {"=5", "not of the form KEY=VALUE"},
        {"", "not of the form KEY=VALUE"},
        {"run..epochs=5", "\"..epochs\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list"},
        {"run.epochs.=5", "\".\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list"},
        {"net.stages[x]=5", "\"[x]\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list"},
        {"net.stages[0=5", "\"[0\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list"},
        {"net.stages[2].repeat=2", "net.stages has 2 items, [0] to [1]"},
        {"net.stages[99999999]=2",
         "\"[99999999]\" is not a key; write a.b=VALUE, or a[0].b=VALUE for the first item of a list"},
        {"net.stages.linear=2", "net.stages is a list; write net.stages[0] for its first item"},
        {"run.epochs[0]=2", "run.epochs is not a list, so it has no [0]"},
        {"run.epochs.x=2", "run.epochs is a value, not a map; it has no keys"},
        {"run.epoch=2", "\"epoch\" is not a key of run; did you mean \"epochs\"?"},
        {"run.epochs=0", "run.epochs is 0; it must be a number from 0.001 to 100000 epochs"},
        {"run.epochs=", "run.epochs has no value; it must be a number from 0.001 to 100000 epochs"},
        {"run={epochs: 1, epochs: 2}", "\"epochs\" is given twice"},
        {"run={epochs: 1", "did not find expected ',' or '}'"},
        {"data.augment[1].crop.pad=1",
         "data.augment[1] has both flip and crop; it must have one of crop, flip, shift, mixup"},
        {"include=x.yaml", "include must be the first key of a file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char message[512];
        struct config *config;
        snprintf(message, sizeof message, "--set %s: %s", rows[i].set, rows[i].reason);
        assert_int_equal(config_parse(&config, all_rows, "a.yaml", good, &rows[i].set, 1), HFF_E_CONFIG);
        assert_string_equal(hff_error_message(), message);
        assert_null(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_include),
        cmocka_unit_test(test_include_errors),
        cmocka_unit_test(test_missing_names_the_asked_file),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_errors),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
