/* JSON over jansson. Nesting is measured before jansson sees the text, because its own limit is far above ours. */
#include "json.h"

#include "file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64, FILE_LIMIT = 64 << 20 };

/* Brackets outside strings; whatever else is wrong with the text is left for the parser to say. */
static hff_status check_depth(const char *what, const char *text, size_t size)
{
    int depth = 0, in_string = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '[' || c == '{') {
            if (++depth > DEEPEST)
                return fail(HFF_E_FORMAT, "%s: JSON is nested deeper than %d at byte %zu", what, (int)DEEPEST, i);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return HFF_OK;
}

hff_status json_parse(const char *what, const char *text, size_t size, json_t **out)
{
    *out = NULL;
    TRY(check_depth(what, text, size));
    json_error_t error;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*out) return HFF_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fail(HFF_E_MEMORY, "%s: no memory for %zu bytes of JSON", what, size);
    return fail(HFF_E_FORMAT, "%s:%d:%d: not valid JSON: %s", what, error.line, error.column, error.text);
}

hff_status json_read(const char *path, json_t **out)
{
    *out = NULL;
    unsigned char *text;
    size_t size;
    TRY(file_read(path, FILE_LIMIT, &text, &size));
    hff_status status = json_parse(path, (const char *)text, size, out);
    free(text);
    return status;
}

char *json_text(const json_t *value, int indent)
{
    return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) | JSON_INDENT(indent));
}

char *json_text_sorted(const json_t *value)
{
    return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) | JSON_SORT_KEYS);
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static hff_status put_text(struct file_writer *writer, const char *text)
{
    TRY(file_put(writer, text, strlen(text)));
    return file_put(writer, "\n", 1);
}

hff_status json_write(const char *path, const json_t *value)
{
    char *text = json_text(value, 2);
    if (!text) return fail(HFF_E_INTERNAL, "%s: its content cannot be written as JSON", path);
    struct file_writer writer;
    hff_status status = file_create(&writer, path);
    if (status == HFF_OK) status = file_finish(&writer, put_text(&writer, text));
    free(text);
    return status;
}

static hff_status find_member(const json_t *object, const char *what, const char *key, const json_t **member)
{
    if (!json_is_object(object))
        return fail(HFF_E_FORMAT, "%s: not a JSON object, where \"%s\" is looked for", what, key);
    *member = json_object_get(object, key);
    return *member ? HFF_OK : fail(HFF_E_FORMAT, "%s: \"%s\" is missing", what, key);
}

hff_status json_member_int(const json_t *object, const char *what, const char *key, int64_t *out)
{
    const json_t *member;
    TRY(find_member(object, what, key, &member));
    if (!json_is_integer(member)) return fail(HFF_E_FORMAT, "%s: \"%s\" is not an integer", what, key);
    *out = json_integer_value(member);
    return HFF_OK;
}

hff_status json_member_real(const json_t *object, const char *what, const char *key, double *out)
{
    const json_t *member;
    TRY(find_member(object, what, key, &member));
    if (!json_is_number(member)) return fail(HFF_E_FORMAT, "%s: \"%s\" is not a number", what, key);
    *out = json_number_value(member);
    return HFF_OK;
}

hff_status json_member_text(const json_t *object, const char *what, const char *key, const char **out)
{
    const json_t *member;
    TRY(find_member(object, what, key, &member));
    if (!json_is_string(member)) return fail(HFF_E_FORMAT, "%s: \"%s\" is not a text", what, key);
    *out = json_string_value(member);
    return HFF_OK;
}
