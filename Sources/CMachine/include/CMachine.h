#ifndef COUNTERSIGN_CMACHINE_H
#define COUNTERSIGN_CMACHINE_H

// What Swift cannot express without a pointer, a macro or a special instruction: clocks, a prefetch, a checksum, a hash,
// comparisons in constant time, and the hardening of the process. Parameters and results are plain values wherever
// possible.

#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/// Seconds since the Unix epoch (CLOCK_REALTIME).
static inline int64_t cs_wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

/// The same in nanoseconds.
static inline uint64_t cs_wall_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/// Seconds since the machine booted, suspend included (CLOCK_BOOTTIME). Nobody can set this clock.
static inline int64_t cs_boot_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec;
}

/// The same in nanoseconds.
static inline uint64_t cs_boot_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/// Ticks of a clock with a constant rate that is read in a few instructions. The rate must be measured.
static inline uint64_t cs_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

/// Nanoseconds on the monotonic clock, for measurements.
static inline uint64_t cs_monotonic_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/// 1 when the two 256-bit values differ, else 0, in time that does not depend on where they differ.
/// The empty assembly hides the accumulated difference from the optimiser, so that it cannot add an early exit.
static inline uint64_t cs_words4_differ(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                                        uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3) {
    uint64_t d = a0 ^ b0;
    __asm__ volatile("" : "+r"(d));
    d |= a1 ^ b1;
    __asm__ volatile("" : "+r"(d));
    d |= a2 ^ b2;
    __asm__ volatile("" : "+r"(d));
    d |= a3 ^ b3;
    __asm__ volatile("" : "+r"(d));
    return (d | (0u - d)) >> 63;
}

/// The same for `count` bytes on each side, eight at a time; libcrypto's function compares byte by byte.
static inline uint64_t cs_bytes_differ(const void *a, const void *b, uint64_t count) {
    const unsigned char *left = (const unsigned char *)a, *right = (const unsigned char *)b;
    uint64_t d = 0;
    for (; count >= 8; count -= 8, left += 8, right += 8) {
        uint64_t x, y;
        __builtin_memcpy(&x, left, 8);
        __builtin_memcpy(&y, right, 8);
        d |= x ^ y;
        __asm__ volatile("" : "+r"(d));
    }
    for (; count > 0; count--, left++, right++) {
        d |= (uint64_t)(*left ^ *right);
        __asm__ volatile("" : "+r"(d));
    }
    return (d | (0u - d)) >> 63;
}

/// zlib's CRC-32 of 60 bytes, given as the first four and seven words, all in memory order of a little-endian machine.
uint32_t cs_crc32_of_60(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5,
                        uint64_t w6);

/// The same without instructions that not every processor has; also for tests.
uint32_t cs_crc32_of_60_portable(uint32_t first, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
                                 uint64_t w5, uint64_t w6);

/// 16 bytes as they are passed in a vector register.
typedef uint64_t cs_pair __attribute__((vector_size(16)));

/// A SHA-256 state between two compressions (FIPS 180-4 §6.2), or a digest: eight 32-bit words in order.
typedef struct {
    cs_pair first, second;
} cs_state;

/// Whether this processor has instructions for SHA-256; without them the function below must not be called.
extern int cs_sha256_is_instruction;
static inline int cs_has_sha256(void) { return cs_sha256_is_instruction; }

/// HMAC-SHA-256 of a message that fills one block with its padding, from the states after the inner and the outer pad: the
/// code in memory order.
cs_state cs_hmac_sha256(cs_pair inner1, cs_pair inner2, cs_pair outer1, cs_pair outer2, cs_pair b0, cs_pair b1, cs_pair b2,
                        cs_pair b3);

/// A block of 64 bytes.
typedef struct {
    cs_pair quarters[4];
} cs_block;

/// The same for two messages, which takes less than twice as long: `blocks` and `codes` point to two each.
void cs_hmac_sha256_two(const cs_state *inner, const cs_state *outer, const cs_block *blocks, cs_state *codes);

