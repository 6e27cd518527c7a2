/* Steps in lanes give the serial engine's bytes: parameters, moments, metrics and scores, for MLPs and convolutional nets,
 * any number of lanes, threads and slices; with streams that are late at random; and with lanes' work captured and
 * replayed. A pipeline whose streams wait for nothing gives others, so that a missing wait would be seen. */
#include "support/flight.h"
#include "support/small_net.h"

#include <math.h>

#if defined(__SANITIZE_THREAD__)
enum { UNDER_TSAN = 1 };
#else
enum { UNDER_TSAN = 0 };
#endif

enum { STEPS = 11, STAGES_MOST = 4 };

/* Everything that a run shows. */
struct shown {
    unsigned char *tensors[2];
    size_t bytes[2];
    struct stage_metrics metrics[2][STAGES_MOST]; /* in the middle, at the end */
    struct stage_metrics evaluated[STAGES_MOST];
    float *scores;
    size_t score_bytes;
};

static void read_metrics(struct small_net *net, int evaluation, struct stage_metrics *out)
{
    for (int i = 0; i < net->setup.engine->stages; i++)
        SMALL_OK(engine_metrics(net->setup.engine, i, evaluation, 1, &out[i]));
}

/* An evaluation and a log read in the middle, after a number of steps that is no multiple of slots. */
static struct shown train(struct small_net *net)
{
    struct engine *engine = net->setup.engine;
    struct shown shown = {.score_bytes =
                              (size_t)engine->stages * (size_t)engine->batch * (size_t)engine->classes * sizeof(float)};
    assert_true(engine->stages <= STAGES_MOST);
    shown.scores = calloc(1, shown.score_bytes);
    for (int s = 0; s < STEPS; s++) {
        small_net_draw(net, s);
        SMALL_OK(engine_step(engine, &net->batch));
        if (s == 6) {
            small_net_draw(net, 100);
            SMALL_OK(engine_evaluate(engine, &net->batch, shown.scores));
            read_metrics(net, 1, shown.evaluated);
            read_metrics(net, 0, shown.metrics[0]);
        }
    }
    read_metrics(net, 0, shown.metrics[1]);
    for (int moments = 0; moments < 2; moments++) {
        struct kept *kept;
        int count;
        shown.tensors[moments] = small_net_tensors(net, moments, &kept, &count, &shown.bytes[moments]);
        free(kept);
    }
    return shown;
}

static void shown_free(struct shown *shown)
{
    free(shown->tensors[0]);
    free(shown->tensors[1]);
    free(shown->scores);
}

/* What differs first; NULL: nothing. */
static const char *difference(const struct shown *a, const struct shown *b)
{
    if (a->bytes[0] != b->bytes[0] || a->bytes[1] != b->bytes[1]) return "sizes";
    if (memcmp(a->tensors[0], b->tensors[0], a->bytes[0]) != 0) return "parameters";
    if (memcmp(a->tensors[1], b->tensors[1], a->bytes[1]) != 0) return "moments";
    if (memcmp(a->metrics, b->metrics, sizeof a->metrics) != 0) return "metrics";
    if (memcmp(a->evaluated, b->evaluated, sizeof a->evaluated) != 0) return "metrics of the evaluation";
    return memcmp(a->scores, b->scores, a->score_bytes) != 0 ? "scores" : NULL;
}

static void assert_same(const struct shown *a, const struct shown *b, const char *what, int number)
{
    const char *differs = difference(a, b);
    if (differs) fail_msg("variant %d, %s: the %s differ", number, what, differs);
}

/* What one run of a config is to differ in from the other. */
struct variant {
    const char *text, *set[3];
    int threads;
};

static struct shown run_on(struct backend *backend, const struct variant *v, const char *pipeline, int *lanes)
{
    const char *sets[4] = {pipeline};
    int count = 1;
    for (int i = 0; i < 3 && v->set[i]; i++) sets[count++] = v->set[i];
    struct small_net *net = small_net_open_on(backend, v->text, sets, count, v->threads, DTYPE_F32, 5);
    if (lanes) *lanes = net->setup.engine->pipeline ? net->setup.engine->lanes : 0;
    struct shown shown = train(net);
    small_net_close(net);
    return shown;
}

static struct shown run_flight(enum flight_kind kind, int most, const struct variant *v, const char *pipeline)
{
    struct flight flight = flight_open(kind, v->threads, most);
    assert_non_null(flight.backend);
    struct shown shown = run_on(flight.backend, v, pipeline, NULL);
    backend_close(flight.inner);
    return shown;
}

