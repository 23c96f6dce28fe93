"""One nursery as a process: forked from a run that has just begun or started by exec, and the orders to it.

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
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.confinement import confinement, landlock
from netmap_actors.nursery.orders import MAX_ORDER, ROLE, Forked, Order, Rooms
from netmap_actors.nursery.shared_pages import keep_shared
from netmap_supervisor.system.held_environment import PROXIES, environment_for, wipe_all
from netmap_supervisor.system.os_process import ChildProcess, Execution, Started, execute, held_child

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

__all__ = [
    "FirstNursery",
    "NurseryFailed",
    "NurseryProcess",
    "execute_nursery",
    "expects_nursery",
    "fork_first",
]

BOTH_LOAD: Final = (
    "base64", "grp", "logging", "pykka", "secrets", "termios", "netmap_actors.bus.admission",
    "netmap_actors.bus.acceptor", "netmap_actors.bus.loop", "netmap_actors.bus.mailbox", "netmap_actors.bus.monitor",
    "netmap_actors.bus.peers", "netmap_actors.bus.sockets", "netmap_actors.child_lock",
    "netmap_actors.confinement.memory_guard", "netmap_actors.confinement.run_bounds",
    "netmap_actors.confinement.unused_memory", "netmap_actors.curve_keys", "netmap_actors.exit_reason",
    "netmap_actors.finite", "netmap_actors.rfc3339", "netmap_actors.runtime_paths", "netmap_actors.state_file",
    "netmap_actors.web_url", "netmap_actors.wire.codec",
)  # fmt: skip
"""What a nursery and the Supervisor are made of: loaded before the fork it is loaded, and held, once."""
_FORKING: Final = "netmap_actors.nursery.forking"
_FILES: Final = 2
"""Descriptors that come with an answer."""
ORDER_LIMIT: Final = 0.5
"""Seconds an order may take, of the Supervisor's only thread; it takes some 5 ms. Started anew, a child takes 300."""
LOADING_ORDER_LIMIT: Final = 5.0
"""Seconds for an order that has it load an actor before, which it does once for each: some 30 ms of a processor."""


class NurseryFailed(Exception):
    """It did not fork: "cannot X: why"."""


