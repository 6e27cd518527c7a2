/* IDX files (the format of MNIST: http://yann.lecun.com/exdb/mnist), plain or compressed with gzip.
 *
 * Two zero bytes, the type (8: unsigned bytes), the number of dimensions, each dimension as 4 bytes (big end first),
 * values. The values are unpacked straight to their place: the header says how many there must be. */
#include "idx.h"

#include "base/file.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct input {
    const char *path;
    const unsigned char *bytes;
    size_t size, at; /* of the file */
    size_t given;    /* unpacked bytes so far */
    int packed, ended;
    z_stream zip;
};

static hff_status damaged(const struct input *in)
{
    return fail(HFF_E_DATA, "%s: the compressed data is damaged near offset %zu (%s); get the file again", in->path,
                in->at, in->zip.msg ? in->zip.msg : "it ends too early");
}

/* Up to count unpacked bytes; fewer at the end of the file. */
static hff_status inflate_some(struct input *in, unsigned char *to, size_t count, size_t *got)
{
    const size_t most = 1u << 30; /* zlib counts in 32 bits */
    *got = 0;
    while (*got < count && !in->ended) {
        size_t room = count - *got < most ? count - *got : most,
               left = in->size - in->at < most ? in->size - in->at : most;
        in->zip.next_in = (unsigned char *)in->bytes + in->at;
        in->zip.avail_in = (uInt)left;
        in->zip.next_out = to + *got;
        in->zip.avail_out = (uInt)room;
        int result = inflate(&in->zip, Z_NO_FLUSH);
        size_t used = left - in->zip.avail_in, made = room - in->zip.avail_out;
        in->at += used;
        *got += made;
        in->ended = result == Z_STREAM_END;
        if ((result != Z_OK && !in->ended) || (!used && !made && !in->ended)) return damaged(in);
    }
    return HFF_OK;
}

static hff_status pull(struct input *in, unsigned char *to, size_t count)
{
    size_t got = 0;
    if (in->packed) {
        TRY(inflate_some(in, to, count, &got));
    } else {
        got = in->size - in->at < count ? in->size - in->at : count;
        memcpy(to, in->bytes + in->at, got);
        in->at += got;
    }
    in->given += got;
    if (got < count)
        return fail(HFF_E_DATA, "%s: truncated: it ends at offset %zu%s, %zu bytes too early; get the file again",
                    in->path, in->given, in->packed ? " of the unpacked data" : "", count - got);
    return HFF_OK;
}

static hff_status expect_end(struct input *in)
{
    size_t got = 0;
    unsigned char byte;
    if (in->packed) TRY(inflate_some(in, &byte, 1, &got));
    if (got || in->at != in->size)
        return fail(HFF_E_DATA,
                    "%s: bytes after the last value, at offset %zu%s; the sizes in its header do not fit it", in->path,
                    got ? in->given : in->at, got ? " of the unpacked data" : "");
    return HFF_OK;
}

static hff_status read_header(struct input *in, struct idx *out, size_t *values)
{
    unsigned char head[4], size[4];
    TRY(pull(in, head, 4));
    if (head[0] || head[1] || head[2] != 8 || head[3] < 1 || head[3] > IDX_DIMS)
        return fail(
            HFF_E_DATA,
            "%s: offset 0: %02x %02x %02x %02x does not begin an IDX file of unsigned bytes with 1 to %d dimensions",
            in->path, head[0], head[1], head[2], head[3], IDX_DIMS);
    out->dims = head[3];
    *values = 1;
    for (int d = 0; d < out->dims; d++) {
        TRY(pull(in, size, 4));
        uint32_t n = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
        if (n == 0)
            return fail(HFF_E_DATA, "%s: offset %zu: dimension %d is 0; the file holds nothing", in->path,
                        in->given - 4, d + 1);
        if (*values > SIZE_MAX / n)
            return fail(HFF_E_DATA, "%s: offset %zu: dimension %d is %u; such a size overflows", in->path,
                        in->given - 4, d + 1, n);
        out->size[d] = n;
        *values *= n;
    }
    /* gzip packs at most 1032 to 1, so a header cannot make us allocate far more than the file could fill. */
    size_t left = in->packed ? in->size : in->size - in->at;
    if (in->packed ? *values / 1100 > left : *values > left)
        return fail(HFF_E_DATA,
                    "%s: truncated: its header asks for %zu values, the file has %zu bytes left; get it again",
                    in->path, *values, left);
    return HFF_OK;
}

static hff_status read_values(struct input *in, struct idx *out)
{
    size_t values = 0;
    TRY(read_header(in, out, &values));
    out->values = malloc(values);
    if (!out->values) return fail(HFF_E_MEMORY, "%s: no memory for %zu bytes", in->path, values);
    TRY(pull(in, out->values, values));
    return expect_end(in);
}

