// LD_PRELOAD: records the changes that a process makes in one folder, in their order, so that power_loss.py can create the images
// that a loss of power may leave.
//
//   POWER_LOSS_FOLDER    changes below it are recorded
//   POWER_LOSS_LOG       the file for the records; its size is the clock of the proof
//   POWER_LOSS_NO_SYNC   a file: once it exists, syncs do nothing and report success. Broken on purpose.
//
// A record is a header, a path and, for a write, its bytes, appended by one write(2). It is made when the call has
// returned; that of a sync contains the size of the log when the call began, since later writes need not be synced by it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, WRITE_DURABLE, TRUNCATE, SYNC, CREATE, MAKE_FOLDER, RENAME, REMOVE, LINK };

struct record {
    uint32_t kind, path_bytes;
    uint64_t offset, data_bytes;
};

enum { descriptors = 65536 };
static char *paths[descriptors];
static unsigned char durable[descriptors];
static const char *folder;
static size_t folder_bytes;
static const char *no_sync;
static int log_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("POWER_LOSS_FOLDER");
    const char *log = getenv("POWER_LOSS_LOG");
    no_sync = getenv("POWER_LOSS_NO_SYNC");
    if (!folder || !log) { return; }
    folder_bytes = strlen(folder);
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
}

static int is_ours(const char *path) { return log_file >= 0 && path && strncmp(path, folder, folder_bytes) == 0; }

static int syncs(void) { return !no_sync || syscall(SYS_faccessat, AT_FDCWD, no_sync, F_OK) != 0; }

static const char *path_of(int file) { return file >= 0 && file < descriptors ? paths[file] : NULL; }

static uint64_t log_end(void) {
    struct stat status;
    return fstat(log_file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void note(enum kind kind, const char *path, uint64_t offset, const struct iovec *data, int count, size_t bytes) {
    int error = errno;
    size_t path_bytes = strlen(path);
    char *record = malloc(sizeof(struct record) + path_bytes + bytes);
    struct record head = {kind, (uint32_t)path_bytes, offset, bytes};
    memcpy(record, &head, sizeof head);
    memcpy(record + sizeof head, path, path_bytes);
    char *next = record + sizeof head + path_bytes, *end = next + bytes;
    for (int index = 0; index < count && next < end; index++) {
        size_t piece = data[index].iov_len < (size_t)(end - next) ? data[index].iov_len : (size_t)(end - next);
        memcpy(next, data[index].iov_base, piece);
        next += piece;
    }
    pthread_mutex_lock(&lock);
    if (syscall(SYS_write, log_file, record, (size_t)(end - record)) != end - record) { _exit(99); }
    pthread_mutex_unlock(&lock);
    free(record);
    errno = error;
}

static void note_write(int file, uint64_t offset, const struct iovec *data, int count, ssize_t written) {
    if (written > 0 && path_of(file)) {
        note(durable[file] && syncs() ? WRITE_DURABLE : WRITE, paths[file], offset, data, count, (size_t)written);
    }
}

static void note_two(enum kind kind, const char *from, const char *to) {
    struct iovec other = {(void *)to, strlen(to)};
    note(kind, from, 0, &other, 1, other.iov_len);
}

// Opening

static int opened(int folder_file, const char *path, int flags, mode_t mode) {
    struct stat before;
    int existed = fstatat(folder_file, path, &before, 0) == 0;
    int file = (int)syscall(SYS_openat, folder_file, path, flags, mode);
    if (file < 0 || file >= descriptors || log_file < 0) { return file; }
    char link[40], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name - 1);
    free(paths[file]);
    paths[file] = NULL;
    if (length <= 0) { return file; }
    name[length] = 0;
    if (!is_ours(name)) { return file; }
    paths[file] = strdup(name);
    durable[file] = (flags & O_DSYNC) != 0;
    if ((flags & O_CREAT) && !existed) {
        note(CREATE, name, 0, NULL, 0, 0);
    } else if (flags & O_TRUNC) {
        note(TRUNCATE, name, 0, NULL, 0, 0);
    }
    return file;
}

// The parameters are those of the function. Relative paths begin at `folder`.
#define OPEN(name, folder, ...)                                       \
    int name(__VA_ARGS__, ...) {                                      \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;   \
        va_end(rest);                                                 \
        return opened(folder, path, flags, mode);                     \
    }
OPEN(open, AT_FDCWD, const char *path, int flags)
OPEN(open64, AT_FDCWD, const char *path, int flags)
OPEN(openat, folder_file, int folder_file, const char *path, int flags)
OPEN(openat64, folder_file, int folder_file, const char *path, int flags)

int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int file) {
    if (file >= 0 && file < descriptors && paths[file]) {
        free(paths[file]);
        paths[file] = NULL;
    }
    return (int)syscall(SYS_close, file);
}

