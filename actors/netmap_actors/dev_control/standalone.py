"""Runs a control server by itself: in a thread for tests, or as a command until a signal.

Not here: its commands (`commands`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import logging
import resource
import signal
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from netmap_actors.bus.loop import Loop
from netmap_actors.dev_control.assembly import Setup, assemble, bind, url_of
from netmap_actors.dev_control.http.server import MAX_CLIENTS
from netmap_actors.dev_control.http.state import Options
from netmap_actors.dev_control.operator.command_socket import CommandSocket, SocketInUse
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.errors import ConfigurationError
from netmap_actors.runtime_paths import dev_control_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from netmap_actors.dev_control.http.server import ControlServer
    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.http.tls_files import TlsSetup
    from netmap_actors.dev_control.operator.listings import ClientView, NodeView
    from netmap_actors.protocol.keys import MachineKey

__all__ = ["Announcement", "RunningServer", "ServerFailed", "make_options", "running_server", "serve"]

_T = TypeVar("_T")

_CALL_LIMIT = 30.0
"""Seconds a call into the loop's thread may take."""
_HEADSCALE_JITTER = 9.0 / 50.0
_OTHER_FILES = 64
"""Open files of a server beside its connections."""


class ServerFailed(RuntimeError):
    """The server's thread has ended by a defect of its own."""


class ServerUrls(NamedTuple):
    """Where clients reach a server; the same words as in Announcement."""

    url: str
    plain_url: str
    ca_file: str = ""


class Announcement:
    """Where a server can be reached, and the key that lets in. The key is for the caller only."""

    def __init__(self, reached: ServerUrls, auth_key: str, server_key: MachineKey) -> None:
        self.socket_path: Path | None = None
        """Where commands are taken; None: nowhere."""
        self.url = reached.url
        """Control URL of a client: https:// where there is TLS."""
        self.plain_url = reached.plain_url
        """The same server without TLS."""
        self.ca_file = reached.ca_file
        """Path of the CA's certificate that a client has to trust; empty: of none that is ours."""
        self.auth_key = auth_key
        self.server_key = server_key

    def __repr__(self) -> str:
        return f"Announcement({self.url!r})"


class RunningServer(Announcement):
    """A server whose loop runs in a thread of its own. Every method may be called from any other thread."""

    def __init__(self, loop: Loop, server: ControlServer, reached: ServerUrls, auth_key: str) -> None:
        super().__init__(reached, auth_key, server.control.identity.public())
        self._loop = loop
        self._server = server
        self._commands = Commands(server, loop.now)
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._failure: BaseException | None = None
        self.stopped = threading.Event()

    @property
    def port(self) -> int:
        return self._server.address[1]

    @property
    def tls_port(self) -> int | None:
        """The one with TLS."""
        return next((port for _, port in self._server.addresses[1:]), None)

    def call(self, function: Callable[[Commands], _T]) -> _T:
        """Run `function(commands)` in the loop's thread and give back what it returns or raises.

        `server.call(lambda it: it.set_tags("web-3", ["tag:web"]))`. Raises ServerFailed when that thread has ended.
        """
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function(self._commands))
            except BaseException as error:  # noqa: BLE001  # it belongs to the thread that called
                future.set_exception(error)

        self._waiting.add(future)
        try:
            self._loop.call_soon(run)
            if self._failure is not None:
                raise _failed(self._failure)
            return future.result(_CALL_LIMIT)
        finally:
            self._waiting.discard(future)

    def serve(self) -> None:
        """The loop's thread, until `stop`. Pending calls raise ServerFailed if it fails."""
        try:
            self._loop.run(self.stopped.is_set)
        except BaseException as error:
            self._failure = error
            for future in [*self._waiting]:
                if not future.done():
                    future.set_exception(_failed(error))
            raise  # threading shows it, pytest reports it

    @property
    def tailnet(self) -> Edits:
        """Edits of the tailnet: add_node, remove_node, set_online, set_tags, set_routes, rename, expire, …"""
        return Edits(self)

    def fault(self, name: str, **given: Any) -> int:
        """Inject a fault (see `faults.FAULTS`); into how many connections at once. Raises BadFault."""
        return self.call(lambda it: it.fault(name, **given))

    def heal(self, client: str = "", fault: str = "") -> int:
        """No more faults, or none for this client, or not this one; 0: there was none to heal."""
        return self.call(lambda it: it.heal(client, fault))

    def clients(self) -> list[ClientView]:
        """Who is connected."""
        return self.call(lambda it: it.clients())

    def seen(self, kind: str = "") -> list[Seen]:
        """What clients did so far; of one kind (register, map, …) if given."""
        return self.call(lambda it: it.seen(kind))

    def nodes(self) -> list[NodeView]:
        return self.call(lambda it: it.nodes())

    def drop_all(self, *, reset: bool = True) -> int:
        """Close every connection; how many there were."""
        return self.call(lambda it: it.drop_all(reset))

    def raw(self, json: str | Mapping[str, Any], client: str = "") -> int:
        """Send a MapResponse of your own; to how many streams it went."""
        return self.call(lambda it: it.raw(json, client))

    def stop(self) -> None:
        """Make the thread end; does not wait for it."""
        self._loop.call_soon(self.stopped.set)