hff_status idx_parse(struct idx *out, const char *path, const unsigned char *bytes, size_t size)
{
    struct input in = {.path = path, .bytes = bytes, .size = size};
    *out = (struct idx){0};
    in.packed = size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    if (in.packed && inflateInit2(&in.zip, 15 + 16) != Z_OK)
        return fail(HFF_E_MEMORY, "%s: no memory to unpack it", path);
    hff_status status = read_values(&in, out);
    if (in.packed) inflateEnd(&in.zip);
    if (status != HFF_OK) {
        free(out->values);
        out->values = NULL;
    }
    return status;
}

static hff_status read_file(struct idx *out, const char *path)
{
    unsigned char *bytes;
    size_t size;
    *out = (struct idx){0};
    TRY(file_read(path, (size_t)1 << 40, &bytes, &size));
    hff_status status = idx_parse(out, path, bytes, size);
    free(bytes);
    return status;
}

/* The first of the names in use that is there: "train-images-idx3-ubyte", with a dot before idx, with .gz. */
static hff_status find(struct arena *arena, const char *root, const char *part, const char *kind, int dims, char **path)
{
    static const char *const ways[] = {"%s/%s-%s-idx%d-ubyte", "%s/%s-%s-idx%d-ubyte.gz", "%s/%s-%s.idx%d-ubyte",
                                       "%s/%s-%s.idx%d-ubyte.gz"};
    for (int d = dims; d <= (dims == 1 ? 1 : 4); d++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            *path = arena_printf(arena, ways[i], root, part, kind, d);
            if (file_exists(*path)) return HFF_OK;
        }
    }
    return fail(HFF_E_DATA,
                "%s: no file %s-%s-idx%d-ubyte, with or without .gz; put the data set there or set data.root", root,
                part, kind, dims);
}

static hff_status take_labels(const struct idx *labels, const char *path, const char *image_path, int64_t count,
                              int32_t *to)
{
    if (labels->dims != 1)
        return fail(HFF_E_DATA, "%s: offset 3: %d dimensions; a label file has 1", path, labels->dims);
    if (labels->size[0] != count)
        return fail(HFF_E_DATA, "%s: offset 4: %u labels, but %s has %lld images; get both again", path,
                    labels->size[0], image_path, (long long)count);
    for (int64_t i = 0; i < count; i++) to[i] = labels->values[i];
    return HFF_OK;
}

static hff_status take_images(struct dataset *set, const struct idx *images, const char *path, int32_t **labels)
{
    enum { SIDE = 16384 };
    if (images->dims < 3)
        return fail(HFF_E_DATA, "%s: offset 3: %d dimensions; an image file has 3 or 4", path, images->dims);
    uint32_t channels = images->dims == 4 ? images->size[1] : 1;
    uint32_t height = images->size[images->dims - 2], width = images->size[images->dims - 1];
    if (channels > 4 || height > SIDE || width > SIDE)
        return fail(HFF_E_DATA, "%s: offset 8: images of %u x %u x %u (channels, height, width); at most 4 x %d x %d",
                    path, channels, height, width, SIDE, SIDE);
    uint8_t *pixels;
    TRY(source_split(set, path, images->size[0], (int)channels, (int)height, (int)width, &pixels, labels));
    memcpy(pixels, images->values, (size_t)images->size[0] * channels * height * width);
    return HFF_OK;
}

/* One split: an image file and a label file. */
static hff_status open_split(struct data *data, struct dataset *set, const char *root, const char *part)
{
    char *image_path, *label_path;
    TRY(find(&data->arena, root, part, "images", 3, &image_path));
    TRY(find(&data->arena, root, part, "labels", 1, &label_path));
    struct idx images, labels = {0};
    int32_t *to;
    hff_status status;
    TRY_GOTO(status, read_file(&images, image_path), done);
    TRY_GOTO(status, take_images(set, &images, image_path, &to), done);
    TRY_GOTO(status, read_file(&labels, label_path), done);
    status = take_labels(&labels, label_path, image_path, set->count, to);
done:
    free(images.values);
    free(labels.values);
    return status;
}

hff_status idx_open(struct data *data, const struct config_node *data_node)
{
    char *root;
    TRY(source_root(data, data_node, &root));
    TRY(open_split(data, &data->split[SPLIT_TRAIN], root, "train"));
    TRY(open_split(data, &data->split[SPLIT_TEST], root, "t10k"));
    const struct dataset *train = &data->split[SPLIT_TRAIN], *test = &data->split[SPLIT_TEST];
    for (int64_t i = 0; i < train->count; i++)
        if (train->labels[i] >= data->classes) data->classes = train->labels[i] + 1;
    if (data->classes < 2)
        return fail(HFF_E_DATA, "%s: every training label is 0; at least 2 classes are needed", root);
    for (int64_t i = 0; i < test->count; i++)
        if (test->labels[i] >= data->classes)
            return fail(HFF_E_DATA,
                        "%s: test label %lld (offset %lld of its file) is %d, but training labels end at %d", root,
                        (long long)i, (long long)i + 8, test->labels[i], data->classes - 1);
    const char *folder = strrchr(root, '/');
    data->name = arena_printf(&data->arena, "%s (idx)", folder && folder[1] ? folder + 1 : root);
    return HFF_OK;
}
