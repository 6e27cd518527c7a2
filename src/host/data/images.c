/* Images from files that are no data set: to predict. */
#include "base/file.h"
#include "idx.h"
#include "png.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SIDE = 8192 };

int images_named(const char *name)
{
    size_t length = strlen(name);
    return (length > 4 && strcasecmp(name + length - 4, ".png") == 0) || strstr(name, "idx") != NULL;
}

static hff_status take_idx(struct images *out, const char *path, const unsigned char *bytes, size_t size)
{
    struct idx idx;
    TRY(idx_parse(&idx, path, bytes, size));
    uint32_t channels = idx.dims == 4 ? idx.size[1] : 1;
    if (idx.dims >= 3 && channels <= SIDE && idx.size[idx.dims - 2] <= SIDE && idx.size[idx.dims - 1] <= SIDE) {
        *out = (struct images){idx.size[0], (int)channels, (int)idx.size[idx.dims - 2], (int)idx.size[idx.dims - 1],
                               idx.values};
        return HFF_OK;
    }
    free(idx.values);
    return fail(HFF_E_DATA, "%s: an IDX file of %d dimensions, not of images (3 or 4, of at most %d pixels)", path,
                idx.dims, SIDE);
}

hff_status images_read(struct images *out, const char *path)
{
    unsigned char *bytes;
    size_t size;
    *out = (struct images){0};
    TRY(file_read(path, (size_t)1 << 34, &bytes, &size));
    hff_status status;
    if (png_is(bytes, size))
        status = png_parse(out, path, bytes, size);
    else if (size >= 4 && ((bytes[0] == 0x1f && bytes[1] == 0x8b) || (bytes[0] == 0 && bytes[1] == 0)))
        status = take_idx(out, path, bytes, size);
    else
        status = fail(HFF_E_DATA, "%s: neither a PNG nor an IDX file; convert it to PNG", path);
    free(bytes);
    return status;
}

void images_free(struct images *images)
{
    free(images->pixels);
    *images = (struct images){0};
}