// Writing

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    ssize_t written = syscall(SYS_pwrite64, file, bytes, count, offset);
    struct iovec data = {(void *)bytes, count};
    note_write(file, (uint64_t)offset, &data, 1, written);
    return written;
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) { return pwrite(file, bytes, count, offset); }

ssize_t pwritev(int file, const struct iovec *data, int count, off_t offset) {
    ssize_t written = syscall(SYS_pwritev, file, data, (long)count, offset, 0);
    note_write(file, (uint64_t)offset, data, count, written);
    return written;
}
ssize_t pwritev64(int file, const struct iovec *data, int count, off64_t offset) {
    return pwritev(file, data, count, offset);
}

ssize_t write(int file, const void *bytes, size_t count) {
    off_t offset = path_of(file) ? lseek(file, 0, SEEK_CUR) : 0;
    ssize_t written = syscall(SYS_write, file, bytes, count);
    struct iovec data = {(void *)bytes, count};
    note_write(file, (uint64_t)offset, &data, 1, written);
    return written;
}

ssize_t writev(int file, const struct iovec *data, int count) {
    off_t offset = path_of(file) ? lseek(file, 0, SEEK_CUR) : 0;
    ssize_t written = syscall(SYS_writev, file, data, (long)count);
    note_write(file, (uint64_t)offset, data, count, written);
    return written;
}

int ftruncate(int file, off_t bytes) {
    int result = (int)syscall(SYS_ftruncate, file, bytes);
    if (result == 0 && path_of(file)) { note(TRUNCATE, paths[file], (uint64_t)bytes, NULL, 0, 0); }
    return result;
}
int ftruncate64(int file, off64_t bytes) { return ftruncate(file, bytes); }

// Syncing

static int synced(long call, int file) {
    if (!path_of(file)) { return (int)syscall(call, file); }
    if (!syncs()) { return 0; }
    uint64_t began = log_end();
    int result = (int)syscall(call, file);
    if (result == 0) { note(SYNC, paths[file], began, NULL, 0, 0); }
    return result;
}
int fsync(int file) { return synced(SYS_fsync, file); }
int fdatasync(int file) { return synced(SYS_fdatasync, file); }

// Names

static int renamed(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    int result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    // Relative names are not used for the files of the store.
    if (result == 0 && (is_ours(from) || is_ours(to))) { note_two(RENAME, from, to); }
    return result;
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renamed(from_folder, from, to_folder, to, 0);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return renamed(from_folder, from, to_folder, to, flags);
}

static int linked(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    int result = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (result == 0 && is_ours(from)) { note_two(LINK, from, to); }
    return result;
}
int link(const char *from, const char *to) { return linked(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return linked(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && is_ours(path)) { note(REMOVE, path, 0, NULL, 0, 0); }
    return result;
}

int mkdir(const char *path, mode_t mode) {
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && is_ours(path)) { note(MAKE_FOLDER, path, 0, NULL, 0, 0); }
    return result;
}
