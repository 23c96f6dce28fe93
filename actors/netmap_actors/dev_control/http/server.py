"""The sockets of the control server: accepts, reads, writes, waits in the loop it is given.

Not here: any rule. Bytes go to and come from a `ClientConnection`.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.bus.acceptor import OWN_FILES, Acceptor
from netmap_actors.dev_control.faults.catalogue import Scope
from netmap_actors.dev_control.http import lost_packets
from netmap_actors.dev_control.http.connection import ClientConnection
from netmap_actors.dev_control.http.link import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.bus.admission import Origin
    from netmap_actors.bus.loop import Deadline, Loop
    from netmap_actors.dev_control.faults.catalogue import Fault
    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.dev_control.tailnet.churn import Churn
    from netmap_actors.transport.tls_server import TlsLayer

__all__ = ["MAX_CLIENTS", "ControlServer"]

MAX_CLIENTS = 4096
"""Connections at once; with more, the peer that holds most loses one."""
_READ = 256 << 10
_READS_PER_TURN = 4
_PERSIST_DELAY = 1.0
"""Seconds until a change of a registered node is on disk, unless an answer depends on it."""
_RESET = struct.pack("ii", 1, 0)
_MAX_FAILURES_TOLD = 32


class _Client:
    """A connection with its socket."""

    __slots__ = (
        "close",
        "connection",
        "cut_off",
        "out",
        "shut",
        "sock",
        "timer",
        "tls",
        "told_waits",
        "writing",
    )

    def __init__(
        self,
        connection: ClientConnection,
        sock: socket.socket,
        tls: TlsLayer | None,
        close: Callable[[], None],
        timer: Deadline,
    ) -> None:
        self.close = close
        self.tls = tls
        self.connection = connection
        self.sock = sock
        self.out = memoryview(b"")
        self.writing = False
        self.cut_off = False
        """The kernel drops what comes."""
        self.shut = False
        """Our side is closed; what still comes is thrown away."""
        self.timer = timer
        self.told_waits = True

    @property
    def waits(self) -> bool:
        """It is the client's turn: to ask, to take what is there for it, or to close."""
        return bool(self.out) or self.connection.waits


