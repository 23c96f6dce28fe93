"""What each process asks of the kernel once it is up, from its row: an actor, the view, and the Supervisor.

The Supervisor's children inherit its filter, so its rules are what they need, as they start and later, and what it does
besides. Found by tracing real runs, error paths and other C libraries' ways of doing the same (open, stat, pipe). Not
here: how the filter is installed (`seccomp`), which files and addresses lie behind a call (Landlock's business).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.boot import WebhooksSettings, decode_settings
from netmap_actors.confinement.permissions import ROWS
from netmap_actors.confinement.seccomp_filter import ANYHOW, NEVER, Argument, CallRule, conditions_for, refuse
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.boot import Boot
    from netmap_actors.confinement.permissions import Row

__all__ = ["of_supervisor", "of_view", "rules"]

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
"""Refused, uncounted, to a process without files of its own: libzmq removes the sockets it closes."""
_SERVING: Final = "bind listen accept accept4"
_SHARING: Final = "chmod fchmodat fchmodat2"
"""Sockets and directories for a group; who owns them is another rule, for all of them."""
_OWNERS: Final = {"chown": 1, "fchownat": 2}
"""Which argument the new owner is."""
_RENAMING: Final = "rename renameat renameat2"
"""How a file is replaced. Not chmod, chown and utime, which Landlock has no say about: they would be for any file."""
_DIRECTORIES: Final = "fchmod mkdir mkdirat rmdir"
_TO_WRITE: Final = 0x40_0243
"""O_ACCMODE, O_CREAT, O_TRUNC and __O_TMPFILE, on both architectures (open(2)). Without them its end of a
pipe cannot be opened anew to write into it, either."""

_STARTING: Final = """
execve arch_prctl setrlimit capget capset landlock_create_ruleset landlock_add_rule landlock_restrict_self
"""
"""What a new process does before its own row holds, beside what every process does."""
_PROCESSES: Final = "fork vfork wait4 waitid kill pidfd_open pidfd_send_signal socketpair"
"""Starting, watching and ending them; vfork or clone, as the C library likes (posix_spawn(3))."""

_COMMON: Final = f"""
{_MEMORY} {_DESCRIPTORS} {_READING} {_WAITING} {_CLOCKS} {_THREADS} {_SIGNALS} {_ABOUT_ITSELF} {_CONNECTED}
"""

_IOCTLS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C_542A)
"""TCGETS and TIOCGWINSZ (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; TCGETS2, which newer glibc asks."""
_INTERFACES: Final = (0x8910, 0x8933)
"""SIOCGIFNAME, SIOCGIFINDEX: the interface of a link-local address (netdevice(7))."""
_LISTENER: Final = (0xC050_2100, 0xC018_2101)
"""SECCOMP_IOCTL_NOTIF_RECV and _SEND (seccomp_unotify(2)): the Supervisor answers what its children are refused."""
_FCNTLS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""F_DUPFD to F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC; not F_SETOWN, which has the kernel send signals."""
_PRCTLS: Final = (15, 16, 0x5356_4D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (malloc names its memory)."""
_PDEATHSIG: Final = (1, 9)
_PRCTLS_OF_A_START: Final = (_PDEATHSIG, (4, 0), (38, 1))
"""PR_SET_PDEATHSIG to SIGKILL, PR_SET_DUMPABLE to no, PR_SET_NO_NEW_PRIVS: none of them back again."""
_BOUNDING: Final = (23, 24)
"""PR_CAPBSET_READ, PR_CAPBSET_DROP."""
_FATAL: Final = (4, 6, 7, 8, 11)
"""SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV: what a process ends itself with, by tgkill (abort(3), raise(3))."""
_WITHOUT_PRECEDENCE: Final = (0, 3, 5)
"""SCHED_OTHER, SCHED_BATCH, SCHED_IDLE (sched(7)): the real-time ones take the processor from others."""
_ITIMER_REAL, _ITIMER_PROF = 0, 2
_CLONE_THREAD: Final = 0x1_0000
_FORKS: Final = (0x11, 0x120_0011)
"""SIGCHLD at its end; CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID, as glibc's fork has it."""
_NAMESPACES: Final = 0x7E02_0000
"""CLONE_NEW*: namespaces of its own."""
_FAST_OPEN: Final = 0x2000_0000
"""MSG_FASTOPEN (tcp(7))."""
_SOCKET_LEVEL: Final = 1
_OTHER_LEVELS: Final = (0, 6, 17, 41, 270)
"""Of options: IP, TCP, UDP, IPv6, netlink."""
_HIGHEST_OPTION: Final = 84
_FILTERS: Final = (26, 27, 44, 50, 51, 52)
"""SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SO_ATTACH_BPF and SO_ATTACH_REUSEPORT_CBPF, _EBPF (socket(7)): a
listener that others go on with could be made deaf by them."""
_SHUT_WR: Final = 1
_SENDING: Final = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}
"""Which argument the flags are."""
_KIND: Final = 0xF
"""Of a socket's type; the rest are flags (socket(2))."""
_STREAM, _DATAGRAM, _RAW, _TCP, _UDP = 1, 2, 3, 6, 17
_FAMILIES: Final = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}
_WORD: Final = (1 << 64) - 1
"""A mask for longs and pointers."""
_NOBODY: Final = (1 << 32) - 1
"""-1: as it was (chown(2))."""


