#ifndef COUNTERSIGN_COPENSSL_H
#define COUNTERSIGN_COPENSSL_H

// The low-level SHA-256 calls are marked deprecated since OpenSSL 3.0 in favour of EVP; they stay in libcrypto's ABI
// and are the only ones that let a saved state be resumed without an allocation.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

/// 32 bytes in memory order: a SHA-256 state as libcrypto keeps it, or a digest.
typedef struct {
    uint64_t w0, w1, w2, w3;
} cs_words4;

// Values go in and out of these functions, no pointers; and they are put into memory in the pieces that SHA-256 reads them
// in, 16 bytes: a processor stalls when a load spans two stores that are still under way.
typedef uint64_t cs_pair __attribute__((vector_size(16)));

/// What SHA-256 begins with.
static inline cs_words4 cs_sha256_initial(void) {
    SHA256_CTX context;
    cs_words4 state;
    SHA256_Init(&context);
    memcpy(&state, context.h, 32);
    return state;
}

/// One SHA-256 compression of a block of eight words in memory order.
static inline cs_words4 cs_sha256_compress(cs_words4 state, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3, uint64_t b4,
                                           uint64_t b5, uint64_t b6, uint64_t b7) {
    SHA256_CTX context;
    cs_pair halves[2] = {{state.w0, state.w1}, {state.w2, state.w3}};
    cs_pair block[4] = {{b0, b1}, {b2, b3}, {b4, b5}, {b6, b7}};
    memcpy(context.h, halves, 32);
    SHA256_Transform(&context, (const unsigned char *)block);
    memcpy(&state, context.h, 32);
    return state;
}

/// Two 32-bit words of a state as the eight bytes of a digest (FIPS 180-4: most significant byte first).
static inline uint64_t cs_digest_word(uint64_t pair) {
    uint64_t swapped = __builtin_bswap64(pair);
    return swapped << 32 | swapped >> 32;
}

static inline cs_words4 cs_sha256_digest(cs_words4 state) {
    cs_words4 digest = {cs_digest_word(state.w0), cs_digest_word(state.w1), cs_digest_word(state.w2),
                        cs_digest_word(state.w3)};
    return digest;
}

/// The second half of an HMAC-SHA-256: `inner` is the state after the message, `outer` the one saved after the outer pad.
static inline cs_words4 cs_hmac_finish(cs_words4 inner, cs_words4 outer) {
    cs_words4 digest = cs_sha256_digest(inner);
    // The padding of 64 + 32 bytes: 0x80, and 768 bits.
    return cs_sha256_digest(cs_sha256_compress(outer, digest.w0, digest.w1, digest.w2, digest.w3, 0x80, 0, 0,
                                               __builtin_bswap64(768)));
}

/// The first half for a message of any length: the state after it and its padding, resumed from a saved state.
static inline cs_words4 cs_hmac_begin(cs_words4 inner, const uint8_t *message, uint64_t count) {
    SHA256_CTX context;
    uint8_t digest[32];
    cs_words4 state;
    SHA256_Init(&context);
    memcpy(context.h, &inner, 32);
    context.Nl = 512;
    SHA256_Update(&context, message, count);
    SHA256_Final(digest, &context);
    memcpy(&state, digest, 32);
    OPENSSL_cleanse(digest, 32);
    return cs_sha256_digest(state);
}

static inline void cs_sha256(const uint8_t *message, uint64_t count, uint8_t *digest) {
    SHA256(message, count, digest);
}

static inline void cs_sha512(const uint8_t *message, uint64_t count, uint8_t *digest) {
    SHA512(message, count, digest);
}

/// AES-256-GCM (NIST SP 800-38D) with a nonce of zeros, so a key must be used once only.
///
/// Sealing writes `count` bytes and a tag of 16 to `output`; opening reads as many and writes `count` bytes, which mean
/// nothing unless it returns 1. 0 for a wrong tag, and when the library has no memory.
static inline int cs_aes_gcm(int seals, const uint8_t *key, const uint8_t *associated, uint64_t associated_count,
                             const uint8_t *input, uint64_t count, uint8_t *output) {
    static const uint8_t nonce[12] = {0};
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written = 0, is_right = 0;
    uint8_t tag[16];
    if (!context || associated_count > INT32_MAX || count > INT32_MAX) goto done;
    if (EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, seals) != 1) goto done;
    if (EVP_CipherUpdate(context, NULL, &written, associated, (int)associated_count) != 1) goto done;
    if (count > 0 && EVP_CipherUpdate(context, output, &written, input, (int)count) != 1) goto done;
    if (!seals) {
        memcpy(tag, input + count, 16);
        if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, tag) != 1) goto done;
    }
    // GCM has no padding, so nothing more is written.
    if (EVP_CipherFinal_ex(context, tag, &written) != 1) goto done;
    if (seals && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, output + count) != 1) goto done;
    is_right = 1;
done:
    EVP_CIPHER_CTX_free(context);
    return is_right;
}

#endif