class ControlServer:
    """A listening socket, or one without and one with TLS, and their connections."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        control: Control,
        churn: Churn,
        *,
        log: Callable[..., object],
        save: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        """`log(event, **fields)`; `save` writes the state; `release`, called last, closes the rest."""
        self.control = control
        self.churn = churn
        self.connections: dict[int, ClientConnection] = {}
        self._loop = loop
        self._listeners = [listener]
        self._log = log
        self._save = save
        self._release = release
        self._clients: dict[int, _Client] = {}
        self._numbers = 0
        self._batch = loop.deadline(self._distribute)
        self._life = loop.deadline(self._on_life)
        self._saving = loop.deadline(self._save)
        self._closed = False
        self._failures_told: set[str] = set()
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._acceptor: Acceptor[_Client] = Acceptor(
            loop,
            listener,
            capacity=max(1, min(MAX_CLIENTS, allowed - OWN_FILES)),
            welcome=self._welcome,
        )
        control.on_login = self._on_login
        control.persist = self._save_now
        self._arm_life()

    @property
    def refused(self) -> int:
        """Connections closed because there were too many."""
        return self._acceptor.sent_away

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on, without TLS."""
        return self.addresses[0]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The same, and behind it those with TLS."""
        return [listener.getsockname()[:2] for listener in self._listeners]

    def listen(self, listener: socket.socket, secure: Callable[[], TlsLayer]) -> None:
        """Accept from this socket too, which is ours to close from now on; `secure` makes the TLS of a connection."""
        self._listeners.append(listener)
        self._acceptor.open(listener, lambda sock, _: self._let_in(sock, secure()))

    def changed(self) -> None:
        """Call after an edit of the tailnet from outside: clients get it within the batch delay."""
        if self._batch.when is None and not self._closed:
            self._batch.set(self._loop.now() + self.control.options.batch_delay)
        self._flush_touched()
        self._arm_life()

    def inject(self, fault: Fault) -> int:
        """Inject a fault now, plan it for later, or both; into how many connections it was injected now."""
        injected = 0
        if fault.scope is not Scope.LATER:
            now = self._loop.now()
            for connection in list(self.connections.values()):
                if fault.client and fault.client not in connection.link.names():
                    continue
                if fault.times is not None and injected >= fault.times:
                    break
                injected += connection.api.inject(fault, now)
                connection.link.touch()
        if fault.times is not None:
            fault.times -= injected
        if fault.scope is not Scope.CURRENT and fault.times != 0:
            self.control.plan.add(fault)
        self.changed()
        return injected

    def heal(self, client: str = "", fault: str = "") -> int:
        """No more faults, and an end to those that can end; how many faults or connections there were to heal.

        For one client alone: what is meant for everybody still waits, for that client too. For one fault alone: who
        is under it is healed altogether.
        """
        now = self._loop.now()
        chosen = [one for one in self.connections.values() if not client or client in one.link.names()]
        names = frozenset({client}.union(*(one.link.names() for one in chosen)))
        given_up = self.control.plan.heal(names if client else None, fault)
        if given_up:
            self.control.note(now, 0, "", "heal", f"{given_up} planned fault{'s' * (given_up > 1)}")
        if fault:
            chosen = [one for one in chosen if one.injector.has_injected(fault)]
        for connection in chosen:
            connection.api.heal(now)
        self.changed()
        return given_up + len(chosen)

    def drop_all(self, *, reset: bool = True) -> int:
        """Close every connection, by TCP reset or in good order; returns how many there were."""
        count = len(self.connections)
        for connection in list(self.connections.values()):
            connection.link.end(Ending.RESET if reset else Ending.FLUSH, "dropped")
        self._flush_touched()
        return count

    def close(self) -> None:
        """Stop listening and close everything; the loop stays."""
        self._closed = True
        self._acceptor.close()
        for listener in self._listeners:
            listener.close()
        for timer in (self._batch, self._life, self._saving):
            timer.set(None)
        for client in list(self._clients.values()):
            self._drop(client, reset=False)
        self._save()
        self._release()

    # Connections

    def _welcome(self, sock: socket.socket, _: Origin) -> _Client | None:
        return self._let_in(sock, None)

    def _let_in(self, sock: socket.socket, tls: TlsLayer | None) -> _Client | None:
        try:
            host, port, *_more = sock.getpeername()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()  # it has gone already
            return None
        self._numbers += 1
        connection = ClientConnection(self.control, self._numbers, f"{host}:{port}", self._loop.now())
        client = _Client(
            connection,
            sock,
            tls,
            lambda: self._drop(client, reset=True, why="others need the place"),
            self._loop.deadline(lambda: self._on_deadline(client)),
        )
        self._clients[connection.link.number] = client
        self.connections[connection.link.number] = connection
        self._loop.watch(sock.fileno(), lambda: self._on_ready(client))
        connection.link.touch()
        self._flush_touched()
        return client if connection.link.number in self._clients else None

    def _on_ready(self, client: _Client) -> None:
        with self._sparing_others(client):
            self._read(client)
        client.connection.link.touch()
        self._turn_over()

    def _read(self, client: _Client) -> None:
        connection = client.connection
        for _ in range(_READS_PER_TURN):
            try:
                data = client.sock.recv(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop(client, reset=True, why=error.strerror or "")
                return
            if not data:
                if client.tls is not None and not client.tls.established:
                    connection.link.end(Ending.FLUSH, "the client closed within the TLS handshake")
                connection.eof(self._loop.now())
                if client.shut or connection.injector.mute:
                    self._drop(client, reset=False)
                return
            if client.tls is None:
                connection.receive(data, self._loop.now())
            else:
                self._decrypt(client, client.tls, data)
            if len(data) < _READ:
                return

    def _decrypt(self, client: _Client, tls: TlsLayer, data: bytes) -> None:
        connection, established = client.connection, tls.established
        plain = tls.receive(data)
        if tls.established and not established:
            connection.link.note(self._loop.now(), "tls", tls.version)
        if plain:
            connection.receive(plain, self._loop.now())
        if tls.failure and connection.link.ending is None:
            self._tell_failure(connection, tls.failure)
            connection.link.end(Ending.FLUSH, f"TLS: {tls.failure}")
        elif tls.ended:
            connection.eof(self._loop.now())

    def _tell_failure(self, connection: ClientConnection, why: str) -> None:
        """Each reason once, as a client that fails tries again and again."""
        if why not in self._failures_told and len(self._failures_told) < _MAX_FAILURES_TOLD:
            self._failures_told.add(why)
            self._log("tls_failed", client=connection.link.remote, detail=why)

    def _outgoing(self, client: _Client) -> bytes:
        """The next bytes for the socket."""
        connection, tls = client.connection, client.tls
        if tls is None:
            return connection.data_to_send()
        data = connection.data_to_send() if tls.established else b""
        # A connection that is cut inside a record ends without a close_notify.
        if not data and connection.link.ending is Ending.FLUSH and not connection.link.spoilt:
            tls.close()
        return tls.send(data)

    def _flush(self, client: _Client) -> None:
        connection = client.connection
        if connection.link.ending is Ending.RESET:
            self._drop(client, reset=True)
            return
        if connection.injector.cut_off or client.cut_off:
            self._cut_off(client, connection.injector.cut_off)
        if client.cut_off:
            self._arm(client)
            return
        while not client.shut:
            if not client.out:
                client.out = memoryview(self._outgoing(client))
                if not client.out:
                    break
            try:
                sent = client.sock.send(client.out)
            except BlockingIOError:
                self._want_write(client, True)
                self._arm(client)
                return
            except OSError as error:
                self._drop(client, reset=True, why=error.strerror or "")
                return
            client.out = client.out[sent:]
            self._tell_progress(client)
        self._want_write(client, False)
        if connection.link.ending is Ending.FLUSH and not client.shut:
            # Our FIN goes out behind everything; closing at once could answer unread bytes with a reset.
            client.shut = True
            connection.closed(self._loop.now(), connection.link.why)
            if connection.link.why == "the client closed":
                self._drop(client, reset=False)
                return
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
        self._arm(client)

    def _cut_off(self, client: _Client, cut_off: bool) -> None:
        """Drop the packets of this connection, or let them pass again."""
        if client.cut_off == cut_off:
            return
        try:
            (lost_packets.lose if cut_off else lost_packets.let_in)(client.sock)
        except OSError as error:
            # The connection is mute all the same.
            self._log("packets_not_lost", detail=error.strerror)
        client.cut_off = cut_off
        self._want_write(client, False)

    def _want_write(self, client: _Client, write: bool) -> None:
        if client.writing != write:
            client.writing = write
            self._loop.watch(client.sock.fileno(), lambda: self._on_ready(client), write=write)

    def _drop(self, client: _Client, *, reset: bool, why: str = "") -> None:
        number = client.connection.link.number
        if self._clients.pop(number, None) is None:
            return
        del self.connections[number]
        self._acceptor.left(client)
        now = self._loop.now()
        client.connection.closed(now, why or "closed")
        self.control.note(now, number, client.connection.link.remote, "end", client.connection.link.why)
        self._loop.unwatch(client.sock.fileno())
        client.timer.set(None)
        if reset:
            with contextlib.suppress(OSError):
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.sock.close()

    @contextlib.contextmanager
    def _sparing_others(self, client: _Client) -> Iterator[None]:
        """A defect of ours in serving one client closes its connection only."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # logged below
            where = traceback.extract_tb(error.__traceback__)[-4:]
            self._log(
                "connection_failed",
                connection=client.connection.link.number,
                error=type(error).__name__,
                detail=str(error)[:400],
                where=[f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in where],
            )
            client.connection.injector.mute = True  # nothing is asked of it any more
            self._drop(client, reset=True, why=f"a defect of this server: {type(error).__name__}")

    # Turns

    def _turn_over(self) -> None:
        """After any event: plan the distribution of changes, write what is ready."""
        if self.control.tailnet.changed:
            self.changed()
        else:
            self._flush_touched()
            self._arm_life()

    def _flush_touched(self) -> None:
        touched = self.control.touched
        while touched:
            client = self._clients.get(next(iter(touched)))
            touched.pop(next(iter(touched)))
            if client is not None:
                with self._sparing_others(client):
                    self._flush(client)
                if client.waits != client.told_waits:
                    self._tell_progress(client)

    def _tell_progress(self, client: _Client) -> None:
        client.told_waits = client.waits
        self._acceptor.moved(client, waits=client.told_waits)

    def _distribute(self) -> None:
        if self.control.distribute(self._loop.now()) and self._saving.when is None:
            self._saving.set(self._loop.now() + _PERSIST_DELAY)
        self._flush_touched()

    def _arm(self, client: _Client) -> None:
        """The timer fires early rather than being moved with each message."""
        deadline, armed = client.connection.deadline(), client.timer.when
        if deadline is not None and (armed is None or deadline < armed):
            client.timer.set(deadline)

    def _on_deadline(self, client: _Client) -> None:
        with self._sparing_others(client):
            client.connection.expire(self._loop.now())
        client.connection.link.touch()
        self._turn_over()

    def _arm_life(self) -> None:
        times = (self._life.when, self.churn.deadline(), self.control.deadline(self._loop.now()))
        if not self._closed:
            self._life.set(min((at for at in times if at is not None), default=None))

    def _on_life(self) -> None:
        now = self._loop.now()
        self.churn.expire(now, self.control.wall())
        self.control.expire(now)
        self._turn_over()

    def _on_login(self, login_id: str) -> None:
        for connection in list(self.connections.values()):
            connection.api.login_done(login_id, self._loop.now())

    # State

    def _save_now(self) -> None:
        self._saving.set(None)
        self._save()
