"""Other processes: started, signalled, traced, read."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from matrix_orders import Facts, call, libc, order, sacrificed

_X86 = os.uname().machine == "x86_64"
_NR = (
    {"clone": 56, "process_vm_readv": 310, "process_vm_writev": 311, "rt_sigqueueinfo": 129, "pidfd_open": 434,
     "pidfd_send_signal": 424, "pidfd_getfd": 438, "unshare": 272, "setns": 308, "tgkill": 234, "ptrace": 101}
    if _X86
    else {"clone": 220, "process_vm_readv": 270, "process_vm_writev": 271, "rt_sigqueueinfo": 138, "pidfd_open": 434,
          "pidfd_send_signal": 424, "pidfd_getfd": 438, "unshare": 97, "setns": 268, "tgkill": 131, "ptrace": 117}
)  # fmt: skip
_NEW = {"user": 0x10000000, "mount": 0x00020000, "network": 0x40000000, "pid": 0x20000000}
_SEIZE = 0x4206


def _run(path: str, *words: str) -> str:
    """As any program is started; where there is no fork, in the place of this process."""

    def work() -> None:
        os.execv(path, [path, *words])

    return sacrificed(work) or ""


@order("exec of a shell")
def _shell(facts: Facts) -> str:
    return _run("/bin/sh", "-c", f"exec 9<>{facts.place}/effects; true")


@order("exec of the interpreter")
def _interpreter(facts: Facts) -> str:
    return _run(sys.executable, "-I", "-S", "-c", "pass")


@order("fork")
def _fork(facts: Facts) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _clone(flags: int) -> None:
    pid = call(_NR["clone"], ctypes.c_long(flags | signal.SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


for _name, _flag in _NEW.items():
    order(f"a {_name} namespace of its own, by clone")(lambda facts, flag=_flag: _clone(flag))
    order(f"a {_name} namespace of its own, by unshare")(
        lambda facts, flag=_flag: sacrificed(lambda: call(_NR["unshare"], ctypes.c_long(flag)) and None)
    )


@order("into another's network namespace")
def _setns(facts: Facts) -> str | None:
    def work() -> None:
        fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        call(_NR["setns"], fd, ctypes.c_long(_NEW["network"]))

    return sacrificed(work)


def _by_kill(pid: int, number: int) -> None:
    os.kill(pid, number)


def _by_tgkill(pid: int, number: int) -> None:
    call(_NR["tgkill"], pid, pid, number)


def _by_queue(pid: int, number: int) -> None:
    info = (ctypes.c_int * 32)()
    info[0], info[2] = number, -1
    call(_NR["rt_sigqueueinfo"], pid, number, ctypes.byref(info))


def _by_pidfd(pid: int, number: int) -> None:
    fd = call(_NR["pidfd_open"], pid, 0)
    try:
        call(_NR["pidfd_send_signal"], fd, number, None, 0)
    finally:
        os.close(fd)


def _by_owner(pid: int, number: int) -> None:
    """The kernel sends it when the pipe gets something: fcntl(2), F_SETOWN and F_SETSIG."""
    import fcntl

    try:
        read_fd, write_fd = os.pipe()
    except OSError:
        # Without one of its own: the right to name an owner counts, on what it has.
        fcntl.fcntl(2, fcntl.F_SETOWN, pid)
        fcntl.fcntl(2, fcntl.F_SETOWN, 0)
        return
    try:
        fcntl.fcntl(read_fd, fcntl.F_SETOWN, pid)
        fcntl.fcntl(read_fd, 10, number)
        fcntl.fcntl(read_fd, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(write_fd, b"x")
    finally:
        os.close(read_fd)
        os.close(write_fd)


_WAYS = {"kill": _by_kill, "tgkill": _by_tgkill, "rt_sigqueueinfo": _by_queue, "pidfd_send_signal": _by_pidfd}
for _how, _send in _WAYS.items():
    # SIGURG is ignored unless somebody asked for it: the right to send is what counts.
    order(f"a signal to the Supervisor, by {_how}")(
        lambda facts, send=_send: send(facts.pids["supervisor"], signal.SIGURG)
    )
    order(f"a signal to a sibling, by {_how}")(lambda facts, send=_send: send(facts.sibling(), signal.SIGURG))
    order(f"a signal to a stranger, by {_how}")(
        lambda facts, send=_send, how=_how: send(facts.strangers[how], signal.SIGTERM)
    )
order("a signal to a stranger, by F_SETOWN")(
    lambda facts: _by_owner(facts.strangers["F_SETOWN"], signal.SIGTERM)
)


def _trace(pid: int) -> str | None:
    # Let go of at the end of whoever asked; nobody is stopped by it.
    def work() -> None:
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        call(_NR["ptrace"], ctypes.c_long(_SEIZE), ctypes.c_long(pid), None, None)

    return sacrificed(work)


class _Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _memory(which: str, pid: int) -> str | None:
    here = ctypes.create_string_buffer(8)
    # Nothing lies at the other's first page: whoever may is told so, and nothing is read or written.
    local, remote = _Span(ctypes.addressof(here), 8), _Span(16, 8)
    try:
        call(
            _NR[which],
            pid,
            ctypes.byref(local),
            ctypes.c_ulong(1),
            ctypes.byref(remote),
            ctypes.c_ulong(1),
            0,
        )
    except OSError as error:
        if error.errno == 14:  # EFAULT: allowed, and nothing at this address
            return "only the address was wrong"
        raise
    return None


def _read(path: str) -> None:
    with open(path, "rb", buffering=0) as file:
        file.read(1)


for _who in ("the Supervisor", "a sibling", "a stranger"):

    def _pid(facts: Facts, who: str = _who) -> int:
        if who == "the Supervisor":
            return facts.pids["supervisor"]
        return facts.sibling() if who == "a sibling" else facts.strangers["traced"]

    order(f"ptrace of {_who}")(lambda facts, pid=_pid: _trace(pid(facts)))
    order(f"process_vm_readv of {_who}")(lambda facts, pid=_pid: _memory("process_vm_readv", pid(facts)))
    order(f"process_vm_writev of {_who}")(lambda facts, pid=_pid: _memory("process_vm_writev", pid(facts)))
    for _file in ("environ", "maps", "auxv"):
        order(f"/proc/PID/{_file} of {_who}")(
            lambda facts, pid=_pid, file=_file: _read(f"/proc/{pid(facts)}/{file}")
        )

    @order(f"/proc/PID/mem of {_who}")
    def _mem(facts: Facts, pid=_pid) -> None:
        os.close(os.open(f"/proc/{pid(facts)}/mem", os.O_RDWR))

    @order(f"/proc/PID/fd of {_who}")
    def _fds(facts: Facts, pid=_pid) -> str:
        return f"{len(os.listdir(f'/proc/{pid(facts)}/fd'))} descriptors"

    @order(f"a descriptor of {_who}, by pidfd_getfd")
    def _getfd(facts: Facts, pid=_pid) -> None:
        fd = call(_NR["pidfd_open"], pid(facts), 0)
        try:
            os.close(call(_NR["pidfd_getfd"], fd, 0, 0))
        finally:
            os.close(fd)


@order("other limits for a sibling, by prlimit")
def _limits_of(facts: Facts) -> None:
    import resource

    before = resource.prlimit(facts.sibling(), resource.RLIMIT_NOFILE)
    resource.prlimit(facts.sibling(), resource.RLIMIT_NOFILE, before)
