/* Schedule sequential: a step changes the stage whose turn it is, and not a byte of any other. */
#include "support/small_net.h"

enum { EACH = 3 };

/* All kept tensors of the model and of the optimizer, stage by stage. */
struct image {
    unsigned char *bytes[2];
    struct kept *kept[2];
    int count[2];
};

static struct image take(struct small_net *net)
{
    struct image image;
    size_t bytes;
    for (int m = 0; m < 2; m++) image.bytes[m] = small_net_tensors(net, m, &image.kept[m], &image.count[m], &bytes);
    return image;
}

static void release(struct image *image)
{
    for (int m = 0; m < 2; m++) {
        free(image->bytes[m]);
        free(image->kept[m]);
    }
}

static int stage_of(const struct kept *kept)
{
    int stage = -1;
    assert_int_equal(sscanf(kept->name, "stage.%d.", &stage), 1);
    return stage - 1;
}

/* How many tensors of the stage, or with the sign turned of the others, differ. */
static int differences(const struct image *a, const struct image *b, int stage, int others)
{
    int count = 0;
    for (int m = 0; m < 2; m++) {
        const unsigned char *x = a->bytes[m], *y = b->bytes[m];
        for (int i = 0; i < a->count[m]; i++) {
            size_t n = tensor_bytes(&a->kept[m][i].tensor);
            int differs = memcmp(x, y, n) != 0;
            if ((stage_of(&a->kept[m][i]) == stage) == !others) count += differs;
            if (differs && others && stage_of(&a->kept[m][i]) != stage) print_error("%s changed\n", a->kept[m][i].name);
            x += n;
            y += n;
        }
    }
    return count;
}

static struct small_net *open_net(const char *text, const char *set, const char *schedule)
{
    const char *const sets[] = {set, schedule};
    struct small_net *net = small_net_open(text, sets, 2, 2, DTYPE_F32, 3);
    net->setup.engine->stage_steps = EACH;
    return net;
}

static const struct {
    const char *text, *set;
} nets[] = {{SMALL_MLP, "objective.kind=hff"},
            {SMALL_CNN, "objective.kind=hff"},
            {SMALL_CNN, "net.between=l2"},
            {SMALL_RESIDUAL, "objective.kind=hff"},
            {SMALL_FIVES, "objective.kind=softmax"},
            {SMALL_FIVES, "objective.kind=cwc"},
            {SMALL_FIVES, "objective={sim: {beta: 0.5}}"},
            {SMALL_FF, "objective.ff.predict=batched"},
            {SMALL_FF, "objective.ff.predict=readout"},
            {SMALL_FF_HARD, "objective.ff.loss=symba"},
            {SMALL_FF_CNN, "objective.ff.negatives=hard"}};
enum { NETS = sizeof nets / sizeof *nets };

/* Running statistics and moments too; and in its turn every stage learns. */
static void only_one_stage_learns(void **state)
{
    (void)state;
    for (int t = 0; t < NETS; t++) {
        struct small_net *net = open_net(nets[t].text, nets[t].set, "engine.schedule=sequential");
        struct engine *engine = net->setup.engine;
        float *scores = calloc((size_t)engine->stages * 24 * 5, sizeof *scores);
        for (int step = 0; step < EACH * engine->stages; step++) {
            struct image before = take(net), after;
            struct stage_metrics metrics;
            small_net_draw(net, step);
            SMALL_OK(engine_step(engine, &net->batch));
            SMALL_OK(engine_evaluate(engine, &net->batch, scores));
            after = take(net);
            assert_int_equal(differences(&before, &after, step / EACH, 1), 0);
            assert_true(differences(&before, &after, step / EACH, 0) > 2);
            assert_int_equal(engine->evaluated, step / EACH + 1);
            assert_int_equal(engine_steps(engine), step + 1);
            for (int s = 0; s < engine->stages; s++) {
                SMALL_OK(engine_metrics(engine, s, 0, 1, &metrics));
                assert_int_equal(metrics.samples > 0, s == step / EACH); /* frozen stages count nothing */
                assert_int_equal(engine->stage[s].step, s < step / EACH    ? EACH
                                                        : s == step / EACH ? step % EACH + 1
                                                                           : 0);
            }
            release(&before);
            release(&after);
        }
        free(scores);
        small_net_close(net);
    }
}

/* Stage 1 has nothing before it: what it learns in its turn is what it learns beside the others, unless it looks at what
 * they say. A net of one stage is the same whole. */