/// Starts loading the cache line at `address` without waiting for it.
static inline void cs_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// Forbids core dumps and ptrace by the same user, because memory contains peppers and, briefly, credentials. 0 on success.
///
/// Also disables the Swift runtime's crash reporter. It prints memory near registers, and it cannot read a process that is
/// protected in this way, so a crash would hang instead of ending the process.
static inline int cs_forbid_dumps(void) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGQUIT};
    for (unsigned i = 0; i < sizeof crashes / sizeof crashes[0]; i++) { signal(crashes[i], SIG_DFL); }
    struct rlimit none = {0, 0};
    int failed = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return setrlimit(RLIMIT_CORE, &none) | failed;
}

/// From now on, new files and sockets are accessible only to their owner, unless more is granted explicitly.
static inline void cs_close_to_others(void) { umask(077); }

/// Files that this process may have open.
static inline uint64_t cs_files_max(void) {
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/// Sends one datagram to a Unix socket, by its path or, behind an @, its abstract name (sd_notify(3)). 0, or -1.
static inline int cs_notify(const char *socket_path, const char *text) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(socket_path);
    if (length < 2 || length >= sizeof address.sun_path) { return -1; }
    memcpy(address.sun_path, socket_path, length);
    if (address.sun_path[0] == '@') { address.sun_path[0] = 0; }
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0) { return -1; }
    ssize_t sent = sendto(file, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(file);
    return sent < 0 ? -1 : 0;
}

/// Starts this program again in a new process, with these three files as its standard files and no other. Arguments and
/// environment are sequences of zero-terminated strings. The files' numbers are above 2. 0, or an errno.
int cs_run_again(int *pid, const char *arguments, size_t argument_bytes, const char *environment,
                 size_t environment_bytes, int input, int output, int errors);

/// Maps zero-filled private memory, with huge pages if possible; NULL when there is none.
static inline void *cs_map_words(uint64_t bytes) {
    void *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) { return 0; }
    madvise(memory, bytes, MADV_HUGEPAGE);
    madvise(memory, bytes, MADV_DONTDUMP);
    return memory;
}

/// Makes the pages of some memory present without changing it, so that no later access waits while the kernel zeroes them.
/// 0, or -1 if the kernel cannot do that (before Linux 5.14, or out of memory).
static inline int cs_populate(void *memory, uint64_t bytes) {
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
    return madvise(memory, bytes, MADV_POPULATE_WRITE);
}

/// Makes the allocator map blocks of at least this size separately, so that their memory returns to the system when they are
/// freed. Otherwise free memory stays with the process as long as anything at a higher address is in use.
static inline void cs_map_blocks_from(int bytes) { mallopt(M_MMAP_THRESHOLD, bytes); }

/// Makes the allocator return free memory to the system, also between blocks in use. Takes some milliseconds.
static inline void cs_return_free_memory(void) { malloc_trim(0); }

static inline void cs_unmap_words(void *memory, uint64_t bytes) { munmap(memory, bytes); }

/// Guarantees that a proof build can disable, so that deploy/proofs can show that it would notice. A build is a proof build if
/// COUNTERSIGN_PROOF is defined: debug builds, never releases. See ProofSwitches.c.
enum cs_guarantee {
    cs_commit_before_acknowledgement,
    cs_floors_before_acknowledgement,
    cs_floor_check_on_hits,
    cs_remembered_floor_last,
    cs_learn_before_following,
    // Of a node of a fleet.
    cs_acknowledge_before_confirmation,
    cs_answer_without_lease,
    cs_unknown_without_barrier,
    // Not guarantees. Without the first, the process kills itself behind one append in twenty; without the second, it knows one
    // level of the log more than it does (see `LogLevel`).
    cs_survive_until_commit,
    cs_know_no_level_ahead,
};

/// Whether the environment variable PROOF_BREAKS names the guarantee.
/// Undefined outside proof builds: a call there fails to link.
int cs_is_broken(enum cs_guarantee guarantee);

/// An argument of this process, from 0, the program's name; null behind the last one. It does not change while the process lives.
const char *cs_argument(int index);

/// The commit of a release, 40 hexadecimal digits; all zero in other builds.
const char *cs_commit(void);

/// Ends the process as `kill -9` does.
static inline void cs_die(void) { kill(getpid(), SIGKILL); }

/// Lets another thread run, for one that waits.
static inline void cs_yield(void) { sched_yield(); }

/// Pauses the thread, as a scheduler might.
static inline void cs_pause_milliseconds(uint32_t milliseconds) {
    struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, 0);
}

#endif
