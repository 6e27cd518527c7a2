/* Fuzz target for the IDX reader:
 *
 *   clang -g -O1 -std=c11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iinclude -Isrc/host \
 *       tests/fuzz/fuzz_idx.c src/host/data/idx.c src/host/base/status.c -lz -o fuzz_idx
 *   ./fuzz_idx -max_len=4096 -rss_limit_mb=1024 -max_total_time=60
 *
 * Below stand the parts of the rest of the project that idx.c links to but idx_parse never calls. */
#include "base/file.h"
#include "data/idx.h"
#include "data/source.h"

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

hff_status file_read(const char *path, size_t limit, unsigned char **data, size_t *size)
{
    (void)limit, (void)data, (void)size;
    return fail(HFF_E_INTERNAL, "%s", path);
}

int file_exists(const char *path)
{
    (void)path;
    return 0;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    (void)arena, (void)format;
    return NULL;
}

hff_status source_root(struct data *data, const struct config_node *data_node, char **out)
{
    (void)data, (void)data_node, (void)out;
    return fail(HFF_E_INTERNAL, "no folder");
}

hff_status source_split(struct dataset *set, const char *where, int64_t count, int channels, int height, int width,
                        uint8_t **images, int32_t **labels)
{
    (void)set, (void)count, (void)channels, (void)height, (void)width, (void)images, (void)labels;
    return fail(HFF_E_INTERNAL, "%s", where);
}
