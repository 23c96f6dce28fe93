"""The HTTP endpoint actor: a subscriber that serves HTTP. Its death costs its clients their connections only."""

from __future__ import annotations

import os
import resource
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.boot import HttpSettings, decode_settings
from netmap_actors.bus.acceptor import OWN_FILES, Acceptor
from netmap_actors.bus.admission import Admission
from netmap_actors.bus.socket_files import is_free
from netmap_actors.confinement.permissions import HTTP_CLIENTS
from netmap_actors.errors import escape
from netmap_actors.exit_reason import ExitReason
from netmap_actors.http_endpoint import event_stream, metrics, pages
from netmap_actors.http_endpoint.access import Access, Asker
from netmap_actors.http_endpoint.connection import Connection, Turns
from netmap_actors.http_endpoint.guard import FORMS, RequestRefused, is_of_page, path_of
from netmap_actors.http_endpoint.history_page import HistoryPage, question_of
from netmap_actors.http_endpoint.page_files import page_file
from netmap_actors.http_endpoint.supervisor_status import SupervisorStatus, status_page
from netmap_actors.named_files import make_private
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.process.shared_sockets import share
from netmap_actors.subscriber import AmbiguousName, EventFilter, NoSuchNode, Subscriber
from netmap_actors.subscriber.events import EVENT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.boot import Boot
    from netmap_actors.bus.admission import Origin
    from netmap_actors.http_endpoint.peer_metrics import Chosen
    from netmap_actors.http_endpoint.supervisor_status import Report
    from netmap_actors.protocol.http1_server import HttpRequest
    from netmap_actors.subscriber import Event
    from netmap_actors.wire import internal_pb2

__all__ = ["CONDITION", "HttpEndpoint"]

CONDITION = "http_endpoint"
"""Shown in status while the address cannot be listened on."""
MAX_CONNECTIONS = HTTP_CLIENTS
MAX_FOLLOWERS = 128
"""Clients that may read events at a time; the rest of MAX_CONNECTIONS is for other requests."""
BACKLOG = 512
"""With more, a client waits behind a flood; with less, it tries again after a second (tcp(7), SYN retransmission)."""
LISTEN_AGAIN = 2.0
"""Seconds between two tries to listen."""
COMMENT_INTERVAL = 15.0
LOOK_INTERVAL = 2.0
"""Seconds between two looks at the certificate, its key and the tokens."""


class _Follower(NamedTuple):
    """What a client that reads events has chosen."""

    wanted: EventFilter
    asker: Asker


