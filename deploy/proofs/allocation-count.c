// LD_PRELOAD: counts the calls of the allocator. On SIGUSR2 it writes their number to the file ALLOCATION_COUNT_FILE.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t count;
static char path[4096];

// glibc's internal names, since dlsym cannot be used this early in the start of the process.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void note(void) { __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED); }

void *malloc(size_t bytes) {
    note();
    return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes) {
    note();
    return __libc_calloc(number, bytes);
}

void *realloc(void *memory, size_t bytes) {
    note();
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    note();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    note();
    *memory = __libc_memalign(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

static void report(int signal) {
    int before = errno;
    char text[32];
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)__atomic_load_n(&count, __ATOMIC_RELAXED));
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, text, (size_t)length) != length) { _exit(9); }
        close(file);
    }
    errno = before;
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("ALLOCATION_COUNT_FILE");
    if (!name || strlen(name) >= sizeof path) { return; }
    strcpy(path, name);
    struct sigaction action = {.sa_handler = report, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
}
