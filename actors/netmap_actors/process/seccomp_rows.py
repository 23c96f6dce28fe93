"""What each process asks of the kernel once it is up: one row an actor, and what the Supervisor and the view give up.

Found by tracing real runs, error paths and other C libraries' ways of doing the same (open, stat, pipe). Not here: how
the kernel is told (`seccomp`), which files and addresses lie behind a call (Landlock's business).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from netmap_actors.boot import HttpSettings, decode_settings
from netmap_actors.process.permissions import ROWS
from netmap_actors.process.seccomp_filter import ANYHOW, NEVER, Argument, Rule, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.boot import Boot

__all__ = ["GIVEN_UP", "given_up", "rules"]

_ENOSYS: Final = 38

_MEMORY: Final = "brk mmap munmap mremap madvise mprotect mlock munlock membarrier mseal map_shadow_stack"
"""mlock: libsodium's, for CURVE keys. mmap also of code: modules and resolver libraries are loaded when needed."""
_DESCRIPTORS: Final = (
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3 "
    "pipe pipe2 sendfile copy_file_range fstat fstatfs fsync fdatasync ftruncate flock fadvise64"
)
_READING: Final = (
    "open openat stat lstat newfstatat statx statfs access faccessat faccessat2 readlink readlinkat getdents64 "
    "getcwd"
)
_WAITING: Final = (
    "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 "
    "timerfd_create timerfd_settime timerfd_gettime nanosleep clock_nanosleep restart_syscall"
)
_CLOCKS: Final = "clock_gettime clock_getres gettimeofday time times"
_THREADS: Final = (
    "futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list rseq set_tid_address gettid "
    "getcpu sched_yield sched_getaffinity sched_getparam sched_getscheduler exit exit_group"
)
_SIGNALS: Final = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack"
_ABOUT_ITSELF: Final = (
    "getpid getppid getpgrp getpgid getuid geteuid getgid getegid getresuid getresgid getgroups getrusage getrlimit "
    "uname sysinfo umask getrandom"
)
_CONNECTED: Final = (
    "accept accept4 listen recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg getsockopt setsockopt getsockname "
    "getpeername shutdown"
)
"""On sockets it has."""
_REMOVING: Final = "unlink unlinkat"
"""Sockets it bound."""
_MODES: Final = "chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown"
_WRITING: Final = "rename renameat renameat2 mkdir mkdirat rmdir utimensat"

_EVERYBODYS: Final = f"""
{_MEMORY} {_DESCRIPTORS} {_READING} {_WAITING} {_CLOCKS} {_THREADS} {_SIGNALS} {_ABOUT_ITSELF} {_CONNECTED}
"""

_IOCTLS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS and TIOCGWINSZ (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_INTERFACES: Final = (0x8910, 0x8933)
"""SIOCGIFNAME, SIOCGIFINDEX: the interface of a link-local address (netdevice(7))."""
_FCNTLS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""F_DUPFD to F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC; not F_SETOWN, which has the kernel send signals."""
_PRCTLS: Final = (15, 16, 0x5356_4D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (malloc names its memory)."""
_CLONE_THREAD: Final = 0x1_0000
_NAMESPACES: Final = 0x7E02_0000
"""CLONE_NEW*: namespaces of its own."""
_FAST_OPEN: Final = 0x2000_0000
"""MSG_FASTOPEN (tcp(7))."""
_SENDING: Final = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}
"""Which argument the flags are."""
_KIND: Final = 0xF
"""Of a socket's type; the rest are flags (socket(2))."""
_STREAM, _DATAGRAM, _TCP, _UDP = 1, 2, 6, 17
_FAMILIES: Final = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}

GIVEN_UP: Final = [
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "unshare",
    "setns",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "open_by_handle_at",
    "name_to_handle_at",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "quotactl",
    "quotactl_fd",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vhangup",
    "fanotify_init",
    "lookup_dcookie",
    "personality",
    "mlockall",
    "inotify_init",
    "inotify_init1",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
]
"""Nothing the Supervisor, the view or any child ever needs. The children inherit it, and what stands here is refused to
them before their own filter could count it."""


