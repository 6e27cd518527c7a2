/* The op table, descriptions' checks and texts, activations, choosing a backend. */
#include "support/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

static void every_row(void **state)
{
    (void)state;
    for (int k = 0; k < OP_KINDS; k++) {
        const struct op_info *info = &op_table[k];
        assert_non_null(info->name);
        assert_in_range(info->args, 2, OP_ARGS);
        int outputs = 0;
        for (int a = 0; a < info->args; a++) {
            assert_non_null(info->arg[a].name);
            assert_non_null(info->arg[a].dims);
            outputs += !!(info->arg[a].access & ARG_OUT);
        }
        assert_true(outputs > 0);
        for (int other = 0; other < k; other++) assert_string_not_equal(info->name, op_table[other].name);
    }
}

static void counts(void **state)
{
    (void)state;
    struct op_desc d = desc_linear(OP_LINEAR, 1, 6, 5, 7, 1);
    assert_true(op_flops(&d) == 2 * 6 * 5 * 7);
    assert_true(op_bytes(&d) == 4 * (6 * 5 + 5 * 7 + 7 + 6 * 7));
    d = desc_linear(OP_LINEAR_DATA, 1, 6, 5, 7, 0);
    assert_true(op_flops(&d) == 2 * 6 * 5 * 7);
    d = desc_linear(OP_LINEAR_WEIGHT, 1, 6, 5, 7, 0);
    assert_true(op_flops(&d) == 2 * 6 * 5 * 7);
    static const enum op_kind convs[] = {OP_CONV, OP_CONV_DATA, OP_CONV_WEIGHT};
    for (int i = 0; i < 3; i++) {
        d = desc_conv(convs[i], 1, 4, 3, 5, 7, 9, 3, 2, 1, 0);
        assert_true(op_flops(&d) == 2.0 * 4 * 5 * 4 * 5 * 3 * 9);
    }
    d = desc_hff(1, (struct hff_sizes){6, 5, 2, 7}, HFF_LOSS_SOFTMAX, 0, 0, 1, 0, 0);
    assert_true(op_flops(&d) == 3 * 2 * 6 * 5 * 2 * 7);
    d = desc_hff_eval(1, (struct hff_sizes){6, 5, 2, 7}, HFF_LOSS_SOFTMAX);
    assert_true(op_flops(&d) == 2 * 6 * 5 * 2 * 7);
    d = desc_norm(OP_NORM, 1, f32_2(6, 5), ACT_NONE); /* both running statistics are read and written */
    assert_true(op_flops(&d) == 0);
    assert_true(op_bytes(&d) == 4 * (2 * 6 * 5 + 4 * 5 + 2 * 2 * 5));
}

static void texts(void **state)
{
    (void)state;
    char text[256], small[12];
    struct op_desc d = desc_conv(OP_CONV_WEIGHT, 4, 8, 3, 5, 7, 9, 3, 2, 1, 0);
    assert_string_equal(op_text(&d, text, sizeof text),
                        "conv_weight f32 8x3x7x9, f32 8x5x4x5, f32 5x3x3x3, kernel 3 stride 2 pad 1, slices 4");
    assert_string_equal(op_text(&d, small, sizeof small), "conv_weight");
    d = desc_norm(OP_NORM_EVAL, 1, f32_2(6, 5), ACT_RELU);
    assert_non_null(strstr(op_text(&d, text, sizeof text), "act relu"));
    struct pool_window window = {POOL_AVERAGE, 3, 2};
    d = desc_norm_pool(OP_NORM_POOL_EVAL, 1, f32_4(6, 5, 7, 7), ACT_RELU, window, 0);
    assert_non_null(strstr(op_text(&d, text, sizeof text), "act relu, average kernel 3 stride 2"));
}

static void refuse(struct op_desc desc, const char *word)
{
    assert_int_equal(op_check(&desc), HFF_E_CONFIG);
    if (!strstr(hff_error_message(), word)) fail_msg("\"%s\" does not say \"%s\"", hff_error_message(), word);
}

