/* What changes from step to step, on the device: row *step of a table goes to out, *step and the cursor go on.
 *
 * Bytes: one row. Geometry: one block of 32 threads. It is one node of a captured step, so that the host has nothing to
 * copy while steps are in flight. */
#include "device.cuh"

KERNEL(WARP) tick_kernel(struct kernel_tick_args a)
{
    uint64_t step = *a.step, row = step < (uint64_t)a.rows ? step : (uint64_t)a.rows - 1;
    for (int i = (int)threadIdx.x; i < a.width; i += WARP) a.out[i] = a.table[row * (uint64_t)a.width + (uint64_t)i];
    WARP_SYNC(); /* every lane has read the step */
    if (threadIdx.x > 0) return;
    *a.step = step + 1;
    if (a.cursor) a.cursor[CURSOR_FIRST] += (uint64_t)a.advance;
}

int kernel_tick(const struct kernel_tick_args *a, kernel_stream stream)
{
    if (a->rows < 1) return KERNEL_REFUSED;
    return launch(tick_kernel, 1, WARP, 0, stream, *a);
}
