#ifndef COUNTERSIGN_COPENSSL_H
#define COUNTERSIGN_COPENSSL_H

// The low-level SHA-256 calls are marked deprecated since OpenSSL 3.0 in favour of EVP; they stay in libcrypto's ABI
// and are the only ones that let a saved state be resumed without an allocation.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

/// One SHA-256 compression of `block` (64 bytes) into `state` (8 words).
static inline void cs_sha256_compress(uint32_t *state, const uint8_t *block) {
    SHA256_CTX context;
    memcpy(context.h, state, 32);
    SHA256_Transform(&context, block);
    memcpy(state, context.h, 32);
}

static inline uint64_t cs_be64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

/// The two compressions of an HMAC-SHA-256 whose message fits one padded block, resumed from saved states.
/// `block` is that padded block, `tag` takes four words whose memory is the 32 bytes of the code.
static inline void cs_hmac_one_block(const uint32_t *inner, const uint32_t *outer, const uint8_t *block, uint64_t *tag) {
    uint32_t state[8];
    uint8_t second[64];
    memcpy(state, inner, 32);
    cs_sha256_compress(state, block);
    for (int i = 0; i < 8; i++) {
        uint32_t v = __builtin_bswap32(state[i]);
        memcpy(second + 4 * i, &v, 4);
    }
    memset(second + 32, 0, 32);
    second[32] = 0x80;
    second[62] = 0x03;  // (64 + 32) bytes = 768 bits = 0x0300
    memcpy(state, outer, 32);
    cs_sha256_compress(state, second);
    for (int i = 0; i < 8; i++) {
        uint32_t v = __builtin_bswap32(state[i]);
        memcpy((uint8_t *)tag + 4 * i, &v, 4);
    }
}

/// HMAC-SHA-256 of a message of any length, resumed from saved states.
static inline void cs_hmac(const uint32_t *inner, const uint32_t *outer, const uint8_t *message, uint64_t count,
                           uint64_t *tag) {
    SHA256_CTX context;
    uint8_t digest[32];
    SHA256_Init(&context);
    memcpy(context.h, inner, 32);
    context.Nl = 512;
    SHA256_Update(&context, message, count);
    SHA256_Final(digest, &context);
    SHA256_Init(&context);
    memcpy(context.h, outer, 32);
    context.Nl = 512;
    SHA256_Update(&context, digest, 32);
    SHA256_Final((uint8_t *)tag, &context);
    OPENSSL_cleanse(digest, 32);
}

static inline void cs_sha256_initial(uint32_t *state) {
    SHA256_CTX context;
    SHA256_Init(&context);
    memcpy(state, context.h, 32);
}

static inline void cs_sha256(const uint8_t *message, uint64_t count, uint8_t *digest) {
    SHA256(message, count, digest);
}

#endif
