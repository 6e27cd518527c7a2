/* Reading and writing safetensors files. The header is JSON from anywhere, so each of its numbers is checked against
 * the file's size before it is used. */
#include "safetensors.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define METADATA "__metadata__"

/* The longest header that the format's own library accepts. */
enum { HEADER_LIMIT = 100 * 1000 * 1000 };

/* A bound on what is read into memory in one piece. */
static const size_t FILE_LIMIT = (size_t)64 << 30;

/* Names in messages are cut, so that a hostile one does not push the reason out. */
#define TENSOR_TEXT "%s: tensor \"%.128s\": "

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
#define DTYPE_ROW(name, bytes) [DTYPE_##name] = {#name, bytes},
    DTYPES(DTYPE_ROW)
#undef DTYPE_ROW
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof *dtypes };

#define DTYPE_LISTED(name, bytes) " " #name
#define DTYPE_LIST DTYPES(DTYPE_LISTED)

/* ---- reading ---- */

static hff_status read_dtype(struct safetensor *tensor, const char *what, const json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text) return fail(HFF_E_FORMAT, TENSOR_TEXT "\"dtype\" is missing or not a text", what, tensor->name);
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcmp(text, dtypes[i].name) != 0) continue;
        tensor->dtype = (enum dtype)i;
        return HFF_OK;
    }
    return fail(HFF_E_FORMAT, TENSOR_TEXT "dtype \"%.32s\" is not supported; supported are" DTYPE_LIST, what,
                tensor->name, text);
}

/* Also works out the number of bytes that a tensor of this shape has. */
static hff_status read_shape(struct safetensor *tensor, const char *what, const json_t *entry)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return fail(HFF_E_FORMAT, TENSOR_TEXT "\"shape\" is missing or not a list", what, tensor->name);
    size_t rank = json_array_size(shape), bytes = dtypes[tensor->dtype].bytes;
    if (rank > SAFETENSORS_RANK)
        return fail(HFF_E_FORMAT, TENSOR_TEXT "%zu dimensions, where at most %d are supported", what, tensor->name,
                    rank, (int)SAFETENSORS_RANK);
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return fail(HFF_E_FORMAT, TENSOR_TEXT "dimension %zu is not an integer of 0 or more", what, tensor->name,
                        i);
        tensor->dim[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(bytes, (uint64_t)tensor->dim[i], &bytes))
            return fail(HFF_E_FORMAT, TENSOR_TEXT "its shape has more elements than can be counted", what,
                        tensor->name);
    }
    tensor->rank = (int)rank;
    tensor->bytes = bytes;
    return HFF_OK;
}

/* base: the first byte behind the header, NULL when it is not in memory; room: bytes from there to the end of the
 * file. */
static hff_status read_offsets(struct safetensor *tensor, const char *what, const json_t *entry,
                               const unsigned char *base, size_t room)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return fail(HFF_E_FORMAT, TENSOR_TEXT "\"data_offsets\" is missing or not a list of two integers", what,
                    tensor->name);
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin)
        return fail(HFF_E_FORMAT, TENSOR_TEXT "data_offsets %lld and %lld are negative or not in order", what,
                    tensor->name, (long long)begin, (long long)end);
    if ((uint64_t)end > room)
        return fail(HFF_E_FORMAT,
                    TENSOR_TEXT "ends at byte %lld of the data, but the file has only %zu; it is damaged or cut off",
                    what, tensor->name, (long long)end, room);
    if ((uint64_t)(end - begin) != tensor->bytes)
        return fail(HFF_E_FORMAT, TENSOR_TEXT "data_offsets span %lld bytes, but its shape and dtype need %zu", what,
                    tensor->name, (long long)(end - begin), tensor->bytes);
    tensor->offset = (size_t)begin;
    tensor->data = base ? base + begin : NULL;
    return HFF_OK;
}

static hff_status read_tensor(struct safetensor *tensor, const char *what, const json_t *entry,
                              const unsigned char *base, size_t room)
{
    if (!json_is_object(entry)) return fail(HFF_E_FORMAT, TENSOR_TEXT "its entry is not an object", what, tensor->name);
    TRY(read_dtype(tensor, what, entry));
    TRY(read_shape(tensor, what, entry));
    return read_offsets(tensor, what, entry, base, room);
}