class Edits:
    """Edits of a running server's tailnet, each done in its loop's thread and distributed to its clients."""

    def __init__(self, server: RunningServer) -> None:
        self._call = server.call

    def add_node(self, name: str, **fields: Any) -> NodeView:
        return self._call(lambda it: it.add_node(name, **fields))

    def remove_node(self, node: str | int, *, end_stream: bool = False) -> NodeView:
        return self._call(lambda it: it.remove_node(node, end_stream))

    def set_online(self, node: str | int, online: bool = True) -> NodeView:
        return self._call(lambda it: it.set_online(node, online))

    def set_tags(self, node: str | int, tags: list[str]) -> NodeView:
        return self._call(lambda it: it.set_tags(node, tags))

    def set_routes(self, node: str | int, routes: list[str]) -> NodeView:
        return self._call(lambda it: it.set_routes(node, routes))

    def set_endpoints(self, node: str | int, endpoints: list[str]) -> NodeView:
        return self._call(lambda it: it.set_endpoints(node, endpoints))

    def rename(self, node: str | int, name: str) -> NodeView:
        return self._call(lambda it: it.rename(node, name))

    def expire(self, node: str | int, in_seconds: float = 0.0) -> NodeView:
        return self._call(lambda it: it.expire(node, in_seconds))

    def authorize(self, node: str | int, authorized: bool = True) -> NodeView:
        return self._call(lambda it: it.authorize(node, authorized))

    def set_policy(self, policy: dict[str, Any] | None = None) -> list[str]:
        """Who sees whom, as in a policy file; the parts that are ignored. None: everybody sees everybody."""
        return self._call(lambda it: it.set_policy(policy))

    def churn(self, count: int = 1) -> None:
        """Make so many random changes at once."""
        self._call(lambda it: it.churn(count))


def make_options(keep_alive: float = 50.0, keep_alive_jitter: float | None = None, **given: Any) -> Options:
    """Options with the jitter in headscale's proportion to the keep-alive, unless it is given."""
    jitter = keep_alive * _HEADSCALE_JITTER if keep_alive_jitter is None else keep_alive_jitter
    return Options(keep_alive=keep_alive, keep_alive_jitter=jitter, **given)


@contextlib.contextmanager
def running_server(
    setup: Setup | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: TlsSetup | None = None,
    name: str = "",
    log: Callable[..., object] | None = None,
    options: Options | None = None,
    **given: Any,
) -> Iterator[RunningServer]:
    """A control server in a thread, ended on leaving.

    `tls`: where it listens with TLS, too; `name`: host in its URLs and its certificate; empty: where it listens.
    `given`: fields of Setup (nodes, seed, churn, state_dir, auth_key, …) and of Options (keep_alive,
    offline_grace, …). By default no simulated nodes and no churn, so that a test sees only its own
    changes.
    """
    names = set(Options.__struct_fields__)
    of_options = {name: given.pop(name) for name in names & given.keys()}
    behaviour = options or make_options(**of_options)
    chosen = setup or Setup(**{"nodes": 0, "churn": 0.0, **given, "options": behaviour})
    with contextlib.ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)
        server, reached, auth_key = stack.enter_context(
            _listening(loop, (host, port), tls, name, chosen, log or _log_defects)
        )
        running = RunningServer(loop, server, reached, auth_key)
        thread = threading.Thread(target=running.serve, name="dev-control", daemon=True)
        thread.start()
        try:
            yield running
        finally:
            running.stop()
            thread.join(_CALL_LIMIT)


