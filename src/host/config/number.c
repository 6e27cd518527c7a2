/* Numbers as text, the same in every locale. */
#include "tree.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 17 };                               /* of a double, at most */
static const double exact_max = 9007199254740992.0; /* 2^53: whole numbers up to here are exact in a double */

static const char *skip_digits(const char *at)
{
    while (*at >= '0' && *at <= '9') at++;
    return at;
}

/* Is text a number: sign, digits with an optional dot, optional exponent? JSON's and YAML's decimal forms; no leading
 * zeros, which YAML 1.1 reads as octal, no digits joined by _ or :. whole: there is neither dot nor exponent. */
static const char *scan(const char *text, int *whole)
{
    const char *at = text + (*text == '+' || *text == '-'), *digits = at;
    at = skip_digits(at);
    size_t before = (size_t)(at - digits), after = 0;
    *whole = *at == 0;
    if (*at == '.') {
        const char *fraction = ++at;
        at = skip_digits(at);
        after = (size_t)(at - fraction);
    }
    if (before + after == 0) return "not a number";
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        const char *exponent = at;
        at = skip_digits(at);
        if (at == exponent) return "not a number";
    }
    if (*at != 0) return "not a number";
    return before > 1 && *digits == '0' ? "a number with leading zeros" : NULL;
}

const char *config_number_real(const char *text, double *out)
{
    int whole;
    const char *wrong = scan(text, &whole);
    if (wrong) return wrong;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) return "not readable: out of memory";
    *out = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);
    if (isinf(*out)) return "too large for a number";
    size_t mantissa = strcspn(text, "eE");
    if (*out == 0 && strcspn(text, "123456789") < mantissa) return "too small for a number";
    return NULL;
}

const char *config_number_int(const char *text, int64_t *out)
{
    int whole;
    const char *wrong = scan(text, &whole);
    if (wrong) return wrong;
    if (whole) {
        errno = 0;
        *out = strtoll(text, NULL, 10);
        return errno ? "too large for a whole number" : NULL;
    }
    double real;
    wrong = config_number_real(text, &real);
    if (wrong) return wrong;
    if (real != floor(real)) return "not a whole number";
    if (fabs(real) > exact_max) return "too large for a whole number in this form";
    *out = (int64_t)real;
    return NULL;
}

/* The fewest digits that read back as value, without a dot, and the power of ten of the first. */
static int shortest(double value, char digits[DIGITS + 1], int *exponent)
{
    char text[NUMBER_TEXT];
    for (int precision = 0; precision < DIGITS; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value) break; /* reads what snprintf wrote, in whatever locale */
    }
    int count = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (isdigit((unsigned char)*at) && count < DIGITS) digits[count++] = *at;
    *exponent = (int)strtol(at + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0') count--;
    digits[count] = 0;
    return count;
}

const char *config_number_text(char *out, double value)
{
    enum { PLAIN = 16 }; /* powers of ten that are written out; beyond them in the form that PyYAML takes as a number */
    char digits[DIGITS + 1], *at = out;
    int exponent, count = shortest(value, digits, &exponent);
    if (signbit(value)) *at++ = '-';
    if (exponent < -PLAIN || exponent > PLAIN) {
        snprintf(at, NUMBER_TEXT - 1, "%c.%se%+d", digits[0], count > 1 ? digits + 1 : "0", exponent);
        return out;
    }
    if (exponent < 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = -1; i > exponent; i--) *at++ = '0';
        memcpy(at, digits, (size_t)count + 1);
        return out;
    }
    for (int i = 0; i <= exponent; i++) *at++ = i < count ? digits[i] : '0';
    *at++ = '.';
    if (count <= exponent + 1)
        memcpy(at, "0", 2);
    else
        memcpy(at, digits + exponent + 1, (size_t)(count - exponent));
    return out;
}

const char *config_number_short(char *out, double value)
{
    config_number_text(out, value);
    size_t length = strlen(out);
    if (length > 2 && strcmp(out + length - 2, ".0") == 0) out[length - 2] = 0;
    return out;
}
