/* Safetensors: hostile files are refused with a reason, what is written comes back, bytes do not vary. */
#include "train/safetensors.h"

#include "base/fixture.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* A file of this header and data bytes counting up from 0, into malloc'ed memory of exactly its size. */
static unsigned char *build(const char *header, size_t header_length, size_t data_length, size_t *size)
{
    *size = 8 + header_length + data_length;
    unsigned char *bytes = malloc(*size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)header_length >> 8 * i);
    memcpy(bytes + 8, header, header_length);
    for (size_t i = 0; i < data_length; i++) bytes[8 + header_length + i] = (unsigned char)i;
    return bytes;
}

static hff_status parse(struct safetensors *file, const char *header, size_t data_length)
{
    size_t size;
    unsigned char *bytes = build(header, strlen(header), data_length, &size);
    hff_status status = safetensors_parse(file, "m.safetensors", bytes, size);
    if (status != HFF_OK) free(bytes);
    return status;
}

static void assert_refused(const char *header, size_t data_length, const char *reason)
{
    struct safetensors file;
    assert_fails(parse(&file, header, data_length), HFF_E_FORMAT, reason);
    assert_non_null(strstr(hff_error_message(), "m.safetensors"));
    assert_null(file.tensor);
    assert_null(file.owned);
}

#define ENTRY(dtype, shape, begin, end)                                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define ONE(dtype, shape, begin, end) "{\"a\":" ENTRY(dtype, shape, begin, end) "}"
#define TWO(first, second) "{\"a\":" first ",\"b\":" second "}"

static void good_files_are_read(void **state)
{
    (void)state;
    struct safetensors file;
    assert_ok(parse(&file, "{}", 0));
    assert_int_equal(file.count, 0);
    assert_null(safetensors_find(&file, "a"));
    assert_null(safetensors_metadata(&file, "a"));
    safetensors_free(&file);
    /* b lies before a; an empty tensor lies between; a scalar; unknown members of an entry do no harm */
    assert_ok(parse(&file,
                    "{\"a\":" ENTRY("F32", "[2,1]", 6, 14) ",\"b\":" ENTRY("U8", "[2,3]", 0, 6) ",\"e\":" ENTRY(
                        "F64", "[0,9]", 6, 6) ",\"__metadata__\":{\"k\":\"v\"},\"s\":{\"extra\":[1],\"dtype\":\"BF16\","
                                              "\"shape\":[],\"data_offsets\":[14,16]}}    ",
                    16));
    assert_int_equal(file.count, 4);
    static const char *const order[] = {"b", "e", "a", "s"};
    for (int i = 0; i < 4; i++) assert_string_equal(file.tensor[i].name, order[i]);
    const struct safetensor *a = safetensors_find(&file, "a"), *s = safetensors_find(&file, "s");
    assert_int_equal(a->dtype, DTYPE_F32);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->dim[0], 2);
    assert_int_equal(a->dim[1], 1);
    assert_int_equal(a->bytes, 8);
    assert_int_equal(*(const unsigned char *)a->data, 6);
    assert_int_equal(s->rank, 0);
    assert_int_equal(s->bytes, 2);
    assert_int_equal(((const unsigned char *)s->data)[1], 15);
    assert_string_equal(safetensors_metadata(&file, "k"), "v");
    assert_null(safetensors_metadata(&file, "K"));
    safetensors_free(&file);
    safetensors_free(&file); /* twice does no harm */
}

