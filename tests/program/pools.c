/* A head's two pools: one where they average equal windows of equal windows side by side, two elsewhere. */
#include "support/small_net.h"

static const char text[] = "run: {batch: 8, slices: 2, backend: ref}\n"
                           "net: {stages: [{conv: {channels: 6}}]}\n"; /* 12 x 12 */

static int pools(const struct small_net *net)
{
    const struct program *program = net->setup.engine->stage[0].program;
    int count = 0;
    for (int i = 0; i < program->count[SECTION_HEAD]; i++)
        count += program->section[SECTION_HEAD][i].op->desc.kind == OP_APOOL;
    return count;
}

static void as_many_as_it_takes(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int pools;
    } cases[] = {
        {"objective.head={pool: 6, aux: 0, grid: 2}", 1},
        {"objective.head={pool: 6, aux: 0, aux_act: relu, grid: 3}", 1},
        {"objective.head={pool: 4, aux: 5, grid: 2}", 1},
        {"objective.head={pool: 0, aux: 0, grid: 4}", 1},
        {"objective.head={pool: 6, aux: 0, grid: 6}", 1},
        {"objective.head={pool: 12, aux: 0, grid: 2}", 1},
        {"objective.head={pool: 5, aux: 0, grid: 1}", 2}, /* windows of unequal size */
        {"objective.head={pool: 6, aux: 0, grid: 4}", 2}, /* windows that overlap */
        {"objective.head={pool: 6, aux: 5, aux_act: relu, grid: 2}", 2},
        {"objective.head={pool: 6, aux: 5, aux_kernel: 3, grid: 2}", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct small_net *net = small_net_open(text, &cases[i].head, 1, 1, DTYPE_F64, 1);
        if (pools(net) != cases[i].pools) fail_msg("%s: %d pools", cases[i].head, pools(net));
        small_net_close(net);
    }
}

/* Trains and returns the parameters of the stage, n of them. */
static double *trained(const char *head, size_t *n)
{
    struct small_net *net = small_net_open(text, &head, 1, 1, DTYPE_F64, 1);
    struct kept *kept;
    int count;
    size_t bytes;
    small_net_train(net, 3);
    double *all = (double *)(void *)small_net_tensors(net, 0, &kept, &count, &bytes);
    *n = bytes / sizeof *all;
    free(kept);
    small_net_close(net);
    return all;
}

/* 12 to 6 to 2 in one; and 12 to 5 to 1 is not the mean of 12. */
static void same_result(void **state)
{
    (void)state;
    size_t n, m;
    double *one = trained("objective.head={pool: 6, aux: 0, grid: 2}", &n);
    double *plain = trained("objective.head={pool: 0, aux: 0, grid: 2}", &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, plain, n * sizeof *one);
    free(one);
    free(plain);
    one = trained("objective.head={pool: 5, aux: 0, grid: 1}", &n);
    plain = trained("objective.head={pool: 0, aux: 0, grid: 1}", &m);
    assert_int_equal(n, m);
    assert_memory_not_equal(one, plain, n * sizeof *one);
    free(one);
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_many_as_it_takes), cmocka_unit_test(same_result)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
