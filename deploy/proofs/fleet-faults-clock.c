/* Sets the wall clock of one process, and no other clock: fleet-faults loads it into a node. WALL_CLOCK_OFFSET: seconds.

   faketime would do the same, but it changes the environment before the program begins, and the Swift runtime then finds no
   arguments: it looks for them in front of the first environment. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset_seconds(void) {
    static long known;
    static int is_known;
    if (!is_known) {
        const char *text = getenv("WALL_CLOCK_OFFSET");
        known = text ? atol(text) : 0;
        is_known = 1;
    }
    return known;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) { time->tv_sec += offset_seconds(); }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) { *place = now.tv_sec; }
    return now.tv_sec;
}
