"""Which daemon a command follows: one of this machine by its directory, or one elsewhere by --connect."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netmap_actors.errors import NetmapError, escape
from netmap_actors.runtime_paths import leaves_this_machine, remote_endpoints
from netmap_actors.subscriber import Subscriber
from netmap_supervisor.admin.commands import (
    CommandFailed,
    is_running,
    require_allowed,
    require_running,
    status_or_none,
    unreadable,
)
from netmap_supervisor.cli.process.reachability import Reachability
from netmap_supervisor.config import layers
from netmap_supervisor.system.single_instance import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.wire.status import StatusReport

__all__ = [
    "FollowedDaemon",
    "LocalDaemon",
    "RemoteDaemon",
    "daemon_flags",
    "daemon_of",
    "daemon_of_completion",
]

_F = TypeVar("_F", bound="Callable[..., Any]")

_IPC = "ipc://"
_SOCKETS = ("updates.sock", "requests.sock")
_UNHEARD = "no daemon was heard in {}; start one with `netmap-supervisor run`, or name its directory with --runtime-dir"
_UNHEARD_THOUGH_THERE = (
    "nothing was heard of the daemon of {} in that time; give it more, or see `netmap-supervisor status`"
)
_NOT_LET_IN = (
    "somebody listens there and does not let us in: over there `netmap-supervisor keys server` prints the key for "
    "--server-key, `keys allow NAME KEY` lets yours in, and the log has subscriber_refused with the reason"
)
_WANTS_KEYS = "somebody listens there and says nothing to us: it may want keys (--key-file and --server-key)"
_PROBE_PATIENCE = 5.0
_COMPLETION_PATIENCE = 1.0
"""Seconds."""


class LocalDaemon:
    """The one that keeps its sockets in this runtime directory."""

    remote = False
    ask_status = "`netmap-supervisor status` says what is missing"

    def __init__(self, runtime_dir: Path) -> None:
        self.runtime_dir = runtime_dir
        self.where = f"runtime directory {runtime_dir}"

    def subscriber(self) -> Subscriber:
        """One that follows it."""
        return Subscriber(self.runtime_dir)

    def require_allowed(self) -> None:
        """Raises CommandFailed where we may not subscribe."""
        require_allowed(self.runtime_dir)

    def require_running(self) -> None:
        """Raises NotRunning where none runs."""
        require_running(self.runtime_dir)

    def alone(self) -> str | None:
        """That there is no daemon yet; None if there may be one."""
        if is_running(self.runtime_dir):
            return None
        return f"no daemon is running in {self.runtime_dir} yet: waiting for one (`netmap-supervisor run` starts it)"

    def ask(self) -> StatusReport | str | None:
        """Its status; None if it does not answer."""
        return status_or_none(self.runtime_dir)

    def reached(self, _patience: float) -> bool:
        """Whether a connection is taken within so many seconds; here it is not tried."""
        return True

    def why_unheard(self) -> str:
        """Why nothing was heard of it, and what to do."""
        unheard = _UNHEARD_THOUGH_THERE if is_locked(self.runtime_dir) else _UNHEARD
        return unreadable(self.runtime_dir) or unheard.format(self.runtime_dir)


class RemoteDaemon:
    """The one behind --connect. What only its own machine can tell is not asked for."""

    remote = True
    ask_status = "`netmap-supervisor status` over there says what is missing"

    def __init__(self, endpoint: str, key_file: str | None, server_key: str | None) -> None:
        """Raises click.BadParameter for what is no endpoint, CommandFailed for missing keys."""
        self._endpoint = endpoint
        self._key_file = key_file
        self._server_key = server_key
        self._ipc = endpoint.startswith(_IPC)
        self._endpoints = _endpoints(endpoint)
        self.where = escape(endpoint)
        keyed = bool(key_file) and bool(server_key)
        if self._ipc and (key_file or server_key):
            raise CommandFailed(f"cannot follow {self.where} with keys: sockets of this machine have none")
        if not keyed and leaves_this_machine(endpoint):
            raise CommandFailed(
                f"cannot follow {self.where} in clear: who is on the way could read and change the netmap; give both "
                "--key-file, which `netmap-supervisor keys generate FILE` writes here, and --server-key, which "
                "`netmap-supervisor keys server` prints over there"
            )
        self._unheard = _NOT_LET_IN if keyed else _WANTS_KEYS
        self._reachability = Reachability(self._endpoints)

    def subscriber(self) -> Subscriber:
        """One that follows it. Raises ConfigurationError for keys that are none."""
        if self._ipc:
            return Subscriber(endpoint=self._endpoints)
        return Subscriber.remote(self._endpoint, key_file=self._key_file, server_key=self._server_key or "")

    def require_allowed(self) -> None:
        """Raises ConfigurationError for keys that are none."""
        self.subscriber().close()

    def require_running(self) -> None:
        """The same: whether it runs shows when it answers."""
        self.require_allowed()

    def alone(self) -> str | None:
        """None: whether there is one shows when it answers."""
        return None

    def ask(self) -> StatusReport | str | None:
        """What is waited for; its status is not to be had from here."""
        return self._why(0.0)

    def reached(self, patience: float) -> bool:
        """Whether a connection is taken within so many seconds."""
        return self._ipc or self._reachability.why(str, patience=patience) == ""

    def why_unheard(self) -> str:
        """Why nothing was heard of it, and what to do."""
        return f"nobody answered at {self.where}: {self._why(_PROBE_PATIENCE)}"

    def _why(self, patience: float) -> str:
        if not self._ipc:
            return self._reachability.why(lambda: self._unheard, patience=patience)
        missing = [one for one in self._endpoints if not Path(one.removeprefix(_IPC)).exists()]
        return f"there is no socket {escape(missing[0].removeprefix(_IPC))}" if missing else "an answer"


FollowedDaemon = LocalDaemon | RemoteDaemon


def _endpoints(endpoint: str) -> tuple[str, str]:
    if endpoint.startswith(_IPC):
        directory = endpoint.removeprefix(_IPC).removesuffix(_SOCKETS[0]).rstrip("/")
        if not directory.startswith("/"):
            raise click.BadParameter(
                f"{escape(endpoint)!r} names no directory: ipc:///DIRECTORY with {' and '.join(_SOCKETS)} in it "
                "is expected",
                param_hint="--connect",
            )
        return f"{_IPC}{directory}/{_SOCKETS[0]}", f"{_IPC}{directory}/{_SOCKETS[1]}"
    try:
        return remote_endpoints(endpoint)
    except ValueError as error:
        raise click.BadParameter(escape(str(error)), param_hint="--connect") from None


def daemon_of(
    runtime_dir: str | None, connect: str | None, key_file: str | None, server_key: str | None
) -> FollowedDaemon:
    """What these options mean together. Raises click.UsageError, CommandFailed."""
    if connect is None:
        if key_file is not None or server_key is not None:
            raise click.UsageError(
                "--key-file and --server-key are for a daemon on another machine: name it with --connect"
            )
        return LocalDaemon(layers.runtime_dir(runtime_dir, os.environ))
    if runtime_dir is not None:
        raise click.UsageError(
            "--runtime-dir names a daemon of this machine and --connect one elsewhere: give one of them"
        )
    return RemoteDaemon(connect, key_file, server_key)


def daemon_flags(function: _F) -> _F:
    """--runtime-dir, --connect and its keys; the command gets them as `daemon`."""

    @click.option(
        "--runtime-dir",
        "runtime_dir",
        metavar="DIR",
        help="Runtime directory of the daemon.  [env: NETMAP_SUPERVISOR_RUNTIME_DIR]",
    )
    @click.option(
        "--connect",
        metavar="ENDPOINT",
        help="Follow a daemon elsewhere: tcp://HOST:PORT as in its --listen, with the two keys below, or "
        "ipc:///DIRECTORY with its sockets.",
    )
    @click.option(
        "--key-file", metavar="FILE", help="Our key for --connect: what `keys generate FILE` wrote here."
    )
    @click.option(
        "--server-key",
        metavar="KEY",
        help="Key of the daemon for --connect: what `keys server` prints there.",
    )
    @functools.wraps(function)
    def wrapped(
        *arguments: Any,
        runtime_dir: str | None,
        connect: str | None,
        key_file: str | None,
        server_key: str | None,
        **others: Any,
    ) -> Any:
        daemon = daemon_of(runtime_dir, connect, key_file, server_key)
        return function(*arguments, daemon=daemon, **others)

    return wrapped  # type: ignore[return-value]


def daemon_of_completion(ctx: click.Context) -> FollowedDaemon | None:
    """The one that a half-typed command names; None if it cannot be reached at once."""
    names = ("runtime_dir", "connect", "key_file", "server_key")
    given = {name: None if (value := ctx.params.get(name)) is None else str(value) for name in names}
    try:
        daemon = daemon_of(**given)
    except (NetmapError, click.UsageError):
        return None
    # ZeroMQ looks a name up for as long as that takes, and nothing could end it meanwhile.
    return daemon if daemon.reached(_COMPLETION_PATIENCE) else None