class NurseryProcess:
    """A nursery that runs, or has ended and is not yet reaped."""

    def __init__(self, process: ChildProcess, log_fd: int) -> None:
        """`log_fd`: our end of the pipe that its standard error is."""
        self.process = process
        self.orders = process.line
        self.log_fd = log_fd
        self._loads_later: set[str] = set()

    def is_loaded(self) -> bool:
        """Whether its message that it has loaded everything has come. To be called when the line is readable."""
        with contextlib.suppress(OSError):
            return bool(self.orders.recv(MAX_ORDER, socket.MSG_DONTWAIT))
        return False

    def tell(self, rooms: Rooms) -> None:
        """What it is to load and to give up; the first message to it. One that has ended is found by its pidfd."""
        self._loads_later = set(rooms.later)
        with contextlib.suppress(OSError):
            self.orders.send(msgspec.json.encode(msgspec.structs.replace(rooms, parent_pid=os.getpid())))

    def end(self) -> None:
        """Kill it and wait for that."""
        self.process.send(signal.SIGKILL)
        self.process.wait()
        os.close(self.log_fd)

    def fork(self, order: Execution, held: Collection[int]) -> Started:
        """A new child of this process, none of `held`. Raises NurseryFailed: then it must not fork any more."""
        limit = LOADING_ORDER_LIMIT if order.actor in self._loads_later else ORDER_LIMIT
        self._loads_later.discard(order.actor)
        words = Order(actor=order.actor, numbers=tuple(order.inherited), environment=dict(order.environment))
        with contextlib.ExitStack() as unless_started:
            try:
                self.orders.settimeout(limit)
                socket.send_fds(self.orders, [msgspec.json.encode(words)], [order.log_fd, *order.inherited])
                # Not socket.recv_fds, which leaves its flags out: what is started by exec would inherit these.
                space = socket.CMSG_SPACE(_FILES * array.array("i").itemsize)
                data, ancillary, _, _ = self.orders.recvmsg(MAX_ORDER, space, socket.MSG_CMSG_CLOEXEC)
                files = [fd for _, _, given in ancillary for fd in array.array("i", given)]
                for fd in files:
                    unless_started.callback(os.close, fd)
                answer = msgspec.json.decode(data, type=Forked)
                if answer.pid <= 0:
                    raise NurseryFailed(f"cannot fork {order.actor}: {answer.error or 'it does not say why'}")
                # Whoever it names will be watched, and killed if it does not answer. Raises where it is no child.
                os.waitid(os.P_PID, answer.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if answer.pid in held:
                    raise NurseryFailed(f"cannot fork {order.actor}: {answer.pid} is another process")
            except TimeoutError:
                raise NurseryFailed(f"cannot fork {order.actor}: no answer within {limit:g} s") from None
            except (OSError, ValueError, OverflowError) as error:
                raise NurseryFailed(f"cannot fork {order.actor}: {error}") from None
            if len(files) == _FILES:
                unless_started.pop_all()
                return Started(answer.pid, files)
            return Started(answer.pid)


class FirstNursery:
    """That of a run that has just begun, until it is taken; whoever holds it closes it."""

    def __init__(self, nursery: NurseryProcess, *, signals_kept: bool) -> None:
        """`signals_kept`: this process can signal nobody any more but its descendants (`landlock.keep_signals`)."""
        self.signals_kept = signals_kept
        self._nursery: NurseryProcess | None = nursery

    def take(self) -> NurseryProcess | None:
        """It is the caller's from now on."""
        taken, self._nursery = self._nursery, None
        return taken

    def close(self) -> None:
        """End it, if nobody took it."""
        if (left := self.take()) is not None:
            left.end()


def expects_nursery(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether these start a daemon, and nothing shows that its environment holds a secret.

    What only the settings tell is seen later, by who takes the nursery or not.
    """
    sources = (*arguments, environment.get("NETMAP_SUPERVISOR_AUTH_KEY", ""))
    return (
        arguments[:1] == ["run"]
        and not {"-h", "--help", "--demo-faults"}.intersection(arguments)
        and not any("env:" in source for source in sources)
        and not any("@" in environment.get(name, "") for name in PROXIES)
        # Of an unknown one protobuf cannot be loaded, and the command line says so.
        and "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" not in environment
    )


def fork_first(arguments: Sequence[str], environment: Mapping[str, str]) -> FirstNursery | None:
    """Fork one from this process, which has read nothing yet: it loads while this one does.

    None where there need not or cannot be one: then it is started by exec, once its environment is known to hold no
    secret.
    """
    if not expects_nursery(arguments, environment) or None in {sys.stdin, sys.stdout, sys.stderr}:
        return None
    for name in BOTH_LOAD:
        importlib.import_module(name)
    try:
        # What a process cannot be without; the command line says what is missing.
        Path(os.devnull).stat()
        if len([*Path("/proc/self/task").iterdir()]) > 1:
            return None
        confinement.forbid_new_privileges()
        # Together with the nursery: the Supervisor's own rule, which comes later, would keep it from its children.
        signals_kept = landlock.keep_signals()
        return FirstNursery(_fork(environment_for(ROLE, environment)), signals_kept=signals_kept)
    except OSError:
        return None


def _fork(kept: Mapping[str, str]) -> NurseryProcess:
    """`kept`: the environment it is left with. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Where our starter ignored it, the kernel would reap a nursery that ends soon and keep its status (waitpid(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def fork(theirs: socket.socket, log_fd: int) -> Started:
        parent_pid = os.getpid()
        keep_shared()
        pid = os.fork()
        if pid == 0:
            try:
                wipe_all(kept)
                # Only here, where this is the Supervisor no more: that never loads the code of an actor.
                importlib.import_module(_FORKING).begin(theirs, log_fd, parent_pid)
            finally:
                os._exit(1)
        return Started(pid)

    return _nursery(fork)


def execute_nursery(rooms: Rooms, environment: Mapping[str, str]) -> NurseryProcess:
    """Start one by exec. Raises OSError."""
    started = _nursery(
        lambda theirs, log_fd: execute(Execution(ROLE, environment, [theirs.fileno()], log_fd))
    )
    started.tell(rooms)
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
