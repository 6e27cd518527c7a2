/* Fuzz target for PNG files (our checks around cairo's and libpng's decoding):
 *
 *   clang -g -O1 -std=c11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iinclude -Isrc/host \
 *       tests/fuzz/fuzz_png.c src/host/data/png.c src/host/base/status.c $(pkg-config --cflags --libs cairo) -o fuzz_png
 *   ./fuzz_png -max_len=4096 -rss_limit_mb=4096 -max_total_time=60 */
#include "base/status.h"
#include "data/png.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct images images;
    if (png_parse(&images, "fuzz", bytes, size) == HFF_OK) {
        unsigned sum = 0;
        for (int i = 0; i < images.channels * images.height * images.width; i++) sum += images.pixels[i];
        volatile unsigned kept = sum; /* every pixel must be there */
        (void)kept;
    } else if (images.pixels) {
        __builtin_trap();
    }
    free(images.pixels);
    return 0;
}
