#ifndef COUNTERSIGN_BARE_LMDB_H
#define COUNTERSIGN_BARE_LMDB_H

#include <stdint.h>

/// The store's `credentials` table through LMDB's own calls and nothing else: what a look-up costs at the least.
struct bare_lmdb;

/// Opens the data of a folder for reading, with as many databases as the store opens. NULL when that fails.
struct bare_lmdb *bare_lmdb_open(const char *directory);
void bare_lmdb_close(struct bare_lmdb *bare);

/// Renews a reader, gets the value of an 8-byte key, resets. The value's first word, or 0 when there is none.
uint64_t bare_lmdb_get(struct bare_lmdb *bare, uint64_t key);

/// Commits `commits` groups of `rows` new credentials each to the data of a folder, as durably as LMDB does by itself: for
/// each a row of 112 bytes under a random id, its entry under one of `rows` owners, and one in the journal. What issuing
/// costs at the least. Each call on one folder has a higher `turn`. `nanoseconds` gets what each commit took with its group,
/// or is NULL. 0, or LMDB's error.
int bare_lmdb_issue(const char *directory, unsigned turn, unsigned commits, unsigned rows, uint64_t *nanoseconds);

#endif
