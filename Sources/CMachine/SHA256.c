#include "CMachine.h"

// SHA-256 with processor instructions (Intel SHA extensions, in AMD processors since Zen and in Intel's since Ice Lake).
// libcrypto uses them too. The gain is in the overhead: both compressions of an HMAC are one call, so that the inner digest
// becomes the outer block in registers, without memory access or byte swaps.
//
// The instructions keep a state as (a, b, e, f) and (c, d, g, h), from the highest lane to the lowest.

#if defined(__x86_64__)

#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1")))
#define INLINED WITH_SHA __attribute__((always_inline)) static inline

// FIPS 180-4 §4.2.2.
static const uint32_t constants[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

typedef struct {
    __m128i abef, cdgh;
} state;

typedef struct {
    __m128i words[4];
} message;

/// Converts from the order of FIPS 180-4, (a, b, c, d) and (e, f, g, h) from the lowest lane, to that of the instructions.
INLINED state taken(cs_state plain) {
    __m128i first = _mm_shuffle_epi32((__m128i)plain.first, 0xB1);
    __m128i second = _mm_shuffle_epi32((__m128i)plain.second, 0x1B);
    return (state){_mm_alignr_epi8(first, second, 8), _mm_blend_epi16(second, first, 0xF0)};
}

INLINED cs_state given(state s) {
    __m128i abef = _mm_shuffle_epi32(s.abef, 0x1B), cdgh = _mm_shuffle_epi32(s.cdgh, 0x1B);
    return (cs_state){(cs_pair)_mm_unpacklo_epi64(abef, cdgh), (cs_pair)_mm_unpackhi_epi64(abef, cdgh)};
}

/// Reverses the bytes of each 32-bit word (FIPS 180-4: most significant byte first).
INLINED __m128i swapped(cs_pair pair) {
    return _mm_shuffle_epi8((__m128i)pair, _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203));
}

/// Four of the 64 rounds.
INLINED void rounds(state *s, __m128i words, int step) {
    __m128i sum = _mm_add_epi32(words, ((const __m128i *)constants)[step]);
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

/// The next four words of the message schedule, replacing the oldest.
INLINED void schedule(message *m, int step) {
    __m128i a = m->words[step & 3], b = m->words[(step + 1) & 3], c = m->words[(step + 2) & 3],
            d = m->words[(step + 3) & 3];
    __m128i middle = d;
    // Inline assembly, because the compiler would use two slower instructions.
    __asm__("palignr $4, %1, %0" : "+x"(middle) : "x"(c));
    m->words[step & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), middle), d);
}

INLINED void step_of(state *s, message *m, int step) {
    if (step >= 4) { schedule(m, step); }
    rounds(s, m->words[step & 3], step);
    // Keeps this order: the compiler would compute the whole schedule first, which fills the processor's queues while the
    // rounds, the longest dependency chain, wait.
    __asm__ volatile("" : "+x"(s->abef), "+x"(m->words[step & 3]));
}

INLINED state sum(state a, state b) {
    return (state){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

INLINED cs_state compressed(cs_state from, message m) {
    state start = taken(from), s = start;
#pragma clang loop unroll(full)
    for (int step = 0; step < 16; step++) { step_of(&s, &m, step); }
    return given(sum(s, start));
}

INLINED message message_of(cs_pair b0, cs_pair b1, cs_pair b2, cs_pair b3) {
    return (message){{swapped(b0), swapped(b1), swapped(b2), swapped(b3)}};
}

INLINED message outer_block(cs_state digest) {
    // The inner digest, 0x80, and the length in bits of 64 + 32 bytes.
    return (message){{(__m128i)digest.first, (__m128i)digest.second, _mm_set_epi32(0, 0, 0, (int)0x80000000),
                      _mm_set_epi32(768, 0, 0, 0)}};
}

INLINED cs_state in_memory_order(cs_state digest) {
    return (cs_state){(cs_pair)swapped(digest.first), (cs_pair)swapped(digest.second)};
}

WITH_SHA cs_state cs_hmac_sha256(cs_pair inner1, cs_pair inner2, cs_pair outer1, cs_pair outer2, cs_pair b0, cs_pair b1,
                                 cs_pair b2, cs_pair b3) {
    cs_state inner = compressed((cs_state){inner1, inner2}, message_of(b0, b1, b2, b3));
    return in_memory_order(compressed((cs_state){outer1, outer2}, outer_block(inner)));
}

/// Two compressions at once: the rounds of one state wait for each other, and those of two fill each other's gaps.
INLINED void compressed_two(const state from, message *m, message *n, cs_state *first, cs_state *second) {
    state s = from, t = from;
#pragma clang loop unroll(full)
    for (int step = 0; step < 16; step++) {
        step_of(&s, m, step);
        step_of(&t, n, step);
    }
    *first = given(sum(s, from));
    *second = given(sum(t, from));
}

WITH_SHA void cs_hmac_sha256_two(const cs_state *inner, const cs_state *outer, const cs_block *blocks, cs_state *codes) {
    message m = message_of(blocks[0].quarters[0], blocks[0].quarters[1], blocks[0].quarters[2], blocks[0].quarters[3]);
    message n = message_of(blocks[1].quarters[0], blocks[1].quarters[1], blocks[1].quarters[2], blocks[1].quarters[3]);
    cs_state first, second;
    compressed_two(taken(*inner), &m, &n, &first, &second);
    m = outer_block(first), n = outer_block(second);
    compressed_two(taken(*outer), &m, &n, &first, &second);
    codes[0] = in_memory_order(first);
    codes[1] = in_memory_order(second);
}

int cs_sha256_is_instruction;

__attribute__((constructor)) static void look_for_sha256(void) {
    __builtin_cpu_init();
    cs_sha256_is_instruction = __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1");
}

#else

int cs_sha256_is_instruction;

cs_state cs_hmac_sha256(cs_pair inner1, cs_pair inner2, cs_pair outer1, cs_pair outer2, cs_pair b0, cs_pair b1, cs_pair b2,
                        cs_pair b3) {
    __builtin_trap();
}

void cs_hmac_sha256_two(const cs_state *inner, const cs_state *outer, const cs_block *blocks, cs_state *codes) {
    __builtin_trap();
}

#endif
