#ifndef CLMDB_SHIM_H
#define CLMDB_SHIM_H

// LMDB, and five calls of the C library that Swift's Glibc module leaves out.

#include <lmdb.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

/// The magic number of the file system that holds `path`, or -1 with the reason in errno.
static inline long long clmdb_file_system_magic(const char *path) {
    struct statfs info;
    return statfs(path, &info) == 0 ? (long long)(unsigned int)info.f_type : -1;
}

/// pipe2(2).
static inline int clmdb_pipe(int ends[2], int flags) {
    extern int pipe2(int ends[2], int flags);
    return pipe2(ends, flags);
}

/// renameat2(2): each path gets the other's file or folder, in one step.
static inline int clmdb_exchange(const char *left, const char *right) {
    extern int renameat2(int from, const char *left, int to, const char *right, unsigned int flags);
    // AT_FDCWD and RENAME_EXCHANGE. Not <fcntl.h>: `struct stat` would then be this module's and no longer Glibc's.
    return renameat2(-100, left, -100, right, 1u << 1);
}

/// fallocate(2) with FALLOC_FL_KEEP_SIZE: takes blocks for the first `bytes` of a file without making it longer.
static inline int clmdb_allocate(int file, long long bytes) {
    extern int fallocate(int file, int mode, long offset, long length);
    return fallocate(file, 1, 0, (long)bytes);
}

/// Names the calling thread; the kernel keeps the first 15 bytes.
static inline void clmdb_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

#endif
