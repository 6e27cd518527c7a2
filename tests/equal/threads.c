/* The number of threads never changes a bit: parameters, moments and scores after some steps, for an MLP and a CNN,
 * with activations in f32 and in bf16. */
#include "support/small_net.h"

static void same_for_all_threads_with(const char *text, const char *dtype, const char *set)
{
    const char *const sets[] = {dtype, set};
    static const int threads[] = {1, 2, 3, 4};
    unsigned char *first[2] = {NULL, NULL};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct small_net *net = small_net_open(text, sets, 2, threads[t], DTYPE_F32, 1);
        small_net_train(net, 5);
        for (int moments = 0; moments < 2; moments++) {
            struct kept *kept;
            int count;
            size_t bytes;
            unsigned char *all = small_net_tensors(net, moments, &kept, &count, &bytes);
            assert_true(count > 5 && bytes > 1000);
            if (!first[moments]) {
                first[moments] = all;
                all = NULL;
            } else {
                const unsigned char *at = first[moments], *now = all;
                for (int i = 0; i < count; i++) {
                    size_t n = tensor_bytes(&kept[i].tensor);
                    if (memcmp(at, now, n) != 0)
                        fail_msg("%s: %s differs between 1 and %d threads", set, kept[i].name, threads[t]);
                    at += n;
                    now += n;
                }
            }
            free(all);
            free(kept);
        }
        small_net_close(net);
    }
    free(first[0]);
    free(first[1]);
}

static void same_for_all_threads(const char *text, const char *dtype)
{
    same_for_all_threads_with(text, dtype, "objective.kind=hff");
}

static void rivals_in(const char *dtype)
{
    same_for_all_threads_with(SMALL_FIVES, dtype, "objective.kind=cwc");
    same_for_all_threads_with(SMALL_FIVES, dtype, "objective={kind: softmax, smoothing: 0.1, sim: {beta: 0.6}}");
    same_for_all_threads_with(SMALL_MLP, dtype, "objective={sim: {beta: 0.6}}");
    same_for_all_threads_with(SMALL_RESIDUAL, dtype, "net.partition=layer");
    same_for_all_threads_with(SMALL_CNN, dtype, "net={partition: whole, between: l2}");
    same_for_all_threads_with(SMALL_CNN, dtype, "run.micro_batch=8");
    same_for_all_threads_with(SMALL_FF_HARD, dtype, "run.micro_batch=4");
    same_for_all_threads_with(SMALL_RESIDUAL "engine: {recompute: auto}\n", dtype,
                              "net={partition: whole, between: l2}");
}

static void rivals(void **state)
{
    (void)state;
    rivals_in("run.dtype=f32");
}

static void rivals_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    rivals_in("run.dtype=bf16");
}

static void mlp(void **state)
{
    (void)state;
    same_for_all_threads(SMALL_MLP, "run.dtype=f32");
}

static void cnn(void **state)
{
    (void)state;
    same_for_all_threads(SMALL_CNN, "run.dtype=f32");
}

static void mlp_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    same_for_all_threads(SMALL_MLP, "run.dtype=bf16");
}

static void cnn_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    same_for_all_threads(SMALL_CNN, "run.dtype=bf16");
}

static void ff(void **state)
{
    (void)state;
    same_for_all_threads(SMALL_FF_HARD, "run.dtype=f32");
}

static void ff_cnn(void **state)
{
    (void)state;
    same_for_all_threads(SMALL_FF_CNN, "objective.ff.negatives=hard");
}

static void ff_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    same_for_all_threads(SMALL_FF_HARD, "run.dtype=bf16");
    same_for_all_threads(SMALL_FF_CNN, "run.dtype=bf16");
}

/* The same seed gives the same start; another one does not. */
static void seeds(void **state)
{
    (void)state;
    unsigned char *all[3];
    static const uint64_t seed[3] = {1, 1, 2};
    size_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        struct small_net *net = small_net_open(SMALL_CNN, NULL, 0, 2, DTYPE_F32, seed[i]);
        struct kept *kept;
        int count;
        all[i] = small_net_tensors(net, 0, &kept, &count, &bytes);
        free(kept);
        small_net_close(net);
    }
    assert_memory_equal(all[0], all[1], bytes);
    assert_memory_not_equal(all[0], all[2], bytes);
    for (int i = 0; i < 3; i++) free(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp),    cmocka_unit_test(cnn),    cmocka_unit_test(mlp_bf16),    cmocka_unit_test(cnn_bf16),
        cmocka_unit_test(seeds),  cmocka_unit_test(rivals), cmocka_unit_test(rivals_bf16), cmocka_unit_test(ff),
        cmocka_unit_test(ff_cnn), cmocka_unit_test(ff_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