def serve(
    host: str,
    port: int,
    setup: Setup,
    *,
    announce: Callable[[Announcement], object],
    log: Callable[..., object] | None = None,
    socket_path: Path | None = None,
    tls: TlsSetup | None = None,
    name: str = "",
    once: bool = False,
) -> None:
    """Run a control server in the main thread until SIGINT, SIGTERM or the SIGHUP of a terminal that is closed.

    `announce` is called once it listens. `log(event, **fields)`. `socket_path`: where commands are taken; None: where
    they are looked for, if that can be. `tls`, `name`: see `running_server`. `once`: until a recording was played, too.
    Raises ConfigurationError.
    """
    log = log or _log_defects
    _allow_files(log)
    loop = Loop()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1)
            signal.signal(number, lambda *_: loop.call_soon(stopped.set))
    try:

        def on_replayed() -> None:
            if once:
                loop.call_soon(stopped.set)

        with _listening(loop, (host, port), tls, name, setup, log, on_replayed) as (
            server,
            reached,
            auth_key,
        ):
            commands = _open_commands(socket_path, server, loop, log)
            try:
                announcement = Announcement(reached, auth_key, server.control.identity.public())
                announcement.socket_path = None if commands is None else commands.path
                announce(announcement)
                loop.run(stopped.is_set)
            finally:
                if commands is not None:
                    commands.close()
    finally:
        loop.close()


@contextlib.contextmanager
def _listening(
    loop: Loop,
    place: tuple[str, int],
    tls: TlsSetup | None,
    name: str,
    setup: Setup,
    log: Callable[..., object],
    on_replayed: Callable[[], object] = lambda: None,
) -> Iterator[tuple[ControlServer, ServerUrls, str]]:
    """The server, where it is reached and its auth key; closed on leaving. Raises ConfigurationError."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(bind(*place)))
        plain_url = url = url_of(listener, "http", name)
        secure: socket.socket | None = None
        if tls is not None:
            secure = stack.enter_context(contextlib.closing(bind(tls.host, tls.port, "--tls-listen")))
            url = url_of(secure, "https", name)
        setup = msgspec.structs.replace(setup, url=setup.url or url)
        server, url, auth_key = assemble(loop, listener, setup, log, on_replayed)
        stack.callback(server.close)
        reached = ServerUrls(url, plain_url)
        if tls is not None and secure is not None:
            # Loaded here: a server without TLS, as that of `run --dev`, is 6 MiB smaller.
            from netmap_actors.dev_control.http.tls_files import tls_identity  # noqa: PLC0415
            from netmap_actors.transport.tls_server import TlsLayer  # noqa: PLC0415

            now = datetime.datetime.fromtimestamp(loop.clock.wall(), datetime.UTC)
            context, ca_file = stack.enter_context(tls_identity(tls, name, setup.state_dir, now))
            server.listen(secure, lambda: TlsLayer(context))
            reached = reached._replace(ca_file=ca_file)
        yield server, reached, auth_key


def _open_commands(
    path: Path | None, server: ControlServer, loop: Loop, log: Callable[..., object]
) -> CommandSocket | None:
    """The requested socket, else the usual one, else one with this server's port in its name.

    Raises ConfigurationError for the requested one only.
    """
    commands = Commands(server, loop.now)
    if path is not None:
        return CommandSocket(path, commands, loop)
    usual = dev_control_socket()
    try:
        try:
            return CommandSocket(usual, commands, loop)
        except SocketInUse:
            return CommandSocket(usual.with_stem(f"{usual.stem}-{server.address[1]}"), commands, loop)
    except ConfigurationError as error:
        log("no_command_socket", detail=str(error))
        return None


def _allow_files(log: Callable[..., object]) -> None:
    """Have as many open files as connections may need, or say how many clients there is room for."""
    wanted = MAX_CLIENTS + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log(
            "few_files_allowed",
            allowed=allowed,
            wanted=wanted,
            room_for_clients=max(0, allowed - _OTHER_FILES),
        )


def _failed(error: BaseException) -> ServerFailed:
    failed = ServerFailed(
        f"cannot ask the control server: its thread has ended with {type(error).__name__}: {error}"
    )
    failed.__cause__ = error
    return failed


def _log_defects(event: str, **fields: object) -> None:
    """Log defects only: they must not look like faults."""
    if event == "connection_failed":
        logging.getLogger(__name__).error("%s %s", event, fields)
