/* Preloaded into every process of a daemon under test: moves its clocks by what a shared file says.
 *
 * OFFSETS is the file's path: three 64-bit numbers of nanoseconds, for CLOCK_REALTIME, CLOCK_MONOTONIC and
 * CLOCK_BOOTTIME. Deadlines given to the kernel are moved back, so that they mean what they say. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offsets;

__attribute__((constructor)) static void open_offsets(void) {
  int fd = open(OFFSETS, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, 24, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) offsets = page;
}

static int64_t offset_of(clockid_t clock) {
  if (!offsets) return 0;
  switch (clock) {
    case CLOCK_REALTIME: return offsets[0];
    case CLOCK_MONOTONIC: return offsets[1];
    case CLOCK_BOOTTIME: return offsets[2];
    default: return 0;
  }
}

static void move(struct timespec *time, int64_t by) {
  int64_t nanoseconds = time->tv_nsec + by % 1000000000;
  time->tv_sec += by / 1000000000;
  if (nanoseconds < 0) { nanoseconds += 1000000000; time->tv_sec--; }
  if (nanoseconds >= 1000000000) { nanoseconds -= 1000000000; time->tv_sec++; }
  time->tv_nsec = nanoseconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (syscall(SYS_clock_gettime, clock, time) != 0) return -1;
  move(time, offset_of(clock));
  return 0;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *wanted, struct itimerspec *old) {
  struct itimerspec moved = *wanted;
  if ((flags & TFD_TIMER_ABSTIME) && (moved.it_value.tv_sec || moved.it_value.tv_nsec)) {
    move(&moved.it_value, -offset_of(CLOCK_BOOTTIME));
    if (moved.it_value.tv_sec < 0) { moved.it_value.tv_sec = 0; moved.it_value.tv_nsec = 1; }
  }
  return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}