def given_up() -> dict[str, Rule]:
    """For the Supervisor and the view: everything else stays allowed."""
    answer = Rule(allowed=(), otherwise=refusal())
    return dict.fromkeys(GIVEN_UP, answer) | {
        # Processes they start, namespaces they make none; clone3 hides its flags, and the C library then takes clone.
        "clone": Rule(((Argument(0, 0, _NAMESPACES),),), otherwise=refusal()),
        "clone3": Rule(allowed=(), otherwise=refusal(_ENOSYS)),
        # What any child may make, and they make no other.
        "socket": dataclasses.replace(_sockets(_FAMILIES, datagrams=True), otherwise=refusal()),
        **{
            name: dataclasses.replace(_without(index, _FAST_OPEN), otherwise=refusal())
            for name, index in _SENDING.items()
        },
    }


def rules(boot: Boot, pid: int) -> dict[str, Rule]:
    """What the actor of this Boot may call once it is up; `pid`: of the process that will be held to it."""
    row = ROWS[boot.actor]
    calls = f"{_EVERYBODYS} {_REMOVING}"
    if row.max_file_size:
        calls += f" {_MODES} {_WRITING}"
    elif _shares_later(boot):
        calls += f" {_MODES}"
    found = dict.fromkeys(calls.split(), ANYHOW)
    found |= {
        "ioctl": _one_of(1, _IOCTLS),
        # To connect along with the first bytes is to connect past Landlock.
        **{name: _without(index, _FAST_OPEN) for name, index in _SENDING.items()},
        "fcntl": _one_of(1, _FCNTLS),
        "prctl": _one_of(0, _PRCTLS),
        # Python aborts by a signal to itself.
        "kill": _one_of(0, (pid,)),
        "tgkill": _one_of(0, (pid,)),
        # It may ask for its own limits, not change any.
        "prlimit64": Rule(
            ((Argument(0, 0), Argument(2, 0, _WORD)), (Argument(0, pid), Argument(2, 0, _WORD)))
        ),
        # libzmq's threads set what they have: SCHED_OTHER.
        "sched_setscheduler": _one_of(1, (0,)),
        # Its flags lie in memory, where no filter sees them; the C library then takes clone.
        "clone3": Rule(allowed=(), otherwise=refusal(_ENOSYS)),
        "clone": Rule(((Argument(0, _CLONE_THREAD, _CLONE_THREAD | _NAMESPACES),),))
        if row.threads
        else NEVER,
    }
    families = row.families(boot)
    if "inet6" in families:
        found["ioctl"] = _one_of(1, (*_IOCTLS, *_INTERFACES))
    if families:
        found |= {
            "socket": _sockets(families, datagrams=row.threads),
            "connect": ANYHOW,
            "bind": ANYHOW,
        }
    return found


def _shares_later(boot: Boot) -> bool:
    """Whether it may have to give a socket to a group once it is up: the HTTP endpoint waits for an address."""
    return boot.actor == "http_endpoint" and decode_settings(boot, HttpSettings).listen.startswith("unix:")


def _sockets(families: Iterable[str], *, datagrams: bool) -> Rule:
    """TCP of the internet's protocols, not what is like it (MPTCP, SCTP); of netlink's the routes alone."""
    kinds = [(_STREAM, 0), (_STREAM, _TCP), *([(_DATAGRAM, 0), (_DATAGRAM, _UDP)] if datagrams else [])]
    ways: list[tuple[Argument, ...]] = []
    for name in families:
        family = Argument(0, _FAMILIES[name])
        if name in {"inet", "inet6"}:
            ways += [(family, Argument(1, kind, _KIND), Argument(2, protocol)) for kind, protocol in kinds]
        else:
            ways.append((family, Argument(2, 0)))
    return Rule(tuple(ways))


def _without(index: int, flags: int) -> Rule:
    return Rule(((Argument(index, 0, flags),),))


def _one_of(index: int, values: Iterable[int]) -> Rule:
    return Rule(tuple((Argument(index, value),) for value in values))


_WORD: Final = (1 << 64) - 1
