#include "BareHMAC.h"

// As in libcrypto's ABI, though deprecated in favour of EVP, which cannot resume a saved state without an allocation.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Put into memory in the pieces that SHA-256 reads: a processor stalls when a load spans two stores that are under way.
typedef uint64_t pair __attribute__((vector_size(16)));

struct bare_hmac {
    pair inner[2], outer[2], block[4];
    uint64_t expected;
};

static inline uint64_t digest_word(uint64_t state) {
    uint64_t swapped = __builtin_bswap64(state);
    return swapped << 32 | swapped >> 32;
}

static uint64_t first_word(const struct bare_hmac *bare) {
    SHA256_CTX context;
    uint64_t words[4];
    memcpy(context.h, bare->inner, 32);
    SHA256_Transform(&context, (const unsigned char *)bare->block);
    memcpy(words, context.h, 32);
    pair digest[4] = {{digest_word(words[0]), digest_word(words[1])},
                      {digest_word(words[2]), digest_word(words[3])},
                      {0x80, 0},
                      {0, __builtin_bswap64(768)}};
    memcpy(context.h, bare->outer, 32);
    SHA256_Transform(&context, (const unsigned char *)digest);
    memcpy(words, context.h, 32);
    return digest_word(words[0]);
}

struct bare_hmac *bare_hmac_make(void) {
    struct bare_hmac *bare = aligned_alloc(64, sizeof *bare);
    if (!bare) { return NULL; }
    unsigned char pad[64];
    SHA256_CTX context;
    SHA256_Init(&context);
    memset(pad, 0x36 ^ 7, sizeof pad);
    SHA256_Transform(&context, pad);
    memcpy(bare->inner, context.h, 32);
    SHA256_Init(&context);
    memset(pad, 0x5C ^ 7, sizeof pad);
    SHA256_Transform(&context, pad);
    memcpy(bare->outer, context.h, 32);
    memset(bare->block, 'k', sizeof bare->block);
    bare->expected = first_word(bare);
    return bare;
}

void bare_hmac_free(struct bare_hmac *bare) { free(bare); }

int bare_hmac_again(struct bare_hmac *bare) { return first_word(bare) == bare->expected; }
