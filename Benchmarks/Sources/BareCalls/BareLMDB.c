#include "BareLMDB.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bare_lmdb {
    MDB_env *environment;
    MDB_txn *reader;
    MDB_dbi credentials;
};

static const char *const tables[] = {
    "credentials", "aliases", "journal", "expiry", "owners", "interned", "clients", "watermarks", "consents",
    "audit", "meta",
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

/// Xorshift: the ids need only lie anywhere.
static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int issue_group(MDB_txn *writing, const MDB_dbi *table, unsigned rows, uint64_t *random, uint64_t *number) {
    for (unsigned row = 0; row < rows; row++) {
        uint64_t id = next_random(random);
        char record[112] = {1}, entry[48] = {1}, owner[32];
        // The owner, a zero byte, the id.
        size_t length = (size_t)snprintf(owner, sizeof owner - 9, "caller-%u", row) + 1;
        memcpy(owner + length, &id, sizeof id);
        MDB_val id_key = {sizeof id, &id}, record_value = {sizeof record, record};
        MDB_val owner_key = {length + sizeof id, owner}, nothing = {0, entry};
        MDB_val number_key = {sizeof *number, number}, entry_value = {sizeof entry, entry};
        int code = mdb_put(writing, table[0], &id_key, &record_value, MDB_NOOVERWRITE);
        if (!code) { code = mdb_put(writing, table[1], &owner_key, &nothing, MDB_NOOVERWRITE); }
        if (!code) { code = mdb_put(writing, table[2], &number_key, &entry_value, MDB_APPEND); }
        if (code) { return code; }
        (*number)++;
    }
    return 0;
}

static uint64_t now_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int bare_lmdb_issue(const char *directory, unsigned turn, unsigned commits, unsigned rows, uint64_t *nanoseconds) {
    static const char *const names[] = {"credentials", "owners", "journal"};
    MDB_env *environment = NULL;
    MDB_txn *writing = NULL;
    MDB_dbi table[3];
    uint64_t random = 0x9E3779B97F4A7C15 * (turn + 1), number = UINT64_MAX / 2 + ((uint64_t)turn << 32);
    int code = mdb_env_create(&environment);
    if (!code) { code = mdb_env_set_maxdbs(environment, 16); }
    if (!code) { code = mdb_env_set_mapsize(environment, (size_t)1 << 30); }
    if (!code) { code = mdb_env_open(environment, directory, MDB_NOTLS, 0600); }
    if (!code) { code = mdb_txn_begin(environment, NULL, 0, &writing); }
    for (int i = 0; !code && i < 3; i++) { code = mdb_dbi_open(writing, names[i], 0, &table[i]); }
    if (!code) {
        code = mdb_txn_commit(writing);
        writing = NULL;
    }
    for (unsigned commit = 0; !code && commit < commits; commit++) {
        uint64_t start = now_nanoseconds();
        code = mdb_txn_begin(environment, NULL, 0, &writing);
        if (!code) { code = issue_group(writing, table, rows, &random, &number); }
        if (!code) {
            code = mdb_txn_commit(writing);
            writing = NULL;
        }
        if (nanoseconds) { nanoseconds[commit] = now_nanoseconds() - start; }
    }
    if (writing) { mdb_txn_abort(writing); }
    if (environment) { mdb_env_close(environment); }
    return code;
}
