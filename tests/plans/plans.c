/* A cuDNN plan for every convolution of every shipped config, for GPUs that are not here: the cuda backend builds each
 * config's programs on devices that are only described (calls.h with cuDNN's plans behind it, and nothing that runs). */
#include "backend/cuda/device/cudnn.h"
#include "train/setup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef fail
hff_status fail(hff_status status, const char *format, ...);

/* What the heuristics ask of a device; numbers from data sheets. */
static const struct {
    const char *name;
    int capability, multiprocessors, shared, l2, clock, memory_clock;
    long long memory;
} gpus[] = {
    {"NVIDIA A100-SXM4-80GB", 80, 108, 166912, 41943040, 1410000, 1593000, 84987740160},
    {"NVIDIA H100 80GB HBM3", 90, 132, 232448, 52428800, 1980000, 2619000, 85029158912},
};
enum { GPUS = sizeof gpus / sizeof gpus[0] };

static struct {
    struct cudnn_device *device;
    int gpu, plans, fused, wide; /* wide: weight gradients in f32 of bf16 activations */
    int seen;
    struct cuda_conv_desc desc[512];
    struct cudnn_plan *plan[512];
} now;

static hff_status describe(int gpu)
{
    char json[2048];
    snprintf(json, sizeof json,
             "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"
             "\"multiProcessorCount\":%d,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
             "\"maxSharedMemoryPerBlockOptin\":%d,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"
             "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"
             "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":%lld,\"smClockRateKHz\":%d,"
             "\"memClockRateKHz\":%d,\"l2CacheSize\":%d,\"cudaDeviceId\":0,\"deviceVer\":%d,\"driverVer\":13000,"
             "\"deviceName\":\"%s\"}",
             gpus[gpu].multiprocessors, gpus[gpu].shared, gpus[gpu].memory, gpus[gpu].clock, gpus[gpu].memory_clock,
             gpus[gpu].l2, gpus[gpu].capability * 10, gpus[gpu].name);
    now.gpu = gpu;
    return cudnn_device_described(json, &now.device);
}

static hff_status find(struct cuda_device *out)
{
    *out = (struct cuda_device){.capability = gpus[now.gpu].capability, .memory = (size_t)gpus[now.gpu].memory};
    snprintf(out->name, sizeof out->name, "%s, described", gpus[now.gpu].name);
    return HFF_OK;
}

static hff_status use(int index)
{
    (void)index;
    return HFF_OK;
}

static hff_status memory_left(size_t *bytes)
{
    *bytes = (size_t)gpus[now.gpu].memory;
    return HFF_OK;
}

static hff_status take(size_t bytes, void **out)
{
    *out = calloc(1, bytes);
    return *out ? HFF_OK : fail(HFF_E_MEMORY, "no memory");
}

static hff_status take_stream(kernel_stream *out)
{
    *out = NULL;
    return HFF_OK;
}

static hff_status take_event(void **out)
{
    return take(1, out);
}

static hff_status library_open(const struct cuda_device *device, struct cuda_library **out)
{
    (void)device;
    *out = NULL;
    return HFF_OK;
}

static void library_close(struct cuda_library *library)
{
    (void)library;
}

static hff_status lane_open(struct cuda_library *library, kernel_stream stream, struct cuda_lane **out)
{
    (void)library;
    (void)stream;
    *out = NULL;
    return HFF_OK;
}

static void lane_close(struct cuda_lane *lane)
{
    (void)lane;
}

static hff_status conv_plan(struct cuda_library *library, const struct cuda_conv_desc *desc, int from,
                            struct cuda_conv **out)
{
    (void)library;
    assert_int_equal(from, 0); /* nothing can be tried here */
    *out = NULL;
    struct cuda_conv_desc *own = &now.desc[now.seen];
    struct cudnn_plan *plan = NULL;
    for (int i = 0; i < now.seen && !plan; i++)
        if (memcmp(&now.desc[i], desc, sizeof *desc) == 0) plan = now.plan[i];
    if (!plan) {
        hff_status status = cudnn_plan_make(now.device, desc, 0, &plan);
        if (status != HFF_OK) return status;
        assert_true(now.seen < 512);
        memcpy(own, desc, sizeof *own);
        now.plan[now.seen++] = plan;
    }
    now.plans++;
    now.fused += desc->bias;
    now.wide += desc->kind == CUDA_CONV_WEIGHT && desc->dtype == DTYPE_BF16 && desc->result == DTYPE_F32;
    *out = (struct cuda_conv *)plan;
    return HFF_OK;
}

