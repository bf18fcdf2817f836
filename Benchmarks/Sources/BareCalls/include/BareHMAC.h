#ifndef COUNTERSIGN_BARE_HMAC_H
#define COUNTERSIGN_BARE_HMAC_H

/// HMAC-SHA-256 of a message of one padded block, from the states after both pads, by libcrypto's calls and nothing else:
/// what a verification costs at the least.
struct bare_hmac;

/// NULL when there is no memory.
struct bare_hmac *bare_hmac_make(void);
void bare_hmac_free(struct bare_hmac *bare);

/// Makes the code again; 1 when it is the same as the first time.
int bare_hmac_again(struct bare_hmac *bare);

#endif
