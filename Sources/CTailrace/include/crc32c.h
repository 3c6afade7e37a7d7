// CRC-32C (Castagnoli, reflected, initial value and final XOR 0xFFFFFFFF): "123456789" gives 0xE3069283.
#ifndef TAILRACE_CRC32C_H
#define TAILRACE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/// The checksum of `length` bytes, continuing from `seed` (0 to begin). In hardware where the processor has it.
uint32_t tailrace_crc32c(uint32_t seed, const void *bytes, size_t length);

/// How many ways there are on this processor to find it, each faster than the one before; and one of them, from 1 on. For
/// tests: others have to find in a spool what this one wrote.
int tailrace_crc32c_ways(void);
uint32_t tailrace_crc32c_in_way(int way, uint32_t seed, const void *bytes, size_t length);

#endif
