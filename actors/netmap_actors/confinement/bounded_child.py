"""A forked process that makes one text within bounds of time and memory, for a user's template is a program.

Jinja2's sandbox keeps a template from the machine, not from running for ever or from taking all memory. The kernel ends
the process by its own limits, and with the one that waits for it. Forked, not started anew: who may start no program
has it, too, and it is confined as we are. A process that started threads may use it: nothing but `work` runs in it, and
a lock that another thread held ends it by its time.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from netmap_actors.confinement import confinement
from netmap_actors.errors import Disposition, NetmapError, escape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundedChild", "Bounds", "NotMade"]

_REFUSED: Final = 1
"""Exit status: the text is that of the error that `work` raised."""
_OUT_OF_MEMORY: Final = 3
_BROKEN: Final = 4
_PIECE: Final = 1 << 16
_MOST_FILES: Final = 1 << 16
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Bounds(NamedTuple):
    """What it may cost."""

    processor_time: int
    """Seconds."""
    patience: float
    """Seconds, for one that waits instead of working."""
    memory: int
    """Bytes of address space besides what we have."""


class NotMade(NetmapError):
    """It was ended, or its `work` raised a NetmapError, of which this has the text."""

    disposition = Disposition.GIVE_UP


class BoundedChild:
    """One such process: `receive` until there is no more, then `result`, once."""

    def __init__(self, what: str, work: Callable[[], bytes], bounds: Bounds) -> None:
        """Start it. `what`: "render NAME", for "cannot render NAME: why". Raises NotMade."""
        self._what, self._bounds = what, bounds
        self._received: list[bytes] = []
        parent, memory = os.getpid(), _address_space() + bounds.memory
        self._fd, theirs = os.pipe()
        try:
            with warnings.catch_warnings():
                # Of threads, as above.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError as error:
            os.close(self._fd)
            raise NotMade(f"cannot {what}: no process can be started: {error.strerror}") from None
        finally:
            if os.getpid() == parent:
                os.close(theirs)
        if self._pid == 0:
            _work(work, theirs, bounds._replace(memory=memory), parent)

    def fileno(self) -> int:
        """Readable when `receive` does not block."""
        return self._fd

    def receive(self) -> bool:
        """Take what there is, and wait for some; whether there is more to come."""
        piece = os.read(self._fd, _PIECE)
        self._received.append(piece)
        return bool(piece)

    def wait(self) -> bytes:
        """For its end; what it made. Raises NotMade."""
        while self.receive():
            pass
        return self.result()

    def result(self) -> bytes:
        """What it made. Raises NotMade."""
        os.close(self._fd)
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        made = b"".join(self._received)
        if status == 0:
            return made
        said = made.decode(errors="replace")
        match status:
            case _ if status == _REFUSED:
                raise NotMade(said)
            case _ if status == _OUT_OF_MEMORY:
                why = "it takes too much memory"
            case _ if status == -signal.SIGXCPU:
                why = f"it takes more than {self._bounds.processor_time} s of processor time"
            case _ if status == -signal.SIGALRM:
                why = f"it has not ended within {self._bounds.patience:g} s"
            case _:
                why = escape(said) or f"its process ended with status {status}"
        raise NotMade(f"cannot {self._what}: {why}")


def _work(work: Callable[[], bytes], to: int, bounds: Bounds, parent: int) -> NoReturn:
    """Be the child: whatever comes, nothing of the process we were forked from is run."""
    status, said = _BROKEN, b""
    try:
        try:
            _bound(to, bounds, parent)
            said, status = work(), 0
        except NetmapError as error:
            said, status = str(error).encode(errors="replace"), _REFUSED
        except MemoryError:
            status = _OUT_OF_MEMORY
        except Exception as error:  # noqa: BLE001  # it has no other way to say so
            said = f"{type(error).__name__}: {error}".encode(errors="replace")
        rest = memoryview(said)
        while rest:
            rest = rest[os.write(to, rest) :]
    finally:
        os._exit(status)


def _bound(to: int, bounds: Bounds, parent: int) -> None:
    """`bounds.memory`: in all."""
    # First what ends it. Ctrl-C in our terminal is for who waits.
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGHUP, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.setitimer(signal.ITIMER_REAL, bounds.patience)
    confinement.die_with_parent(parent)
    # Of what was left by others nothing is ended here, and no pipe or lock of theirs held.
    gc.freeze()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(0, to)
    os.closerange(to + 1, _MOST_FILES if files == resource.RLIM_INFINITY else max(files, _MOST_FILES))
    # One second later comes SIGKILL, which says nothing of the reason.
    time = bounds.processor_time
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, time, time + 1),
        (resource.RLIMIT_AS, bounds.memory, bounds.memory),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        bounded = most != resource.RLIM_INFINITY
        resource.setrlimit(kind, (min(soft, most), min(hard, most)) if bounded else (soft, hard))


def _address_space() -> int:
    """Bytes of ours (proc_pid_statm(5)); a forked process has other files there, which are not ours to read."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * _PAGE
