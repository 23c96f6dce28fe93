/* Preloaded into every process of a daemon under test: moves its clocks, and runs them faster, as a shared file says.
 *
 * CLOCKS is the file's path: a turn, odd while the rest is being written; a rate; then for CLOCK_REALTIME,
 * CLOCK_MONOTONIC and CLOCK_BOOTTIME the kernel's time since which the rate holds, and how far ahead the clock was then,
 * in nanoseconds. What is given to the kernel is turned back into its time, so that it means what it says. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct clocks { int64_t turn, rate, since[3], ahead[3]; };

static const volatile struct clocks *shared;

__attribute__((constructor)) static void open_clocks(void) {
  int fd = open(CLOCKS, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof(struct clocks), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) shared = page;
}

struct moved { int64_t rate, since, ahead; };

static struct moved state_of(clockid_t clock) {
  int place = clock == CLOCK_REALTIME ? 0 : clock == CLOCK_MONOTONIC ? 1 : clock == CLOCK_BOOTTIME ? 2 : -1;
  struct moved found = {1, 0, 0};
  if (!shared || place < 0) return found;
  int64_t turn;
  do {
    turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
    found.rate = shared->rate;
    found.since = shared->since[place];
    found.ahead = shared->ahead[place];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
  } while ((turn & 1) || turn != __atomic_load_n(&shared->turn, __ATOMIC_RELAXED));
  return found;
}

static int64_t nanoseconds(const struct timespec *time) { return time->tv_sec * INT64_C(1000000000) + time->tv_nsec; }

static void set(struct timespec *time, int64_t to) {
  time->tv_sec = to / 1000000000;
  time->tv_nsec = to % 1000000000;
}

static void show(clockid_t clock, struct timespec *time) {
  struct moved by = state_of(clock);
  int64_t kernel = nanoseconds(time);
  set(time, kernel + by.ahead + (by.rate - 1) * (kernel - by.since));
}

/* At least a nanosecond: nothing would disarm a timer. */
static void turn_back(clockid_t clock, struct timespec *time) {
  struct moved by = state_of(clock);
  int64_t kernel = (nanoseconds(time) - by.ahead + (by.rate - 1) * by.since) / by.rate;
  set(time, kernel > 0 ? kernel : 1);
}

static int shorter(int milliseconds) {
  int64_t rate = state_of(CLOCK_BOOTTIME).rate;
  return milliseconds <= 0 ? milliseconds : (int)((milliseconds + rate - 1) / rate);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (syscall(SYS_clock_gettime, clock, time) != 0) return -1;
  show(clock, time);
  return 0;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *wanted, struct itimerspec *old) {
  struct itimerspec moved = *wanted;
  if ((flags & TFD_TIMER_ABSTIME) && (moved.it_value.tv_sec || moved.it_value.tv_nsec))
    turn_back(CLOCK_BOOTTIME, &moved.it_value);
  return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  return epoll_pwait(fd, events, most, shorter(timeout), NULL);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  struct timespec limit = {shorter(timeout) / 1000, shorter(timeout) % 1000 * 1000000L};
  return ppoll(fds, count, timeout < 0 ? NULL : &limit, NULL);
}
