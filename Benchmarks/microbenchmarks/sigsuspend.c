// The main thread of a Swift program waits in sigsuspend with a mask in read-only memory. valgrind 3.19 writes to the mask when it
// handles the call, and crashes. This replacement of glibc's function passes a copy.

#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask) {
    sigset_t copy = *mask;
    // The kernel's mask is that of its 64 signals.
    return (int)syscall(SYS_rt_sigsuspend, &copy, (size_t)8);
}
