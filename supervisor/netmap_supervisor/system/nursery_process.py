"""One nursery as a process: forked from this one or started by exec, and the orders to it.

Not here: when there is one, and which children it is asked for (`daemon.nursery`).
"""

from __future__ import annotations

import array
import contextlib
import importlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.nursery.orders import MAX_ORDER, ROLE, Forked, Order, Rooms
from netmap_actors.nursery.shared_pages import keep_shared
from netmap_supervisor.system.held_environment import wipe_all
from netmap_supervisor.system.os_process import ChildProcess, Execution, Started, execute, held_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NurseryFailed", "NurseryProcess", "execute_nursery", "fork_nursery"]

_FORKING: Final = "netmap_actors.nursery.forking"
_FILES: Final = 2
"""Descriptors that come with an answer."""
ORDER_LIMIT: Final = 0.5
"""Seconds an order may take, of the Supervisor's only thread; it takes some 5 ms. Started anew, a child takes 300."""


class NurseryFailed(Exception):
    """It did not fork: "cannot X: why"."""


class NurseryProcess:
    """A nursery that runs, or has ended and is not yet reaped."""

    def __init__(self, process: ChildProcess, log_fd: int) -> None:
        """`log_fd`: our end of the pipe that its standard error is."""
        self.process = process
        self.orders = process.line
        self.log_fd = log_fd

    def is_loaded(self) -> bool:
        """Whether its message that it has loaded everything has come. To be called when the line is readable."""
        with contextlib.suppress(OSError):
            return bool(self.orders.recv(MAX_ORDER, socket.MSG_DONTWAIT))
        return False

    def fork(self, order: Execution) -> Started:
        """A new child of this process. Raises NurseryFailed: then it must not fork any more."""
        words = Order(actor=order.actor, numbers=tuple(order.inherited), environment=dict(order.environment))
        try:
            self.orders.settimeout(ORDER_LIMIT)
            socket.send_fds(self.orders, [msgspec.json.encode(words)], [order.log_fd, *order.inherited])
            # Not socket.recv_fds, which leaves its flags out: what is started by exec would inherit these.
            space = socket.CMSG_SPACE(_FILES * array.array("i").itemsize)
            data, ancillary, _, _ = self.orders.recvmsg(MAX_ORDER, space, socket.MSG_CMSG_CLOEXEC)
            answer = msgspec.json.decode(data, type=Forked)
        except TimeoutError:
            raise NurseryFailed(f"cannot fork {order.actor}: no answer within {ORDER_LIMIT} s") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise NurseryFailed(f"cannot fork {order.actor}: {error}") from None
        if answer.pid <= 0:
            raise NurseryFailed(f"cannot fork {order.actor}: {answer.error}")
        return Started(answer.pid, [fd for _, _, given in ancillary for fd in array.array("i", given)])


def fork_nursery(rooms: Rooms, kept: Mapping[str, str]) -> NurseryProcess:
    """Fork one from this process, which has one thread, no ZeroMQ context and no secret but its environment.

    `kept`: the environment it is left with. Raises OSError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # Where our starter ignored it, the kernel would reap a nursery that ends soon and keep its status (waitpid(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def fork(theirs: socket.socket, log_fd: int) -> Started:
        ours = _ours(rooms)
        keep_shared()
        pid = os.fork()
        if pid == 0:
            try:
                wipe_all(kept)
                # Only here, where this is the Supervisor no more: that never loads the code of an actor.
                importlib.import_module(_FORKING).begin(theirs, log_fd, ours)
            finally:
                os._exit(1)
        return Started(pid)

    return _nursery(fork)


def execute_nursery(rooms: Rooms, environment: Mapping[str, str]) -> NurseryProcess:
    """Start one by exec. Raises OSError."""
    started = _nursery(
        lambda theirs, log_fd: execute(Execution(ROLE, environment, [theirs.fileno()], log_fd))
    )
    # One that has ended already is found by its pidfd.
    with contextlib.suppress(OSError):
        started.orders.send(msgspec.json.encode(_ours(rooms)))
    return started


def _nursery(start: Callable[[socket.socket, int], Started]) -> NurseryProcess:
    """`start(theirs, log_fd)`: with its ends of the line and of the log. Raises OSError, and then nothing is left."""
    with contextlib.ExitStack() as unless_started, contextlib.ExitStack() as given:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        unless_started.callback(ours.close)
        given.callback(theirs.close)
        log_read, log_write = os.pipe2(os.O_CLOEXEC)
        unless_started.callback(os.close, log_read)
        given.callback(os.close, log_write)
        process = held_child(start(theirs, log_write), ours)
        unless_started.pop_all()
    return NurseryProcess(process, log_read)


def _ours(rooms: Rooms) -> Rooms:
    return msgspec.structs.replace(rooms, parent_pid=os.getpid())
