// LD_PRELOAD: makes system calls fail as faults.py requests in a file that both have mapped (FAULTS_CONTROL).
//
// There is a row for each kind of call: from which call on, how often and with which error it fails. A call with the error 0 does
// not fail but is carried out partly. Calls that never fail are not changed: those on descriptors without a file, such as
// eventfd.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    PWRITE, WRITE, SYNC, OPEN, MMAP, ACCEPT, EPOLL_WAIT, EPOLL_CTL, READ, TRUNCATE, NAME, kind_count
};

struct row {
    _Atomic int64_t countdown, times, calls, fired;
    int64_t error;
};

static struct row *rows;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL");
    if (!path) { return; }
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (file < 0) { _exit(99); }
    void *memory = (void *)syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) { _exit(99); }
    syscall(SYS_close, file);
    rows = memory;
}

// Whether this call fails. Then `errno` is set, unless the call is to be carried out partly.
static int fails(enum kind kind) {
    if (!rows) { return 0; }
    struct row *row = &rows[kind];
    atomic_fetch_add(&row->calls, 1);
    if (atomic_load(&row->times) <= 0 || atomic_fetch_sub(&row->countdown, 1) > 1) { return 0; }
    if (atomic_fetch_sub(&row->times, 1) <= 0) { return 0; }
    atomic_fetch_add(&row->fired, 1);
    if (row->error) { errno = (int)row->error; }
    return 1;
}
static int is_short(enum kind kind) { return rows[kind].error == 0; }

static int is_file(int file) {
    struct stat status;
    return syscall(SYS_fstat, file, &status) == 0 && (status.st_mode & S_IFMT) != 0;
}

static size_t half(size_t count) { return count > 1 ? count / 2 : count; }

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    if (fails(PWRITE)) {
        if (!is_short(PWRITE)) { return -1; }
        count = half(count);
    }
    return syscall(SYS_pwrite64, file, bytes, count, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) { return pwrite(file, bytes, count, offset); }

ssize_t pwritev(int file, const struct iovec *data, int count, off_t offset) {
    if (fails(PWRITE)) {
        if (!is_short(PWRITE)) { return -1; }
        return syscall(SYS_pwrite64, file, data[0].iov_base, half(data[0].iov_len), offset);
    }
    return syscall(SYS_pwritev, file, data, (long)count, offset, 0);
}
ssize_t pwritev64(int file, const struct iovec *data, int count, off64_t offset) {
    return pwritev(file, data, count, offset);
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (is_file(file) && fails(WRITE)) {
        if (!is_short(WRITE)) { return -1; }
        count = half(count);
    }
    return syscall(SYS_write, file, bytes, count);
}
ssize_t writev(int file, const struct iovec *data, int count) {
    if (is_file(file) && fails(WRITE)) {
        if (!is_short(WRITE)) { return -1; }
        return syscall(SYS_write, file, data[0].iov_base, half(data[0].iov_len));
    }
    return syscall(SYS_writev, file, data, (long)count);
}
ssize_t send(int file, const void *bytes, size_t count, int flags) {
    if (fails(WRITE)) {
        if (!is_short(WRITE)) { return -1; }
        count = half(count);
    }
    return syscall(SYS_sendto, file, bytes, count, flags, NULL, 0);
}
ssize_t sendmsg(int file, const struct msghdr *message, int flags) {
    if (fails(WRITE) && !is_short(WRITE)) { return -1; }
    return syscall(SYS_sendmsg, file, message, flags);
}

int fsync(int file) { return fails(SYNC) ? -1 : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, file); }

static int opened(int folder, const char *path, int flags, mode_t mode) {
    // libdispatch traps if it cannot read its own threads in /proc. The service leaves descriptors for that, since it limits its
    // connections to the limit of the process.
    if (strncmp(path, "/proc/", 6) != 0 && fails(OPEN)) { return -1; }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}
#define MODE(flags)                                        \
    va_list rest;                                          \
    va_start(rest, flags);                                 \
    mode_t mode = ((flags) & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    if (fails(MMAP)) { return MAP_FAILED; }
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}
void *mmap64(void *address, size_t bytes, int protection, int flags, int file, off64_t offset) {
    return mmap(address, bytes, protection, flags, file, offset);
}

int accept4(int file, struct sockaddr *address, socklen_t *bytes, int flags) {
    return fails(ACCEPT) ? -1 : (int)syscall(SYS_accept4, file, address, bytes, flags);
}
int accept(int file, struct sockaddr *address, socklen_t *bytes) { return accept4(file, address, bytes, 0); }

int epoll_wait(int file, void *events, int count, int milliseconds) {
    return fails(EPOLL_WAIT) ? -1 : (int)syscall(SYS_epoll_pwait, file, events, count, milliseconds, NULL, 8);
}
int epoll_ctl(int file, int operation, int other, void *event) {
    // EPOLL_CTL_DEL needs no memory.
    return operation != 2 && fails(EPOLL_CTL) ? -1 : (int)syscall(SYS_epoll_ctl, file, operation, other, event);
}

ssize_t read(int file, void *bytes, size_t count) {
    if (is_file(file) && fails(READ)) {
        if (!is_short(READ)) { return -1; }
        count = half(count);
    }
    return syscall(SYS_read, file, bytes, count);
}
ssize_t recv(int file, void *bytes, size_t count, int flags) {
    if (fails(READ)) {
        if (!is_short(READ)) { return -1; }
        count = half(count);
    }
    return syscall(SYS_recvfrom, file, bytes, count, flags, NULL, NULL);
}

int ftruncate(int file, off_t bytes) { return fails(TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, file, bytes); }
int ftruncate64(int file, off64_t bytes) { return ftruncate(file, bytes); }

int rename(const char *from, const char *to) {
    return fails(NAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int link(const char *from, const char *to) {
    return fails(NAME) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int mkdir(const char *path, mode_t mode) { return fails(NAME) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }
