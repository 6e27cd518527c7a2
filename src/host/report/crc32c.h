/* CRC-32C (Castagnoli), the checksum of TFRecord files. Private to the room. */
#ifndef HFF_REPORT_CRC32C_H
#define HFF_REPORT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* RFC 3720, appendix B.4 has known answers. */
uint32_t crc32c(const void *data, size_t size);
/* As TFRecord stores it: turned right by 15 bits plus a constant, for data that hold checksums. */
uint32_t crc32c_masked(const void *data, size_t size);

#endif
