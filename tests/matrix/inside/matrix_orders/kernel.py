"""What a process may ask of the kernel for itself: rights, limits, rare calls, memory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal

from matrix_orders import Facts, Refused, call, libc, order, sacrificed

_X86 = os.uname().machine == "x86_64"
_NR = (
    {"capset": 126, "bpf": 321, "keyctl": 250, "add_key": 248, "perf_event_open": 298, "userfaultfd": 323,
     "kexec_load": 246, "init_module": 175, "reboot": 169, "settimeofday": 164, "sethostname": 170, "swapon": 167,
     "personality": 135, "syslog": 103, "acct": 163, "io_uring_setup": 425, "fanotify_init": 300, "quotactl": 179,
     "mlockall": 151, "request_key": 249, "inotify_init1": 294, "fsopen": 430, "kcmp": 312, "vmsplice": 278}
    if _X86
    else {"capset": 91, "bpf": 280, "keyctl": 219, "add_key": 217, "perf_event_open": 241, "userfaultfd": 282,
          "kexec_load": 104, "init_module": 105, "reboot": 142, "settimeofday": 170, "sethostname": 161,
          "swapon": 224, "personality": 92, "syslog": 116, "acct": 89, "io_uring_setup": 425, "fanotify_init": 262,
          "quotactl": 60, "mlockall": 230, "request_key": 218, "inotify_init1": 26, "fsopen": 430, "kcmp": 272,
          "vmsplice": 75}
)  # fmt: skip
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT = 4, 8, 47
PIECE = 1 << 30
MANY_FILES = 70_000


def _prctl(*words: int) -> None:
    if libc.prctl(*map(ctypes.c_ulong, words)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _setrlimit(which: int, soft: int, hard: int) -> None:
    """Python's own makes a ValueError of every refusal."""
    if libc.setrlimit(which, (ctypes.c_ulong * 2)(soft & (1 << 64) - 1, hard)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


# Limits


for _name, _which in {
    "open files": resource.RLIMIT_NOFILE, "core files": resource.RLIMIT_CORE, "address space": resource.RLIMIT_AS,
    "locked memory": resource.RLIMIT_MEMLOCK,
}.items():  # fmt: skip

    @order(f"a higher limit of {_name}")
    def _raise(facts: Facts, which: int = _which) -> str | None:
        soft, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY:
            return "it has no limit"
        return sacrificed(lambda: _setrlimit(which, soft, hard + 1))


@order("memory without end")
def _memory(facts: Facts) -> str:
    kept = []
    try:
        for _ in range(64):
            kept.append(mmap.mmap(-1, PIECE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise Refused(f"after {len(kept)} GiB") from None
        raise
    finally:
        for one in kept:
            one.close()
    return "64 GiB"


@order("descriptors without end")
def _descriptors(facts: Facts) -> str:
    """The highest one would be the last of so many: they need not be taken from our own loop to be refused."""
    try:
        os.close(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, MANY_FILES))
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.EMFILE}:
            raise Refused(f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} are the most") from None
        raise
    return f"more than {MANY_FILES}"


# Rights


@order("every capability again")
def _capset(facts: Facts) -> str | None:
    def work() -> None:
        header = (ctypes.c_uint * 2)(0x20080522, 0)
        data = (ctypes.c_uint * 6)(0xFFFFFFFF, 0xFFFFFFFF, 0, 0x1FF, 0x1FF, 0)
        call(_NR["capset"], header, data)

    return sacrificed(work)


@order("one capability again")
def _one_capability(facts: Facts) -> str | None:
    """CAP_DAC_READ_SEARCH: every file."""

    def work() -> None:
        header = (ctypes.c_uint * 2)(0x20080522, 0)
        data = (ctypes.c_uint * 6)(1 << 2, 1 << 2, 0, 0, 0, 0)
        call(_NR["capset"], header, data)

    return sacrificed(work)


for _name, _work in {
    "another user, by setresuid": lambda: os.setresuid(65534, 65534, 65534),
    "root again, by setuid": lambda: os.setresuid(0, 0, 0) if os.geteuid() else os.setresuid(1, 1, 0),
    "another group, by setresgid": lambda: os.setresgid(65534, 65534, 65534),
    "other groups, by setgroups": lambda: os.setgroups([65534]),
}.items():
    order(_name)(lambda facts, work=_work: sacrificed(work))

order("a higher priority")(lambda facts: sacrificed(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)))
order("real-time scheduling")(
    lambda facts: sacrificed(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
)
order("all memory locked")(lambda facts: sacrificed(lambda: call(_NR["mlockall"], 2) and None))

# Core files


@order("dumpable again")
def _dumpable(facts: Facts) -> str | None:
    return sacrificed(lambda: _prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


@order("capabilities kept over setuid")
def _keep(facts: Facts) -> str | None:
    return sacrificed(lambda: _prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))


@order("free of its parent's death")
def _orphan(facts: Facts) -> str | None:
    return sacrificed(lambda: _prctl(1, 0, 0, 0, 0))


# Rare calls: each with arguments that do nothing where it is allowed


@order("bpf: a map")
def _bpf(facts: Facts) -> str | None:
    attributes = (ctypes.c_uint * 32)(2, 4, 4, 1)
    os.close(call(_NR["bpf"], 0, attributes, ctypes.sizeof(attributes)))
    return None


@order("io_uring")
def _io_uring(facts: Facts) -> None:
    os.close(call(_NR["io_uring_setup"], 4, ctypes.create_string_buffer(120)))


@order("userfaultfd")
def _userfaultfd(facts: Facts) -> None:
    os.close(call(_NR["userfaultfd"], 1))


@order("perf_event_open")
def _perf(facts: Facts) -> None:
    attributes = (ctypes.c_uint * 32)(1, 128)
    os.close(call(_NR["perf_event_open"], attributes, 0, -1, -1, ctypes.c_ulong(0)))


@order("keyctl: a keyring")
def _keyctl(facts: Facts) -> str | None:
    return sacrificed(lambda: call(_NR["keyctl"], 0, -3, 1, 0, 0) and None)


@order("add_key")
def _add_key(facts: Facts) -> str | None:
    return sacrificed(lambda: call(_NR["add_key"], b"user", b"nms", b"x", ctypes.c_size_t(1), -2) and None)


@order("fanotify")
def _fanotify(facts: Facts) -> None:
    os.close(call(_NR["fanotify_init"], 0, 0))


@order("inotify")
def _inotify(facts: Facts) -> None:
    os.close(call(_NR["inotify_init1"], 0))


@order("fsopen")
def _fsopen(facts: Facts) -> None:
    os.close(call(_NR["fsopen"], b"tmpfs", 0))


def _asked(number: int, *words: object, passes: set[int]) -> str | None:
    """Arguments that are wrong: whoever is told so had the right."""
    try:
        call(number, *words)
    except OSError as error:
        if error.errno in passes:
            return "only the arguments were wrong"
        raise
    return None


order("reboot")(lambda facts: _asked(_NR["reboot"], 0, 0, 0, 0, passes={errno.EINVAL}))
order("load a kernel module")(
    lambda facts: _asked(
        _NR["init_module"], None, ctypes.c_ulong(0), b"", passes={errno.EFAULT, errno.ENOEXEC}
    )
)
order("load another kernel")(
    lambda facts: _asked(
        _NR["kexec_load"], ctypes.c_ulong(0), ctypes.c_ulong(17), None, ctypes.c_ulong(1 << 63),
        passes={errno.EINVAL},
    )
)  # fmt: skip
order("swapon")(
    lambda facts: _asked(_NR["swapon"], b"/proc/self/exe", 0, passes={errno.EINVAL, errno.ETXTBSY})
)
order("acct")(lambda facts: _asked(_NR["acct"], b"/nowhere/x", passes={errno.ENOENT}))
order("set the clock")(lambda facts: _asked(_NR["settimeofday"], None, None, passes=set()))
order("the kernel's log, by syslog")(lambda facts: _asked(_NR["syslog"], 10, None, 0, passes=set()))
order("another host name")(
    lambda facts: _asked(
        _NR["sethostname"], os.uname().nodename.encode(), len(os.uname().nodename), passes=set()
    )
)
order("another personality")(
    lambda facts: sacrificed(lambda: _asked(_NR["personality"], ctypes.c_ulong(0x0040000), passes=set()))
)
order("compare another's descriptors, by kcmp")(
    lambda facts: _asked(
        _NR["kcmp"], facts.sibling(), facts.pids["supervisor"], 2, ctypes.c_ulong(0), ctypes.c_ulong(0),
        passes={errno.EOPNOTSUPP, errno.EBADF},
    )
)  # fmt: skip


@order("ports of the machine, by iopl")
def _ports(facts: Facts) -> str | None:
    from matrix_orders import Absent

    if not _X86:
        raise Absent("this architecture has none")
    return sacrificed(lambda: call(172, 3) and None)


@order("code made at run time")
def _code(facts: Facts) -> None:
    """Memory that can be written and executed."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


# Ends


@order("abort, and want a core file")
def _abort(facts: Facts) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.chdir(facts.place)
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    os.abort()


@order("stop itself")
def _stop(facts: Facts) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