static const struct variant variants[] = {
    {SMALL_MLP, {"run.slices=4"}, 2},
    {SMALL_CNN, {"run.slices=4"}, 2},
    {SMALL_CNN, {"run.slices=1", "optimizer.kind=sgd"}, 3},
    {SMALL_RESIDUAL, {"run.slices=2"}, 1},
    {SMALL_FIVES, {"objective.kind=cwc"}, 2},
    {SMALL_FIVES, {"objective={kind: softmax, smoothing: 0.1, sim: {beta: 0.6}}"}, 3},
    {SMALL_RESIDUAL, {"engine.recompute=auto"}, 2},
    {SMALL_FF, {"objective.ff.negatives=uniform"}, 2},
    {SMALL_FF_CNN, {"objective.ff.negatives=uniform"}, 2},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static void lanes_are_serial(void **state)
{
    (void)state;
    for (int i = 0; i < VARIANTS; i++) {
        struct shown serial = run_on(NULL, &variants[i], "engine.pipeline=none", NULL);
        for (int lanes = 2; lanes <= 3; lanes++) {
            char set[32];
            int used;
            snprintf(set, sizeof set, "engine.pipeline=%d", lanes);
            struct variant v = variants[i];
            for (v.threads = 1; v.threads <= 4; v.threads += 3) {
                struct shown shown = run_on(NULL, &v, set, &used);
                assert_int_equal(used, lanes);
                assert_same(&serial, &shown, set, i);
                shown_free(&shown);
            }
        }
        shown_free(&serial);
    }
}

static void bf16_lanes_are_serial(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    static const struct variant v = {SMALL_CNN, {"run.dtype=bf16"}, 2};
    struct shown a = run_on(NULL, &v, "engine.pipeline=none", NULL);
    struct shown b = run_on(NULL, &v, "engine.pipeline=3", NULL);
    assert_same(&a, &b, "bf16", 0);
    shown_free(&a);
    shown_free(&b);
}

/* auto is serial where the host would have to work itself, and a lane for each stage where it would not, also where one
 * lane is asked for: then steps are in flight all the same. */
static void late_streams_change_nothing(void **state)
{
    (void)state;
    static const char *const pipelines[] = {"engine.pipeline=none", "engine.pipeline=2", "engine.pipeline=auto"};
    for (int i = 0; i < VARIANTS; i++) {
        struct shown serial = run_on(NULL, &variants[i], "engine.pipeline=none", NULL);
        for (int p = 0; p < 3; p++) {
            struct shown shown = run_flight(FLIGHT_ORDERED, 150, &variants[i], pipelines[p]);
            assert_same(&serial, &shown, pipelines[p], i);
            shown_free(&shown);
        }
        shown_free(&serial);
    }
}

static void replays_are_serial(void **state)
{
    (void)state;
    static const char *const pipelines[] = {"engine.pipeline=none", "engine.pipeline=2", "engine.pipeline=3"};
    static const int slots[] = {2, 4, 4};
    for (int i = 0; i < VARIANTS; i++) {
        struct shown serial = run_on(NULL, &variants[i], "engine.pipeline=none", NULL);
        for (int p = 0; p < 3; p++) {
            struct shown shown = run_flight(FLIGHT_CAPTURES, 60, &variants[i], pipelines[p]);
            struct flight_counts counts = flight_counts();
            assert_same(&serial, &shown, pipelines[p], i);
            assert_int_equal(counts.captures, (p + 1) * slots[p]);
            assert_int_equal(counts.replays, (p + 1) * (STEPS - 1));
            shown_free(&shown);
        }
        shown_free(&serial);
    }
}

/* Only the first step and the evaluation may give a device ops one by one. */
static void captured_steps_run_no_op(void **state)
{
    (void)state;
    struct flight flight = flight_open(FLIGHT_CAPTURES, 2, 0);
    struct small_net *net =
        small_net_open_on(flight.backend, SMALL_CNN, (const char *const[]){"engine.pipeline=3"}, 1, 2, DTYPE_F32, 5);
    small_net_train(net, 1);
    int first = flight_counts().ops;
    assert_true(first > 30);
    small_net_train(net, 9);
    assert_int_equal(flight_counts().ops, first);
    assert_int_equal(flight_counts().replays, 27);
    small_net_close(net);
    backend_close(flight.inner);
}

/* Where a capture fails after all, steps go on op by op, with the same bytes. */
static void a_refused_capture_changes_nothing(void **state)
{
    (void)state;
    static const struct variant v = {SMALL_CNN, {NULL}, 2};
    struct shown serial = run_on(NULL, &v, "engine.pipeline=none", NULL);
    struct shown refused = run_flight(FLIGHT_REFUSES, 0, &v, "engine.pipeline=3");
    assert_same(&serial, &refused, "refused", 0);
    assert_int_equal(flight_counts().captures, 3);
    assert_int_equal(flight_counts().replays, 0);
    shown_free(&serial);
    shown_free(&refused);
}

/* A preview goes from the last stage to the first: one lane only, in flight and captured. */
static void a_preview_stays_in_one_lane(void **state)
{
    (void)state;
    static const struct variant v = {SMALL_FF_HARD, {NULL}, 2};
    struct shown serial = run_on(NULL, &v, "engine.pipeline=auto", NULL);
    struct shown late = run_flight(FLIGHT_ORDERED, 150, &v, "engine.pipeline=auto");
    struct shown captured = run_flight(FLIGHT_CAPTURES, 60, &v, "engine.pipeline=auto");
    assert_same(&serial, &late, "late", 0);
    assert_same(&serial, &captured, "captured", 0);
    shown_free(&serial);
    shown_free(&late);
    shown_free(&captured);
}

/* The tests above can fail: without waits a stage reads what is not there yet. */
static void without_waits_it_is_another_run(void **state)
{
    (void)state;
    if (UNDER_TSAN) skip();
    for (int lanes = 2; lanes <= 3; lanes++) {
        char set[32];
        snprintf(set, sizeof set, "engine.pipeline=%d", lanes);
        struct shown serial = run_on(NULL, &variants[0], "engine.pipeline=none", NULL);
        struct flight flight = flight_open(FLIGHT_CARELESS, 2, 300);
        const char *const sets[] = {set, variants[0].set[0]};
        struct small_net *net = small_net_open_on(flight.backend, SMALL_MLP, sets, 2, 2, DTYPE_F32, 5);
        hff_status status = HFF_OK;
        for (int s = 0; s < STEPS && status == HFF_OK; s++) {
            small_net_draw(net, s);
            status = engine_step(net->setup.engine, &net->batch);
        }
        if (status == HFF_OK) status = engine_drain(net->setup.engine); /* numbers may have gone wrong altogether */
        struct kept *kept;
        int count;
        size_t bytes;
        unsigned char *all = small_net_tensors(net, 0, &kept, &count, &bytes);
        assert_int_equal(bytes, serial.bytes[0]);
        assert_true(status != HFF_OK || memcmp(all, serial.tensors[0], bytes) != 0);
        free(all);
        free(kept);
        small_net_close(net);
        backend_close(flight.inner);
        shown_free(&serial);
    }
}

/* Trains until it goes wrong at that step, then drains; the message. */
static const char *wrong_at(const char *pipeline, int wrong, int steps, char *out, size_t size)
{
    const char *const sets[] = {pipeline};
    struct small_net *net = small_net_open(SMALL_MLP, sets, 1, 2, DTYPE_F32, 5);
    hff_status status = HFF_OK;
    for (int s = 1; s <= steps && status == HFF_OK; s++) {
        small_net_draw(net, s);
        if (s == wrong) net->batch.images[3] = INFINITY;
        status = engine_step(net->setup.engine, &net->batch);
    }
    if (status == HFF_OK) status = engine_drain(net->setup.engine);
    assert_int_equal(status, HFF_E_NUMBERS);
    snprintf(out, size, "%s", hff_error_message());
    small_net_close(net);
    return out;
}

/* The first stage at its step, as serially; exactly where the step is still there, else with what a later one shows. */
static void bad_numbers_are_named(void **state)
{
    (void)state;
    char serial[1024], lanes[1024];
    wrong_at("engine.pipeline=none", 4, 4, serial, sizeof serial);
    wrong_at("engine.pipeline=3", 4, 4, lanes, sizeof lanes);
    assert_string_equal(serial, lanes);
    assert_non_null(strstr(serial, "stage 1 (linear 40), step 4: op linear (forward, instruction 1)"));
    wrong_at("engine.pipeline=2", 4, 5, lanes, sizeof lanes);
    assert_string_equal(serial, lanes);
    wrong_at("engine.pipeline=3", 4, 9, lanes, sizeof lanes);
    assert_non_null(strstr(lanes, "stage 1 (linear 40), step 4: the gradient was not finite"));
    assert_non_null(strstr(lanes, "step 9 shows no op"));
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *set[2], *say;
    } cases[] = {
        {SMALL_FF_HARD, {"engine.pipeline=2", "run.seed=2"}, "what the last one says of the same batch"},
        {SMALL_MLP, {"engine.pipeline=2", "engine.schedule=sequential"}, "a step trains one stage only"},
        {SMALL_MLP, {"engine.pipeline=2", "run.micro_batch=12"}, "before any of them learns"},
        {SMALL_MLP, {"engine.pipeline=4", "run.seed=2"}, "the net has 3 stages"},
    };
    for (int i = 0; i < 4; i++) {
        struct setup setup = {0};
        struct shape input = {3, {1, 12, 12}};
        SMALL_OK(config_parse(&setup.config, config_tables, "test", cases[i].text, cases[i].set, 2));
        SMALL_OK(setup_options(&setup));
        assert_int_equal(setup_open_for(&setup, &input, 5, 20), HFF_E_CONFIG);
        assert_non_null(strstr(hff_error_message(), cases[i].say));
        assert_non_null(strstr(hff_error_message(), "--set engine.pipeline"));
        setup_close(&setup);
        /* to predict with it there is nothing to pipeline */
        SMALL_OK(config_parse(&setup.config, config_tables, "test", cases[i].text, cases[i].set, 2));
        SMALL_OK(setup_options(&setup));
        SMALL_OK(setup_open_for(&setup, &input, 5, 0));
        setup_close(&setup);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_are_serial),
        cmocka_unit_test(bf16_lanes_are_serial),
        cmocka_unit_test(late_streams_change_nothing),
        cmocka_unit_test(replays_are_serial),
        cmocka_unit_test(captured_steps_run_no_op),
        cmocka_unit_test(a_refused_capture_changes_nothing),
        cmocka_unit_test(a_preview_stays_in_one_lane),
        cmocka_unit_test(without_waits_it_is_another_run),
        cmocka_unit_test(bad_numbers_are_named),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
