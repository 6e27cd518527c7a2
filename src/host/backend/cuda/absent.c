/* The cuda backend's row in a build without CUDA: it says why it cannot be used. */
#include "../backend.h"

static hff_status absent(void)
{
    return fail(HFF_E_DEVICE, "this hff was built without CUDA; build it with -DHFF_CUDA=on where nvcc, cuDNN and "
                              "cuBLAS are, or use run.backend cpu");
}

static hff_status absent_open(struct backend **out, int threads)
{
    (void)threads;
    *out = NULL;
    return absent();
}

const struct backend_api backend_cuda = {
    .name = "cuda",
    .help = "one GPU: cuDNN, cuBLASLt and own kernels",
    .available = absent,
    .open = absent_open,
};
