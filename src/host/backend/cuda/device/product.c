/* Products by cuBLASLt. It knows column-major matrices only: the transpose of c is asked for, with a and b exchanged.
 * The algorithm is the first that its heuristics give for the description, so it is the same in every run on the same
 * kind of GPU; sums that are cut are joined in the workspace in f32, never by whoever comes first. */
#include "library.h"

#include <stdlib.h>

enum { WORKSPACE_MOST = 32 << 20, ALIGN = 16 };

struct cuda_product {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c; /* as cuBLASLt calls them */
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
    int add;
};

static cudaDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static hff_status describe(struct cuda_product *p, const struct cuda_product_desc *desc)
{
    cublasComputeType_t sums = CUBLAS_COMPUTE_32F;
    if (desc->dtype == DTYPE_F32 && desc->precision != PRECISION_F32) sums = CUBLAS_COMPUTE_32F_FAST_TF32;
    CHECK(cublasLtMatmulDescCreate(&p->operation, sums, CUDA_R_32F));
    cublasOperation_t of_a = desc->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                      of_b = desc->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA, &of_a, sizeof of_a));
    CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSB, &of_b, sizeof of_b));
    if (desc->bias) {
        cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        cudaDataType_t type = CUDA_R_32F;
        const void *any = (const void *)ALIGN; /* the heuristics read the pointer's alignment, not the bias */
        CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &any, sizeof any));
        CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type));
    }
    /* A row-major (rows, columns) is a column-major (columns, rows). */
    uint64_t m = (uint64_t)desc->m, n = (uint64_t)desc->n, k = (uint64_t)desc->k;
    CHECK(cublasLtMatrixLayoutCreate(&p->a, type_of(desc->dtype), desc->transpose_b ? k : n, desc->transpose_b ? n : k,
                                     desc->ldb));
    CHECK(cublasLtMatrixLayoutCreate(&p->b, type_of(desc->dtype), desc->transpose_a ? m : k, desc->transpose_a ? k : m,
                                     desc->lda));
    CHECK(cublasLtMatrixLayoutCreate(&p->c, type_of(desc->result), n, m, desc->ldc));
    return HFF_OK;
}

static hff_status choose(struct cuda_product *p, const struct cuda_product_desc *desc, cublasLtMatmulPreference_t wish)
{
    size_t most = WORKSPACE_MOST;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, align = ALIGN; /* and none, always */
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    CHECK(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most));
    CHECK(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                               sizeof schemes));
    for (int i = 0; i < 4; i++) CHECK(cublasLtMatmulPreferenceSetAttribute(wish, aligned[i], &align, sizeof align));
    cublasLtMatmulHeuristicResult_t found = {.state = CUBLAS_STATUS_NOT_SUPPORTED};
    int count = 0;
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(p->handle, p->operation, p->a, p->b, p->c, p->c, wish, 1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS && count > 0) status = found.state;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0))
        return fail(HFF_E_CONFIG, "cuBLASLt has no product of %s%s, %lld x %lld x %lld", dtype_name(desc->dtype),
                    desc->bias ? " with bias" : "", (long long)desc->m, (long long)desc->n, (long long)desc->k);
    CHECK(status);
    p->algorithm = found.algo;
    p->workspace = found.workspaceSize;
    return HFF_OK;
}

hff_status product_plan(struct cuda_library *library, const struct cuda_product_desc *desc, struct cuda_product **out)
{
    *out = NULL;
    struct cuda_product *p = calloc(1, sizeof *p);
    if (!p) return fail(HFF_E_MEMORY, "no memory for a product");
    p->handle = library->products;
    p->add = desc->add;
    cublasLtMatmulPreference_t wish = NULL;
    hff_status status = describe(p, desc);
    if (status == HFF_OK)
        status = cublas_check(cublasLtMatmulPreferenceCreate(&wish), "cublasLtMatmulPreferenceCreate");
    if (status == HFF_OK) status = choose(p, desc, wish);
    if (wish) cublasLtMatmulPreferenceDestroy(wish);
    if (status == HFF_OK)
        *out = p;
    else
        product_free(p);
    return status;
}

size_t product_workspace_of(const struct cuda_product *product)
{
    return product->workspace;
}

hff_status product_run_on(struct cuda_product *p, kernel_stream stream, const void *a, const void *b, void *c,
                          const void *bias, void *workspace)
{
    float one = 1, beta = p->add ? 1 : 0;
    if (bias)
        CHECK(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    CHECK(cublasLtMatmul(p->handle, p->operation, &one, b, p->a, a, p->b, &beta, c, p->c, c, p->c, &p->algorithm,
                         workspace, p->workspace, stream));
    return HFF_OK;
}

void product_free(struct cuda_product *p)
{
    if (!p) return;
    if (p->operation) cublasLtMatmulDescDestroy(p->operation);
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    if (p->c) cublasLtMatrixLayoutDestroy(p->c);
    free(p);
}
