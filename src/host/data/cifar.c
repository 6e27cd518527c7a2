/* CIFAR-10 and CIFAR-100 in their binary version (https://www.cs.toronto.edu/~kriz/cifar.html): records of one label
 * byte (CIFAR-100: two, of which the second, the fine one, is used) and 3 x 32 x 32 pixels. */
#include "base/file.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

enum { PIXELS = 3 * 32 * 32 };

struct variant {
    const char *name, *names;
    int classes, label_bytes; /* the last of which is the label */
    const char *train[6], *test[2];
};

static const struct variant ten = {
    "CIFAR-10",
    "batches.meta.txt",
    10,
    1,
    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
    {"test_batch.bin"},
};

static const struct variant hundred = {
    "CIFAR-100", "fine_label_names.txt", 100, 2, {"train.bin"}, {"test.bin"},
};

struct part {
    char *path;
    unsigned char *bytes;
    size_t records;
};

static hff_status read_part(struct part *part, const struct variant *variant)
{
    const size_t record = (size_t)variant->label_bytes + PIXELS;
    if (!file_exists(part->path))
        return fail(HFF_E_DATA, "%s: no such file; unpack the binary version of %s there or set data.root", part->path,
                    variant->name);
    size_t size;
    TRY(file_read(part->path, (size_t)1 << 34, &part->bytes, &size));
    if (size == 0 || size % record)
        return fail(HFF_E_DATA,
                    "%s: %zu bytes: record %zu (offset %zu) is cut short, records have %zu bytes; get the file again",
                    part->path, size, size / record, size / record * record, record);
    part->records = size / record;
    return HFF_OK;
}

static hff_status unpack_part(const struct part *part, const struct variant *variant, uint8_t *images, int32_t *labels)
{
    const size_t record = (size_t)variant->label_bytes + PIXELS;
    for (size_t i = 0; i < part->records; i++) {
        const unsigned char *from = part->bytes + i * record;
        int label = from[variant->label_bytes - 1];
        if (label >= variant->classes)
            return fail(
                HFF_E_DATA, "%s: record %zu (offset %zu): label %d, but %s has classes 0 to %d; get the file again",
                part->path, i, i * record + (size_t)variant->label_bytes - 1, label, variant->name, variant->classes - 1);
        labels[i] = label;
        memcpy(images + i * PIXELS, from + variant->label_bytes, PIXELS);
    }
    return HFF_OK;
}

static hff_status fill_split(struct dataset *set, const struct variant *variant, const char *root, struct part *parts,
                             int count)
{
    size_t records = 0, at = 0;
    for (int i = 0; i < count; i++) {
        TRY(read_part(&parts[i], variant));
        records += parts[i].records;
    }
    uint8_t *images;
    int32_t *labels;
    TRY(source_split(set, root, (int64_t)records, 3, 32, 32, &images, &labels));
    for (int i = 0; i < count; i++) {
        TRY(unpack_part(&parts[i], variant, images + at * PIXELS, labels + at));
        at += parts[i].records;
    }
    return HFF_OK;
}

static hff_status open_split(struct data *data, struct dataset *set, const struct variant *variant, const char *root,
                             const char *const *names)
{
    struct part parts[6] = {0};
    int count = 0;
    for (; names[count]; count++) parts[count].path = file_join(&data->arena, root, names[count]);
    hff_status status = fill_split(set, variant, root, parts, count);
    for (int i = 0; i < count; i++) free(parts[i].bytes);
    return status;
}

/* One name a line, empty lines left out. Names go into JSON and onto terminals, so they are plain text or an error. */
static hff_status take_names(struct data *data, const struct variant *variant, const char *path, char *text, size_t size)
{
    const char **names = ARENA_NEW(&data->arena, const char *, variant->classes);
    int count = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] != '\n' && text[i] != '\r' && (text[i] < ' ' || text[i] > '~'))
            return fail(HFF_E_DATA, "%s: offset %zu: byte 0x%02x in a class name; get the file again", path, i,
                        (unsigned char)text[i]);
    for (char *rest = NULL, *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest), count++)
        if (count < variant->classes) names[count] = arena_text(&data->arena, line);
    if (count != variant->classes)
        return fail(HFF_E_DATA, "%s: %d class names instead of %d; get the file again", path, count, variant->classes);
    data->class_names = names;
    return HFF_OK;
}

static hff_status read_names(struct data *data, const struct variant *variant, const char *root)
{
    const char *path = file_join(&data->arena, root, variant->names);
    if (!file_exists(path)) return HFF_OK; /* then classes go by number */
    unsigned char *text;
    size_t size;
    TRY(file_read(path, 1 << 20, &text, &size));
    hff_status status = take_names(data, variant, path, (char *)text, size);
    free(text);
    return status;
}

static hff_status open_variant(struct data *data, const struct config_node *data_node, const struct variant *variant)
{
    char *root;
    TRY(source_root(data, data_node, &root));
    TRY(open_split(data, &data->split[SPLIT_TRAIN], variant, root, variant->train));
    TRY(open_split(data, &data->split[SPLIT_TEST], variant, root, variant->test));
    data->name = variant->name;
    data->classes = variant->classes;
    return read_names(data, variant, root);
}

hff_status cifar10_open(struct data *data, const struct config_node *data_node)
{
    return open_variant(data, data_node, &ten);
}

hff_status cifar100_open(struct data *data, const struct config_node *data_node)
{
    return open_variant(data, data_node, &hundred);
}
