// Stands in front of glibc's allocator: symbols of the executable win over those of its shared libraries, so that every
// allocation of the Swift runtime, LMDB and libcrypto comes through here. Each thread counts its own, so that what other
// threads do in the meantime (a store's writer, a test runner) is not taken for the measured one's.
//
// The real functions are found with dlsym on first use. glibc's dlsym does not allocate when it finds the symbol, and
// until they are found, requests of the dynamic linker itself are served from a small static area.

#define _GNU_SOURCE
#include "AllocationCount.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define COUNTS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define COUNTS 0
#endif
#endif
#ifndef COUNTS
#define COUNTS 1
#endif

static __thread uint64_t count;

uint64_t allocation_count(void) { return count; }
int allocation_count_works(void) { return COUNTS; }

#if COUNTS

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void (*real_free)(void *);

// For the first few requests of a thread that is inside dlsym. Never given back.
static _Alignas(16) char early[4096];
static size_t early_used;

static void *early_allocate(size_t bytes) {
    size_t begin = __atomic_fetch_add(&early_used, (bytes + 15) & ~(size_t)15, __ATOMIC_RELAXED);
    return begin + bytes <= sizeof early ? early + begin : NULL;
}

static int is_early(const void *memory) {
    return (const char *)memory >= early && (const char *)memory < early + sizeof early;
}

static __thread int finding;

/// 0 while the calling thread is already on its way to find the real functions.
static int find_real(void) {
    if (__atomic_load_n(&real_free, __ATOMIC_ACQUIRE)) { return 1; }
    if (finding) { return 0; }
    finding = 1;
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    real_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    real_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
    // Last, with release: whoever sees it sees the others.
    __atomic_store_n(&real_free, (void (*)(void *))dlsym(RTLD_NEXT, "free"), __ATOMIC_RELEASE);
    finding = 0;
    return 1;
}

void *malloc(size_t bytes) {
    count++;
    return find_real() ? real_malloc(bytes) : early_allocate(bytes);
}

void *calloc(size_t number, size_t bytes) {
    count++;
    // The static area is zero and each part of it is given once.
    return find_real() ? real_calloc(number, bytes) : early_allocate(number * bytes);
}

void *realloc(void *memory, size_t bytes) {
    count++;
    if (!find_real()) { return NULL; }
    if (!is_early(memory)) { return real_realloc(memory, bytes); }
    void *moved = real_malloc(bytes);
    size_t held = (size_t)(early + sizeof early - (char *)memory);
    if (moved) { memcpy(moved, memory, held < bytes ? held : bytes); }
    return moved;
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    count++;
    return find_real() ? real_posix_memalign(memory, alignment, bytes) : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count++;
    return find_real() ? real_aligned_alloc(alignment, bytes) : NULL;
}

void free(void *memory) {
    if (is_early(memory)) { return; }
    if (find_real()) { real_free(memory); }
}

#endif
