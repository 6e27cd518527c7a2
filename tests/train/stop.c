/* A signal that asks to stop ends measurements, evaluations and fits at once, with the status that says which signal. */
#include "train/bench.h"
#include "train/evaluate.h"
#include "train/probe.h"

#include "support/small_net.h"

#include "base/file.h"

#include <unistd.h>

static const char text[] = "run: {batch: 20, slices: 4, backend: cpu}\n"
                           "data: {source: digits, digits: {train: 400, test: 100}}\n"
                           "net: {stages: [{linear: {units: 10}}]}\n";

/* So many runs would take hours. */
static hff_status measure(hff_status (*bench)(const struct bench_request *, FILE *), volatile sig_atomic_t *signal)
{
    int rounds = bench == bench_infer || bench == bench_methods;
    struct bench_request request = {.config_path = "stop.yaml", .runs = rounds ? 10000 : 1000000};
    request.methods = "hff,backprop";
    request.json = 1;
    request.console.signal = signal;
    request.classes = request.batches = (const int[]){10};
    request.class_count = request.batch_count = 1;
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    hff_status status = bench(&request, nowhere);
    fclose(nowhere);
    return status;
}

static void measurements_stop(void **state)
{
    (void)state;
    volatile sig_atomic_t interrupt = SIGINT, terminate = SIGTERM;
    SMALL_OK(file_write("stop.yaml", text, sizeof text - 1));
    assert_int_equal(measure(bench_train, &interrupt), HFF_E_INTERRUPTED);
    assert_int_equal(measure(bench_methods, &terminate), HFF_E_TERMINATED);
    assert_int_equal(measure(bench_ops, &terminate), HFF_E_TERMINATED);
    assert_int_equal(measure(bench_data, &interrupt), HFF_E_INTERRUPTED);
    assert_int_equal(measure(bench_infer, &terminate), HFF_E_TERMINATED);
    SMALL_OK(file_remove_tree("stop.yaml"));
}

static void open_net(struct setup *setup)
{
    memset(setup, 0, sizeof *setup);
    SMALL_OK(config_parse(&setup->config, config_tables, "test", text, NULL, 0));
    SMALL_OK(setup_options(setup));
    SMALL_OK(setup_open(setup, 1));
    SMALL_OK(engine_bind(setup->engine));
    SMALL_OK(engine_init(setup->engine, 1));
}

static void evaluations_and_fits_stop(void **state)
{
    (void)state;
    volatile sig_atomic_t none = 0, terminate = SIGTERM;
    struct setup setup;
    struct rules rules;
    struct evaluation evaluation;
    double accuracy = -1;
    open_net(&setup);
    rules_open(&rules, 1, 0);
    assert_int_equal(evaluate(setup.engine, setup.data, SPLIT_TEST, 1, &rules, RULE_LAST, 1, &terminate, &evaluation),
                     HFF_E_TERMINATED);
    assert_int_equal(probe_linear(setup.data, SPLIT_TEST, 1000000, 1, &terminate, &accuracy), HFF_E_TERMINATED);
    assert_true(accuracy == -1);
    SMALL_OK(evaluate(setup.engine, setup.data, SPLIT_TEST, 1, &rules, RULE_LAST, 0, &none, &evaluation));
    assert_int_equal(evaluation.samples, 100);
    evaluation_free(&evaluation);
    SMALL_OK(probe_linear(setup.data, SPLIT_TEST, 20, 1, &none, &accuracy));
    assert_true(accuracy > 0.3);
    rules_close(&rules);
    setup_close(&setup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measurements_stop),
        cmocka_unit_test(evaluations_and_fits_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
