"""Orders a taken-over process would try, run from inside it. Nothing but the standard library is needed here.

An order returns (it was carried out), raises OSError or Refused (it was not), or Absent (this machine has no such
thing). Whether it really was is then looked at from outside.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["ORDERS", "Absent", "Facts", "Refused", "call", "carry_out", "order", "sacrificed"]

libc = ctypes.CDLL(None, use_errno=True)
REFUSALS = {errno.EPERM, errno.EACCES}
ABSENT = {
    errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOSYS, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT, errno.ENOTDIR,
}  # fmt: skip


class Refused(Exception):
    """Told so in words, or seen from inside."""


class Absent(Exception):
    """There is no such thing to try it on."""


class Facts(SimpleNamespace):
    """All the test knows about the run: pids, paths, generations, addresses. No attacker would know more."""

    def __init__(self, role: str, facts: dict[str, Any]) -> None:
        super().__init__(role=role, **facts)

    def sibling(self) -> int:
        """Another child's pid."""
        return next(pid for name, pid in self.pids.items() if name not in {self.role, "supervisor"})


ORDERS: dict[str, Callable[[Facts], str | None]] = {}


def order(name: str) -> Callable[[Callable[[Facts], str | None]], Callable[[Facts], str | None]]:
    def note(work: Callable[[Facts], str | None]) -> Callable[[Facts], str | None]:
        assert name not in ORDERS, name
        ORDERS[name] = work
        return work

    return note


def carry_out(name: str, facts: Facts) -> tuple[str, str]:
    """(allowed, refused, absent or broken; how)."""
    try:
        return "allowed", ORDERS[name](facts) or ""
    except Refused as error:
        return "refused", str(error)
    except Absent as error:
        return "absent", str(error)
    except OSError as error:
        told = "refused" if error.errno in REFUSALS else "absent" if error.errno in ABSENT else "broken"
        return told, errno.errorcode.get(error.errno or 0, str(error))
    except BaseException as error:
        return "broken", f"{type(error).__name__}: {error}"


def call(number: int, *arguments: object) -> int:
    """A system call by its number. Raises OSError."""
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def sacrificed(work: Callable[[], str | None]) -> str | None:
    """Where a fork is to be had, in one: what it does to itself then ends with it. Else here."""
    try:
        read_fd, write_fd = os.pipe()
    except OSError:
        return work()
    try:
        pid = os.fork()
    except OSError:
        os.close(read_fd)
        os.close(write_fd)
        return work()
    if pid == 0:
        try:
            text = f"+{work() or ''}"
        except OSError as error:
            text = f"-{error.errno}"
        except BaseException as error:
            text = f"!{type(error).__name__}: {error}"
        os.write(write_fd, text.encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if text.startswith("-"):
        raise OSError(int(text[1:]), os.strerror(int(text[1:])))
    if text.startswith("!"):
        raise RuntimeError(text[1:])
    return text[1:] or (
        f"ended with {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else ""
    )


from matrix_orders import files, floods, kernel, messages, network, processes, remains  # noqa: E402, F401