static void hostile_entries_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *reason;
    } rows[] = {
        {"", 0, "does not begin with"},
        {"   ", 0, "does not begin with"},
        {" {}", 0, "does not begin with"},
        {"[]", 0, "does not begin with"},
        {"{\"a\"", 0, "not valid JSON"},
        {"{} x", 0, "not valid JSON"},
        {"{\"\xff\":1}", 0, "not valid JSON"},
        {"{\"a\":\"\xc3\"}", 0, "not valid JSON"},
        {"{\"a\":1}", 0, "tensor \"a\": its entry is not an object"},
        {"{\"a\":{}}", 0, "\"dtype\" is missing"},
        {"{\"a\":{\"dtype\":3}}", 0, "\"dtype\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\"}}", 0, "\"shape\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":4}}", 0, "\"shape\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "\"data_offsets\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "\"data_offsets\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "\"data_offsets\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 4, "\"data_offsets\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\"0,4\"}}", 4, "\"data_offsets\" is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "duplicate"},
        {TWO(ENTRY("U8", "[1]", 0, 1), ENTRY("U8", "[1]", 1, 2)) "{}", 2, "not valid JSON"},
        {"{\"a\":" ENTRY("U8", "[1]", 0, 1) ",\"a\":" ENTRY("U8", "[1]", 1, 2) "}", 2, "duplicate"},
        {ONE("F16", "[1]", 0, 2), 2, "dtype \"F16\" is not supported; supported are F32 F64 BF16 U8 I32 I64"},
        {ONE("BOOL", "[1]", 0, 1), 1, "dtype \"BOOL\""},
        {ONE("f32", "[1]", 0, 4), 4, "dtype \"f32\""},
        {ONE("NONSENSE", "[1]", 0, 4), 4, "dtype \"NONSENSE\""},
        {ONE("F32", "[-1]", 0, 4), 4, "dimension 0 is not"},
        {ONE("F32", "[1,-2,-2]", 0, 16), 16, "dimension 1 is not"},
        {ONE("F32", "[1.0]", 0, 4), 4, "dimension 0 is not"},
        {ONE("F32", "[\"1\"]", 0, 4), 4, "dimension 0 is not"},
        {ONE("F32", "[null]", 0, 4), 4, "dimension 0 is not"},
        {ONE("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4), 4, "9 dimensions"},
        {ONE("F32", "[4294967296,4294967296]", 0, 0), 0, "more elements"},
        {ONE("F32", "[4611686018427387904]", 0, 0), 0, "more elements"},
        {ONE("U8", "[3,6148914691236517206]", 0, 2), 2, "more elements"},
        {ONE("F32", "[99999999999999999999]", 0, 4), 4, "not valid JSON"},
        {ONE("F32", "[2]", 0, 4), 4, "span 4 bytes, but its shape and dtype need 8"},
        {ONE("F32", "[0]", 0, 4), 4, "need 0"},
        {ONE("F32", "[1]", -4, 0), 4, "negative or not in order"},
        {ONE("F32", "[1]", 4, 0), 4, "negative or not in order"},
        {ONE("F32", "[1]", 0, 4), 3, "ends at byte 4 of the data, but the file has only 3"},
        {ONE("U8", "[9223372036854775807]", 0, 9223372036854775807), 4, "the file has only 4"},
        {ONE("F32", "[1]", 4, 8), 8, "leaving a hole"},
        {ONE("F32", "[1]", 0, 4), 5, "1 bytes at the end"},
        {"{}", 1, "1 bytes at the end"},
        {TWO(ENTRY("F32", "[1]", 0, 4), ENTRY("F32", "[1]", 8, 12)), 12, "tensor \"b\": begins at byte 8"},
        {TWO(ENTRY("F32", "[1]", 0, 4), ENTRY("F32", "[1]", 3, 7)), 7, "but the tensor before it ends at 4"},
        {TWO(ENTRY("F32", "[2]", 0, 8), ENTRY("F32", "[1]", 4, 8)), 8, "but the tensor before it ends at 8"},
        {TWO(ENTRY("F32", "[1]", 0, 4), ENTRY("F32", "[1]", 0, 4)), 4, "but the tensor before it ends at 4"},
        {TWO(ENTRY("F32", "[1]", 0, 4), ENTRY("F32", "[0]", 2, 2)), 4, "but the tensor before it ends at 4"},
        {"{\"__metadata__\":[]}", 0, "\"__metadata__\" is not an object"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "metadata \"k\" is not a text"},
        {"{\"__metadata__\":{\"k\":{\"x\":\"y\"}}}", 0, "metadata \"k\" is not a text"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_refused(rows[i].header, rows[i].data, rows[i].reason);
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[10];
        size_t size;
        const char *reason;
    } rows[] = {
        {{0}, 0, "too short"},
        {{2, 0, 0, 0, 0, 0, 0}, 7, "too short"},
        {{0}, 8, "does not begin"},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "should have 3 bytes, but only 2 follow"},
        {{2, 0, 0, 0, 0, 0, 0, 0, '{'}, 9, "should have 2 bytes, but only 1 follow"},
        {{2, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'}, 10, "should have 9223372036854775810 bytes"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, 10, "should have 18446744073709551615 bytes"},
        {{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, 10, "bytes, but only 2 follow"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct safetensors file;
        unsigned char *bytes = malloc(rows[i].size ? rows[i].size : 1);
        memcpy(bytes, rows[i].bytes, rows[i].size);
        assert_fails(safetensors_parse(&file, "m.safetensors", bytes, rows[i].size), HFF_E_FORMAT, rows[i].reason);
        free(bytes);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 1 << 20 };
    char *header = malloc(DEEP + 1);
    memset(header, '[', DEEP);
    memcpy(header, "{\"a\":", 5);
    header[DEEP] = 0;
    assert_refused(header, 0, "nested deeper");
    free(header);
}

/* The reason survives a name that is longer than any message. */
static void long_names_do_not_hide_the_reason(void **state)
{
    (void)state;
    char header[6000];
    snprintf(header, sizeof header, "{\"%05000d\":" ENTRY("F8_E4M3", "[1]", 0, 1) "}", 7);
    assert_refused(header, 1, "dtype \"F8_E4M3\" is not supported");
}

static const float weights[6] = {1.5f, -2.0f, 0.0f, 3e-39f, INFINITY, 1e30f};
static const double scores[2] = {0.1, -1e300};
static const int64_t labels[3] = {-1, 0, INT64_MAX};
static const uint16_t halves[1] = {0x3f80};
static const unsigned char pixels[5] = {0, 1, 2, 254, 255};
static const int32_t steps[1] = {INT32_MIN};

static const struct safetensor sample[] = {
    {"stage.1.linear.weight", DTYPE_F32, 2, {2, 3}, weights, sizeof weights, 0},
    {"scores", DTYPE_F64, 1, {2}, scores, sizeof scores, 0},
    {"z", DTYPE_U8, 3, {1, 5, 1}, pixels, sizeof pixels, 0},
    {"labels", DTYPE_I64, 1, {3}, labels, sizeof labels, 0},
    {"empty", DTYPE_F32, 2, {0, 7}, NULL, 0, 0},
    {"scalar", DTYPE_BF16, 0, {0}, halves, sizeof halves, 0},
    {"step \"quoted\" \\ caf\xc3\xa9", DTYPE_I32, 8, {1, 1, 1, 1, 1, 1, 1, 1}, steps, sizeof steps, 0},
};
enum { SAMPLES = sizeof sample / sizeof *sample };
static const char *const keys[] = {"format", "config", "a"};
static const char *const values[] = {"1", "{\"net\": [\"\xc3\xa9\", 1]}\n\t", ""};

static void what_is_written_comes_back(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "m.safetensors");
    assert_ok(safetensors_write(path, sample, SAMPLES, keys, values, 3));
    struct safetensors file;
    assert_ok(safetensors_read(&file, path));
    assert_int_equal(file.count, SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        const struct safetensor *found = safetensors_find(&file, sample[i].name);
        assert_non_null(found);
        assert_int_equal(found->dtype, sample[i].dtype);
        assert_int_equal(found->rank, sample[i].rank);
        assert_memory_equal(found->dim, sample[i].dim, sizeof *found->dim * (size_t)found->rank);
        assert_int_equal(found->bytes, sample[i].bytes);
        if (found->bytes) assert_memory_equal(found->data, sample[i].data, found->bytes);
    }
    assert_int_equal(file.metadata_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(file.metadata_key[i], keys[i]);
        assert_string_equal(safetensors_metadata(&file, keys[i]), values[i]);
    }
    safetensors_free(&file);
    assert_ok(safetensors_write(path, NULL, 0, NULL, NULL, 0));
    assert_ok(safetensors_read(&file, path));
    assert_int_equal(file.count + file.metadata_count, 0);
    safetensors_free(&file);
}

/* Written, read, written again: the same bytes; and these are the bytes. */
static void bytes_are_stable(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "a"), *again = in_folder(fixture, "b");
    struct safetensors file;
    assert_ok(safetensors_write(path, sample, SAMPLES, keys, values, 3));
    assert_ok(safetensors_read(&file, path));
    assert_ok(safetensors_write(again, file.tensor, file.count, file.metadata_key, file.metadata_value, 3));
    safetensors_free(&file);
    unsigned char *first, *second;
    size_t first_size, second_size;
    assert_ok(file_read(path, 1 << 20, &first, &first_size));
    assert_ok(file_read(again, 1 << 20, &second, &second_size));
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    free(first);
    free(second);
    static const struct safetensor one[] = {{"a", DTYPE_U8, 1, {5}, pixels, 5, 0}};
    static const char expected[] = "\x50\0\0\0\0\0\0\0{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"U8\","
                                   "\"shape\":[5],\"data_offsets\":[0,5]}}"
                                   "  \0\1\2\xfe\xff";
    assert_ok(safetensors_write(path, one, 1, (const char *const[]){"k"}, (const char *const[]){"v"}, 1));
    assert_ok(file_read(path, 1 << 20, &first, &first_size));
    assert_int_equal(first_size, sizeof expected - 1);
    assert_memory_equal(first, expected, first_size);
    free(first);
}

/* The writer refuses what the reader would refuse, and leaves no file. */
static void bad_input_is_not_written(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "m");
    static const struct {
        struct safetensor tensor[2];
        int count;
        const char *key, *value;
        hff_status status;
        const char *reason;
    } rows[] = {
        {{{"a", DTYPE_F32, 1, {2}, weights, 4, 0}}, 1, "k", "v", HFF_E_INTERNAL, "need 8"},
        {{{"a", DTYPE_F32, 1, {-1}, weights, 4, 0}}, 1, "k", "v", HFF_E_INTERNAL, "\"a\""},
        {{{"a", DTYPE_F32, 9, {1}, weights, 4, 0}}, 1, "k", "v", HFF_E_INTERNAL, "rank 9"},
        {{{"__metadata__", DTYPE_F32, 1, {1}, weights, 4, 0}}, 1, "k", "v", HFF_E_INTERNAL, "__metadata__"},
        {{{"a", DTYPE_F32, 1, {1}, weights, 4, 0}, {"a", DTYPE_F32, 1, {1}, weights, 4, 0}},
         2,
         "k",
         "v",
         HFF_E_INTERNAL,
         "twice"},
        {{{"\xff", DTYPE_F32, 1, {1}, weights, 4, 0}}, 1, "k", "v", HFF_E_FORMAT, "UTF-8"},
        {{{"a", DTYPE_F32, 1, {1}, weights, 4, 0}}, 1, "classes", "caf\xe9", HFF_E_FORMAT, "\"classes\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_fails(safetensors_write(path, rows[i].tensor, rows[i].count, &rows[i].key, &rows[i].value, 1),
                     rows[i].status, rows[i].reason);
        assert_false(file_exists(path));
    }
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "m");
    static const float large[20000];
    const struct safetensor tensor = {"large", DTYPE_F32, 1, {20000}, large, sizeof large, 0};
    assert_ok(safetensors_write(path, sample, SAMPLES, keys, values, 3));
    struct rlimit saved, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    tight = saved;
    tight.rlim_cur = 3000; /* stands for a full disk */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    hff_status status = safetensors_write(path, &tensor, 1, NULL, NULL, 0);
    setrlimit(RLIMIT_FSIZE, &saved);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, HFF_E_IO);
    struct safetensors file;
    assert_ok(safetensors_read(&file, path));
    assert_int_equal(file.count, SAMPLES);
    safetensors_free(&file);
    char **names;
    int count;
    assert_ok(file_list(&fixture->arena, fixture->folder, &names, &count));
    assert_int_equal(count, 1);
}

