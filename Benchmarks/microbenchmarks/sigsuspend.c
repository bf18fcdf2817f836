// Swift's main thread waits in sigsuspend with a mask in read-only memory. valgrind 3.19 writes to the mask while it
// handles the call, and ends. Put in front of glibc's, this one gives it a copy.

#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask) {
    sigset_t copy = *mask;
    // The kernel's mask is that of its 64 signals.
    return (int)syscall(SYS_rt_sigsuspend, &copy, (size_t)8);
}
