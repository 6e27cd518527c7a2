/* Runs one op on any backend with random inputs and compares the results with the reference in double.
 *
 * A case is a description (f32, plain) and what its inputs should look like. Backends that compute in bf16 run it a
 * second time with activations of that type; the truth then starts from the same rounded inputs. Values are kept as
 * plain arrays of double, whatever the element type (every f32, i32 and u8 fits), and are turned into the layout that a
 * backend wants and back.
 * Around every buffer lie guard bytes; outputs start as NaN; inputs must come back unchanged. */
#ifndef TESTS_SUPPORT_OP_HARNESS_H
#define TESTS_SUPPORT_OP_HARNESS_H

#include "backend/backend.h"

enum op_data {
    DATA_TIES = 1,     /* small integers: many equal values */
    DATA_DEAD = 2,     /* hff: some embeddings are 0 or nearly */
    DATA_MIXUP = 4,    /* hff: two labels and a weight */
    DATA_PADDING = 8,  /* hff_eval: samples of weight 0 that have no label */
    DATA_LATCHED = 16, /* updates: norm is latched */
    DATA_NOT_FINITE = 32 /* grad_norm: one element is infinite */,
    DATA_IN_PLACE = 64,     /* the row's "in place" arguments share their memory */
    DATA_MAY_BE_ZERO = 128, /* a result of zeros is right here (a derivative that vanishes) */
    DATA_BF16 = 256,        /* activations in bf16: harness_check adds it */
};

struct op_case {
    struct op_desc desc;
    int data;      /* enum op_data, joined */
    double scale;  /* hff: exp(log_scale); 0: 16 */
    int64_t pass;  /* TICK_PASS */
    uint64_t seed; /* 0: from the description */
    int device;    /* it runs on a device: harness_check sets it */
};

struct op_values {
    double *arg[OP_ARGS];        /* NULL where absent */
    unsigned char *raw[OP_ARGS]; /* outputs as they lay in the backend's memory */
    size_t raw_bytes[OP_ARGS];
    int narrow[OP_ARGS]; /* the backend chose bf16 for a result that the case has in f32 */
};

enum { HARNESS_BACKENDS = 8, HARNESS_WHY = 256 };

struct harness {
    struct backend *ref;
    struct backend *tested[HARNESS_BACKENDS][3]; /* each available backend with 1, 2 and 4 threads */
    int backends, cases, failed;
    int absent[OP_KINDS]; /* cases not tested because a backend has not got the op */
};

/* cmocka group setup and teardown: *state is the harness. */
int harness_open(void **state);
int harness_close(void **state);
/* Runs the case everywhere and compares; a failure prints one line and is counted. */
void harness_check(struct harness *h, const struct op_case *c);
/* Fails the test when a case has failed, or when there was none. */
void harness_finish(struct harness *h);

/* The element type of an argument on a backend that is not the reference. */
enum dtype case_dtype(const struct op_case *c, int arg);
/* Random inputs for the case; outputs are allocated and not set. */
void values_make(const struct op_case *c, struct op_values *values);
void values_free(struct op_values *values);
/* Runs desc (its real arguments as real) once; values in and out. 1 when all went well, else 0 and why. */
int harness_run(struct backend *backend, const struct op_case *c, enum dtype real, const struct op_values *in,
                struct op_values *out, char *why);

/* How far an argument may be from the reference's: absolute + relative |value|; where width is not 0 absolute is
 * divided by the length of the sample's row of argument 0, and 0 for a dead one. See op_tolerance.c. */
struct op_room {
    double absolute, relative;
    int64_t width;
    double shrink; /* of the row that op_tolerance is in */
};
struct op_room op_room(const struct op_case *c, const struct op_values *in, const struct op_values *truth, int arg);
/* Elements at have to be asked for in order. */
double op_tolerance(struct op_room *room, const struct op_values *in, int64_t at, double value);

/* Descriptions. */
struct op_desc desc_make(enum op_kind kind, int slices);
static inline struct tensor f32_1(int64_t n)
{
    return tensor_make1(DTYPE_F32, n);
}
static inline struct tensor f32_2(int64_t n, int64_t c)
{
    return tensor_make2(DTYPE_F32, n, c);
}
static inline struct tensor f32_3(int64_t a, int64_t b, int64_t c)
{
    return tensor_plain(DTYPE_F32, 3, (const int64_t[]){a, b, c});
}
static inline struct tensor f32_4(int64_t n, int64_t c, int64_t h, int64_t w)
{
    return tensor_make4(DTYPE_F32, n, c, h, w);
}
struct op_desc desc_linear(enum op_kind kind, int slices, int64_t batch, int64_t in, int64_t out, int bias);
struct op_desc desc_conv(enum op_kind kind, int slices, int64_t batch, int64_t in, int64_t out, int64_t height,
                         int64_t width, int kernel, int stride, int pad, int bias);
struct op_desc desc_norm(enum op_kind kind, int slices, struct tensor x, enum act act);
struct op_desc desc_pool(enum op_kind kind, struct tensor x, enum pool_kind pool, int kernel, int stride, int index);
/* norm_pool, norm_pool_eval, norm_pool_back */
struct op_desc desc_norm_pool(enum op_kind kind, int slices, struct tensor x, enum act act, struct pool_window window,
                              int index);
struct op_desc desc_apool(enum op_kind kind, struct tensor x, int64_t a, int64_t b);
struct hff_sizes {
    int64_t batch, classes, per_class, width;
};
struct op_desc desc_act_apool(enum op_kind kind, struct tensor x, enum act act, int rows, int columns);
struct op_desc desc_hff(int slices, struct hff_sizes sizes, enum hff_loss loss, double margin, double smoothing, int dp,
                        int dscale, int wins);
struct op_desc desc_hff_eval(int slices, struct hff_sizes sizes, enum hff_loss loss);
struct op_desc desc_energy(enum op_kind kind, struct tensor x, int64_t groups); /* deviation: groups are the channels */
struct op_desc desc_cross_entropy(int slices, int64_t batch, int64_t classes, double smoothing, double discount);
struct op_desc desc_cross_entropy_eval(int slices, int64_t batch, int64_t classes);
struct op_desc desc_similarity(int slices, int64_t batch, int64_t width, int64_t classes, double share);

#endif