/* Every cut of a good file is refused; a missing file is an error of another kind. */
static void cut_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "m");
    unsigned char *bytes;
    size_t size;
    struct safetensors file;
    assert_ok(safetensors_write(path, sample, SAMPLES, keys, values, 3));
    assert_ok(file_read(path, 1 << 20, &bytes, &size));
    for (size_t length = 0; length < size; length++) {
        unsigned char *cut = malloc(length ? length : 1);
        memcpy(cut, bytes, length);
        assert_fails(safetensors_parse(&file, "m", cut, length), HFF_E_FORMAT, "m: ");
        free(cut);
    }
    assert_ok(file_write(path, bytes, size - 1));
    assert_fails(safetensors_read(&file, path), HFF_E_FORMAT, "cut off");
    assert_ok(file_write(path, "", 0));
    assert_fails(safetensors_read(&file, path), HFF_E_FORMAT, "too short");
    assert_fails(safetensors_read(&file, in_folder(fixture, "none")), HFF_E_IO, "none");
    safetensors_free(&file); /* after an error there is nothing to free, and it may be called */
    free(bytes);
}

/* A file that the format's own library wrote (METHOD.md's golden vectors of the head). */
/* A file that is only opened gives the same header and, piece by piece, the same bytes; and it refuses as much. */
static void opened_files_are_read_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "m");
    struct safetensors file, whole;
    unsigned char piece[64];
    assert_ok(safetensors_write(path, sample, SAMPLES, keys, values, 3));
    assert_ok(safetensors_open(&file, path));
    assert_ok(safetensors_read(&whole, path));
    assert_int_equal(file.count, whole.count);
    for (int i = 0; i < file.count; i++) {
        const struct safetensor *opened = &file.tensor[i], *known = &whole.tensor[i];
        assert_string_equal(opened->name, known->name);
        assert_null(opened->data);
        for (size_t at = 0; at < opened->bytes; at += 5) {
            size_t bytes = opened->bytes - at < 5 ? opened->bytes - at : 5;
            assert_ok(safetensors_load(&file, path, opened, at, bytes, piece));
            assert_memory_equal(piece, (const unsigned char *)known->data + at, bytes);
            assert_ok(safetensors_load(&whole, path, known, at, bytes, piece));
            assert_memory_equal(piece, (const unsigned char *)known->data + at, bytes);
        }
        assert_fails(safetensors_load(&file, path, opened, opened->bytes, 1, piece), HFF_E_INTERNAL, "beyond");
    }
    const struct safetensor *last = &file.tensor[file.count - 1];
    assert_int_equal(truncate(path, (off_t)(file.start + last->offset + last->bytes - 1)), 0);
    fflush(file.stream); /* what stdio has read ahead is not asked for again */
    assert_fails(safetensors_load(&file, path, last, 0, last->bytes, piece), HFF_E_FORMAT, "shorter");
    safetensors_free(&file);
    safetensors_free(&whole);
    assert_fails(safetensors_open(&file, path), HFF_E_FORMAT, "cut off");
    assert_int_equal(truncate(path, 20), 0);
    assert_fails(safetensors_open(&file, path), HFF_E_FORMAT, "only 12 follow");
    assert_int_equal(truncate(path, 3), 0);
    assert_fails(safetensors_open(&file, path), HFF_E_FORMAT, "too short");
    assert_fails(safetensors_open(&file, in_folder(fixture, "none")), HFF_E_IO, "none");
    assert_fails(safetensors_open(&file, fixture->folder), HFF_E_IO, "folder");
}