static hff_status read_metadata(struct safetensors *file, const char *what, json_t *metadata)
{
    if (!json_is_object(metadata)) return fail(HFF_E_FORMAT, "%s: \"" METADATA "\" is not an object", what);
    size_t count = json_object_size(metadata);
    file->metadata_key = calloc(count + 1, sizeof *file->metadata_key);
    file->metadata_value = calloc(count + 1, sizeof *file->metadata_value);
    if (!file->metadata_key || !file->metadata_value)
        return fail(HFF_E_MEMORY, "%s: no memory for %zu entries of metadata", what, count);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) return fail(HFF_E_FORMAT, "%s: metadata \"%.128s\" is not a text", what, key);
        file->metadata_key[file->metadata_count] = key;
        file->metadata_value[file->metadata_count++] = json_string_value(value);
    }
    return HFF_OK;
}

/* Empty tensors come before the one that begins where they lie. */
static int by_place(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Puts the tensors into file order; they must cover the data, without holes and overlaps. */
static hff_status check_cover(struct safetensors *file, const char *what, size_t room)
{
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_place);
    size_t at = 0;
    for (int i = 0; i < file->count; i++) {
        size_t begin = file->tensor[i].offset;
        if (begin != at)
            return fail(HFF_E_FORMAT, TENSOR_TEXT "begins at byte %zu of the data, %s the tensor before it ends at %zu",
                        what, file->tensor[i].name, begin, begin < at ? "but" : "leaving a hole:", at);
        at = begin + file->tensor[i].bytes;
    }
    if (at != room) return fail(HFF_E_FORMAT, "%s: %zu bytes at the end belong to no tensor", what, room - at);
    return HFF_OK;
}

static hff_status read_header(struct safetensors *file, const char *what, json_t *header, const unsigned char *base,
                              size_t room)
{
    if (!json_is_object(header)) return fail(HFF_E_FORMAT, "%s: the header is not a JSON object", what);
    file->tensor = calloc(json_object_size(header) + 1, sizeof *file->tensor);
    if (!file->tensor) return fail(HFF_E_MEMORY, "%s: no memory for %zu tensors", what, json_object_size(header));
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, METADATA) == 0) {
            TRY(read_metadata(file, what, entry));
            continue;
        }
        struct safetensor *tensor = &file->tensor[file->count++];
        tensor->name = name;
        TRY(read_tensor(tensor, what, entry, base, room));
    }
    return check_cover(file, what, room);
}

static uint64_t little_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* head: a file's first 8 bytes and one more (0 when there is none); size: of the file. */
static hff_status read_length(const char *what, const unsigned char *head, size_t size, size_t *length)
{
    if (size < 8) return fail(HFF_E_FORMAT, "%s: %zu bytes, too short for a safetensors file", what, size);
    uint64_t said = little_endian(head);
    if (said > size - 8)
        return fail(
            HFF_E_FORMAT,
            "%s: the header should have %llu bytes, but only %zu follow; the file is cut off or not safetensors", what,
            (unsigned long long)said, size - 8);
    if (said > HEADER_LIMIT)
        return fail(HFF_E_FORMAT, "%s: a header of %llu bytes, where the limit is %d", what, (unsigned long long)said,
                    (int)HEADER_LIMIT);
    if (said == 0 || head[8] != '{')
        return fail(HFF_E_FORMAT, "%s: the header does not begin with \"{\"; not a safetensors file", what);
    *length = (size_t)said;
    return HFF_OK;
}

/* base as in read_offsets. */
static hff_status parse_header(struct safetensors *out, const char *what, const unsigned char *text, size_t length,
                               const unsigned char *base, size_t room)
{
    json_t *header;
    TRY(json_parse(what, (const char *)text, length, &header));
    out->owned = header;
    hff_status status = read_header(out, what, header, base, room);
    if (status != HFF_OK) safetensors_free(out);
    return status;
}

