/* CRC-32C against published answers. */
#include "report/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
static void known_answers(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(crc32c(bytes, 32), 0x113fdb5c);
}

/* The mask of TFRecord: ((crc >> 15) | (crc << 17)) + 0xa282ead8. */
static void masked(void **state)
{
    (void)state;
    assert_int_equal(crc32c_masked("", 0), 0xa282ead8);
    assert_int_equal(crc32c_masked("123456789", 9), (uint32_t)((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(masked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