static hff_status count_up(void *context, int index, size_t at, size_t bytes, const void **data)
{
    unsigned char *piece = context;
    assert_true(bytes <= SAFETENSORS_PIECE);
    for (size_t i = 0; i < bytes; i++) piece[i] = (unsigned char)((at + i) / 251 + (size_t)index);
    *data = piece;
    return HFF_OK;
}

/* Fetched piece by piece or given whole: the same file. */
static void pieces_make_the_same_file(void **state)
{
    struct fixture *fixture = *state;
    enum { LONG = 5 * SAFETENSORS_PIECE / 2 };
    unsigned char *bytes[2], *piece = malloc(SAFETENSORS_PIECE);
    struct safetensor tensor[2] = {{.name = "a", .dtype = DTYPE_U8, .rank = 1, .dim = {LONG}, .bytes = LONG},
                                   {.name = "b", .dtype = DTYPE_U8, .rank = 1, .dim = {3}, .bytes = 3}};
    const char *fetched = in_folder(fixture, "fetched"), *given = in_folder(fixture, "given");
    assert_ok(safetensors_write_fetched(fetched, tensor, 2, count_up, piece, NULL, NULL, 0));
    for (int t = 0; t < 2; t++) {
        tensor[t].data = bytes[t] = malloc(LONG);
        for (size_t i = 0; i < tensor[t].bytes; i++) bytes[t][i] = (unsigned char)(i / 251 + (size_t)t);
    }
    assert_ok(safetensors_write(given, tensor, 2, NULL, NULL, 0));
    unsigned char *x, *y;
    size_t n, m;
    assert_ok(file_read(fetched, 1 << 30, &x, &n));
    assert_ok(file_read(given, 1 << 30, &y, &m));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    free(bytes[0]);
    free(bytes[1]);
    free(piece);
}