static int conv_number(const struct cuda_conv *conv)
{
    return cudnn_plan_number((const struct cudnn_plan *)conv);
}

static size_t conv_workspace(const struct cuda_conv *conv)
{
    return cudnn_plan_workspace((const struct cudnn_plan *)conv);
}

static void conv_destroy(struct cuda_conv *conv)
{
    (void)conv; /* kept for the next config */
}

static hff_status product_plan(struct cuda_library *library, const struct cuda_product_desc *desc,
                               struct cuda_product **out)
{
    (void)library;
    (void)desc;
    void *made;
    hff_status status = take(1, &made);
    *out = made;
    return status;
}

static size_t product_workspace(const struct cuda_product *product)
{
    (void)product;
    return 0;
}

static void product_destroy(struct cuda_product *product)
{
    free(product);
}

static void free_stream(kernel_stream stream)
{
    (void)stream;
}

const struct cuda_calls cuda_calls = {.find = find,
                                      .use = use,
                                      .memory_left = memory_left,
                                      .alloc = take,
                                      .free = free,
                                      .pinned_alloc = take,
                                      .pinned_free = free,
                                      .stream_create = take_stream,
                                      .stream_destroy = free_stream,
                                      .event_create = take_event,
                                      .event_destroy = free,
                                      .library_open = library_open,
                                      .library_close = library_close,
                                      .lane_open = lane_open,
                                      .lane_close = lane_close,
                                      .conv_plan = conv_plan,
                                      .conv_number = conv_number,
                                      .conv_workspace = conv_workspace,
                                      .conv_destroy = conv_destroy,
                                      .product_plan = product_plan,
                                      .product_workspace = product_workspace,
                                      .product_destroy = product_destroy};

/* Every config with the images that its data source has. */
static const struct {
    const char *path;
    int64_t channels, side;
    int classes;
} configs[] = {
    {"digits_cnn", 1, 28, 10},          {"digits_mlp", 1, 28, 10},          {"digits_ff", 1, 28, 10},
    {"paper/mnist_mlp", 1, 28, 10},     {"paper/fashion_mlp", 1, 28, 10},   {"paper/cifar10_mlp", 3, 32, 10},
    {"paper/cifar100_mlp", 3, 32, 100}, {"paper/cifar10_cnn", 3, 32, 10},   {"paper/cifar100_cnn", 3, 32, 100},
    {"paper/mnist_ff", 1, 28, 10},      {"bench/headline_40x", 1, 28, 100}, {"bench/head", 1, 28, 10},
    {"bench/vgg8b", 3, 32, 10},         {"bench/conv_infer", 3, 32, 1000},  {"bench/cifar10_gpu", 3, 32, 10},
};

static void one_config(size_t i, const char *dtype)
{
    struct setup setup = {0};
    char path[512], set[64];
    snprintf(path, sizeof path, "%s/configs/%s.yaml", getenv("HFF_SOURCE_DIR"), configs[i].path);
    snprintf(set, sizeof set, "run.dtype=%s", dtype);
    const char *const sets[] = {"run.backend=cuda", set};
    struct shape input = {3, {configs[i].channels, configs[i].side, configs[i].side}};
    now.plans = now.fused = now.wide = 0;
    hff_status status = config_load(&setup.config, config_tables, path, sets, 2);
    if (status == HFF_OK) status = setup_options(&setup);
    if (status == HFF_OK) status = setup_open_for(&setup, &input, configs[i].classes, 100);
    print_message("%s, %s, %s: %d convolutions, %d with bias, %d f32 gradients%s%s\n", gpus[now.gpu].name,
                  configs[i].path, dtype, now.plans, now.fused, now.wide, status == HFF_OK ? "" : "; ",
                  status == HFF_OK ? "" : hff_error_message());
    setup_close(&setup);
    assert_int_equal(status, HFF_OK);
}

static void plans(void **state)
{
    static const char *const dtypes[] = {"f32", "tf32", "bf16"};
    (void)state;
    if (cudnn_version() < 90800) {
        print_message("cuDNN %zu cannot plan for a device that is only described (9.8 can)\n", cudnn_version());
        skip();
    }
    setenv("HFF_DATA", "/nonexistent", 0); /* configs name it; no data is read */
    int all = 0;
    for (int gpu = 0; gpu < GPUS; gpu++) {
        now.seen = 0;
        assert_int_equal(describe(gpu), HFF_OK);
        for (int d = 0; d < 3; d++)
            for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) one_config(i, dtypes[d]);
        for (int k = 0; k < now.seen; k++) cudnn_plan_free(now.plan[k]);
        all += now.seen;
        cudnn_device_free(now.device);
    }
    print_message("%d plans of %d\n", all, GPUS);
    assert_true(all > 100);
}