def rules(boot: Boot, pid: int) -> dict[str, CallRule]:
    """What the actor of this Boot may call once it is up; `pid`: of the process that will be held to it."""
    row = ROWS[boot.actor]
    found = _of(row, row.families(boot)) | _to_itself(pid)
    if boot.actor == ActorName.DEV_CONTROL:
        # Its listener is the next one's, too, and one that is shut down for reading listens no more.
        found["shutdown"] = _one_of(1, (_SHUT_WR,))
    if boot.actor == ActorName.WEBHOOKS and decode_settings(boot, WebhooksSettings).templates:
        found |= _RENDERING
    return found


def of_view(pid: int) -> dict[str, CallRule]:
    """What the view may call once it shows something. It only ever connects, to the daemon's sockets."""
    row = ROWS["view"]
    found = _of(row, row.families(None)) | _to_itself(pid)
    return {name: rule for name, rule in found.items() if name not in f"{_SERVING} {_REMOVING}".split()}


def of_supervisor(*, shares: bool) -> dict[str, CallRule]:
    """What it and all it starts may call, once its own start is over: no row is let further than this.

    `shares`: its sockets are for a group, too.
    """
    row = ROWS["supervisor"]
    found = _of(row, row.families(None))
    calls = (
        f"{_STARTING} {_PROCESSES} {_REMOVING} {_RENAMING} {_DIRECTORIES} {_SERVING} open openat setsockopt"
    )
    found |= dict.fromkeys(calls.split(), ANYHOW)
    if shares:
        found |= dict.fromkeys(_SHARING.split(), ANYHOW)
        # To another group; the owner stays.
        found |= {name: _one_of(index, (_NOBODY,)) for name, index in _OWNERS.items()}
    return found | {
        "socketpair": _one_of(0, (_FAMILIES["unix"],)),
        "ioctl": _one_of(1, (*_IOCTLS, *_INTERFACES, *_LISTENER)),
        "prctl": CallRule(
            (
                *((Argument(0, option),) for option in (*_PRCTLS, *_BOUNDING)),
                *((Argument(0, option), Argument(1, value, _WORD)) for option, value in _PRCTLS_OF_A_START),
            )
        ),
        "seccomp": _one_of(0, (1,)),  # SECCOMP_SET_MODE_FILTER
        # Each process its own limits.
        "prlimit64": _one_of(0, (0,)),
        "setitimer": _one_of(0, (_ITIMER_REAL, _ITIMER_PROF)),
        "tgkill": _one_of(2, _FATAL),
        # Its locks it keeps from being swept away, by their descriptors.
        "utimensat": CallRule(((Argument(1, 0, _WORD),),)),
        "clone": _without(0, _NAMESPACES),
    }


