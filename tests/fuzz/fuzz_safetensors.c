/* Fuzz target for the safetensors reader:
 *
 *   clang -g -O1 -std=c11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iinclude -Isrc/host \
 *       tests/fuzz/fuzz_safetensors.c src/host/train/safetensors.c src/host/base/status.c src/host/base/arena.c \
 *       src/host/base/file.c src/host/base/json.c -ljansson -lm -o fuzz_safetensors
 *   ./fuzz_safetensors -max_len=4096 -dict=tests/fuzz/safetensors.dict -max_total_time=60
 *
 * The input is the header and the data; the length in front of it is made here, right for inputs that begin with "{"
 * (up to the last "}"), so that the fuzzer need not guess it, and taken from the input for all others. */
#include "train/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Exactly as many bytes as the file has, so that the address sanitizer sees a read behind it. */
static unsigned char *build(const uint8_t *input, size_t size, size_t *file_size)
{
    int add_length = size > 0 && input[0] == '{';
    size_t length = size;
    while (add_length && length > 1 && input[length - 1] != '}') length--;
    *file_size = size + (add_length ? 8 : 0);
    unsigned char *bytes = malloc(*file_size + !*file_size);
    if (!bytes) abort();
    for (int i = 0; add_length && i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    if (size) memcpy(bytes + (add_length ? 8 : 0), input, size);
    return bytes;
}

/* What every reader of the file relies on. */
static void check(const struct safetensors *file)
{
    volatile unsigned sum = 0;
    for (int i = 0; i < file->count; i++) {
        const struct safetensor *tensor = &file->tensor[i];
        const unsigned char *data = tensor->data;
        if (tensor->rank < 0 || tensor->rank > SAFETENSORS_RANK || !safetensors_find(file, tensor->name)) abort();
        for (size_t b = 0; b < tensor->bytes; b++) sum += data[b];
        for (int d = 0; d < tensor->rank; d++)
            if (tensor->dim[d] < 0) abort();
    }
    for (int i = 0; i < file->metadata_count; i++)
        if (safetensors_metadata(file, file->metadata_key[i]) != file->metadata_value[i]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t file_size;
    unsigned char *bytes = build(input, size, &file_size);
    struct safetensors file;
    hff_status status = safetensors_parse(&file, "fuzz", bytes, file_size);
    if (status == HFF_OK) {
        check(&file);
        safetensors_free(&file);
    } else {
        if (status != HFF_E_FORMAT || !hff_error_message()[0] || file.tensor || file.owned) abort();
        free(bytes);
    }
    return 0;
}
