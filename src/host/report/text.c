/* UTF-8 for display: decoding, column widths, cutting. The C library's wcwidth would do, but depends on the locale. */
#include "text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct range {
    uint32_t first, last;
    int columns; /* -1: not to be shown */
};
/* Sorted. What is missing takes one column. */
static const struct range ranges[] = {
    {0x0000, 0x001f, -1}, {0x007f, 0x009f, -1},  {0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},
    {0x0610, 0x061a, 0},  {0x064b, 0x065f, 0},   {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},
    {0x200b, 0x200d, 0},  {0x200e, 0x200f, -1},  {0x2028, 0x202e, -1},  {0x2066, 0x2069, -1},  {0x20d0, 0x20ff, 0},
    {0x2e80, 0x303e, 2},  {0x3041, 0x4dbf, 2},   {0x4e00, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
    {0xfe00, 0xfe0f, 0},  {0xfe20, 0xfe2f, 0},   {0xfe30, 0xfe6f, 2},   {0xfeff, 0xfeff, 0},   {0xff00, 0xff60, 2},
    {0xffe0, 0xffe6, 2},  {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
};

static int code_columns(uint32_t code)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && ranges[i].first <= code; i++)
        if (code <= ranges[i].last) return ranges[i].columns;
    return 1;
}

/* The length of the well-formed character at text and its code; 0 when it is not one. */
static int decode(const char *text, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    unsigned char first = (unsigned char)*text;
    for (int length = 1; length <= 4; length++) {
        if ((first & forms[length - 1].mask) != forms[length - 1].lead) continue;
        uint32_t value = first & (unsigned char)~forms[length - 1].mask;
        for (int i = 1; i < length; i++) {
            unsigned char next = (unsigned char)text[i];
            if ((next & 0xc0) != 0x80) return 0; /* also the end of the text */
            value = value << 6 | (next & 0x3f);
        }
        *code = value;
        int surrogate = value >= 0xd800 && value <= 0xdfff;
        return value >= forms[length - 1].least && value <= 0x10ffff && !surrogate ? length : 0;
    }
    return 0;
}

int text_next(const char **at, struct text_char *out)
{
    if (**at == 0) return 0;
    uint32_t code = 0;
    int size = decode(*at, &code);
    int columns = size ? code_columns(code) : -1;
    *out = columns < 0 ? (struct text_char){"?", 1, 1} : (struct text_char){*at, size, columns};
    *at += size ? size : 1;
    return 1;
}

int text_columns(const char *text)
{
    int columns = 0;
    for (struct text_char c; text_next(&text, &c);) columns += c.columns;
    return columns;
}

/* Copies whole characters while they fit; returns the bytes written. */
static size_t copy(char *out, size_t capacity, const char *text, int columns)
{
    size_t used = 0;
    int taken = 0;
    for (struct text_char c; text_next(&text, &c);) {
        if (taken + c.columns > columns || used + (size_t)c.size >= capacity) break;
        memcpy(out + used, c.bytes, (size_t)c.size);
        used += (size_t)c.size;
        taken += c.columns;
    }
    out[used] = 0;
    return used;
}

void text_fit(char *out, size_t capacity, const char *text, int columns)
{
    if (columns < 0) columns = 0;
    size_t bytes = 0;
    const char *at = text;
    for (struct text_char c; text_next(&at, &c);) bytes += (size_t)c.size;
    if (text_columns(text) <= columns && bytes < capacity) {
        copy(out, capacity, text, columns);
        return;
    }
    int dots = columns < 3 ? columns : 3;
    if (capacity < (size_t)dots + 1) dots = (int)capacity - 1;
    size_t used = copy(out, capacity - (size_t)dots, text, columns - dots);
    memset(out + used, '.', (size_t)dots);
    out[used + (size_t)dots] = 0;
}

void text_thousands(char *out, size_t capacity, double value)
{
    if (!isfinite(value) || fabs(value) >= 1e15) {
        snprintf(out, capacity, isfinite(value) ? "%.3g" : "?", value);
        return;
    }
    char digits[32], grouped[48];
    int length = snprintf(digits, sizeof digits, "%.0f", fabs(value)), used = 0;
    if (value <= -0.5) grouped[used++] = '-';
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) grouped[used++] = ',';
        grouped[used++] = digits[i];
    }
    grouped[used] = 0;
    snprintf(out, capacity, "%s", grouped);
}
