/* TensorBoard event files: TFRecord frames around Event messages, by hand: a few fields need no protobuf library.
 *
 * Frame (little-endian): uint64 length, uint32 masked CRC-32C of it, the message, uint32 masked CRC-32C of the message.
 * Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
 * Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; } */
#include "base/arena.h"
#include "base/file.h"
#include "crc32c.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tensorboard {
    struct arena arena; /* the paths */
    const char *path;
    FILE *stream;
};

/* The key of a protobuf field: number << 3 | wire type. */
enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { TAG_MOST = 512, EVENT_MOST = TAG_MOST + 64 };

struct bytes {
    unsigned char data[EVENT_MOST];
    size_t size;
};

static void put_fixed(struct bytes *out, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) out->data[out->size++] = (unsigned char)(value >> 8 * i);
}

static void put_varint(struct bytes *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) out->data[out->size++] = (unsigned char)(value | 0x80);
    out->data[out->size++] = (unsigned char)value;
}

static void put_key(struct bytes *out, int field, enum wire wire)
{
    put_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

static void put_bytes(struct bytes *out, int field, const void *data, size_t size)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, size);
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put_wall_time(struct bytes *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    put_key(out, 1, WIRE_FIXED64);
    put_fixed(out, bits, 8);
}

static hff_status write_frame(struct tensorboard *board, const struct bytes *event)
{
    struct bytes head = {.size = 0}, tail = {.size = 0};
    put_fixed(&head, event->size, 8);
    put_fixed(&head, crc32c_masked(head.data, 8), 4);
    put_fixed(&tail, crc32c_masked(event->data, event->size), 4);
    const struct bytes *parts[] = {&head, event, &tail};
    for (int i = 0; i < 3; i++)
        if (fwrite(parts[i]->data, 1, parts[i]->size, board->stream) != parts[i]->size)
            return fail_errno(HFF_E_IO, errno, "%s: cannot write", board->path);
    return HFF_OK;
}

/* Creates the file under a name that no other writer of the folder has; TensorBoard minds only "tfevents" in it. */
static hff_status create(struct tensorboard *board, const char *folder)
{
    char host[256] = "localhost";
    if (gethostname(host, sizeof host) != 0 || !*host) strcpy(host, "localhost");
    host[sizeof host - 1] = 0;
    for (char *at = host; *at; at++)
        if (*at == '/') *at = '_';
    long long seconds = (long long)time(NULL);
    const char *name = arena_printf(&board->arena, "events.out.tfevents.%010lld.%s.%ld", seconds, host, (long)getpid());
    board->path = file_join(&board->arena, folder, name);
    const char *first = board->path;
    for (int i = 1; !(board->stream = fopen(board->path, "wbx")); i++) {
        if (errno != EEXIST || i > 1000)
            return fail_errno(HFF_E_IO, errno, "%s: cannot create the file for TensorBoard", board->path);
        board->path = arena_printf(&board->arena, "%s.%d", first, i);
    }
    return HFF_OK;
}

hff_status tensorboard_open(struct tensorboard **out, const char *folder)
{
    *out = NULL;
    TRY(file_make_folders(folder));
    struct tensorboard *board = calloc(1, sizeof *board);
    if (!board) return fail(HFF_E_MEMORY, "%s: no memory for TensorBoard's writer", folder);
    static const char version[] = "brain.Event:2"; /* without it, readers take the file for an older format */
    struct bytes event = {.size = 0};
    put_wall_time(&event);
    put_bytes(&event, 3, version, sizeof version - 1);
    hff_status status;
    TRY_GOTO(status, create(board, folder), failed);
    TRY_GOTO(status, write_frame(board, &event), failed);
    *out = board;
    return HFF_OK;
failed:
    tensorboard_close(board);
    return status;
}

hff_status tensorboard_scalar(struct tensorboard *board, const char *tag, int64_t step, double value)
{
    char clean[TAG_MOST]; /* protobuf refuses strings that are not UTF-8 */
    text_fit(clean, sizeof clean, tag, INT_MAX);
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);

    struct bytes item = {.size = 0}, summary = {.size = 0}, event = {.size = 0};
    put_bytes(&item, 1, clean, strlen(clean));
    put_key(&item, 2, WIRE_FIXED32);
    put_fixed(&item, bits, 4);
    put_bytes(&summary, 1, item.data, item.size);
    put_wall_time(&event);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.data, summary.size);
    return write_frame(board, &event);
}

hff_status tensorboard_flush(struct tensorboard *board)
{
    if (fflush(board->stream) != 0) return fail_errno(HFF_E_IO, errno, "%s: cannot write", board->path);
    return HFF_OK;
}

void tensorboard_close(struct tensorboard *board)
{
    if (!board) return;
    if (board->stream) fclose(board->stream);
    arena_free(&board->arena);
    free(board);
}
