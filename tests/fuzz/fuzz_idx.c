/* Fuzz target for the IDX reader:
 *
 *   clang -g -O1 -std=c11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iinclude -Isrc/host \
 *       tests/fuzz/fuzz_idx.c with the sources and libraries of tools/check.sh -o fuzz_idx
 *   ./fuzz_idx -max_len=4096 -rss_limit_mb=1024 -max_total_time=60 */
#include "data/idx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct idx idx;
    if (idx_parse(&idx, "fuzz", bytes, size) == HFF_OK) {
        size_t values = 1;
        unsigned sum = 0;
        for (int d = 0; d < idx.dims; d++) values *= idx.size[d];
        for (size_t i = 0; i < values; i++) sum += idx.values[i]; /* every value must be there */
        volatile unsigned kept = sum;
        (void)kept;
    } else if (idx.values) {
        __builtin_trap();
    }
    free(idx.values);
    return 0;
}
