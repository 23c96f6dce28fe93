"""A process that has loaded the actors and forks one on order: what they have in common is loaded, and held, once.

It has no thread, no ZeroMQ context, no secret and no socket but the one to the Supervisor, so a fork of it is as good
as a process started anew. It is forked twice, and the one in between ends: the actor becomes the Supervisor's child, as
that is the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), and is tied to it as one that it started itself.
Not here: when an actor is started, and what becomes of a nursery that ends (`netmap_supervisor.daemon.nursery`).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from netmap_actors.confinement import confinement
from netmap_actors.confinement.run_bounds import RunBounds
from netmap_actors.confinement.unused_memory import give_back
from netmap_actors.exit_reason import ExitReason, from_exception, status_of
from netmap_actors.nursery.orders import MAX_ORDER, ROLE, Forked, Order, Rooms
from netmap_actors.nursery.shared_pages import keep_shared
from netmap_actors.process import bootstrap, title
from netmap_actors.process.child_log import ChildLog
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["begin", "main"]

_MAX_DESCRIPTORS: Final = 16
_MOST_FILES: Final = 1 << 16
"""Where nothing bounds them; ours have a bound (`confinement.bound_files`)."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPROF)
"""Those that whoever forked us may have handled."""
_OF_THE_GROUP: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_FIRST: Final = ActorName.CONNECTION
"""What nearly every run needs, and first: loaded before anybody says so."""


def main(orders_fd: int) -> NoReturn:
    """Be a nursery that was started by exec."""
    with _ended_by_failure():
        confinement.forbid_dump()
        orders = socket.socket(fileno=orders_fd)
        rooms = _told(orders)
        become_nursery(rooms.parent_pid)
        serve(orders, rooms)


def begin(orders: socket.socket, log_fd: int, parent_pid: int) -> NoReturn:
    """Be a nursery that was forked from the Supervisor itself, which has one thread and no secret yet.

    `log_fd` becomes standard output and error; every other descriptor but that of `orders` is closed. It loads while
    the Supervisor still reads its settings, is told what to give up then, and forks nothing before.
    """
    with _ended_by_failure():
        confinement.forbid_dump()
        orders_fd = orders.detach()
        take_descriptors([log_fd, orders_fd], [orders_fd])
        become_nursery(parent_pid)
        load([_FIRST])
        orders = socket.socket(fileno=orders_fd)
        rooms = _told(orders)
        bounds = RunBounds.decode(rooms.bounds)
        bounds.give_up()
        bounds.filter_calls()
        serve(orders, rooms)


def _told(orders: socket.socket) -> Rooms:
    data = orders.recv(MAX_ORDER)
    if not data:
        os._exit(0)
    return msgspec.json.decode(data, type=Rooms)


@contextlib.contextmanager
def _ended_by_failure() -> Iterator[None]:
    """Nothing behind it is ever run: there lies the work of the process we were forked from."""
    try:
        yield
    except confinement.ParentGone:
        os._exit(status_of(ExitReason.PARENT_GONE))
    except BaseException as error:  # noqa: BLE001  # every end becomes a status
        reason = from_exception(error)
        log = ChildLog(2, actor=ROLE, pid=os.getpid())
        log.error("actor_failed", reason=reason.value, error=type(error).__name__, detail=str(error)[:500])
        os._exit(status_of(reason))
    finally:
        os._exit(1)


def become_nursery(parent_pid: int) -> None:
    """Show itself as one, end with the Supervisor, and leave signals to it. Raises ParentGone."""
    confinement.die_with_parent(parent_pid)
    title.show(ROLE)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C, a closed terminal and a service's stop reach the whole group; ending is for the Supervisor. Blocked, not
    # ignored: what a child is told before it has its own handler is not lost.
    signal.pthread_sigmask(signal.SIG_SETMASK, _OF_THE_GROUP)
    gc.disable()


def load(actors: Iterable[str]) -> None:
    """What these need; what is loaded already costs nothing."""
    for actor in actors:
        bootstrap.load(actor).preload()


def serve(orders: socket.socket, rooms: Rooms) -> NoReturn:
    """Load the rooms and fork until the Supervisor is gone; `orders`: SOCK_SEQPACKET."""
    bootstrap.preload()
    load(rooms.actors)
    if rooms.tls:
        from netmap_actors.transport import tls  # noqa: F401, PLC0415
    keep_shared()
    give_back()
    orders.send(msgspec.json.encode(Forked()))
    later = set(rooms.later)
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, _MAX_DESCRIPTORS)
        if not data:
            os._exit(0)
        order = msgspec.json.decode(data, type=Order)
        if order.actor in later:
            later.remove(order.actor)
            load([order.actor])
            keep_shared()
        forked, files = _fork(order, descriptors)
        socket.send_fds(orders, [msgspec.json.encode(forked)], files)
        for descriptor in (*descriptors, *files):
            os.close(descriptor)


def _fork(order: Order, descriptors: Sequence[int]) -> tuple[Forked, list[int]]:
    """Fork it, and wait for the process in between: after that it is the Supervisor's child."""
    answer, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with answer:
        try:
            with told:
                between = os.fork()
                if between == 0:
                    _between(order, descriptors, told)
            os.waitpid(between, 0)
            data, files, _, _ = socket.recv_fds(answer, MAX_ORDER, _MAX_DESCRIPTORS)
        except OSError as error:
            return _failed(error), []
    return (msgspec.json.decode(data, type=Forked) if data else Forked(error="it ended at once")), files


def _failed(error: OSError) -> Forked:
    return Forked(error=error.strerror or str(error))


def _between(order: Order, descriptors: Sequence[int], told: socket.socket) -> NoReturn:
    try:
        if os.fork() == 0:
            _become(order, descriptors, told)
    except OSError as error:
        with contextlib.suppress(OSError):
            told.send(msgspec.json.encode(_failed(error)))
    finally:
        # Never back into the nursery's own loop.
        os._exit(0)


def _become(order: Order, descriptors: Sequence[int], told: socket.socket) -> NoReturn:
    """As a process started by exec: only its descriptors, and its environment.

    Its random numbers are its own: Python's generator, OpenSSL and the kernel's calls see a fork for themselves.
    """
    with _ended_by_failure():
        socket.send_fds(told, [msgspec.json.encode(Forked(pid=os.getpid()))], _own_files())
        take_descriptors(descriptors, order.numbers)
        _take_environment(order.environment)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        gc.enable()
        bootstrap.main(order.actor, order.numbers[0])


def _own_files() -> list[int]:
    """Opened by itself: nobody else may where /proc hides the others (hidepid, proc(5)), as it cannot be dumped."""
    try:
        return [os.open(f"/proc/self/{name}", os.O_RDONLY) for name in ("stat", "schedstat")]
    except OSError:
        return []


def _take_environment(wanted: Mapping[str, str]) -> None:
    """Only what differs is written: each variable is a piece of memory of this process's own."""
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def take_descriptors(given: Sequence[int], numbers: Iterable[int]) -> None:
    """Have the first as standard output and error, the others under these numbers, and nothing else open."""
    log, *others = given
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    wanted = dict(zip(numbers, others, strict=True))
    beyond = max(wanted) + 1
    # First out of the way of each other's numbers.
    copies = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, beyond) for number, fd in wanted.items()}
    os.closerange(3, beyond)
    for number, copy in copies.items():
        os.dup2(copy, number, inheritable=False)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(beyond, _MOST_FILES if most == resource.RLIM_INFINITY else most)
