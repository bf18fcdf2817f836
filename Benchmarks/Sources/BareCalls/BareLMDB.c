#include "BareLMDB.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

struct bare_lmdb {
    MDB_env *environment;
    MDB_txn *reader;
    MDB_dbi credentials;
};

static const char *const tables[] = {
    "credentials", "aliases", "journal", "expiry", "owners", "interned", "clients", "watermarks", "meta",
};

struct bare_lmdb *bare_lmdb_open(const char *directory) {
    struct bare_lmdb *bare = calloc(1, sizeof *bare);
    MDB_txn *opening = NULL;
    if (!bare || mdb_env_create(&bare->environment)) { goto failed; }
    mdb_env_set_maxdbs(bare->environment, 16);
    if (mdb_env_open(bare->environment, directory, MDB_NOTLS, 0600)) { goto failed; }
    if (mdb_txn_begin(bare->environment, NULL, MDB_RDONLY, &opening)) { goto failed; }
    // All of them, since a renewal walks the open databases.
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++) {
        MDB_dbi table;
        if (mdb_dbi_open(opening, tables[i], 0, &table)) { goto failed; }
        if (i == 0) { bare->credentials = table; }
    }
    if (mdb_txn_commit(opening)) { goto failed; }
    if (mdb_txn_begin(bare->environment, NULL, MDB_RDONLY, &bare->reader)) { goto failed; }
    mdb_txn_reset(bare->reader);
    return bare;
failed:
    if (bare && bare->environment) { mdb_env_close(bare->environment); }
    free(bare);
    return NULL;
}

void bare_lmdb_close(struct bare_lmdb *bare) {
    mdb_txn_abort(bare->reader);
    mdb_env_close(bare->environment);
    free(bare);
}

uint64_t bare_lmdb_get(struct bare_lmdb *bare, uint64_t key) {
    uint64_t word = 0;
    MDB_val name = {sizeof key, &key};
    MDB_val value;
    if (mdb_txn_renew(bare->reader)) { return 0; }
    if (mdb_get(bare->reader, bare->credentials, &name, &value) == 0) { memcpy(&word, value.mv_data, sizeof word); }
    mdb_txn_reset(bare->reader);
    return word;
}