hff_status safetensors_parse(struct safetensors *out, const char *what, unsigned char *bytes, size_t size)
{
    size_t length;
    memset(out, 0, sizeof *out);
    TRY(read_length(what, bytes, size, &length));
    TRY(parse_header(out, what, bytes + 8, length, bytes + 8 + length, size - 8 - length));
    out->bytes = bytes;
    return HFF_OK;
}

hff_status safetensors_read(struct safetensors *out, const char *path)
{
    memset(out, 0, sizeof *out);
    unsigned char *bytes;
    size_t size;
    TRY(file_read(path, FILE_LIMIT, &bytes, &size));
    hff_status status = safetensors_parse(out, path, bytes, size);
    if (status != HFF_OK) free(bytes);
    return status;
}

static hff_status get(FILE *stream, const char *what, void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stream) == bytes) return HFF_OK;
    if (ferror(stream)) return fail_errno(HFF_E_IO, errno, "%s: cannot be read", what);
    return fail(HFF_E_FORMAT, "%s: it became shorter while it was read", what);
}

static hff_status open_header(struct safetensors *out, const char *path, FILE *stream, size_t size)
{
    unsigned char head[9] = {0};
    size_t length = 0;
    TRY(get(stream, path, head, size < sizeof head ? size : sizeof head));
    TRY(read_length(path, head, size, &length));
    unsigned char *text = malloc(length);
    if (!text) return fail(HFF_E_MEMORY, "%s: no memory for its header of %zu bytes", path, length);
    text[0] = head[8];
    hff_status status = get(stream, path, text + 1, length - 1);
    if (status == HFF_OK) status = parse_header(out, path, text, length, NULL, size - 8 - length);
    free(text);
    out->start = 8 + length;
    return status;
}

hff_status safetensors_open(struct safetensors *out, const char *path)
{
    struct stat about;
    memset(out, 0, sizeof *out);
    FILE *stream = fopen(path, "rbe");
    if (!stream) return fail_errno(HFF_E_IO, errno, "%s: cannot be opened", path);
    if (fstat(fileno(stream), &about) != 0 || !S_ISREG(about.st_mode)) { /* a pipe has no place to go back to */
        fclose(stream);
        return safetensors_read(out, path);
    }
    hff_status status = open_header(out, path, stream, (size_t)about.st_size);
    if (status == HFF_OK)
        out->stream = stream;
    else
        fclose(stream);
    return status;
}

hff_status safetensors_load(const struct safetensors *file, const char *what, const struct safetensor *tensor,
                            size_t at, size_t bytes, void *to)
{
    if (at > tensor->bytes || bytes > tensor->bytes - at)
        return fail(HFF_E_INTERNAL, TENSOR_TEXT "bytes beyond its end", what, tensor->name);
    if (!file->stream) {
        if (bytes) memcpy(to, (const unsigned char *)tensor->data + at, bytes);
        return HFF_OK;
    }
    if (fseeko(file->stream, (off_t)(file->start + tensor->offset + at), SEEK_SET) != 0)
        return fail_errno(HFF_E_IO, errno, "%s: cannot be read", what);
    return get(file->stream, what, to, bytes);
}

void safetensors_free(struct safetensors *file)
{
    if (!file) return;
    free(file->tensor);
    free(file->metadata_key);
    free(file->metadata_value);
    free(file->bytes);
    if (file->stream) fclose(file->stream);
    json_decref(file->owned);
    memset(file, 0, sizeof *file);
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0) return &file->tensor[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    for (int i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata_key[i], key) == 0) return file->metadata_value[i];
    return NULL;
}

/* ---- writing ---- */

