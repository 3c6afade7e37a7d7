#include "crc32c.h"

static uint32_t table[8][256];

__attribute__((constructor(101))) static void make_table(void) {
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
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP_WORD(c, v) ((uint32_t)_mm_crc32_u64(c, v))
#define STEP_BYTE(c, b) _mm_crc32_u8(c, b)
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
#define STEP_WORD(c, v) __crc32cd(c, v)
#define STEP_BYTE(c, b) __crc32cb(c, b)
static int has_hardware(void) { return 1; }
#endif

#ifdef HARDWARE
// An instruction takes three cycles and one may begin in each: three stretches side by side keep the unit busy.
enum { STRETCH = 1024 };

// What a stretch of zeros makes of a register, by its bytes. The checksum of two stretches one after the other is the
// first one's register led through the length of the second, xor what the second makes of zero.
static uint32_t through_stretch[4][256];

__attribute__((constructor(102))) static void make_through_stretch(void) {
    static const uint8_t zeros[STRETCH];
    for (int k = 0; k < 4; k++)
        for (uint32_t i = 0; i < 256; i++) through_stretch[k][i] = software(i << (8 * k), zeros, STRETCH);
}

static uint32_t lead_through(uint32_t c) {
    return through_stretch[0][c & 255] ^ through_stretch[1][(c >> 8) & 255] ^ through_stretch[2][(c >> 16) & 255] ^
           through_stretch[3][c >> 24];
}

HARDWARE static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) {
    for (; n >= 3 * STRETCH; n -= 3 * STRETCH, p += 3 * STRETCH) {
        uint32_t second = 0, third = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            c = STEP_WORD(c, load64(p + i));
            second = STEP_WORD(second, load64(p + STRETCH + i));
            third = STEP_WORD(third, load64(p + 2 * STRETCH + i));
        }
        c = lead_through(lead_through(c) ^ second) ^ third;
    }
    for (; n >= 8; n -= 8, p += 8) c = STEP_WORD(c, load64(p));
    for (; n > 0; n--, p++) c = STEP_BYTE(c, *p);
    return c;
}
#else
#define hardware software
static int has_hardware(void) { return 0; }
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define FOLDING __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))
static int has_folding(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
           __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
}

// Multiplication without carries, after Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
// Instruction" (Intel, 2009): 16 bytes weigh, so many bits further on, as much as their halves times two constants. Four
// times four such lanes go through the bytes 256 at a time, are then folded into one, and its 16 bytes have the checksum.
enum { FOLDED = 256 };

// For a way of 2048, 512 and 128 bits: x to the power of the way + 32 and of the way - 32, modulo the polynomial,
// reflected, and moved by the bit that a product of reflected factors is short of.
static uint64_t over_2048[2], over_512[2], over_128[2];

static uint64_t power(int exponent) {
    uint32_t c = 0x80000000u;
    while (exponent-- > 0) c = c & 1 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
    return (uint64_t)c << 1;
}

__attribute__((constructor(102))) static void make_ways(void) {
    over_2048[0] = power(2048 + 32), over_2048[1] = power(2048 - 32);
    over_512[0] = power(512 + 32), over_512[1] = power(512 - 32);
    over_128[0] = power(128 + 32), over_128[1] = power(128 - 32);
}

FOLDING static __m512i ways(const uint64_t way[2]) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)way));
}

/// Four lanes of `from`, led over `way`, and what is there.
FOLDING static __m512i fold4(__m512i from, __m512i way, __m512i there) {
    return _mm512_ternarylogic_epi64(
        _mm512_clmulepi64_epi128(from, way, 0x00), _mm512_clmulepi64_epi128(from, way, 0x11), there, 0x96);
}

FOLDING static __m128i fold(__m128i from, __m128i way, __m128i there) {
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(from, way, 0x00), _mm_clmulepi64_si128(from, way, 0x11)), there);
}

FOLDING static uint32_t folding(uint32_t c, const uint8_t *p, size_t n) {
    if (n < 2 * FOLDED) return hardware(c, p, n);
    __m512i lanes[4];
    for (int i = 0; i < 4; i++) lanes[i] = _mm512_loadu_si512(p + 64 * i);
    lanes[0] = _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)c)));
    const __m512i far = ways(over_2048), near = ways(over_512);
    for (p += FOLDED, n -= FOLDED; n >= FOLDED; p += FOLDED, n -= FOLDED)
        for (int i = 0; i < 4; i++) lanes[i] = fold4(lanes[i], far, _mm512_loadu_si512(p + 64 * i));
    for (int i = 0; i < 3; i++) lanes[i + 1] = fold4(lanes[i], near, lanes[i + 1]);
    const __m128i next = _mm_loadu_si128((const __m128i *)over_128);
    __m128i sum = _mm512_extracti32x4_epi32(lanes[3], 0);
    sum = fold(sum, next, _mm512_extracti32x4_epi32(lanes[3], 1));
    sum = fold(sum, next, _mm512_extracti32x4_epi32(lanes[3], 2));
    sum = fold(sum, next, _mm512_extracti32x4_epi32(lanes[3], 3));
    uint8_t last[16];
    _mm_storeu_si128((__m128i *)last, sum);
    return hardware(hardware(0, last, sizeof last), p, n);
}
#else
#define folding hardware
static int has_folding(void) { return 0; }
#endif

int tailrace_crc32c_ways(void) { return has_folding() ? 3 : has_hardware() ? 2 : 1; }

uint32_t tailrace_crc32c_in_way(int way, uint32_t seed, const void *bytes, size_t length) {
    return ~(way > 2 ? folding : way > 1 ? hardware : software)(~seed, bytes, length);
}

uint32_t tailrace_crc32c(uint32_t seed, const void *bytes, size_t length) {
    return tailrace_crc32c_in_way(tailrace_crc32c_ways(), seed, bytes, length);
}