/* Walks over all plans of a convolution, as autotune does: each is given again to who asks for its number. Returns how many
 * there are. */
static int walk(const struct cuda_conv_desc *desc)
{
    struct cudnn_plan *plan, *again;
    int plans = 0;
    for (int from = 0; from < CUDA_LATE && cudnn_plan_make(now.device, desc, from, &plan) == HFF_OK; plans++) {
        int number = cudnn_plan_number(plan);
        assert_true(number >= from);
        assert_int_equal(cudnn_plan_make(now.device, desc, number, &again), HFF_OK);
        assert_int_equal(cudnn_plan_number(again), number);
        assert_int_equal(cudnn_plan_engine(again), cudnn_plan_engine(plan));
        assert_int_equal(cudnn_plan_workspace(again), cudnn_plan_workspace(plan));
        cudnn_plan_free(plan);
        cudnn_plan_free(again);
        from = number + 1;
    }
    return plans;
}

/* Shapes beyond the configs': strides, 1 x 1, other numbers of channels; with a bias and a gradient in f32 where there is
 * such a plan, without where there is not. */
static void shapes(void **state)
{
    static const struct {
        int64_t in, side, out;
        int kernel, stride, pad;
    } rows[] = {{8, 32, 64, 3, 1, 1},  {64, 32, 128, 3, 2, 1}, {64, 16, 128, 1, 1, 0}, {128, 16, 128, 1, 2, 0},
                {24, 13, 40, 5, 1, 2}, {512, 4, 512, 3, 1, 1}, {8, 28, 16, 7, 2, 3}};
    (void)state;
    if (cudnn_version() < 90800) skip();
    for (int gpu = 0; gpu < GPUS; gpu++) {
        int with_bias[3] = {0}, wide = 0, all = 0, walked = 0; /* by f32, tf32, bf16 */
        assert_int_equal(describe(gpu), HFF_OK);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            for (int mode = 0; mode < 9; mode++) {
                int64_t side = (rows[i].side + 2 * rows[i].pad - rows[i].kernel) / rows[i].stride + 1;
                struct cuda_conv_desc d = {.kind = (enum cuda_conv_kind)(mode % 3),
                                           .dtype = mode / 3 == 2 ? DTYPE_BF16 : DTYPE_F32,
                                           .precision = mode / 3 == 1 ? PRECISION_TF32 : PRECISION_F32,
                                           .batch = 128,
                                           .in = rows[i].in,
                                           .height = rows[i].side,
                                           .width = rows[i].side,
                                           .out = rows[i].out,
                                           .out_height = side,
                                           .out_width = side,
                                           .kernel = rows[i].kernel,
                                           .stride = rows[i].stride,
                                           .pad = rows[i].pad};
                struct cudnn_plan *plan;
                d.result = d.dtype;
                hff_status status = cudnn_plan_make(now.device, &d, 0, &plan);
                if (status != HFF_OK) print_message("%s\n", hff_error_message());
                assert_int_equal(status, HFF_OK);
                cudnn_plan_free(plan);
                all++;
                int choice = walk(&d);
                assert_true(choice > 0);
                walked += choice;
                if (d.kind == CUDA_CONV_DATA || (d.kind == CUDA_CONV_WEIGHT && d.dtype == DTYPE_F32)) continue;
                if (d.kind == CUDA_CONV) d.bias = 1;
                d.result = DTYPE_F32;
                if (d.kind == CUDA_CONV) d.result = d.dtype;
                if (cudnn_plan_make(now.device, &d, 0, &plan) != HFF_OK) continue;
                with_bias[mode / 3] += d.bias;
                wide += !d.bias;
                cudnn_plan_free(plan);
            }
        print_message("%s: %d plans of %d; of 7 with bias %d in f32, %d in tf32, %d in bf16; %d of 7 with an f32 "
                      "gradient of bf16\n",
                      gpus[gpu].name, all, walked, with_bias[0], with_bias[1], with_bias[2], wide);
        cudnn_device_free(now.device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans), cmocka_unit_test(shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
