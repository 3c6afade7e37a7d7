#include "crc32c.h"

static uint32_t table[8][256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++) table[t][i] = table[0][table[t - 1][i] & 255] ^ (table[t - 1][i] >> 8);
}

static uint64_t load64(const uint8_t *p) {
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

static uint32_t software(uint32_t c, const uint8_t *p, size_t n) {
    // Slicing by 8; the words are little-endian, as on every platform that we build for.
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = load64(p) ^ c;
        c = table[7][v & 255] ^ table[6][(v >> 8) & 255] ^ table[5][(v >> 16) & 255] ^ table[4][(v >> 24) & 255] ^
            table[3][(v >> 32) & 255] ^ table[2][(v >> 40) & 255] ^ table[1][(v >> 48) & 255] ^ table[0][v >> 56];
    }
    for (; n > 0; n--, p++) c = table[0][(c ^ *p) & 255] ^ (c >> 8);
    return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) {
    uint64_t wide = c;
    for (; n >= 8; n -= 8, p += 8) wide = _mm_crc32_u64(wide, load64(p));
    c = (uint32_t)wide;
    for (; n > 0; n--, p++) c = _mm_crc32_u8(c, *p);
    return c;
}

static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) c = __crc32cd(c, load64(p));
    for (; n > 0; n--, p++) c = __crc32cb(c, *p);
    return c;
}

static int has_hardware(void) { return 1; }
#else
static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) { return software(c, p, n); }
static int has_hardware(void) { return 0; }
#endif

uint32_t tailrace_crc32c(uint32_t seed, const void *bytes, size_t length) {
    return ~(has_hardware() ? hardware : software)(~seed, bytes, length);
}