static void the_first_stage_learns_as_ever(void **state)
{
    (void)state;
    for (int t = 0; t < NETS; t++) {
        if (strcmp(nets[t].text, SMALL_FF_HARD) == 0 || strstr(nets[t].set, "hard")) continue;
        struct small_net *alone = open_net(nets[t].text, nets[t].set, "engine.schedule=sequential"),
                         *joint = open_net(nets[t].text, nets[t].set, "engine.schedule=joint");
        small_net_train(alone, EACH);
        small_net_train(joint, EACH);
        struct image a = take(alone), b = take(joint);
        assert_int_equal(differences(&a, &b, 0, 0), 0);
        assert_true(differences(&a, &b, 1, 0) > 0);
        release(&a);
        release(&b);
        small_net_close(alone);
        small_net_close(joint);
    }
    static const char *const one[] = {"net.stages=[{linear: {units: 30}}]", "net.partition=whole",
                                      "net.stages=[{linear: {units: 30}}]"};
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN, SMALL_FF_HARD};
    for (int t = 0; t < 3; t++) {
        struct small_net *alone = open_net(texts[t], one[t], "engine.schedule=sequential"),
                         *joint = open_net(texts[t], one[t], "engine.schedule=joint");
        assert_int_equal(alone->setup.engine->stages, 1);
        small_net_train(alone, 2 * EACH);
        small_net_train(joint, 2 * EACH);
        struct image a = take(alone), b = take(joint);
        assert_int_equal(differences(&a, &b, 0, 0), 0);
        release(&a);
        release(&b);
        small_net_close(alone);
        small_net_close(joint);
    }
}

/* What a stage receives. */
static size_t received(struct engine *engine, int stage, unsigned char *out)
{
    const struct stage_run *run = &engine->stage[stage];
    const struct slot *slot = &run->program->slot[run->input];
    const void *from = program_address(run->program, run->input);
    SMALL_OK(engine->backend->api->copy_out(engine->stream, out, from, slot->bytes));
    SMALL_OK(engine->backend->api->stream_wait(engine->stream));
    return slot->bytes;
}

/* Frozen stages pass on what they pass on in an evaluation, with their running statistics. */
static void frozen_is_evaluation(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN, SMALL_RESIDUAL, SMALL_FIVES};
    for (int t = 0; t < 4; t++) {
        struct small_net *net = open_net(texts[t], "optimizer.lr=0.01", "engine.schedule=sequential");
        struct engine *engine = net->setup.engine;
        size_t room = engine->bytes[ARENA_INPUT] + engine->bytes[ARENA_OUTPUT];
        unsigned char *frozen = calloc(room, 1), *evaluated = calloc(room, 1);
        for (int step = 0; step < EACH * engine->stages; step++) {
            int turn = step / EACH;
            small_net_draw(net, step);
            SMALL_OK(engine_step(engine, &net->batch));
            if (turn == 0) continue;
            size_t bytes = received(engine, turn, frozen);
            engine->evaluated = turn;
            SMALL_OK(engine_evaluate(engine, &net->batch, NULL));
            assert_int_equal(received(engine, turn, evaluated), bytes);
            assert_memory_equal(frozen, evaluated, bytes);
        }
        assert_int_equal(engine->stage[engine->stages - 1].program->count[SECTION_FROZEN], 0);
        free(frozen);
        free(evaluated);
        small_net_close(net);
    }
}

/* Hard negatives come from the stages so far, from the first step on. */
static void hard_negatives_look_at_the_stages_so_far(void **state)
{
    (void)state;
    static const char *const later = "net.stages[2].objective={ff: {theta: 10}}",
                             *even = "objective.ff.negatives=uniform";
    for (int turn = 0; turn < 3; turn++) {
        struct small_net *net[3] = {open_net(SMALL_FF_HARD, "run.seed=1", "engine.schedule=sequential"),
                                    open_net(SMALL_FF_HARD, later, "engine.schedule=sequential"),
                                    open_net(SMALL_FF_HARD, even, "engine.schedule=sequential")};
        struct image image[3];
        for (int i = 0; i < 3; i++) {
            small_net_train(net[i], EACH * (turn + 1));
            image[i] = take(net[i]);
        }
        assert_int_equal(differences(&image[0], &image[1], turn, 0) > 0, turn == 2);
        assert_int_equal(image[2].count[0] < image[0].count[0], 1); /* no read-out */
        for (int i = 0; i < 3; i++) {
            release(&image[i]);
            small_net_close(net[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_stage_learns), cmocka_unit_test(the_first_stage_learns_as_ever),
        cmocka_unit_test(frozen_is_evaluation), cmocka_unit_test(hard_negatives_look_at_the_stages_so_far)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