/* A file that the reader would refuse must not be written. */
static hff_status check_tensor(const char *path, const struct safetensor *tensor)
{
    if (strcmp(tensor->name, METADATA) == 0 || tensor->rank < 0 || tensor->rank > SAFETENSORS_RANK)
        return fail(HFF_E_INTERNAL, TENSOR_TEXT "its name or its rank %d cannot be written", path, tensor->name,
                    tensor->rank);
    uint64_t bytes = dtypes[tensor->dtype].bytes;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dim[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)tensor->dim[i], &bytes))
            return fail(HFF_E_INTERNAL, TENSOR_TEXT "a shape that cannot be", path, tensor->name);
    if (bytes != tensor->bytes)
        return fail(HFF_E_INTERNAL, TENSOR_TEXT "%zu bytes, but its shape and dtype need %llu", path, tensor->name,
                    tensor->bytes, (unsigned long long)bytes);
    return HFF_OK;
}

/* NULL when the name is not UTF-8. */
static json_t *tensor_entry(const struct safetensor *tensor, uint64_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++) json_array_append_new(shape, json_integer(tensor->dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + tensor->bytes));
}

/* Adds a member; refuses a second one of that name, and takes value in any case. */
static hff_status add_member(const char *path, json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return fail(HFF_E_INTERNAL, "%s: \"%.128s\" would be written twice", path, key);
    }
    if (json_object_set_new(object, key, value) == 0) return HFF_OK;
    return fail(HFF_E_FORMAT, "%s: \"%.128s\" or its text is not UTF-8 and cannot be written", path, key);
}

static hff_status fill_header(const char *path, json_t *header, const struct safetensor *tensor, int count,
                              const char *const *metadata_key, const char *const *metadata_value, int metadata_count)
{
    if (metadata_count > 0) {
        json_t *metadata = json_object();
        TRY(add_member(path, header, METADATA, metadata));
        for (int i = 0; i < metadata_count; i++)
            TRY(add_member(path, metadata, metadata_key[i], json_string(metadata_value[i])));
    }
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        TRY(check_tensor(path, &tensor[i]));
        TRY(add_member(path, header, tensor[i].name, tensor_entry(&tensor[i], at)));
        at += tensor[i].bytes;
    }
    return HFF_OK;
}

static hff_status put_tensor(struct file_writer *writer, const struct safetensor *tensor, int index,
                             safetensors_fetch fetch, void *context)
{
    if (tensor->data || !fetch) return file_put(writer, tensor->data, tensor->bytes);
    for (size_t at = 0; at < tensor->bytes; at += SAFETENSORS_PIECE) {
        size_t left = tensor->bytes - at, bytes = left < SAFETENSORS_PIECE ? left : SAFETENSORS_PIECE;
        const void *data;
        TRY(fetch(context, index, at, bytes, &data));
        TRY(file_put(writer, data, bytes));
    }
    return HFF_OK;
}

static hff_status put_file(struct file_writer *writer, const char *header, const struct safetensor *tensor, int count,
                           safetensors_fetch fetch, void *context)
{
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    TRY(file_put(writer, prefix, sizeof prefix));
    TRY(file_put(writer, header, length));
    TRY(file_put(writer, "       ", padded - length));
    for (int i = 0; i < count; i++) TRY(put_tensor(writer, &tensor[i], i, fetch, context));
    return HFF_OK;
}

hff_status safetensors_write(const char *path, const struct safetensor *tensor, int count,
                             const char *const *metadata_key, const char *const *metadata_value, int metadata_count)
{
    return safetensors_write_fetched(path, tensor, count, NULL, NULL, metadata_key, metadata_value, metadata_count);
}

hff_status safetensors_write_fetched(const char *path, const struct safetensor *tensor, int count,
                                     safetensors_fetch fetch, void *context, const char *const *metadata_key,
                                     const char *const *metadata_value, int metadata_count)
{
    char *text = NULL;
    json_t *header = json_object();
    hff_status status = fill_header(path, header, tensor, count, metadata_key, metadata_value, metadata_count);
    if (status == HFF_OK) {
        text = json_dumps(header, JSON_COMPACT);
        if (!text) status = fail(HFF_E_MEMORY, "%s: no memory for its header", path);
    }
    struct file_writer writer;
    if (status == HFF_OK) status = file_create(&writer, path);
    if (status == HFF_OK) status = file_finish(&writer, put_file(&writer, text, tensor, count, fetch, context));
    free(text);
    json_decref(header);
    return status;
}