def _of(row: Row, families: frozenset[str]) -> dict[str, CallRule]:
    """Of every process with such a row, but for what it may do to itself."""
    found = dict.fromkeys(_COMMON.split(), ANYHOW)
    if row.max_file_size:
        found |= dict.fromkeys(f"{_REMOVING} {_RENAMING}".split(), ANYHOW)
    else:
        found |= {"open": _without(1, _TO_WRITE), "openat": _without(2, _TO_WRITE)}
        found |= dict.fromkeys(_REMOVING.split(), CallRule(allowed=(), otherwise=refuse()))
    found |= {
        "ioctl": _one_of(1, _IOCTLS),
        # To connect along with the first bytes is to connect past Landlock.
        **{name: _without(index, _FAST_OPEN) for name, index in _SENDING.items()},
        "setsockopt": _SETTING,
        "fcntl": _one_of(1, _FCNTLS),
        "prctl": _one_of(0, _PRCTLS),
        # libzmq's threads set what they have, and end the process where they may not.
        "sched_setscheduler": _one_of(1, _WITHOUT_PRECEDENCE),
        # Its flags lie in memory, where no filter sees them; the C library then takes clone.
        "clone3": CallRule(allowed=(), otherwise=refuse(_ENOSYS)),
        "clone": CallRule(((Argument(0, _CLONE_THREAD, _CLONE_THREAD | _NAMESPACES),),))
        if row.threads
        else NEVER,
    }
    if row.guards_memory:
        found["setitimer"] = _one_of(0, (_ITIMER_PROF,))
    if "inet6" in families:
        found["ioctl"] = _one_of(1, (*_IOCTLS, *_INTERFACES))
    if families:
        found["socket"] = _sockets(families, datagrams=row.threads)
    if "unix" in families:
        found["connect"] = ANYHOW
    if "inet" in families:
        found["bind"] = ANYHOW
    return found


def _to_itself(pid: int) -> dict[str, CallRule]:
    return {
        # Python ends by a signal to itself.
        "kill": _one_of(0, (pid,)),
        "tgkill": CallRule(tuple((Argument(0, pid), Argument(2, number)) for number in _FATAL)),
        # It may ask for its own limits, not change any.
        "prlimit64": CallRule(((Argument(0, 0), Argument(2, 0, _WORD)),)),
    }


def _sockets(families: frozenset[str], *, datagrams: bool) -> CallRule:
    """TCP of the internet's protocols, not what is like it (MPTCP, SCTP); of netlink's the routes alone."""
    streams = [(_STREAM, 0), (_STREAM, _TCP), *([(_DATAGRAM, 0), (_DATAGRAM, _UDP)] if datagrams else [])]
    kinds = {
        # An interface's number is asked for through a datagram socket (if_nametoindex(3)).
        "unix": [(_STREAM, 0), *([(_DATAGRAM, 0)] if "inet6" in families else [])],
        "inet": streams,
        "inet6": streams,
        "netlink": [(_RAW, 0), (_DATAGRAM, 0)],
    }
    return CallRule(
        tuple(
            (Argument(0, _FAMILIES[name]), Argument(1, kind, _KIND), Argument(2, protocol))
            for name in families
            for kind, protocol in kinds[name]
        )
    )


def _without(index: int, flags: int) -> CallRule:
    return CallRule(((Argument(index, 0, flags),),))


def _one_of(index: int, values: Iterable[int]) -> CallRule:
    return CallRule(tuple((one,) for one in conditions_for(index, values)))


_SETTING: Final = CallRule(
    (
        *((Argument(1, level),) for level in _OTHER_LEVELS),
        *(
            (Argument(1, _SOCKET_LEVEL), options)
            for options in conditions_for(2, {*range(_HIGHEST_OPTION + 1)}.difference(_FILTERS))
        ),
    )
)
_RENDERING: Final = {
    # `bounded_child`: a fork alone, with the C library's flags or musl's; what bounds it, and it to us.
    "fork": ANYHOW,
    "clone": CallRule(
        (
            (Argument(0, _CLONE_THREAD, _CLONE_THREAD | _NAMESPACES),),
            *((Argument(0, flags, _WORD),) for flags in _FORKS),
        )
    ),
    "wait4": ANYHOW,
    "prlimit64": _one_of(0, (0,)),
    "setitimer": _one_of(0, (_ITIMER_REAL,)),
    "prctl": CallRule(
        (
            *((Argument(0, option),) for option in _PRCTLS),
            (Argument(0, _PDEATHSIG[0]), Argument(1, _PDEATHSIG[1], _WORD)),
        )
    ),
}
"""What the webhooks' process may do besides, where one of them has a template."""
