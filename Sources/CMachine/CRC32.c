#include "CMachine.h"

// The CRC of a credential. With tables it would take more than half the time of a SHA-256 compression, so processor
// instructions are used.
//
// x86-64: carry-less multiplication. Four zero bytes in front of the 60, which do not change the CRC, give four blocks of
// 16. The first three are multiplied in parallel, each by x^(bits after it) modulo the polynomial. The sum of all four has
// the same remainder; it is folded to 96 and 64 bits and reduced (Gopal et al., "Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ Instruction", Intel, 2009). A constant for n bits is x^n mod P, bit-reflected, times x.
//
// AArch64: an instruction for exactly this polynomial.

uint32_t cs_crc32_of_60_portable(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
                                 uint64_t w5, uint64_t w6) {
    // The CRCs of the sixteen nibbles.
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    const uint64_t words[8] = {(uint64_t)first << 32, w0, w1, w2, w3, w4, w5, w6};
    uint32_t crc = 0xFFFFFFFF;
    for (int i = 8; i < 128; i++) {
        uint32_t half = (uint32_t)(words[i / 16] >> (4 * (i % 16))) & 15;
        crc = table[(crc ^ half) & 15] ^ (crc >> 4);
    }
    return ~crc;
}

#if defined(__x86_64__)

#include <emmintrin.h>
#include <wmmintrin.h>

/// Multiplies both halves of `block` by the constants for a distance and adds the products.
__attribute__((target("pclmul"))) static inline __m128i folded(__m128i block, int64_t low, int64_t high) {
    __m128i by = _mm_set_epi64x(high, low);
    return _mm_xor_si128(_mm_clmulepi64_si128(block, by, 0x00), _mm_clmulepi64_si128(block, by, 0x11));
}

__attribute__((target("pclmul"))) static uint32_t crc32_by_multiplication(uint32_t first, uint64_t w0, uint64_t w1,
                                                                          uint64_t w2, uint64_t w3, uint64_t w4,
                                                                          uint64_t w5, uint64_t w6) {
    const __m128i half = _mm_set_epi64x(0, 0xFFFFFFFF);
    __m128i a = folded(_mm_set_epi64x((int64_t)w0, (int64_t)((uint64_t)~first << 32)), 0x03DB1ECDC, 0x174359406);
    __m128i b = folded(_mm_set_epi64x((int64_t)w2, (int64_t)w1), 0x0F1DA05AA, 0x15A546366);
    __m128i c = folded(_mm_set_epi64x((int64_t)w4, (int64_t)w3), 0x1751997D0, 0x0CCAA009E);
    __m128i x = _mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, _mm_set_epi64x((int64_t)w6, (int64_t)w5)));
    // 128 bits to 96, to 64.
    x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, _mm_set_epi64x(0, 0x0CCAA009E), 0x00));
    __m128i low = _mm_and_si128(x, half);
    x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(low, _mm_set_epi64x(0, 0x163CD6124), 0x00));
    // Barrett reduction: by the reciprocal, then by the polynomial, both bit-reflected.
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, half), _mm_set_epi64x(0, 0x1F7011641), 0x00);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, half), _mm_set_epi64x(0, 0x1DB710641), 0x00);
    uint64_t remainder = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(x, quotient));
    return ~(uint32_t)(remainder >> 32);
}

uint32_t cs_crc32_of_60(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5,
                        uint64_t w6) {
    if (__builtin_cpu_supports("pclmul")) { return crc32_by_multiplication(first, w0, w1, w2, w3, w4, w5, w6); }
    return cs_crc32_of_60_portable(first, w0, w1, w2, w3, w4, w5, w6);
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

__attribute__((target("crc"))) static uint32_t crc32_by_instruction(uint32_t first, uint64_t w0, uint64_t w1,
                                                                    uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5,
                                                                    uint64_t w6) {
    uint32_t crc = __builtin_arm_crc32w(0xFFFFFFFF, first);
    crc = __builtin_arm_crc32d(crc, w0);
    crc = __builtin_arm_crc32d(crc, w1);
    crc = __builtin_arm_crc32d(crc, w2);
    crc = __builtin_arm_crc32d(crc, w3);
    crc = __builtin_arm_crc32d(crc, w4);
    crc = __builtin_arm_crc32d(crc, w5);
    return ~__builtin_arm_crc32d(crc, w6);
}

uint32_t cs_crc32_of_60(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5,
                        uint64_t w6) {
    // Bit 7 of AT_HWCAP: optional in ARMv8.0, required since ARMv8.1. Cached; racing threads find the same value.
    static int known;
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!found) {
        found = getauxval(AT_HWCAP) & 1u << 7 ? 1 : 2;
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found == 1 ? crc32_by_instruction(first, w0, w1, w2, w3, w4, w5, w6)
                      : cs_crc32_of_60_portable(first, w0, w1, w2, w3, w4, w5, w6);
}

#else

uint32_t cs_crc32_of_60(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5,
                        uint64_t w6) {
    return cs_crc32_of_60_portable(first, w0, w1, w2, w3, w4, w5, w6);
}

#endif