static void a_foreign_file_is_read(void **state)
{
    struct fixture *fixture = *state;
    const char *source = getenv("HFF_SOURCE_DIR");
    const char *path = file_join(&fixture->arena, source ? source : ".", "tests/golden/head.safetensors");
    if (!file_exists(path)) {
        print_message("%s is not there: skipped\n", path);
        skip();
    }
    struct safetensors file;
    assert_ok(safetensors_read(&file, path));
    assert_int_equal(file.count, 27 * 10);
    assert_int_equal(file.metadata_count, 27);
    assert_non_null(strstr(safetensors_metadata(&file, "case26"), "\"dead\": true"));
    const struct safetensor *e = safetensors_find(&file, "case24.e"), *y = safetensors_find(&file, "case24.y1");
    assert_int_equal(e->dtype, DTYPE_F64);
    assert_int_equal(e->rank, 2);
    assert_int_equal(e->dim[0], 33);
    assert_int_equal(e->dim[1], 129);
    assert_int_equal(y->dtype, DTYPE_I64);
    for (int i = 0; i < 33; i++) {
        int64_t label;
        memcpy(&label, (const char *)y->data + 8 * i, 8);
        assert_in_range(label, 0, 99);
    }
    for (int i = 0; i < 33 * 129; i++) {
        double value;
        memcpy(&value, (const char *)e->data + 8 * i, 8);
        assert_true(isfinite(value) && fabs(value) < 30);
    }
    safetensors_free(&file);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(hostile_entries_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(long_names_do_not_hide_the_reason),
        WITH_FOLDER(what_is_written_comes_back),
        WITH_FOLDER(bytes_are_stable),
        WITH_FOLDER(bad_input_is_not_written),
        WITH_FOLDER(a_full_disk_leaves_the_old_file),
        WITH_FOLDER(cut_files_are_refused),
        WITH_FOLDER(opened_files_are_read_in_pieces),
        WITH_FOLDER(pieces_make_the_same_file),
        WITH_FOLDER(a_foreign_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
