/* Preloaded into every process of a daemon under test: fsync as a broken or a slow disk has it.
 *
 * FAULT is the path of a file of two bytes: 'e' fails with EIO, 's' waits for as many seconds as the digit after it
 * says; anything else is a disk that is well. It is opened when a process begins, for later that may be refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file = -1;

__attribute__((constructor)) static void begin(void) { file = open(FAULT, O_RDONLY | O_CLOEXEC); }

int fsync(int fd) {
  char fault[2] = {0, 0};
  if (file >= 0 && pread(file, fault, sizeof fault, 0) < 1) fault[0] = 0;
  if (fault[0] == 'e') {
    errno = EIO;
    return -1;
  }
  if (fault[0] == 's') sleep((unsigned)(fault[1] - '0'));
  return (int)syscall(SYS_fsync, fd);
}