static void checks(void **state)
{
    (void)state;
    struct op_desc good = desc_conv(OP_CONV_WEIGHT, 4, 8, 3, 5, 7, 9, 3, 2, 1, 1), bad = good;
    assert_int_equal(op_check(&good), HFF_OK);
    bad.arg[2] = (struct tensor){0};
    refuse(bad, "argument dw is missing");
    (bad = good).arg[1].dim[1] = 6;
    refuse(bad, "argument dw has a size");
    bad = good;
    bad.arg[3] = f32_1(4);
    refuse(bad, "argument dbias has a size");
    bad = good;
    bad.arg[1].dtype = DTYPE_F64;
    refuse(bad, "argument dy has another element type");
    bad = good;
    bad.arg[0].dtype = DTYPE_U8;
    refuse(bad, "argument x is neither f32 nor f64 nor bf16");
    bad = good;
    bad.arg[0].dtype = DTYPE_BF16; /* beside a dy in f32 */
    refuse(bad, "argument dy has another element type");
    bad.arg[1].dtype = DTYPE_BF16;
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.arg[3].dtype = DTYPE_BF16;
    refuse(bad, "argument dbias is neither f32 nor f64");
    bad.arg[3].dtype = bad.arg[2].dtype = DTYPE_F64;
    refuse(bad, "argument dw has another element type");
    bad = good;
    bad.arg[0].rank = 2;
    refuse(bad, "argument x has a wrong number of dimensions");
    bad = good;
    bad.slices = 3;
    refuse(bad, "3 slices");
    bad = good;
    bad.attr.conv.pad = 2;
    refuse(bad, "window");
    bad = good;
    bad.attr.conv.kernel = 5;
    refuse(bad, "kernel");
    bad = desc_norm(OP_NORM, 1, f32_2(6, 5), ACT_NONE);
    bad.arg[5] = (struct tensor){0};
    refuse(bad, "argument run_mean is missing");
    bad.arg[6] = (struct tensor){0};
    assert_int_equal(op_check(&bad), HFF_OK);
    bad = desc_act_apool(OP_ACT_APOOL_BACK, f32_4(2, 3, 5, 4), ACT_RELU, 2, 3);
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.arg[0] = (struct tensor){0};
    refuse(bad, "argument x is missing");
    bad.attr.act_apool.act = ACT_NONE;
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.attr.act_apool.columns = 2;
    refuse(bad, "argument dy has not a value for each channel and window");
    bad = (struct op_desc){.kind = OP_REORDERS, .arg = {f32_2(6, 4), f32_4(6, 2, 2, 1), f32_1(3)}};
    refuse(bad, "argument dst2 is missing");
    bad.arg[3] = f32_1(4);
    refuse(bad, "argument dst2 has not the elements of its source");
    bad.arg[3] = f32_1(3);
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.arg[6] = bad.arg[7] = f32_1(3);
    refuse(bad, "argument src3 is missing");
    refuse(desc_pool(OP_POOL_BACK, f32_4(1, 1, 4, 4), POOL_MAX, 2, 2, 0), "argument index is missing");
    struct pool_window window = {POOL_MAX, 2, 2};
    bad = desc_norm_pool(OP_NORM_POOL, 1, f32_4(2, 3, 5, 4), ACT_RELU, window, 1);
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.arg[6] = (struct tensor){0};
    refuse(bad, "argument run_var is missing");
    bad = desc_norm_pool(OP_NORM_POOL_EVAL, 1, f32_4(2, 3, 5, 4), ACT_RELU, window, 0);
    assert_int_equal(op_check(&bad), HFF_OK);
    bad.attr.norm.pool.stride = 1;
    refuse(bad, "window");
    refuse(desc_norm_pool(OP_NORM_POOL_BACK, 1, f32_4(2, 3, 5, 4), ACT_RELU, window, 0), "argument index is missing");
    refuse(desc_hff(1, (struct hff_sizes){6, 5, 2, 7}, HFF_LOSS_PAIRWISE, 0, 0.1, 1, 0, 0), "smoothing");
    bad = desc_hff(1, (struct hff_sizes){6, 5, 2, 7}, HFF_LOSS_SOFTMAX, 0, 0, 1, 0, 1);
    bad.arg[11] = tensor_make1(DTYPE_I64, 5);
    refuse(bad, "argument wins");
    bad = desc_hff(1, (struct hff_sizes){6, 5, 2, 7}, HFF_LOSS_SOFTMAX, 0, 0, 1, 0, 1);
    bad.arg[3].dtype = DTYPE_I64;
    refuse(bad, "argument y1 has the wrong element type");
    refuse(desc_energy(OP_ENERGY, f32_2(4, 10), 3), "groups do not divide");
    refuse(desc_energy(OP_DEVIATION, f32_4(4, 10, 1, 1), 10), "one position");
    bad = desc_cross_entropy(2, 8, 5, 0, 0);
    bad.attr.cross_entropy.global_batch = 7;
    refuse(bad, "global_batch");
}

static void activations(void **state)
{
    (void)state;
    char joined[256] = "";
    for (int i = 0; i < ACT_COUNT; i++) {
        assert_int_equal(act_parse(act_word((enum act)i)), i);
        if (i > 0) strcat(joined, "|");
        strcat(joined, act_word((enum act)i));
    }
    assert_string_equal(act_words, joined);
    assert_int_equal(act_parse("rel"), -1);
    assert_int_equal(act_parse(""), -1);
}

static void choosing(void **state)
{
    (void)state;
    struct backend *backend = NULL;
    assert_int_equal(backend_open("reff", 1, &backend), HFF_E_USAGE);
    assert_null(backend);
    assert_non_null(strstr(hff_error_message(), "\"ref\""));
    assert_int_equal(backend_open("something", 1, &backend), HFF_E_USAGE);
    assert_non_null(strstr(hff_error_message(), "auto, "));
    assert_int_equal(backend_open("auto", 2, &backend), HFF_OK);
    int first = 0;
    while (backends[first]->available() != HFF_OK) first++;
    assert_string_equal(backend->api->name, backends[first]->name);
    backend_close(backend);
    backend_close(NULL);
    for (int i = 0; backends[i]; i++) {
        if (backends[i]->available() != HFF_OK) continue;
        void *memory = NULL;
        assert_int_equal(backend_open(backends[i]->name, 1, &backend), HFF_OK);
        assert_true(backend->api->computes(backend, DTYPE_F32));
        assert_int_equal(backend->api->alloc(backend, SIZE_MAX - 3, &memory), HFF_E_MEMORY);
        struct op_desc bad = desc_linear(OP_LINEAR, 1, 6, 5, 7, 1);
        struct op *op = NULL;
        bad.arg[1] = (struct tensor){0};
        assert_int_equal(backend->api->op_create(backend, &bad, &op), HFF_E_CONFIG);
        backend_close(backend);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row),   cmocka_unit_test(counts),
                                       cmocka_unit_test(texts),       cmocka_unit_test(checks),
                                       cmocka_unit_test(activations), cmocka_unit_test(choosing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
