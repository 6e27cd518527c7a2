/* The cpu backend's inside: an op is a few phases of tasks for the thread team; products and convolutions are oneDNN
 * primitives made for one thread, everything else is in the files of this folder.
 *
 * Exactness: a task's bits may depend on the op's description and the task number only, never on the thread or on
 * the number of threads. Sums over samples go slice by slice and are combined with TREE (../tree.h). */
#ifndef HFF_BACKEND_CPU_CPU_H
#define HFF_BACKEND_CPU_CPU_H

#include "../backend.h"
#include "../tree.h"
#include "base/team.h"

/* Hot loops are compiled for several instruction sets and chosen when the program starts. Put it before a function's
 * return type; the function and what it inlines must not keep state. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(HFF_SANITIZE)
#define CPU_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CPU_SIMD
#endif

struct cpu_backend {
    struct backend base;
    struct team *team;
    int block; /* channels of a block in LAYOUT_BLOCKED: 16 with AVX-512, else 8 */
    char description[128];
    struct mem_layout *layouts; /* dnnl.h: what the opaque pointers of tensors point to; one for equal layouts */
};

struct cpu_op {
    struct op op;
    size_t workspace; /* bytes; the op divides it among phases and threads as it likes (threads: backend->threads) */
    hff_status (*run)(struct cpu_op *op, struct team *team, void *const *args, void *workspace);
    void (*destroy)(struct cpu_op *op); /* frees what the op holds besides itself; NULL: nothing */
};

/* Checks the description, allocates (calloc) and fills a cpu_op with run, destroy and workspace; the caller has
 * copied nothing:
 * the function copies desc into op.desc (cpu_op_new does). */
typedef hff_status (*cpu_create)(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);

/* A zeroed cpu_op of size bytes (sizeof the op's own struct, whose first member is struct cpu_op), desc copied in.
 * NULL after fail(HFF_E_MEMORY). */
void *cpu_op_new(struct cpu_backend *backend, const struct op_desc *desc, size_t size);

extern const cpu_create cpu_table[OP_KINDS]; /* table.c: one row an op; NULL: it does not do it */

/* product.c: C (m, n) = op(A) op(B), or C += with accumulate; row-major with leading dimensions, C in f32; op(X) is X or
 * its transpose.
 * Single-threaded oneDNN; planned once; the same product may run in several threads at a time, each with its own
 * scratch. */
struct product;
struct product_desc {
    int64_t m, n, k;
    int64_t lda, ldb, ldc; /* elements from one row in memory to the next */
    int transpose_a;       /* A lies in memory as (k, m) */
    int transpose_b;       /* B lies in memory as (n, k) */
    int accumulate;
    enum dtype dtype; /* of A and B: f32 or bf16 */
};
hff_status product_create(struct product **out, const struct product_desc *desc);
size_t product_scratch(const struct product *product); /* bytes a running thread needs, a multiple of 64 */
void product_run(const struct product *product, const void *a, const void *b, float *c, void *scratch);
void product_destroy(struct product *product);
/* oneDNN makes its code for products with a transposed A (6 MB, 30 ms) when the first one runs. This runs a small one,
 * so that it is there before memory and time are counted. */
hff_status product_warm_up(enum dtype dtype);

/* Sets the calling thread up for single-threaded oneDNN calls (the team's on_start; also before creating
 * primitives). */
void dnnl_single_thread(void);

/* One row of cpu_table each. */
hff_status cpu_reorder_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_linear_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_linear_data_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_linear_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_conv_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_conv_data_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_conv_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_norm_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_norm_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_norm_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_act_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_act_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_pool_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_pool_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_apool_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_apool_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_add_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_unit_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_unit_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_energy_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_energy_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_deviation_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_deviation_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_augment_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_hff_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_hff_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_negatives_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_overlay_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_columns_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_spread_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_goodness_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_goodness_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_readout_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_cross_entropy_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_cross_entropy_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_similarity_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_grad_norm_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_adamw_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_sgd_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_retract_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);
hff_status cpu_clamp_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);

#endif
