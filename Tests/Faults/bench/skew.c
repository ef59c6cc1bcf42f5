// The wall clock of one process, moved while it runs: LD_PRELOAD=skew.so SKEW_FILE=FILE program; then write seconds into
// FILE, +3600 or -3600. Monotonic clocks are not affected, as when an administrator sets the time. (libfaketime is no
// alternative: it hangs in a redis-server that was built with jemalloc.)
//
// Plain system calls, because library functions may themselves read the time or allocate.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// Reading the file at each call would be slow: clocks may be read thousands of times per second.
#define MILLISECONDS_BETWEEN_LOOKS 50

static long read_file(long otherwise) {
    const char *path = getenv("SKEW_FILE");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (file < 0) return otherwise;
    char text[32];
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0) return otherwise;
    text[length] = 0;
    return strtol(text, NULL, 10);
}

static long offset(void) {
    static long seconds, looked = -MILLISECONDS_BETWEEN_LOOKS;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long milliseconds = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    // Two threads may both check: they read the same value.
    if (milliseconds - __atomic_load_n(&looked, __ATOMIC_RELAXED) >= MILLISECONDS_BETWEEN_LOOKS) {
        __atomic_store_n(&looked, milliseconds, __ATOMIC_RELAXED);
        __atomic_store_n(&seconds, read_file(seconds), __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&seconds, __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
