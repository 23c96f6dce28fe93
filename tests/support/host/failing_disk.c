/* Preloaded into every process of a daemon under test: fsync as a broken or a slow disk has it.
 *
 * FAULT is the path of a file of two bytes: 'e' fails with EIO, 's' waits for as many seconds as the digit after it
 * says; anything else is a disk that is well. It is mapped when a process begins: later that may be refused, and a
 * forked process keeps none of the descriptors it finds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile char *fault = ".0";

__attribute__((constructor)) static void begin(void) {
  int fd = open(FAULT, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, 2, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) fault = page;
}

int fsync(int fd) {
  if (fault[0] == 'e') {
    errno = EIO;
    return -1;
  }
  if (fault[0] == 's') sleep((unsigned)(fault[1] - '0'));
  return (int)syscall(SYS_fsync, fd);
}