class HttpEndpoint(ActorBase):
    """GET and HEAD, on an address or a unix socket."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, HttpSettings)
        endpoints = boot.endpoints
        self._subscriber = Subscriber(
            endpoint=(endpoints.updates, endpoints.requests), context=self.sockets.context, clock=self.clock
        )
        self._history = HistoryPage(self.loop, self.sockets, endpoints.history)
        self._due = self.loop.deadline(self._on_bus)
        self._listener: socket.socket | None = None
        self._acceptor: Acceptor[Connection] | None = None
        self._host = ""
        self._turns = Turns(self.loop)
        self._access = Access(self._settings, self.log, self._show, boot.secrets.sessions)
        self._followers: dict[Connection, _Follower] = {}
        self._places: Admission[Connection] = Admission(MAX_FOLLOWERS)
        """Of the clients that follow events."""
        self._scrapes: dict[tuple[str, Chosen], list[Connection]] = {}
        """Clients that wait for the metrics, by what they ask for: one status and one page for all of them."""
        self._scraping = False
        """Others are being answered."""
        self._viewers: list[Connection] = []
        """Clients that wait for the status."""
        self._status = SupervisorStatus(self.loop, self.tell_supervisor)
        self._requests = 0
        self._refused = 0
        self._failed = 0

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make the directory of the tokens; later it may not, and could not read one that is made later."""
        settings = decode_settings(boot, HttpSettings)
        if settings.token_required:
            make_private(Path(settings.tokens))

    def setup(self) -> None:
        for one in self._subscriber.sockets:
            self.loop.watch(one, self._on_bus)
        self._on_bus()
        self.loop.every(COMMENT_INTERVAL, self._comment)
        if self._access.changes:
            self._access.look(self.clock.wall())
            self.loop.every(LOOK_INTERVAL, self._look)
        self._listen()
        self.ready({"http": self._settings.listen})

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        match envelope.WhichOneof("body"):
            case "status_reply":
                self._status.answered(envelope.status_reply)
            case other:
                self.log.warning("unexpected_message", body=other)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        heartbeat.counters["http_requests"] = self._requests
        heartbeat.counters["http_requests_refused"] = self._refused
        heartbeat.counters["http_requests_failed"] = self._failed
        heartbeat.counters["http_requests_unauthorized"] = self._access.unauthorized
        heartbeat.counters["http_tls_failed"] = self._access.tls_failed
        if (expires := self._access.expires) is not None:
            heartbeat.counters["http_certificate_expires"] = expires

    def teardown(self) -> None:
        for connection in list(self._acceptor or ()):
            connection.close()
        self._stop_listening()
        self._history.close()
        for one in self._subscriber.sockets:
            self.loop.unwatch(one)
        self._subscriber.close()

    # The bus

    def _on_bus(self) -> None:
        events = self._subscriber.poll()
        for event in events:
            self._push(event)
        self._due.set(self.loop.now() + self._subscriber.due_in())

    def _push(self, event: Event) -> None:
        if not self._followers:
            return
        encoded = event_stream.encode_event(event)
        for connection, follower in list(self._followers.items()):
            try:
                if follower.wanted.passes(event):
                    connection.push(encoded)
            except AmbiguousName as error:
                self._end_events(connection, str(error))

    def _end_events(self, connection: Connection, why: str) -> None:
        del self._followers[connection]
        self._places.left(connection)
        connection.end_events(event_stream.error(why))

    def _comment(self) -> None:
        for connection in list(self._followers):
            connection.push(event_stream.COMMENT)

    # Access

    def _show(self, code: str, text: str) -> None:
        if text:
            self.degraded(code, text)
        else:
            self.healed(code)

    def _look(self) -> None:
        known = self._access.look(self.clock.wall())
        if self._access.out_of_reach:
            self.finish(
                ExitReason.NORMAL,
                "the directory of the tokens is another one: the next process is let in to it",
            )
            return
        for connection, follower in list(self._followers.items()):
            revoked = known is not None and follower.asker.token not in known
            over = self.loop.now() >= follower.asker.until
            if not (revoked or over):
                continue
            if connection.behind:
                connection.close()  # what waits for it is not for it any more
            else:
                self._end_events(
                    connection, "the token was revoked" if revoked else "the session is over: log in again"
                )

    # Listening

    def _listen(self) -> None:
        where = self._settings.listen
        if not self._access.usable:
            self._later()  # the condition says why
            return
        try:
            self._listener, self._host = _bound(where, self._settings.socket_group)
        except OSError as error:
            self.degraded(
                CONDITION, f"cannot listen on {where}: {error.strerror or error}; it is tried again"
            )
            self._later()
            return
        self.healed(CONDITION)
        self.log.info("http_endpoint_open", listen=where)
        if self._settings.token_required and not self._settings.tls_cert:
            self.log.warning("http_endpoint_plaintext", listen=where)
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._acceptor = Acceptor(
            self.loop,
            self._listener,
            capacity=max(1, min(MAX_CONNECTIONS, allowed - OWN_FILES)),
            welcome=self._welcome,
        )

    def _later(self) -> None:
        self.loop.at(self.loop.now() + LISTEN_AGAIN, self._listen_again)

    def _listen_again(self) -> None:
        """An address is asked for again. A place for a socket only a process that begins can take (`seccomp_rows`)."""
        kind, _, path = self._settings.listen.partition(":")
        if kind != "unix":
            self._listen()
        elif is_free(Path(path)):
            self.finish(ExitReason.ERROR, f"{path} is free now: the next process takes it")
        else:
            self._later()

    def _stop_listening(self) -> None:
        if self._listener is None:
            return
        if self._acceptor is not None:
            self._acceptor.close()
        self._listener.close()
        self._listener = None

    def _welcome(self, sock: socket.socket, _: Origin) -> Connection:
        connection = Connection(
            self.loop,
            self._turns,
            sock,
            self._on_request,
            self._on_end,
            self._on_error,
            self._on_progress,
            self._access.layer(),
        )
        # Most have sent their request by now: it is read ahead of new clients, or it would count as idle.
        self.loop.call_soon(connection.go_on)
        return connection

    def _on_progress(self, connection: Connection) -> None:
        if self._acceptor is not None:
            self._acceptor.moved(connection, waits=connection.waits)
        self._places.moved(connection, waits=connection.waits)

    def _on_error(self, error: Exception) -> None:
        self._failed += 1
        self.log.error("http_request_failed", error=type(error).__name__, detail=str(error)[:200])

    def _on_end(self, connection: Connection) -> None:
        self._followers.pop(connection, None)
        self._places.left(connection)
        if self._acceptor is not None:
            if connection.tls is not None and connection.tls.failure and connection in self._acceptor:
                whose = self._acceptor.whose(connection)
                self._access.handshake_failed(connection.tls.failure, whose, self.loop.now())
            self._acceptor.left(connection)

    # Answers

    def _on_request(self, connection: Connection, request: HttpRequest) -> None:
        self._requests += 1
        assert self._acceptor is not None, "this client was let in"
        whose = self._acceptor.whose(connection)
        asker = self._access.judge(request, self._host, whose, self.loop.now())
        if isinstance(asker, RequestRefused):
            self._refused += 1
            connection.answer(asker.status, pages.TEXT, f"{asker.why}\n".encode(), list(asker.headers))
            return
        path, words = path_of(request), request.target.partition("?")[2]
        if path in FORMS:
            self._give(connection, self._access.form(request, whose, self.loop.now()))
            return
        if is_of_page(path):
            self._give(connection, page_file(request, path))
            return
        try:
            if path == "/events":
                head_only = request.method == "HEAD"
                self._follow(connection, pages.Query(words).only("kind", "peer"), asker, head_only=head_only)
                return
            self._page(connection, request, path, pages.Query(words))
        except pages.BadQuery as error:
            connection.answer(400, pages.TEXT, f"{error}\n".encode())
        except NoSuchNode as error:
            connection.answer(404, pages.TEXT, f"{error}\n".encode())
        except AmbiguousName as error:
            connection.answer(409, pages.TEXT, f"{error}\n".encode())

    def _page(self, connection: Connection, request: HttpRequest, path: str, query: pages.Query) -> None:
        match path:
            case "/metrics":
                self._scrape(connection, request.header("accept") or "", pages.chosen_peers(query))
                return
            case "/status":
                query.only()
                if not self._viewers:
                    self._status.ask(self._show_status)
                self._viewers.append(connection)
                return
            case "/history":
                self._history.ask(connection, question_of(query, self.clock.wall()))
                return
            case "/healthz":
                query.only()
                page = pages.healthz(self._subscriber.store.snapshot())
            case "/sd":
                page = pages.sd(self._subscriber.store.snapshot(), query)
            case "/netmap":
                page = pages.netmap(self._subscriber.store.snapshot(), query)
            case _:
                page = pages.other(path, self._subscriber.store.snapshot(), query)
        if page.parts is not None:
            connection.answer_in_parts(page.content_type, page.parts if request.method == "GET" else iter(()))
        else:
            self._give(connection, page)

    def _give(self, connection: Connection, page: pages.Page) -> None:
        connection.answer(page.status, page.content_type, page.body, list(page.headers))

    def _follow(self, connection: Connection, query: pages.Query, asker: Asker, *, head_only: bool) -> None:
        unknown = [kind for kind in query.all("kind") if kind not in EVENT_KINDS]
        if unknown:
            known = ", ".join(sorted(EVENT_KINDS))
            raise pages.BadQuery(f"cannot use kind={escape(unknown[0], 50)}: the kinds of event are {known}")
        if "" in query.all("peer"):
            # No node has this name: a stream that stays empty would look like a quiet tailnet.
            raise pages.BadQuery(
                "cannot use peer=: a name, an address, a stable id or a node key is expected"
            )
        if head_only:
            connection.answer_in_parts(event_stream.CONTENT_TYPE, iter(()))
            return
        wanted = EventFilter(query.all("kind"), query.all("peer"))
        snapshot = self._subscriber.store.snapshot()
        if snapshot.state != "none":
            wanted.passes(snapshot)
        assert self._acceptor is not None, "this client was let in"
        victim = self._places.arrived(connection, self._acceptor.whose(connection))
        if victim is not None:
            if victim[0] is connection:
                connection.answer(
                    503, pages.TEXT, b"cannot follow: too many clients do\n", [("Retry-After", "5")]
                )
                return
            victim[0].close()
        first = event_stream.snapshot_event(snapshot) if snapshot.state != "none" else iter(())
        connection.begin_events(event_stream.CONTENT_TYPE, first, event_stream.HEADERS)
        if not connection.closed:
            self._followers[connection] = _Follower(wanted, asker)

    def _scrape(self, connection: Connection, accept: str, chosen: Chosen) -> None:
        if not self._scrapes and not self._scraping:
            self._status.ask(self._scraped)
        self._scrapes.setdefault((accept, chosen), []).append(connection)

    def _show_status(self, report: Report) -> None:
        waiting, self._viewers = self._viewers, []
        page = status_page(report)
        for connection in waiting:
            self._give(connection, page)

    def _scraped(self, report: Report) -> None:
        """The status has come, or not in time: answer the waiting clients."""
        waiting, self._scrapes = self._scrapes, {}
        self._scraping = True
        self._go_on(self._answer_scrapes(report, waiting))

    def _go_on(self, answering: Iterator[None]) -> None:
        """One slice in a turn of the loop; who came meanwhile is answered together after that."""
        for _ in answering:
            self.loop.call_soon(partial(self._go_on, answering))
            return
        self._scraping = False
        if self._scrapes:
            self._status.ask(self._scraped)

    def _answer_scrapes(
        self, report: Report, waiting: dict[tuple[str, Chosen], list[Connection]]
    ) -> Iterator[None]:
        for (accept, chosen), connections in waiting.items():
            shown = metrics.Shown(
                snapshot=self._subscriber.store.snapshot(),
                status=report.get("status"),
                counters=report.get("counters", {}),
                peers=chosen,
            )
            content_type, body = yield from metrics.page(shown, accept)
            for connection in connections:
                connection.answer(200, content_type, body)
            yield


def _bound(where: str, group: str) -> tuple[socket.socket, str]:
    """(listening socket, host of its address). Raises OSError."""
    kind, _, path = where.partition(":")
    if kind == "unix":
        return _bound_to_path(Path(path), group), ""
    host, _, port = where.rpartition(":")
    address = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        return _listening(listener), host
    except OSError:
        listener.close()
        raise


def _bound_to_path(path: Path, group: str) -> socket.socket:
    """Takes the place of a socket that an earlier process left; nothing else is ever removed."""
    if path.is_socket():
        if not is_free(path):
            raise OSError(0, "another program listens there")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        share(group, str(path))
        return _listening(listener)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)


def _listening(listener: socket.socket) -> socket.socket:
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
